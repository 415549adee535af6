//! What a configuration may say, what is said about one that is wrong, and what the README says.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use foresail_filter::config::{Config, KEYS};
use foresail_filter::routes::RouteLabels;
use foresail_wire::Direction;

fn problems(json: &str) -> Vec<String> {
    Config::from_json(json.as_bytes())
        .unwrap_err()
        .iter()
        .map(|problem| format!("{} is {}", problem.key, problem.value))
        .collect()
}

#[test]
fn only_the_cluster_is_needed() {
    let config = Config::from_json(br#"{"cluster":"aggregator"}"#).unwrap();

    assert_eq!(config.aggregator.cluster, "aggregator");
    assert_eq!(config.aggregator.authority, None);
    assert_eq!(config.aggregator.path, "/v1/frames");
    assert_eq!(config.aggregator.timeout, Duration::from_secs(5));
    assert_eq!(config.report_interval, Duration::from_secs(1));
    assert_eq!(config.direction, None);
    assert_eq!(config.digits.get(), 2);
    assert_eq!(config.routes, RouteLabels::Off);
    assert!(config.grpc_streams.is_empty());
}

#[test]
fn everything_can_be_given() {
    let json = r#"{
        "cluster": "outbound|8080||foresail.foresail.svc.cluster.local",
        "path": "/frames", "authority": "foresail", "report_interval": "1.5s", "timeout": "250ms",
        "identity": {"namespace": "shop", "workload": "cart", "pod": "cart-0", "revision": "v2"},
        "direction": "outbound", "quantile_digits": 3.0,
        "route_labels": "path", "path_templates": ["/users/{id}", "/orders/{id}/items"],
        "grpc_streams": ["/grpc.health.v1.Health/Watch"]
    }"#;
    let config = Config::from_json(json.as_bytes()).unwrap();

    assert_eq!(config.aggregator.authority.as_deref(), Some("foresail"));
    assert_eq!(config.report_interval, Duration::from_millis(1_500));
    assert_eq!(config.aggregator.timeout, Duration::from_millis(250));
    assert_eq!(config.identity.workload.as_deref(), Some("cart"));
    assert_eq!(config.direction, Some(Direction::Outbound));
    assert_eq!(config.digits.get(), 3);
    assert!(matches!(config.routes, RouteLabels::Path(templates) if templates.len() == 2));
}

#[test]
fn all_problems_are_reported_at_once() {
    let json = r#"{
        "path": "frames", "report_interval": "100ms", "identity": {"pods": "x", "workload": ""},
        "direction": "both", "quantile_digits": 4, "route_labels": "path", "colour": "blue"
    }"#;
    assert_eq!(
        problems(json),
        [
            "cluster is nothing",
            r#"path is "frames""#,
            r#"report_interval is "100ms""#,
            r#"identity.workload is """#,
            r#"identity.pods is "x""#,
            r#"direction is "both""#,
            "quantile_digits is 4",
            "path_templates is nothing",
            r#"colour is "blue""#,
        ]
    );
}

#[test]
fn what_is_no_object_is_one_problem() {
    for json in ["[]", "\"x\"", "{", "{\"cluster\":\"a\"", "\u{0}", "{\"a\":1}x"] {
        assert_eq!(problems(json).len(), 1, "{json:?}");
    }
    assert_eq!(problems("").len(), 1, "an absent configuration lacks the cluster");
    assert_eq!(problems("null").len(), 1);
}

#[test]
fn durations_have_units_and_a_range() {
    let read = |text: &str| {
        let json = format!(r#"{{"cluster":"a","report_interval":"{text}"}}"#);
        Config::from_json(json.as_bytes()).ok().map(|config| config.report_interval.as_millis())
    };
    let valid = [("200ms", 200), ("1s", 1_000), ("0.25s", 250), ("60s", 60_000), ("1m", 60_000)];
    for (text, millis) in valid {
        assert_eq!(read(text), Some(millis), "{text}");
    }
    for text in ["199ms", "60.001s", "1", "-1s", "1e3ms", "s", ".5s", "1.s", "NaNs", "9999999999s"]
    {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn templates_without_path_labels_are_refused() {
    let json = r#"{"cluster":"a","path_templates":["/a"]}"#;
    assert_eq!(problems(json), [r#"path_templates is ["/a"]"#]);
    let json = r#"{"cluster":"a","route_labels":"path","path_templates":["/a/{b","c"]}"#;
    assert_eq!(problems(json).len(), 1);
}

#[test]
fn the_readme_lists_every_key_with_its_default() {
    let readme = include_str!("../README.md");
    let rows: Vec<_> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|row| {
            let (key, rest) = row.split_once("` | ")?;
            Some((key, rest.split_once(" | ")?.0.replace('`', "")))
        })
        .collect();
    let keys: Vec<_> = KEYS.iter().map(|(key, default)| (*key, (*default).to_owned())).collect();
    assert_eq!(rows, keys);
}
