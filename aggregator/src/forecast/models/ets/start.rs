//! First states by simple means (Hyndman et al. 2008, section 2.6.1).

use super::recursion::{Component, Form, State, Trend};

/// Values that the first line is laid through.
const LINE: usize = 10;
/// Whole seasons that the first season is the mean of, at most.
const SEASONS: usize = 4;

/// The state before the first value; gaps are NaN.
pub(super) fn state(y: &[f64], form: Form, season: Option<usize>) -> State {
    let seasons = season.map_or_else(Vec::new, |m| first_season(y, m, form.season));
    let adjusted = |(at, y): (usize, &f64)| {
        let season = seasons.get(at.checked_rem(seasons.len()).unwrap_or(0)).copied();
        match (form.season, season) {
            (Component::Multiplicative, Some(season)) => y / season.max(1e-6),
            (Component::Additive, Some(season)) => y - season,
            _ => *y,
        }
    };
    let length = LINE.max(season.unwrap_or(0));
    let points =
        y.iter().enumerate().take(length).map(|point| (point.0 as f64 + 1.0, adjusted(point)));
    let points: Vec<(f64, f64)> = points.filter(|(_, y)| y.is_finite()).collect();
    let (level, slope) = line(&points);
    let first = points.iter().map(|(_, y)| y).sum::<f64>() / points.len().max(1) as f64;
    match form.trend {
        Trend::None => State { level: first, slope: 0.0, seasons, place: 0 },
        // A multiplicative form must begin above 0.
        _ => State {
            level: if form.error == Component::Multiplicative && level <= 0.0 {
                first
            } else {
                level
            },
            slope,
            seasons,
            place: 0,
        },
    }
}

/// Intercept and slope.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len().max(1) as f64;
    let (t, y) = points.iter().fold((0.0, 0.0), |(t, y), point| (t + point.0, y + point.1));
    let (t, y) = (t / n, y / n);
    let (mut product, mut square) = (0.0, 0.0);
    for point in points {
        product += (point.0 - t) * (point.1 - y);
        square += (point.0 - t) * (point.0 - t);
    }
    let slope = if square > 0.0 { product / square } else { 0.0 };
    (y - slope * t, slope)
}

/// Means by place in the season, of what is left of a centred moving mean.
fn first_season(y: &[f64], m: usize, kind: Component) -> Vec<f64> {
    let span = y.get(..(SEASONS * m).min(y.len())).unwrap_or_default();
    let mut sums = vec![(0.0, 0.0); m];
    let half = m / 2;
    for at in half..span.len().saturating_sub(half) {
        let window = span.get(at - half..=at + half).unwrap_or_default();
        let mut mean = window.iter().sum::<f64>();
        let mut weight = window.len() as f64;
        if m.is_multiple_of(2)
            && let (Some(first), Some(last)) = (window.first(), window.last())
        {
            mean -= (first + last) / 2.0;
            weight -= 1.0;
        }
        mean /= weight;
        let Some(y) = span.get(at) else { continue };
        let left = if kind == Component::Multiplicative { y / mean } else { y - mean };
        if left.is_finite()
            && let Some((sum, count)) = sums.get_mut(at % m)
        {
            *sum += left;
            *count += 1.0;
        }
    }
    let neutral = if kind == Component::Multiplicative { 1.0 } else { 0.0 };
    let mut seasons: Vec<f64> =
        sums.iter().map(|(sum, count)| if *count > 0.0 { sum / count } else { neutral }).collect();
    let mean = seasons.iter().sum::<f64>() / m.max(1) as f64;
    for season in &mut seasons {
        if kind == Component::Multiplicative {
            *season = (*season / mean.max(1e-6)).max(0.01);
        } else {
            *season -= mean;
        }
    }
    seasons
}
