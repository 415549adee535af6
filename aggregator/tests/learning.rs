//! `foresail train`, `models` and `backtest --gate` as a user types them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::f64::consts::TAU;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use foresail_aggregator::clock;

/// Three days of a wave with bursts, one row a minute.
fn recording() -> String {
    let mut text = String::from("timestamp,rps\n");
    for minute in 0..3 * 1_440_u32 {
        let hour = f64::from(minute % 1_440) / 60.0;
        let burst = if minute % 173 < 8 { 60.0 } else { 0.0 };
        let rate = 100.0 + 50.0 * (TAU * (hour - 9.0) / 24.0).sin() + burst;
        writeln!(text, "{},{rate:.3}", 1_700_006_400 + minute * 60).unwrap();
    }
    text
}

fn foresail(directory: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_foresail"))
        .current_dir(directory)
        .args(line.split_whitespace())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const GATE: &str = "candidate: raising:q.safetensors
least_gain: 0.02
least_days: 1
";

#[test]
fn a_model_is_trained_the_same_for_a_seed_listed_and_kept_out_when_it_is_no_better() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("days.csv"), recording()).unwrap();
    let train = |out: &str| {
        let line = format!(
            "train --policy q --trace days.csv --variants 0 --steps 2000 --seed 5 --out {out}"
        );
        let output = foresail(directory.path(), &line);
        assert!(output.status.success(), "{output:?}");
    };
    train("q.safetensors");
    train("again.safetensors");
    let read = |name: &str| fs::read(at(name)).unwrap();
    assert!(read("q.safetensors") == read("again.safetensors"), "the same seed, another file");
    assert_eq!(&read("q.png")[..8], b"\x89PNG\r\n\x1a\n");
    let metrics: serde_json::Value = serde_json::from_slice(&read("q.json")).unwrap();
    assert_eq!(metrics["curve"].as_array().unwrap().len(), 20);
    assert_eq!(metrics["about"]["data"][0], "days");

    fs::write(at("broken.safetensors"), b"nothing").unwrap();
    let listed = text(&foresail(directory.path(), "models .").stdout);
    let line = |name: &str| listed.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(line("q.safetensors").contains(" q ") && line("q.safetensors").ends_with(" days"));
    assert!(line("broken.safetensors").contains("unusable: "), "{listed}");

    // What only ever raises costs more on a load whose budget is kept anyway: never two per cent less.
    fs::write(at("gate.yaml"), GATE).unwrap();
    let line =
        "backtest --trace days.csv --policies foresail,raising:q.safetensors --gate gate.yaml";
    let output = foresail(directory.path(), &format!("{line} --accept models"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!at("models").exists(), "what does not pass is not taken");
    assert!(text(&output.stdout).contains("not met: cost"), "{output:?}");
    assert!(text(&output.stderr).contains("does not pass the gate"), "{output:?}");

    // A gate that asks for nothing lets it pass.
    let open = "candidate: raising:q.safetensors\nleast_gain: -9\nmost_violations: 99\nmost_changes: 99\nleast_days: 0\n";
    fs::write(at("gate.yaml"), open).unwrap();
    let output = foresail(directory.path(), &format!("{line} --accept models"));
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stdout).contains("passes the gate"), "{output:?}");
    assert_eq!(in_use(directory.path()), "v000001.safetensors");
    assert!(read("models/v000001.safetensors") == read("q.safetensors"));
    assert!(read("models/v000001.json") == read("q.json"));
}

#[test]
fn what_cannot_be_used_is_said_before_anything_is_replayed() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("days.csv"), recording()).unwrap();
    fs::write(directory.path().join("x.safetensors"), b"nothing").unwrap();
    fs::write(directory.path().join("gate.yaml"), "candidate: learned:other\n").unwrap();
    let says = |line: &str, words: &str| {
        let output = foresail(directory.path(), line);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains(words), "{output:?}");
    };
    says("backtest --trace days.csv --policies learned:x.safetensors", "not a safetensors file");
    says(
        "backtest --trace days.csv --policies foresail --gate gate.yaml",
        "name both in --policies",
    );
    says("backtest --trace days.csv --policies foresail --gate none.yaml", "cannot be read");
}

/// Models in a folder, and what each is made of.
fn versions(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(directory.join("models"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "safetensors"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read(path).unwrap())
        })
        .collect();
    all.sort();
    all
}

/// The line of the version in use, which can be used like all others.
fn in_use(directory: &Path) -> String {
    let listed = text(&foresail(directory, "models models").stdout);
    assert!(!listed.contains("unusable"), "{listed}");
    let used: Vec<&str> = listed.lines().filter(|line| line.contains(" yes ")).collect();
    assert_eq!(used.len(), 1, "{listed}");
    used.first().unwrap().split_whitespace().next().unwrap().to_owned()
}

#[test]
fn a_training_that_is_killed_leaves_the_version_before_it_in_use() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("days.csv"), recording()).unwrap();
    let begin = |seed: usize| {
        Command::new(env!("CARGO_BIN_EXE_foresail"))
            .current_dir(directory.path())
            .args(
                "train --policy q --trace days.csv --variants 0 --steps 1000 --out models/"
                    .split(' '),
            )
            .args(["--seed", &seed.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let begun = clock::now();
    assert!(begin(1).wait().unwrap().success());
    let whole = clock::now().since(begun);
    let first = versions(directory.path());
    assert_eq!(in_use(directory.path()), "v000001.safetensors");

    for part in 1..=6_u32 {
        let mut training = begin(2);
        std::thread::sleep(whole * part / 6);
        training.kill().unwrap();
        training.wait().unwrap();
        let all = versions(directory.path());
        assert_eq!(all.first(), first.first(), "after {part} sixths");
        assert!(all.iter().any(|(name, _)| *name == in_use(directory.path())));
    }
    // And as soon as something is written.
    let mut training = begin(2);
    let before = fs::read_dir(directory.path().join("models")).unwrap().count();
    while fs::read_dir(directory.path().join("models")).unwrap().count() == before {
        assert!(training.try_wait().unwrap().is_none_or(|status| status.success()));
    }
    training.kill().unwrap();
    training.wait().unwrap();
    assert_eq!(versions(directory.path()).first(), first.first());
    let before = in_use(directory.path());
    assert!(begin(3).wait().unwrap().success());
    let after = in_use(directory.path());
    assert!(after > before, "{after} comes after {before}");
    let back = foresail(directory.path(), "models rollback models");
    assert!(text(&back.stdout).ends_with(" is in use\n"), "{back:?}");
    assert!(in_use(directory.path()) < after);
}

/// What the examples run, step after step, with `paths` in the place of theirs.
fn run_steps(directory: &Path, steps: &[&serde_json::Value], paths: &[(&str, &str)]) {
    for step in steps {
        let mut args: Vec<String> = Vec::new();
        for arg in step["args"].as_array().unwrap() {
            let mut arg = arg.as_str().unwrap().to_owned();
            for (theirs, ours) in paths {
                arg = arg.replace(theirs, ours);
            }
            args.push(arg);
        }
        // The least that is a training, so that a test need not wait for a real one.
        if args.first().unwrap() == "train" {
            args.extend("--steps 1000 --variants 0".split(' ').map(str::to_owned));
        }
        let output = Command::new(env!("CARGO_BIN_EXE_foresail"))
            .current_dir(directory)
            .args(&args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
    }
}

#[test]
fn what_the_cron_job_and_the_pipeline_run_adds_a_version() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../istio/examples/retrain");
    let read = |name: &str| -> serde_json::Value {
        serde_saphyr::from_str(&fs::read_to_string(examples.join(name)).unwrap()).unwrap()
    };
    // The example's own conditions are not met by the least training.
    assert_eq!(read("gate.yaml")["least_days"], 14);
    let open = "least_gain: -9\nmost_violations: 99\nmost_changes: 99\nleast_days: 0\n";
    let begin = || {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("days.csv"), recording()).unwrap();
        fs::write(directory.path().join("gate.yaml"), open).unwrap();
        directory
    };

    let job = read("cronjob.yaml");
    let pod = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let steps = [&pod["initContainers"][0], &pod["containers"][0]];
    let directory = begin();
    run_steps(
        directory.path(),
        &steps,
        &[
            ("/traces/train.csv", "days.csv"),
            ("/traces/test.csv", "days.csv"),
            ("/work/", ""),
            ("/gate/", ""),
            ("/models/web", "models"),
        ],
    );
    assert_eq!(in_use(directory.path()), "v000001.safetensors");

    let pipeline = read("pipeline.yaml");
    let executors = &pipeline["deploymentSpec"]["executors"];
    let steps = [&executors["exec-train"]["container"], &executors["exec-gate"]["container"]];
    let directory = begin();
    run_steps(
        directory.path(),
        &steps,
        &[
            ("{{$.inputs.artifacts['load'].path}}", "days.csv"),
            ("{{$.inputs.artifacts['test'].path}}", "days.csv"),
            ("{{$.inputs.artifacts['gate'].path}}", "gate.yaml"),
            ("{{$.outputs.artifacts['model'].path}}", "model"),
            ("{{$.inputs.artifacts['model'].path}}", "model"),
            ("{{$.outputs.artifacts['accepted'].path}}", "models"),
        ],
    );
    assert_eq!(in_use(directory.path()), "v000001.safetensors");
}
