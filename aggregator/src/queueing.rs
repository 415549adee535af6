//! Closed forms of the queue that a replica is taken for: M/M/c, first come, first served.
//!
//! Source: Gross, Shortle, Thompson and Harris, "Fundamentals of Queueing Theory", 4th edition,
//! section 2.3.

/// Probability that an arrival has to wait; `offered` is the mean number of busy servers, below
/// `servers`. 1 when the queue is not stable.
pub fn erlang_c(servers: u32, offered: f64) -> f64 {
    let count = f64::from(servers);
    if offered >= count {
        return 1.0;
    }
    // Erlang B by its recursion, which stays within 0 to 1.
    let blocked = (1..=servers)
        .fold(1.0, |blocked, n| offered * blocked / (f64::from(n) + offered * blocked));
    count * blocked / (count - offered * (1.0 - blocked))
}

/// Probability that a request takes longer than `t_s` seconds, waiting included, at a utilisation
/// of 0 to 1; 1 when the queue is not stable.
pub fn sojourn_tail(servers: u32, utilisation: f64, mean_service_s: f64, t_s: f64) -> f64 {
    if utilisation >= 1.0 {
        return 1.0;
    }
    let rate = 1.0 / mean_service_s;
    let count = f64::from(servers);
    let waits = erlang_c(servers, count * utilisation.max(0.0));
    // Rate at which the wait of those who wait ends.
    let drain = count * rate * (1.0 - utilisation.max(0.0));
    let served = (-rate * t_s).exp();
    let gap = drain - rate;
    let both = if gap.abs() < 1e-9 * rate {
        // Two equal phases: the limit of the difference below.
        served * (1.0 + rate * t_s)
    } else {
        (drain * served - rate * (-drain * t_s).exp()) / gap
    };
    ((1.0 - waits) * served + waits * both).clamp(0.0, 1.0)
}

/// Time in seconds that a share `quantile` of the requests does not exceed; infinite when the queue
/// is not stable.
pub fn sojourn_quantile(servers: u32, utilisation: f64, mean_service_s: f64, quantile: f64) -> f64 {
    if utilisation >= 1.0 {
        return f64::INFINITY;
    }
    let over = 1.0 - quantile;
    let mut most = mean_service_s;
    while sojourn_tail(servers, utilisation, mean_service_s, most) > over && most < 1e9 {
        most *= 2.0;
    }
    bisect(0.0, most, |t| sojourn_tail(servers, utilisation, mean_service_s, t) > over)
}

/// The highest utilisation at which a share `quantile` of the requests is within `latency_s`; 0 when
/// that is too little even for an idle replica.
pub fn safe_utilisation(servers: u32, mean_service_s: f64, quantile: f64, latency_s: f64) -> f64 {
    bisect(0.0, 1.0, |utilisation| {
        sojourn_tail(servers, utilisation, mean_service_s, latency_s) <= 1.0 - quantile
    })
}

/// Where a condition that holds at `from` stops holding.
fn bisect(mut from: f64, mut to: f64, holds: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..60 {
        let middle = f64::midpoint(from, to);
        if holds(middle) {
            from = middle;
        } else {
            to = middle;
        }
    }
    from
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_is_the_textbook_queue() {
        // M/M/1: an arrival waits with the utilisation's probability, and the sojourn is
        // exponential with rate mu (1 - rho).
        assert!((erlang_c(1, 0.7) - 0.7).abs() < 1e-12);
        let tail = sojourn_tail(1, 0.7, 0.1, 0.5);
        assert!((tail - (-10.0_f64 * 0.3 * 0.5).exp()).abs() < 1e-12, "{tail}");
    }

    #[test]
    fn erlang_c_has_the_value_of_the_tables() {
        // Two servers, one busy on average: 1/3.
        assert!((erlang_c(2, 1.0) - 1.0 / 3.0).abs() < 1e-12);
        assert!(erlang_c(64, 60.0) > 0.0 && erlang_c(64, 60.0) < 1.0);
    }

    #[test]
    fn a_pod_of_four_workers_is_safe_up_to_four_fifths() {
        let safe = safe_utilisation(4, 0.05, 0.99, 0.35);
        assert!((safe - 0.804).abs() < 0.001, "{safe}");
        let latency = sojourn_quantile(4, safe, 0.05, 0.99);
        assert!((latency - 0.35).abs() < 1e-6, "{latency}");
    }

    #[test]
    fn the_tail_is_continuous_where_two_rates_meet() {
        // c mu (1 - rho) = mu at rho = 1 - 1/c.
        let at = |utilisation| sojourn_tail(4, utilisation, 0.05, 0.1);
        assert!((at(0.75) - at(0.75 + 1e-7)).abs() < 1e-5);
        assert!(at(0.7) < at(0.75) && at(0.75) < at(0.8));
    }
}
