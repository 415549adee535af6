//! The same replicas request by request: what the fluid's closed form is held against.
//!
//! Requests come as a Poisson process, each to a replica by chance or to the less busy of two. A
//! replica works on some at once, first come, first served: a request counts in the step in which it
//! came, and gives up when it would wait longer than
//! [`QUEUE_SECONDS`](super::cluster::QUEUE_SECONDS). Or all that are there share its workers: then a
//! request counts in the step in which it ends, and is turned away where as many are there as would
//! wait for that long.

mod queue;
mod sharing;

use super::cluster::QUEUE_SECONDS;
use super::{Balance, Discipline, Scenario};
use crate::chance::Chance;
use queue::Queue;
use sharing::Sharing;

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
enum Replica {
    Queue(Queue),
    Sharing(Sharing),
}

/// Replicas with their queues.
#[derive(Clone, Debug)]
pub(super) struct Replicas {
    all: Vec<Replica>,
    discipline: Discipline,
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
            discipline: scenario.discipline,
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
        let mut served = Served::default();
        self.resize(ready as usize, &mut served.latencies_s);
        let end = self.now_s + seconds;
        let mut at = self.now_s;
        let mut busy_s = 0.0;
        let gap_s = 1.0 / rps.max(1e-12);
        loop {
            at -= (1.0 - self.chance.uniform()).ln() * gap_s;
            if at >= end {
                break;
            }
            served.requests += 1;
            let (used_s, is_taken) = self.arrive(at, end, &mut served.latencies_s);
            busy_s += used_s;
            served.dropped += u32::from(!is_taken);
        }
        let mut waiting = 0;
        for replica in &mut self.all {
            if let Replica::Sharing(replica) = replica {
                busy_s += replica.advance(end, &mut served.latencies_s);
                waiting += replica.open().saturating_sub(self.workers);
            }
        }
        self.now_s = end;
        self.begins.retain(|begin| *begin > end);
        waiting += self.begins.len();
        served.waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        let most = f64::from(ready) * self.workers as f64 * seconds;
        served.utilisation = if most > 0.0 { (busy_s / most).min(1.0) } else { 1.0 };
        let slow = served.latencies_s.iter().filter(|latency| **latency > self.latency_s).count();
        served.slow = u32::try_from(slow).unwrap_or(u32::MAX);
        served.latencies_s.sort_by(f64::total_cmp);
        served
    }

    fn resize(&mut self, ready: usize, latencies_s: &mut Vec<f64>) {
        for mut replica in self.all.drain(ready.min(self.all.len())..) {
            if let Replica::Sharing(replica) = &mut replica {
                replica.advance(f64::INFINITY, latencies_s);
            }
        }
        let new = match self.discipline {
            Discipline::Queue => Replica::Queue(Queue::new(self.now_s, self.workers)),
            Discipline::Sharing => Replica::Sharing(Sharing::new(self.now_s, self.workers)),
        };
        self.all.resize(ready, new);
    }

    /// A request comes in a step that ends at `end`. Gives the worker time that was used, and whether
    /// it is taken: it may give up or be turned away.
    fn arrive(&mut self, at: f64, end: f64, latencies_s: &mut Vec<f64>) -> (f64, bool) {
        let work_s = self.service_s();
        let which = self.choose(at, latencies_s);
        let most_open = (QUEUE_SECONDS / self.mean_service_s + 1.0) * self.workers as f64;
        match self.all.get_mut(which) {
            None => (0.0, false),
            Some(Replica::Queue(queue)) => {
                let Some(begin) = queue.arrive(at, work_s, QUEUE_SECONDS) else {
                    return (0.0, false);
                };
                if begin > end {
                    self.begins.push(begin);
                }
                latencies_s.push(begin + work_s - at);
                (work_s, true)
            }
            Some(Replica::Sharing(replica)) => {
                let used_s = replica.advance(at, latencies_s);
                let has_room = (replica.open() as f64) < most_open;
                if has_room {
                    replica.arrive(work_s);
                }
                (used_s, has_room)
            }
        }
    }

    /// The replica that a request goes to.
    fn choose(&mut self, at: f64, latencies_s: &mut Vec<f64>) -> usize {
        let first = self.any();
        if self.balance == Balance::Random {
            return first;
        }
        let second = self.any();
        let mut open = |which: usize| match self.all.get_mut(which)? {
            Replica::Queue(queue) => Some(queue.open(at)),
            Replica::Sharing(replica) => {
                replica.advance(at, latencies_s);
                Some(replica.open())
            }
        };
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
mod tests;
