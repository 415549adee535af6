//! All that a VM knows: its listeners, its requests in flight, its counts and what is to be sent.
//!
//! Several root contexts may share a VM (Istio puts the same plugin on inbound and outbound
//! listeners). They share identity, windows and outbox, those of the newest configuration; each
//! has its own route labels. Listeners with the same configuration share even the root context, so
//! which way a request goes is asked of each.

use std::time::Duration;

use foresail_wire::{Direction, Frame, Health, Identity, SeriesKey, Text};

use crate::config::{Aggregator, Config};
use crate::identity::authority;
use crate::live::LiveRequests;
use crate::outbox::{Notice, Outbox};
use crate::recorder::{Recorder, SeriesIndex};
use crate::request::{Request, observe};
use crate::routes::{RouteLabels, Template, label, service_of_cluster};
use crate::windows::WindowClock;

/// The most root contexts that are kept. A proxy makes one for each listener and configuration.
const MAX_ROOTS: usize = 64;

/// Where a request came from: the place of its root context in the VM, and which way it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    root: u16,
    direction: Direction,
}

/// The state of a VM.
#[derive(Debug)]
pub struct Plugin {
    instance: u64,
    roots: Vec<Root>,
    next_root: usize,
    reporting: Option<Reporting>,
    live: LiveRequests,
    /// Requests in flight that [`LiveRequests`] had no room for, and where the last one came from.
    crowd: u32,
    crowd_origin: Origin,
    recorder: Recorder,
    last: LastSeries,
    outbox: Outbox,
    unreadable: u64,
}

/// What all root contexts share.
#[derive(Debug)]
struct Reporting {
    identity: Identity<'static>,
    aggregator: Aggregator,
    clock: WindowClock,
}

#[derive(Debug)]
struct Root {
    id: u32,
    /// `None` while its configuration is wrong: then its requests are not counted.
    active: Option<Labels>,
}

/// How the requests of a root context are told apart.
#[derive(Debug)]
struct Labels {
    /// `None`: what the listener says.
    direction: Option<Direction>,
    routes: RouteLabels,
    grpc_streams: Vec<Template>,
    /// The series without destination and route, inbound and outbound.
    plain: [Option<(u32, SeriesIndex)>; 2],
}

/// The series of the request before: most requests have the same.
#[derive(Debug, Default)]
struct LastSeries {
    origin: Origin,
    cluster: String,
    route: String,
    index: Option<(u32, SeriesIndex)>,
}

impl Plugin {
    /// A VM that counts nothing yet. `instance` must be random.
    pub fn new(instance: u64) -> Self {
        Self {
            instance,
            roots: Vec::new(),
            next_root: 0,
            reporting: None,
            live: LiveRequests::default(),
            crowd: 0,
            crowd_origin: Origin::default(),
            recorder: Recorder::new(foresail_wire::Digits::DEFAULT),
            last: LastSeries::default(),
            outbox: Outbox::default(),
            unreadable: 0,
        }
    }

    /// Takes the configuration of a root context.
    pub fn configure(
        &mut self,
        root_id: u32,
        mut config: Config,
        identity: Identity<'static>,
        now_micros: u64,
    ) {
        config.aggregator.authority.get_or_insert_with(|| authority(&identity));
        match &mut self.reporting {
            Some(reporting) => {
                reporting.identity = identity;
                reporting.aggregator = config.aggregator;
                reporting.clock.set_interval(config.report_interval);
            }
            None => {
                self.reporting = Some(Reporting {
                    identity,
                    aggregator: config.aggregator,
                    clock: WindowClock::new(config.report_interval, now_micros),
                });
            }
        }
        self.recorder.set_digits(config.digits);
        let labels = Labels {
            direction: config.direction,
            routes: config.routes,
            grpc_streams: config.grpc_streams,
            plain: [None; 2],
        };
        self.last.index = None;
        self.set_root(Root { id: root_id, active: Some(labels) });
    }

    /// Stops counting the requests of a root context whose configuration is wrong.
    pub fn refuse(&mut self, root_id: u32) {
        self.set_root(Root { id: root_id, active: None });
    }

    fn set_root(&mut self, root: Root) {
        let known = self.roots.iter().position(|known| known.id == root.id);
        if known.is_none() && self.roots.len() < MAX_ROOTS {
            self.roots.push(root);
            return;
        }
        let at = known.unwrap_or_else(|| {
            let oldest = self.next_root;
            self.next_root = (oldest + 1) % MAX_ROOTS;
            oldest
        });
        if let Some(slot) = self.roots.get_mut(at) {
            *slot = root;
        }
    }

    /// A request has begun.
    #[inline]
    pub fn begin(&mut self, context_id: u32, root_id: u32, request: &mut impl Request) {
        let Some(at) = self.roots.iter().position(|root| root.id == root_id) else { return };
        let Some(Root { active: Some(labels), .. }) = self.roots.get(at) else { return };
        // A listener without a direction is taken to be inbound.
        let direction =
            labels.direction.or_else(|| request.listener_direction()).unwrap_or_default();
        // At most `MAX_ROOTS`, so it always fits.
        let origin = Origin { root: u16::try_from(at).unwrap_or_default(), direction };
        if !self.live.insert(context_id, origin) {
            self.crowd = self.crowd.saturating_add(1);
            self.crowd_origin = origin;
        }
    }

    /// A request has finished.
    #[inline]
    pub fn finish(&mut self, context_id: u32, request: &mut impl Request) {
        let (origin, credited_micros) = match self.live.remove(context_id) {
            Some(live) => (live.origin, live.credited_micros),
            None if self.crowd > 0 => {
                self.crowd -= 1;
                (self.crowd_origin, 0)
            }
            None => return,
        };
        let Some(Root { active: Some(labels), .. }) = self.roots.get_mut(usize::from(origin.root))
        else {
            return;
        };
        let Some(seen) = observe(request, &labels.grpc_streams) else {
            self.unreadable = self.unreadable.saturating_add(1);
            return;
        };
        let at = if labels.is_plain(origin.direction) {
            labels.plain_series(origin.direction, &mut self.recorder)
        } else {
            self.last.series(origin, labels, request, &mut self.recorder)
        };
        self.recorder.record(at, &seen, credited_micros);
    }

    /// Ends the window if its time has come, and says when to look again. `None` when no root
    /// context has a valid configuration.
    pub fn tick(&mut self, now_micros: u64) -> Option<Duration> {
        let reporting = self.reporting.as_mut()?;
        if let Some(window) = reporting.clock.close(now_micros) {
            let length = window.end_micros - window.start_micros;
            credit_live(
                &mut self.live,
                &mut self.roots,
                &mut self.recorder,
                (self.crowd_origin, self.crowd),
                length,
            );
            self.outbox.push(Frame {
                identity: reporting.identity.clone(),
                instance: self.instance,
                sequence: 0,
                window,
                sent_at_micros: 0,
                health: Health::default(),
                series: self.recorder.close(),
            });
        }
        Some(reporting.clock.until_close(now_micros))
    }

    /// The bytes to send now, if any, and where; [`Plugin::sent`] must follow.
    pub fn next_frame(&mut self, now_micros: u64) -> Option<(Vec<u8>, &Aggregator)> {
        let reporting = self.reporting.as_ref()?;
        let health = Health {
            overflowed: self.recorder.overflowed(),
            unreadable: self.unreadable,
            ..Health::default()
        };
        self.outbox.next(now_micros, health).map(|bytes| (bytes, &reporting.aggregator))
    }

    /// Says whether the proxy took what [`Plugin::next_frame`] gave.
    pub fn sent(&mut self, token: Option<u32>, now_micros: u64) -> Option<Notice> {
        let timeout = self.reporting.as_ref()?.aggregator.timeout;
        self.outbox.sent(token, timeout, now_micros)
    }

    /// Takes the aggregator's answer with its body's length; `None` when there was none.
    pub fn answered(
        &mut self,
        token: u32,
        status: Option<u16>,
        body_bytes: usize,
        now_micros: u64,
    ) -> Option<Notice> {
        self.outbox.answered(token, status, body_bytes, now_micros)
    }
}

impl Labels {
    /// Whether all its requests in a direction belong to one series.
    #[inline]
    fn is_plain(&self, direction: Direction) -> bool {
        direction == Direction::Inbound && self.routes == RouteLabels::Off
    }

    /// The series without destination and route.
    #[inline]
    fn plain_series(&mut self, direction: Direction, recorder: &mut Recorder) -> SeriesIndex {
        let [inbound, outbound] = &mut self.plain;
        let known = if direction == Direction::Inbound { inbound } else { outbound };
        match *known {
            Some((epoch, at)) if epoch == recorder.epoch() => at,
            _ => {
                let at = recorder.index_of(&SeriesKey { direction, ..SeriesKey::default() });
                *known = Some((recorder.epoch(), at));
                at
            }
        }
    }
}

impl LastSeries {
    /// The series of a request whose labels have to be asked for.
    fn series(
        &mut self,
        origin: Origin,
        labels: &Labels,
        request: &mut impl Request,
        recorder: &mut Recorder,
    ) -> SeriesIndex {
        let mut same = self.origin == origin;
        self.origin = origin;
        if origin.direction == Direction::Outbound {
            same &= request.with_cluster(|cluster| keep(&mut self.cluster, cluster));
        } else {
            self.cluster.clear();
        }
        match &labels.routes {
            RouteLabels::Off => self.route.clear(),
            RouteLabels::Name => {
                same &= request.with_route_name(|name| keep(&mut self.route, name));
            }
            RouteLabels::Path(templates) => {
                same &= request.with_path(|path| keep(&mut self.route, label(templates, path)));
            }
        }
        match self.index {
            Some((epoch, at)) if same && epoch == recorder.epoch() => at,
            _ => {
                let at = recorder.index_of(&SeriesKey {
                    direction: origin.direction,
                    destination: Text::truncated(service_of_cluster(&self.cluster)),
                    route: Text::truncated(self.route.as_str()),
                });
                self.index = Some((recorder.epoch(), at));
                at
            }
        }
    }
}

/// Whether `kept` is `text` already; it is afterwards.
fn keep(kept: &mut String, text: &str) -> bool {
    let same = kept == text;
    if !same {
        kept.clear();
        kept.push_str(text);
    }
    same
}

/// Counts the in-flight time of requests that the closing window leaves in flight: a whole window,
/// or half of one for those that began in it, whose start nobody wrote down. What that is off by
/// is put right when they finish.
///
/// Which series such a request will belong to is known only if it can belong to no other than the
/// plain one; all others stand in the plain series of their direction until they finish.
fn credit_live(
    live: &mut LiveRequests,
    roots: &mut [Root],
    recorder: &mut Recorder,
    (crowd_origin, crowd): (Origin, u32),
    window_micros: u64,
) {
    let mut credits = vec![[(0_u32, 0_u64); 2]; roots.len()];
    let of = |origin: Origin| (usize::from(origin.root), origin.direction as usize);
    for (origin, credited_micros) in live.iter_mut() {
        let began_here = *credited_micros == 0;
        let micros = if began_here { (window_micros / 2).max(1) } else { window_micros };
        *credited_micros = credited_micros.saturating_add(micros);
        let (root, direction) = of(origin);
        if let Some(credit) = credits.get_mut(root).and_then(|both| both.get_mut(direction)) {
            credit.0 = credit.0.saturating_add(1);
            credit.1 = credit.1.saturating_add(micros);
        }
    }
    let (root, direction) = of(crowd_origin);
    if let Some(credit) = credits.get_mut(root).and_then(|both| both.get_mut(direction)) {
        credit.0 = credit.0.saturating_add(crowd);
    }
    for (root, both) in roots.iter_mut().zip(credits) {
        for (direction, (in_flight, micros)) in
            [Direction::Inbound, Direction::Outbound].into_iter().zip(both)
        {
            if let (1.., Some(labels)) = (in_flight, &mut root.active) {
                let at = labels.plain_series(direction, recorder);
                recorder.credit(at, in_flight, micros);
            }
        }
    }
}
