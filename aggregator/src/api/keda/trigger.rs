//! What a `ScaledObject`'s trigger asks for.

use thiserror::Error;

use super::proto::ScaledObjectRef;
use crate::api::ScalingMetric;
use crate::units::WorkloadKey;

/// A trigger's metadata, read. It depends on nothing else, so that what KEDA is told of the metric
/// is the same at all times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trigger {
    /// `workload`, in the `ScaledObject`'s namespace; by default named like the `ScaledObject`.
    pub(super) workload: WorkloadKey,
    /// `metric`; by default the desired replicas.
    pub(super) metric: ScalingMetric,
    /// `target` in thousandths: what one replica is to have of the metric. For the desired replicas
    /// always one.
    pub(super) target_milli: u64,
}

/// The metadata cannot be honoured; the text says what is valid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum TriggerError {
    /// Without a namespace or a name there is no workload.
    #[error("the ScaledObject has no {0}")]
    Nameless(&'static str),
    /// Not a metric of ours.
    #[error("metric: {0:?} is not valid; use {names}", names = ScalingMetric::NAMES)]
    Metric(String),
    /// No target, or none that can be.
    #[error(
        "target: {0:?} is not valid; use the requests per second that one replica is to have, \
         from 0.001 to 1000000"
    )]
    Target(String),
    /// The desired replicas are what they are.
    #[error("target: {0:?} is not valid with foresail_desired_replicas; leave it out")]
    NoTarget(String),
}

impl Trigger {
    /// Reads a trigger.
    pub(super) fn new(object: &ScaledObjectRef) -> Result<Self, TriggerError> {
        let metadata = |key| object.scaler_metadata.get(key);
        let name = metadata("workload").unwrap_or(&object.name);
        for (text, what) in [(&object.namespace, "namespace"), (name, "name")] {
            if text.is_empty() {
                return Err(TriggerError::Nameless(what));
            }
        }
        let metric = match metadata("metric") {
            None => ScalingMetric::DesiredReplicas,
            Some(name) => {
                ScalingMetric::by_name(name).ok_or_else(|| TriggerError::Metric(name.clone()))?
            }
        };
        let target = metadata("target");
        let target_milli = match (metric, target) {
            (ScalingMetric::DesiredReplicas, None) => 1000,
            (ScalingMetric::DesiredReplicas, Some(target)) => {
                return Err(TriggerError::NoTarget(target.clone()));
            }
            (_, target) => {
                let text = target.map_or("", String::as_str);
                parse_milli(text).ok_or_else(|| TriggerError::Target(text.to_owned()))?
            }
        };
        let workload = WorkloadKey { namespace: object.namespace.clone(), name: name.clone() };
        Ok(Self { workload, metric, target_milli })
    }
}

/// A number from 0.001 to 1,000,000 in thousandths.
fn parse_milli(text: &str) -> Option<u64> {
    let number: f64 = text.trim().parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in 1 to 1e9 by the range"
    )]
    (1e-3..=1e6).contains(&number).then(|| (number * 1e3).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trigger(metadata: &[(&str, &str)]) -> Result<Trigger, TriggerError> {
        let pairs = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Trigger::new(&ScaledObjectRef {
            name: "web".to_owned(),
            namespace: "shop".to_owned(),
            scaler_metadata: pairs.collect(),
        })
    }

    #[test]
    fn by_default_it_is_the_desired_replicas_of_the_workload_of_the_same_name() {
        // Whatever else the trigger says is KEDA's affair.
        let trigger = trigger(&[("scalerAddress", "foresail.foresail:9444")]).unwrap();
        let workload = WorkloadKey { namespace: "shop".to_owned(), name: "web".to_owned() };
        let metric = ScalingMetric::DesiredReplicas;
        assert_eq!(trigger, Trigger { workload, metric, target_milli: 1000 });
    }

    #[test]
    fn a_forecast_needs_a_target_and_desired_replicas_have_none() {
        let forecast = ("metric", "foresail_forecast_rps_upper");
        let found = trigger(&[("workload", "cart"), forecast, ("target", "32.5")]).unwrap();
        assert_eq!((found.workload.name.as_str(), found.target_milli), ("cart", 32_500));
        for bad in ["", "0", "-1", "NaN", "inf", "1e9", "thirty"] {
            let error = trigger(&[forecast, ("target", bad)]).unwrap_err();
            assert_eq!(error, TriggerError::Target(bad.to_owned()));
        }
        assert_eq!(trigger(&[forecast]), Err(TriggerError::Target(String::new())));
        assert_eq!(trigger(&[("target", "2")]), Err(TriggerError::NoTarget("2".to_owned())));
    }

    #[test]
    fn what_is_not_valid_is_said_with_what_is() {
        let error = trigger(&[("metric", "rps")]).unwrap_err().to_string();
        assert_eq!(
            error,
            "metric: \"rps\" is not valid; use foresail_desired_replicas, \
             foresail_forecast_rps or foresail_forecast_rps_upper"
        );
        assert_eq!(trigger(&[("workload", "")]), Err(TriggerError::Nameless("name")));
    }
}
