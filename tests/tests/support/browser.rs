//! Runs the scripts of `tests/browser`.

use std::path::PathBuf;
use std::time::Duration;

use foresail_tests::{Program, WorkDir, paths};

/// Long enough for whatever a browser does.
const LIMIT: Duration = Duration::from_mins(4);

fn node() -> PathBuf {
    let node = paths::root().join(".tools/bin/node");
    assert!(node.exists(), "{} is missing; run `make setup`", node.display());
    node
}

/// Runs one of our scripts; its output becomes the test's.
#[expect(
    clippy::print_stdout,
    reason = "the test runner shows it when the test fails, or on request"
)]
pub(crate) async fn script<const N: usize>(directory: &WorkDir, name: &str, arguments: [&str; N]) {
    let log = directory.file("script.log");
    let mut process = Program::new(name, &node(), &log)
        .arg(paths::root().join("tests/browser").join(name))
        .args(arguments)
        .spawn()
        .unwrap();
    let status = process.wait(LIMIT).await;
    let output = std::fs::read_to_string(&log).unwrap_or_default();
    println!("{output}");
    assert!(status.unwrap().success(), "{name} failed:\n{output}");
}
