//! Asks how many replicas there are and how many of them serve.
//!
//! An answer that cannot be had or believed leaves the counts unknown: never zero, never the last
//! ones.

use std::fmt;
use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;
use thiserror::Error;

use crate::config::{ActuatorConfig, TargetConfig};
use crate::kubernetes::{KubernetesError, Managed, Target};
use crate::telemetry::ReplicaStatus;

/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 4 << 20;
/// The most replicas that are believed.
const MAX_REPLICAS: i64 = 100_000;

/// Why replica counts are not known.
#[derive(Debug, Error)]
pub enum SourceError {
    /// No answer. Check the address and that the service runs.
    #[error("no answer")]
    Unreachable(#[source] reqwest::Error),
    /// No answer in time. Raise the webhook's `timeout`, or make the service faster.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// An answer that is not 200.
    #[error("answered with status {0}")]
    Status(StatusCode),
    /// An answer beyond any list of replicas.
    #[error("the answer has more than {MAX_ANSWER_BYTES} bytes")]
    TooLong,
    /// Not the JSON object that is expected.
    #[error("the answer is not {{\"current_replicas\": …, \"ready_replicas\": …}}")]
    NotJson(#[source] serde_json::Error),
    /// Kubernetes did not tell.
    #[error("the replicas are not known")]
    Kubernetes(#[source] KubernetesError),
    /// A count that cannot be.
    #[error("`{field}` is {value}, which is not in 0 to {most}")]
    Absurd {
        /// Name of the field.
        field: &'static str,
        /// What it says.
        value: i64,
        /// The most that it may say.
        most: i64,
    },
}

impl SourceError {
    /// Stable name of the cause, for a metric's label.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Timeout(_) => "timeout",
            Self::Status(_) => "status",
            Self::TooLong => "too_long",
            Self::NotJson(_) => "not_json",
            Self::Kubernetes(error) => error.kind(),
            Self::Absurd { .. } => "absurd",
        }
    }
}

/// The client for all calls to webhooks. They are named by the configuration, so neither the
/// environment's proxy nor a redirect decides where a call goes.
///
/// # Errors
/// When the system gives no resources for it.
pub fn client() -> Result<Client, reqwest::Error> {
    Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()
}

/// Where replica counts come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Nowhere: they stay unknown.
    None,
    /// `GET` of the webhook's address.
    Webhook {
        /// Shared with all other calls.
        client: Client,
        /// Address.
        url: String,
        /// Time for a call.
        timeout: Duration,
    },
    /// An object of Kubernetes and its pods.
    Kubernetes(Target),
    /// The target of a `MeshAutoscaler`, which is watched.
    Managed(Managed),
}

/// What calls go through; made once, shared by all.
#[derive(Clone)]
pub struct Clients {
    /// For webhooks.
    pub http: Client,
    /// For the cluster; `None` when no workload needs one.
    pub kubernetes: Option<kube::Client>,
}

impl fmt::Debug for Clients {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cluster = self.kubernetes.as_ref().map(kube::Client::default_namespace);
        formatter.debug_struct("Clients").field("kubernetes", &cluster).finish_non_exhaustive()
    }
}

impl Clients {
    /// The target in the cluster; `None` without a cluster.
    pub fn target(&self, namespace: &str, config: &TargetConfig) -> Option<Target> {
        Some(Target::new(self.kubernetes.clone()?, namespace, config))
    }
}

impl Source {
    /// The source that belongs to an actuator.
    pub fn new(config: &ActuatorConfig, namespace: &str, clients: &Clients) -> Self {
        match config {
            ActuatorConfig::Kubernetes(target) => {
                clients.target(namespace, target).map_or(Self::None, Self::Kubernetes)
            }
            ActuatorConfig::None => Self::None,
            ActuatorConfig::Webhook(webhook) => Self::Webhook {
                client: clients.http.clone(),
                url: webhook.url.clone(),
                timeout: webhook.timeout,
            },
        }
    }

    /// Time within which [`Source::poll`] answers.
    pub const fn timeout(&self) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Webhook { timeout, .. } => *timeout,
            Self::Kubernetes(_) | Self::Managed(_) => Target::timeout(),
        }
    }

    /// Asks once.
    ///
    /// # Errors
    /// [`SourceError`]; the counts are unknown then.
    pub async fn poll(&self) -> Result<Option<ReplicaStatus>, SourceError> {
        let (client, url, timeout) = match self {
            Self::None => return Ok(None),
            Self::Kubernetes(target) => {
                return target.status().await.map(Some).map_err(SourceError::Kubernetes);
            }
            Self::Managed(managed) => {
                return managed.status().await.map(Some).map_err(SourceError::Kubernetes);
            }
            Self::Webhook { client, url, timeout } => (client, url, timeout),
        };
        let call = async {
            let response = client.get(url).send().await.map_err(SourceError::Unreachable)?;
            if response.status() != StatusCode::OK {
                return Err(SourceError::Status(response.status()));
            }
            let body = read_limited(response, MAX_ANSWER_BYTES)
                .await
                .map_err(SourceError::Unreachable)?
                .ok_or(SourceError::TooLong)?;
            parse(&body).map(Some)
        };
        tokio::time::timeout(*timeout, call)
            .await
            .unwrap_or_else(|_| Err(SourceError::Timeout(*timeout)))
    }
}

/// Reads a body of at most `limit` bytes; `None` when it is longer.
pub(crate) async fn read_limited(
    mut response: Response,
    limit: usize,
) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// Signed, so that a negative count is named as such.
#[derive(Deserialize)]
struct RawStatus {
    current_replicas: i64,
    ready_replicas: i64,
    #[serde(default)]
    ready_pods: Option<Vec<String>>,
}

/// Reads an answer.
fn parse(body: &[u8]) -> Result<ReplicaStatus, SourceError> {
    let raw: RawStatus = serde_json::from_slice(body).map_err(SourceError::NotJson)?;
    let count = |field, value, most| {
        u32::try_from(value)
            .ok()
            .filter(|_| (0..=most).contains(&value))
            .ok_or(SourceError::Absurd { field, value, most })
    };
    Ok(ReplicaStatus {
        current_replicas: count("current_replicas", raw.current_replicas, MAX_REPLICAS)?,
        ready_replicas: count("ready_replicas", raw.ready_replicas, raw.current_replicas)?,
        ready_pods: raw.ready_pods,
        cluster: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_gives_counts_and_names() {
        let body = br#"{"current_replicas":5,"ready_replicas":4,"ready_pods":["web-1"],"more":1}"#;
        let status = parse(body).unwrap();
        assert_eq!((status.current_replicas, status.ready_replicas), (5, 4));
        assert_eq!(status.ready_pods, Some(vec!["web-1".to_owned()]));
    }

    #[test]
    fn counts_that_cannot_be_are_errors_and_never_zero() {
        for (body, kind) in [
            (r#"{"current_replicas":-1,"ready_replicas":0}"#, "absurd"),
            (r#"{"current_replicas":3,"ready_replicas":4}"#, "absurd"),
            (r#"{"current_replicas":4000000000,"ready_replicas":4}"#, "absurd"),
            (r#"{"current_replicas":1.5,"ready_replicas":1}"#, "not_json"),
            (r#"{"current_replicas":1}"#, "not_json"),
            (r#"{"current_replicas":null,"ready_replicas":1}"#, "not_json"),
            ("", "not_json"),
        ] {
            assert_eq!(parse(body.as_bytes()).unwrap_err().kind(), kind, "{body}");
        }
    }
}
