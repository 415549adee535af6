//! Whose requests these are: from the configuration, else from what the proxy knows of itself.

use foresail_wire::{Identity, Text};

use crate::config::{GivenIdentity, Problem};

/// What a proxy may know about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NodeFact {
    /// Istio's node metadata `NAMESPACE`.
    Namespace,
    /// Istio's node metadata `WORKLOAD_NAME`.
    WorkloadName,
    /// Istio's node metadata `NAME`: the pod.
    Name,
    /// Istio's label `service.istio.io/canonical-revision`.
    CanonicalRevision,
    /// `node.cluster` of any Envoy (`--service-cluster`).
    Cluster,
    /// `node.id` of any Envoy (`--service-node`).
    Id,
}

impl NodeFact {
    /// Path of the proxy's property.
    pub const fn property(self) -> &'static [&'static str] {
        match self {
            Self::Namespace => &["xds", "node", "metadata", "NAMESPACE"],
            Self::WorkloadName => &["xds", "node", "metadata", "WORKLOAD_NAME"],
            Self::Name => &["xds", "node", "metadata", "NAME"],
            Self::CanonicalRevision => {
                &["xds", "node", "metadata", "LABELS", "service.istio.io/canonical-revision"]
            }
            Self::Cluster => &["xds", "node", "cluster"],
            Self::Id => &["xds", "node", "id"],
        }
    }
}

/// Completes what the configuration gives with what the proxy knows.
///
/// # Errors
/// The one problem there can be: nobody names the workload.
pub fn resolve(
    given: &GivenIdentity,
    mut node: impl FnMut(NodeFact) -> Option<String>,
) -> Result<Identity<'static>, Problem> {
    let mut first = |given: &Option<String>, facts: &[NodeFact]| {
        let found = given.clone().or_else(|| {
            facts.iter().find_map(|fact| node(*fact).filter(|value| !value.is_empty()))
        });
        found.map(Text::truncated)
    };
    let workload = first(&given.workload, &[NodeFact::WorkloadName, NodeFact::Cluster]);
    let namespace = first(&given.namespace, &[NodeFact::Namespace])
        .unwrap_or_else(|| Text::truncated("default"));
    let pod = first(&given.pod, &[NodeFact::Name]).or_else(|| {
        let id = first(&None, &[NodeFact::Id])?;
        Some(Text::truncated(pod_of(id.as_str(), namespace.as_str()).to_owned()))
    });
    Ok(Identity {
        namespace,
        workload: workload.ok_or_else(|| Problem {
            key: "identity.workload".to_owned(),
            value: "nothing".to_owned(),
            remedy: "name it, or give the proxy node metadata WORKLOAD_NAME or a node cluster",
        })?,
        pod: pod.unwrap_or_default(),
        revision: first(&given.revision, &[NodeFact::CanonicalRevision]).unwrap_or_default(),
    })
}

/// The pod that a node's id names: Kuma's are `MESH.POD.NAMESPACE`; any other is taken as it is.
fn pod_of<'a>(id: &'a str, namespace: &str) -> &'a str {
    let of_kuma = id.strip_suffix(namespace).and_then(|rest| rest.strip_suffix('.'));
    of_kuma.and_then(|rest| rest.split_once('.')).map_or(id, |(_mesh, pod)| pod)
}

/// Name by which a workload's frames are addressed: `WORKLOAD.NAMESPACE`. A proxy hashes its own
/// calls by it alone, so all frames of a workload reach the same one of several aggregators.
pub fn authority(identity: &Identity<'_>) -> String {
    let name = format!("{}.{}", identity.workload.as_str(), identity.namespace.as_str());
    // What stands in no host name would have the whole call refused.
    name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_comes_before_istio_and_istio_before_envoy() {
        let given = GivenIdentity { pod: Some("mine".to_owned()), ..GivenIdentity::default() };
        let identity = resolve(&given, |fact| match fact {
            NodeFact::Namespace | NodeFact::Id => Some(String::new()),
            NodeFact::WorkloadName | NodeFact::Name => None,
            NodeFact::Cluster => Some("cart".to_owned()),
            NodeFact::CanonicalRevision => Some("v2".to_owned()),
        })
        .unwrap();
        let texts = [identity.namespace, identity.workload, identity.pod, identity.revision];
        assert_eq!(texts.map(|text| text.to_string()), ["default", "cart", "mine", "v2"]);
    }

    #[test]
    fn a_pod_is_known_by_kumas_id_of_it() {
        let pod = |id: &str| {
            let given = GivenIdentity {
                namespace: Some("shop".to_owned()),
                workload: Some("web".to_owned()),
                ..GivenIdentity::default()
            };
            let node = |fact| (fact == NodeFact::Id).then(|| id.to_owned());
            resolve(&given, node).unwrap().pod.to_string()
        };
        assert_eq!(pod("default.web-7d4b9c-x2k.shop"), "web-7d4b9c-x2k");
        for other in ["web-0", "web-0.shop", "shop", ".shop", "default.web-0.bank", "a.b.c"] {
            assert_eq!(pod(other), other);
        }
    }

    #[test]
    fn a_workload_without_a_name_is_a_problem() {
        let problem = resolve(&GivenIdentity::default(), |_| None).unwrap_err();
        assert_eq!(problem.key, "identity.workload");
    }

    #[test]
    fn the_address_of_a_workloads_frames_is_always_a_host_name() {
        let of = |workload: &str, namespace: &str| {
            authority(&Identity {
                workload: Text::truncated(workload.to_owned()),
                namespace: Text::truncated(namespace.to_owned()),
                ..Identity::default()
            })
        };
        assert_eq!(of("cart", "shop"), "cart.shop");
        assert_eq!(of("outbound|80||cärt", "a b"), "outbound-80--c-rt.a-b");
    }
}
