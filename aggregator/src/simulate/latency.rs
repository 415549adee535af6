//! Latencies at a utilisation, looked up instead of solved anew each step.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Scenario;
use crate::queueing::{sojourn_quantile, sojourn_tail};

/// Steps of utilisation from 0 to 1.
const ENTRIES: usize = 512;

/// Latencies of one utilisation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Latencies {
    pub(super) p50_ms: f64,
    pub(super) p95_ms: f64,
    pub(super) p99_ms: f64,
    /// Share of requests over the objective.
    pub(super) slow_share: f64,
}

/// Latencies by utilisation.
#[derive(Clone, Debug)]
pub(super) struct LatencyTable(Vec<Latencies>);

/// Workers, mean time of a request and latency of the objective: what a table depends on.
type Key = (u32, u128, u128);

/// Tables so far: thousands of workloads have few objectives.
static TABLES: Mutex<BTreeMap<Key, Arc<LatencyTable>>> = Mutex::new(BTreeMap::new());

impl LatencyTable {
    /// That of a scenario, made once.
    pub(super) fn of(scenario: &Scenario) -> Arc<Self> {
        let Scenario { workers, mean_service, objective_latency, .. } = scenario;
        let key = (*workers, mean_service.as_nanos(), objective_latency.as_nanos());
        let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tables.entry(key).or_insert_with(|| Arc::new(Self::new(scenario))))
    }

    fn new(scenario: &Scenario) -> Self {
        let service = scenario.mean_service.as_secs_f64();
        let at = |entry: usize| {
            // The last entry stands for the edge of saturation.
            let utilisation = (entry as f64 / ENTRIES as f64).min(0.999);
            let quantile = |q| sojourn_quantile(scenario.workers, utilisation, service, q) * 1e3;
            let latency = scenario.objective_latency.as_secs_f64();
            Latencies {
                p50_ms: quantile(0.5),
                p95_ms: quantile(0.95),
                p99_ms: quantile(0.99),
                slow_share: sojourn_tail(scenario.workers, utilisation, service, latency),
            }
        };
        Self((0..=ENTRIES).map(at).collect())
    }

    /// Latencies at a utilisation, between two entries by a straight line.
    pub(super) fn at(&self, utilisation: f64) -> Latencies {
        let place = utilisation.clamp(0.0, 1.0) * ENTRIES as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in 0..=ENTRIES by the clamp"
        )]
        let entry = (place as usize).min(ENTRIES - 1);
        let share = place - entry as f64;
        let (Some(from), Some(to)) = (self.0.get(entry), self.0.get(entry + 1)) else {
            return Latencies::default();
        };
        let mix = |a: f64, b: f64| a + share * (b - a);
        Latencies {
            p50_ms: mix(from.p50_ms, to.p50_ms),
            p95_ms: mix(from.p95_ms, to.p95_ms),
            p99_ms: mix(from.p99_ms, to.p99_ms),
            slow_share: mix(from.slow_share, to.slow_share),
        }
    }
}
