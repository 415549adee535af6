//! Versions of the models beside the policy in charge.

use std::time::Duration;

use super::ControlLoop;
use crate::models;
use crate::shadow::{News, Shadow, Shadows};
use crate::units::Timestamp;

/// Time between two looks at which versions of the models are in use.
const LOOK_EVERY: Duration = Duration::from_secs(10);

impl ControlLoop {
    /// Takes the versions of the models that were put in use since the last look. One that cannot be
    /// had is said, once, and the one before it goes on.
    pub(super) async fn renew(&mut self, now: Timestamp) {
        let (looked, works) = self.versions;
        if looked.is_some_and(|at| now.since(at) < LOOK_EVERY) {
            return;
        }
        let policies = self.shadows.iter().flat_map(Shadows::policies);
        let known: Vec<(String, u64)> = policies
            .filter_map(|policy| Some((policy.name().to_owned(), policy.version()?)))
            .collect();
        self.versions = (Some(now), works);
        if known.is_empty() {
            return;
        }
        let look = move || -> Vec<_> {
            known.iter().map(|(name, version)| models::newer(name, Some(*version))).collect()
        };
        let found = tokio::task::spawn_blocking(look).await.unwrap_or_default();
        self.versions.1 = found.iter().all(Result::is_ok);
        for policy in found {
            match policy {
                Ok(Some(policy)) => self.take(policy, now),
                Err(error) if works => {
                    let cause = &error as &dyn std::error::Error;
                    let workload = &self.workload.key;
                    tracing::error!(%workload, cause, "another version cannot be had");
                }
                Ok(None) | Err(_) => {}
            }
        }
    }

    fn take(&mut self, policy: Shadow, now: Timestamp) {
        let Some(shadows) = self.shadows.as_mut() else { return };
        let (workload, label) = (&self.workload.key, policy.label());
        tracing::info!(%workload, policy = label, "another version runs as a shadow");
        let change = shadows.replace(policy, now);
        self.board_changed = true;
        if let Some(change) = change {
            self.tell(&News::Stage(change));
        }
    }
}
