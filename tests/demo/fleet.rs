//! The workload: replicas that take their time to be Ready, behind a real sidecar each.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, Result};
use foresail_tests::{
    Cluster, Endpoints, Envoy, Listener, Node, Route, Service, ServiceConfig, WasmFilter, WorkDir,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::rules::{GATEWAY_TIMEOUT, MAX_REPLICAS, MIN_REPLICAS, REPLICA_CONCURRENCY};

/// Namespace of the workload.
pub(crate) const NAMESPACE: &str = "demo";
/// Name of the workload.
pub(crate) const WORKLOAD: &str = "web";

/// What the sidecars of a fleet are made of.
#[derive(Clone, Debug)]
pub(crate) struct Sidecars {
    /// The filter with its configuration.
    pub(crate) filter: WasmFilter,
    /// Where the filter sends its frames.
    pub(crate) aggregator: SocketAddr,
}

/// How many replicas there are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    /// Replicas that exist, Ready or starting.
    pub(crate) current: u32,
    /// Names of those that serve.
    pub(crate) ready: Vec<String>,
}

/// The replicas of one run; clones share them. All end when the last clone goes.
#[derive(Clone, Debug)]
pub(crate) struct Fleet(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    directory: Arc<WorkDir>,
    sidecars: Sidecars,
    startup: Duration,
    state: Mutex<State>,
    /// Replicas on their way up or down. They look at the fleet through a [`Weak`], so that the
    /// fleet can end while they are on their way.
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct State {
    replicas: Vec<Replica>,
    endpoints: Endpoints,
    named: u32,
    /// Number of replicas from each instant on.
    sizes: Vec<(Instant, u32)>,
    failure: Option<anyhow::Error>,
}

#[derive(Debug)]
struct Replica {
    name: String,
    /// `None` until it is Ready.
    serving: Option<Serving>,
}

#[derive(Debug)]
struct Serving {
    address: SocketAddr,
    /// Held for its end.
    _sidecar: Envoy,
    /// Held for its end.
    _service: Service,
}

impl Fleet {
    /// Starts `count` replicas and waits until all are Ready, without the start-up time.
    pub(crate) async fn start(
        directory: Arc<WorkDir>,
        endpoints: Endpoints,
        sidecars: Sidecars,
        startup: Duration,
        count: u32,
    ) -> Result<Self> {
        let sizes = vec![(Instant::now(), 0)];
        let state = State { replicas: Vec::new(), endpoints, named: 0, sizes, failure: None };
        let (state, tasks) = (Mutex::new(state), Mutex::default());
        let fleet = Self(Arc::new(Inner { directory, sidecars, startup, state, tasks }));
        fleet.0.scale(count, Duration::ZERO);
        while fleet.status()?.ready.len() < count as usize {
            sleep(Duration::from_millis(50)).await;
        }
        Ok(fleet)
    }

    /// Starts or removes replicas until there are `desired`, within the workload's bounds. Returns
    /// how many that makes.
    pub(crate) fn scale_to(&self, desired: u32) -> u32 {
        let desired = desired.clamp(MIN_REPLICAS, MAX_REPLICAS);
        self.0.scale(desired, self.0.startup);
        desired
    }

    /// How many there are; the error of a replica that could not start.
    pub(crate) fn status(&self) -> Result<Status> {
        let mut state = self.0.state();
        if let Some(failure) = state.failure.take() {
            return Err(failure);
        }
        let serving = state.replicas.iter().filter(|replica| replica.serving.is_some());
        let ready = serving.map(|replica| replica.name.clone()).collect();
        Ok(Status { current: count(&state.replicas), ready })
    }

    /// Replica-seconds, starting and Ready, and the number of scale changes between two instants.
    pub(crate) fn cost(&self, from: Instant, to: Instant) -> (f64, u32) {
        cost(&self.0.state().sizes, from, to)
    }
}

fn cost(sizes: &[(Instant, u32)], from: Instant, to: Instant) -> (f64, u32) {
    let ends = sizes.iter().skip(1).map(|(at, _)| *at).chain([to]);
    let seconds = sizes.iter().zip(ends).map(|((begin, size), end)| {
        let overlap = end.min(to).saturating_duration_since((*begin).max(from));
        f64::from(*size) * overlap.as_secs_f64()
    });
    let changes = sizes.iter().filter(|(at, _)| (from..to).contains(at)).count();
    (seconds.sum(), u32::try_from(changes).unwrap_or(u32::MAX))
}

fn count(replicas: &[Replica]) -> u32 {
    u32::try_from(replicas.len()).unwrap_or(u32::MAX)
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    fn scale(self: &Arc<Self>, desired: u32, startup: Duration) {
        let mut state = self.state();
        if desired == count(&state.replicas) {
            return;
        }
        while count(&state.replicas) < desired {
            state.named += 1;
            let name = format!("{WORKLOAD}-{}", state.named);
            state.replicas.push(Replica { name: name.clone(), serving: None });
            self.spawn(bring_up(Arc::downgrade(self), name, startup));
        }
        while count(&state.replicas) > desired {
            // As a ReplicaSet does: those that do not serve first, then the newest.
            let starting = state.replicas.iter().rposition(|replica| replica.serving.is_none());
            let last = state.replicas.len() - 1;
            let replica = state.replicas.remove(starting.unwrap_or(last));
            self.spawn(drain(replica));
        }
        let size = count(&state.replicas);
        state.sizes.push((Instant::now(), size));
        state.publish();
    }
}

impl State {
    /// Tells the gateway which replicas serve.
    fn publish(&mut self) {
        let serving = self.replicas.iter().filter_map(|replica| replica.serving.as_ref());
        let addresses: Vec<SocketAddr> = serving.map(|serving| serving.address).collect();
        if let Err(error) = self.endpoints.set(&addresses) {
            self.failure = Some(error);
        }
    }
}

/// Starts a replica at once, and lets it serve when its start-up time is over and it answers.
async fn bring_up(fleet: Weak<Inner>, name: String, startup: Duration) {
    let ready_at = Instant::now() + startup;
    let Some(inner) = fleet.upgrade() else { return };
    let (directory, sidecars) = (Arc::clone(&inner.directory), inner.sidecars.clone());
    drop(inner);
    let started = sidecars.start(&directory, &name).await;
    sleep_until(ready_at).await;
    let Some(inner) = fleet.upgrade() else { return };
    let mut state = inner.state();
    match started {
        Ok(serving) => {
            // It may have been removed meanwhile; then it ends here.
            if let Some(replica) = state.replicas.iter_mut().find(|replica| replica.name == name) {
                replica.serving = Some(serving);
                state.publish();
            }
        }
        Err(error) => state.failure = Some(error.context(format!("replica {name}"))),
    }
}

/// The gateway sends it nothing any more; it finishes what it has, then ends.
async fn drain(replica: Replica) {
    if replica.serving.is_some() {
        // As long as a request can take.
        sleep(GATEWAY_TIMEOUT).await;
    }
}

impl Sidecars {
    /// Starts a service and its sidecar, which answers when this returns.
    async fn start(&self, directory: &WorkDir, name: &str) -> Result<Serving> {
        let config = ServiceConfig { concurrency: REPLICA_CONCURRENCY, ..ServiceConfig::default() };
        let service = Service::start(config).await?;
        let inbound = Listener::new("inbound")
            .inbound()
            .filter(&self.filter)
            // Like Istio's inbound routes, which leave timeouts to the caller.
            .route(Route::prefix("/").cluster("service").timeout(Duration::ZERO));
        let sidecar = Envoy::builder(name)
            .node(&Node::new(NAMESPACE, WORKLOAD, name))
            .listener(inbound)
            .cluster(Cluster::fixed("service", service.address()).http2().unlimited())
            .cluster(Cluster::fixed("foresail", self.aggregator))
            .start(directory)
            .await?;
        Ok(Serving { address: sidecar.address("inbound")?, _sidecar: sidecar, _service: service })
    }
}

/// The gateway in front of the fleet. All inner connections are HTTP/2, as between Istio's proxies
/// that upgrade, which also keeps the number of open files low when many requests wait.
pub(crate) async fn gateway(directory: &WorkDir, endpoints: &Endpoints) -> Result<Envoy> {
    let route = Route::prefix("/").cluster(WORKLOAD).timeout(GATEWAY_TIMEOUT);
    Envoy::builder("gateway")
        .listener(Listener::new("gateway").route(route))
        .cluster(Cluster::eds(WORKLOAD, endpoints).http2().unlimited())
        .start(directory)
        .await
        .context("the gateway")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replica_seconds_are_the_area_under_the_size() {
        let zero = Instant::now();
        let at = |second| zero + Duration::from_secs(second);
        let sizes = [(at(0), 0), (at(1), 2), (at(10), 5), (at(30), 3)];
        // 2 x 5 s, 5 x 20 s, 3 x 10 s; the changes at 10 and 30 s.
        assert_eq!(cost(&sizes, at(5), at(40)), (140.0, 2));
        assert_eq!(cost(&sizes, at(40), at(50)), (30.0, 0));
    }
}
