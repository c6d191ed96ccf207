//! What the rules about Nodes have in common: details and commands.

use super::{Context, Draft};
use crate::object::{Node, Object};

/// A node registers not ready, and without a network where the cloud makes routes; conditions that have stood since
/// then say that it is still starting.
const REGISTRATION_SECS: i64 = 15;
/// So long may a new node take to become ready the first time.
pub const START_SECS: u32 = 300;

/// Taints that say that the node is meant to go away, with the word for `details.reason`.
const REMOVAL_TAINTS: &[(&str, &str)] = &[
    ("ToBeDeletedByClusterAutoscaler", "cluster_autoscaler"),
    ("karpenter.sh/disrupted", "karpenter"),
    ("karpenter.sh/disruption", "karpenter"),
    ("aws-node-termination-handler/", "provider_interruption"),
    ("cloud.google.com/impending-node-termination", "provider_interruption"),
    ("node.cloudprovider.kubernetes.io/shutdown", "provider_shutdown"),
];

/// Who is about to remove the node, by its taints.
pub fn removed_by(node: &Node) -> Option<&'static str> {
    let by = |key: &str| REMOVAL_TAINTS.iter().find(|(taint, _)| key.starts_with(taint)).map(|(_, by)| *by);
    node.taints.iter().find_map(|taint| by(&taint.key))
}

/// Whether a condition stands as it was when the node registered.
pub fn since_registration(object: &Object, since: Option<jiff::Timestamp>) -> bool {
    let (Some(since), Some(created)) = (since, object.meta.created_at) else { return false };
    (since.as_second() - created.as_second()).abs() <= REGISTRATION_SECS
}

/// `aws` of `aws:///eu-west-1a/i-0abc`.
pub fn provider(node: &Node) -> &str {
    node.provider_id.split_once(':').map_or("", |(scheme, _)| scheme)
}

/// The details that every type about a Node has.
pub fn describe(draft: Draft, object: &Object, cx: &Context<'_>) -> Draft {
    let Some(node) = object.node() else { return draft };
    let name = object.meta.name.as_str();
    let pods = cx.world.pods_on(name).filter(|p| p.pod().is_some_and(|p| !p.is_finished())).count();
    draft
        .detail("node", name)
        .detail("pods", pods)
        .detail("kubelet_version", node.kubelet_version.as_str())
        .detail("provider", provider(node))
        .detail("provider_id", node.provider_id.as_str())
}

/// The command that shows a Node whole.
pub fn look(draft: Draft, name: &str) -> Draft {
    draft.recommend("Look at the node", format!("kubectl describe node {name}"))
}

/// The command that lists what runs on a Node.
pub fn look_at_pods(draft: Draft, name: &str) -> Draft {
    draft.recommend(
        "List the pods on it",
        format!("kubectl get pods -A -o wide --field-selector spec.nodeName={name}"),
    )
}
