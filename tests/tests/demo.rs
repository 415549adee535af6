//! The demo from end to end: a short day plays through, and nothing is ever left behind.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use foresail_tests::{Process, Program, WorkDir};
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// A demo with a temporary directory of its own, which is also how its processes are known.
fn start(directory: &WorkDir, day_seconds: u32) -> Process {
    let temporary = directory.file("tmp");
    std::fs::create_dir(&temporary).unwrap();
    Program::new("demo", env!("CARGO_BIN_EXE_demo").as_ref(), &directory.file("demo.log"))
        .env("TMPDIR", temporary)
        .env("HEADLESS", "1")
        .env("DEMO_SECONDS", day_seconds.to_string())
        .env("DEMO_STARTUP_SECONDS", "3")
        .env("DEMO_SCORECARD", directory.file("scorecard.json"))
        .spawn()
        .unwrap()
}

/// Command lines of all processes that were started with that temporary directory.
fn processes(temporary: &Path) -> Vec<String> {
    let variable = format!("TMPDIR={}", temporary.display());
    let has_it = |environment: &[u8]| {
        environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
    };
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        if has_it(&environment) {
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            found.push(String::from_utf8_lossy(&line).replace('\0', " "));
        }
    }
    found
}

/// Fails unless, soon, neither a process nor a file of the demo is left.
async fn assert_nothing_is_left(directory: &WorkDir) {
    let temporary = directory.file("tmp");
    let left = || {
        let files = std::fs::read_dir(&temporary).unwrap().flatten();
        let files = files.map(|entry| entry.path().display().to_string());
        processes(&temporary).into_iter().chain(files).collect::<Vec<_>>()
    };
    let deadline = Instant::now() + Duration::from_secs(5);
    while !left().is_empty() && Instant::now() < deadline {
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(left(), Vec::<String>::new());
}

#[tokio::test]
async fn a_short_day_is_played_twice_and_measured() {
    let directory = WorkDir::new("demo-test").unwrap();
    let mut demo = start(&directory, 20);
    let status = demo.wait(Duration::from_mins(4)).await.unwrap();
    assert!(status.success(), "{status}:\n{}", demo.log_tail());

    let text = std::fs::read_to_string(directory.file("scorecard.json")).unwrap();
    let scorecard: Value = serde_json::from_str(&text).unwrap();
    let (one, other) = (&scorecard["foresail"], &scorecard["threshold"]);
    for run in [one, other] {
        assert!(run["requests"].as_u64().unwrap() > 2_000, "{text}");
        assert!(run["within_objective"].as_u64().unwrap() > 0, "{text}");
        // Two replicas for 20 s are the least there can be.
        assert!(run["replica_seconds"].as_f64().unwrap() >= 40.0, "{text}");
        assert!(run["scale_changes"].as_u64().unwrap() > 0, "{text}");
    }
    assert_eq!(one["requests"], other["requests"], "both runs play the same requests");
    assert_nothing_is_left(&directory).await;
}

#[tokio::test]
async fn ctrl_c_leaves_nothing_behind() {
    let directory = WorkDir::new("demo-test").unwrap();
    let mut demo = start(&directory, 60);
    let log = directory.file("demo.log");
    let playing = || async {
        let text = std::fs::read_to_string(&log).ok()?;
        text.contains("ready of").then_some(())
    };
    demo.wait_until(Duration::from_mins(1), playing).await.unwrap();
    // The demo, its watchdog, foresail, a gateway and two sidecars.
    assert!(processes(&directory.file("tmp")).len() >= 6);

    demo.signal(Signal::INT).unwrap();
    let status = demo.wait(Duration::from_secs(10)).await.unwrap();
    assert_eq!(status.code(), Some(130), "{}", demo.log_tail());
    assert_nothing_is_left(&directory).await;
}
