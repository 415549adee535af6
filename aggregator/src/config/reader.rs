//! Reads settings from parsed YAML and remembers every problem instead of stopping at the first.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

/// One setting that cannot be honoured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands: `workloads[0].objective.latency`.
    pub key: String,
    /// The value as written; `(absent)` when it is missing.
    pub value: String,
    /// What is valid.
    pub valid: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {} is not valid; use {}", self.key, self.value, self.valid)
    }
}

/// The longest value that is repeated in a problem.
const MAX_QUOTED: usize = 80;

/// A mapping of settings. What is not asked for before [`Section::finish`] is unknown.
#[derive(Debug)]
pub(super) struct Section<'a> {
    path: String,
    values: Option<&'a Map<String, Value>>,
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// Opens a mapping. Anything but a mapping is a problem; then every setting is its default.
    pub(super) fn open(
        path: String,
        value: Option<&'a Value>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let values = match value {
            None | Some(Value::Null) => None,
            Some(Value::Object(values)) => Some(values),
            Some(other) => {
                problems.push(problem(&path, Some(other), "a mapping of settings"));
                None
            }
        };
        Self { path, values, asked: Vec::new() }
    }

    /// Opens a mapping inside this one.
    pub(super) fn section(
        &mut self,
        key: &'static str,
        problems: &mut Vec<Problem>,
    ) -> Section<'a> {
        let value = self.get(key);
        Section::open(self.path_of(key), value, problems)
    }

    /// The elements of a list with their paths; absent is empty.
    pub(super) fn list(
        &mut self,
        key: &'static str,
        problems: &mut Vec<Problem>,
    ) -> Option<Vec<(String, &'a Value)>> {
        let path = self.path_of(key);
        match self.get(key) {
            None => None,
            Some(Value::Array(items)) => {
                let path_of = |at| format!("{path}[{at}]");
                Some(items.iter().enumerate().map(|(at, item)| (path_of(at), item)).collect())
            }
            Some(other) => {
                problems.push(problem(&path, Some(other), "a list"));
                None
            }
        }
    }

    /// The value of a setting, which is known from now on.
    pub(super) fn get(&mut self, key: &'static str) -> Option<&'a Value> {
        self.asked.push(key);
        self.values.and_then(|values| values.get(key)).filter(|value| !value.is_null())
    }

    /// A setting read by `parse`; `default` when it is absent, a problem when `parse` says no.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        default: Option<T>,
        valid: &str,
        problems: &mut Vec<Problem>,
        parse: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.get(key);
        let parsed = match value {
            None => default,
            Some(value) => parse(value),
        };
        if parsed.is_none() {
            problems.push(problem(&self.path_of(key), value, valid));
        }
        parsed
    }

    /// A whole number within a range.
    pub(super) fn whole(
        &mut self,
        key: &'static str,
        default: Option<u32>,
        range: std::ops::RangeInclusive<u32>,
        problems: &mut Vec<Problem>,
    ) -> Option<u32> {
        let valid = format!("a whole number from {} to {}", range.start(), range.end());
        self.read(key, default, &valid, problems, |value| {
            let number = value.as_u64().and_then(|number| u32::try_from(number).ok())?;
            range.contains(&number).then_some(number)
        })
    }

    /// A number within a range; NaN is in none.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        default: Option<f64>,
        range: std::ops::RangeInclusive<f64>,
        problems: &mut Vec<Problem>,
    ) -> Option<f64> {
        let valid = format!("a number from {} to {}", range.start(), range.end());
        self.read(key, default, &valid, problems, |value| {
            value.as_f64().filter(|number| range.contains(number))
        })
    }

    /// A duration such as `250ms`, `15s`, `5m`, `24h` or `7d`, within a range.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        default: Option<Duration>,
        range: std::ops::RangeInclusive<Duration>,
        problems: &mut Vec<Problem>,
    ) -> Option<Duration> {
        let valid = format!(
            "a duration from {} to {}, such as 250ms, 15s, 5m, 24h or 7d",
            in_words(*range.start()),
            in_words(*range.end())
        );
        self.read(key, default, &valid, problems, |value| {
            value.as_str().and_then(parse_duration).filter(|duration| range.contains(duration))
        })
    }

    /// Text that is not empty.
    pub(super) fn text(
        &mut self,
        key: &'static str,
        default: Option<&str>,
        valid: &str,
        problems: &mut Vec<Problem>,
    ) -> Option<String> {
        self.read(key, default.map(str::to_owned), valid, problems, |value| {
            value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
        })
    }

    /// Where a setting of this mapping stands.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Names the settings that nothing reads, so that a typing error is not a silent default.
    pub(super) fn finish(self, problems: &mut Vec<Problem>) {
        let Some(values) = self.values else { return };
        for (key, value) in values {
            if !self.asked.contains(&key.as_str()) {
                let valid = format!("one of {}", self.asked.join(", "));
                let mut unknown = problem(&self.path_of(key), Some(value), &valid);
                "an unknown setting".clone_into(&mut unknown.value);
                problems.push(unknown);
            }
        }
    }
}

/// A problem with a setting at `path`.
pub(super) fn problem(path: &str, value: Option<&Value>, valid: &str) -> Problem {
    let mut quoted = value.map_or_else(|| "(absent)".to_owned(), Value::to_string);
    if let Some((cut, _)) = quoted.char_indices().nth(MAX_QUOTED) {
        quoted.truncate(cut);
        quoted.push('…');
    }
    let key = if path.is_empty() { "(the file)".to_owned() } else { path.to_owned() };
    Problem { key, value: quoted, valid: valid.to_owned() }
}

/// Reads `250ms`, `15s`, `5m`, `24h`, `7d`; whole numbers only, `None` for anything else.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(millis)?))
}

/// A duration as one would type it.
fn in_words(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if millis >= size && millis.is_multiple_of(size) {
            return format!("{}{unit}", millis / size);
        }
    }
    format!("{millis}ms")
}
