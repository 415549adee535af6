//! The plugin's configuration: JSON to validated values, all problems reported at once.

use std::fmt;
use std::time::Duration;

use foresail_wire::{Digits, Direction, MAX_TEXT_BYTES};
use serde_json::{Map, Value};

use crate::routes::{RouteLabels, Template};

/// Shortest and longest window.
pub const REPORT_INTERVAL_RANGE: (Duration, Duration) =
    (Duration::from_millis(200), Duration::from_mins(1));
/// Shortest and longest time to wait for the aggregator's answer.
pub const TIMEOUT_RANGE: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_mins(1));
/// The most templates in `path_templates` and in `grpc_streams`.
pub const MAX_TEMPLATES: usize = 64;

/// Every key that a configuration may have, with its default as the README shows it.
pub const KEYS: [(&str, &str); 14] = [
    ("cluster", "required"),
    ("path", "/v1/frames"),
    ("authority", "WORKLOAD.NAMESPACE of the identity"),
    ("report_interval", "1s"),
    ("timeout", "5s"),
    ("identity.namespace", "NAMESPACE of the node metadata, else default"),
    ("identity.workload", "WORKLOAD_NAME of the node metadata, else the node's cluster"),
    ("identity.pod", "NAME of the node metadata, else the node's id, of Kuma's the pod in it"),
    ("identity.revision", "label service.istio.io/canonical-revision of the node metadata"),
    ("direction", "auto"),
    ("quantile_digits", "2"),
    ("route_labels", "off"),
    ("path_templates", "none"),
    ("grpc_streams", "none"),
];

/// A configuration that can be honoured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where frames go.
    pub aggregator: Aggregator,
    /// Length of a window; windows are cut at its multiples of the wall clock.
    pub report_interval: Duration,
    /// Parts of the identity that are not left to the node metadata.
    pub identity: GivenIdentity,
    /// Which way this listener's requests go; `None`: ask the proxy.
    pub direction: Option<Direction>,
    /// Significant digits of latencies.
    pub digits: Digits,
    /// What makes the route label.
    pub routes: RouteLabels,
    /// gRPC methods whose calls are streams, whatever their duration.
    pub grpc_streams: Vec<Template>,
}

/// The aggregator as the proxy reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregator {
    /// Envoy cluster.
    pub cluster: String,
    /// Path of the request.
    pub path: String,
    /// `:authority` of the request, by which the proxy hashes over several aggregators; `None`:
    /// that of [`crate::identity::authority`].
    pub authority: Option<String>,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// The identity as far as the configuration gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenIdentity {
    /// Kubernetes namespace.
    pub namespace: Option<String>,
    /// Scaled object.
    pub workload: Option<String>,
    /// Replica.
    pub pod: Option<String>,
    /// Version of the workload.
    pub revision: Option<String>,
}

/// Why a configuration cannot be honoured: which key, what it says, and what it may say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Key, with dots between levels; `configuration` for the document.
    pub key: String,
    /// The value found, shortened; `nothing` when absent.
    pub value: String,
    /// Valid range, or what to do.
    pub remedy: &'static str,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} is {}; {}", self.key, self.value, self.remedy)
    }
}

impl Config {
    /// Reads the JSON that the proxy passes as the plugin's configuration.
    ///
    /// # Errors
    /// All problems, in the order of [`KEYS`], unknown keys last.
    pub fn from_json(json: &[u8]) -> Result<Self, Vec<Problem>> {
        let text = json.trim_ascii();
        let map = if text.is_empty() {
            Map::new()
        } else {
            match serde_json::from_slice(text) {
                Ok(Value::Object(map)) => map,
                Ok(other) => {
                    return Err(vec![document(shown(&other), "it must be a JSON object")]);
                }
                Err(error) => {
                    return Err(vec![document(format!("no JSON ({error})"), "correct it there")]);
                }
            }
        };
        let mut reader = Reader { map, prefix: "", problems: Vec::new() };
        let config = reader.config();
        reader.refuse_rest();
        match config {
            Some(config) if reader.problems.is_empty() => Ok(config),
            _ => Err(reader.problems),
        }
    }
}

fn document(value: String, remedy: &'static str) -> Problem {
    Problem { key: "configuration".to_owned(), value, remedy }
}

const CLUSTER: &str = "name the Envoy cluster of the aggregator";
const NAME: &str = "it must be a string of 1 to 256 bytes without control characters";

/// Takes keys out of an object one by one; what is left at the end is unknown.
struct Reader {
    map: Map<String, Value>,
    prefix: &'static str,
    problems: Vec<Problem>,
}

impl Reader {
    fn config(&mut self) -> Option<Config> {
        let cluster = self.take("cluster", CLUSTER, name);
        if cluster.is_none() && self.problems.is_empty() {
            self.problem("cluster", None, CLUSTER);
        }
        let path = self.take("path", "it must be a string that begins with /", http_path);
        let authority = self.take("authority", NAME, name);
        let report_interval =
            self.take("report_interval", "it must be 200ms to 60s, such as \"1s\"", |value| {
                within(duration(value)?, REPORT_INTERVAL_RANGE)
            });
        let timeout = self.take("timeout", "it must be 100ms to 60s, such as \"5s\"", |value| {
            within(duration(value)?, TIMEOUT_RANGE)
        });
        let identity = self.identity();
        let direction = self.take("direction", "it must be auto, inbound or outbound", |value| {
            match value.as_str()? {
                "auto" => Some(None),
                "inbound" => Some(Some(Direction::Inbound)),
                "outbound" => Some(Some(Direction::Outbound)),
                _ => None,
            }
        });
        let digits = self.take("quantile_digits", "it must be 1, 2 or 3", digits);
        let routes = self.routes();
        let grpc_streams = self.take(
            "grpc_streams",
            "it must list 1 to 64 gRPC methods, such as [\"/package.Service/Method\"]",
            templates,
        );
        Some(Config {
            aggregator: Aggregator {
                cluster: cluster?,
                authority,
                path: path.unwrap_or_else(|| "/v1/frames".to_owned()),
                timeout: timeout.unwrap_or(Duration::from_secs(5)),
            },
            report_interval: report_interval.unwrap_or(Duration::from_secs(1)),
            identity,
            direction: direction.flatten(),
            digits: digits.unwrap_or_default(),
            routes,
            grpc_streams: grpc_streams.unwrap_or_default(),
        })
    }

    fn identity(&mut self) -> GivenIdentity {
        let remedy = "it must be an object with namespace, workload, pod, revision";
        let Some(map) = self.take("identity", remedy, |value| value.as_object().cloned()) else {
            return GivenIdentity::default();
        };
        let mut inner = Reader { map, prefix: "identity.", problems: Vec::new() };
        let identity = GivenIdentity {
            namespace: inner.take("namespace", NAME, name),
            workload: inner.take("workload", NAME, name),
            pod: inner.take("pod", NAME, name),
            revision: inner.take("revision", NAME, name),
        };
        inner.refuse_rest();
        self.problems.append(&mut inner.problems);
        identity
    }

    fn routes(&mut self) -> RouteLabels {
        let kind = self.take("route_labels", "it must be off, name or path", |value| {
            value.as_str().filter(|kind| ["off", "name", "path"].contains(kind)).map(str::to_owned)
        });
        let listed = self.map.contains_key("path_templates");
        let found = self.take(
            "path_templates",
            "it must list 1 to 64 templates, such as [\"/users/{id}\"]",
            templates,
        );
        match (kind.as_deref(), found) {
            (Some("path"), Some(found)) => RouteLabels::Path(found),
            (Some("path"), None) => {
                if !listed {
                    self.problem(
                        "path_templates",
                        None,
                        "route_labels \"path\" needs 1 to 64 of them, such as [\"/users/{id}\"]",
                    );
                }
                RouteLabels::Off
            }
            (_, Some(found)) => {
                let texts: Vec<_> = found.iter().map(Template::as_str).collect();
                self.problem(
                    "path_templates",
                    Some(&texts.into()),
                    "set route_labels to \"path\" or remove it",
                );
                RouteLabels::Off
            }
            (Some("name"), None) => RouteLabels::Name,
            _ => RouteLabels::Off,
        }
    }

    /// Removes a key. Absent and null are `None`; a value that `read` refuses is a problem.
    fn take<T>(
        &mut self,
        key: &'static str,
        remedy: &'static str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.map.remove(key).filter(|value| !value.is_null())?;
        let result = read(&value);
        if result.is_none() {
            self.problem(key, Some(&value), remedy);
        }
        result
    }

    fn problem(&mut self, key: &str, value: Option<&Value>, remedy: &'static str) {
        self.problems.push(Problem {
            key: format!("{}{key}", self.prefix),
            value: value.map_or_else(|| "nothing".to_owned(), shown),
            remedy,
        });
    }

    fn refuse_rest(&mut self) {
        for (key, value) in std::mem::take(&mut self.map) {
            let key: String = key.chars().take(64).collect();
            self.problem(&key, Some(&value), "no such key; see filter/README.md");
        }
    }
}

/// A value as the log shows it.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 120;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

fn name(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let valid = (1..=MAX_TEXT_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
    valid.then(|| text.to_owned())
}

fn http_path(value: &Value) -> Option<String> {
    name(value).filter(|path| path.starts_with('/') && !path.contains(char::is_whitespace))
}

fn digits(value: &Value) -> Option<Digits> {
    // A protobuf Struct knows floats only, so 2 may arrive as 2.0.
    [1_u8, 2, 3]
        .into_iter()
        .find(|digits| value.as_f64() == Some(f64::from(*digits)))
        .and_then(|digits| Digits::new(digits).ok())
}

fn templates(value: &Value) -> Option<Vec<Template>> {
    let list = value.as_array()?;
    if !(1..=MAX_TEMPLATES).contains(&list.len()) {
        return None;
    }
    list.iter().map(|item| Template::parse(item.as_str()?)).collect()
}

/// `"250ms"`, `"1s"`, `"1.5s"`, `"1m"`.
fn duration(value: &Value) -> Option<Duration> {
    let text = value.as_str()?.trim();
    let (number, unit_millis) = if let Some(number) = text.strip_suffix("ms") {
        (number, 1)
    } else if let Some(number) = text.strip_suffix('s') {
        (number, 1_000)
    } else {
        (text.strip_suffix('m')?, 60_000)
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |part: &str| {
        (1..=6).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !(is_number(whole) && is_number(fraction)) {
        return None;
    }
    let thousandths: u64 =
        fraction.chars().chain("000".chars()).take(3).collect::<String>().parse().ok()?;
    let millis = whole.parse::<u64>().ok()? * unit_millis + thousandths * unit_millis / 1_000;
    Some(Duration::from_millis(millis))
}

fn within(value: Duration, (least, most): (Duration, Duration)) -> Option<Duration> {
    (least..=most).contains(&value).then_some(value)
}
