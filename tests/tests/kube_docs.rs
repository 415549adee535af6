//! Every command of `docs/istio.md` does what the page says, on a real API server.
//!
//! Nothing is left out or replaced: pods only pretend to run, so no image is pulled.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use foresail_tests::control_plane::ControlPlane;
use foresail_tests::kubectl::Shell;
use foresail_tests::{WorkDir, paths};

/// The commands of a section of the page, one a line.
fn commands(section: &str) -> Vec<String> {
    let page = std::fs::read_to_string(paths::root().join("docs/istio.md")).unwrap();
    let rest = page.split_once(&format!("## {section}\n")).unwrap().1;
    let text = rest.split("\n## ").next().unwrap();
    let blocks = text.split("```console\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap().lines());
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_page_leads_from_nothing_to_shadow_mode_and_to_active() {
    let work = WorkDir::new("page").unwrap();
    let plane = ControlPlane::start(&work, &["-ready-after", "1s"]).await.unwrap();
    let kubeconfig = plane.kubeconfig();
    let shell = Shell::new(&kubeconfig);
    // A cluster with Istio.
    shell.run("kubectl apply --server-side -f .tools/crds/").unwrap();
    shell.run("kubectl wait --for=condition=Established crd --all --timeout=60s").unwrap();
    let autoscaler = "kubectl -n shop get mas web -o jsonpath={.spec.mode}";
    let may_scale = "kubectl -n shop auth can-i patch deployments.apps --subresource scale \
         --as system:serviceaccount:foresail:foresail";

    let shadow = commands("From nothing to shadow mode");
    assert!((1..=6).contains(&shadow.len()), "{shadow:?}");
    let mut said = String::new();
    for command in &shadow {
        said = shell.run(command).unwrap_or_else(|error| panic!("{error:#}"));
    }
    assert!(said.contains("web") && said.contains("Shadow"), "{said}");
    assert!(!shell.output(may_scale).unwrap().status.success(), "shadow mode may write");

    let canary = commands("From shadow to canary");
    assert_eq!(canary.len(), 1, "{canary:?}");
    shell.run(&canary.concat()).unwrap();
    assert_eq!(shell.run(autoscaler).unwrap(), "Canary");
    assert_eq!(shell.run(may_scale).unwrap().trim(), "yes");

    let active = commands("From shadow to active");
    assert_eq!(active.len(), 1, "{active:?}");
    shell.run(&active.concat()).unwrap();
    assert_eq!(shell.run(autoscaler).unwrap(), "Active");
    assert_eq!(shell.run(may_scale).unwrap().trim(), "yes");

    for command in commands("With Helm") {
        assert!(shell.run(&command).unwrap().contains("kind: WasmPlugin"), "{command}");
    }
}

#[test]
fn no_command_stands_outside_the_sections_that_are_run() {
    let page = std::fs::read_to_string(paths::root().join("docs/istio.md")).unwrap();
    let run = [
        "From nothing to shadow mode",
        "From shadow to canary",
        "From shadow to active",
        "With Helm",
    ];
    let blocks = page.matches("```console").count();
    assert_eq!(blocks, run.len(), "each has one block");
    assert!(run.iter().all(|section| !commands(section).is_empty()));
}
