//! One run of the day: the same gateway, replicas and requests, whoever scales.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use foresail_tests::envoy::Admin;
use foresail_tests::load::{Protocol, Target};
use foresail_tests::{Endpoints, Envoy, Load, Shot, WorkDir, clock};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::day::LEAD_IN;
use crate::fleet::{self, Fleet, Sidecars};
use crate::foresail::Foresail;
use crate::rules::{DECISION_INTERVAL, GATEWAY_TIMEOUT, OBJECTIVE};
use crate::scorecard::Score;
use crate::screen::{Moment, Screen};
use crate::settings::Settings;
use crate::threshold::{Measured, Threshold};

/// Replicas at the start of both runs: what the night's load asks for.
const INITIAL_REPLICAS: u32 = 2;
/// Time for the last preparations between choosing the day's start and the lead-in.
const PREPARATION: Duration = Duration::from_secs(3);
/// Time between two looks at what is going on.
const TICK: Duration = Duration::from_secs(1);

/// The mesh of one run. All of it ends when this value goes.
#[derive(Debug)]
pub(crate) struct Mesh {
    /// The replicas.
    pub(crate) fleet: Fleet,
    gateway: Envoy,
    _directory: Arc<WorkDir>,
}

impl Mesh {
    /// Starts the gateway and the first replicas.
    pub(crate) async fn start(settings: Settings, sidecars: Sidecars) -> Result<Self> {
        let directory = Arc::new(WorkDir::new("demo-mesh")?);
        let endpoints = Endpoints::new(&directory, fleet::WORKLOAD)?;
        let gateway = fleet::gateway(&directory, &endpoints).await?;
        let shared = Arc::clone(&directory);
        let startup = settings.startup;
        let fleet = Fleet::start(shared, endpoints, sidecars, startup, INITIAL_REPLICAS).await?;
        Ok(Self { fleet, gateway, _directory: directory })
    }
}

/// When a day begins, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    /// Unix seconds, at the beginning of a step.
    pub(crate) unix: u64,
    /// The same moment.
    pub(crate) instant: Instant,
}

impl Start {
    /// The next step's beginning that leaves time for preparations and the lead-in.
    pub(crate) fn soon() -> Self {
        let now = clock::unix_time();
        let earliest = (now + PREPARATION + LEAD_IN).as_secs() + 1;
        let unix = earliest.next_multiple_of(DECISION_INTERVAL.as_secs());
        let ahead = Duration::from_secs(unix).saturating_sub(now);
        Self { unix, instant: Instant::now() + ahead }
    }
}

/// Who decides in a run.
#[derive(Debug)]
pub(crate) enum Autoscaler<'a> {
    /// Foresail, through the webhook.
    Foresail(&'a Foresail),
    /// The threshold autoscaler.
    Threshold(Threshold),
}

impl Autoscaler<'_> {
    const fn name(&self) -> &'static str {
        match self {
            Self::Foresail(_) => "Foresail",
            Self::Threshold(_) => "threshold",
        }
    }
}

/// Plays the day on a mesh and measures it.
pub(crate) async fn play(
    settings: Settings,
    mesh: &Mesh,
    start: Start,
    plan: Arc<[Shot]>,
    mut autoscaler: Autoscaler<'_>,
    screen: &mut Screen,
) -> Result<Score> {
    let target = Target {
        pools: 4,
        timeout: GATEWAY_TIMEOUT * 2,
        objective: OBJECTIVE,
        warm_up: LEAD_IN,
        ..Target::new(mesh.gateway.address("gateway")?, Protocol::Http2)
    };
    let load = Load::start(&target, plan, start.instant - LEAD_IN)?;
    let mut meter = Meter::new(mesh.gateway.admin().clone());
    let mut moment = Moment::default();
    let mut last_decision = None::<Instant>;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let end = start.instant + settings.day;
    let name = autoscaler.name();
    while Instant::now() < end {
        ticks.tick().await;
        let status = mesh.fleet.status().with_context(|| format!("{name}'s run"))?;
        moment.current = status.current;
        moment.ready = u32::try_from(status.ready.len())?;
        moment.elapsed = seconds_since(start.instant);
        // A tick may come a little early after a late one.
        let is_due =
            last_decision.is_none_or(|last| last.elapsed() + TICK / 2 >= DECISION_INTERVAL);
        if is_due {
            last_decision = Some(Instant::now());
            let rps = meter.rate().await?;
            moment.rps = rps.unwrap_or(0.0);
            decide(&mut autoscaler, mesh, rps, &mut moment).await;
        }
        let results = load.so_far();
        moment.requests = (results.total(), results.within);
        (moment.replica_seconds, _) = mesh.fleet.cost(start.instant, Instant::now().min(end));
        screen.show(name, &moment);
    }
    let results = load.finish().await?;
    let (replica_seconds, scale_changes) = mesh.fleet.cost(start.instant, end);
    Ok(Score { name, results, replica_seconds, scale_changes })
}

/// The threshold autoscaler decides here; Foresail has decided by itself and is asked what.
async fn decide(
    autoscaler: &mut Autoscaler<'_>,
    mesh: &Mesh,
    rps: Option<f64>,
    moment: &mut Moment,
) {
    match autoscaler {
        Autoscaler::Foresail(foresail) => {
            let view = foresail.view().await;
            moment.forecast = view.forecast;
            moment.decision = view.decision.unwrap_or_default();
        }
        Autoscaler::Threshold(threshold) => {
            let Some(rps) = rps else { return };
            let (ready_replicas, current_replicas) = (moment.ready, moment.current);
            let measured = Measured { rps, ready_replicas, current_replicas };
            let now = Duration::from_secs_f64(moment.elapsed + LEAD_IN.as_secs_f64() * 2.0);
            let (desired, reason) = threshold.step(now, measured);
            mesh.fleet.scale_to(desired);
            moment.decision = format!("{desired}: {reason}");
        }
    }
}

/// Seconds since an instant; negative when it lies ahead.
fn seconds_since(instant: Instant) -> f64 {
    let now = Instant::now();
    let ahead = instant.saturating_duration_since(now).as_secs_f64();
    now.saturating_duration_since(instant).as_secs_f64() - ahead
}

/// Requests per second at the gateway, from Envoy's own counter.
struct Meter {
    admin: Admin,
    last: Option<(Instant, u64)>,
}

impl Meter {
    const fn new(admin: Admin) -> Self {
        Self { admin, last: None }
    }

    /// The mean since the last call; `None` at the first.
    async fn rate(&mut self) -> Result<Option<f64>> {
        let total = self.admin.stat("http.gateway.downstream_rq_total").await?;
        let now = Instant::now();
        let last = self.last.replace((now, total));
        Ok(last.map(|(then, before)| {
            total.saturating_sub(before) as f64 / (now - then).as_secs_f64().max(1e-3)
        }))
    }
}
