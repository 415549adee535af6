//! The predictive answer: the replicas that cost least over the steps that a decision can still
//! change, at the price of risk and with a price on change itself. Raised at once where raising
//! pays; lowered where keeping does not, after a moment of patience.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pricing::{Stretch, bounds, cheapest, quantile};
use super::replicas_for;
use super::risk::RiskPrice;
use crate::config::{Part, Profile};
use crate::forecast::Point;

/// A backlog is worked off within this time.
const DRAIN: f64 = 30.0;
/// The highest load seen fades by this factor a decision.
const FADE: f64 = 0.9998;
/// Load above this multiple of the faded highest is not insured.
const INSURED: f64 = 1.5;

/// What a change must be worth.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Change {
    /// Steps, besides the least that it bears on, over which it is weighed.
    steps: usize,
    /// Its price in replica steps, for every replica there is.
    whole: f64,
    /// Its price in replica steps, for every replica that is changed.
    each: f64,
}

/// How patient a profile is.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Patience {
    raise: Change,
    lower: Change,
    /// Decisions in a row that must be for lowering; the highest counts.
    remembered: usize,
}

const fn patience(profile: Profile) -> Patience {
    match profile {
        Profile::Responsive => Patience {
            raise: Change { steps: 1, whole: 0.1, each: 0.0 },
            lower: Change { steps: 8, whole: 0.4, each: 0.0 },
            remembered: 2,
        },
        Profile::Stable => Patience {
            raise: Change { steps: 2, whole: 0.2, each: 1.0 },
            lower: Change { steps: 10, whole: 0.8, each: 2.0 },
            remembered: 4,
        },
        Profile::Calm => Patience {
            raise: Change { steps: 2, whole: 0.2, each: 3.0 },
            lower: Change { steps: 14, whole: 0.8, each: 8.0 },
            remembered: 4,
        },
    }
}

/// What the predictive answer looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    /// Mean rate since the last decision, in requests per second.
    pub(super) rps: f64,
    /// Requests that wait beyond what the replicas hold in normal service.
    pub(super) backlog: f64,
    /// What a ready replica serves safely, in requests per second.
    pub(super) capacity: f64,
    /// Forecasts, nearest first.
    pub(super) points: &'a [Point],
    /// Steps until a replica ordered now serves.
    pub(super) lead: usize,
    /// Replicas that exist, starting ones included.
    pub(super) replicas: u32,
    /// How patient to be.
    pub(super) profile: Profile,
    /// A part that is left out.
    pub(super) without: Option<Part>,
}

impl View<'_> {
    fn patience(&self) -> Patience {
        let mut whole = patience(self.profile);
        match self.without {
            Some(Part::Hold) => {
                (whole.raise.steps, whole.lower.steps, whole.remembered) = (0, 0, 1);
            }
            Some(Part::ChangePrice) => {
                for change in [&mut whole.raise, &mut whole.lower] {
                    (change.whole, change.each) = (0.0, 0.0);
                }
            }
            _ => {}
        }
        whole
    }

    /// The number in `from..=to` that is worth changing to over a stretch; the present one when
    /// none is.
    fn changed(&self, stretch: &Stretch<'_>, from: u32, to: u32, market: Market) -> u32 {
        let Market { change, price } = market;
        let current = self.replicas;
        if self.without == Some(Part::Pricing) {
            let tails = stretch.points().map(|point| &point.tail);
            let need = tails.map(|tail| quantile(tail, self.capacity, price)).max();
            let need = need.filter(|need| (*need > current) == (from > current));
            return need.map_or(current, |need| need.max(from).min(to.max(current)));
        }
        let cost = |replicas: u32| {
            let fee = change.whole * f64::from(current)
                + change.each * f64::from(replicas.abs_diff(current));
            stretch.cost(replicas, self.capacity, price) + fee
        };
        let stays = stretch.cost(current, self.capacity, price);
        cheapest(from, to, stays, stretch.steps, cost).unwrap_or(current)
    }
}

/// What changes are weighed with.
#[derive(Clone, Copy, Debug)]
struct Market {
    change: Change,
    /// Price of risk.
    price: f64,
}

/// What it answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Answer {
    /// Replicas to have.
    pub(super) desired: u32,
    /// What is worth having by the newest forecast alone.
    pub(super) worth: u32,
    /// The forecast that asks for most.
    pub(super) deciding: Point,
}

/// State of the predictive answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Priced {
    price: RiskPrice,
    recent: VecDeque<u32>,
    highest_rps: f64,
}

impl Priced {
    /// Nothing remembered yet.
    pub const fn new(price: RiskPrice) -> Self {
        Self { price, recent: VecDeque::new(), highest_rps: 0.0 }
    }

    /// The price of risk.
    pub const fn price(&self) -> &RiskPrice {
        &self.price
    }

    /// Learns whether the objective held.
    pub(super) fn learn(&mut self, missed: bool, rps: f64, budget: f64) {
        self.price.observe(missed, rps, budget);
    }

    /// Answers; `None` without a forecast.
    pub(super) fn answer(&mut self, view: &View<'_>) -> Option<Answer> {
        let Patience { raise, lower, remembered } = view.patience();
        self.highest_rps = (self.highest_rps * FADE).max(view.rps);
        let price = self.price.get();
        let measured = if view.without == Some(Part::ReactiveFloor) { 0.0 } else { view.rps };
        let now = replicas_for(measured + view.backlog / DRAIN, view.capacity);
        let (least, most) = bounds(view.points, view.capacity, INSURED * self.highest_rps);
        let current = view.replicas;

        // What is ordered now serves from the lead on.
        let ahead = Stretch::new(view.points, view.lead, view.lead + raise.steps);
        let market = Market { change: raise, price };
        let above = view.changed(&ahead, least.max(current + 1), most, market);
        let raised = above.max(now).max(if current < least { least } else { 0 });
        if raised > current {
            self.recent.clear();
            return Some(Answer { desired: raised, worth: raised, deciding: ahead.highest()? });
        }
        // What goes now is missing from the next step on, and back after the lead at the earliest.
        let near = Stretch::new(view.points, 1, view.lead + lower.steps);
        let market = Market { change: lower, price };
        let kept = view.changed(&near, least, current.saturating_sub(1), market).max(now);
        self.recent.push_back(kept);
        while self.recent.len() > remembered {
            self.recent.pop_front();
        }
        let is_patient = self.recent.len() < remembered;
        let highest = self.recent.iter().copied().max().unwrap_or(kept);
        let desired = if is_patient { current } else { highest.min(current) };
        Some(Answer { desired, worth: kept, deciding: near.highest()? })
    }
}

/// Requests in flight beyond what ready replicas hold when they serve all they safely can within
/// the objective: by Little's law at most rate times latency.
pub(super) fn backlog(
    concurrency: Option<f64>,
    ready: u32,
    capacity: f64,
    latency: Duration,
) -> f64 {
    let held = f64::from(ready) * capacity * latency.as_secs_f64();
    concurrency.map_or(0.0, |in_flight| (in_flight - held).max(0.0))
}
