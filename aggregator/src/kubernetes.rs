//! What is asked of a Kubernetes API server, and the few things that are written to it.

mod cache;
mod cluster;
mod common_name;
mod facts;
mod floor;
mod front_proxy;
mod health;
mod lease;
mod managed;
mod mark;
mod pods;
mod quantity;
mod requests;
#[expect(
    unreachable_pub,
    clippy::duplicated_attributes,
    reason = "KubeSchema copies the visibility of a type into a function body; columns share types"
)]
pub mod resource;
mod serving_certificate;
mod target;
mod usage;

use std::path::Path;

use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use thiserror::Error;

use crate::clock;

pub use cluster::Cluster;
pub use facts::{HpaFacts, target_key};
pub use floor::{FLOOR_ANNOTATION, give_back, set_finalizer};
pub use front_proxy::{Caller, FrontProxy, NotAuthenticated, Reading, Reviews};
pub use health::{Answer, Asked, Fault, Health};
pub use lease::{Elector, Fence, LEASE_DURATION, PAUSE_ANNOTATION, has_lapsed};
pub use managed::{Effect, Managed, Refusal, Seen, Written};
pub use mark::{LEADER_LABEL, LeaderMark};
pub use serving_certificate::{EXTERNAL_METRICS, ServingPair, SharedCertificate};
pub use target::Target;

/// Name under which fields are managed.
pub const FIELD_MANAGER: &str = "foresail";

/// Why Kubernetes could not be asked, or did not do it.
#[derive(Debug, Error)]
pub enum KubernetesError {
    /// The file cannot be read or is none. Check `kubeconfig`.
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[source] kube::config::KubeconfigError),
    /// Neither in a cluster nor configured for one. Set `kubeconfig`, or KUBECONFIG.
    #[error("no cluster is known; set `kubeconfig` or the environment variable KUBECONFIG")]
    NoCluster(#[source] kube::config::InferConfigError),
    /// The API server does not answer as it should.
    #[error("the API server: {0}")]
    Api(#[source] Box<kube::Error>),
    /// The API server gave no answer in time.
    #[error("the API server gave no answer within {0:?}")]
    Timeout(std::time::Duration),
    /// The kind cannot be scaled, or its object is incomplete.
    #[error("{target} says no {field}; it cannot be scaled")]
    Incomplete {
        /// Whose.
        target: String,
        /// What is missing.
        field: &'static str,
    },
    /// Somebody else scales the same target. Delete the other one, or stay in shadow mode.
    #[error(
        "HorizontalPodAutoscaler {name} scales the same target; delete it or stay in mode shadow"
    )]
    Conflict {
        /// Name of the other one.
        name: String,
    },
    /// There is no such object. Create it, or correct `scaleTargetRef`.
    #[error("{target} does not exist")]
    NoTarget {
        /// What was looked for.
        target: String,
    },
    /// The watches have not listed everything yet; they are tried again by themselves. Check the
    /// rights to list and watch.
    #[error("not everything is listed yet: {0}")]
    NotListed(&'static str),
    /// The floor has nothing to stand under. Create a `HorizontalPodAutoscaler` for the target, or
    /// choose another actuation.
    #[error("no HorizontalPodAutoscaler scales {target}")]
    NoHpa {
        /// Whose.
        target: String,
    },
    /// Somebody wrote the object between our look and our write. The next decision looks again.
    #[error("{0} was changed by somebody else at the same moment")]
    Moved(String),
    /// All targets together have lost as many pods as they may for now.
    #[error("all targets together have lost as many pods as they may for now")]
    BlastRadius,
    /// The lease was lost between the decision and the write.
    #[error("another aggregator may lead by now")]
    NotLeading,
    /// The finalizer that a floor needs is not there yet.
    #[error("the resource has no finalizer yet, without which a floor would outlive it")]
    NoFinalizer,
    /// kube-apiserver does not say how it shows itself to other API servers: it runs without the
    /// flags `--requestheader-*`.
    #[error("ConfigMap kube-system/extension-apiserver-authentication has no usable {field}")]
    NoFrontProxy {
        /// Which entry.
        field: &'static str,
    },
    /// There is no such `APIService`, or it belongs to another server. Apply that of
    /// `docs/external-metrics-and-keda.md`, or use KEDA's external scaler where KEDA serves it.
    #[error("APIService {name} belongs to {owner}, not to {wanted}")]
    NotOurs {
        /// Its name.
        name: &'static str,
        /// The Service that it names.
        owner: String,
        /// Our own.
        wanted: String,
    },
    /// A certificate cannot be made; this is a bug.
    #[error("a certificate cannot be made")]
    Certificate(#[source] rcgen::Error),
    /// Others changed the Secret each time it was written.
    #[error("Secret {name} is changed by others")]
    Contended {
        /// Its namespace and name.
        name: String,
    },
    /// The API server wrote another number.
    #[error("{asked} replicas were asked for and {answered:?} answered")]
    WrongEcho {
        /// What was asked for.
        asked: u32,
        /// What the answer says.
        answered: Option<i32>,
    },
}

impl KubernetesError {
    /// Stable name of the cause, for a metric's label.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Kubeconfig(_) | Self::NoCluster(_) => "no_cluster",
            Self::Api(_) => "api",
            Self::Timeout(_) => "timeout",
            Self::Incomplete { .. } => "incomplete",
            Self::Conflict { .. } | Self::Contended { .. } => "conflict",
            Self::NoTarget { .. } => "no_target",
            Self::NotListed(_) => "not_listed",
            Self::NoHpa { .. } => "no_hpa",
            Self::Moved(_) => "moved",
            Self::BlastRadius => "blast_radius",
            Self::NotLeading => "not_leading",
            Self::NoFinalizer => "no_finalizer",
            Self::NoFrontProxy { .. } => "no_front_proxy",
            Self::NotOurs { .. } => "not_ours",
            Self::Certificate(_) => "certificate",
            Self::WrongEcho { .. } => "wrong_echo",
        }
    }

    /// The status code with which the API server refused, where it did.
    pub fn code(&self) -> Option<u16> {
        let Self::Api(error) = self else { return None };
        if let kube::Error::Api(status) = error.as_ref() { Some(status.code) } else { None }
    }
}

impl From<kube::Error> for KubernetesError {
    fn from(error: kube::Error) -> Self {
        Self::Api(Box::new(error))
    }
}

/// A name for this process that no other has: that of the pod or machine, and when it began.
pub fn identity() -> String {
    let host = std::env::var("POD_NAME").ok().filter(|name| !name.is_empty());
    let host = host.or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    let host = host.map_or_else(|| "foresail".to_owned(), |host| host.trim().to_owned());
    format!("{host}_{:x}-{:x}", std::process::id(), clock::now().as_micros())
}

/// A client for the cluster of a kubeconfig; without one that of KUBECONFIG, `~/.kube/config`, or
/// the cluster that this process runs in.
///
/// # Errors
/// When there is none, or its certificates cannot be used.
pub async fn client(kubeconfig: Option<&Path>) -> Result<Client, KubernetesError> {
    Ok(Client::try_from(config(kubeconfig).await?)?)
}

/// The same for a process that stays: what becomes of its requests is taken note of. None is
/// repeated behind the back of whoever sent it, because all of them are in a loop.
///
/// # Errors
/// As [`client`].
pub async fn observed_client(
    kubeconfig: Option<&Path>,
    health: &Health,
) -> Result<Client, KubernetesError> {
    let mut config = config(kubeconfig).await?;
    config.default_retry = false;
    let builder = ClientBuilder::try_from(config)?;
    Ok(builder.with_layer(&health::Observe(health.clone())).build())
}

async fn config(kubeconfig: Option<&Path>) -> Result<Config, KubernetesError> {
    Ok(match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).map_err(KubernetesError::Kubeconfig)?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .map_err(KubernetesError::Kubeconfig)?
        }
        None => Config::infer().await.map_err(KubernetesError::NoCluster)?,
    })
}
