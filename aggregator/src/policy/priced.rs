//! The predictive answer: for every step that a decision can still change, the replicas that cost
//! least at the price of risk; raised at once, kept for what is coming, lowered with patience.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pricing::{need, quantile};
use super::replicas_for;
use super::risk::RiskPrice;
use crate::config::{Part, Profile};
use crate::forecast::{Point, Tail};

/// A backlog is worked off within this time.
const DRAIN: f64 = 30.0;
/// The highest load seen fades by this factor a decision.
const FADE: f64 = 0.9998;
/// Load above this multiple of the faded highest is not insured.
const INSURED: f64 = 1.5;

/// How patient a profile is.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Patience {
    /// Steps ahead whose needs are kept.
    hold_steps: usize,
    /// Decisions whose answers are remembered; the highest counts.
    remembered: usize,
    /// Lowering by a smaller share than this is not worth a change.
    dead_band: f64,
    /// Nor is raising by less than this.
    raise_band: f64,
}

const fn patience(profile: Profile) -> Patience {
    match profile {
        Profile::Responsive => {
            Patience { hold_steps: 10, remembered: 4, dead_band: 0.05, raise_band: 0.0 }
        }
        Profile::Stable => {
            Patience { hold_steps: 20, remembered: 8, dead_band: 0.08, raise_band: 0.04 }
        }
        Profile::Calm => {
            Patience { hold_steps: 20, remembered: 40, dead_band: 0.10, raise_band: 0.08 }
        }
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
        let whole = patience(self.profile);
        match self.without {
            Some(Part::Hold) => Patience { hold_steps: 0, remembered: 1, ..whole },
            Some(Part::DeadBand) => Patience { dead_band: 0.0, raise_band: 0.0, ..whole },
            _ => whole,
        }
    }

    fn need(&self, tail: &Tail, price: f64, ceiling: f64) -> u32 {
        if self.without == Some(Part::Pricing) {
            quantile(tail, self.capacity, price)
        } else {
            need(tail, self.capacity, price, ceiling)
        }
    }
}

/// What it answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Answer {
    /// Replicas to have.
    pub(super) desired: u32,
    /// What the forecast at the lead needs.
    pub(super) at_lead: u32,
    /// What is kept for: the highest need of the steps to come and of the answers remembered.
    pub(super) kept: u32,
    /// The forecast that needs most.
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
        let Patience { hold_steps, remembered, dead_band, raise_band } = view.patience();
        self.highest_rps = (self.highest_rps * FADE).max(view.rps);
        let ceiling = INSURED * self.highest_rps;
        let price = self.price.get();
        let reach = hold_steps.max(view.lead);
        let mut at_lead = None;
        let mut most: Option<(u32, Point)> = None;
        for point in view.points.iter().filter(|point| point.ahead <= reach) {
            let replicas = view.need(&point.tail, price, ceiling);
            if point.ahead >= view.lead && at_lead.is_none() {
                at_lead = Some((replicas, *point));
            }
            if most.is_none_or(|(most, _)| replicas > most) {
                most = Some((replicas, *point));
            }
        }
        let ((at_lead, lead_point), (most, most_point)) = (at_lead?, most?);
        let measured = if view.without == Some(Part::ReactiveFloor) { 0.0 } else { view.rps };
        let now = replicas_for(measured + view.backlog / DRAIN, view.capacity);
        let up = at_lead.max(now);
        self.recent.push_back(up.max(most));
        while self.recent.len() > remembered {
            self.recent.pop_front();
        }
        let kept = self.recent.iter().copied().max().unwrap_or(up);
        let current = f64::from(view.replicas);
        let (desired, deciding) = if f64::from(up) > current * (1.0 + raise_band) {
            (up, lead_point)
        } else if f64::from(kept) < current * (1.0 - dead_band) {
            (kept, most_point)
        } else {
            (view.replicas, most_point)
        };
        Some(Answer { desired, at_lead, kept, deciding })
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
