//! pod_stuck_terminating: a deleted Pod does not go away.

use std::sync::Arc;

use jiff::SignedDuration;

use super::{Condition, Context, Output, Verdict, pod_facts};
use crate::{
    event::{EventType, Kind},
    object::{Object, Pod, Str},
};

/// After its grace period a Pod usually goes within seconds.
const AFTER_SECS: u32 = 60;

/// The rule.
pub struct Rule;

impl Condition for Rule {
    fn name(&self) -> &'static str {
        "pod_stuck_terminating"
    }

    fn types(&self) -> &'static [EventType] {
        &[EventType::PodStuckTerminating]
    }

    fn kind(&self) -> Kind {
        Kind::Pod
    }

    fn judge(&self, object: &Arc<Object>, cx: &Context<'_>, _out: &mut Output) -> Verdict {
        let meta = &object.meta;
        let (Some(pod), Some(asked_at)) = (object.pod(), meta.deleted_at) else { return Verdict::healthy() };
        let overdue_at = asked_at + SignedDuration::from_secs(i64::from(meta.grace_secs));
        let node = silent_node(pod, cx);
        let finalizers: Vec<String> = meta.finalizers.iter().map(Str::to_string).collect();
        let held = format!("it is held by finalizers: {}", finalizers.join(", "));
        let why = match (&node, finalizers.is_empty()) {
            (Some(node), true) => format!("node {} {node}", pod.node),
            (Some(node), false) => format!("node {} {node}, and {held}", pod.node),
            (None, false) => held,
            (None, true) => "its node has not confirmed that its containers stopped".to_owned(),
        };
        let title = format!("Pod {} is stuck terminating", meta.name);
        let mut draft = pod_facts::draft(EventType::PodStuckTerminating, object, title)
            .at(overdue_at)
            .description(format!(
                "Still there after its deletion and its grace period of {} s: {why}",
                meta.grace_secs
            ))
            .detail("deleted_at", asked_at.to_string())
            .detail("grace_secs", meta.grace_secs)
            .detail("node_state", node)
            .detail("last_error", why.as_str());
        if !finalizers.is_empty() {
            draft = draft.detail("finalizers", finalizers);
        }
        if let Some(running) = pod.containers.iter().find(|c| !c.init) {
            draft = draft.detail("container", running.name.as_str()).detail("image", running.image.as_str());
        }
        let finalizers_command = format!(
            "kubectl get pod {} -n {} -o jsonpath='{{.metadata.finalizers}}'",
            meta.name, meta.namespace
        );
        let mut draft = pod_facts::look(draft).recommend("See what holds it", finalizers_command);
        if !pod.node.is_empty() {
            draft = draft.recommend("Look at its node", format!("kubectl describe node {}", pod.node));
        }
        Verdict::one(draft, AFTER_SECS)
    }
}

/// What is wrong with the Pod's node, in words; `None` if it is well, or if nothing is known of nodes.
fn silent_node(pod: &Pod, cx: &Context<'_>) -> Option<String> {
    if pod.node.is_empty() {
        return None;
    }
    match cx.world.find(Kind::Node, "", &pod.node).map(|o| o.node()) {
        Some(node) => {
            let ready = node?.condition("Ready").filter(|c| !c.is_true())?;
            Some(if ready.status == "Unknown" { "does not answer" } else { "is not ready" }.to_owned())
        }
        None if cx.memory.is_live(Kind::Node, "") => Some("is gone".to_owned()),
        None => None,
    }
}
