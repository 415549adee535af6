//! Turns with whoever scaled the target before, and the use of CPU and memory that is aimed at.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::DURATION;

/// Turns in mode Canary.
#[derive(Clone, Debug, Default, PartialEq, Eq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// Length of a turn, 20 s to 24 h and at least four decision intervals; 1 h unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub turn: Option<String>,
    /// Time at the beginning of a turn that is not compared; 10 min unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub carry_over: Option<String>,
}

/// Use of CPU and memory that is aimed at, as a `HorizontalPodAutoscaler` does by `metrics.k8s.io`.
#[derive(Clone, Debug, Default, PartialEq, Eq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Of CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<ResourceTarget>,
    /// Of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ResourceTarget>,
}

/// Use of a resource that is aimed at.
#[derive(Clone, Debug, PartialEq, Eq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceTarget {
    /// Mean of the target's pods, in per cent of what they request.
    #[schemars(range(min = 1, max = 10_000))]
    pub average_utilization: i32,
}
