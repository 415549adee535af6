//! What the API server's audit log says of one user's requests.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::control_plane::ControlPlane;

/// A request that was answered.
#[derive(Clone, Debug)]
pub struct Answered {
    /// On whose behalf.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, …
    pub verb: String,
    /// Such as `deployments/scale`.
    pub resource: String,
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// Status code.
    pub code: u64,
    /// When the API server got it, since 1970.
    pub received: Duration,
    /// When it was answered, since 1970; of a watch, when it began.
    pub answered: Duration,
}

impl Answered {
    /// Whether it changed what it is about.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch") && (200..300).contains(&self.code)
    }
}

/// Every request of users whose names begin so, in the order of the answers. A watch counts once,
/// when it begins.
pub fn requests(plane: &ControlPlane, user: &str) -> Result<Vec<Answered>> {
    let mut requests = Vec::new();
    for event in plane.audit()? {
        let text =
            |at: &str| event.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        let who = match text("/impersonatedUser/username") {
            who if who.is_empty() => text("/user/username"),
            who => who,
        };
        let (verb, stage) = (text("/verb"), text("/stage"));
        // A watch is told when it begins and when it ends; anything else when it is answered.
        let counts = stage == if verb == "watch" { "ResponseStarted" } else { "ResponseComplete" };
        let failed = verb == "watch" && stage == "ResponseComplete" && !is_success(&event);
        if !who.starts_with(user) || !(counts || failed) {
            continue;
        }
        let resource = match text("/objectRef/subresource") {
            sub if sub.is_empty() => text("/objectRef/resource"),
            sub => format!("{}/{sub}", text("/objectRef/resource")),
        };
        requests.push(Answered {
            user: who,
            verb,
            resource,
            namespace: text("/objectRef/namespace"),
            name: text("/objectRef/name"),
            code: code(&event),
            received: time(&text("/requestReceivedTimestamp"))?,
            answered: time(&text("/stageTimestamp"))?,
        });
    }
    requests.sort_by_key(|request| request.answered);
    Ok(requests)
}

fn code(event: &Value) -> u64 {
    event.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or_default()
}

fn is_success(event: &Value) -> bool {
    (200..300).contains(&code(event))
}

fn time(text: &str) -> Result<Duration> {
    let time: Timestamp = text.parse().with_context(|| format!("audit log: {text:?}"))?;
    let nanos = u64::try_from(time.as_nanosecond()).context("before 1970")?;
    Ok(Duration::from_nanos(nanos))
}

/// The most requests that began within any `window`.
pub fn busiest(requests: &[Answered], window: Duration) -> usize {
    let mut times: Vec<Duration> = requests.iter().map(|request| request.received).collect();
    times.sort_unstable();
    let within = |(at, begin): (usize, &Duration)| {
        times.iter().skip(at).take_while(|time| **time < *begin + window).count()
    };
    times.iter().enumerate().map(within).max().unwrap_or(0)
}
