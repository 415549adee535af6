//! Everything under `istio/` is taken by a real API server that knows Istio's resources, with strict
//! validation; and it grants what is needed and no more.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use foresail_tests::control_plane::ControlPlane;
use foresail_tests::kubectl::Shell;
use foresail_tests::{Aggregator, Program, WorkDir, paths};
use serde_json::{Value, json};

/// Values that reach every branch of the chart that its defaults do not.
const OTHER_VALUES: &str = r#"
image: { repository: registry.example/foresail, digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000" }
replicas: 3
persistence: { enabled: true, size: 8Gi, storageClass: fast }
config: { max_workloads: 500, kubernetes: { namespaces: [shop] } }
rights:
  scale: namespaces
  namespaces: [shop, default]
  scalable: [{ group: apps, resource: deployments }, { group: argoproj.io, resource: rollouts }]
monitoring: { serviceMonitor: true, dashboard: true }
externalMetrics: { enabled: true }
keda: { enabled: true }
filter:
  image: { digest: "sha256:1111111111111111111111111111111111111111111111111111111111111111" }
  config: { report_interval: 2s, route_labels: name }
  sidecars: [shop, default]
  gateways: [{ namespace: istio-system, labels: { istio: ingressgateway } }]
  waypoints: [{ namespace: shop, name: waypoint }]
"#;
/// Without a mesh, with all rights, and with a certificate that cert-manager keeps.
const PLAIN_VALUES: &str = r"
mesh: { enabled: false }
rights: { scale: cluster }
networkPolicy: { enabled: false }
externalMetrics:
  enabled: true
  tls: { secret: own-certificate, injectCaFrom: foresail/own-certificate }
monitoring: { serviceMonitor: true }
";

const RENDER: &str = "helm template foresail istio/chart --namespace foresail";
const APPLY: &str = "kubectl apply --server-side --force-conflicts --validate=strict -f -";

/// Istio's definitions and those of `ServiceMonitor`.
const DEFINITIONS: &str =
    "kubectl apply --server-side -f .tools/crds/ -f istio/base/crd.yaml >&2 &&
     kubectl wait --for=condition=Established crd --all --timeout=60s";

fn write_values(work: &WorkDir) -> [String; 2] {
    [("other.yaml", OTHER_VALUES), ("plain.yaml", PLAIN_VALUES)]
        .map(|(name, text)| work.write(name, text).unwrap().display().to_string())
}

#[tokio::test]
async fn the_api_server_takes_every_manifest() {
    let work = WorkDir::new("manifests").unwrap();
    let plane = ControlPlane::start(&work, &[]).await.unwrap();
    let kubeconfig = plane.kubeconfig();
    let shell = Shell::new(&kubeconfig);
    shell.run(DEFINITIONS).unwrap();
    shell.run("kubectl create namespace istio-system; kubectl create namespace shop").unwrap();

    let [other, plain] = write_values(&work);
    let mut sets = vec![
        RENDER.to_owned(),
        format!("{RENDER} --values {other}"),
        format!("{RENDER} --values {plain}"),
    ];
    let folders = "find istio -name kustomization.yaml -printf '%h\\n' | sort";
    let folders = shell.run(folders).unwrap();
    // Those of a filter have no namespace of their own: they are applied with -n.
    sets.extend(folders.lines().map(|folder| format!("kubectl kustomize {folder}")));
    assert_eq!(sets.len(), 14, "{sets:?}");
    shell.run("kubectl kustomize istio/base | kubectl apply --server-side -f -").unwrap();
    for set in &sets {
        let applied = shell.run(&format!("{set} | {APPLY}")).unwrap_or_else(|e| panic!("{e:#}"));
        assert!(applied.contains("serverside-applied"), "{set}: {applied}");
    }

    // The module fits into a ConfigMap, as other meshes need it.
    let module = paths::wasm().unwrap();
    let made = format!(
        "kubectl -n shop create configmap foresail-filter --from-file={}",
        module.display()
    );
    shell.run(&made).unwrap();

    let misspelt = "kubectl kustomize istio/filter/sidecar | sed s/failStrategy/failstrategy/";
    let refused = shell.output(&format!("{misspelt} | {APPLY}")).unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("failstrategy"), "{said}");
}

#[tokio::test]
async fn shadow_may_look_and_active_may_scale_and_neither_may_do_more() {
    let work = WorkDir::new("rights").unwrap();
    let plane = ControlPlane::start(&work, &[]).await.unwrap();
    let kubeconfig = plane.kubeconfig();
    let shell = Shell::new(&kubeconfig);
    shell.run(DEFINITIONS).unwrap();
    let may = |what: &str| {
        let ask = format!("kubectl auth can-i {what} --as system:serviceaccount:foresail:foresail");
        shell.output(&ask).unwrap().status.success()
    };
    let looks = [
        "watch meshautoscalers.foresail.dev -A",
        "patch meshautoscalers.foresail.dev --subresource status -n shop",
        "list pods -A",
        "watch replicasets.apps -A",
        "watch deployments.apps -A",
        "get deployments.apps --subresource scale -n shop",
        "list horizontalpodautoscalers.autoscaling -A",
        "create events.events.k8s.io -n shop",
        "create leases.coordination.k8s.io -n foresail",
        "update leases.coordination.k8s.io/foresail -n foresail",
        "patch pods -n foresail",
    ];
    let scales = [
        "patch deployments.apps --subresource scale -n shop",
        "patch statefulsets.apps --subresource scale -n shop",
        "patch horizontalpodautoscalers.autoscaling -n shop",
        "patch meshautoscalers.foresail.dev -n shop",
    ];
    let never = [
        "get secrets -n foresail",
        "get configmaps -n shop",
        "patch deployments.apps -n shop",
        "delete pods -n shop",
        "patch pods -n shop",
        "create meshautoscalers.foresail.dev -n shop",
        "update leases.coordination.k8s.io/other -n foresail",
        "update leases.coordination.k8s.io/foresail -n shop",
    ];

    shell.run("kubectl apply --server-side --validate=strict -k istio/overlays/shadow").unwrap();
    assert_eq!(looks.into_iter().filter(|what| !may(what)).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(scales.into_iter().filter(|what| may(what)).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(never.into_iter().filter(|what| may(what)).collect::<Vec<_>>(), [""; 0]);

    shell.run("kubectl apply --server-side --validate=strict -k istio/overlays/active").unwrap();
    assert_eq!(scales.into_iter().filter(|what| !may(what)).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(never.into_iter().filter(|what| may(what)).collect::<Vec<_>>(), [""; 0]);
}

/// No cluster is needed for what follows.
fn offline(command: &str) -> String {
    Shell::new("/dev/null".as_ref()).run(command).unwrap()
}

#[test]
fn the_committed_base_is_what_the_chart_renders() {
    let committed = std::fs::read_to_string(paths::root().join("istio/base/foresail.yaml"));
    assert!(
        committed.unwrap() == offline(RENDER),
        "istio/base/foresail.yaml is old; run `make manifests`"
    );
}

#[test]
fn the_committed_definition_is_what_foresail_prints() {
    let committed = std::fs::read_to_string(paths::root().join("istio/base/crd.yaml")).unwrap();
    let printed = offline(&format!("{} crd", paths::foresail().unwrap().display()));
    assert!(committed == printed, "istio/base/crd.yaml is old; run `make crd`");
}

#[test]
fn an_image_of_the_filter_holds_the_module_and_the_same_module_has_the_same_digest() {
    let work = WorkDir::new("image").unwrap();
    let at = work.path().display().to_string();
    let module = work.write("some.wasm", "\0asm and the rest").unwrap();
    let pack = format!("tools/image.py {} {at}", module.display());
    let digest = offline(&format!("{pack}/one"));
    assert_eq!(digest, offline(&format!("{pack}/two")));

    let blob = |digest: &str| {
        let name = digest.trim().strip_prefix("sha256:").unwrap();
        let path = format!("{at}/one/blobs/sha256/{name}");
        let sum = offline(&format!("sha256sum {path}"));
        assert!(sum.starts_with(name), "{sum} is not {name}");
        path
    };
    let manifest = std::fs::read_to_string(blob(&digest)).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest.pointer("/annotations/module.wasm.image~1variant"), Some(&json!("compat")));
    assert_eq!(manifest.pointer("/layers/1"), None);
    let layer = manifest.pointer("/layers/0/digest").and_then(Value::as_str).unwrap();
    assert_eq!(offline(&format!("tar -xzOf {} plugin.wasm", blob(layer))), "\0asm and the rest");
}

#[test]
fn the_chart_refuses_values_that_it_does_not_know() {
    for value in [
        "replica=3",
        "replicas=0",
        "rights.scale=everything",
        "image.digest=sha256:12",
        // Nobody would say who vouches for it.
        "externalMetrics.tls.secret=own",
        "externalMetrics.tls.caBundle=YQ==",
    ] {
        let output = Shell::new("/dev/null".as_ref()).output(&format!("{RENDER} --set {value}"));
        let said = String::from_utf8_lossy(&output.as_ref().unwrap().stderr).into_owned();
        assert!(!output.unwrap().status.success(), "{value} was taken");
        assert!(said.contains("values don't meet the specifications"), "{value}: {said}");
    }
}

#[tokio::test]
async fn the_aggregator_accepts_the_configuration_it_is_given() {
    let work = WorkDir::new("config").unwrap();
    let [other, plain] = write_values(&work);
    for values in [String::new(), format!("--values {other}"), format!("--values {plain}")] {
        let text = offline(&format!(
            "{RENDER} {values} --show-only templates/aggregator.yaml |
                sed -n '/foresail.yaml: |/,/^---/p' | sed -e 1d -e '/^---/d'"
        ));
        let file = work.write("foresail.yaml", &text).unwrap();
        let log = work.file("check.log");
        let mut check = Program::new("foresail", &paths::foresail().unwrap(), &log)
            .args(["serve", "--check", "--config"])
            .arg(&file)
            .spawn()
            .unwrap();
        let status = check.wait(std::time::Duration::from_secs(20)).await.unwrap();
        assert!(status.success(), "{text}\n{}", check.log_tail());
    }
}

/// Every `foresail_…` that a text names.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_name(c))
        .filter(|word| word.starts_with("foresail_"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn the_dashboard_shows_metrics_that_exist() {
    let work = WorkDir::new("board").unwrap();
    let workload = json!({
        "namespace": "shop", "name": "web", "max_replicas": 3, "target_rps_per_replica": 30,
        "objective": {"latency": "250ms"}, "actuator": "none",
    });
    let mut aggregator = Aggregator::start(&work, json!({"workloads": [workload]})).await.unwrap();
    let text = aggregator.text("/metrics").await.unwrap();
    let mut known = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let endings: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        known.extend(endings.iter().map(|ending| format!("{name}{ending}")));
    }
    let board = paths::root().join("istio/chart/files/dashboard.json");
    let board = std::fs::read_to_string(board).unwrap();
    let _: Value = serde_json::from_str(&board).unwrap();
    let shown = metrics_in(&board);
    assert!(shown.len() >= 14, "{shown:?}");
    assert_eq!(shown.difference(&known).collect::<Vec<_>>(), [""; 0], "known: {known:?}");
    aggregator.stop().await.unwrap();
}
