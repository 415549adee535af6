//! The label by which a Service finds the pod of the aggregator that leads.
//!
//! Whoever decides must hear all of a workload's proxies, so frames go to the leader alone. The
//! leader labels its own pod and takes the label from the others, because the one before it may
//! hang, or be cut off from the API server. Until that is done the standby refuses frames, and the
//! filters keep them.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::target::within;
use super::{FIELD_MANAGER, KubernetesError};
use crate::clock::Stopwatch;

/// The label of the leader's pod.
pub const LEADER_LABEL: &str = "foresail.dev/leader";
/// Its value.
const YES: &str = "true";
/// Time between looks at who has the label.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The same while it is not as it should be.
const RETRY_EVERY: Duration = Duration::from_secs(2);

/// Keeps the label on one pod.
pub struct LeaderMark {
    api: Api<Pod>,
    pod: String,
    /// Since the last look, and the time until the next.
    looked: Option<(Stopwatch, Duration)>,
}

impl std::fmt::Debug for LeaderMark {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("LeaderMark").field(&self.pod).finish()
    }
}

impl LeaderMark {
    /// For the pod that this process runs in, by the environment variable `POD_NAME`; `None` outside
    /// of a pod, where nobody is led by a label.
    pub fn of_this_pod(client: &Client) -> Option<Self> {
        let pod = std::env::var("POD_NAME").ok().filter(|name| !name.is_empty())?;
        Some(Self { api: Api::default_namespaced(client.clone()), pod, looked: None })
    }

    /// One turn of a process that leads, or does not. What fails is said and tried again.
    pub async fn turn(&mut self, leads: bool) {
        if !leads {
            // The next leadership begins with a look.
            self.looked = None;
            return;
        }
        if self.looked.is_some_and(|(since, wait)| since.elapsed() < wait) {
            return;
        }
        let result = within(self.make_ours()).await;
        let wait = if result.is_ok() { LOOK_EVERY } else { RETRY_EVERY };
        if let Err(error) = &result {
            let cause = error as &dyn std::error::Error;
            tracing::warn!(cause, "the leader's label is not set; frames may go to a standby");
        }
        self.looked = Some((Stopwatch::start(), wait));
    }

    async fn make_ours(&self) -> Result<(), KubernetesError> {
        let labelled = ListParams::default().labels(&format!("{LEADER_LABEL}={YES}"));
        let labelled = self.api.list_metadata(&labelled).await?;
        let mut is_ours = false;
        for pod in labelled.items {
            let name = pod.name_any();
            if name == self.pod {
                is_ours = true;
            } else {
                self.label(&name, Value::Null).await?;
            }
        }
        if is_ours {
            return Ok(());
        }
        tracing::info!(pod = self.pod, "labelled as the leader");
        self.label(&self.pod, YES.into()).await
    }

    async fn label(&self, pod: &str, value: Value) -> Result<(), KubernetesError> {
        let patch = Patch::Merge(json!({"metadata": {"labels": {LEADER_LABEL: value}}}));
        let field_manager = Some(FIELD_MANAGER.into());
        let parameters = PatchParams { field_manager, ..PatchParams::default() };
        match self.api.patch_metadata(pod, &parameters, &patch).await {
            Ok(_) => Ok(()),
            // Another pod that has gone since.
            Err(kube::Error::Api(status)) if status.code == 404 && pod != self.pod => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
