//! The resource `MeshAutoscaler`: what its owner writes, and what we answer.
//!
//! `foresail crd` prints its definition; `istio/base/crd.yaml` is the committed copy. Settings that
//! are absent have the defaults of the configuration file, where their meaning is written down.

mod behavior;
mod canary;
mod promotion;
mod settings;
mod status;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use behavior::{Behavior, PolicyType, ScalingPolicy, ScalingRules, SelectPolicy};
pub use canary::{Canary, ResourceTarget, Resources};
pub use promotion::{Approval, Promotion};
pub use settings::{InvalidSpec, settings};
pub use status::{
    CanaryStatus, Decided, DecidedGuard, Figures, ForecastAt, LastScale, MeshAutoscalerStatus,
    ProposedBy, Scorecard, TurnFigures, condition,
};

/// The finalizer of a resource that has a floor to give back.
pub const FINALIZER: &str = "foresail.dev/floor";
/// A duration in the schema.
const DURATION: &str = "^[0-9]+(ms|s|m|h|d)$";

/// Scales one workload of a mesh ahead of its demand.
#[derive(Clone, Debug, PartialEq, CustomResource, KubeSchema, Serialize, Deserialize)]
#[kube(
    group = "foresail.dev",
    version = "v1alpha1",
    kind = "MeshAutoscaler",
    plural = "meshautoscalers",
    shortname = "mas",
    namespaced,
    status = "MeshAutoscalerStatus",
    derive = "PartialEq",
    doc = "Scales one workload of a mesh ahead of its demand.",
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.scaleTargetRef.name"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Current", type_ = "integer", json_path = ".status.currentReplicas"),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".status.desiredReplicas"),
    printcolumn(
        name = "Forecast",
        type_ = "number",
        json_path = ".status.forecast.rps",
        description = "Expected requests a second"
    ),
    printcolumn(name = "Objective Met", type_ = "boolean", json_path = ".status.objectiveMet"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = Rule::new("self.minReplicas <= self.maxReplicas").message("minReplicas must be at most maxReplicas"),
    validation = Rule::new("self.mode != 'Canary' || !has(self.promotion)").message("there is one comparison at a time: no promotion in mode Canary"),
    validation = Rule::new("self.actuation != 'HpaFloor' || self.model.scaleIn == 'Observed'").message("a floor does not scale in; model.scaleIn must be Observed with actuation HpaFloor")
)]
#[serde(rename_all = "camelCase")]
pub struct MeshAutoscalerSpec {
    /// What is scaled, in the same namespace. Telemetry is looked up by its name.
    pub scale_target_ref: ScaleTargetRef,
    /// Never fewer.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100_000))]
    pub min_replicas: i32,
    /// Never more; never raised by itself.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_replicas: i32,
    /// What is done with decisions.
    #[serde(default)]
    pub mode: Mode,
    /// Turns in mode Canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// How they are done.
    #[serde(default)]
    pub actuation: Actuation,
    /// What users are promised.
    pub objectives: Objectives,
    /// Highest request rate at which one ready replica still meets the objectives.
    #[schemars(range(min = 0.001, max = 1_000_000.0))]
    pub target_rps_per_replica: f64,
    /// Where the capacity of a replica comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// Settings of the model.
    #[serde(default)]
    pub model: Model,
    /// How fast replicas may change.
    #[serde(default)]
    pub behavior: Behavior,
    /// From ordering a replica to its being Ready; learned from the target's pods unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub startup_time: Option<String>,
    /// Time between decisions, 1 s to 5 min; 15 s unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub decision_interval: Option<String>,
    /// Relative deviation from the target that changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 0.5))]
    pub tolerance: Option<f64>,
    /// What to do when telemetry is old.
    #[serde(default)]
    pub fallback: Fallback,
    /// Use of CPU and memory that is aimed at beside; it only ever raises. Not looked at unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Policies that run beside the one in charge and are scored, by their names in a backtest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 253)))]
    pub shadows: Vec<String>,
    /// Under which terms one of them may take the place of these settings; never unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<Promotion>,
}

const fn one() -> i32 {
    1
}

/// An object with a `scale` subresource.
#[derive(Clone, Debug, PartialEq, Eq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleTargetRef {
    /// Group and version.
    #[serde(default = "apps")]
    #[schemars(length(min = 1, max = 253))]
    pub api_version: String,
    /// Kind.
    #[serde(default = "deployment")]
    #[schemars(length(min = 1, max = 253))]
    pub kind: String,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

fn apps() -> String {
    "apps/v1".to_owned()
}

fn deployment() -> String {
    "Deployment".to_owned()
}

/// What is done with decisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub enum Mode {
    /// They are recorded, nothing is written.
    #[default]
    Shadow,
    /// They are carried out by turns; in the other turns whoever scaled the target before has it for
    /// himself, and both are compared. As Shadow once the budget burns in a turn of ours.
    Canary,
    /// They are carried out.
    Active,
    /// As Shadow, and a floor is given back.
    Paused,
}

/// How decisions are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub enum Actuation {
    /// By the target's `scale` subresource.
    #[default]
    Scale,
    /// By `minReplicas` of the `HorizontalPodAutoscaler` that scales the target.
    HpaFloor,
    /// They can be asked for as an external metric; nothing is written.
    ExternalMetric,
    /// Not at all.
    None,
}

/// What users are promised.
#[derive(Clone, Debug, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Objectives {
    /// How long requests may take.
    pub latency: LatencyObjective,
    /// Share of requests that must succeed for the objectives to be met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.5, max = 1.0))]
    pub success_ratio: Option<f64>,
    /// Share of the requests that may be served while the latency is missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.000_1, max = 0.2))]
    pub budget: Option<f64>,
}

/// How long requests may take.
#[derive(Clone, Debug, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LatencyObjective {
    /// Share of requests that must be within the threshold; 0.95 unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.5, max = 0.999_9))]
    pub quantile: Option<f64>,
    /// 1 ms to 60 s.
    #[schemars(regex(pattern = DURATION))]
    pub threshold: String,
}

/// Where the capacity of a replica comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub enum Capacity {
    /// From `targetRpsPerReplica`.
    Fixed,
    /// From latency under load, beginning with `targetRpsPerReplica`.
    Learned,
}

/// Settings of the model.
#[derive(Clone, Debug, Default, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// What may scale in.
    #[serde(default)]
    pub scale_in: ScaleIn,
    /// How patient the predictive answer is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// Length of one step of the series; the decision interval unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub step: Option<String>,
    /// Length of the day; 24 h unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub season: Option<String>,
}

/// What may scale in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub enum ScaleIn {
    /// Observed demand alone.
    #[default]
    Observed,
    /// The forecast too.
    Forecast,
}

/// How patient the predictive answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub enum Profile {
    /// Follows the need closely.
    Responsive,
    /// Between the two.
    Stable,
    /// Few changes.
    Calm,
}

/// What to do when telemetry is old.
#[derive(Clone, Debug, Default, PartialEq, Eq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fallback {
    /// Age at which replicas are held; 60 s at most and unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub hold_after: Option<String>,
    /// Age at which replicas are raised to `replicas`; 180 s at most and unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub after: Option<String>,
    /// Replicas to have at least then; the current ones unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub replicas: Option<i32>,
}
