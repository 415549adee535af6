//! What the dashboard costs an aggregator that is busy: its CPU with ten viewers beside its CPU with none.
//!
//!     cargo bench -p foresail-tests --bench dashboard_cost -- [--workloads N] [--pods N] [--viewers N] [--seconds N] [--pairs N]
//!
//! A fleet sends a frame a second from each pod of each workload, all of which are decided for. Half of the viewers look at
//! all workloads, half at one each: they listen to the events and ask what the page asks, as often as it does.
//!
//! What viewers cost does not depend on how many pods report, since pods are merged first. So it is measured with one pod for each
//! workload, where little else is to be told apart from it: spans with and without viewers take turns, and the median
//! of their differences is compared with what the aggregator takes of a core under the full load.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench fails by panicking")]

#[path = "../tests/support/crowd.rs"]
mod crowd;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use crowd::{Crowd, Member};
use foresail_tests::{Aggregator, Http, WorkDir, clock};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

const NAMESPACE: &str = "fleet";
/// Until everything is known and decided for, and the history has windows.
const WARM_UP: Duration = Duration::from_secs(40);
/// Left out after viewers have come or gone.
const SETTLE: Duration = Duration::from_secs(3);
/// Share of the aggregator's CPU that ten viewers may cost.
const GOAL: f64 = 0.02;

/// What the page of a workload asks, and how often in seconds; see `assets/js/workload-page.js` and `insights.js`.
const ASKED: [(&str, u64); 6] = [
    ("history?tier=1s&since=RECENT", 1),
    ("heatmap?tier=15s&since=RECENT", 10),
    ("forecast", 10),
    ("capacity", 30),
    ("budget", 30),
    ("shadows", 30),
];

#[tokio::main]
async fn main() -> Result<()> {
    let option = |flag, otherwise| anyhow::Ok(option(flag)?.unwrap_or(otherwise));
    let (workloads, pods) = (option("--workloads", 1_000)?, option("--pods", 10)?);
    let (viewers, seconds) = (option("--viewers", 10)?, option("--seconds", 15)?);
    let pairs = option("--pairs", 7)?;
    let directory = WorkDir::new("dashboard-cost")?;
    let mut aggregator = Aggregator::start(&directory, config(workloads)).await?;
    let crowd = Crowd::start(&aggregator.url(), members(workloads, 1));
    sleep(WARM_UP).await;
    let read = Arc::new(AtomicU64::new(0));
    let (mut alone, mut costs) = (Vec::new(), Vec::new());
    for pair in 0..pairs {
        let mut cores = [0.0; 2];
        // Whatever grows with time is shared out evenly.
        for watched in if pair % 2 == 0 { [0, 1] } else { [1, 0] } {
            let looking = if watched == 1 { viewers } else { 0 };
            let _viewers = Viewers::start(&aggregator.url(), looking, workloads, &read);
            sleep(SETTLE).await;
            cores[watched] = measure(&mut aggregator, seconds).await?;
        }
        alone.push(cores[0]);
        costs.push(cores[1] - cores[0]);
        println!(
            "  pair {}: {:.2} % of a core alone, {:.2} % watched",
            pair + 1,
            cores[0],
            cores[1]
        );
    }
    let watched_seconds = f64::from(pairs) * (f64::from(seconds) + SETTLE.as_secs_f64());
    drop(crowd);
    let crowd = Crowd::start(&aggregator.url(), members(workloads, pods));
    sleep(2 * SETTLE).await;
    let sent = crowd.sent();
    let full = measure(&mut aggregator, 2 * seconds).await?;
    let rate = (crowd.sent() - sent) as f64 / f64::from(2 * seconds);
    drop(crowd);
    let (cost, light) = (median(costs), median(alone));
    let share = cost / full;
    println!(
        "dashboard: {viewers} viewers take {cost:.2} % of a core of an aggregator with {workloads} workloads ({light:.1} % \
         without them at {workloads} frames a second); that is {:.2} % of what it takes at {rate:.0} frames a second, \
         {full:.0} % of a core (goal < {:.0} %: {}); viewers read {:.1} MiB a second",
        share * 100.0,
        GOAL * 100.0,
        if share < GOAL { "met" } else { "NOT met" },
        read.load(Ordering::Relaxed) as f64 / watched_seconds / 1_048_576.0,
    );
    aggregator.stop().await
}

/// What the aggregator takes of a core over a span, in hundredths.
async fn measure(aggregator: &mut Aggregator, seconds: u32) -> Result<f64> {
    let (begin, cpu) = (Instant::now(), aggregator.process().cpu_seconds()?);
    sleep(Duration::from_secs(seconds.into())).await;
    let spent = aggregator.process().cpu_seconds()? - cpu;
    Ok(spent * 100.0 / begin.elapsed().as_secs_f64())
}

/// A whole number after a flag.
fn option(flag: &str) -> Result<Option<u32>> {
    let mut arguments = std::env::args().skip_while(|argument| argument != flag).skip(1);
    arguments.next().map(|text| text.parse().with_context(|| format!("{flag} {text}"))).transpose()
}

fn name(number: u32) -> String {
    format!("service-{number}")
}

fn config(workloads: u32) -> Value {
    let workload = |number| {
        json!({
            "namespace": NAMESPACE, "name": name(number), "max_replicas": 20,
            "objective": {"latency": "250ms"}, "target_rps_per_replica": 20,
            "capacity": "learned", "actuator": "none",
        })
    };
    json!({"workloads": (0..workloads).map(workload).collect::<Vec<_>>()})
}

fn members(workloads: u32, pods: u32) -> Vec<Member> {
    let member = |number: u32| Member {
        namespace: NAMESPACE.to_owned(),
        name: name(number % workloads),
        pod: number / workloads,
        requests: 5 + number % 40,
        micros: 20_000,
        falls_silent_after: None,
    };
    (0..workloads * pods).map(member).collect()
}

/// Viewers that look until this value goes.
struct Viewers(Vec<JoinHandle<()>>);

impl Viewers {
    fn start(url: &str, count: u32, workloads: u32, read: &Arc<AtomicU64>) -> Self {
        let one = |number: u32| {
            let chosen = (number % 2 == 1).then(|| number % workloads);
            tokio::spawn(look(url.to_owned(), chosen, Arc::clone(read)))
        };
        Self((0..count).map(one).collect())
    }
}

impl Drop for Viewers {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// A page that is open: on one workload, or on all.
async fn look(url: String, chosen: Option<u32>, read: Arc<AtomicU64>) {
    let mut parts = JoinSet::new();
    let about = chosen.map_or_else(
        || "decisions=false".to_owned(),
        |number| format!("workload={NAMESPACE}/{}", name(number)),
    );
    parts.spawn(listen(format!("{url}/v1/events?{about}"), Arc::clone(&read)));
    if let Some(number) = chosen {
        let path = format!("{url}/v1/workloads/{NAMESPACE}/{}", name(number));
        let http = Http::default();
        let begin = Instant::now();
        for turn in 0_u64.. {
            sleep((begin + Duration::from_secs(turn)).saturating_duration_since(Instant::now()))
                .await;
            let recent = clock::unix_time().as_secs() - 12;
            for (what, every) in ASKED {
                if turn % every == 0 {
                    let what = what.replace("RECENT", &recent.to_string());
                    let answer = http.text(&format!("{path}/{what}")).await.unwrap();
                    read.fetch_add(answer.len() as u64, Ordering::Relaxed);
                }
            }
        }
    }
    parts.join_all().await;
}

/// Reads events as long as they come.
async fn listen(url: String, read: Arc<AtomicU64>) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let request = Request::get(&url).body(Empty::new()).unwrap();
    let mut events = client.request(request).await.unwrap().into_body();
    while let Some(Ok(frame)) = events.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        read.fetch_add(length as u64, Ordering::Relaxed);
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
