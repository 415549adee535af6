//! What is to be sent: at least once each, one at a time, with numbers that make it exactly once.
//!
//! A frame gets its number when it is first sent. From then on it may have been counted, so it is
//! never changed or merged, only sent again; and the next one waits for its answer. Windows that
//! were never sent may be merged when too many wait: then resolution is lost, no count is.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use foresail_wire::{Digits, EncodeError, Frame, Health, LatencyHistogram, Series, encode};

/// The most windows that wait to be sent.
pub const MAX_WAITING: usize = 30;
/// About how much memory they may take, so that the VM stays below 4 MiB.
pub const MAX_WAITING_BYTES: usize = 640 * 1024;
/// The longest pause between two sendings of a frame.
pub const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// The longest body of an answer that can be the aggregator's. Whoever says 200 with more is somebody
/// else, and what he has been told would be lost.
pub const MAX_ANSWER_BYTES: usize = 4 * 1024;
/// The least time between two lines in the proxy's log about the same thing.
const LOG_PAUSE_MICROS: u64 = 60_000_000;
/// How much longer than the proxy's own time limit an answer is waited for. It comes later only
/// when the root context that asked is gone, and then never.
const GRACE_MICROS: u64 = 2_000_000;

/// The frames of an instance that the aggregator has not acknowledged.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<Frame<'static>>,
    outstanding: Option<Outstanding>,
    last_sequence: u64,
    merged: u64,
    failed_sends: u64,
    /// Frames that the aggregator will never take.
    refused: u64,
    unreachable_logged: Option<u64>,
    refused_logged: Option<u64>,
}

#[derive(Debug)]
struct Outstanding {
    frame: Frame<'static>,
    failures: u32,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// To be sent again at this time.
    Due { at_micros: u64 },
    /// Sent, no answer yet.
    Sent { token: u32, deadline_micros: u64 },
}

/// Something that the operator should find in the proxy's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The aggregator did not take a frame and never will.
    Refused {
        /// Its answer.
        status: u16,
        /// How many frames were refused so far.
        refused: u64,
    },
    /// The aggregator did not answer, or not with success.
    Unreachable {
        /// Its answer, if there was one.
        status: Option<u16>,
    },
    /// It answers again.
    Reached,
}

impl fmt::Display for Notice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { status: 403, refused } => write!(
                formatter,
                "the aggregator refuses frames with 403 ({refused} so far); they are dropped: check \
                 that this proxy's mesh identity is of the workload that it reports, and who may \
                 post frames"
            ),
            Self::Refused { status, refused } => write!(
                formatter,
                "the aggregator refuses frames with {status} ({refused} so far); they are dropped: \
                 check that its version fits this filter's"
            ),
            Self::Unreachable { status: Some(status) } => {
                write!(formatter, "the aggregator answers {status}; frames are kept and sent again")
            }
            Self::Unreachable { status: None } => formatter.write_str(
                "the aggregator does not answer; frames are kept and sent again: check that the \
                 cluster exists and is reachable",
            ),
            Self::Reached => formatter.write_str("the aggregator answers again"),
        }
    }
}

impl Outbox {
    /// Takes a window that has ended. Its sequence and health are filled in when it is sent.
    pub fn push(&mut self, frame: Frame<'static>) {
        self.waiting.push_back(frame);
        while self.waiting.len() > MAX_WAITING
            || (self.waiting.len() > 1 && self.waiting_bytes() > MAX_WAITING_BYTES)
        {
            self.merge_oldest();
        }
    }

    fn waiting_bytes(&self) -> usize {
        self.waiting.iter().map(weight).sum()
    }

    fn merge_oldest(&mut self) {
        let Some(oldest) = self.waiting.pop_front() else { return };
        let Some(next) = self.waiting.front_mut() else { return };
        // All frames of an outbox are of one instance, so this cannot fail.
        if next.merge(oldest).is_ok() {
            self.merged = self.merged.saturating_add(1);
        }
    }

    /// Windows and frames that are not acknowledged.
    pub fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.outstanding.is_some())
    }

    /// Whether everything is acknowledged.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes to send now, if any; [`Outbox::sent`] must follow.
    pub fn next(&mut self, now_micros: u64, rest: Health) -> Option<Vec<u8>> {
        self.expire(now_micros);
        if self.outstanding.is_none() {
            let mut frame = self.waiting.pop_front()?;
            self.last_sequence += 1;
            frame.sequence = self.last_sequence;
            frame.health = Health { merged: self.merged, failed_sends: self.failed_sends, ..rest };
            make_fit(&mut frame);
            let state = State::Due { at_micros: now_micros };
            self.outstanding = Some(Outstanding { frame, failures: 0, state });
        }
        let outstanding = self.outstanding.as_mut()?;
        match outstanding.state {
            State::Due { at_micros } if at_micros <= now_micros => {
                outstanding.frame.sent_at_micros = now_micros;
                encode(&outstanding.frame).ok()
            }
            _ => None,
        }
    }

    /// Says whether the proxy took the request: its token, and how long it waits for the answer.
    pub fn sent(
        &mut self,
        token: Option<u32>,
        timeout: Duration,
        now_micros: u64,
    ) -> Option<Notice> {
        let Some(token) = token else { return self.failed(None, now_micros) };
        let deadline_micros =
            now_micros.saturating_add(micros(timeout)).saturating_add(GRACE_MICROS);
        if let Some(outstanding) = &mut self.outstanding {
            outstanding.state = State::Sent { token, deadline_micros };
        }
        None
    }

    /// Takes the answer to a request with its body's length; `None` is a time-out or a reset. The next frame may then be
    /// sent at once.
    pub fn answered(
        &mut self,
        token: u32,
        status: Option<u16>,
        body_bytes: usize,
        now_micros: u64,
    ) -> Option<Notice> {
        let current = matches!(
            &self.outstanding,
            Some(Outstanding { state: State::Sent { token: of, .. }, .. }) if *of == token
        );
        if !current {
            return None;
        }
        match status {
            Some(200 | 202) if body_bytes <= MAX_ANSWER_BYTES => {
                self.outstanding = None;
                self.unreachable_logged.take().map(|_| Notice::Reached)
            }
            Some(status @ (400 | 403 | 413)) => {
                self.outstanding = None;
                self.failed_sends = self.failed_sends.saturating_add(1);
                self.refused = self.refused.saturating_add(1);
                let refused = self.refused;
                due(&mut self.refused_logged, now_micros)
                    .then_some(Notice::Refused { status, refused })
            }
            other => self.failed(other, now_micros),
        }
    }

    fn failed(&mut self, status: Option<u16>, now_micros: u64) -> Option<Notice> {
        self.failed_sends = self.failed_sends.saturating_add(1);
        if let Some(outstanding) = &mut self.outstanding {
            let pause = backoff(outstanding.failures);
            outstanding.failures = outstanding.failures.saturating_add(1);
            outstanding.state = State::Due { at_micros: now_micros.saturating_add(micros(pause)) };
        }
        due(&mut self.unreachable_logged, now_micros).then_some(Notice::Unreachable { status })
    }

    /// Gives up on an answer that can no longer come.
    fn expire(&mut self, now_micros: u64) {
        let late = matches!(
            &self.outstanding,
            Some(Outstanding { state: State::Sent { deadline_micros, .. }, .. })
                if *deadline_micros < now_micros
        );
        if late {
            self.failed_sends = self.failed_sends.saturating_add(1);
            if let Some(outstanding) = &mut self.outstanding {
                outstanding.state = State::Due { at_micros: now_micros };
            }
        }
    }
}

/// The first repetition comes with the next tick, later ones after 1, 2 and 4 s, then every 5 s.
fn backoff(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        n => Duration::from_secs(1_u64.checked_shl(n - 1).unwrap_or(u64::MAX)).min(MAX_BACKOFF),
    }
}

fn due(last: &mut Option<u64>, now_micros: u64) -> bool {
    let due = last.is_none_or(|last| now_micros.saturating_sub(last) >= LOG_PAUSE_MICROS);
    if due {
        *last = Some(now_micros);
    }
    due
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn weight(frame: &Frame<'_>) -> usize {
    let of = |series: &Series<'_>| {
        let buckets = series.latency.buckets().len() + series.first_byte.buckets().len();
        size_of::<Series<'_>>()
            + series.key.destination.as_str().len()
            + series.key.route.as_str().len()
            + buckets * size_of::<foresail_wire::Bucket>()
    };
    frame.series.iter().map(of).sum()
}

/// A frame beyond the size limit is sent with fewer digits. With one digit it always fits.
fn make_fit(frame: &mut Frame<'_>) {
    for digits in [2, 1] {
        let Ok(digits) = Digits::new(digits) else { return };
        if !matches!(encode(frame), Err(EncodeError::TooLarge { .. } | EncodeError::Codec(_))) {
            return;
        }
        for series in &mut frame.series {
            for histogram in [&mut series.latency, &mut series.first_byte] {
                let mut coarser = LatencyHistogram::new(digits);
                coarser.merge(histogram);
                *histogram = coarser;
            }
        }
    }
}
