//! `foresail release` as the chart's `CronJob` runs it: the real controllers make the Job and its pod,
//! and what that pod would run is run here, with the rights of its service account.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use foresail_tests::control_plane::ControlPlane;
use foresail_tests::kubectl::Shell;
use foresail_tests::shop::until;
use foresail_tests::stage::NAMESPACE;
use foresail_tests::{WorkDir, paths};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, ListParams};
use serde_json::json;

/// The `CronJob` runs each minute here, and its controllers take a moment.
const LIMIT: Duration = Duration::from_mins(3);

/// What the pod of the `CronJob` runs.
#[derive(Debug)]
pub(crate) struct ReleaseJob {
    arguments: Vec<String>,
    kubeconfig: String,
}

impl ReleaseJob {
    /// Applies the chart's rights and its `CronJob`, and waits for a pod of it.
    pub(crate) async fn of_chart(
        plane: &ControlPlane,
        client: &Client,
        work: &WorkDir,
    ) -> Result<Self> {
        let kubeconfig = plane.kubeconfig();
        let shell = Shell::new(&kubeconfig);
        shell.run(&format!(
            "kubectl create serviceaccount foresail --namespace {NAMESPACE} &&
             helm template foresail istio/chart --namespace {NAMESPACE} --set rights.scale=cluster \
                 --show-only templates/rbac.yaml --show-only templates/release.yaml |
                 sed 's|\\*/2 \\* \\* \\* \\*|* * * * *|' |
                 kubectl apply --server-side --validate=strict --force-conflicts -f -"
        ))?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
        let labels = ListParams::default().labels("app.kubernetes.io/name=foresail-release");
        let pod = until(LIMIT, "the CronJob has run", || async {
            pods.list(&labels).await.ok()?.items.into_iter().next()
        })
        .await?;
        let spec = pod.spec.context("a pod without a spec")?;
        let account = spec.service_account_name.context("a pod without a service account")?;
        let container = spec.containers.into_iter().next().context("a pod without a container")?;
        anyhow::ensure!(container.command.is_none(), "not the image's own program");
        // Pods run nothing here, so the token and the namespace that they would find are given
        // in a kubeconfig.
        let token = shell.run(&format!("kubectl create token {account} -n {NAMESPACE}"))?;
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {
                "server": plane.server(), "certificate-authority": plane.file("ca.crt"),
            }}],
            "users": [{"name": "it", "user": {"token": token.trim()}}],
            "contexts": [{"name": "it", "context": {
                "cluster": "it", "user": "it", "namespace": NAMESPACE,
            }}],
        });
        let kubeconfig = work.write("release-kubeconfig", &config.to_string())?;
        let kubeconfig = kubeconfig.to_string_lossy().into_owned();
        Ok(Self { arguments: container.args.unwrap_or_default(), kubeconfig })
    }

    /// What it says.
    pub(crate) fn run(&self) -> Result<String> {
        let output = Command::new(paths::foresail()?)
            .args(&self.arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "{} said {said}", self.arguments.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
