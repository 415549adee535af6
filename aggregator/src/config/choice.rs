//! Settings that are one of a few words.

use serde_json::Value;

use super::promotion::Approval;
use super::reader::{Problem, Section};

/// Whether decisions are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Decide and record, write nothing. The default.
    #[default]
    Shadow,
    /// Decide, and scale in turns with whoever scaled before: see [`TurnsConfig`](super::TurnsConfig).
    Canary,
    /// Decide and scale.
    Active,
}

/// How patient the predictive answer is: fewer changes cost a little more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Follows the need closely.
    Responsive,
    /// The default.
    #[default]
    Stable,
    /// Few changes.
    Calm,
}

/// Where the capacity of a replica comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CapacitySource {
    /// `target_rps_per_replica`, as it stands. The default.
    #[default]
    Fixed,
    /// Learned from latency under load, beginning with `target_rps_per_replica`.
    Learned,
}

/// What may scale in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScaleIn {
    /// Observed demand alone: the forecast only ever raises above it. The default.
    #[default]
    Observed,
    /// The forecast too: for a workload on which it has been watched and found good.
    Forecast,
}

/// Whether a frame must come from the workload that it is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequireIdentity {
    /// Whoever reaches the address may post. The default.
    #[default]
    None,
    /// A proxy in front says in `x-forwarded-client-cert` whose certificate the sender showed; it
    /// must be of the frame's namespace, and of a service account of its workload where those are
    /// known.
    Xfcc,
}

/// The words of a setting.
pub(super) trait Choice: Copy + Default + 'static {
    /// Each with its value.
    const WORDS: &'static [(&'static str, Self)];
    /// All of them, for a problem's text.
    const VALID: &'static str;
}

impl Choice for Mode {
    const WORDS: &'static [(&'static str, Self)] =
        &[("shadow", Self::Shadow), ("canary", Self::Canary), ("active", Self::Active)];
    const VALID: &'static str = "shadow, canary or active";
}

impl Choice for RequireIdentity {
    const WORDS: &'static [(&'static str, Self)] = &[("none", Self::None), ("xfcc", Self::Xfcc)];
    const VALID: &'static str = "none or xfcc";
}

impl Choice for Profile {
    const WORDS: &'static [(&'static str, Self)] =
        &[("responsive", Self::Responsive), ("stable", Self::Stable), ("calm", Self::Calm)];
    const VALID: &'static str = "responsive, stable or calm";
}

impl Choice for CapacitySource {
    const WORDS: &'static [(&'static str, Self)] =
        &[("fixed", Self::Fixed), ("learned", Self::Learned)];
    const VALID: &'static str = "fixed or learned";
}

impl Choice for ScaleIn {
    const WORDS: &'static [(&'static str, Self)] =
        &[("observed", Self::Observed), ("forecast", Self::Forecast)];
    const VALID: &'static str = "observed or forecast";
}

impl Choice for Approval {
    const WORDS: &'static [(&'static str, Self)] =
        &[("manual", Self::Manual), ("automatic", Self::Automatic)];
    const VALID: &'static str = "manual or automatic";
}

/// Reads a choice; its default when it is not set.
pub(super) fn read<T: Choice>(
    section: &mut Section<'_>,
    key: &'static str,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    section.read(key, Some(T::default()), T::VALID, problems, |value: &Value| {
        let word = value.as_str()?;
        T::WORDS.iter().find(|(known, _)| *known == word).map(|(_, value)| *value)
    })
}
