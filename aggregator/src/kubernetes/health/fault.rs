//! One thing that the API server was asked for and does not do.

use std::fmt;
use std::time::Duration;

use crate::units::Timestamp;

/// A fault that is over is still told for so long, or so long after who met it leads again: a status
/// that could not be written is tried again every ten seconds.
const TOLD_FOR: Duration = Duration::from_secs(15);
/// What was not tried again for so long is not known to be broken any longer. A watch pauses for a
/// minute at most.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(90);

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// As rights are written: `get`, `list`, `watch`, `create`, `update`, `patch` or `delete`.
    pub verb: &'static str,
    /// Such as `deployments/scale`.
    pub resource: String,
    /// Where; `None` for all namespaces, or for what is in none.
    pub namespace: Option<String>,
}

impl fmt::Display for Asked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.verb, self.resource)?;
        self.namespace.iter().try_for_each(|namespace| write!(formatter, " in {namespace}"))
    }
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What was asked for.
    Done,
    /// A status code of 400 or more.
    Refused(u16),
    /// Nothing in the time that there was.
    Silence,
    /// No connection.
    Unreachable,
}

impl fmt::Display for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => formatter.write_str("ok"),
            Self::Refused(code) => write!(formatter, "{code}"),
            Self::Silence => formatter.write_str("none"),
            Self::Unreachable => formatter.write_str("unreachable"),
        }
    }
}

impl Answer {
    /// Whether it is not what one may expect. That a named object is not there is an answer.
    pub(super) fn is_failure(self, asked: &Asked) -> bool {
        match self {
            Self::Done => false,
            Self::Refused(404) => asked.verb != "get" && asked.verb != "delete",
            Self::Refused(_) | Self::Silence | Self::Unreachable => true,
        }
    }

    /// How often in a row it takes until something is wrong: a write may come too late now and
    /// then, and a watch may be told to begin anew.
    const fn patience(self) -> u32 {
        match self {
            Self::Refused(401 | 403 | 404) => 1,
            Self::Refused(409 | 410 | 422) => 3,
            Self::Done | Self::Refused(_) | Self::Silence | Self::Unreachable => 2,
        }
    }
}

/// Something that was asked for again and again, in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub asked: Asked,
    /// What came back last.
    pub answer: Answer,
    /// Since when.
    pub since: Timestamp,
    /// When it failed last.
    pub last: Timestamp,
    in_a_row: u32,
    healed: Option<Timestamp>,
}

impl Fault {
    pub(super) const fn new(asked: Asked, answer: Answer, now: Timestamp) -> Self {
        Self { asked, answer, since: now, last: now, in_a_row: 1, healed: None }
    }

    pub(super) fn again(&mut self, answer: Answer, now: Timestamp) {
        if self.healed.take().is_some() {
            self.since = now;
            self.in_a_row = 0;
        }
        self.answer = answer;
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.last = now;
    }

    pub(super) fn heal(&mut self, now: Timestamp) {
        self.healed.get_or_insert(now);
    }

    fn is_loud(&self) -> bool {
        self.in_a_row >= self.answer.patience()
    }

    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        self.is_loud() && self.healed.is_none() && now.since(self.last) < FORGOTTEN_AFTER
    }

    /// Whether it is over and not told yet by who leads since `since`.
    pub(super) fn is_fresh(&self, now: Timestamp, since: Timestamp) -> bool {
        let is_new = |healed: Timestamp| now.since(healed.max(since)) < TOLD_FOR;
        self.is_loud() && self.healed.is_some_and(is_new)
    }

    pub(super) fn is_remembered(&self, now: Timestamp) -> bool {
        now.since(self.healed.unwrap_or(self.last)) < FORGOTTEN_AFTER
    }

    /// Reason of a condition.
    pub const fn reason(&self) -> &'static str {
        match self.answer {
            Answer::Refused(401 | 403) => "Forbidden",
            Answer::Refused(404) => "NoDefinition",
            Answer::Refused(409) => "WritesConflict",
            Answer::Refused(410) => "WatchExpires",
            Answer::Refused(429) => "ApiServerOverloaded",
            Answer::Silence => "ApiTimeout",
            Answer::Unreachable => "ApiServerUnreachable",
            Answer::Done | Answer::Refused(_) => "ApiServerFails",
        }
    }

    /// What helps.
    const fn remedy(&self) -> &'static str {
        match self.answer {
            Answer::Refused(401 | 403) => {
                "bind the role foresail-read, foresail-scale or foresail-lease that allows it"
            }
            Answer::Refused(404) => "install the definition: foresail crd | kubectl apply -f -",
            Answer::Refused(409) => "see who else writes these objects, webhooks too",
            Answer::Refused(429) => "see what loads the API server; flow control may be too tight",
            Answer::Silence | Answer::Unreachable => {
                "see whether the API server runs and is reached from this pod"
            }
            Answer::Done | Answer::Refused(_) => "see the log of the API server",
        }
    }
}

/// In words, with the remedy.
impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, answer, .. } = self;
        match answer {
            Answer::Done | Answer::Refused(_) => {
                write!(formatter, "the API server answers {answer} to {asked}")
            }
            Answer::Silence => write!(formatter, "the API server does not answer {asked} in time"),
            Answer::Unreachable => write!(formatter, "no connection to {asked}"),
        }?;
        write!(formatter, "; {}", self.remedy())
    }
}
