//! What is asked of a Kubernetes API server, and the few things that are written to it.

mod common_name;
mod front_proxy;
mod pods;
mod serving_certificate;
mod target;

use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use thiserror::Error;

pub use front_proxy::{Caller, FrontProxy, NotAuthenticated, Reading, Reviews};
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
            Self::NoFrontProxy { .. } => "no_front_proxy",
            Self::NotOurs { .. } => "not_ours",
            Self::Certificate(_) => "certificate",
            Self::WrongEcho { .. } => "wrong_echo",
        }
    }
}

impl From<kube::Error> for KubernetesError {
    fn from(error: kube::Error) -> Self {
        Self::Api(Box::new(error))
    }
}

/// A client for the cluster of a kubeconfig; without one that of KUBECONFIG, `~/.kube/config`, or
/// the cluster that this process runs in.
///
/// # Errors
/// When there is none, or its certificates cannot be used.
pub async fn client(kubeconfig: Option<&Path>) -> Result<Client, KubernetesError> {
    let config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).map_err(KubernetesError::Kubeconfig)?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .map_err(KubernetesError::Kubeconfig)?
        }
        None => Config::infer().await.map_err(KubernetesError::NoCluster)?,
    };
    Ok(Client::try_from(config)?)
}
