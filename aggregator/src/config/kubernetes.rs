//! Settings of the controller of `MeshAutoscaler`s.

use std::time::Duration;

use super::reader::{Problem, Section, problem};

/// How many pods all targets together may lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlastRadius {
    /// Per cent of all managed pods. Default 10, range 1 to 100.
    pub percent: u32,
    /// Pods that may go in any case, so that a small cluster scales in too. Default 10, 1 to
    /// 100,000.
    pub pods: u32,
    /// In which time. Default 10 min, range 1 s to 24 h.
    pub window: Duration,
}

impl Default for BlastRadius {
    fn default() -> Self {
        Self { percent: 10, pods: 10, window: Duration::from_mins(10) }
    }
}

/// What to watch in a cluster, and how aggregators agree on who acts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubernetesConfig {
    /// Namespaces to watch. Default: all.
    pub namespaces: Vec<String>,
    /// Namespace of the lease. Default: that of the kubeconfig or of the pod.
    pub lease_namespace: Option<String>,
    /// Name of the lease. Default `foresail`.
    pub lease_name: String,
    /// How many pods all targets together may lose.
    pub blast_radius: BlastRadius,
}

/// Reads `kubernetes`. `Some(None)` when nothing is to be watched, `None` when a problem was found.
#[expect(clippy::option_option, reason = "absent and wrong are different")]
pub(super) fn read(
    top: &mut Section<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Option<KubernetesConfig>> {
    let mut s = top.section("kubernetes", problems);
    let name_rule = "a name of 1 to 253 characters";
    let name_of = |value: &serde_json::Value| {
        value.as_str().filter(|name| (1..=253).contains(&name.len())).map(str::to_owned)
    };
    let watch = s.read("watch", Some(false), "true or false", problems, serde_json::Value::as_bool);
    let mut namespaces = Vec::new();
    for (path, item) in s.list("namespaces", problems).unwrap_or_default() {
        match name_of(item) {
            Some(name) => namespaces.push(name),
            None => problems.push(problem(&path, Some(item), name_rule)),
        }
    }
    namespaces.sort();
    namespaces.dedup();
    let lease_namespace =
        s.read("lease_namespace", Some(None), name_rule, problems, |v| name_of(v).map(Some));
    let lease_name =
        s.read("lease_name", Some("foresail".to_owned()), name_rule, problems, name_of);
    let mut blast = s.section("blast_radius", problems);
    let default = BlastRadius::default();
    let percent = blast.whole("percent", Some(default.percent), 1..=100, problems);
    let pods = blast.whole("pods", Some(default.pods), 1..=100_000, problems);
    let day = Duration::from_hours(24);
    let second = Duration::from_secs(1);
    let window = blast.duration("window", Some(default.window), second..=day, problems);
    blast.finish(problems);
    s.finish(problems);
    let config = KubernetesConfig {
        namespaces,
        lease_namespace: lease_namespace?,
        lease_name: lease_name?,
        blast_radius: BlastRadius { percent: percent?, pods: pods?, window: window? },
    };
    Some(watch?.then_some(config))
}
