//! `foresail serve`: puts the parts together, and takes them apart in order.
//!
//! Start: the state is restored before the first request is answered. End: new frames are refused,
//! what waits is committed, everything is saved, and only then are connections closed.

mod control;
mod controller;
mod doors;
mod history;
mod listener;
mod loops;
mod shadows;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api::{App, router};
use crate::clock;
use crate::config::{ActuatorConfig, Config, KubernetesConfig, WorkloadConfig};
use crate::ingest::{self, Engine, IngestThread, Restored};
use crate::kubernetes::{self, Cluster, Elector, Health, KubernetesError};
use crate::shadow::Shadow;
use crate::sources::{self, Clients};
use crate::store::{Store, StoreError};
use crate::units::{Rps, Timestamp, WorkloadKey};
use controller::Controller;
use listener::Door;
use loops::Loops;
use shadows::shadows;

pub use doors::DoorError;
pub use history::HistoryError;
pub use shadows::ShadowError;
pub use tls::TlsError;

/// How long open connections may finish what they do after everything is saved.
const CLOSE_GRACE: Duration = Duration::from_secs(2);
/// A decision or a tick is due this long after a multiple of its interval: then the frames of the
/// window that ended there have arrived.
const SETTLED_AFTER: Duration = Duration::from_millis(350);
/// Time between ticks of the event stream, and between looks at the ingest thread.
const TICK: Duration = Duration::from_secs(1);
/// Requests at a time on one connection of HTTP/2.
const STREAMS: u32 = 256;

/// Why the aggregator cannot run, or not any longer.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The state cannot be opened or restored.
    #[error("the state cannot be restored")]
    Store(#[from] StoreError),
    /// A workload's recorded load cannot be read. Correct the file or remove the setting.
    #[error("the history of {workload} cannot be read")]
    History {
        /// Whose.
        workload: WorkloadKey,
        /// Why.
        #[source]
        source: HistoryError,
    },
    /// The policies beside the one in charge of a workload cannot run.
    #[error("{workload} cannot have its shadows")]
    Shadow {
        /// Whose.
        workload: WorkloadKey,
        /// Why.
        #[source]
        source: ShadowError,
    },
    /// The system gives no thread or no client.
    #[error("the system does not give what is needed to start")]
    Start(#[source] std::io::Error),
    /// The HTTP client for webhooks cannot be made.
    #[error("the client for webhooks cannot be made")]
    Client(#[source] reqwest::Error),
    /// The cluster of workloads with the actuator `kubernetes` cannot be reached.
    #[error("Kubernetes cannot be used")]
    Kubernetes(#[source] KubernetesError),
    /// An address for other autoscalers cannot be opened.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// The ingest thread ended by itself; this is a bug. Acknowledged frames are on disk.
    #[error("the ingest thread has failed")]
    IngestFailed,
    /// At the end something could not be saved. Acknowledged frames are on disk and are applied
    /// again at the next start.
    #[error("not everything could be saved")]
    NotSaved,
}

/// Runs on `listener` until `shutdown` ends.
///
/// Boxed, so that all of it is compiled here, once, and not again in every binary and test.
///
/// # Errors
/// [`ServeError`]: at the start, when the state or a history cannot be read; later, when ingest
/// fails; at the end, when something could not be saved.
pub fn run(
    config: Config,
    listener: TcpListener,
    shutdown: BoxFuture<'static, ()>,
) -> BoxFuture<'static, Result<(), ServeError>> {
    Box::pin(run_until(config, listener, shutdown))
}

async fn run_until(
    config: Config,
    listener: TcpListener,
    shutdown: BoxFuture<'static, ()>,
) -> Result<(), ServeError> {
    let health = Health::default();
    let clients = clients(&config, &health).await?;
    let kubernetes = clients.kubernetes.clone();
    let obeyed = config.kubernetes.clone().zip(kubernetes.clone());
    let (config, parts) =
        tokio::task::spawn_blocking(move || restore(&config).map(|p| (config, p)))
            .await
            .map_err(|_| ServeError::IngestFailed)??;
    let (app, thread) = (Arc::clone(&parts.app), parts.thread);
    if kubernetes.is_some() {
        app.asks(health);
    }
    let (close, closed) = watch::channel(false);

    let mut keepers = JoinSet::new();
    let others = doors::open(&config, kubernetes.as_ref(), &app, &mut keepers).await?;
    let router = router(Arc::clone(&app));
    let door = Door { listener, router, tls: None, max_streams: STREAMS };
    let mut loops = Loops::new(Arc::clone(&app), clients, parts.restored);
    for Prepared { config, .. } in &parts.workloads {
        loops.announce(config).await;
    }
    // Frames are taken before the loops begin, which may have much to learn anew.
    let mut connections = JoinSet::new();
    connections.spawn(listener::accept(door, Arc::clone(&app), closed.clone()));
    for Prepared { config, samples, shadows } in parts.workloads {
        loops.start(config, &samples, shadows).await;
    }
    // Other autoscalers are answered once there is a loop for each workload.
    for door in others {
        connections.spawn(listener::accept(door, Arc::clone(&app), closed.clone()));
    }
    let ticker = tokio::spawn(tick(Arc::clone(&app)));
    let (stop, stopped) = watch::channel(false);
    let decides = match obeyed {
        Some((config, client)) => Decides::Obey(obey(&app, &config, &client, loops, &stopped)),
        None => Decides::Configured(Box::new(loops)),
    };
    tracing::info!(workloads = app.ingest.workloads().len(), "ready");

    let alive = async {
        while !thread.is_finished() {
            tokio::time::sleep(TICK).await;
        }
    };
    let failed = tokio::select! {
        () = shutdown => false,
        () = alive => true,
    };
    tracing::info!("draining: new frames are refused, everything is saved");
    // 1. No further decision begins; one that is being made is recorded.
    let _ = stop.send(true);
    if let Some(mut loops) = decides.end().await {
        loops.stop_all(CLOSE_GRACE).await;
    }
    // 2. What waits is committed, and everything is saved.
    app.ingest.drain();
    let saved = tokio::task::spawn_blocking(move || thread.join()).await.unwrap_or(false);
    // 3. Only now may senders lose their connection.
    ticker.abort();
    app.events.close();
    let _ = close.send(true);
    let _ = tokio::time::timeout(CLOSE_GRACE, connections.join_all()).await;
    match (failed, saved) {
        (true, _) => Err(ServeError::IngestFailed),
        (false, false) => Err(ServeError::NotSaved),
        (false, true) => Ok(()),
    }
}

/// Who has the control loops.
enum Decides {
    /// The configuration file alone says what there is.
    Configured(Box<Loops>),
    /// So do resources.
    Obey(Obeying),
}

/// The tasks that obey resources.
struct Obeying {
    controller: tokio::task::JoinHandle<Loops>,
    elector: tokio::task::JoinHandle<()>,
}

impl Decides {
    /// Ends what begins and changes loops, and gives them back; the lease goes last.
    async fn end(self) -> Option<Loops> {
        match self {
            Self::Configured(loops) => Some(*loops),
            Self::Obey(Obeying { controller, elector }) => {
                let loops = tokio::time::timeout(CLOSE_GRACE, controller).await;
                let _ = tokio::time::timeout(CLOSE_GRACE, elector).await;
                loops.ok()?.ok()
            }
        }
    }
}

/// Begins to obey the `MeshAutoscaler`s of a cluster.
fn obey(
    app: &Arc<App>,
    config: &KubernetesConfig,
    client: &kube::Client,
    loops: Loops,
    stopped: &watch::Receiver<bool>,
) -> Obeying {
    let identity = kubernetes::identity();
    let namespace = config.lease_namespace.as_deref().unwrap_or_else(|| client.default_namespace());
    let elector = Elector::new(client.clone(), namespace, &config.lease_name, identity.clone());
    app.shares(elector.fence());
    let cluster = Cluster::watch(client.clone(), config, identity, elector.fence());
    let configured = app.controls.all().into_iter().map(|(key, _)| key).collect();
    let controller = Controller::new(app, cluster, configured);
    Obeying {
        controller: tokio::spawn(controller.run(loops, stopped.clone())),
        elector: tokio::spawn(elector.run(stopped.clone())),
    }
}

/// The clients that the workloads need.
async fn clients(config: &Config, health: &Health) -> Result<Clients, ServeError> {
    let scales_there =
        |workload: &WorkloadConfig| matches!(workload.actuator, ActuatorConfig::Kubernetes(_));
    let needs_cluster = config.kubernetes.is_some()
        || config.external_metrics.is_some()
        || config.workloads.iter().any(scales_there);
    let kubernetes = if needs_cluster {
        let client = kubernetes::observed_client(config.kubeconfig.as_deref(), health).await;
        Some(client.map_err(ServeError::Kubernetes)?)
    } else {
        None
    };
    Ok(Clients { http: sources::client().map_err(ServeError::Client)?, kubernetes })
}

/// Everything that is ready before the first request.
struct Parts {
    app: Arc<App>,
    thread: IngestThread,
    restored: Restored,
    workloads: Vec<Prepared>,
}

/// A configured workload with what its settings name.
struct Prepared {
    config: WorkloadConfig,
    /// Recorded load.
    samples: Vec<(Timestamp, Rps)>,
    /// Policies beside the one in charge.
    shadows: Vec<Shadow>,
}

fn restore(config: &Config) -> Result<Parts, ServeError> {
    let watch = clock::Stopwatch::start();
    let store = Store::open(&config.state)?;
    let keys: Vec<_> = config.workloads.iter().map(|workload| workload.key.clone()).collect();
    let (engine, restored) = Engine::open(store, &keys, config.max_workloads)?;
    tracing::info!(
        state = %config.state.display(),
        workloads = engine.workloads().len(),
        frames_replayed = restored.frames,
        elapsed = ?watch.elapsed(),
        "state restored"
    );
    let mut workloads = Vec::new();
    for workload in &config.workloads {
        workloads.push(Prepared {
            config: workload.clone(),
            samples: recorded_load(workload)?,
            shadows: shadows(workload)
                .map_err(|source| ServeError::Shadow { workload: workload.key.clone(), source })?,
        });
    }
    let (ingest, thread) = ingest::start(engine).map_err(ServeError::Start)?;
    Ok(Parts {
        app: Arc::new(App::new(ingest, config.require_identity)),
        thread,
        restored,
        workloads,
    })
}

/// The load that a workload's forecast begins with when it knows none.
fn recorded_load(config: &WorkloadConfig) -> Result<Vec<(Timestamp, Rps)>, ServeError> {
    let Some(path) = &config.forecast.history else { return Ok(Vec::new()) };
    let samples = history::read(path)
        .map_err(|source| ServeError::History { workload: config.key.clone(), source })?;
    tracing::info!(
        workload = %config.key,
        path = %path.display(),
        samples = samples.len(),
        "recorded load read"
    );
    Ok(samples)
}

/// Sends live figures to whoever listens, each second, when the last one's frames have arrived.
async fn tick(app: Arc<App>) {
    loop {
        let now = clock::now();
        let next = Timestamp::of_step((now - SETTLED_AFTER).step_index(TICK) + 1, TICK);
        let next = next + SETTLED_AFTER;
        tokio::time::sleep(next.since(now)).await;
        app.events.tick(&app, clock::now());
    }
}
