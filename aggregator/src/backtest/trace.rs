//! Recorded load: `timestamp,rps` as CSV.

mod time;

use std::time::Duration;

use thiserror::Error;

use crate::chance::Chance;
use crate::simulate::Grid;
use crate::units::Timestamp;

pub use time::date;

/// Rows below which there is nothing to replay.
const LEAST_ROWS: usize = 20;
/// Steps that a recording may have.
const MOST_STEPS: usize = 20_000_000;

/// Why a recording cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TraceError {
    /// The first line is no header with two columns.
    #[error("line 1 is `{header}`; begin with a header such as timestamp,rps")]
    Header {
        /// As written.
        header: String,
    },
    /// A line without a second field.
    #[error("line {line} has no second field: `{text}`; write timestamp,rps")]
    Short {
        /// Counted from 1.
        line: usize,
        /// As written.
        text: String,
    },
    /// Not a time.
    #[error(
        "line {line}: timestamp `{value}` is neither Unix seconds nor RFC 3339 such as 2026-11-24T10:00:00Z"
    )]
    Timestamp {
        /// Counted from 1.
        line: usize,
        /// As written.
        value: String,
    },
    /// Not later than the line before.
    #[error(
        "line {line}: timestamp `{value}` is not after the line before; sort by time and keep one row each"
    )]
    Order {
        /// Counted from 1.
        line: usize,
        /// As written.
        value: String,
    },
    /// Not a rate.
    #[error(
        "line {line}: rate `{value}` is not a number from 0; leave the field empty where it is not known"
    )]
    Rate {
        /// Counted from 1.
        line: usize,
        /// As written.
        value: String,
    },
    /// Too little or too much to replay.
    #[error(
        "{rows} rows over {steps} steps; at least {LEAST_ROWS} rows and at most {MOST_STEPS} steps can be replayed"
    )]
    Size {
        /// Rows read.
        rows: usize,
        /// Steps that they span.
        steps: usize,
    },
}

/// Load on the recording's own grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// What it is called.
    pub name: String,
    /// When the first step begins.
    pub start: Timestamp,
    /// Length of a step: the median distance of two rows.
    pub step: Duration,
    /// Mean rate of each step in requests per second; `None` where it is not known.
    pub rates: Vec<Option<f64>>,
}

impl Trace {
    /// Reads CSV: a header, then rows in the order of time. The rate is the column `rps`, else
    /// `demand`, else the second one.
    ///
    /// # Errors
    /// [`TraceError`], naming line, value and remedy.
    pub fn parse(name: &str, text: &str) -> Result<Self, TraceError> {
        let mut lines = (1..).zip(text.lines());
        let (_, header) = lines.next().unwrap_or((1, ""));
        let columns: Vec<&str> =
            header.trim_start_matches('\u{feff}').split(',').map(str::trim).collect();
        if columns.len() < 2 || columns.iter().any(|column| column.parse::<f64>().is_ok()) {
            return Err(TraceError::Header { header: header.to_owned() });
        }
        let find = |wanted: &str| columns.iter().position(|column| *column == wanted);
        let column = find("rps").or(find("demand")).unwrap_or(1);
        let mut rows: Vec<(f64, Option<f64>)> = Vec::new();
        for (line, text) in lines {
            if text.trim().is_empty() {
                continue;
            }
            rows.push(parse_row(line, text, column, rows.last())?);
        }
        Self::on_grid(name, &rows)
    }

    /// Puts rows on a regular grid; steps without a row are not known.
    fn on_grid(name: &str, rows: &[(f64, Option<f64>)]) -> Result<Self, TraceError> {
        let mut spacings: Vec<f64> = rows
            .windows(2)
            .map(|pair| match pair {
                [a, b] => b.0 - a.0,
                _ => 0.0,
            })
            .collect();
        spacings.sort_unstable_by(f64::total_cmp);
        let step = spacings.get(spacings.len() / 2).copied().unwrap_or(0.0).max(1e-3);
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return Err(TraceError::Size { rows: 0, steps: 0 });
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rows are in the order of time, and a float saturates"
        )]
        let place = |t: f64| ((t - first.0) / step).round() as usize;
        let steps = place(last.0).saturating_add(1);
        if rows.len() < LEAST_ROWS || steps > MOST_STEPS {
            return Err(TraceError::Size { rows: rows.len(), steps });
        }
        let mut rates = vec![None; steps];
        for (t, rate) in rows {
            if let Some(slot) = rates.get_mut(place(*t)) {
                *slot = *rate;
            }
        }
        Ok(Self {
            name: name.to_owned(),
            start: Timestamp::default() + Duration::from_secs_f64(first.0),
            step: Duration::from_secs_f64(step),
            rates,
        })
    }

    /// Mean of the known rates, in requests per second.
    pub fn mean_rate(&self) -> f64 {
        let known = self.rates.iter().flatten().count();
        self.rates.iter().flatten().sum::<f64>() / known.max(1) as f64
    }

    /// The load in steps of another length. Finer recordings are averaged. Coarser ones are
    /// interpolated between the middles of their intervals, and then sampled as Poisson counts
    /// at their own rate, because a mean of minutes is smoother than any load is.
    pub fn resampled(&self, step: Duration, seed: u64) -> Grid {
        let first_index = self.start.step_index(step);
        let rates = if self.step < step { self.averaged(step) } else { self.sampled(step, seed) };
        Grid { first_index, step, rates }
    }

    fn averaged(&self, step: Duration) -> Vec<Option<f64>> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a ratio of two positive durations, at least 1"
        )]
        let each = (step.as_secs_f64() / self.step.as_secs_f64()).round().max(1.0) as usize;
        let mean = |chunk: &[Option<f64>]| {
            let known = chunk.iter().flatten().count();
            let sum: f64 = chunk.iter().flatten().sum();
            (known > 0 && known * 2 >= chunk.len()).then(|| sum / known as f64)
        };
        self.rates.chunks_exact(each).map(mean).collect()
    }

    fn sampled(&self, step: Duration, seed: u64) -> Vec<Option<f64>> {
        let (own, new) = (self.step.as_secs_f64(), step.as_secs_f64());
        if (own - new).abs() < 1e-9 {
            return self.rates.clone();
        }
        let mut chance = Chance::new(seed);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "times within the recording are positive"
        )]
        let at = |t: f64| {
            let place = (t / own - 0.5).max(0.0);
            let from = place as usize;
            let share = place - from as f64;
            let a = self.rates.get(from).copied().flatten();
            let b = self.rates.get(from + 1).copied().flatten();
            match (a, b) {
                (Some(a), Some(b)) => Some(a + share * (b - a)),
                (Some(one), None) if share < 0.5 => Some(one),
                (None, Some(one)) if share >= 0.5 => Some(one),
                _ => None,
            }
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the length of a recording in steps"
        )]
        let steps = (self.rates.len() as f64 * own / new) as usize;
        (0..steps)
            .map(|index| {
                let rate = at((index as f64 + 0.5) * new)?;
                Some(chance.poisson(rate * new) / new)
            })
            .collect()
    }
}

fn parse_row(
    line: usize,
    text: &str,
    column: usize,
    before: Option<&(f64, Option<f64>)>,
) -> Result<(f64, Option<f64>), TraceError> {
    let fields: Vec<&str> = text.split(',').map(str::trim).collect();
    let (Some(time), Some(rate)) = (fields.first(), fields.get(column)) else {
        return Err(TraceError::Short { line, text: text.to_owned() });
    };
    let value = (*time).to_owned();
    let Some(t) = time::parse(time) else { return Err(TraceError::Timestamp { line, value }) };
    if before.is_some_and(|before| t <= before.0) {
        return Err(TraceError::Order { line, value });
    }
    if rate.is_empty() {
        return Ok((t, None));
    }
    let number = rate.parse().ok().filter(|rate| (0.0..=1e12).contains(rate));
    let bad = || TraceError::Rate { line, value: (*rate).to_owned() };
    Ok((t, Some(number.ok_or_else(bad)?)))
}

#[cfg(test)]
mod tests;
