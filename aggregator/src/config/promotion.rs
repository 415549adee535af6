//! Under which terms a policy may take the place of the workload's own settings.

use std::time::Duration;

use super::choice;
use super::reader::{Problem, Section};
use super::turns::{self, TurnsConfig};

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// Who says that a candidate may be tried on live load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Approval {
    /// A person, by changing this setting. The default.
    #[default]
    Manual,
    /// The gates alone.
    Automatic,
}

/// See the module. All costs and violations of the gates are those of
/// [`crate::shadow`].
#[derive(Clone, Debug, PartialEq)]
pub struct PromotionConfig {
    /// The policy; one of `shadows`, and a way of Foresail or a model. Required.
    pub candidate: String,
    /// Who says that it may be tried: `manual` or `automatic`. Default `manual`.
    pub approval: Approval,
    /// Scored time as a shadow before it may be tried. Default 72 h, 1 min to 7 d.
    pub least_time: Duration,
    /// Share by which it must be cheaper. Default 0.02, 0 to 0.9.
    pub least_gain: f64,
    /// The most of its violations, as a multiple of those of the settings; within the budget they
    /// always are few enough. Default 1, 0 to 10.
    pub most_violations: f64,
    /// Length of the turns that it and the settings take while it is tried. Default 1 h, 1 min to 24 h.
    pub turn: Duration,
    /// Time at the beginning of a turn that is not compared, for it is the other's doing. Default
    /// 10 min, at most half of `turn`.
    pub carry_over: Duration,
    /// Compared time of its own turns after which it takes over. Default 24 h, 1 min to 7 d.
    pub least_turns_time: Duration,
}

impl PromotionConfig {
    /// How the candidate and the settings take turns.
    pub const fn turns(&self) -> TurnsConfig {
        TurnsConfig { turn: self.turn, carry_over: self.carry_over }
    }
}

/// Reads the section; `None` when there is none, or when a problem was found.
pub(super) fn read(
    parent: &mut Section<'_>,
    problems: &mut Vec<Problem>,
) -> Option<PromotionConfig> {
    parent.get("promotion")?;
    let mut s = parent.section("promotion", problems);
    let candidate = s.text("candidate", None, "the name of a policy in `shadows`", problems);
    let approval = choice::read(&mut s, "approval", problems);
    let least_time = s.duration("least_time", Some(3 * DAY), MINUTE..=7 * DAY, problems);
    let least_gain = s.number("least_gain", Some(0.02), 0.0..=0.9, problems);
    let most_violations = s.number("most_violations", Some(1.0), 0.0..=10.0, problems);
    let turns = turns::read(&mut s, MINUTE, problems);
    let least_turns_time = s.duration("least_turns_time", Some(DAY), MINUTE..=7 * DAY, problems);
    s.finish(problems);
    Some(PromotionConfig {
        candidate: candidate?,
        approval: approval?,
        least_time: least_time?,
        least_gain: least_gain?,
        most_violations: most_violations?,
        turn: turns?.turn,
        carry_over: turns?.carry_over,
        least_turns_time: least_turns_time?,
    })
}
