//! What the use of CPU and memory asks for, by the rule of `HorizontalPodAutoscaler`
//! (k8s.io/kubernetes v1.34, `pkg/controller/podautoscaler/replica_calculator.go`,
//! `GetResourceReplicas`): whole per cent, pods without figures count against the direction.

use crate::config::{ResourceKind, WorkloadConfig};
use crate::journal::{Observation, ResourceUse, Signal};

/// Pods that miss figures are taken to use at least so many per cent of what they request, when few
/// others do much.
const ASSUMED_PERCENT: u32 = 100;

/// The signals `cpu` and `memory`, where a use is aimed at and known. Within the tolerance each is
/// what there is; `raises_only` never lets it be less.
pub(super) fn signals(
    config: &WorkloadConfig,
    observation: &Observation,
    raises_only: bool,
) -> Vec<Signal> {
    let Some((current, facts)) = observation.current_replicas.zip(observation.cluster.as_ref())
    else {
        return Vec::new();
    };
    let target = observation.target_replicas().unwrap_or(current);
    let signal = |kind: ResourceKind| {
        let used = match kind {
            ResourceKind::Cpu => facts.cpu.as_ref()?,
            ResourceKind::Memory => facts.memory.as_ref()?,
        };
        let aim = config.resources.of(kind)?;
        let asked = replicas(used, aim, config.tolerance, target).unwrap_or(current);
        let reason = format!(
            "{} % of the requested {} over {} pods, {} % aimed at{}",
            percent(used.used, used.requested)?,
            kind.name(),
            used.pods,
            aim,
            without_figures(used)
        );
        let desired_replicas = if raises_only { asked.max(current) } else { asked };
        Some(Signal { name: kind.name().to_owned(), desired_replicas, reason })
    };
    ResourceKind::ALL.into_iter().filter_map(signal).collect()
}

fn without_figures(used: &ResourceUse) -> String {
    match (used.missing, used.unready) {
        (0, 0) => String::new(),
        (missing, unready) => format!("; {missing} without figures, {unready} not ready"),
    }
}

/// Use in whole per cent; `None` when nothing is requested.
fn percent(used: u64, requested: u64) -> Option<u64> {
    used.saturating_mul(100).checked_div(requested)
}

/// Replicas at which the use would be the one aimed at; `None` to leave them as they are.
fn replicas(seen: &ResourceUse, aim: u32, tolerance: f64, current: u32) -> Option<u32> {
    let ratio_of = |used, requested| Some(percent(used, requested)? as f64 / f64::from(aim.max(1)));
    let is_near = |ratio: f64| (ratio - 1.0).abs() <= tolerance;
    let ratio = ratio_of(seen.used, seen.requested)?;
    let counts_unready = seen.unready > 0 && ratio > 1.0;
    if !counts_unready && seen.missing == 0 {
        return (!is_near(ratio)).then(|| ceil(ratio * f64::from(seen.pods)));
    }
    let ResourceUse { mut used, mut requested, mut pods, .. } = *seen;
    if seen.missing > 0 && (ratio - 1.0).abs() > 0.0 {
        // On the way down they may do all they can, on the way up nothing.
        if ratio < 1.0 {
            let assumed = u64::from(aim.max(ASSUMED_PERCENT));
            used += seen.missing_requested.saturating_mul(assumed) / 100;
        }
        requested += seen.missing_requested;
        pods += seen.missing;
    }
    if counts_unready {
        requested += seen.unready_requested;
        pods += seen.unready;
    }
    let new = ratio_of(used, requested)?;
    if is_near(new) || (ratio < 1.0) != (new < 1.0) {
        return None;
    }
    let asked = ceil(new * f64::from(pods));
    let is_backward = if new < 1.0 { asked > current } else { asked < current };
    (!is_backward).then_some(asked)
}

fn ceil(replicas: f64) -> u32 {
    super::replicas_for(replicas, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many pods of 500 thousandths that use this each.
    fn pods(pods: u32, used: u64) -> ResourceUse {
        let requested = u64::from(pods) * 500;
        ResourceUse { pods, used: u64::from(pods) * used, requested, ..ResourceUse::default() }
    }

    fn asks(seen: &ResourceUse, current: u32) -> Option<u32> {
        replicas(seen, 60, 0.1, current)
    }

    #[test]
    fn replicas_follow_the_ratio_of_use_and_aim_outside_the_tolerance() {
        assert_eq!(asks(&pods(4, 600), 4), Some(8), "120 % where 60 are aimed at");
        assert_eq!(asks(&pods(4, 100), 4), Some(2), "20 %: a third of four");
        assert_eq!(asks(&pods(4, 325), 4), None, "65 % is near");
        assert_eq!(asks(&pods(4, 335), 4), Some(5), "67 %");
        assert_eq!(
            asks(&ResourceUse { requested: 0, ..pods(4, 600) }, 4),
            None,
            "nothing requested"
        );
        // 60.9 % is 60 % to it.
        assert_eq!(replicas(&pods(3, 304), 60, 0.0, 3), None);
    }

    #[test]
    fn pods_without_figures_count_against_the_direction() {
        let one_missing =
            |used| ResourceUse { missing: 1, missing_requested: 500, ..pods(3, used) };
        // 150 % of three and nothing of the fourth: 112 %, over four.
        assert_eq!(asks(&one_missing(750), 4), Some(8));
        // 80 % of three: 60 % of four.
        assert_eq!(asks(&one_missing(400), 4), None);
        // 20 % of three and all of the fourth: 40 %.
        assert_eq!(asks(&one_missing(100), 4), Some(3));
        // 50 % of three would be fewer; with all of the fourth it would be more.
        assert_eq!(asks(&one_missing(250), 4), None);
    }

    #[test]
    fn pods_that_do_not_serve_yet_count_as_idle_on_the_way_up_only() {
        let starting = |used| ResourceUse { unready: 4, unready_requested: 2_000, ..pods(4, used) };
        // 100 % of four is 50 % of eight: the new ones will do.
        assert_eq!(asks(&starting(500), 8), None);
        assert_eq!(asks(&starting(900), 8), Some(12), "90 % of eight");
        assert_eq!(asks(&starting(100), 8), Some(2), "20 % of four");
        assert_eq!(asks(&starting(700), 20), None, "more is ordered already");
    }
}
