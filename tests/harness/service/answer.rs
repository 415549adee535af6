//! The service's answers, by path.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Request, Response, StatusCode};
use tokio::sync::mpsc;

use super::Desk;

type AnyBody = UnsyncBoxBody<Bytes, io::Error>;
type Answer = Response<AnyBody>;

/// An empty message with gRPC's five bytes in front: not compressed, length zero.
const EMPTY_MESSAGE: &[u8] = &[0, 0, 0, 0, 0];
const EVENT_INTERVAL: Duration = Duration::from_millis(100);

/// Answers a request; an error resets its connection or stream.
pub(super) async fn answer(desk: &Desk, request: Request<Incoming>) -> Result<Answer, io::Error> {
    let path = request.uri().path().to_owned();
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let (verb, value) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    match verb {
        "status" => Ok(with_status(value.parse().unwrap_or(400))),
        "delay" => {
            tokio::time::sleep(Duration::from_millis(value.parse().unwrap_or(0))).await;
            Ok(Response::new(text("ok\n")))
        }
        "reset" => Err(io::ErrorKind::ConnectionReset.into()),
        "cut" => Ok(Response::new(cut())),
        "echo" => {
            let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
            Ok(Response::new(whole(body)))
        }
        "sse" => Ok(events(value.parse().unwrap_or(1))),
        "grpc" => {
            desk.work(request.headers()).await;
            Ok(grpc(value))
        }
        "grpc-only" => {
            let mut answer = grpc_headers(text(""));
            answer.headers_mut().extend(grpc_status(value));
            Ok(answer)
        }
        _ => {
            desk.work(request.headers()).await;
            Ok(Response::new(text("ok\n")))
        }
    }
}

fn text(text: &'static str) -> AnyBody {
    whole(Bytes::from_static(text.as_bytes()))
}

fn whole(body: Bytes) -> AnyBody {
    Full::new(body).map_err(never).boxed_unsync()
}

fn never(never: Infallible) -> io::Error {
    match never {}
}

fn with_status(status: u16) -> Answer {
    let mut answer = Response::new(text(""));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    answer
}

fn grpc(status: &str) -> Answer {
    let trailers = grpc_status(status);
    let body = Full::new(Bytes::from_static(EMPTY_MESSAGE)).map_err(never);
    grpc_headers(body.with_trailers(async move { Some(Ok(trailers)) }).boxed_unsync())
}

fn grpc_headers(body: AnyBody) -> Answer {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    answer
}

fn grpc_status(status: &str) -> HeaderMap {
    let value = HeaderValue::from_str(status).unwrap_or(HeaderValue::from_static("2"));
    HeaderMap::from_iter([(hyper::header::HeaderName::from_static("grpc-status"), value)])
}

fn events(count: u32) -> Answer {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        for number in 0..count {
            tokio::time::sleep(EVENT_INTERVAL).await;
            let event = Bytes::from(format!("data: {number}\n\n"));
            if sender.send(Ok(event)).await.is_err() {
                return;
            }
        }
    });
    let mut answer = Response::new(Parts(receiver).boxed_unsync());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer
}

/// Half a body, and an error when the half is on its way.
fn cut() -> AnyBody {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let half = Ok(Bytes::from_static(b"the first half"));
        if sender.send(half).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let _ = sender.send(Err(io::ErrorKind::ConnectionReset.into())).await;
        }
    });
    Parts(receiver).boxed_unsync()
}

/// A body that ends when the sender does.
struct Parts(mpsc::Receiver<io::Result<Bytes>>);

impl Body for Parts {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(context).map(|part| part.map(|part| part.map(Frame::data)))
    }
}
