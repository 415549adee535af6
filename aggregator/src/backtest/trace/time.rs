//! Times as people write them.

/// Unix seconds from a number, or from RFC 3339; `None` for anything else, and before 1970.
pub(super) fn parse(text: &str) -> Option<f64> {
    let seconds = text.parse().ok().or_else(|| rfc3339(text))?;
    (0.0..=1e11).contains(&seconds).then_some(seconds)
}

/// Days from 1970 to a date such as 2026-12-25; `None` for anything else, and before 1970.
pub fn date(text: &str) -> Option<u64> {
    let seconds = rfc3339(&format!("{text}T00:00:00Z"))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole days of a date after 1970"
    )]
    (0.0..=1e11).contains(&seconds).then_some((seconds / 86_400.0) as u64)
}

/// `2026-11-24T10:00:00.5+01:00`; a space may stand for the `T`.
fn rfc3339(text: &str) -> Option<f64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (time, offset) = split_offset(time)?;
    let mut time = time.splitn(3, ':');
    let hour: f64 = time.next()?.parse().ok().filter(|hour| (0.0..24.0).contains(hour))?;
    let minute: f64 = time.next()?.parse().ok().filter(|minute| (0.0..60.0).contains(minute))?;
    let second: f64 = time.next()?.parse().ok().filter(|second| (0.0..61.0).contains(second))?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_from_civil(year, month, day);
    Some(days as f64 * 86_400.0 + hour * 3_600.0 + minute * 60.0 + second - offset)
}

/// The time of day, and how many seconds it is ahead of UTC.
fn split_offset(time: &str) -> Option<(&str, f64)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time, 0.0));
    }
    let at = time.rfind(['+', '-'])?;
    let (time, offset) = time.split_at_checked(at)?;
    let sign = if offset.starts_with('-') { -1.0 } else { 1.0 };
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let (hours, minutes): (f64, f64) = (hours.parse().ok()?, minutes.parse().ok()?);
    Some((time, sign * (hours * 3_600.0 + minutes * 60.0)))
}

/// Days since 1970-01-01 in the Gregorian calendar (Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `days_from_civil`).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_of_an_instant_are_the_same() {
        for text in [
            "1700000000",
            "1700000000.0",
            "2023-11-14T22:13:20Z",
            "2023-11-14 22:13:20.000Z",
            "2023-11-14T23:13:20+01:00",
            "2023-11-14T16:43:20-05:30",
        ] {
            assert_eq!(parse(text), Some(1_700_000_000.0), "{text}");
        }
        assert_eq!(parse("2024-02-29T00:00:00Z"), Some(1_709_164_800.0));
    }

    #[test]
    fn a_date_is_a_day_and_what_is_none_is_refused() {
        assert_eq!(date("1970-01-01"), Some(0));
        assert_eq!(date("2026-12-25"), Some(20_812));
        for text in ["", "25.12.2026", "2026-13-01", "1969-12-31", "2026-12-25T00:00:00Z"] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "yesterday", "-5", "2023-13-01T00:00:00Z", "2023-11-14T22:13:20", "NaN"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
