//! `GET /v1/events`: live figures each second, and every decision, as server-sent events.
//!
//! A listener that does not keep up loses events, which are counted; nobody waits for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};

use super::state::App;
use super::view::overview;
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
    Event { name: &'static str, data: Arc<str> },
    Close,
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
            self.send("decision", &data.to_string());
        }
    }

    /// Tells all listeners the live figures.
    pub fn tick(&self, app: &App, now: Timestamp) {
        if self.listeners() > 0 {
            self.send("tick", &tick_data(app, now));
        }
    }

    /// Ends all streams.
    pub fn close(&self) {
        // Nobody listens: nothing to end.
        let _ = self.sender.send(Message::Close);
    }

    fn send(&self, name: &'static str, data: &str) {
        // Nobody listens: nothing to tell.
        let _ = self.sender.send(Message::Event { name, data: data.into() });
    }
}

fn tick_data(app: &App, now: Timestamp) -> String {
    overview(app, now).to_string()
}

/// One listener.
struct Listener {
    app: Arc<App>,
    receiver: Receiver<Message>,
    /// Sent first, so that a page need not wait for the next second.
    first: Option<String>,
}

impl Listener {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        if let Some(first) = self.first.take() {
            return Some((Ok(Event::default().event("tick").data(first)), self));
        }
        loop {
            match self.receiver.recv().await {
                Ok(Message::Event { name, data }) => {
                    return Some((Ok(Event::default().event(name).data(&*data)), self));
                }
                Err(RecvError::Lagged(missed)) => {
                    self.app.events.dropped.fetch_add(missed, Ordering::Relaxed);
                }
                Ok(Message::Close) | Err(RecvError::Closed) => return None,
            }
        }
    }
}

pub(super) async fn subscribe(State(app): Shared) -> Response {
    if app.events.listeners() >= MAX_SUBSCRIBERS || app.ingest.is_draining() {
        return ApiError::TooManyListeners.into_response();
    }
    let receiver = app.events.sender.subscribe();
    let first = Some(tick_data(&app, clock::now()));
    let listener = Listener { app, receiver, first };
    Sse::new(stream::unfold(listener, Listener::next))
        .keep_alive(KeepAlive::default())
        .into_response()
}
