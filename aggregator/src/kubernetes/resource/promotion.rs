//! Under which terms another policy may take the place of a spec's own settings.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DURATION;

/// Terms; the defaults are those of the configuration file.
#[derive(Clone, Debug, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Promotion {
    /// One of `shadows`: a way of Foresail or a model.
    #[schemars(length(min = 1, max = 253))]
    pub candidate: String,
    /// Who says that it may be tried on live load.
    #[serde(default)]
    pub approval: Approval,
    /// Scored time as a shadow before that; 72 h unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub least_time: Option<String>,
    /// Share by which it must be cheaper; 0.02 unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 0.9))]
    pub least_gain: Option<f64>,
    /// The most of its violations, as a multiple of those of the settings; 1 unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 10.0))]
    pub most_violations: Option<f64>,
    /// Length of the turns that it and the settings take while it is tried; 1 h unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub turn: Option<String>,
    /// Time at the beginning of a turn that is not compared; 10 min unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub carry_over: Option<String>,
    /// Compared time of its own turns after which it takes over; 24 h unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub least_turns_time: Option<String>,
}

/// Who says that a candidate may be tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub enum Approval {
    /// A person, by changing this field.
    #[default]
    Manual,
    /// The gates alone.
    Automatic,
}
