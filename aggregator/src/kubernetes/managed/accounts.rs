//! Under which service accounts a target's pods run: what the mesh calls their proxies.

use std::collections::BTreeSet;

use super::Managed;
use crate::kubernetes::facts::TargetFacts;
use crate::kubernetes::target::built_in;

impl Managed {
    /// Whether a pod of the target may run under a service account; `None` while nothing is known
    /// of its pods. Asks nobody.
    pub fn runs_as(&self, account: &str) -> Option<bool> {
        if self.state().accounts.contains(account) {
            return Some(true);
        }
        // A rollout may have brought another one since the last look.
        if let Some(resource) = built_in(&self.0.config) {
            let targets = self.0.cluster.targets(&resource);
            if let Some(target) = targets.get(&self.0.key.0, &self.0.config.name) {
                self.note_accounts(&target);
            }
        }
        let state = self.state();
        (!state.accounts.is_empty()).then(|| state.accounts.contains(account))
    }

    /// Takes note of the accounts of a target's pods, those of its template too: their proxies
    /// report before a watch shows them.
    pub(super) fn note_accounts(&self, target: &TargetFacts) {
        let mut accounts: BTreeSet<String> =
            self.pods(&target.uid).iter().map(|(_, pod)| pod.account().to_owned()).collect();
        accounts.extend(target.account.clone());
        self.state().accounts = accounts;
    }
}
