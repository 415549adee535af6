//! From a spec to the settings of a control loop: by way of the configuration file's own reader, so
//! that both have one set of rules.

use std::time::Duration;

use serde_json::{Map, Value, json};
use thiserror::Error;

use super::{Actuation, Behavior, Capacity, MeshAutoscalerSpec, Mode, PolicyType, Profile};
use super::{Approval, Promotion, ResourceTarget, Resources, ScaleIn, ScalingRules, SelectPolicy};
use crate::config::{Config, ResourceTargets, WorkloadConfig};
use crate::units::WorkloadKey;

/// A spec that cannot be honoured, although the schema let it pass.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct InvalidSpec(String);

impl InvalidSpec {
    /// A policy that it names cannot be had.
    pub fn shadow(error: &dyn std::error::Error) -> Self {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        Self(format!("spec.shadows: {error}{cause}"))
    }

    /// Another resource, or the configuration file, decides for the same workload.
    pub fn taken(key: &WorkloadKey) -> Self {
        Self(format!(
            "{key} is decided for already, by an older MeshAutoscaler or the configuration"
        ))
    }
}

/// Settings of the control loop of a resource. `learned_startup` stands in for a start-up time
/// that is not set.
///
/// # Errors
/// [`InvalidSpec`] with every problem, in the resource's own names.
pub fn settings(
    namespace: &str,
    spec: &MeshAutoscalerSpec,
    learned_startup: Option<Duration>,
) -> Result<WorkloadConfig, InvalidSpec> {
    let mut value = Map::new();
    let mut set = |key: &str, to: Option<Value>| {
        to.map(|to| value.insert(key.to_owned(), to));
    };
    let target = &spec.scale_target_ref;
    set("namespace", Some(json!(namespace)));
    set("name", Some(json!(target.name)));
    let mode = match spec.mode {
        _ if spec.actuation == Actuation::None => "shadow",
        Mode::Shadow | Mode::Paused => "shadow",
        Mode::Canary => "canary",
        Mode::Active => "active",
    };
    set("mode", Some(json!(mode)));
    let turns = spec.canary.clone().unwrap_or_default();
    set("canary", Some(json!({"turn": turns.turn, "carry_over": turns.carry_over})));
    set("min_replicas", Some(json!(spec.min_replicas)));
    set("max_replicas", Some(json!(spec.max_replicas)));
    let latency = &spec.objectives.latency;
    set(
        "objective",
        Some(json!({
            "quantile": latency.quantile,
            "latency": latency.threshold,
            "budget": spec.objectives.budget,
        })),
    );
    set("target_rps_per_replica", Some(json!(spec.target_rps_per_replica)));
    set("capacity", spec.capacity.map(capacity));
    let learned = learned_startup.map(|time| format!("{}s", time.as_secs().min(3_600)));
    set("startup_time", spec.startup_time.clone().or(learned).map(Value::from));
    set("decision_interval", spec.decision_interval.clone().map(Value::from));
    set("tolerance", spec.tolerance.map(Value::from));
    set("scale_in", Some(scale_in(spec.model.scale_in)));
    set("profile", spec.model.profile.map(profile));
    set("forecast", Some(json!({"step": spec.model.step, "season": spec.model.season})));
    set(
        "staleness",
        Some(json!({
            "hold_after": spec.fallback.hold_after,
            "fallback_after": spec.fallback.after,
            "fallback_replicas": spec.fallback.replicas,
        })),
    );
    set("behavior", Some(behavior(&spec.behavior)));
    set("shadows", Some(json!(spec.shadows)));
    set("promotion", spec.promotion.as_ref().map(promotion));
    set(
        "actuator",
        Some(json!({"kubernetes": {
            "api_version": target.api_version, "kind": target.kind, "name": target.name,
        }})),
    );
    let config = Config::workload("spec", &Value::Object(value)).map_err(|problems| {
        let lines: Vec<_> = problems
            .0
            .iter()
            .map(|problem| {
                let key = field(&problem.key);
                format!("{key}: {} is not valid; use {}", problem.value, problem.valid)
            })
            .collect();
        InvalidSpec(lines.join("; "))
    })?;
    Ok(WorkloadConfig { resources: resources(spec), ..config })
}

/// The schema says what is valid of it.
fn resources(spec: &MeshAutoscalerSpec) -> ResourceTargets {
    let aim = |of: fn(&Resources) -> &Option<ResourceTarget>| {
        let target = of(spec.resources.as_ref()?).as_ref()?;
        u32::try_from(target.average_utilization).ok().filter(|per_cent| *per_cent > 0)
    };
    ResourceTargets { cpu: aim(|all| &all.cpu), memory: aim(|all| &all.memory) }
}

/// The resource's name of a setting.
fn field(key: &str) -> String {
    let renamed = [
        ("spec.objective.latency", "spec.objectives.latency.threshold"),
        ("spec.objective.quantile", "spec.objectives.latency.quantile"),
        ("spec.objective.budget", "spec.objectives.budget"),
        ("spec.staleness.fallback_after", "spec.fallback.after"),
        ("spec.staleness.hold_after", "spec.fallback.holdAfter"),
        ("spec.forecast.", "spec.model."),
    ];
    let mut key = key.to_owned();
    for (ours, theirs) in renamed {
        key = key.replace(ours, theirs);
    }
    let mut camel = String::with_capacity(key.len());
    let mut up = false;
    for letter in key.chars() {
        match letter {
            '_' => up = true,
            _ if up => {
                camel.extend(letter.to_uppercase());
                up = false;
            }
            _ => camel.push(letter),
        }
    }
    camel
}

fn capacity(capacity: Capacity) -> Value {
    match capacity {
        Capacity::Fixed => "fixed".into(),
        Capacity::Learned => "learned".into(),
    }
}

fn scale_in(scale_in: ScaleIn) -> Value {
    match scale_in {
        ScaleIn::Observed => "observed".into(),
        ScaleIn::Forecast => "forecast".into(),
    }
}

fn profile(profile: Profile) -> Value {
    match profile {
        Profile::Responsive => "responsive".into(),
        Profile::Stable => "stable".into(),
        Profile::Calm => "calm".into(),
    }
}

fn promotion(terms: &Promotion) -> Value {
    json!({
        "candidate": terms.candidate,
        "approval": match terms.approval {
            Approval::Manual => "manual",
            Approval::Automatic => "automatic",
        },
        "least_time": terms.least_time,
        "least_gain": terms.least_gain,
        "most_violations": terms.most_violations,
        "turn": terms.turn,
        "carry_over": terms.carry_over,
        "least_turns_time": terms.least_turns_time,
    })
}

fn behavior(behavior: &Behavior) -> Value {
    let rules = |rules: &Option<ScalingRules>| rules.as_ref().map(rules_of);
    json!({"scale_up": rules(&behavior.scale_up), "scale_down": rules(&behavior.scale_down)})
}

fn rules_of(rules: &ScalingRules) -> Value {
    let seconds = |seconds: i32| format!("{seconds}s");
    let select = rules.select_policy.map(|select| match select {
        SelectPolicy::Max => "max",
        SelectPolicy::Min => "min",
        SelectPolicy::Disabled => "disabled",
    });
    let policies = rules.policies.as_ref().map(|policies| {
        let policy = |policy: &super::ScalingPolicy| {
            let kind = match policy.kind {
                PolicyType::Pods => "pods",
                PolicyType::Percent => "percent",
            };
            json!({"type": kind, "value": policy.value, "period": seconds(policy.period_seconds)})
        };
        policies.iter().map(policy).collect::<Vec<_>>()
    });
    json!({
        "stabilization_window": rules.stabilization_window_seconds.map(seconds),
        "select_policy": select,
        "policies": policies,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, ActuatorConfig, TargetConfig};

    fn spec(more: Value) -> MeshAutoscalerSpec {
        let mut spec = json!({
            "scaleTargetRef": {"name": "web"},
            "maxReplicas": 20,
            "objectives": {"latency": {"threshold": "250ms"}},
            "targetRpsPerReplica": 10.0,
        });
        if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
            spec.extend(more);
        }
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn the_shortest_spec_has_the_defaults_of_the_configuration_file() {
        let config = settings("shop", &spec(json!({})), None).unwrap();
        let text = "
workloads:
  - namespace: shop
    name: web
    max_replicas: 20
    objective: { latency: 250ms }
    target_rps_per_replica: 10
    actuator: kubernetes
";
        assert_eq!(config, Config::from_yaml(text).unwrap().workloads.remove(0));
        assert_eq!(config.mode, config::Mode::Shadow);
    }

    #[test]
    fn every_setting_arrives() {
        let spec = spec(json!({
            "scaleTargetRef": {"apiVersion": "a/v1", "kind": "Rollout", "name": "web"},
            "minReplicas": 3,
            "mode": "Active",
            "objectives": {"latency": {"threshold": "1s", "quantile": 0.9}, "budget": 0.02},
            "capacity": "Learned",
            "startupTime": "20s",
            "decisionInterval": "5s",
            "tolerance": 0.2,
            "model": {"scaleIn": "Forecast", "profile": "Calm", "step": "10s", "season": "12h"},
            "fallback": {"holdAfter": "30s", "after": "90s", "replicas": 7},
            "canary": {"turn": "2h", "carryOver": "20m"},
            "resources": {"cpu": {"averageUtilization": 70}},
            "behavior": {"scaleDown": {
                "stabilizationWindowSeconds": 30,
                "selectPolicy": "Min",
                "policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}],
            }},
            "shadows": ["foresail-calm", "hpa-cpu"],
            "promotion": {
                "candidate": "foresail-calm", "approval": "Automatic", "leastTime": "24h",
                "leastGain": 0.1, "mostViolations": 2.0, "turn": "30m", "carryOver": "5m",
                "leastTurnsTime": "12h",
            },
        }));
        let text = "
workloads:
  - namespace: shop
    name: web
    mode: active
    min_replicas: 3
    max_replicas: 20
    objective: { latency: 1s, quantile: 0.9, budget: 0.02 }
    target_rps_per_replica: 10
    capacity: learned
    startup_time: 20s
    decision_interval: 5s
    tolerance: 0.2
    scale_in: forecast
    profile: calm
    forecast: { step: 10s, season: 12h }
    staleness: { hold_after: 30s, fallback_after: 90s, fallback_replicas: 7 }
    canary: { turn: 2h, carry_over: 20m }
    behavior:
      scale_down:
        stabilization_window: 30s
        select_policy: min
        policies: [{ type: pods, value: 2, period: 60s }]
    shadows: [foresail-calm, hpa-cpu]
    promotion: { candidate: foresail-calm, approval: automatic, least_time: 24h, least_gain: 0.1,
      most_violations: 2, turn: 30m, carry_over: 5m, least_turns_time: 12h }
    actuator: { kubernetes: { api_version: a/v1, kind: Rollout } }
";
        let learned = Some(Duration::from_secs(44));
        let config = settings("shop", &spec, learned).unwrap();
        let resources = ResourceTargets { cpu: Some(70), memory: None };
        let wanted = Config::from_yaml(text).unwrap().workloads.remove(0);
        assert_eq!(config, WorkloadConfig { resources, ..wanted });
        let kind = "Rollout".to_owned();
        let (api_version, name) = ("a/v1".to_owned(), "web".to_owned());
        let target = TargetConfig { api_version, kind, name };
        assert_eq!(config.actuator, ActuatorConfig::Kubernetes(target));
    }

    #[test]
    fn a_learned_start_up_time_stands_in_for_none() {
        let config = settings("shop", &spec(json!({})), Some(Duration::from_secs(44))).unwrap();
        assert_eq!(config.startup_time, Duration::from_secs(44));
    }

    #[test]
    fn problems_are_told_in_the_names_of_the_resource() {
        let spec = spec(json!({
            "minReplicas": 30,
            "objectives": {"latency": {"threshold": "5m"}},
            "decisionInterval": "1h",
            "promotion": {"candidate": "foresail-calm", "turn": "48h"},
        }));
        let problem = settings("shop", &spec, None).unwrap_err().to_string();
        for part in [
            "spec.objectives.latency.threshold: \"5m\" is not valid; use a duration from 1ms to 1m",
            "spec.decisionInterval: \"1h\" is not valid",
            "spec.minReplicas: 30 is not valid; use at most max_replicas (20)",
            "spec.promotion.turn: \"48h\" is not valid; use a duration from 1m to 1d",
        ] {
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn a_canary_takes_turns_of_several_decisions_and_has_no_candidate() {
        let of = |more: Value| settings("shop", &spec(more), None).map_err(|it| it.to_string());
        let config = of(json!({"mode": "Canary", "canary": {"turn": "1m"}})).unwrap();
        assert_eq!(config.mode, config::Mode::Canary);
        let turns = (config.canary.turn, config.canary.carry_over);
        assert_eq!(turns, (Duration::from_mins(1), Duration::from_secs(30)));
        let idle = of(json!({"mode": "Canary", "actuation": "None"})).unwrap();
        assert_eq!(idle.mode, config::Mode::Shadow);
        let problem = of(json!({"mode": "Canary", "canary": {"turn": "40s"}})).unwrap_err();
        let valid = "spec.canary.turn: \"40s\" is not valid; use at least four decision intervals";
        assert!(problem.starts_with(valid), "{problem}");
        let problem = of(json!({
            "mode": "Canary", "shadows": ["foresail-calm"],
            "promotion": {"candidate": "foresail-calm"},
        }));
        let problem = problem.unwrap_err();
        assert!(problem.contains("use no promotion in mode canary"), "{problem}");
    }

    #[test]
    fn a_candidate_is_one_of_the_shadows() {
        let spec = spec(json!({
            "shadows": ["foresail"], "promotion": {"candidate": "foresail-calm"},
        }));
        let problem = settings("shop", &spec, None).unwrap_err().to_string();
        let wanted =
            "spec.promotion.candidate: \"foresail-calm\" is not valid; use the name of a policy in";
        assert!(problem.starts_with(wanted), "{problem}");
    }
}
