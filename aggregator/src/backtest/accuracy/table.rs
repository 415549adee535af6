//! The scores for a terminal.

use std::fmt::Write;

use super::{ModelScores, Score, TraceScores};

/// Steps ahead that have rows of their own: the first, a third of the way, and the last.
fn shown(horizon: usize) -> Vec<usize> {
    let mut shown = vec![1, horizon.div_ceil(3), horizon];
    shown.dedup();
    shown
}

/// A plain table: per trace, model and step ahead; then over all traces.
pub fn table(traces: &[TraceScores]) -> String {
    let mut text = String::new();
    for trace in traces {
        one(&mut text, trace);
    }
    if traces.len() > 1 {
        over_all(&mut text, traces);
    }
    text
}

fn head(text: &mut String, first: &str) {
    _ = writeln!(
        text,
        "  {first:<15} {:>7} {:>8} {:>9} {:>8} {:>8} {:>8} {:>10} {:>10}",
        "ahead", "MASE", "pinball", "in 50 %", "in 90 %", "in 99 %", "fit ms", "predict ms"
    );
}

fn row(text: &mut String, name: &str, ahead: &str, score: &Score) {
    _ = write!(
        text,
        "  {name:<15} {ahead:>7} {:>8.3} {:>9.4} {:>8.1} {:>8.1} {:>8.1}",
        score.mase,
        score.pinball_loss,
        score.coverage_50 * 100.0,
        score.coverage_90 * 100.0,
        score.coverage_99 * 100.0
    );
}

fn millis(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".into(), |seconds| format!("{:.3}", seconds * 1e3))
}

fn one(text: &mut String, trace: &TraceScores) {
    let seasons: Vec<String> =
        trace.seasons.last().into_iter().flatten().map(ToString::to_string).collect();
    _ = writeln!(
        text,
        "{}: steps of {} s, fits on {} of them at {} cut-offs, {} forecasts each; seasons of {} steps",
        trace.trace,
        trace.step_s,
        trace.train_steps,
        trace.cutoffs.len(),
        trace.origins,
        if seasons.is_empty() { "no".to_owned() } else { seasons.join(" and ") }
    );
    head(text, "model");
    for model in &trace.models {
        let Some(all) = &model.all else {
            let why = model.failure.as_deref().unwrap_or("no value to compare with");
            _ = writeln!(text, "  {:<15} no forecast: {why}", model.model);
            continue;
        };
        for ahead in shown(trace.horizon_steps) {
            if let Some(score) = model.horizons.get(ahead - 1).and_then(Option::as_ref) {
                row(text, &model.model, &ahead.to_string(), score);
                text.push('\n');
            }
        }
        row(text, &model.model, "all", all);
        _ = writeln!(text, " {:>10} {:>10}", millis(model.fit_s), millis(model.predict_s));
    }
    text.push('\n');
}

/// Means over the traces on which a model forecast.
fn over_all(text: &mut String, traces: &[TraceScores]) {
    _ = writeln!(text, "over {} traces (means of MASE and pinball are geometric)", traces.len());
    head(text, "model");
    let names: Vec<&str> = traces
        .first()
        .map(|trace| trace.models.iter().map(|model| model.model.as_str()).collect())
        .unwrap_or_default();
    for name in &names {
        let models: Vec<&ModelScores> =
            traces.iter().flat_map(|trace| &trace.models).filter(|m| m.model == *name).collect();
        let scores: Vec<&Score> = models.iter().filter_map(|model| model.all.as_ref()).collect();
        if scores.is_empty() {
            continue;
        }
        let count = scores.len() as f64;
        let mean = |value: fn(&Score) -> f64| scores.iter().map(|s| value(s)).sum::<f64>() / count;
        let score = Score {
            count: scores.len(),
            mase: mean(|s| s.mase.max(1e-12).ln()).exp(),
            pinball_loss: mean(|s| s.pinball_loss.max(1e-12).ln()).exp(),
            coverage_50: mean(|s| s.coverage_50),
            coverage_90: mean(|s| s.coverage_90),
            coverage_99: mean(|s| s.coverage_99),
        };
        row(text, name, "all", &score);
        let seconds = |value: fn(&ModelScores) -> Option<f64>| {
            let known: Vec<f64> = models.iter().filter_map(|model| value(model)).collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        };
        let (fit, predict) = (millis(seconds(|m| m.fit_s)), millis(seconds(|m| m.predict_s)));
        _ = writeln!(text, " {fit:>10} {predict:>10}");
    }
    best(text, traces);
}

/// How often the ensemble is better than every other model.
fn best(text: &mut String, traces: &[TraceScores]) {
    let loss = |model: &ModelScores| model.all.as_ref().map(|all| all.pinball_loss);
    let (mut wins, mut compared) = (0, 0);
    for trace in traces {
        let ensemble = trace.models.iter().find(|m| m.model == "ensemble").and_then(loss);
        let others = trace.models.iter().filter(|m| m.model != "ensemble").filter_map(loss);
        let (Some(ensemble), Some(best)) = (ensemble, others.min_by(f64::total_cmp)) else {
            continue;
        };
        compared += 1;
        wins += usize::from(ensemble <= best);
    }
    if compared > 0 {
        _ = writeln!(
            text,
            "the ensemble's pinball loss is the lowest on {wins} of {compared} traces"
        );
    }
}
