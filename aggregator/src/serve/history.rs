//! Recorded load for a forecast to begin with: CSV of `timestamp,rps`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use thiserror::Error;

use crate::units::{Rps, Timestamp};

/// The longest file that is read.
const MAX_BYTES: u64 = 1 << 30;

/// Why a recorded load is not used.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// The file cannot be read. Check its path and permissions.
    #[error("the file cannot be read")]
    Read(#[from] std::io::Error),
    /// The first line names no such column. Write `timestamp,rps` there.
    #[error("line 1 is `{header}`, not `timestamp,rps`")]
    Header {
        /// As written.
        header: String,
    },
    /// A line without a second field.
    #[error("line {line} has no second field: `{text}`")]
    Short {
        /// Counted from 1.
        line: usize,
        /// As written.
        text: String,
    },
    /// Not a time. Use Unix seconds, ascending.
    #[error("line {line}: timestamp `{value}` is not Unix seconds after the line before")]
    Timestamp {
        /// Counted from 1.
        line: usize,
        /// As written.
        value: String,
    },
    /// Not a rate. Leave the field empty where it is not known.
    #[error("line {line}: rps `{value}` is not a number from 0")]
    Rps {
        /// Counted from 1.
        line: usize,
        /// As written.
        value: String,
    },
}

/// Reads a file; lines whose rate is not known are left out.
pub(super) fn read(path: &Path) -> Result<Vec<(Timestamp, Rps)>, HistoryError> {
    parse(BufReader::new(File::open(path)?.take(MAX_BYTES)))
}

fn parse(text: impl BufRead) -> Result<Vec<(Timestamp, Rps)>, HistoryError> {
    let mut samples: Vec<(Timestamp, Rps)> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text?;
        let text = text.trim();
        if line == 1 {
            let mut names = text.trim_start_matches('\u{feff}').split(',').map(str::trim);
            if names.next() != Some("timestamp") || names.next() != Some("rps") {
                return Err(HistoryError::Header { header: text.to_owned() });
            }
            continue;
        }
        if text.is_empty() {
            continue;
        }
        let mut fields = text.split(',').map(str::trim);
        let (Some(time), Some(rate)) = (fields.next(), fields.next()) else {
            return Err(HistoryError::Short { line, text: text.to_owned() });
        };
        let before = samples.last().map(|(before, _)| *before);
        let at = timestamp(time)
            .filter(|at| before.is_none_or(|before| before < *at))
            .ok_or_else(|| HistoryError::Timestamp { line, value: time.to_owned() })?;
        if rate.is_empty() {
            continue;
        }
        let rps = rate
            .parse()
            .ok()
            .and_then(|rate: f64| Rps::new(rate).ok())
            .ok_or_else(|| HistoryError::Rps { line, value: rate.to_owned() })?;
        samples.push((at, rps));
    }
    Ok(samples)
}

/// Unix seconds, with or without a fraction.
fn timestamp(text: &str) -> Option<Timestamp> {
    /// The year 5138; beyond are milliseconds.
    const LATEST: f64 = 1e11;
    let seconds: f64 = text.parse().ok()?;
    if !(0.0..LATEST).contains(&seconds) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in 0..1e17 by the line above"
    )]
    Some(Timestamp::from_micros((seconds * 1e6).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_load_is_read_and_gaps_are_left_out() {
        let text = "timestamp,rps,cpu\n1700000000,12.5,0.3\n\n1700000060.5,,0.2\n1700000120,0,0\n";
        let samples = parse(text.as_bytes()).unwrap();
        let expected = [(1_700_000_000, 12.5), (1_700_000_120, 0.0)]
            .map(|(at, rps)| (Timestamp::from_secs(at), Rps::new(rps).unwrap()));
        assert_eq!(samples, expected);
    }

    #[test]
    fn an_error_names_its_line_and_value() {
        for (text, error) in [
            ("time,rate\n", "line 1 is `time,rate`, not `timestamp,rps`"),
            ("timestamp,rps\n1", "line 2 has no second field: `1`"),
            (
                "timestamp,rps\n5,1\n5,1",
                "line 3: timestamp `5` is not Unix seconds after the line before",
            ),
            (
                "timestamp,rps\n2024-01-01,1",
                "line 2: timestamp `2024-01-01` is not Unix seconds after the line before",
            ),
            ("timestamp,rps\n5,NaN", "line 2: rps `NaN` is not a number from 0"),
            ("timestamp,rps\n5,-1", "line 2: rps `-1` is not a number from 0"),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), error);
        }
    }
}
