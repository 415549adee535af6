//! A VM's whole life with a scripted proxy: what is counted, when, and that nothing is lost.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use foresail_filter::config::Config;
use foresail_filter::outbox::{MAX_WAITING, Notice};
use foresail_filter::plugin::Plugin;
use foresail_filter::request::{Basics, CONTENT_AFTER_MICROS, Content, Request};
use foresail_wire::{Direction, Frame, Identity, OVERFLOW_ROUTE, Series, Text, decode};
use proptest::prelude::*;

const ROOT: u32 = 2;
const SECOND: u64 = 1_000_000;
const START: u64 = 1_700_000_000 * SECOND;

/// A request as the proxy would tell it.
#[derive(Clone, Debug, Default)]
struct Fake {
    basics: Basics,
    content: Content,
    content_asked: u32,
    grpc: Option<u8>,
    first_byte: Option<u64>,
    path: &'static str,
    route: &'static str,
    cluster: String,
    outbound: bool,
}

impl Fake {
    fn new(code: u16, micros: u64) -> Self {
        let basics = Basics { duration_micros: Some(micros), code, ..Basics::default() };
        Self { basics, path: "/", ..Self::default() }
    }

    fn content(mut self, content: Content) -> Self {
        self.content = content;
        self
    }

    fn first_byte(mut self, micros: u64) -> Self {
        self.first_byte = Some(micros);
        self
    }
}

impl Request for Fake {
    fn basics(&mut self) -> Basics {
        self.basics
    }
    fn content(&mut self) -> Content {
        self.content_asked += 1;
        self.content
    }
    fn grpc_status(&mut self) -> Option<u8> {
        self.grpc
    }
    fn first_byte_micros(&mut self) -> Option<u64> {
        self.first_byte
    }
    fn listener_direction(&mut self) -> Option<Direction> {
        self.outbound.then_some(Direction::Outbound)
    }
    fn with_path<T>(&mut self, read: impl FnOnce(&str) -> T) -> T {
        read(self.path)
    }
    fn with_route_name<T>(&mut self, read: impl FnOnce(&str) -> T) -> T {
        read(self.route)
    }
    fn with_cluster<T>(&mut self, read: impl FnOnce(&str) -> T) -> T {
        read(&self.cluster)
    }
}

/// A VM, its clock, and the ids it gives.
struct Vm {
    plugin: Plugin,
    now: u64,
    last_id: u32,
}

impl Vm {
    fn new(config: &str) -> Self {
        let mut plugin = Plugin::new(7);
        let json = format!(r#"{{"cluster":"aggregator"{config}}}"#);
        let config = Config::from_json(json.as_bytes()).unwrap();
        let identity = Identity {
            namespace: Text::truncated("shop"),
            workload: Text::truncated("cart"),
            ..Identity::default()
        };
        plugin.configure(ROOT, config, identity, START);
        Self { plugin, now: START, last_id: 100 }
    }

    fn begin(&mut self) -> u32 {
        self.last_id += 1;
        self.plugin.begin(self.last_id, ROOT, &mut Fake::default());
        self.last_id
    }

    fn request(&mut self, mut request: Fake) {
        self.last_id += 1;
        self.plugin.begin(self.last_id, ROOT, &mut request);
        self.plugin.finish(self.last_id, &mut request);
    }

    fn pass(&mut self, time: Duration) {
        self.now += u64::try_from(time.as_micros()).unwrap();
        self.plugin.tick(self.now);
    }

    /// Ends the window, and takes and acknowledges its frame.
    fn report(&mut self) -> Frame<'static> {
        self.pass(Duration::from_secs(1));
        let frame = self.send(1).unwrap();
        assert_eq!(self.plugin.answered(1, Some(202), 0, self.now), None);
        frame
    }

    fn send(&mut self, token: u32) -> Option<Frame<'static>> {
        let (bytes, _) = self.plugin.next_frame(self.now)?;
        self.plugin.sent(Some(token), self.now);
        Some(decode(Vec::leak(bytes)).unwrap())
    }

    fn only_series(&mut self) -> Series<'static> {
        let mut series = self.report().series;
        assert_eq!(series.len(), 1);
        series.remove(0)
    }
}

#[test]
fn a_request_is_counted_once_with_its_duration_status_and_flags() {
    let mut vm = Vm::new("");
    vm.request(Fake::new(200, 1_500));
    let mut aborted = Fake::new(503, 900);
    aborted.basics.flags = 1 << 4 | 1 << 63;
    vm.request(aborted);

    let series = vm.only_series();
    assert_eq!(series.codes.iter().collect::<Vec<_>>(), [(200, 1), (503, 1)]);
    assert_eq!(series.flags.iter().collect::<Vec<_>>(), [(4, 1), (63, 1)]);
    assert_eq!(series.latency.total(), 2);
    assert_eq!(series.concurrency_micros, 2_400);
    assert!(series.latency.quantile(1.0).unwrap().abs_diff(1_500) <= 15);
}

#[test]
fn an_idle_proxy_proves_that_it_is_idle() {
    let mut vm = Vm::new("");
    for sequence in 1..=3 {
        let frame = vm.report();
        assert!(frame.series.is_empty());
        assert_eq!(frame.sequence, sequence);
        assert_eq!(frame.window.end_micros % SECOND, 0);
    }
}

#[test]
fn streams_are_kept_out_of_the_latencies() {
    let mut vm = Vm::new("");
    vm.request(Fake::new(101, 60 * SECOND).first_byte(3_000));
    vm.request(Fake::new(200, 200_000).content(Content::EventStream));
    // Over before anybody could have seen it flow: a latency.
    vm.request(Fake::new(200, CONTENT_AFTER_MICROS - 1).content(Content::EventStream));
    vm.request(Fake::new(200, 5 * SECOND).content(Content::Grpc).first_byte(2_000));
    // Slow, but it answered in one piece: a latency.
    vm.request(Fake::new(200, 5 * SECOND).content(Content::Grpc).first_byte(4_990_000));
    // The proxy cannot tell when it began to answer: a latency.
    vm.request(Fake::new(200, 5 * SECOND).content(Content::Grpc));

    let series = vm.only_series();
    assert_eq!(series.streams.finished, 3);
    assert_eq!(series.streams.duration_micros, 65 * SECOND + 200_000);
    assert_eq!(series.first_byte.total(), 2);
    assert_eq!(series.latency.total(), 3);
    assert_eq!(series.codes.total(), 6);
}

#[test]
fn a_named_grpc_method_is_a_stream_however_short() {
    let mut vm = Vm::new(r#","grpc_streams":["/health.Health/Watch"]"#);
    let mut watch = Fake::new(200, 10).content(Content::Grpc);
    watch.path = "/health.Health/Watch";
    watch.grpc = Some(14);
    vm.request(watch.clone());
    watch.path = "/health.Health/Check";
    vm.request(watch);

    let series = vm.only_series();
    assert_eq!((series.streams.finished, series.latency.total()), (1, 1));
    assert_eq!(series.grpc.iter().collect::<Vec<_>>(), [(14, 2)]);
}

#[test]
fn a_plain_response_has_no_grpc_status() {
    let mut vm = Vm::new("");
    let mut request = Fake::new(200, 10);
    request.grpc = Some(2);
    vm.request(request);
    assert!(vm.only_series().grpc.is_empty());
}

#[test]
fn the_content_is_asked_for_only_where_it_can_matter() {
    let asked = |config: &str, mut request: Fake| {
        let mut vm = Vm::new(config);
        let id = vm.begin();
        vm.plugin.finish(id, &mut request);
        request.content_asked
    };
    let status = |grpc| Fake { grpc, ..Fake::new(200, 10) };

    assert_eq!(asked("", Fake::new(200, CONTENT_AFTER_MICROS - 1)), 0);
    assert_eq!(asked("", Fake::new(200, CONTENT_AFTER_MICROS)), 1);
    assert_eq!(asked("", Fake::new(204, SECOND)), 0);
    assert_eq!(asked("", Fake::new(503, SECOND)), 0);
    assert_eq!(asked("", status(Some(0))), 1);
    // Cut off, an event stream says nothing of how long it would have been.
    let mut cut = Fake::new(200, 10);
    cut.basics.flags = 1 << 14;
    assert_eq!(asked("", cut), 1);
    // A named method is a stream also when it was reset and has no status.
    assert_eq!(asked(r#","grpc_streams":["/a/B"]"#, status(None)), 1);
}

#[test]
fn outbound_requests_carry_the_service_they_went_to() {
    let mut vm = Vm::new("");
    for (cluster, micros) in [
        ("outbound|8080||reviews.shop.svc.cluster.local", 10),
        ("outbound|8080|v2|ratings.shop.svc.cluster.local", 20),
        ("PassthroughCluster", 30),
    ] {
        let request = Fake::new(200, micros);
        vm.request(Fake { outbound: true, cluster: cluster.to_owned(), ..request });
    }
    let destinations: Vec<_> = vm
        .report()
        .series
        .iter()
        .map(|series| (series.key.direction, series.key.destination.to_string()))
        .collect();
    let outbound = |name: &str| (Direction::Outbound, name.to_owned());
    assert_eq!(
        destinations,
        [
            outbound("PassthroughCluster"),
            outbound("ratings.shop.svc.cluster.local"),
            outbound("reviews.shop.svc.cluster.local"),
        ]
    );
}

/// Envoy 1.40 gives listeners with the same plugin configuration one root context, whatever their
/// direction; Istio puts the same plugin on both.
#[test]
fn listeners_that_share_a_root_context_keep_their_directions() {
    let mut vm = Vm::new("");
    for n in 0..30 {
        let outbound = n % 3 == 0;
        vm.request(Fake { outbound, cluster: "ratings".to_owned(), ..Fake::new(200, 10) });
    }
    for outbound in [false, true, true] {
        vm.last_id += 1;
        vm.plugin.begin(vm.last_id, ROOT, &mut Fake { outbound, ..Fake::default() });
    }
    let counted: Vec<_> = vm
        .report()
        .series
        .iter()
        .map(|series| (series.key.direction, series.codes.total(), series.in_flight))
        .collect();
    let (inbound, outbound) = (Direction::Inbound, Direction::Outbound);
    assert_eq!(counted, [(inbound, 20, 1), (outbound, 0, 2), (outbound, 10, 0)]);
}

#[test]
fn series_beyond_the_limit_share_one() {
    let mut vm = Vm::new(r#","direction":"outbound""#);
    for n in 0..100 {
        for _ in 0..2 {
            vm.request(Fake { cluster: format!("service-{n:03}"), ..Fake::new(200, 10) });
        }
    }
    let frame = vm.report();
    assert_eq!(frame.series.len(), 65);
    let overflow = frame.series.iter().find(|s| s.key.route.as_str() == OVERFLOW_ROUTE).unwrap();
    assert_eq!(overflow.codes.total(), 72);
    assert_eq!(vm.report().health.overflowed, 72);
}

#[test]
fn series_that_nobody_uses_make_room() {
    let mut vm = Vm::new(r#","direction":"outbound""#);
    for n in 0..64 {
        vm.request(Fake { cluster: format!("old-{n}"), ..Fake::new(200, 10) });
    }
    for _ in 0..=300 {
        vm.report();
    }
    vm.request(Fake { cluster: "new".to_owned(), ..Fake::new(200, 10) });
    assert_eq!(vm.only_series().key.destination.as_str(), "new");
}

#[test]
fn a_hung_backend_shows_as_requests_in_flight() {
    let mut vm = Vm::new("");
    let hung = vm.begin();
    let first = vm.only_series();
    assert_eq!((first.in_flight, first.concurrency_micros), (1, SECOND / 2));
    let second = vm.only_series();
    assert_eq!((second.in_flight, second.concurrency_micros), (1, SECOND));

    vm.plugin.finish(hung, &mut Fake::new(504, 2 * SECOND));
    let last = vm.only_series();
    assert_eq!((last.in_flight, last.concurrency_micros), (0, SECOND / 2));
    assert_eq!(last.codes.get(504), 1);
}

#[test]
fn what_the_estimate_gave_too_much_is_taken_back() {
    let mut vm = Vm::new("");
    let late = vm.begin();
    assert_eq!(vm.only_series().concurrency_micros, SECOND / 2);
    vm.plugin.finish(late, &mut Fake::new(200, SECOND / 10));
    assert_eq!(vm.only_series().concurrency_micros, 0);
    vm.request(Fake::new(200, SECOND));
    assert_eq!(vm.only_series().concurrency_micros, SECOND - SECOND * 4 / 10);
}

#[test]
fn requests_of_a_root_without_configuration_are_not_counted() {
    let mut vm = Vm::new("");
    vm.plugin.refuse(9);
    vm.plugin.begin(500, 9, &mut Fake::default());
    vm.plugin.finish(500, &mut Fake::new(200, 1));
    vm.plugin.finish(501, &mut Fake::new(200, 1));
    assert!(vm.report().series.is_empty());
}

#[test]
fn two_listeners_of_a_proxy_share_its_frames() {
    let mut vm = Vm::new("");
    let json = br#"{"cluster":"aggregator","direction":"outbound"}"#;
    let config = Config::from_json(json).unwrap();
    let identity = Identity {
        namespace: Text::truncated("shop"),
        workload: Text::truncated("cart"),
        ..Identity::default()
    };
    vm.plugin.configure(3, config, identity, START);
    vm.request(Fake::new(200, 1));
    vm.plugin.begin(900, 3, &mut Fake::default());
    vm.plugin.finish(900, &mut Fake { cluster: "db".to_owned(), ..Fake::new(200, 1) });
    let directions: Vec<_> = vm.report().series.iter().map(|s| s.key.direction).collect();
    assert_eq!(directions, [Direction::Inbound, Direction::Outbound]);
}

#[test]
fn other_digits_begin_with_the_next_window() {
    let mut vm = Vm::new("");
    vm.request(Fake::new(200, 123_456));
    let config = Config::from_json(br#"{"cluster":"aggregator","quantile_digits":3}"#).unwrap();
    let identity = Identity {
        namespace: Text::truncated("shop"),
        workload: Text::truncated("cart"),
        ..Identity::default()
    };
    vm.plugin.configure(ROOT, config, identity, START);
    vm.request(Fake::new(200, 123_456));
    assert_eq!(vm.only_series().latency.digits().get(), 2);
    vm.request(Fake::new(200, 123_456));
    assert_eq!(vm.only_series().latency.digits().get(), 3);
}

#[test]
fn a_frame_that_the_aggregator_refuses_is_dropped_and_the_next_one_goes_on() {
    let mut vm = Vm::new("");
    vm.pass(Duration::from_secs(1));
    assert_eq!(vm.send(1).unwrap().sequence, 1);
    let notice = vm.plugin.answered(1, Some(400), 0, vm.now);
    assert_eq!(notice, Some(Notice::Refused { status: 400, refused: 1 }));
    vm.pass(Duration::from_secs(1));
    let next = vm.send(2).unwrap();
    assert_eq!((next.sequence, next.health.failed_sends), (2, 1));
    assert_eq!(vm.plugin.answered(2, Some(413), 0, vm.now), None, "logged once a minute at most");
    vm.pass(Duration::from_mins(1));
    let sequence = vm.send(3).unwrap().sequence;
    let notice = vm.plugin.answered(3, Some(403), 0, vm.now);
    assert_eq!((sequence, &notice), (3, &Some(Notice::Refused { status: 403, refused: 3 })));
    assert!(notice.unwrap().to_string().contains("mesh identity"));
}

#[test]
fn a_frame_that_was_sent_never_changes() {
    let mut vm = Vm::new("");
    vm.request(Fake::new(200, 1));
    vm.pass(Duration::from_secs(1));
    let first = vm.send(1).unwrap();
    assert!(vm.send(2).is_none(), "one frame at a time");
    vm.plugin.answered(1, None, 0, vm.now);
    for _ in 0..100 {
        vm.request(Fake::new(200, 1));
        vm.pass(Duration::from_secs(1));
    }
    let mut again = vm.send(3).unwrap();
    assert_ne!(again.sent_at_micros, first.sent_at_micros);
    again.sent_at_micros = first.sent_at_micros;
    assert_eq!(again, first);

    // The other 100 requests come in at most 30 frames, none lost.
    vm.plugin.answered(3, Some(202), 0, vm.now);
    let mut counted = 0;
    let mut frames = 0;
    let mut token = 4;
    while let Some(frame) = vm.send(token) {
        counted += frame.series.iter().map(|s| s.codes.total()).sum::<u64>();
        assert!(frame.health.merged >= 70);
        vm.plugin.answered(token, Some(202), 0, vm.now);
        (frames, token) = (frames + 1, token + 1);
    }
    assert_eq!((counted, frames), (100, MAX_WAITING));
}

#[test]
fn a_200_with_a_long_body_is_not_the_aggregators() {
    let mut vm = Vm::new("");
    vm.pass(Duration::from_secs(1));
    let first = vm.send(1).unwrap();
    let notice = vm.plugin.answered(1, Some(200), 10 << 20, vm.now);
    assert_eq!(notice, Some(Notice::Unreachable { status: Some(200) }));
    vm.pass(Duration::from_secs(2));
    assert_eq!(vm.send(2).unwrap().sequence, first.sequence, "it is sent again");
}

#[test]
fn an_answer_that_never_comes_is_not_waited_for() {
    let mut vm = Vm::new("");
    vm.pass(Duration::from_secs(1));
    let first = vm.send(1).unwrap();
    vm.pass(Duration::from_secs(6));
    assert!(vm.send(2).is_none());
    vm.pass(Duration::from_secs(2));
    assert_eq!(vm.send(3).unwrap().sequence, first.sequence);
    assert_eq!(vm.plugin.answered(1, Some(202), 0, vm.now), None, "an old answer says nothing");
    assert!(vm.send(4).is_none());
}

/// What happens next in a random life.
#[derive(Clone, Debug)]
enum Event {
    Begin,
    Finish { nth: usize, code: u16 },
    Pass { millis: u64 },
    Send { fate: Fate },
}

/// What becomes of a frame that is sent.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Counted,
    CountedButAnswerLost,
    Lost,
    Shed,
    NotTaken,
}

fn event() -> impl Strategy<Value = Event> {
    let fate = prop_oneof![
        Just(Fate::Counted),
        Just(Fate::CountedButAnswerLost),
        Just(Fate::Lost),
        Just(Fate::Shed),
        Just(Fate::NotTaken),
    ];
    prop_oneof![
        4 => Just(Event::Begin),
        4 => (0..8_usize, prop_oneof![Just(0), Just(101), Just(200), Just(503)])
            .prop_map(|(nth, code)| Event::Finish { nth, code }),
        3 => (1..2_500_u64).prop_map(|millis| Event::Pass { millis }),
        3 => fate.prop_map(|fate| Event::Send { fate }),
    ]
}

proptest! {
    #[test]
    fn every_request_is_counted_exactly_once_whatever_the_network_does(
        events in prop::collection::vec(event(), 1..400)
    ) {
        let mut vm = Vm::new("");
        let mut live: Vec<(u32, u64)> = Vec::new();
        let mut expected: BTreeMap<u16, u64> = BTreeMap::new();
        let mut durations = 0;
        let mut aggregator = Aggregator::default();
        for event in events {
            match event {
                Event::Begin => live.push((vm.begin(), vm.now)),
                Event::Finish { nth, code } if nth < live.len() => {
                    let (id, since) = live.remove(nth);
                    let micros = vm.now - since + 10;
                    vm.plugin.finish(id, &mut Fake::new(code, micros));
                    *expected.entry(code).or_default() += 1;
                    durations += micros;
                }
                Event::Finish { .. } => {}
                Event::Pass { millis } => vm.pass(Duration::from_millis(millis)),
                Event::Send { fate } => aggregator.receive(&mut vm, fate),
            }
        }
        for (id, since) in live.drain(..) {
            let micros = vm.now - since + 10;
            vm.plugin.finish(id, &mut Fake::new(200, micros));
            *expected.entry(200).or_default() += 1;
            durations += micros;
        }
        for _ in 0..10 {
            vm.pass(Duration::from_secs(10));
            for _ in 0..=MAX_WAITING {
                aggregator.receive(&mut vm, Fate::Counted);
            }
        }
        prop_assert_eq!(aggregator.codes, expected);
        // Estimates may still owe a little; never have they given too little.
        prop_assert!(aggregator.concurrency >= durations);
        let bound = durations + SECOND * u64::from(vm.last_id);
        prop_assert!(aggregator.concurrency <= bound);
    }
}

/// Counts frames once each, as the real one does.
#[derive(Default)]
struct Aggregator {
    seen: BTreeSet<u64>,
    codes: BTreeMap<u16, u64>,
    concurrency: u64,
    tokens: u32,
}

impl Aggregator {
    fn receive(&mut self, vm: &mut Vm, fate: Fate) {
        let Some((bytes, _)) = vm.plugin.next_frame(vm.now) else { return };
        self.tokens += 1;
        if matches!(fate, Fate::NotTaken) {
            vm.plugin.sent(None, vm.now);
            return;
        }
        vm.plugin.sent(Some(self.tokens), vm.now);
        if matches!(fate, Fate::Counted | Fate::CountedButAnswerLost) {
            let frame = decode(&bytes).unwrap();
            if self.seen.insert(frame.sequence) {
                for series in &frame.series {
                    for (code, count) in series.codes.iter() {
                        *self.codes.entry(code).or_default() += u64::from(count);
                    }
                    self.concurrency += series.concurrency_micros;
                }
            }
        }
        let answer = match fate {
            Fate::Counted => Some(202),
            Fate::Shed => Some(429),
            _ => None,
        };
        vm.plugin.answered(self.tokens, answer, 0, vm.now);
    }
}
