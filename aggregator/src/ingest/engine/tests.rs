use foresail_wire::{
    Digits, Direction, Health, Identity, LatencyHistogram, Series, SeriesKey, Text, Window, encode,
};
use proptest::prelude::*;

use super::*;
use crate::store::disk::Disk;
use crate::telemetry::Totals;

const T0: u64 = 1_700_000_000;

fn at(second: u64) -> Timestamp {
    Timestamp::from_secs(T0 + second)
}

fn bytes(workload: &str, instance: u64, sequence: u64, second: u64) -> Bytes {
    let start_micros = (T0 + second) * 1_000_000;
    let mut series = Series {
        key: SeriesKey { direction: Direction::Inbound, ..SeriesKey::default() },
        latency: LatencyHistogram::new(Digits::DEFAULT),
        ..Series::default()
    };
    // Different counts in each frame, so that sums tell which were counted.
    let requests = 1 + u32::try_from((instance * 7 + sequence * 3) % 11).unwrap();
    series.codes.add(if sequence.is_multiple_of(4) { 503 } else { 200 }, requests);
    (0..requests).for_each(|n| series.latency.record(1_000 + 100 * u64::from(n)));
    let frame = Frame {
        identity: Identity {
            namespace: Text::truncated("demo"),
            workload: Text::truncated(workload.to_owned()),
            pod: Text::truncated(format!("{workload}-{instance}")),
            revision: Text::default(),
        },
        instance,
        sequence,
        window: Window { start_micros, end_micros: start_micros + 1_000_000 },
        sent_at_micros: start_micros + 1_000_000,
        health: Health::default(),
        series: vec![series],
    };
    encode(&frame).unwrap().into()
}

fn open(disk: &Disk, limit: usize) -> Engine {
    Engine::open(disk.open(), &[], limit).unwrap().0
}

fn send(engine: &mut Engine, frame: &Bytes, second: u64) -> Answer {
    let received = Received { bytes: frame.clone(), received_at: at(second) };
    engine.ingest(&[received], at(second)).remove(0)
}

fn totals(engine: &Engine, workload: &str) -> Totals {
    let workload = engine.workloads().get("demo", workload).unwrap();
    workload.with(|telemetry| telemetry.totals().clone())
}

#[test]
fn a_batch_is_answered_frame_by_frame() {
    let disk = Disk::default();
    let mut engine = open(&disk, 1);
    let good = bytes("web", 1, 1, 0);
    let batch = [
        good.clone(),
        good.clone(),
        Bytes::from_static(b"hello"),
        Bytes::from_static(b"FSL7"),
        bytes("other", 1, 1, 0),
        bytes("web", 2, 1, 0),
    ];
    let batch = batch.map(|bytes| Received { bytes, received_at: at(1) });
    let answers = engine.ingest(&batch, at(1));
    let results: Vec<_> = answers.iter().map(Answer::result).collect();
    let expected = [
        FrameResult::Accepted,
        FrameResult::Duplicate,
        FrameResult::BadMagic,
        FrameResult::UnknownVersion,
        FrameResult::TooManyWorkloads,
        FrameResult::Accepted,
    ];
    assert_eq!(results, expected);
    for result in expected {
        let times = expected.iter().filter(|other| **other == result).count();
        assert_eq!(engine.counters().get(result), times as u64, "{}", result.name());
    }
    assert_eq!(engine.counters().batches(), 1);
}

#[test]
fn a_frame_of_the_future_is_refused() {
    let mut engine = open(&Disk::default(), 1);
    let bytes = bytes("web", 1, 1, 0);
    let mut frame = decode(&bytes).unwrap();
    frame.sent_at_micros = T0 * 1_000_000 - 5_000_000;
    let frame = Bytes::from(encode(&frame).unwrap());
    assert!(matches!(send(&mut engine, &frame, 1), Answer::FutureDated));
}

#[test]
fn an_acknowledged_frame_survives_a_crash_and_is_known_when_it_comes_again() {
    let disk = Disk::default();
    let mut engine = open(&disk, 10);
    let frame = bytes("web", 1, 1, 0);
    assert!(matches!(send(&mut engine, &frame, 1), Answer::Accepted));
    let before = totals(&engine, "web");
    disk.crash();
    let (mut engine, restored) = Engine::open(disk.open(), &[], 10).unwrap();
    assert_eq!(restored.frames, 1);
    assert_eq!(totals(&engine, "web"), before);
    assert!(matches!(send(&mut engine, &frame, 2), Answer::Duplicate));
    assert_eq!(totals(&engine, "web").inbound, before.inbound);
}

#[test]
fn a_clock_that_is_set_back_does_not_pile_requests_up_in_one_second() {
    let mut engine = open(&Disk::default(), 10);
    engine.tick(at(4_000)).unwrap();
    for second in 0..10 {
        send(&mut engine, &bytes("web", 1, second + 1, second), second + 1);
    }
    let workload = engine.workloads().get("demo", "web").unwrap();
    let windows = workload.with(|telemetry| telemetry.summaries(Tier::Fine, at(20)));
    let begins: Vec<_> = windows.iter().map(|(begin, _)| *begin).collect();
    assert_eq!(begins, (0..10).map(at).collect::<Vec<_>>());
}

#[test]
fn after_saving_everything_nothing_is_applied_again() {
    let disk = Disk::default();
    let mut engine = open(&disk, 10);
    for sequence in 1..=20 {
        send(&mut engine, &bytes("web", 1, sequence, sequence), sequence + 1);
    }
    let before = totals(&engine, "web");
    engine.save_all(at(22)).unwrap();
    disk.crash();
    let (engine, restored) = Engine::open(disk.open(), &[], 10).unwrap();
    assert_eq!(restored.frames, 0);
    assert_eq!(totals(&engine, "web"), before);
}

#[test]
fn only_the_workloads_that_were_not_saved_are_replayed() {
    let disk = Disk::default();
    let mut engine = open(&disk, 10);
    let batch = ["web", "api"].map(|workload| bytes(workload, 1, 1, 0));
    let batch = batch.map(|bytes| Received { bytes, received_at: at(1) });
    engine.ingest(&batch, at(1));
    // The first tick saves the second workload, and the batch is kept for the first.
    engine.tick(at(2)).unwrap();
    disk.crash();
    let (engine, restored) = Engine::open(disk.open(), &[], 10).unwrap();
    assert_eq!(restored.frames, 1);
    for workload in ["web", "api"] {
        let totals = totals(&engine, workload);
        assert_eq!((totals.frames, totals.duplicate_frames), (1, 0), "{workload}");
    }
}

#[test]
fn ten_ticks_save_every_workload_and_forget_its_frames() {
    let disk = Disk::default();
    let mut engine = open(&disk, 100);
    for n in 0..23 {
        send(&mut engine, &bytes(&format!("web-{n}"), 1, 1, 0), 1);
    }
    for second in 2..12 {
        engine.tick(at(second)).unwrap();
    }
    disk.crash();
    let (engine, restored) = Engine::open(disk.open(), &[], 100).unwrap();
    assert_eq!(restored.frames, 0);
    assert_eq!(engine.workloads().len(), 23);
    assert!(engine.workloads().all().iter().all(|w| w.with(|t| t.totals().frames) == 1));
}

#[test]
fn closed_windows_are_there_after_a_crash() {
    let disk = Disk::default();
    let mut engine = open(&disk, 10);
    for second in 0..60 {
        send(&mut engine, &bytes("web", 1, second + 1, second), second + 1);
        engine.tick(at(second + 1)).unwrap();
    }
    let windows = |engine: &Engine| {
        let workload = engine.workloads().get("demo", "web").unwrap();
        Tier::ALL.map(|tier| workload.with(|telemetry| telemetry.summaries(tier, at(61))))
    };
    disk.crash();
    let mut again = open(&disk, 10);
    // The first tick closes what had closed before the crash and after the last save.
    engine.last_tick = at(60);
    again.tick(at(60)).unwrap();
    let (before, after) = (windows(&engine), windows(&again));
    assert_eq!(before[0].len(), 60);
    assert_eq!(before, after);
}

#[test]
fn a_disk_that_fails_refuses_frames_and_recovers() {
    let disk = Disk::default();
    let mut engine = open(&disk, 10);
    assert!(matches!(send(&mut engine, &bytes("web", 1, 1, 0), 1), Answer::Accepted));
    disk.fail(true);
    let refused = bytes("web", 1, 2, 1);
    let answer = send(&mut engine, &refused, 2);
    assert!(matches!(answer, Answer::Unavailable(FrameResult::StoreFailed)), "{answer:?}");
    assert!(!engine.store().reader().is_healthy());
    assert!(engine.tick(at(2)).is_err());
    assert_eq!(totals(&engine, "web").frames, 1, "a refused frame is not counted");

    disk.fail(false);
    assert!(matches!(send(&mut engine, &refused, 4), Answer::Accepted));
    assert!(engine.store().reader().is_healthy());
    assert_eq!(totals(&engine, "web").frames, 2);
    engine.tick(at(5)).unwrap();
    let before = totals(&engine, "web");
    disk.crash();
    assert_eq!(totals(&open(&disk, 10), "web"), before);
}

/// What happens next to the aggregator or one of two filters.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A filter sends what waits, oldest first, together with the other filter's oldest.
    Report,
    /// The same, and the answers are lost on the way.
    ReportUnheard,
    Tick,
    Save,
    Crash,
    DiskFails(bool),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => Just(Event::Report),
        3 => Just(Event::ReportUnheard),
        6 => Just(Event::Tick),
        1 => Just(Event::Save),
        3 => Just(Event::Crash),
        1 => any::<bool>().prop_map(Event::DiskFails),
    ]
}

/// A filter that keeps a frame until it is answered.
struct Filter {
    workload: &'static str,
    instance: u64,
    sequence: u64,
    waiting: Vec<Bytes>,
}

impl Filter {
    fn observe(&mut self, second: u64) {
        self.sequence += 1;
        self.waiting.push(bytes(self.workload, self.instance, self.sequence, second));
    }

    fn hear(&mut self, answer: &Answer) {
        match answer {
            Answer::Accepted | Answer::Duplicate => {
                self.waiting.remove(0);
            }
            Answer::Unavailable(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn report(engine: &mut Engine, filters: &mut [Filter], second: u64, heard: bool) {
    let batch: Vec<_> = filters
        .iter()
        .filter_map(|filter| filter.waiting.first())
        .map(|bytes| Received { bytes: bytes.clone(), received_at: at(second) })
        .collect();
    let answers = engine.ingest(&batch, at(second));
    let senders = filters.iter_mut().filter(|filter| !filter.waiting.is_empty());
    for (filter, answer) in senders.zip(&answers).filter(|_| heard) {
        filter.hear(answer);
    }
}

fn filters() -> Vec<Filter> {
    [("web", 1), ("web", 2), ("api", 3)]
        .map(|(workload, instance)| Filter { workload, instance, sequence: 0, waiting: vec![] })
        .into()
}

/// Runs the story and then lets every filter get through.
fn run(events: &[Event]) -> Vec<Totals> {
    let disk = Disk::default();
    let mut engine = open(&disk, 10);
    let mut filters = filters();
    let mut second = 0;
    for event in events {
        second += 1;
        for filter in &mut filters {
            filter.observe(second - 1);
        }
        match event {
            Event::Report => report(&mut engine, &mut filters, second, true),
            Event::ReportUnheard => report(&mut engine, &mut filters, second, false),
            Event::Tick => drop(engine.tick(at(second))),
            Event::Save => drop(engine.save_all(at(second))),
            Event::Crash => {
                disk.crash();
                disk.fail(false);
                engine = open(&disk, 10);
            }
            Event::DiskFails(fails) => disk.fail(*fails),
        }
    }
    disk.fail(false);
    second += 5;
    while filters.iter().any(|filter| !filter.waiting.is_empty()) {
        report(&mut engine, &mut filters, second, true);
    }
    ["web", "api"].map(|workload| totals(&engine, workload)).into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn crashes_lost_answers_and_failing_disks_neither_lose_nor_double_a_request(
        events in prop::collection::vec(event(), 1..60),
    ) {
        let seconds = events.len();
        let undisturbed = run(&vec![Event::Report; seconds]);
        for (totals, expected) in run(&events).iter().zip(&undisturbed) {
            prop_assert_eq!(&totals.inbound, &expected.inbound);
            prop_assert_eq!(totals.frames, expected.frames);
            prop_assert_eq!(totals.lost_frames, 0);
        }
    }
}
