//! What is asked about a finished request, and what is made of the answers.

use foresail_wire::Direction;

use crate::routes::Template;

/// How long a gRPC response must flow after its first byte for the call to count as a stream.
pub const GRPC_STREAM_AFTER_MICROS: u64 = 1_000_000;

/// From which duration on an answer's content type is asked for: an event stream that came to its
/// end sooner counts as a request, as what it was.
pub const CONTENT_AFTER_MICROS: u64 = 50_000;

/// A finished request, as the proxy tells it. Every question costs the proxy some CPU, so only
/// what is needed is asked.
pub trait Request {
    /// What every request is asked.
    fn basics(&mut self) -> Basics;
    /// What the response carried.
    fn content(&mut self) -> Content;
    /// `grpc-status` of the response's trailers, else of its headers.
    fn grpc_status(&mut self) -> Option<u8>;
    /// Time to the response's first byte, µs.
    fn first_byte_micros(&mut self) -> Option<u64>;
    /// The listener's `traffic_direction`; `None` when it has none.
    fn listener_direction(&mut self) -> Option<Direction>;
    /// Path with query.
    fn with_path<T>(&mut self, read: impl FnOnce(&str) -> T) -> T;
    /// Name of the proxy's route.
    fn with_route_name<T>(&mut self, read: impl FnOnce(&str) -> T) -> T;
    /// Name of the cluster that the request went to.
    fn with_cluster<T>(&mut self, read: impl FnOnce(&str) -> T) -> T;
}

/// What every request is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Basics {
    /// From the first byte of the request to the last of the response, µs; `None` when the proxy
    /// cannot tell.
    pub duration_micros: Option<u64>,
    /// Status code; 0 when the request ended before there was one.
    pub code: u16,
    /// Response flags, a bit each.
    pub flags: u64,
}

/// Content of a response, as far as it decides how the request is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// Anything else, or nothing.
    #[default]
    Plain,
    /// `application/grpc` and its variants.
    Grpc,
    /// `text/event-stream`.
    EventStream,
}

impl Content {
    /// Reads the value of `content-type`.
    pub fn of(content_type: &[u8]) -> Self {
        let starts = |with: &[u8]| {
            content_type.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
        };
        if starts(b"application/grpc") {
            Self::Grpc
        } else if starts(b"text/event-stream") {
            Self::EventStream
        } else {
            Self::Plain
        }
    }
}

/// One finished request, ready to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Status code; 0 when there was none.
    pub code: u16,
    /// gRPC status, of gRPC requests that had one.
    pub grpc: Option<u8>,
    /// Response flags, a bit each.
    pub flags: u64,
    /// Whole duration, µs.
    pub duration_micros: u64,
    /// Where it is counted.
    pub kind: Kind,
}

/// Which histogram a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its duration is a latency.
    Request,
    /// Its duration says nothing; its time to first byte does, where the proxy knows it.
    Stream {
        /// µs.
        first_byte_micros: Option<u64>,
    },
}

/// Asks a finished request what is needed. `None` when the proxy cannot tell its duration.
///
/// A stream is: an upgrade (101), an answer of type `text/event-stream` that took at least
/// [`CONTENT_AFTER_MICROS`] or was cut off, a gRPC method that the configuration names, and a gRPC call whose
/// response still flowed [`GRPC_STREAM_AFTER_MICROS`] after its first byte. A unary call that is
/// merely slow sends its first byte late, so it stays a latency.
pub fn observe(request: &mut impl Request, grpc_streams: &[Template]) -> Option<Observation> {
    let Basics { duration_micros, code, flags } = request.basics();
    let duration_micros = duration_micros?;
    // Event streams and gRPC are answered with 200, always. A question without an answer costs a
    // third of one with: so every 200 is asked for a gRPC status, which plain ones do not have, and
    // for its content, which nearly all have, only where that can make a difference.
    let grpc = if code == 200 { request.grpc_status() } else { None };
    let may_matter = grpc.is_some()
        || flags != 0
        || duration_micros >= CONTENT_AFTER_MICROS
        || !grpc_streams.is_empty();
    let content = if code == 200 && may_matter { request.content() } else { Content::Plain };
    let kind = match content {
        Content::Grpc => grpc_kind(request, duration_micros, grpc_streams),
        Content::Plain if code != 101 => Kind::Request,
        _ => Kind::Stream { first_byte_micros: request.first_byte_micros() },
    };
    let grpc = grpc.filter(|_| content == Content::Grpc);
    Some(Observation { code, grpc, flags, duration_micros, kind })
}

fn grpc_kind(request: &mut impl Request, duration_micros: u64, named: &[Template]) -> Kind {
    let is_named =
        !named.is_empty() && request.with_path(|path| named.iter().any(|name| name.fits(path)));
    if !is_named && duration_micros < GRPC_STREAM_AFTER_MICROS {
        return Kind::Request;
    }
    let first_byte_micros = request.first_byte_micros();
    let flowed = first_byte_micros.map_or(0, |first| duration_micros.saturating_sub(first));
    if is_named || flowed >= GRPC_STREAM_AFTER_MICROS {
        Kind::Stream { first_byte_micros }
    } else {
        Kind::Request
    }
}
