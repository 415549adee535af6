//! Asks the proxy about the request that its call is about.

use foresail_wire::Direction;

use super::abi::{self, Map};
use crate::request::{Basics, Content, Request};

/// The request whose beginning or end the proxy is reporting.
pub(super) struct Current;

impl Request for Current {
    #[inline]
    fn basics(&mut self) -> Basics {
        let number = |path| abi::property(path, abi::integer);
        let nanos = number("request\0duration");
        let code = number("response\0code").and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
        let flags = number("response\0flags").map_or(0, i64::cast_unsigned);
        let duration_micros = nanos.and_then(|nanos| u64::try_from(nanos / 1_000).ok());
        Basics { duration_micros, code, flags }
    }

    fn content(&mut self) -> Content {
        abi::header(Map::ResponseHeaders, "content-type", |value| {
            value.map(Content::of).unwrap_or_default()
        })
    }

    #[inline]
    fn grpc_status(&mut self) -> Option<u8> {
        abi::header(Map::ResponseTrailers, "grpc-status", parse)
            .or_else(|| abi::header(Map::ResponseHeaders, "grpc-status", parse))
    }

    fn first_byte_micros(&mut self) -> Option<u64> {
        let millis: u64 =
            abi::header(Map::ResponseHeaders, "x-envoy-upstream-service-time", parse)?;
        millis.checked_mul(1_000)
    }

    fn listener_direction(&mut self) -> Option<Direction> {
        const INBOUND: i64 = 1;
        const OUTBOUND: i64 = 2;
        match abi::property("xds\0listener_direction", abi::integer)? {
            INBOUND => Some(Direction::Inbound),
            OUTBOUND => Some(Direction::Outbound),
            _ => None,
        }
    }

    fn with_path<T>(&mut self, read: impl FnOnce(&str) -> T) -> T {
        abi::property("request\0path", |value| read(text(value)))
    }

    fn with_route_name<T>(&mut self, read: impl FnOnce(&str) -> T) -> T {
        abi::property("xds\0route_name", |value| read(text(value)))
    }

    fn with_cluster<T>(&mut self, read: impl FnOnce(&str) -> T) -> T {
        abi::property("xds\0cluster_name", |value| read(text(value)))
    }
}

/// What is absent or no text is empty.
fn text(value: Option<&[u8]>) -> &str {
    value.and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default()
}

fn parse<T: std::str::FromStr>(value: Option<&[u8]>) -> Option<T> {
    std::str::from_utf8(value?).ok()?.parse().ok()
}
