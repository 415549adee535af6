//! AWS predictive scaling with a target tracking policy beside it.
//!
//! Source: Application Auto Scaling user guide, "How predictive scaling works", and
//! `PredictiveScalingConfiguration`: at least 24 h and at most 14 days of history, an hourly
//! forecast for 48 h, made anew every 6 h, acted on 300 s before the hour
//! (`SchedulingBufferTime`), bound by the maximum (`HonorMaxCapacity`). It raises capacity only;
//! what scales in is the target tracking policy.
//!
//! Two things are not published. The forecasting model: the mean of the same hour of all days and
//! that of the same weekday stand for it, half each. The figures of the policy's alarms: taken as
//! the alarms that it creates show them.

use std::collections::VecDeque;
use std::time::Duration;

use super::window::{Every, Window, replicas_above, target_above_zero};
use super::{Peer, PeerView};
use crate::units::Timestamp;

const HOUR: Duration = Duration::from_hours(1);
const DAY_HOURS: usize = 24;
/// Hours of history that are looked at.
const HISTORY_HOURS: usize = 14 * DAY_HOURS;
/// Hours that are forecast.
const AHEAD_HOURS: usize = 48;
/// Time between forecasts.
const REFRESH: Duration = Duration::from_hours(6);
/// `SchedulingBufferTime`.
const BUFFER: Duration = Duration::from_mins(5);

/// One minute is one data point of the policy's alarms.
const DATA_POINT: Duration = Duration::from_mins(1);
/// Data points above the target after which it scales out.
const POINTS_ABOVE: u32 = 3;
/// Data points below 90 % of the target after which it scales in.
const POINTS_BELOW: u32 = 15;
const LOW_SHARE: f64 = 0.9;
/// `ScaleInCooldown` of most resources.
const SCALE_IN_COOLDOWN: Duration = Duration::from_mins(5);

/// Hourly mean rates, and the plan made of them.
#[derive(Debug, Default)]
struct Hourly {
    /// Known hours, oldest first; the last one ended where `open` begins.
    hours: VecDeque<Option<f64>>,
    /// Number of the hour under way since 1970, sum and count of its steps.
    open: Option<(u64, f64, u32)>,
    /// First hour of the plan, and rates from there.
    plan: Option<(u64, Vec<f64>)>,
}

impl Hourly {
    /// Adds a step that ended at `now`.
    fn push(&mut self, now: Timestamp, step: Duration, rps: Option<f64>) {
        let hour = (now - step).step_index(HOUR);
        if let Some((open, sum, count)) = self.open
            && open < hour
        {
            let mean = (count > 0).then(|| sum / f64::from(count));
            let silent = usize::try_from(hour - open - 1).unwrap_or(usize::MAX).min(HISTORY_HOURS);
            self.hours.push_back(mean);
            self.hours.extend(std::iter::repeat_n(None, silent));
            while self.hours.len() > HISTORY_HOURS {
                self.hours.pop_front();
            }
            self.open = None;
        }
        let (_, sum, count) = self.open.get_or_insert((hour, 0.0, 0));
        if let Some(rps) = rps.filter(|rps| (0.0..=f64::MAX).contains(rps)) {
            *sum += rps;
            *count += 1;
        }
    }

    /// Makes a plan from the hour under way on.
    fn refresh(&mut self) {
        let Some((open, ..)) = self.open.filter(|_| self.hours.len() >= DAY_HOURS) else { return };
        let rates: Option<Vec<f64>> = (0..AHEAD_HOURS).map(|ahead| self.expected(ahead)).collect();
        if let Some(rates) = rates {
            self.plan = Some((open, rates));
        }
    }

    /// Expected rate `ahead` hours after the newest known, 0 being the first unknown.
    fn expected(&self, ahead: usize) -> Option<f64> {
        let mean_every = |period: usize| {
            let back = (1..).map(|k| k * period).skip_while(|back| *back <= ahead);
            let back = back.map_while(|back| self.hours.len().checked_sub(back - ahead));
            let known = back.filter_map(|index| self.hours.get(index).copied().flatten());
            let (sum, count) = known.fold((0.0, 0_u32), |(sum, n), rate| (sum + rate, n + 1));
            (count > 0).then(|| sum / f64::from(count))
        };
        let daily = mean_every(DAY_HOURS)?;
        Some(mean_every(7 * DAY_HOURS).map_or(daily, |weekly| f64::midpoint(daily, weekly)))
    }

    /// Rate planned for the hour that an instant lies in.
    fn planned(&self, at: Timestamp) -> Option<f64> {
        let (first, rates) = self.plan.as_ref()?;
        let index = at.step_index(HOUR).checked_sub(*first)?;
        rates.get(usize::try_from(index).ok()?).copied()
    }
}

/// The target tracking policy: what its two alarms ask for.
#[derive(Debug)]
struct TargetTracking {
    minute: Every,
    above: u32,
    below: u32,
    scaled: Option<Timestamp>,
}

impl TargetTracking {
    /// Replicas for the mean rate of the last minute.
    fn replicas(&mut self, view: &PeerView, rate: f64, target: f64) -> u32 {
        let current = view.replicas;
        if !self.minute.due(view.now) {
            return current;
        }
        let per_pod = rate / f64::from(view.ready.max(1));
        self.above = if per_pod > target { self.above + 1 } else { 0 };
        self.below = if per_pod < LOW_SHARE * target { self.below + 1 } else { 0 };
        let wanted = replicas_above(rate / target);
        let cool = self.scaled.is_none_or(|scaled| view.now.since(scaled) >= SCALE_IN_COOLDOWN);
        let out = self.above >= POINTS_ABOVE && wanted > current;
        let into = self.below >= POINTS_BELOW && wanted < current && cool;
        if out || into {
            self.scaled = Some(view.now);
            return wanted;
        }
        current
    }
}

/// Predictive scaling on the request count, target tracking on the request count per target.
#[derive(Debug)]
pub(super) struct AwsPredictive {
    share: f64,
    hourly: Hourly,
    refresh: Every,
    rate: Window,
    tracking: TargetTracking,
}

impl AwsPredictive {
    /// `share`: of the safe rate per pod.
    pub(super) fn new(share: f64) -> Self {
        let minute = Every::new(DATA_POINT);
        Self {
            share: target_above_zero(share),
            hourly: Hourly::default(),
            refresh: Every::new(REFRESH),
            rate: Window::new(DATA_POINT),
            tracking: TargetTracking { minute, above: 0, below: 0, scaled: None },
        }
    }

    /// Replicas that the plan has for now and for what begins within the buffer.
    fn planned(&self, now: Timestamp, target: f64) -> u32 {
        let rates = [now, now + BUFFER].map(|at| self.hourly.planned(at).unwrap_or(0.0));
        rates.map(|rate| replicas_above(rate / target)).into_iter().max().unwrap_or(0)
    }
}

impl Peer for AwsPredictive {
    fn name(&self) -> &'static str {
        "aws-predictive"
    }

    fn desired(&mut self, view: &PeerView) -> u32 {
        self.rate.push(view.now, view.rps);
        self.hourly.push(view.now, view.step, view.rps);
        // Until there is a first plan it is tried every hour, or the first day could last two.
        if self.hourly.plan.is_none() || self.refresh.due(view.now) {
            self.hourly.refresh();
        }
        let Some(target) = view.target_rps(self.share) else { return view.bounded(view.replicas) };
        let tracked = match self.rate.mean() {
            Some(rate) => self.tracking.replicas(view, rate, target),
            None => view.replicas,
        };
        view.bounded(tracked.max(self.planned(view.now, target)))
    }
}

#[cfg(test)]
mod tests;
