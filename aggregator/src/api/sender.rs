//! Who posts a frame, and whether it may be about the workload that it names.
//!
//! A mesh lets every identity of its own in; that a frame is about its sender's own workload only
//! the receiver can check. The namespace must be the same, and the service account one under which
//! the workload's pods run, as far as they are known.

mod xfcc;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use foresail_wire::{Identity, decode_identity};
use thiserror::Error;

use super::state::App;
use crate::clock::Stopwatch;
use crate::config::RequireIdentity;
use crate::ingest::FrameResult;
use crate::units::WorkloadKey;
use xfcc::{Sender, Unreadable};

const HEADER: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
/// Refusals are logged at most so often.
const SAY_AGAIN: Duration = Duration::from_mins(1);

/// Why a frame is not taken from its sender.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Impostor {
    /// The sender went round the proxy, or the proxy does not say who it is. Let frames in through
    /// a sidecar with mutual TLS alone.
    #[error("no mesh identity came with it")]
    Anonymous,
    /// The header is not as a proxy writes it.
    #[error("the mesh identity that came with it cannot be read: {0}")]
    Unreadable(#[from] Unreadable),
    /// It is about a workload of another namespace.
    #[error("it is about namespace {claimed}, and {sender} sent it")]
    Namespace {
        /// Of the frame.
        claimed: String,
        /// Who sent it.
        sender: Sender,
    },
    /// It is about a workload whose pods run under other service accounts.
    #[error("it is about {claimed}, whose pods do not run as {sender}, who sent it")]
    Account {
        /// Whose frame it says it is.
        claimed: WorkloadKey,
        /// Who sent it.
        sender: Sender,
    },
}

impl Impostor {
    /// What is counted for it.
    pub(super) const fn result(&self) -> FrameResult {
        match self {
            Self::Anonymous | Self::Unreadable(_) => FrameResult::Unidentified,
            Self::Namespace { .. } | Self::Account { .. } => FrameResult::WrongIdentity,
        }
    }
}

/// What is asked of senders.
#[derive(Debug)]
pub(super) struct Senders {
    required: RequireIdentity,
    refused: AtomicU64,
    said: Mutex<Option<Stopwatch>>,
}

impl Senders {
    /// For a setting.
    pub(super) const fn new(required: RequireIdentity) -> Self {
        Self { required, refused: AtomicU64::new(0), said: Mutex::new(None) }
    }

    /// Who sent a request; `None` where nobody needs to say.
    pub(super) fn sender(&self, headers: &HeaderMap) -> Option<Result<Sender, Impostor>> {
        match self.required {
            RequireIdentity::None => None,
            RequireIdentity::Xfcc => Some(read(headers)),
        }
    }

    /// Takes note of a frame that is not taken, and says so now and then.
    pub(super) fn refuse(&self, impostor: &Impostor) {
        let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.as_ref().is_some_and(|at| at.elapsed() < SAY_AGAIN) {
            return;
        }
        *said = Some(Stopwatch::start());
        drop(said);
        tracing::warn!(
            refused,
            "a frame is not taken: {impostor}; if its sender is what it should be, see \
             `require_identity` in docs/istio.md"
        );
    }
}

fn read(headers: &HeaderMap) -> Result<Sender, Impostor> {
    let mut lines = headers.get_all(HEADER).iter();
    let line = lines.next().ok_or(Impostor::Anonymous)?;
    if lines.next().is_some() {
        // A proxy writes one line; of two nobody knows which is its own.
        return Err(Unreadable::SeveralLines.into());
    }
    Ok(xfcc::nearest(line.as_bytes())?)
}

/// Whether a frame is about its sender's own workload. Bytes that are no frame are nobody's, and
/// refused as such later.
pub(super) fn check(app: &App, sender: Sender, frame: &[u8]) -> Result<(), Impostor> {
    let Ok(Identity { namespace, workload, .. }) = decode_identity(frame) else { return Ok(()) };
    if namespace.as_str() != sender.namespace {
        return Err(Impostor::Namespace { claimed: namespace.to_string(), sender });
    }
    let claimed = WorkloadKey { namespace: namespace.to_string(), name: workload.to_string() };
    let managed = app.controls.get(&claimed).and_then(|control| control.managed().cloned());
    match managed.and_then(|managed| managed.runs_as(&sender.account)) {
        Some(false) => Err(Impostor::Account { claimed, sender }),
        Some(true) | None => Ok(()),
    }
}
