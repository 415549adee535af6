//! Label selectors as they stand in a request: `workload=web`, `workload in (web,cart)`, `!canary`.
//!
//! Grammar: `k8s.io/apimachinery/pkg/labels`, but for its comparisons `>` and `<`, which no label of
//! ours could answer.

use std::collections::{BTreeMap, BTreeSet};

use kube::core::{Expression, Selector, SelectorExt};
use thiserror::Error;

/// The selector cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "labelSelector: {0:?} is not valid; use key=value, key!=value, key in (a,b), key notin (a,b), key or !key"
)]
pub(super) struct BadSelector(String);

/// Reads a selector; an empty one selects everything.
pub(super) fn parse(text: &str) -> Result<Selector, BadSelector> {
    let parts = split(text).into_iter().map(str::trim);
    parts
        .filter(|_| !text.trim().is_empty())
        .map(|part| requirement(part).ok_or_else(|| BadSelector(text.to_owned())))
        .collect()
}

/// Whether labels are selected.
pub(super) fn matches(selector: &Selector, labels: &BTreeMap<String, String>) -> bool {
    selector.matches(labels)
}

/// Splits at the commas outside parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(|c| {
        depth = match c {
            '(' => depth + 1,
            ')' => depth.saturating_sub(1),
            _ => depth,
        };
        c == ',' && depth == 0
    })
    .collect()
}

fn requirement(text: &str) -> Option<Expression> {
    if let Some(key) = text.strip_prefix('!') {
        return Some(Expression::DoesNotExist(word(key)?));
    }
    if let Some((key, value)) = text.split_once("!=") {
        return Some(Expression::NotEqual(word(key)?, value_of(value)?));
    }
    if let Some((key, value)) = text.split_once('=') {
        let value = value.strip_prefix('=').unwrap_or(value);
        return Some(Expression::Equal(word(key)?, value_of(value)?));
    }
    if let Some((head, values)) = text.strip_suffix(')').and_then(|rest| rest.split_once('(')) {
        let values: Option<BTreeSet<_>> = values.split(',').map(value_of).collect();
        let (key, operator) = head.trim().split_once(char::is_whitespace)?;
        return match operator.trim() {
            "in" => Some(Expression::In(word(key)?, values?)),
            "notin" => Some(Expression::NotIn(word(key)?, values?)),
            _ => None,
        };
    }
    Some(Expression::Exists(word(text)?))
}

/// A key: not empty, of the characters that keys have.
fn word(text: &str) -> Option<String> {
    value_of(text).filter(|word| !word.is_empty())
}

/// A value, which may be empty.
fn value_of(text: &str) -> Option<String> {
    let text = text.trim();
    let is_valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    text.chars().all(is_valid).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(selector: &str, workload: &str) -> bool {
        let labels = BTreeMap::from([("workload".to_owned(), workload.to_owned())]);
        matches(&parse(selector).unwrap(), &labels)
    }

    #[test]
    fn every_form_that_kubernetes_writes_is_read() {
        for (selector, web, cart) in [
            ("", true, true),
            ("workload=web", true, false),
            ("workload==web", true, false),
            ("workload!=web", false, true),
            ("workload in (web)", true, false),
            ("workload in (cart, web)", true, true),
            ("workload notin (cart,api)", true, false),
            ("workload", true, true),
            ("!workload", false, false),
            ("!canary,workload in (web,api)", true, false),
            ("workload=", false, false),
        ] {
            assert_eq!(selects(selector, "web"), web, "{selector} and web");
            assert_eq!(selects(selector, "cart"), cart, "{selector} and cart");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_selects_nothing() {
        for bad in
            ["=web", "workload in web", "workload of (web)", "a b", ",", "workload=web,", "!"]
        {
            assert!(parse(bad).is_err(), "{bad} was taken");
        }
    }
}
