//! The one YAML file that `foresail serve` reads, validated as a whole.
//!
//! Every problem is reported at once, as key, value and what is valid. A setting that is not known
//! is a problem too.

mod choice;
mod kubernetes;
mod part;
mod promotion;
mod reader;
mod resources;
mod serving;
mod turns;
mod workload;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value;
use thiserror::Error;

pub use choice::{CapacitySource, Mode, Profile, RequireIdentity, ScaleIn};
pub use kubernetes::{BlastRadius, KubernetesConfig};
pub use part::Part;
pub use promotion::{Approval, PromotionConfig};
pub use reader::{Problem, parse_duration};
pub use resources::{ResourceKind, ResourceTargets};
pub use serving::{
    CertificateFiles, ExternalMetricsConfig, KedaConfig, KedaTls, ServiceName, ServingCertificate,
};
pub use turns::TurnsConfig;
pub use workload::{
    ActuatorConfig, Behavior, BurstConfig, ForecastConfig, Objective, PolicyKind, ScalingPolicy,
    ScalingRules, SelectPolicy, StalenessConfig, TargetConfig, WebhookConfig, WorkloadConfig,
};

use reader::Section;

/// The longest configuration that is read.
pub const MAX_CONFIG_BYTES: usize = 4 << 20;

/// All settings of an aggregator.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Address to listen on. Default `127.0.0.1:9900`: reachable from outside only when you say so.
    pub listen: SocketAddr,
    /// File that holds the state. Default `foresail.redb` in the working directory.
    pub state: PathBuf,
    /// How many workloads may be kept, listed below or not. Default 20,000, range 1 to 1,000,000.
    pub max_workloads: usize,
    /// Whether a frame must come from the workload that it is about: `xfcc` where a proxy in front
    /// says who sends, as Istio's sidecars do and as the chart sets it. Default `none`.
    pub require_identity: RequireIdentity,
    /// What to watch in a cluster: with `kubernetes: { watch: true }`, `MeshAutoscaler`s are obeyed.
    /// Default: nothing.
    pub kubernetes: Option<KubernetesConfig>,
    /// File that says how the cluster is reached, for that, for the actuator `kubernetes` and for
    /// `external_metrics`.
    /// Default: that of KUBECONFIG, `~/.kube/config`, or the cluster that the process runs in.
    pub kubeconfig: Option<PathBuf>,
    /// `external.metrics.k8s.io` for `HorizontalPodAutoscaler`s. Default: off.
    pub external_metrics: Option<ExternalMetricsConfig>,
    /// KEDA's external scaler. Default: off.
    pub keda: Option<KedaConfig>,
    /// The workloads to decide for. Others that send frames are watched, never scaled.
    pub workloads: Vec<WorkloadConfig>,
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Not YAML at all.
    #[error("the configuration is not valid YAML: {0}")]
    Syntax(String),
    /// Longer than [`MAX_CONFIG_BYTES`].
    #[error("the configuration has {0} bytes, more than {MAX_CONFIG_BYTES}")]
    TooLarge(usize),
    /// Settings that cannot be honoured; all of them.
    #[error("{0}")]
    Invalid(Problems),
}

/// A list of problems, one a line when shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the configuration has {} problem(s)", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(formatter, "\n  {problem}"))
    }
}

impl Config {
    /// Reads and checks a whole configuration.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with every problem there is, or why there was nothing to check.
    pub fn from_yaml(text: &str) -> Result<Self, ConfigError> {
        if text.len() > MAX_CONFIG_BYTES {
            return Err(ConfigError::TooLarge(text.len()));
        }
        let value: Value =
            serde_saphyr::from_str(text).map_err(|error| ConfigError::Syntax(error.to_string()))?;
        let mut problems = Vec::new();
        let config = Self::read(&value, &mut problems);
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(ConfigError::Invalid(Problems(problems))),
        }
    }

    fn read(value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut top = Section::open(String::new(), Some(value), problems);
        let listen = top.read(
            "listen",
            Some(SocketAddr::from(([127, 0, 0, 1], 9900))),
            "an address and port such as 0.0.0.0:9900",
            problems,
            |value| value.as_str()?.parse().ok(),
        );
        let state = top.text("state", Some("foresail.redb"), "the path of a file", problems);
        let max_workloads = top.whole("max_workloads", Some(20_000), 1..=1_000_000, problems);
        let require_identity = choice::read(&mut top, "require_identity", problems);
        let kubeconfig = top.read("kubeconfig", Some(None), "the path of a file", problems, |v| {
            v.as_str().filter(|path| !path.is_empty()).map(|path| Some(PathBuf::from(path)))
        });
        let kubernetes = kubernetes::read(&mut top, problems);
        let external_metrics = serving::read_external_metrics(&mut top, problems);
        let keda = serving::read_keda(&mut top, problems);
        let listeners = [
            ("listen", listen),
            ("external_metrics.listen", external_metrics.as_ref().map(|metrics| metrics.listen)),
            ("keda.listen", keda.as_ref().map(|keda| keda.listen)),
        ];
        serving::check_listeners(&listeners, problems);
        let mut workloads: Vec<WorkloadConfig> = Vec::new();
        for (path, item) in top.list("workloads", problems).unwrap_or_default() {
            let Some(workload) = WorkloadConfig::read(&path, item, problems) else {
                continue;
            };
            if workloads.iter().any(|other| other.key == workload.key) {
                let valid = "a namespace and name that no other entry has";
                problems.push(reader::problem(&path, Some(item), valid));
            }
            workloads.push(workload);
        }
        top.finish(problems);
        Some(Self {
            listen: listen?,
            state: state?.into(),
            max_workloads: usize::try_from(max_workloads?).ok()?,
            require_identity: require_identity?,
            kubernetes: kubernetes?,
            kubeconfig: kubeconfig?,
            external_metrics,
            keda,
            workloads,
        })
    }

    /// Reads one entry of `workloads` that stands elsewhere; `path` is where, for problems.
    ///
    /// # Errors
    /// Every problem there is.
    pub fn workload(path: &str, value: &Value) -> Result<WorkloadConfig, Problems> {
        let mut problems = Vec::new();
        let read = WorkloadConfig::read(path, value, &mut problems);
        read.filter(|_| problems.is_empty()).ok_or(Problems(problems))
    }
}

#[cfg(test)]
mod tests;
