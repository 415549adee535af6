//! Very many workloads without a mesh: what the filters of each would send, once a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use foresail_tests::{Http, clock};
use foresail_wire::{
    Digits, Frame, Health, Identity, LatencyHistogram, Series, SeriesKey, Text, Window, encode,
};
use hyper::Method;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Frames that one sender sends in a second at most: an answer comes after a disk write, so one sender would not do.
const LANE: usize = 32;

/// A workload of the crowd.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Which of its pods.
    pub(crate) pod: u32,
    /// Requests each second.
    pub(crate) requests: u32,
    /// How long each takes.
    pub(crate) micros: u64,
    /// Sends nothing after so many seconds.
    pub(crate) falls_silent_after: Option<u64>,
}

/// Sends a frame a second for each member, until this value goes.
#[derive(Debug)]
pub(crate) struct Crowd {
    sending: Vec<JoinHandle<()>>,
    sent: Arc<AtomicUsize>,
}

impl Crowd {
    pub(crate) fn start(url: &str, members: Vec<Member>) -> Self {
        let sent = Arc::new(AtomicUsize::new(0));
        let numbered: Vec<_> = (1..).zip(members).collect();
        let sending = numbered.chunks(LANE).map(|lane| {
            tokio::spawn(send(format!("{url}/v1/frames"), lane.to_vec(), Arc::clone(&sent)))
        });
        let sending = sending.collect();
        Self { sending, sent }
    }

    /// Frames that were answered.
    pub(crate) fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.sending.iter().for_each(JoinHandle::abort);
    }
}

async fn send(url: String, members: Vec<(u64, Member)>, sent: Arc<AtomicUsize>) {
    let http = Http::default();
    let first = clock::unix_time().as_secs();
    loop {
        let second = clock::unix_time().as_secs();
        sleep(Duration::from_secs(second + 1).saturating_sub(clock::unix_time())).await;
        let talks =
            |member: &Member| member.falls_silent_after.is_none_or(|after| second < first + after);
        for (number, member) in members.iter().filter(|(_, it)| talks(it)) {
            let Some(body) = frame(member, *number, second) else { continue };
            let answer = http.send(Method::POST, &url, "application/octet-stream", body).await;
            sent.fetch_add(usize::from(answer.is_ok()), Ordering::Relaxed);
        }
    }
}

/// The load goes up and down a little, so that figures change.
fn frame(member: &Member, number: u64, second: u64) -> Option<Vec<u8>> {
    let swing = u32::try_from((second + number) % 7).ok()?;
    let requests = member.requests + swing;
    let mut latency = LatencyHistogram::new(Digits::DEFAULT);
    (0..requests).for_each(|at| latency.record(member.micros + u64::from(at) * 100));
    let mut series = Series { key: SeriesKey::default(), latency, ..Series::default() };
    series.codes.add(200, requests);
    let start_micros = second * 1_000_000;
    let frame = Frame {
        identity: Identity {
            namespace: Text::truncated(member.namespace.clone()),
            workload: Text::truncated(member.name.clone()),
            pod: Text::truncated(format!("{}-{}", member.name, member.pod)),
            revision: Text::default(),
        },
        instance: number,
        sequence: second,
        window: Window { start_micros, end_micros: start_micros + 1_000_000 },
        sent_at_micros: u64::try_from(clock::unix_time().as_micros()).ok()?,
        health: Health::default(),
        series: vec![series],
    };
    encode(&frame).ok()
}
