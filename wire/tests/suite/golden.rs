//! The bytes of version 1 stay as they were released.

use foresail_wire::{decode, encode};

use crate::samples::{self, goldens};
use crate::written::Writer;

#[test]
fn frames_are_written_as_in_version_1() {
    for (name, bytes, frame) in goldens() {
        assert_eq!(encode(&frame).unwrap(), bytes, "{name}");
        assert_eq!(Writer::frame(&frame).bytes, bytes, "{name}, by the second encoder");
    }
}

#[test]
fn frames_of_version_1_are_read() {
    for (name, bytes, frame) in goldens() {
        assert_eq!(decode(bytes).unwrap(), frame, "{name}");
    }
}

#[test]
fn a_frame_with_fifty_buckets_is_below_300_bytes() {
    let frame = samples::typical();
    assert_eq!(frame.series[0].latency.buckets().len(), 50);
    let bytes = encode(&frame).unwrap();
    assert!(bytes.len() < 300, "{} bytes", bytes.len());
}

/// The README's listing: hexadecimal bytes, two spaces or more, then what they mean.
#[test]
fn the_readme_shows_the_bytes_of_the_example() {
    let readme = include_str!("../../README.md");
    let listing = readme.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let mut shown = Vec::new();
    for line in listing.lines() {
        let bytes = line.split("  ").next().unwrap();
        let bytes = bytes.split(' ').map(|pair| u8::from_str_radix(pair, 16).unwrap());
        shown.extend(bytes);
    }
    assert_eq!(shown, encode(&samples::example()).unwrap());
}
