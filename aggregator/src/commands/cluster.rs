//! `foresail status`, `explain` and `release`: for people, and for when no aggregator is left.

mod show;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use serde_json::Value;

use crate::clock;
use crate::kubernetes::resource::MeshAutoscaler;
use crate::kubernetes::{self, HpaFacts, LEASE_DURATION, give_back, has_lapsed};
use crate::sources;

/// Time for one answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where to look.
#[derive(Debug, clap::Args)]
pub struct Where {
    /// The kubeconfig of the cluster; that of KUBECONFIG, ~/.kube/config or the pod unless given.
    #[arg(long, conflicts_with = "url")]
    kubeconfig: Option<PathBuf>,
    #[expect(clippy::doc_markdown, reason = "--help prints it")]
    /// An aggregator to ask instead, such as http://127.0.0.1:9900.
    #[arg(long)]
    url: Option<String>,
}

/// What `status` takes.
#[derive(Debug, clap::Args)]
pub struct StatusArguments {
    /// Only this namespace.
    #[arg(long, short)]
    namespace: Option<String>,
    #[command(flatten)]
    place: Where,
}

/// What `explain` takes.
#[derive(Debug, clap::Args)]
pub struct ExplainArguments {
    #[expect(clippy::doc_markdown, reason = "--help prints it")]
    /// NAMESPACE/NAME: of a MeshAutoscaler, or with --url of a workload.
    subject: String,
    #[command(flatten)]
    place: Where,
}

/// What `release` takes.
#[derive(Debug, clap::Args)]
pub struct ReleaseArguments {
    /// The kubeconfig of the cluster; that of KUBECONFIG, ~/.kube/config or the pod unless given.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Namespace of the aggregators' lease.
    #[arg(long)]
    lease_namespace: Option<String>,
    /// Name of the aggregators' lease.
    #[arg(long, default_value = "foresail")]
    lease_name: String,
}

/// Prints a table of everything that is decided for.
///
/// # Errors
/// When neither cluster nor aggregator answers.
pub async fn status(arguments: &StatusArguments, mut out: impl Write) -> anyhow::Result<()> {
    let wanted = |namespace: &str| arguments.namespace.as_deref().is_none_or(|it| it == namespace);
    let rows: Vec<show::Row> = if let Some(url) = &arguments.place.url {
        let answer = ask(url, "/v1/workloads").await?;
        let workloads = answer.get("workloads").and_then(Value::as_array);
        workloads.into_iter().flatten().filter_map(show::row_of_workload).collect()
    } else {
        let all: Api<MeshAutoscaler> = Api::all(client(&arguments.place).await?);
        let all = all.list(&ListParams::default()).await.context(NO_RESOURCES)?;
        all.items.iter().map(show::row_of_resource).collect()
    };
    let rows: Vec<_> = rows.into_iter().filter(|row| wanted(&row.namespace)).collect();
    out.write_all(show::table(&rows).as_bytes())?;
    Ok(())
}

const NO_RESOURCES: &str =
    "the MeshAutoscalers cannot be listed; is their definition installed (`foresail crd`)?";

/// Prints the last decision in words.
///
/// # Errors
/// When there is no such thing, or neither cluster nor aggregator answers.
pub async fn explain(arguments: &ExplainArguments, mut out: impl Write) -> anyhow::Result<()> {
    let Some((namespace, name)) = arguments.subject.split_once('/') else {
        bail!("`{}` is not NAMESPACE/NAME", arguments.subject);
    };
    let text = if let Some(url) = &arguments.place.url {
        let workload = ask(url, &format!("/v1/workloads/{namespace}/{name}")).await?;
        let path = format!("/v1/workloads/{namespace}/{name}/decisions?limit=1");
        show::workload_in_words(&workload, &ask(url, &path).await?)
    } else {
        let client = client(&arguments.place).await?;
        let resource = Api::<MeshAutoscaler>::namespaced(client, namespace).get(name).await;
        let unread = || format!("the MeshAutoscaler {namespace}/{name} cannot be read");
        show::resource_in_words(&resource.with_context(unread)?)
    };
    out.write_all(text.as_bytes())?;
    Ok(())
}

/// Gives every floor back when no aggregator holds the lease any longer: what a `CronJob` runs, so
/// that floors do not outlive all aggregators.
///
/// # Errors
/// When the cluster does not answer, or a floor could not be given back.
pub async fn release(arguments: &ReleaseArguments, mut out: impl Write) -> anyhow::Result<()> {
    let client = kubernetes::client(arguments.kubeconfig.as_deref()).await?;
    let namespace = arguments.lease_namespace.clone();
    let namespace = namespace.unwrap_or_else(|| client.default_namespace().to_owned());
    let leases: Api<Lease> = Api::namespaced(client.clone(), &namespace);
    let lease = leases.get_opt(&arguments.lease_name).await.context("the lease cannot be read")?;
    if let Some(lease) = lease.filter(|lease| !has_lapsed(lease, clock::now())) {
        let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
        writeln!(out, "{holder} holds the lease; nothing to do")?;
        return Ok(());
    }
    let hpas: Api<HorizontalPodAutoscaler> = Api::all(client.clone());
    let hpas = hpas.list(&ListParams::default()).await.context("the HPAs cannot be listed")?;
    let mut failed = 0;
    for (key, hpa) in hpas.items.into_iter().filter_map(HpaFacts::keep) {
        let Some(owners) = hpa.users_min else { continue };
        match give_back(&client, &key, &hpa).await {
            Ok(()) => writeln!(out, "{}/{}: minReplicas is {owners} again", key.0, key.1)?,
            Err(error) => {
                failed += 1;
                writeln!(out, "{}/{}: {}", key.0, key.1, crate::api::in_full(&error))?;
            }
        }
    }
    release_finalizers(&client).await?;
    if failed > 0 {
        bail!(
            "{failed} floor(s) could not be given back; the lease lapsed {LEASE_DURATION:?} ago or more"
        );
    }
    Ok(())
}

/// Lets go of resources that wait for their floor to be given back before they are deleted.
async fn release_finalizers(client: &Client) -> anyhow::Result<()> {
    let all: Api<MeshAutoscaler> = Api::all(client.clone());
    let Ok(all) = all.list(&ListParams::default()).await else { return Ok(()) };
    for resource in all.items {
        if resource.metadata.deletion_timestamp.is_some() {
            kubernetes::set_finalizer(client, &resource, false)
                .await
                .with_context(|| format!("the finalizer of {} stays", resource.name_any()))?;
        }
    }
    Ok(())
}

async fn client(place: &Where) -> anyhow::Result<Client> {
    Ok(kubernetes::client(place.kubeconfig.as_deref()).await?)
}

async fn ask(url: &str, path: &str) -> anyhow::Result<Value> {
    let address = format!("{}{path}", url.trim_end_matches('/'));
    let call = async {
        let answer = sources::client()?.get(&address).send().await?.error_for_status()?;
        anyhow::Ok(answer.json().await?)
    };
    let answer = tokio::time::timeout(TIMEOUT, call).await;
    answer.with_context(|| format!("{address} gave no answer within {TIMEOUT:?}"))?
}
