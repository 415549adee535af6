//! Settings of one workload: objective, bounds, behaviour, forecast, actuator.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::choice::{self, CapacitySource, Mode, Profile, ScaleIn};
use super::part::Part;
use super::promotion::{self, PromotionConfig};
use super::reader::{Problem, Section, problem};
use super::resources::ResourceTargets;
use super::turns::{self, TurnsConfig};
use crate::units::{Ratio, Rps, WorkloadKey};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// Policies that may run beside the one in charge.
const MOST_SHADOWS: usize = 8;
/// What is scaled unless something else is named.
const TARGET_VERSION: &str = "apps/v1";
const TARGET_KIND: &str = "Deployment";

/// What users of the workload are promised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// Share of requests that must be within the latency. Default 0.95, range 0.5 to 0.9999.
    pub quantile: Ratio,
    /// How long they may take. Required, 1 ms to 60 s.
    pub latency: Duration,
    /// Share of the requests that may be served while the objective is missed: what the price of
    /// risk is steered to. Default 0.01, range 0.0001 to 0.2.
    pub budget: Ratio,
}

/// How the load is forecast.
#[derive(Clone, Debug, PartialEq)]
pub struct ForecastConfig {
    /// Length of one step of the series. Default: the decision interval; range 1 s to 1 h.
    pub step: Duration,
    /// Length of the day, from which hours and weeks follow; at least four steps. Default 24 h,
    /// range 10 s to 14 d.
    pub season: Duration,
    /// Quantile of the band that is shown; what is held follows from the price of risk. Default
    /// 0.9, range 0.5 to 0.999.
    pub quantile: Ratio,
    /// CSV of `timestamp,rps` read when the store holds no load of this workload. Default none.
    pub history: Option<PathBuf>,
}

/// What to do when telemetry is old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StalenessConfig {
    /// Age at which replicas are held. Default and most 60 s.
    pub hold_after: Duration,
    /// Age at which replicas are raised to the fallback. Default and most 180 s.
    pub fallback_after: Duration,
    /// Replicas to have at least after that. Default: the current ones.
    pub fallback_replicas: Option<u32>,
}

/// Burst mode as in Knative's autoscaler ("panic"): up only, decided on a short window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BurstConfig {
    /// Rate over capacity of the ready replicas at which it begins. Default 2.0, range 1.1 to 10.
    pub threshold: f64,
    /// How long nothing is scaled down after the last such rate. Default 60 s, 1 s to 1 h.
    pub stable_window: Duration,
}

/// Whether a policy counts replicas or per cent of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// Replicas.
    Pods,
    /// Per cent of the replicas at the period's start.
    Percent,
}

/// At most so much change in a period, as in autoscaling/v2 `HPAScalingPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalingPolicy {
    /// What `value` counts.
    pub kind: PolicyKind,
    /// Greatest change; 1 to 100,000.
    pub value: u32,
    /// In which time; 1 s to 30 min.
    pub period: Duration,
}

/// Which of several policies holds, as in autoscaling/v2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SelectPolicy {
    /// The one that allows the greatest change.
    #[default]
    Max,
    /// The one that allows the smallest change.
    Min,
    /// No change in this direction.
    Disabled,
}

/// Rules of one direction, as in autoscaling/v2 `HPAScalingRules`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalingRules {
    /// How far back recommendations are looked at. Default 0 s up and 300 s down, to 1 h.
    pub stabilization_window: Duration,
    /// At most so much change.
    pub policies: Vec<ScalingPolicy>,
    /// Which of the policies holds.
    pub select_policy: SelectPolicy,
}

/// Rules of both directions, with the names of autoscaling/v2 and its defaults, but for scaling
/// down, which is slower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behavior {
    /// Default: no window, the greater of 100 % and 4 replicas in 15 s.
    pub scale_up: ScalingRules,
    /// Default: 300 s, the greater of 25 % and 1 replica in 60 s.
    pub scale_down: ScalingRules,
}

/// Where a decision goes and where replica counts come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActuatorConfig {
    /// Nowhere.
    None,
    /// An HTTP address that is told the desired replicas and asked for the current ones.
    Webhook(WebhookConfig),
    /// The `scale` subresource of an object in the workload's namespace.
    Kubernetes(TargetConfig),
}

/// An object of Kubernetes that can be scaled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetConfig {
    /// Group and version. Default `apps/v1`.
    pub api_version: String,
    /// Kind. Default `Deployment`.
    pub kind: String,
    /// Name. Default: that of the workload.
    pub name: String,
}

/// An HTTP address that scales.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfig {
    /// `http://…`; GET answers the replica counts, POST takes the desired ones.
    pub url: String,
    /// Time for one call. Default 2 s, range 50 ms to 30 s.
    pub timeout: Duration,
    /// Further tries after a failed one. Default 3, at most 10.
    pub retries: u32,
}

/// Everything about one workload.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadConfig {
    /// Namespace and name, as its proxies send them.
    pub key: WorkloadKey,
    /// Default [`Mode::Shadow`].
    pub mode: Mode,
    /// How turns are taken in mode `canary`.
    pub canary: TurnsConfig,
    /// Never fewer. Default 1, range 1 to 100,000.
    pub min_replicas: u32,
    /// Never more; never raised by itself. Required.
    pub max_replicas: u32,
    /// What users are promised.
    pub objective: Objective,
    /// Highest request rate at which one ready replica still meets the objective. Required.
    pub target_rps_per_replica: Rps,
    /// Where the capacity of a replica comes from.
    pub capacity: CapacitySource,
    /// From ordering a replica to its being Ready. Default 60 s, 0 s to 1 h.
    pub startup_time: Duration,
    /// Time between decisions. Default 15 s, 1 s to 5 min.
    pub decision_interval: Duration,
    /// Relative deviation from the target that changes nothing. Default 0.1, 0 to 0.5.
    pub tolerance: f64,
    /// What may scale in.
    pub scale_in: ScaleIn,
    /// How patient the predictive answer is.
    pub profile: Profile,
    /// How the load is forecast.
    pub forecast: ForecastConfig,
    /// What to do when telemetry is old.
    pub staleness: StalenessConfig,
    /// Burst mode.
    pub burst: BurstConfig,
    /// How fast replicas may change.
    pub behavior: Behavior,
    /// Policies that run beside the one in charge and are scored, by their names in a backtest, at
    /// most 8: ways of Foresail (`foresail`, `foresail-calm`), other autoscalers (`hpa-cpu`), and
    /// models (`learned:FILE`, `raising:FILE`, or a folder of versions). Default none; the workload's own
    /// settings always are.
    pub shadows: Vec<String>,
    /// Under which terms one of them may take the place of these settings. Default never.
    pub promotion: Option<PromotionConfig>,
    /// Where decisions go. Required; `none` for nowhere.
    pub actuator: ActuatorConfig,
    /// Use of CPU and memory that is aimed at; of a `MeshAutoscaler` alone, no setting.
    pub resources: ResourceTargets,
    /// A part of the algorithm that is left out; in a replay only, no setting.
    pub without: Option<Part>,
}

impl WorkloadConfig {
    /// Reads one entry of `workloads`. `None` when a problem was found.
    pub(super) fn read(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        let mut section = Section::open(path.to_owned(), Some(value), problems);
        let s = &mut section;
        let name_rule = "a name of 1 to 253 characters";
        let name_of = |value: &Value| {
            value.as_str().filter(|name| (1..=253).contains(&name.len())).map(str::to_owned)
        };
        let namespace = s.read("namespace", None, name_rule, problems, name_of);
        let name = s.read("name", None, name_rule, problems, name_of);
        let mode = choice::read(s, "mode", problems);
        let min_replicas = s.whole("min_replicas", Some(1), 1..=100_000, problems);
        let max_replicas = s.whole("max_replicas", None, 1..=100_000, problems);
        let objective = read_objective(s, problems);
        let target = s.number("target_rps_per_replica", None, 1e-3..=1e6, problems);
        let capacity = choice::read(s, "capacity", problems);
        let startup_time =
            s.duration("startup_time", Some(MINUTE), Duration::ZERO..=HOUR, problems);
        let decision_interval =
            s.duration("decision_interval", Some(15 * SECOND), SECOND..=5 * MINUTE, problems);
        let canary = turns::read_canary(s, decision_interval, problems);
        let tolerance = s.number("tolerance", Some(0.1), 0.0..=0.5, problems);
        let scale_in = choice::read(s, "scale_in", problems);
        let profile = choice::read(s, "profile", problems);
        let forecast = read_forecast(s, decision_interval, problems);
        let staleness = read_staleness(s, problems);
        let burst = read_burst(s, problems);
        let behavior = read_behavior(s, problems);
        let shadows = read_shadows(s, problems);
        let promotion = promotion::read(s, problems);
        let actuator = read_actuator(s, name.as_deref(), problems);
        section.finish(problems);
        if let (Some(min), Some(max)) = (min_replicas, max_replicas)
            && min > max
        {
            let min = Value::from(min);
            let valid = format!("at most max_replicas ({max})");
            problems.push(problem(&format!("{path}.min_replicas"), Some(&min), &valid));
        }
        if let (Some(shadows), Some(terms)) = (&shadows, &promotion)
            && !shadows.contains(&terms.candidate)
        {
            let path = format!("{path}.promotion.candidate");
            let value = Value::from(terms.candidate.as_str());
            problems.push(problem(&path, Some(&value), "the name of a policy in `shadows`"));
        }
        if let (Some(Mode::Canary), Some(terms)) = (mode, &promotion) {
            let path = format!("{path}.promotion.candidate");
            let value = Value::from(terms.candidate.as_str());
            let valid =
                "no promotion in mode canary, or another mode: there is one comparison at a time";
            problems.push(problem(&path, Some(&value), valid));
        }
        if problems.len() > before {
            return None;
        }
        Some(Self {
            key: WorkloadKey { namespace: namespace?, name: name? },
            mode: mode?,
            canary: canary?,
            min_replicas: min_replicas?,
            max_replicas: max_replicas?,
            objective: objective?,
            target_rps_per_replica: Rps::new(target?).ok()?,
            capacity: capacity?,
            startup_time: startup_time?,
            decision_interval: decision_interval?,
            tolerance: tolerance?,
            scale_in: scale_in?,
            profile: profile?,
            forecast: forecast?,
            staleness: staleness?,
            burst: burst?,
            behavior: behavior?,
            shadows: shadows?,
            promotion,
            actuator: actuator?,
            resources: ResourceTargets::default(),
            without: None,
        })
    }
}

fn read_shadows(s: &mut Section<'_>, problems: &mut Vec<Problem>) -> Option<Vec<String>> {
    let valid = "a list of at most 8 names of policies";
    s.read("shadows", Some(Vec::new()), valid, problems, |value| {
        let names = value.as_array().filter(|names| names.len() <= MOST_SHADOWS)?;
        let name = |name: &Value| name.as_str().filter(|n| !n.is_empty()).map(str::to_owned);
        names.iter().map(name).collect()
    })
}

fn read_objective(parent: &mut Section<'_>, problems: &mut Vec<Problem>) -> Option<Objective> {
    let mut s = parent.section("objective", problems);
    let quantile = s.number("quantile", Some(0.95), 0.5..=0.9999, problems);
    let latency = s.duration("latency", None, Duration::from_millis(1)..=MINUTE, problems);
    let budget = s.number("budget", Some(0.01), 0.000_1..=0.2, problems);
    s.finish(problems);
    Some(Objective {
        quantile: Ratio::new(quantile?).ok()?,
        latency: latency?,
        budget: Ratio::new(budget?).ok()?,
    })
}

fn read_forecast(
    parent: &mut Section<'_>,
    decision_interval: Option<Duration>,
    problems: &mut Vec<Problem>,
) -> Option<ForecastConfig> {
    let mut s = parent.section("forecast", problems);
    let default = decision_interval.unwrap_or(15 * SECOND);
    let step = s.duration("step", Some(default), SECOND..=HOUR, problems);
    let season = s.duration("season", Some(DAY), 10 * SECOND..=14 * DAY, problems);
    let quantile = s.number("quantile", Some(0.9), 0.5..=0.999, problems);
    let history = s.read("history", Some(None), "the path of a CSV file", problems, |v| {
        v.as_str().filter(|path| !path.is_empty()).map(|path| Some(PathBuf::from(path)))
    });
    if let (Some(step), Some(season)) = (step, season)
        && season < 4 * step
    {
        let key = s.path_of("season");
        let value = Value::from(format!("{season:?}"));
        problems.push(problem(&key, Some(&value), &format!("at least four steps of {step:?}")));
    }
    s.finish(problems);
    let quantile = Ratio::new(quantile?).ok()?;
    Some(ForecastConfig { step: step?, season: season?, quantile, history: history? })
}

fn read_staleness(
    parent: &mut Section<'_>,
    problems: &mut Vec<Problem>,
) -> Option<StalenessConfig> {
    let mut s = parent.section("staleness", problems);
    let hold_after = s.duration("hold_after", Some(MINUTE), 2 * SECOND..=MINUTE, problems);
    let fallback_after =
        s.duration("fallback_after", Some(3 * MINUTE), 2 * SECOND..=3 * MINUTE, problems);
    let fallback_replicas = match s.get("fallback_replicas") {
        None => None,
        Some(_) => s.whole("fallback_replicas", None, 1..=100_000, problems),
    };
    s.finish(problems);
    Some(StalenessConfig {
        hold_after: hold_after?,
        fallback_after: fallback_after?,
        fallback_replicas,
    })
}

fn read_burst(parent: &mut Section<'_>, problems: &mut Vec<Problem>) -> Option<BurstConfig> {
    let mut s = parent.section("burst", problems);
    let threshold = s.number("threshold", Some(2.0), 1.1..=10.0, problems);
    let stable_window = s.duration("stable_window", Some(MINUTE), SECOND..=HOUR, problems);
    s.finish(problems);
    Some(BurstConfig { threshold: threshold?, stable_window: stable_window? })
}

fn read_behavior(parent: &mut Section<'_>, problems: &mut Vec<Problem>) -> Option<Behavior> {
    let percent = ScalingPolicy { kind: PolicyKind::Percent, value: 100, period: 15 * SECOND };
    let quarter = ScalingPolicy { kind: PolicyKind::Percent, value: 25, period: MINUTE };
    let one = ScalingPolicy { kind: PolicyKind::Pods, value: 1, period: MINUTE };
    let pods = ScalingPolicy { kind: PolicyKind::Pods, value: 4, period: 15 * SECOND };
    let up = ScalingRules {
        stabilization_window: Duration::ZERO,
        policies: vec![pods, percent],
        select_policy: SelectPolicy::Max,
    };
    let down = ScalingRules {
        stabilization_window: 5 * MINUTE,
        policies: vec![quarter, one],
        select_policy: SelectPolicy::Max,
    };
    let mut s = parent.section("behavior", problems);
    let scale_up = read_rules(&mut s, "scale_up", up, problems);
    let scale_down = read_rules(&mut s, "scale_down", down, problems);
    s.finish(problems);
    Some(Behavior { scale_up: scale_up?, scale_down: scale_down? })
}

fn read_rules(
    parent: &mut Section<'_>,
    key: &'static str,
    default: ScalingRules,
    problems: &mut Vec<Problem>,
) -> Option<ScalingRules> {
    let mut s = parent.section(key, problems);
    let window = s.duration(
        "stabilization_window",
        Some(default.stabilization_window),
        Duration::ZERO..=HOUR,
        problems,
    );
    let valid = "max, min or disabled";
    let select_policy =
        s.read("select_policy", Some(default.select_policy), valid, problems, |v| {
            match v.as_str()? {
                "max" => Some(SelectPolicy::Max),
                "min" => Some(SelectPolicy::Min),
                "disabled" => Some(SelectPolicy::Disabled),
                _ => None,
            }
        });
    let policies = match s.list("policies", problems) {
        None => Some(default.policies),
        Some(items) => {
            let read: Vec<_> =
                items.into_iter().map(|(path, item)| read_policy(path, item, problems)).collect();
            read.into_iter().collect()
        }
    };
    s.finish(problems);
    Some(ScalingRules {
        stabilization_window: window?,
        policies: policies?,
        select_policy: select_policy?,
    })
}

fn read_policy(path: String, item: &Value, problems: &mut Vec<Problem>) -> Option<ScalingPolicy> {
    let mut s = Section::open(path, Some(item), problems);
    let kind = s.read("type", None, "pods or percent", problems, |v| match v.as_str()? {
        "pods" => Some(PolicyKind::Pods),
        "percent" => Some(PolicyKind::Percent),
        _ => None,
    });
    let value = s.whole("value", None, 1..=100_000, problems);
    let period = s.duration("period", None, SECOND..=30 * MINUTE, problems);
    s.finish(problems);
    Some(ScalingPolicy { kind: kind?, value: value?, period: period? })
}

fn read_actuator(
    parent: &mut Section<'_>,
    workload: Option<&str>,
    problems: &mut Vec<Problem>,
) -> Option<ActuatorConfig> {
    const VALID: &str = "none, kubernetes, or webhook with its url";
    match parent.get("actuator") {
        Some(Value::String(text)) if text == "none" => Some(ActuatorConfig::None),
        Some(Value::String(text)) if text == "kubernetes" => {
            let (api_version, kind) = (TARGET_VERSION.to_owned(), TARGET_KIND.to_owned());
            let name = workload?.to_owned();
            Some(ActuatorConfig::Kubernetes(TargetConfig { api_version, kind, name }))
        }
        Some(value @ Value::Object(fields)) if fields.contains_key("kubernetes") => {
            let mut actuator = Section::open(parent.path_of("actuator"), Some(value), problems);
            let mut s = actuator.section("kubernetes", problems);
            let mut word = |key, default: &str, problems: &mut Vec<Problem>| {
                let default = (!default.is_empty()).then(|| default.to_owned());
                s.read(key, default, "a name of 1 to 253 characters", problems, |v| {
                    v.as_str().filter(|name| (1..=253).contains(&name.len())).map(str::to_owned)
                })
            };
            let api_version = word("api_version", TARGET_VERSION, problems);
            let kind = word("kind", TARGET_KIND, problems);
            let name = word("name", workload.unwrap_or_default(), problems);
            s.finish(problems);
            actuator.finish(problems);
            Some(ActuatorConfig::Kubernetes(TargetConfig {
                api_version: api_version?,
                kind: kind?,
                name: name?,
            }))
        }
        Some(value @ Value::Object(_)) => {
            let mut actuator = Section::open(parent.path_of("actuator"), Some(value), problems);
            let mut s = actuator.section("webhook", problems);
            let url = s.read("url", None, "an address beginning with http://", problems, |v| {
                v.as_str().filter(|url| is_http_url(url)).map(str::to_owned)
            });
            let least = Duration::from_millis(50);
            let timeout = s.duration("timeout", Some(2 * SECOND), least..=30 * SECOND, problems);
            let retries = s.whole("retries", Some(3), 0..=10, problems);
            s.finish(problems);
            actuator.finish(problems);
            Some(ActuatorConfig::Webhook(WebhookConfig {
                url: url?,
                timeout: timeout?,
                retries: retries?,
            }))
        }
        other => {
            problems.push(problem(&parent.path_of("actuator"), other, VALID));
            None
        }
    }
}

/// `http://` with a host: TLS ends in the mesh, not here.
fn is_http_url(url: &str) -> bool {
    url.strip_prefix("http://").is_some_and(|rest| {
        rest.chars().next().is_some_and(|first| first.is_ascii_alphanumeric() || first == '[')
            && !rest.contains(char::is_whitespace)
    })
}
