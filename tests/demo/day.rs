//! The day: how many requests come when, today and on the days that were recorded.

use std::f64::consts::TAU;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use foresail_tests::Shot;
use foresail_tests::random::{self, LogNormal};
use rand::RngExt;

use crate::rules::{DECISION_INTERVAL, WORK_MEAN, WORK_SIGMA};

/// Requests per second by hour, with straight lines between.
const SHAPE: &[(f64, f64)] = &[
    (0.0, 75.0),
    (7.0, 75.0),
    // The working day begins: threefold within an hour.
    (8.0, 216.0),
    (11.5, 220.0),
    // Lunch.
    (12.0, 140.0),
    (13.5, 140.0),
    (14.0, 216.0),
    (18.0, 216.0),
    // Evening.
    (18.7, 306.0),
    (21.5, 302.0),
    (22.5, 85.0),
    (24.0, 75.0),
];

/// Today's surprise, which no recorded day has: hours from and to, and requests per second more.
const FLASH_CROWD: (f64, f64, f64) = (15.2, 17.2, 150.0);
/// No day has a higher rate than this.
const PEAK: f64 = 450.0;
/// Today's arrivals and work.
const TODAY: u64 = 20_261_123;
/// The recorded days, oldest first: seed of the noise, and scale against today.
const RECORDED: [(u64, f64); 3] = [(11, 0.97), (12, 1.03), (13, 0.98)];

/// How many days the forecast has seen.
pub(crate) const RECORDED_DAYS: usize = RECORDED.len();
/// Midnight's load is played first and not counted, so that all is warm.
pub(crate) const LEAD_IN: Duration = Duration::from_secs(10);

/// Today's requests, beginning [`LEAD_IN`] before the day. Each brings its own work, so that both
/// runs get the same requests, not only as many.
pub(crate) fn plan(day: Duration) -> Arc<[Shot]> {
    let mut random = random::seeded(TODAY);
    let noise = Noise::draw(TODAY);
    let rate = |at: Duration| noise.rate(hour(at.as_secs_f64() - LEAD_IN.as_secs_f64(), day), true);
    let arrivals = random::arrivals(&mut random, LEAD_IN + day, PEAK, rate);
    let work = LogNormal::new(WORK_MEAN, WORK_SIGMA);
    let shot = |at| Shot::get(at, "/").with_work(work.sample(&mut random));
    arrivals.into_iter().map(shot).collect()
}

/// The recorded days as `timestamp,rps`, one row a step, placed right before the day that starts at
/// `start` (unix seconds), and ending where the lead-in begins.
pub(crate) fn history(day: Duration, start: u64) -> String {
    let step = DECISION_INTERVAL.as_secs();
    let end = start - LEAD_IN.as_secs();
    let mut rows = String::from("timestamp,rps\n");
    for ((seed, scale), ago) in RECORDED.iter().zip((1..=RECORDED.len() as u64).rev()) {
        let noise = Noise::draw(*seed);
        let rate = |at: Duration| scale * noise.rate(hour(at.as_secs_f64(), day), false);
        let arrivals = random::arrivals(&mut random::seeded(*seed), day, PEAK, rate);
        for (at, rate) in (0..).zip(rates(arrivals, day)) {
            let timestamp = start - ago * day.as_secs() + at * step;
            if timestamp < end {
                // Writing to a String cannot fail.
                let _ = writeln!(rows, "{timestamp},{rate}");
            }
        }
    }
    rows
}

/// Requests per second of each decision interval of a time, from when requests arrive in it.
pub(crate) fn rates(
    arrivals: impl IntoIterator<Item = Duration>,
    time: Duration,
) -> impl Iterator<Item = f64> {
    let mut arrivals = arrivals.into_iter().peekable();
    let steps = time.as_secs() / DECISION_INTERVAL.as_secs();
    (1..=u32::try_from(steps).unwrap_or(u32::MAX)).map(move |step| {
        let mut count = 0_u32;
        while arrivals.next_if(|at| *at < DECISION_INTERVAL * step).is_some() {
            count += 1;
        }
        f64::from(count) / DECISION_INTERVAL.as_secs_f64()
    })
}

/// The hour of a day that has lasted `seconds`; midnight before it begins.
fn hour(seconds: f64, day: Duration) -> f64 {
    24.0 * seconds.max(0.0) / day.as_secs_f64()
}

/// The time of a day that has lasted for `elapsed`, as a clock shows it.
pub(crate) fn clock(elapsed: f64, day: Duration) -> String {
    let minutes = (hour(elapsed, day) * 60.0).rem_euclid(24.0 * 60.0);
    format!("{:02.0}:{:02.0}", (minutes / 60.0).floor(), (minutes % 60.0).floor())
}

/// Slow random swings of a few percent, other ones each day.
struct Noise([(f64, f64); 4]);

impl Noise {
    fn draw(seed: u64) -> Self {
        let mut random = random::seeded(seed ^ 0x5EED);
        Self(std::array::from_fn(|_| {
            (random.random_range(3.0..24.0), random.random_range(0.0..TAU))
        }))
    }

    fn rate(&self, hour: f64, with_flash_crowd: bool) -> f64 {
        let wave = |(cycles, phase): &(f64, f64)| (TAU * cycles * hour / 24.0 + phase).sin();
        let swing: f64 = self.0.iter().map(wave).sum::<f64>() * 0.012;
        let (from, to, more) = FLASH_CROWD;
        let crowd = if with_flash_crowd && (from..to).contains(&hour) { more } else { 0.0 };
        (shape(hour) * (1.0 + swing) + crowd).min(PEAK)
    }
}

fn shape(hour: f64) -> f64 {
    let hour = hour.rem_euclid(24.0);
    let line = |pair: &[(f64, f64)]| match pair {
        [(from, low), (to, high)] if (*from..=*to).contains(&hour) => {
            Some(low + (high - low) * (hour - from) / (to - from))
        }
        _ => None,
    };
    SHAPE.windows(2).find_map(line).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_mins(4);

    fn between(from: f64, to: f64) -> usize {
        let seconds = |hour: f64| hour / 24.0 * 240.0 + LEAD_IN.as_secs_f64();
        let range = seconds(from)..seconds(to);
        plan(DAY).iter().filter(|shot| range.contains(&shot.at.as_secs_f64())).count()
    }

    #[test]
    fn both_runs_get_the_same_requests() {
        let pairs = |plan: Arc<[Shot]>| plan.iter().map(|s| (s.at, s.work)).collect::<Vec<_>>();
        assert_eq!(pairs(plan(DAY)), pairs(plan(DAY)));
    }

    #[test]
    fn the_flash_crowd_comes_today_and_was_not_recorded() {
        // 8 s each: the crowd brings 150 requests a second more to some 216.
        let (crowd, after) = (between(15.3, 16.1), between(17.2, 18.0));
        assert!(crowd > after + 900, "{crowd} against {after}");
        let recorded = history(DAY, 1_000_000);
        let highest =
            recorded.lines().skip(1).filter_map(|row| row.split_once(',')?.1.parse().ok());
        // The evening's 306 and noise.
        assert!(highest.fold(0.0, f64::max) < 400.0);
    }

    #[test]
    fn recorded_days_end_where_the_lead_in_begins() {
        let recorded = history(DAY, 1_000_000);
        let stamps: Vec<u64> = recorded
            .lines()
            .skip(1)
            .filter_map(|row| row.split_once(',')?.0.parse().ok())
            .collect();
        assert_eq!(stamps.first(), Some(&(1_000_000 - 3 * 240)));
        assert_eq!(stamps.last(), Some(&(1_000_000 - 10 - 2)));
        assert!(stamps.windows(2).all(|pair| pair[1] - pair[0] == 2));
    }

    #[test]
    fn the_clock_shows_the_compressed_time() {
        assert_eq!(clock(0.0, DAY), "00:00");
        assert_eq!(clock(76.0, DAY), "07:36");
        assert_eq!(clock(-1.0, DAY), "00:00");
    }
}
