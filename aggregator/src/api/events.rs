//! `GET /v1/events`: live figures each second, and decisions, as server-sent events.
//!
//! What a page does not show it need not be told: a listener may ask for one workload, or for no decisions. An event
//! is written once, however many listen.
//!
//! A listener that does not keep up loses events, which are counted; nobody waits for it.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};

use super::state::App;
use super::view::Live;
use super::{ApiError, Shared};
use crate::clock;
use crate::journal::Decision;
use crate::units::{Timestamp, WorkloadKey};

/// The most listeners at a time.
pub const MAX_SUBSCRIBERS: usize = 256;
/// Events that wait for a slow listener.
const MAX_WAITING: usize = 64;

#[derive(Clone, Debug)]
enum Message {
    Tick(Arc<Tick>),
    Decision(Arc<Decided>),
    Close,
}

/// The live figures of a second.
#[derive(Debug)]
struct Tick {
    live: Live,
    /// The event with all of them, once somebody wants it.
    whole: OnceLock<Bytes>,
}

#[derive(Debug)]
struct Decided {
    key: WorkloadKey,
    event: Bytes,
}

/// `?workload=NAMESPACE/NAME&decisions=false`.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    workload: Option<String>,
    decisions: Option<bool>,
}

/// What a listener is told.
#[derive(Debug)]
struct Wants {
    /// Of this workload alone.
    workload: Option<WorkloadKey>,
    decisions: bool,
}

impl Asked {
    fn wants(self) -> Result<Wants, ApiError> {
        let key = |text: String| {
            let (namespace, name) = text.split_once('/')?;
            Some(WorkloadKey { namespace: namespace.to_owned(), name: name.to_owned() })
        };
        let workload = match self.workload {
            None => None,
            Some(text) => {
                let bad = ApiError::BadParameter { parameter: "workload", valid: "NAMESPACE/NAME" };
                Some(key(text).ok_or(bad)?)
            }
        };
        Ok(Wants { workload, decisions: self.decisions.unwrap_or(true) })
    }
}

impl Wants {
    /// The event of a tick.
    fn tick(&self, tick: &Tick) -> Bytes {
        match &self.workload {
            Some(key) => event("tick", &tick.live.only(key)),
            None => tick.whole.get_or_init(|| event("tick", &tick.live)).clone(),
        }
    }

    /// The event of a decision, if it is wanted.
    fn decision(&self, decided: &Decided) -> Option<Bytes> {
        let wanted = self.decisions && self.workload.as_ref().is_none_or(|key| *key == decided.key);
        wanted.then(|| decided.event.clone())
    }
}

/// The listeners.
#[derive(Debug)]
pub struct Events {
    sender: Sender<Message>,
    dropped: AtomicU64,
}

impl Default for Events {
    fn default() -> Self {
        Self { sender: Sender::new(MAX_WAITING), dropped: AtomicU64::new(0) }
    }
}

impl Events {
    /// How many listen.
    pub fn listeners(&self) -> usize {
        self.sender.receiver_count()
    }

    /// Events that slow listeners did not get.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Tells all listeners of a decision.
    pub fn decision(&self, key: &WorkloadKey, decision: &Decision) {
        if self.listeners() > 0 {
            let data = json!({"namespace": key.namespace, "name": key.name, "decision": decision});
            let decided = Decided { key: key.clone(), event: event("decision", &data) };
            self.send(Message::Decision(Arc::new(decided)));
        }
    }

    /// Tells all listeners the live figures.
    pub fn tick(&self, app: &App, now: Timestamp) {
        if self.listeners() > 0 {
            self.send(Message::Tick(Arc::new(Tick::of(app, now))));
        }
    }

    /// Ends all streams.
    pub fn close(&self) {
        self.send(Message::Close);
    }

    fn send(&self, message: Message) {
        // Nobody listens: nothing to tell.
        let _ = self.sender.send(message);
    }
}

impl Tick {
    fn of(app: &App, now: Timestamp) -> Self {
        Self { live: Live::of(app, now), whole: OnceLock::new() }
    }
}

/// An event as it goes out. JSON has no line breaks, so its data is one line.
fn event(name: &str, data: &impl Serialize) -> Bytes {
    let mut text = format!("event: {name}\ndata: ").into_bytes();
    // What is told has a JSON form, and memory takes it.
    let _ = serde_json::to_writer(&mut text, data);
    text.extend_from_slice(b"\n\n");
    text.into()
}

/// One listener.
struct Listener {
    app: Arc<App>,
    receiver: Receiver<Message>,
    wants: Wants,
    /// Sent first, so that a page need not wait for the next second.
    first: Option<Bytes>,
}

impl Listener {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if let Some(first) = self.first.take() {
            return Some((Ok(first), self));
        }
        loop {
            match self.receiver.recv().await {
                Ok(Message::Tick(tick)) => {
                    let event = self.wants.tick(&tick);
                    return Some((Ok(event), self));
                }
                Ok(Message::Decision(decided)) => {
                    let Some(event) = self.wants.decision(&decided) else { continue };
                    return Some((Ok(event), self));
                }
                Err(RecvError::Lagged(missed)) => {
                    self.app.events.dropped.fetch_add(missed, Ordering::Relaxed);
                }
                Ok(Message::Close) | Err(RecvError::Closed) => return None,
            }
        }
    }
}

pub(super) async fn subscribe(
    State(app): Shared,
    Query(asked): Query<Asked>,
) -> Result<Response, ApiError> {
    let wants = asked.wants()?;
    if app.events.listeners() >= MAX_SUBSCRIBERS || app.ingest.is_draining() {
        return Err(ApiError::TooManyListeners);
    }
    let receiver = app.events.sender.subscribe();
    let first = Some(wants.tick(&Tick::of(&app, clock::now())));
    let listener = Listener { app, receiver, wants, first };
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    // A tick a second keeps the connection alive.
    Ok((headers, Body::from_stream(stream::unfold(listener, Listener::next))).into_response())
}
