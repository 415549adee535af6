//! The same replicas request by request: what the fluid's closed form is held against.
//!
//! Requests come as a Poisson process, each to a replica by chance or to the less busy of two; a
//! replica works on several at once, first come, first served. A request counts in the step in which it came, and gives up when
//! it would wait longer than [`QUEUE_SECONDS`](super::cluster::QUEUE_SECONDS).

use super::cluster::QUEUE_SECONDS;
use super::{Balance, Chance, Scenario};

/// What the requests of a step were like.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Served {
    /// Requests that came.
    pub(super) requests: u32,
    /// Of these, how many gave up.
    pub(super) dropped: u32,
    /// Of the others, how many took longer than the objective's latency.
    pub(super) slow: u32,
    /// Latencies of those that did not give up, in seconds, ascending.
    pub(super) latencies_s: Vec<f64>,
    /// Requests that wait at the step's end.
    pub(super) waiting: u32,
    /// Share of the replicas' time in use, 0 to 1.
    pub(super) utilisation: f64,
}

impl Served {
    /// A quantile of latency in milliseconds; 0 without requests.
    pub(super) fn quantile_ms(&self, share: f64) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place among the latencies"
        )]
        let place = (self.latencies_s.len() as f64 * share) as usize;
        let place = place.min(self.latencies_s.len().saturating_sub(1));
        self.latencies_s.get(place).map_or(0.0, |seconds| seconds * 1e3)
    }

    /// Mean latency in seconds; 0 without requests.
    pub(super) fn mean_s(&self) -> f64 {
        self.latencies_s.iter().sum::<f64>() / self.latencies_s.len().max(1) as f64
    }
}

/// One replica.
#[derive(Clone, Debug)]
struct Replica {
    /// When each worker is free again.
    free_at: Vec<f64>,
    /// Ends of requests that may still be open.
    ends: Vec<f64>,
}

impl Replica {
    /// Requests that wait or are worked on.
    fn open(&mut self, at: f64) -> usize {
        self.ends.retain(|end| *end > at);
        self.ends.len()
    }
}

/// Replicas with their queues.
#[derive(Clone, Debug)]
pub(super) struct Replicas {
    all: Vec<Replica>,
    balance: Balance,
    /// Begins, after the current step's end, of requests that have come already.
    begins: Vec<f64>,
    now_s: f64,
    workers: usize,
    mean_service_s: f64,
    service_cv: f64,
    latency_s: f64,
    chance: Chance,
}

impl Replicas {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            all: Vec::new(),
            balance: scenario.balance,
            begins: Vec::new(),
            now_s: 0.0,
            workers: scenario.workers.max(1) as usize,
            mean_service_s: scenario.mean_service.as_secs_f64(),
            service_cv: scenario.service_cv,
            latency_s: scenario.objective_latency.as_secs_f64(),
            chance: Chance::new(scenario.seed ^ 0x5eed),
        }
    }

    /// Serves requests at a mean rate for some seconds. Replicas that are taken away finish what
    /// they have.
    pub(super) fn step(&mut self, rps: f64, ready: u32, seconds: f64) -> Served {
        let new = Replica { free_at: vec![self.now_s; self.workers], ends: Vec::new() };
        self.all.resize(ready as usize, new);
        let end = self.now_s + seconds;
        let mut served = Served::default();
        let mut at = self.now_s;
        let mut busy_s = 0.0;
        let gap_s = 1.0 / rps.max(1e-12);
        loop {
            at -= (1.0 - self.chance.uniform()).ln() * gap_s;
            if at >= end {
                break;
            }
            served.requests += 1;
            let Some((begin, service)) = self.arrive(at) else {
                served.dropped += 1;
                continue;
            };
            busy_s += service;
            if begin > end {
                self.begins.push(begin);
            }
            let latency = begin + service - at;
            served.slow += u32::from(latency > self.latency_s);
            served.latencies_s.push(latency);
        }
        self.now_s = end;
        self.begins.retain(|begin| *begin > end);
        served.waiting = u32::try_from(self.begins.len()).unwrap_or(u32::MAX);
        let most = f64::from(ready) * self.workers as f64 * seconds;
        served.utilisation = if most > 0.0 { (busy_s / most).min(1.0) } else { 1.0 };
        served.latencies_s.sort_by(f64::total_cmp);
        served
    }

    /// A request comes: when it begins and how long it is served; `None` when it gives up.
    fn arrive(&mut self, at: f64) -> Option<(f64, f64)> {
        let service = self.service_s();
        let which = self.choose(at);
        let replica = self.all.get_mut(which)?;
        let worker = replica.free_at.iter_mut().min_by(|a, b| a.total_cmp(b))?;
        let begin = worker.max(at);
        if begin - at > QUEUE_SECONDS {
            return None;
        }
        *worker = begin + service;
        if self.balance == Balance::LeastRequest {
            replica.ends.push(begin + service);
        }
        Some((begin, service))
    }

    /// The replica that a request goes to.
    fn choose(&mut self, at: f64) -> usize {
        let first = self.any();
        if self.balance == Balance::Random {
            return first;
        }
        let second = self.any();
        let mut open = |which: usize| self.all.get_mut(which).map(|it| it.open(at));
        if open(second) < open(first) { second } else { first }
    }

    /// Any replica.
    fn any(&mut self) -> usize {
        let which = self.chance.uniform() * self.all.len() as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place among the replicas"
        )]
        {
            which as usize
        }
    }

    /// Time of one request without waiting: exponential for a coefficient of variation of 1, always
    /// the same for 0, else lognormal.
    fn service_s(&mut self) -> f64 {
        let cv = self.service_cv;
        if (cv - 1.0).abs() < 1e-9 {
            return -(1.0 - self.chance.uniform()).ln() * self.mean_service_s;
        }
        let variance = cv.mul_add(cv, 1.0).ln();
        let z = self.chance.normal();
        self.mean_service_s * (variance.sqrt() * z - variance / 2.0).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queueing::{sojourn_quantile, sojourn_tail};

    const HOUR: f64 = 3_600.0;

    fn scenario(workers: u32, service_cv: f64) -> Scenario {
        Scenario { workers, service_cv, ..Scenario::default() }
    }

    /// An hour and a half of one replica at a utilisation, the last hour of it.
    fn hour(scenario: &Scenario, utilisation: f64) -> Served {
        let mut replicas = Replicas::new(scenario);
        let rps = utilisation * f64::from(scenario.workers) / 0.05;
        replicas.step(rps * 4.0, 4, HOUR / 2.0);
        replicas.step(rps * 4.0, 4, HOUR)
    }

    #[test]
    fn its_latencies_are_those_of_the_m_m_c_queue() {
        for (workers, utilisation) in [(1, 0.5), (4, 0.7), (4, 0.8), (16, 0.9)] {
            let served = hour(&scenario(workers, 1.0), utilisation);
            let slow = f64::from(served.slow) / f64::from(served.requests);
            let wanted = sojourn_tail(workers, utilisation, 0.05, 0.35);
            assert!((slow / wanted - 1.0).abs() < 0.08, "{workers}: {slow} for {wanted}");
            for share in [0.5, 0.95, 0.99] {
                let wanted = sojourn_quantile(workers, utilisation, 0.05, share) * 1e3;
                let got = served.quantile_ms(share);
                assert!((got / wanted - 1.0).abs() < 0.03, "{workers}: {got} for {wanted}");
            }
            assert!((served.utilisation - utilisation).abs() < 0.01);
        }
    }

    #[test]
    fn its_mean_wait_is_that_of_pollaczek_and_khinchine() {
        for cv in [0.0, 0.5, 1.0] {
            let served = hour(&scenario(1, cv), 0.5);
            let wanted = 0.05 + 0.5 * 0.05 / (1.0 - 0.5) * f64::midpoint(1.0, cv * cv);
            let got = served.mean_s();
            assert!((got / wanted - 1.0).abs() < 0.03, "{got} for {wanted} at {cv}");
        }
    }

    #[test]
    fn the_less_busy_of_two_replicas_is_quicker_than_any() {
        let slow = |balance: Balance| {
            let served = hour(&Scenario { balance, ..scenario(4, 1.0) }, 0.8);
            f64::from(served.slow) / f64::from(served.requests)
        };
        let (random, least) = (slow(Balance::Random), slow(Balance::LeastRequest));
        assert!(least < random / 2.0, "{least} and {random}");
    }

    #[test]
    fn who_would_wait_too_long_gives_up_and_the_others_wait() {
        let mut replicas = Replicas::new(&scenario(4, 1.0));
        let served = replicas.step(2.0 * 80.0, 1, 60.0);
        assert!(served.waiting > 100 && served.utilisation > 0.95, "{}", served.waiting);
        let dropped = f64::from(served.dropped) / f64::from(served.requests);
        assert!((0.4..0.5).contains(&dropped), "{dropped}");
        assert_eq!(replicas.step(0.0, 1, 60.0).waiting, 0);
        let without = replicas.step(10.0, 0, 60.0);
        assert!(without.requests > 400 && without.dropped == without.requests);
    }
}
