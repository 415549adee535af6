//! A decoder in another language, written from the README, reads the same values.

use std::io::Write;
use std::process::{Command, Stdio};

use foresail_wire::{Bucket, Counts, Direction, Frame, LatencyHistogram, Series, encode};
use proptest::prelude::Strategy;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::arbitrary;
use crate::samples::goldens;

const DECODER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/decode.py");
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/");
const RANDOM_FRAMES: usize = 200;

#[test]
fn python_reads_the_golden_files() {
    let files: Vec<String> = goldens().iter().map(|(name, ..)| format!("{GOLDEN}{name}")).collect();
    let read = python(&files, "");
    assert_eq!(read.len(), files.len());
    for ((name, _, frame), read) in goldens().iter().zip(read) {
        assert_eq!(read, expected(frame), "{name}");
    }
}

#[test]
fn python_reads_random_frames() {
    let mut runner = TestRunner::deterministic();
    let strategy = arbitrary::frame();
    let frames: Vec<Frame<'_>> =
        (0..RANDOM_FRAMES).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
    let mut lines = String::new();
    for frame in &frames {
        lines.extend(encode(frame).unwrap().iter().map(|byte| format!("{byte:02x}")));
        lines.push('\n');
    }
    let read = python(&[], &lines);
    assert_eq!(read.len(), RANDOM_FRAMES);
    for (frame, read) in frames.iter().zip(read) {
        assert_eq!(read, expected(frame));
    }
}

/// What the decoder prints, a value a line.
fn python(arguments: &[String], input: &str) -> Vec<Value> {
    let mut child = Command::new("python3")
        .arg(DECODER)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("no python3 to run the second decoder; `apt-get install python3` brings it");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "decode.py ended with {}", output.status);
    let printed = String::from_utf8(output.stdout).unwrap();
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn expected(frame: &Frame<'_>) -> Value {
    json!({
        "identity": {
            "namespace": frame.identity.namespace.as_str(),
            "workload": frame.identity.workload.as_str(),
            "pod": frame.identity.pod.as_str(),
            "revision": frame.identity.revision.as_str(),
        },
        "instance": frame.instance,
        "sequence": frame.sequence,
        "window": {
            "start_micros": frame.window.start_micros,
            "end_micros": frame.window.end_micros,
        },
        "sent_at_micros": frame.sent_at_micros,
        "health": {
            "overflowed": frame.health.overflowed,
            "merged": frame.health.merged,
            "failed_sends": frame.health.failed_sends,
            "unreadable": frame.health.unreadable,
        },
        "series": frame.series.iter().map(series).collect::<Vec<_>>(),
    })
}

fn series(series: &Series<'_>) -> Value {
    json!({
        "key": {
            "direction": match series.key.direction {
                Direction::Inbound => "inbound",
                Direction::Outbound => "outbound",
            },
            "destination": series.key.destination.as_str(),
            "route": series.key.route.as_str(),
        },
        "in_flight": series.in_flight,
        "concurrency_micros": series.concurrency_micros,
        "codes": counts(&series.codes),
        "grpc": counts(&series.grpc),
        "flags": counts(&series.flags),
        "latency": histogram(&series.latency),
        "first_byte": histogram(&series.first_byte),
        "streams": {
            "finished": series.streams.finished,
            "duration_micros": series.streams.duration_micros,
        },
    })
}

fn counts<K: Copy + Ord + Into<u64>, const MAX: usize>(counts: &Counts<K, MAX>) -> Value {
    counts.iter().map(|(key, count)| json!([key.into(), count])).collect()
}

fn histogram(histogram: &LatencyHistogram) -> Value {
    let buckets = histogram.buckets().iter();
    json!({
        "digits": histogram.digits().get(),
        "buckets": buckets.map(|&Bucket { index, count }| json!([index, count])).collect::<Vec<_>>(),
    })
}
