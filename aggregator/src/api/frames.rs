//! `POST /v1/frames`: what filters send.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use foresail_wire::MAX_FRAME_BYTES;
use http_body_util::BodyExt;
use serde_json::json;

use super::sender::{self, Impostor};
use super::{Shared, in_full};
use crate::clock;
use crate::ingest::{Answer, FrameResult};

/// Time for a whole body. Frames are small; who needs longer is not sending.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of unfinished bodies, so that slow senders of large ones do not fill the memory.
const MAX_UNFINISHED_BYTES: usize = 256 << 20;

/// A body that is announced as too large is still read up to this size, for so long: who is cut off
/// while sending may never see the answer that says why.
const MAX_DISCARDED_BYTES: usize = 4 * MAX_FRAME_BYTES;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) async fn post(State(app): Shared, request: Request) -> Response {
    let sender = app.senders.sender(request.headers());
    let body = match read(request, &app.body_bytes).await {
        Ok(body) => body,
        Err(refusal) => {
            app.ingest.counters().count(refusal.result());
            return refusal.into_response();
        }
    };
    // Whoever decides must hear all of a workload; the sender keeps what is not taken.
    if app.leads() == Some(false) {
        app.ingest.counters().count(FrameResult::Standby);
        return unavailable("another aggregator leads", FrameResult::Standby);
    }
    if let Some(sender) = sender {
        let is_own = sender.and_then(|sender| sender::check(&app, sender, &body));
        if let Err(impostor) = is_own {
            app.ingest.counters().count(impostor.result());
            app.senders.refuse(&impostor);
            return forbidden(&impostor);
        }
    }
    into_response(&app.ingest.frame(body, clock::now()).await)
}

/// The sender is not to try again: it would be refused again.
fn forbidden(impostor: &Impostor) -> Response {
    let body = json!({"error": in_full(impostor), "kind": impostor.result().name()});
    (StatusCode::FORBIDDEN, Json(body)).into_response()
}

/// Why a body was not taken.
enum Refusal {
    TooLarge,
    TooSlow,
    CutShort,
    NoRoom,
}

impl Refusal {
    const fn result(&self) -> FrameResult {
        match self {
            Self::TooLarge => FrameResult::TooLarge,
            Self::TooSlow | Self::CutShort => FrameResult::Timeout,
            Self::NoRoom => FrameResult::Shed,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("a frame has at most {MAX_FRAME_BYTES} bytes"),
            ),
            Self::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                format!("the frame was not there in {BODY_TIMEOUT:?}"),
            ),
            Self::CutShort => (StatusCode::BAD_REQUEST, "the frame was cut short".to_owned()),
            Self::NoRoom => return busy(FrameResult::Shed),
        };
        // What is left of the body is not read.
        (status, [(header::CONNECTION, "close")], Json(json!({"error": error}))).into_response()
    }
}

/// Reads a body within its time and size.
async fn read(request: Request, unfinished: &AtomicUsize) -> Result<Bytes, Refusal> {
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|len| len.to_str().ok()?.parse::<usize>().ok());
    if let Some(len) = announced.filter(|len| *len > MAX_FRAME_BYTES) {
        if len <= MAX_DISCARDED_BYTES {
            _ = tokio::time::timeout(DISCARD_TIMEOUT, discard(request.into_body())).await;
        }
        return Err(Refusal::TooLarge);
    }
    let mut held = Held { unfinished, bytes: 0 };
    tokio::time::timeout(BODY_TIMEOUT, read_all(request.into_body(), &mut held))
        .await
        .unwrap_or(Err(Refusal::TooSlow))
}

/// Reads a body and keeps nothing of it.
async fn discard(mut body: Body) {
    while let Some(Ok(_)) = body.frame().await {}
}

async fn read_all(mut body: Body, held: &mut Held<'_>) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(|_| Refusal::CutShort)?.into_data() else { continue };
        held.add(chunk.len())?;
        if first.is_empty() && whole.is_empty() {
            // Nearly every frame comes in one piece and is not copied.
            first = chunk;
            continue;
        }
        if whole.is_empty() {
            whole.extend_from_slice(&first);
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(if whole.is_empty() { first } else { whole.into() })
}

/// Bytes of one unfinished body, given back when it is finished or given up.
struct Held<'a> {
    unfinished: &'a AtomicUsize,
    bytes: usize,
}

impl Held<'_> {
    fn add(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.bytes += bytes;
        let all = self.unfinished.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if self.bytes > MAX_FRAME_BYTES {
            Err(Refusal::TooLarge)
        } else if all > MAX_UNFINISHED_BYTES {
            Err(Refusal::NoRoom)
        } else {
            Ok(())
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.unfinished.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

const RETRY_AFTER: [(HeaderName, &str); 1] = [(header::RETRY_AFTER, "1")];

fn busy(result: FrameResult) -> Response {
    let body = Json(json!({"error": "try again", "kind": result.name()}));
    (StatusCode::TOO_MANY_REQUESTS, RETRY_AFTER, body).into_response()
}

fn unavailable(error: &str, result: FrameResult) -> Response {
    let body = Json(json!({"error": error, "kind": result.name()}));
    (StatusCode::SERVICE_UNAVAILABLE, RETRY_AFTER, body).into_response()
}

fn into_response(answer: &Answer) -> Response {
    match answer {
        Answer::Accepted => StatusCode::ACCEPTED.into_response(),
        Answer::Duplicate => StatusCode::OK.into_response(),
        Answer::Invalid(error) => {
            let body = Json(json!({"error": in_full(error), "kind": error.kind()}));
            (StatusCode::BAD_REQUEST, body).into_response()
        }
        Answer::FutureDated => {
            let body = json!({
                "error": "the frame's window ends after it was sent",
                "kind": answer.result().name(),
            });
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
        Answer::Busy(result) => busy(*result),
        Answer::Unavailable(result) => unavailable("not now", *result),
    }
}
