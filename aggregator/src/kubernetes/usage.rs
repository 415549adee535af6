//! What pods use of CPU and memory, as `metrics.k8s.io` tells: asked for where a resource wants it,
//! and counted as `HorizontalPodAutoscaler` does.

mod count;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::Request;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Client;
use serde::Deserialize;

use super::facts::timestamp;
use super::quantity::whole;
use super::target::within;
use super::{KubernetesError, cache::Key};
use crate::clock::Stopwatch;
use crate::units::Timestamp;

pub(super) use count::{NoUse, count};

/// The API of metrics-server and of those that take its place.
const GROUP: &str = "/apis/metrics.k8s.io/v1beta1";
/// Figures are asked for so often; metrics-server takes new ones every 15 s unless told otherwise.
const EVERY: Duration = Duration::from_secs(15);
/// How soon it is seen that somebody wants them.
const LOOK: Duration = Duration::from_secs(1);
/// Nobody wants those of a namespace that nobody has asked about for so long.
const WANTED_FOR: Duration = Duration::from_mins(11);
/// Of more namespaces than these those of all are asked for at once, where all are watched.
const MOST_NAMESPACES: usize = 16;

/// What a pod uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// End of the time that it is a mean over.
    at: Timestamp,
    /// Length of that time.
    window: Duration,
    /// Thousandths of a core.
    cpu: u64,
    /// Bytes.
    memory: u64,
}

/// Samples of a namespace, by pod.
pub(super) type Samples = Arc<HashMap<String, Sample>>;

/// The newest answer about a namespace, or why there is none.
#[derive(Clone, Debug)]
struct Answer {
    at: Stopwatch,
    samples: Result<Samples, NoUse>,
}

/// What pods use; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// By namespace, when somebody last wanted it.
    wanted: BTreeMap<String, Stopwatch>,
    answers: HashMap<String, Answer>,
}

impl Usage {
    /// The samples of a namespace; from now on they are asked for.
    pub(super) fn of(&self, namespace: &str) -> Result<Samples, NoUse> {
        let mut inner = self.lock();
        inner.wanted.insert(namespace.to_owned(), Stopwatch::start());
        inner.answers.get(namespace).map_or(Err(NoUse::NotAsked), |answer| answer.samples.clone())
    }

    /// Asks for what is wanted, for ever. `sees_all` when all namespaces are watched.
    pub(super) async fn follow(self, client: Client, sees_all: bool) {
        loop {
            tokio::time::sleep(LOOK).await;
            let due = self.due();
            if sees_all && due.len() > MOST_NAMESPACES {
                let answer = ask(&client, None).await;
                for namespace in &due {
                    self.take(namespace, &answer);
                }
                continue;
            }
            for namespace in due {
                let answer = ask(&client, Some(&namespace)).await;
                self.take(&namespace, &answer);
            }
        }
    }

    /// Namespaces whose figures are wanted and old.
    fn due(&self) -> Vec<String> {
        let mut inner = self.lock();
        let Inner { wanted, answers } = &mut *inner;
        wanted.retain(|_, since| since.elapsed() < WANTED_FOR);
        answers.retain(|namespace, _| wanted.contains_key(namespace));
        let is_old = |namespace: &&String| {
            answers.get(*namespace).is_none_or(|answer| answer.at.elapsed() >= EVERY)
        };
        wanted.keys().filter(is_old).cloned().collect()
    }

    fn take(&self, namespace: &str, answer: &Result<HashMap<Key, Sample>, NoUse>) {
        let of_namespace = |all: &HashMap<Key, Sample>| {
            let own = all.iter().filter(|((it, _), _)| it == namespace);
            Arc::new(own.map(|((_, pod), sample)| (pod.clone(), *sample)).collect())
        };
        let samples = answer.as_ref().map(of_namespace).map_err(NoUse::clone);
        let answer = Answer { at: Stopwatch::start(), samples };
        self.lock().answers.insert(namespace.to_owned(), answer);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `PodMetricsList` (`k8s.io/metrics/pkg/apis/metrics/v1beta1`), as far as it is read.
#[derive(Deserialize)]
struct PodMetricsList {
    items: Vec<PodMetrics>,
}

#[derive(Deserialize)]
struct PodMetrics {
    metadata: ObjectMeta,
    timestamp: Time,
    window: String,
    containers: Vec<ContainerMetrics>,
}

#[derive(Deserialize)]
struct ContainerMetrics {
    usage: BTreeMap<String, Quantity>,
}

async fn ask(client: &Client, namespace: Option<&str>) -> Result<HashMap<Key, Sample>, NoUse> {
    let path = match namespace {
        Some(namespace) => format!("{GROUP}/namespaces/{namespace}/pods"),
        None => format!("{GROUP}/pods"),
    };
    let list = within(async {
        let request = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
        Ok::<_, KubernetesError>(client.request::<PodMetricsList>(request).await?)
    });
    let list = list.await.map_err(|error| NoUse::of(&error))?;
    Ok(list.items.into_iter().filter_map(sample).collect())
}

fn sample(metrics: PodMetrics) -> Option<(Key, Sample)> {
    let sum = |name: &str, scale: f64| {
        let uses = metrics.containers.iter().map(|it| whole(it.usage.get(name)?, scale));
        uses.sum::<Option<u64>>()
    };
    let sample = Sample {
        at: timestamp(&metrics.timestamp)?,
        window: seconds(&metrics.window)?,
        cpu: sum("cpu", 1e3)?,
        memory: sum("memory", 1.0)?,
    };
    Some(((metrics.metadata.namespace?, metrics.metadata.name?), sample))
}

/// A duration as Go writes it, of hours, minutes and seconds: `15s`, `1m0.5s`.
fn seconds(text: &str) -> Option<Duration> {
    let mut total = 0.0;
    for part in text.split_inclusive(|letter: char| letter.is_ascii_alphabetic()) {
        let (number, unit) = part.split_at_checked(part.len().checked_sub(1)?)?;
        let unit = match unit {
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * unit;
    }
    Duration::try_from_secs_f64(total).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn a_pods_use_is_the_sum_of_its_containers() {
        let metrics = json!({
            "metadata": {"name": "web-0", "namespace": "shop"},
            "timestamp": "2026-01-01T00:00:15Z", "window": "15.5s",
            "containers": [
                {"name": "app", "usage": {"cpu": "250123456n", "memory": "64Mi"}},
                {"name": "istio-proxy", "usage": {"cpu": "50m", "memory": "1024Ki"}},
            ],
        });
        let (key, sample) = sample(from_value(metrics).unwrap()).unwrap();
        assert_eq!(key, ("shop".to_owned(), "web-0".to_owned()));
        let at = Timestamp::from_secs(1_767_225_615);
        let window = Duration::from_millis(15_500);
        assert_eq!(sample, Sample { at, window, cpu: 301, memory: 65 << 20 });
    }

    #[test]
    fn what_is_no_duration_is_none() {
        assert_eq!(seconds("1m0s"), Some(Duration::from_mins(1)));
        assert_eq!(seconds("15"), None);
        assert_eq!(seconds("15x"), None);
        assert_eq!(seconds(""), Some(Duration::ZERO));
    }
}
