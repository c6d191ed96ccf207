//! node_scaled_down: a Node is gone from the cluster.

use std::sync::Arc;

use super::{Change, Context, Draft, Moment, Output, node_facts, pod_facts};
use crate::{
    event::{EventType, Kind},
    object::{KubeEvent, Node, Object},
};

/// Events about a Node that say that, and why, it goes away.
const REASONS: &[&str] = &[
    "ScaleDown",
    "ScaleDownEmpty",
    "DeletingNode",
    "DisruptionTerminating",
    "Disrupted",
    "SpotInterruption",
    "TerminatingOnInterruption",
    "NodeShutdown",
    "Shutdown",
];
/// Older ones tell another story.
const EVENT_SECS: i64 = 900;

/// The rule.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "node_scaled_down"
    }

    fn types(&self) -> &'static [EventType] {
        &[EventType::NodeScaledDown]
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Node]
    }

    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        let Some(object) = change.deleted() else { return };
        if let Some(node) = object.node() {
            out.tell(draft(object, node, cx));
        }
    }
}

fn draft(object: &Arc<Object>, node: &Node, cx: &Context<'_>) -> Draft {
    let name = object.meta.name.as_str();
    let event = newest_event(name, cx);
    let (reason, why) = reason(node, event);
    let mut description = format!("The node was removed: {why}");
    if let Some(event) = event {
        description = format!("{description}. {}: {}", event.reason, event.message);
    }
    let taints: Vec<String> = node.taints.iter().map(|t| t.key.to_string()).collect();
    let mut draft = Draft::new(EventType::NodeScaledDown, object, format!("Node {name} was removed"))
        .description(description)
        .detail("reason", reason)
        .detail("event_reason", event.map(|e| e.reason.to_string()))
        .detail("event_message", event.map(|e| e.message.to_string()))
        .detail("drained", node.cordoned)
        .detail("was_ready", node.is_ready())
        .detail("deletion_asked_at", pod_facts::time(object.meta.deleted_at));
    if !taints.is_empty() {
        draft = draft.detail("taints", taints);
    }
    // The cluster does not say when an object went.
    draft.at = cx.now;
    let draft = node_facts::describe(draft, object, cx)
        .recommend("See which nodes are left", "kubectl get nodes -o wide".to_owned());
    node_facts::look_at_pods(draft, name).recommend(
        "See what the cluster said of it",
        format!("kubectl get events -A --field-selector involvedObject.kind=Node,involvedObject.name={name}"),
    )
}

/// The word for `details.reason`, and the words for a person.
fn reason(node: &Node, event: Option<&KubeEvent>) -> (&'static str, &'static str) {
    if let Some(by) = node_facts::removed_by(node) {
        let why = match by {
            "cluster_autoscaler" => "the cluster autoscaler scaled it down",
            "karpenter" => "Karpenter disrupted it",
            "provider_shutdown" => "its machine was shut down",
            _ => "its provider took the machine back",
        };
        return (by, why);
    }
    match event.map(|e| (e.reason.as_str(), e.component.as_str())) {
        Some(("ScaleDown" | "ScaleDownEmpty", _)) => {
            ("cluster_autoscaler", "the cluster autoscaler scaled it down")
        }
        Some((_, component)) if component.contains("karpenter") => ("karpenter", "Karpenter disrupted it"),
        Some(("DeletingNode" | "NodeShutdown" | "Shutdown", _)) => {
            ("provider", "its machine is gone at the provider")
        }
        Some(_) => ("provider_interruption", "its provider took the machine back"),
        None if node.cordoned => ("drained", "it had been cordoned"),
        None if !node.is_ready() => ("deleted_unready", "it was not ready any more"),
        None => ("deleted", "it was deleted while it was ready"),
    }
}

fn newest_event<'a>(name: &str, cx: &'a Context<'_>) -> Option<&'a KubeEvent> {
    // Events about cluster-scoped objects live in the namespace default.
    let events = cx.world.in_namespace(Kind::Event, "default").filter_map(|e| e.kube_event());
    events
        .filter(|e| e.involved_kind == "Node" && e.involved_name == *name)
        .filter(|e| REASONS.contains(&e.reason.as_str()))
        .filter(|e| e.last.is_some_and(|at| cx.now.duration_since(at).as_secs() < EVENT_SECS))
        .max_by_key(|e| e.last)
}
