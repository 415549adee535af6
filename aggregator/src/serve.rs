//! `foresail serve`: puts the parts together, and takes them apart in order.
//!
//! Start: the state is restored before the first request is answered. End: new frames are refused,
//! what waits is committed, everything is saved, and only then are connections closed.

mod control;
mod history;
mod listener;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::api::{App, Control, router};
use crate::autoscaler::{Autoscaler, Snapshot};
use crate::clock;
use crate::config::{Config, WorkloadConfig};
use crate::forecast::Load;
use crate::ingest::{self, Engine, IngestThread};
use crate::sources;
use crate::store::{Store, StoreError, from_bytes};
use crate::units::{Timestamp, WorkloadKey};
use control::ControlLoop;

pub use history::HistoryError;

/// How long open connections may finish what they do after everything is saved.
const CLOSE_GRACE: Duration = Duration::from_secs(2);
/// A decision or a tick is due this long after a multiple of its interval: then the frames of the
/// window that ended there have arrived.
const SETTLED_AFTER: Duration = Duration::from_millis(350);
/// Time between ticks of the event stream, and between looks at the ingest thread.
const TICK: Duration = Duration::from_secs(1);

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
    /// The system gives no thread or no client.
    #[error("the system does not give what is needed to start")]
    Start(#[source] std::io::Error),
    /// The HTTP client for webhooks cannot be made.
    #[error("the client for webhooks cannot be made")]
    Client(#[source] reqwest::Error),
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
/// # Errors
/// [`ServeError`]: at the start, when the state or a history cannot be read; later, when ingest
/// fails; at the end, when something could not be saved.
pub async fn run(
    config: Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let parts = tokio::task::spawn_blocking(move || restore(&config))
        .await
        .map_err(|_| ServeError::IngestFailed)??;
    let (app, thread) = (Arc::clone(&parts.app), parts.thread);
    let client = sources::client().map_err(ServeError::Client)?;
    let (stop, stopped) = watch::channel(false);
    let (close, closed) = watch::channel(false);

    let connections = tokio::spawn(listener::accept(
        listener,
        router(Arc::clone(&app)),
        Arc::clone(&app),
        closed,
    ));
    let mut loops = JoinSet::new();
    let refits = Arc::new(Semaphore::new(1));
    for (key, autoscaler) in parts.autoscalers {
        let made = ControlLoop::new(&app, &key, autoscaler, &client, &refits);
        if let Some(control) = made {
            loops.spawn(control.run(stopped.clone()));
        }
    }
    let ticker = tokio::spawn(tick(Arc::clone(&app)));
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
    if tokio::time::timeout(CLOSE_GRACE, async { while loops.join_next().await.is_some() {} })
        .await
        .is_err()
    {
        loops.abort_all();
    }
    // 2. What waits is committed, and everything is saved.
    app.ingest.drain();
    let saved = tokio::task::spawn_blocking(move || thread.join()).await.unwrap_or(false);
    // 3. Only now may senders lose their connection.
    ticker.abort();
    app.events.close();
    let _ = close.send(true);
    let _ = tokio::time::timeout(CLOSE_GRACE, connections).await;
    match (failed, saved) {
        (true, _) => Err(ServeError::IngestFailed),
        (false, false) => Err(ServeError::NotSaved),
        (false, true) => Ok(()),
    }
}

/// Everything that is ready before the first request.
struct Parts {
    app: Arc<App>,
    thread: IngestThread,
    autoscalers: Vec<(WorkloadKey, Autoscaler)>,
}

fn restore(config: &Config) -> Result<Parts, ServeError> {
    let watch = clock::Stopwatch::start();
    let now = clock::now();
    let store = Store::open(&config.state)?;
    let keys: Vec<_> = config.workloads.iter().map(|workload| workload.key.clone()).collect();
    let (engine, mut restored) = Engine::open(store, &keys, config.max_workloads)?;
    tracing::info!(
        state = %config.state.display(),
        workloads = engine.workloads().len(),
        frames_replayed = restored.frames,
        elapsed = ?watch.elapsed(),
        "state restored"
    );
    let mut autoscalers = Vec::new();
    let mut controls = BTreeMap::new();
    for workload in &config.workloads {
        let key = workload.key.clone();
        let id = engine.workloads().get(&key.namespace, &key.name).map(|workload| workload.id);
        let decision = id.and_then(|id| restored.decisions.remove(&id));
        let snapshot = id.and_then(|id| stored(id, "autoscalers", &restored.autoscalers, &key));
        let load = id.and_then(|id| stored(id, "loads", &restored.loads, &key));
        autoscalers.push((key.clone(), autoscaler(workload, snapshot, load.as_ref(), now)?));
        controls.insert(key, Arc::new(Control::new(workload.clone(), decision)));
    }
    let (ingest, thread) = ingest::start(engine).map_err(ServeError::Start)?;
    Ok(Parts { app: Arc::new(App::new(ingest, controls)), thread, autoscalers })
}

/// A stored part of an autoscaler. One that cannot be read is said and done without: the guards then
/// begin anew, and nothing scales down for a stabilization window.
fn stored<T: DeserializeOwned>(
    id: u32,
    table: &'static str,
    rows: &HashMap<u32, Vec<u8>>,
    key: &WorkloadKey,
) -> Option<T> {
    match from_bytes(table, rows.get(&id)?) {
        Ok(value) => Some(value),
        Err(error) => {
            let cause = &error as &dyn std::error::Error;
            tracing::error!(workload = %key, cause, "the autoscaler begins anew");
            None
        }
    }
}

fn autoscaler(
    config: &WorkloadConfig,
    snapshot: Option<Snapshot>,
    load: Option<&Load>,
    now: Timestamp,
) -> Result<Autoscaler, ServeError> {
    let mut autoscaler = match snapshot {
        Some(snapshot) => Autoscaler::restore(config, snapshot, load, now),
        None => Autoscaler::new(config, now),
    };
    if let Some(path) = &config.forecast.history
        && autoscaler.needs_history()
    {
        let samples = history::read(path)
            .map_err(|source| ServeError::History { workload: config.key.clone(), source })?;
        tracing::info!(
            workload = %config.key,
            path = %path.display(),
            samples = samples.len(),
            "recorded load read"
        );
        autoscaler.load_history(&samples);
    }
    Ok(autoscaler)
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
