//! What of the API server does not work at the moment, and why: kept request by request, so that it
//! is known at once and whoever asks.

mod fault;
mod observe;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::units::Timestamp;

pub use fault::{Answer, Asked, Fault};
pub(super) use observe::Observe;

/// What became of requests to the API server; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// Requests since the start, by verb, resource and answer.
    answers: BTreeMap<(&'static str, String, String), u64>,
    faults: BTreeMap<Asked, Fault>,
}

impl Health {
    /// Takes note of an answer, or that there was none.
    pub fn note(&self, asked: &Asked, answer: Answer, now: Timestamp) {
        let mut inner = self.lock();
        let key = (asked.verb, asked.resource.clone(), answer.to_string());
        *inner.answers.entry(key).or_default() += 1;
        if answer.is_failure(asked) {
            let first = || Fault::new(asked.clone(), answer, now);
            inner
                .faults
                .entry(asked.clone())
                .and_modify(|fault| fault.again(answer, now))
                .or_insert_with(first);
        } else if let Some(fault) = inner.faults.get_mut(asked) {
            fault.heal(now);
        }
        inner.faults.retain(|_, fault| fault.is_remembered(now));
    }

    /// What does not work now.
    pub fn faults(&self, now: Timestamp) -> Vec<Fault> {
        self.pick(|fault| fault.is_open(now))
    }

    /// The same with what has worked again for a moment only, for who has led since `since`: long
    /// enough that a status says it which could not be written before.
    pub fn lately(&self, now: Timestamp, since: Timestamp) -> Vec<Fault> {
        self.pick(|fault| fault.is_open(now) || fault.is_fresh(now, since))
    }

    /// Requests since the start, by verb, resource and answer.
    pub fn answers(&self) -> Vec<([(&'static str, String); 3], u64)> {
        let labelled =
            |((verb, resource, answer), count): (&(&'static str, String, String), &u64)| {
                let labels = [
                    ("verb", (*verb).to_owned()),
                    ("resource", resource.clone()),
                    ("answer", answer.clone()),
                ];
                (labels, *count)
            };
        self.lock().answers.iter().map(labelled).collect()
    }

    fn pick(&self, wanted: impl Fn(&Fault) -> bool) -> Vec<Fault> {
        self.lock().faults.values().filter(|fault| wanted(fault)).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
