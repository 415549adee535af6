//! Writes what the guards approved, and nothing else.
//!
//! [`Actuator::write`] is the only call that changes a workload; it takes
//! [`Approved`], which only `safety` makes, and the dry-run check stands in it and nowhere else.

mod webhook;

use std::time::Duration;

use reqwest::StatusCode;
use serde::Serialize;
use thiserror::Error;

use crate::config::ActuatorConfig;
use crate::journal::Decision;
use crate::kubernetes::{Effect, KubernetesError, Managed, Target};
use crate::safety::Approved;
use crate::sources::Clients;
use crate::units::{Timestamp, WorkloadKey};

pub use webhook::Webhook;

/// Why a write is not known to have happened.
#[derive(Debug, Error)]
pub enum ActuateError {
    /// No connection. Check the address and that the service runs.
    #[error("no connection")]
    Connect(#[source] reqwest::Error),
    /// The connection broke before the answer was whole.
    #[error("the connection broke")]
    Broken(#[source] reqwest::Error),
    /// No answer in time. Raise the webhook's `timeout`, or make the service faster.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// An answer that is not 200.
    #[error("answered with status {0}")]
    Status(StatusCode),
    /// An answer that does not say what was done.
    #[error("the answer is not {{\"desired_replicas\": n}}")]
    Answer(#[source] serde_json::Error),
    /// An answer longer than any that says so.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// The service did something else. Check that it scales this workload and obeys no other
    /// autoscaler.
    #[error("{asked} replicas were asked for and {answered} answered")]
    WrongEcho {
        /// What was asked for.
        asked: u32,
        /// What the answer says.
        answered: i64,
    },
    /// Kubernetes did not do it.
    #[error("the replicas are not written")]
    Kubernetes(#[source] KubernetesError),
}

impl ActuateError {
    /// Stable name of the cause, for a metric's label.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Broken(_) => "broken",
            Self::Timeout(_) => "timeout",
            Self::Status(_) => "status",
            Self::Answer(_) => "answer",
            Self::TooLong(_) => "too_long",
            Self::WrongEcho { .. } => "wrong_echo",
            Self::Kubernetes(error) => error.kind(),
        }
    }

    /// Whether the same call may succeed a moment later.
    fn is_passing(&self) -> bool {
        match self {
            Self::Connect(_) => true,
            Self::Status(status) => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            _ => false,
        }
    }
}

/// Whether decisions are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acts {
    /// The mode is shadow.
    Never,
    /// The mode is canary, and it is the turn of whoever scaled before.
    NotNow,
    /// They are.
    Now,
}

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The mode is shadow: nothing was written.
    Shadow,
    /// It is the turn of whoever scaled before: he has the target for himself.
    NotNow,
    /// There is nothing to write to.
    NoTarget,
    /// Somebody has scaled the target to zero: it is left alone until he scales it up.
    SwitchedOff,
    /// It is as it should be already, and that is known without asking.
    Unchanged,
    /// Another aggregator leads.
    Standby,
    /// Written, and the answer says so.
    Written,
}

impl Outcome {
    /// Stable name, for the API and a metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::NotNow => "not_now",
            Self::NoTarget => "no_target",
            Self::SwitchedOff => "switched_off",
            Self::Unchanged => "unchanged",
            Self::Standby => "standby",
            Self::Written => "ok",
        }
    }
}

impl From<Effect> for Outcome {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::Written => Self::Written,
            Effect::Unchanged => Self::Unchanged,
            Effect::Standby => Self::Standby,
            Effect::SwitchedOff => Self::SwitchedOff,
            Effect::Nothing => Self::NoTarget,
        }
    }
}

/// The last write of a workload, as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Actuation {
    /// When it ended.
    pub at: Timestamp,
    /// Replicas asked for.
    pub desired_replicas: u32,
    /// `ok`, `shadow`, `not_now`, `standby`, `no_target`, `switched_off` or `error`.
    pub result: &'static str,
    /// What went wrong, with its cause.
    pub error: Option<String>,
}

/// What is sent.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Order<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) workload: &'a str,
    pub(crate) desired_replicas: u32,
    pub(crate) reason: &'a str,
    pub(crate) decision: u64,
}

/// Where decisions go.
#[derive(Clone, Debug)]
pub enum Actuator {
    /// Nowhere.
    None,
    /// To an HTTP address.
    Webhook(Webhook),
    /// To the `scale` subresource of an object of Kubernetes.
    Kubernetes(Target),
    /// To the target of a `MeshAutoscaler`, in the way that it says.
    Managed(Managed),
}

impl Actuator {
    /// The actuator of a configuration.
    pub fn new(config: &ActuatorConfig, namespace: &str, clients: &Clients) -> Self {
        match config {
            ActuatorConfig::None => Self::None,
            ActuatorConfig::Webhook(webhook) => Self::Webhook(Webhook::new(webhook, &clients.http)),
            ActuatorConfig::Kubernetes(target) => {
                clients.target(namespace, target).map_or(Self::None, Self::Kubernetes)
            }
        }
    }

    /// Whether it writes replicas, so that whoever had the target before needs his back.
    pub fn hands_back(&self) -> bool {
        match self {
            Self::None => false,
            Self::Webhook(_) | Self::Kubernetes(_) => true,
            Self::Managed(managed) => managed.writes_replicas(),
        }
    }

    /// Leaves the workload to whoever scaled it before.
    async fn rest(&self) -> Result<Outcome, ActuateError> {
        let Self::Managed(managed) = self else { return Ok(Outcome::NotNow) };
        let effect = managed.rest("it is the turn of whoever scaled before").await;
        match effect.map_err(ActuateError::Kubernetes)? {
            Effect::Nothing | Effect::Unchanged => Ok(Outcome::NotNow),
            other => Ok(other.into()),
        }
    }

    /// Whether it knows without asking what is to be written, so that it can be told every decision.
    pub const fn knows(&self) -> bool {
        matches!(self, Self::Managed(_))
    }

    /// Writes an approved number of replicas. Gives up after `budget`, so that the next decision
    /// is not held up.
    ///
    /// # Errors
    /// [`ActuateError`] when it is not certain that it was done.
    pub async fn write(
        &self,
        acts: Acts,
        key: &WorkloadKey,
        approved: &Approved,
        decision: &Decision,
        budget: Duration,
    ) -> Result<Outcome, ActuateError> {
        // The dry-run check. There is no other.
        match acts {
            Acts::Never => return Ok(Outcome::Shadow),
            Acts::NotNow => return self.rest().await,
            Acts::Now => {}
        }
        let order = Order {
            namespace: &key.namespace,
            workload: &key.name,
            desired_replicas: approved.desired_replicas(),
            reason: &decision.reason,
            decision: decision.sequence,
        };
        match self {
            Self::None => Ok(Outcome::NoTarget),
            Self::Webhook(webhook) => webhook.post(&order, budget).await.map(|()| Outcome::Written),
            // As HorizontalPodAutoscaler does: zero replicas mean that autoscaling is off.
            Self::Kubernetes(_) if approved.current_replicas() == 0 => Ok(Outcome::SwitchedOff),
            Self::Kubernetes(target) => {
                let written = target.scale(approved.desired_replicas()).await;
                written.map(|()| Outcome::Written).map_err(ActuateError::Kubernetes)
            }
            Self::Managed(managed) => {
                managed.tell_guards(decision);
                let effect = managed.write(approved, &decision.reason).await;
                effect.map(Outcome::from).map_err(ActuateError::Kubernetes)
            }
        }
    }
}
