//! `GET /v1/events`: live figures each second, and every decision, as server-sent events.
//!
//! A listener that does not keep up loses events, which are counted; nobody waits for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
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
    /// As it goes out, made once for all listeners.
    Event(Bytes),
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
            self.send(event("decision", &data));
        }
    }

    /// Tells all listeners the live figures.
    pub fn tick(&self, app: &App, now: Timestamp) {
        if self.listeners() > 0 {
            self.send(event("tick", &Live::of(app, now)));
        }
    }

    /// Ends all streams.
    pub fn close(&self) {
        // Nobody listens: nothing to end.
        let _ = self.sender.send(Message::Close);
    }

    fn send(&self, event: Bytes) {
        // Nobody listens: nothing to tell.
        let _ = self.sender.send(Message::Event(event));
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
                Ok(Message::Event(event)) => return Some((Ok(event), self)),
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
    let first = Some(event("tick", &Live::of(&app, clock::now())));
    let listener = Listener { app, receiver, first };
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    // A tick a second keeps the connection alive.
    (headers, Body::from_stream(stream::unfold(listener, Listener::next))).into_response()
}
