//! What the commands on recorded load share: reading it, and working on several at once.

use std::fs::File;
use std::io::{IsTerminal, Read, Write, stderr};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use flate2::read::GzDecoder;

use crate::backtest::run::Stopwatch;
use crate::backtest::trace::Trace;
use crate::clock;
use crate::config::parse_duration;

/// The longest recording that is read, unpacked.
const MAX_BYTES: u64 = 1 << 30;

/// The machine's steady clock.
pub(super) struct Watch(clock::Stopwatch);

impl Watch {
    /// Begins now.
    pub(super) fn start() -> Self {
        Self(clock::Stopwatch::start())
    }
}

impl Stopwatch for Watch {
    fn micros(&self) -> f64 {
        self.0.elapsed().as_secs_f64() * 1e6
    }
}

/// A time that an option gives.
///
/// # Errors
/// When it is none, or nothing.
pub(super) fn duration(name: &str, text: &str) -> anyhow::Result<Duration> {
    let duration = parse_duration(text).filter(|duration| !duration.is_zero());
    duration.with_context(|| format!("--{name} {text} is not a time such as 50ms, 30s, 15m or 7d"))
}

/// Reads a recording, unpacked when its name ends in .gz.
///
/// # Errors
/// When the file cannot be read, or is no recording.
pub(super) fn read(path: &Path) -> anyhow::Result<Trace> {
    let text = text(path)?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let name = name.trim_end_matches(".gz").trim_end_matches(".csv");
    Trace::parse(name, &text).with_context(|| path.display().to_string())
}

/// Reads a file, unpacked when its name ends in .gz.
///
/// # Errors
/// When it cannot be read.
pub(super) fn text(path: &Path) -> anyhow::Result<String> {
    let file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    let is_packed = path.extension().is_some_and(|extension| extension == "gz");
    let mut text = String::new();
    let result = if is_packed {
        GzDecoder::new(file).take(MAX_BYTES).read_to_string(&mut text)
    } else {
        file.take(MAX_BYTES).read_to_string(&mut text)
    };
    result.with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(text)
}

/// Does `count` jobs on several threads, one a core unless told otherwise; the results keep their
/// order. A job tells the share of it that is done. A bar is drawn if stderr is a terminal.
pub(super) fn each<T: Send>(
    count: usize,
    threads: Option<usize>,
    job: impl Fn(usize, &mut dyn FnMut(f64)) -> T + Sync,
) -> Vec<T> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.unwrap_or(cores).clamp(1, count.max(1));
    let next = AtomicUsize::new(0);
    let shares = Mutex::new(vec![0.0; count]);
    let results = Mutex::new(Vec::new());
    let shows = stderr().is_terminal();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        return;
                    }
                    let result = job(at, &mut |share| show(&shares, at, share, shows));
                    lock(&results).push((at, result));
                }
            });
        }
    });
    if shows {
        _ = writeln!(stderr());
    }
    let mut results = std::mem::take(&mut *lock(&results));
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Redraws the progress bar.
fn show(shares: &Mutex<Vec<f64>>, at: usize, share: f64, shows: bool) {
    if !shows {
        return;
    }
    let mut shares = lock(shares);
    if let Some(slot) = shares.get_mut(at) {
        *slot = share;
    }
    let done = shares.iter().sum::<f64>() / shares.len().max(1) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of 40 characters"
    )]
    let filled = (done * 40.0) as usize;
    _ = write!(
        stderr(),
        "\r[{}{}] {:.0} %",
        "#".repeat(filled),
        " ".repeat(40 - filled.min(40)),
        done * 100.0
    );
}
