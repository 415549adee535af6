//! What we answer: conditions with reasons, figures, and the last decision in words.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Types of conditions.
pub mod condition {
    /// Whether fresh telemetry comes from enough pods.
    pub const TELEMETRY_READY: &str = "TelemetryReady";
    /// Whether there is a forecast.
    pub const MODEL_READY: &str = "ModelReady";
    /// Whether the target can be read and written.
    pub const ABLE_TO_SCALE: &str = "AbleToScale";
    /// Whether decisions are carried out.
    pub const SCALING_ACTIVE: &str = "ScalingActive";
    /// Whether a bound or a guard holds the answer.
    pub const LIMITED: &str = "Limited";
    /// Whether telemetry is too old to decide on.
    pub const STALE: &str = "Stale";
    /// Whether somebody else scales the same target.
    pub const CONFLICT: &str = "Conflict";
    /// Whether it is known what the pods use of CPU and memory; only where that is aimed at.
    pub const RESOURCE_METRICS_READY: &str = "ResourceMetricsReady";
}

/// State of a `MeshAutoscaler`. Written when it changes; figures alone at most every minute.
#[derive(Clone, Debug, Default, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeshAutoscalerStatus {
    /// Generation of the spec that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What holds and what does not, with reasons.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
    /// Replicas that the target is to have now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_replicas: Option<i32>,
    /// Own pods that serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
    /// Replicas to have, as last decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired_replicas: Option<i32>,
    /// What is expected at the end of a pod's start-up time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forecast: Option<ForecastAt>,
    /// Whether the objectives are met in the newest figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective_met: Option<bool>,
    /// Requests a second that one ready pod is taken to serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_per_pod: Option<f64>,
    /// Seconds from a pod's creation to its being Ready: the median of the target's pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learned_startup_seconds: Option<i64>,
    /// The last change that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scale: Option<LastScale>,
    /// The last day in figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scorecard: Option<Scorecard>,
    /// Whose turn it is in mode Canary, and what was measured in the turns of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryStatus>,
    /// The last decision, as of this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_decision: Option<Decided>,
}

/// What there was in the last day, and what this spec's settings would have done alone, by
/// counterfactual replay. Whoever is in charge goes through the same model: `modelled`.
#[derive(Clone, Debug, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scorecard {
    /// Hours that were scored.
    pub hours: f64,
    /// Whoever was in charge, as measured.
    pub measured: Figures,
    /// The same replicas through the model.
    pub modelled: Figures,
    /// This spec's settings alone.
    pub configured: Figures,
}

/// Turns with whoever scaled the target before.
#[derive(Clone, Debug, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStatus {
    /// Whether it is Foresail's turn.
    pub acts: bool,
    /// Until when; not there when it stays so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Why Foresail has no turn any longer. Set mode Shadow and then Canary to begin anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demoted: Option<String>,
    /// As measured in Foresail's turns, without their beginnings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub foresail: Option<TurnFigures>,
    /// The same of the incumbent's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incumbent: Option<TurnFigures>,
}

/// What was measured in turns.
#[derive(Clone, Debug, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnFigures {
    /// Hours that were compared.
    pub hours: f64,
    /// What they were like; the cost over the oracle's own is what can be compared.
    pub figures: Figures,
}

/// How a policy fared.
#[derive(Clone, Debug, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Per cent of the requests in decision intervals that missed the objective.
    pub violation_percent: f64,
    /// Pods times hours.
    pub pod_hours: f64,
    /// The same over a plan made with the load known in advance.
    pub cost_over_oracle: f64,
}

/// A forecast.
#[derive(Clone, Debug, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForecastAt {
    /// Expected requests a second.
    pub rps: f64,
    /// Their upper quantile.
    pub upper: f64,
    /// How far ahead, in seconds.
    pub horizon_seconds: i64,
    /// Name of the model.
    pub model: String,
}

/// A change that was written.
#[derive(Clone, Debug, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastScale {
    /// When.
    pub time: Time,
    /// Replicas, or floor, before.
    pub from: i32,
    /// Replicas, or floor, after.
    pub to: i32,
    /// Why.
    pub reason: String,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decided {
    /// When.
    pub time: Time,
    /// In one sentence.
    pub reason: String,
    /// What each signal asked for.
    pub proposals: Vec<ProposedBy>,
    /// The guards that bound, in order.
    pub guards: Vec<DecidedGuard>,
    /// Replicas there would have been without the forecast.
    pub without_forecast: i32,
}

/// What one signal asked for.
#[derive(Clone, Debug, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProposedBy {
    /// `reactive`, `predictive`, `burst`, `cpu`, `memory` or `learned`.
    pub signal: String,
    /// Replicas.
    pub replicas: i32,
    /// Why.
    pub reason: String,
}

/// A guard that bound.
#[derive(Clone, Debug, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DecidedGuard {
    /// Its name.
    pub guard: String,
    /// Replicas before it.
    pub from: i32,
    /// Replicas after it.
    pub to: i32,
    /// Why.
    pub reason: String,
}
