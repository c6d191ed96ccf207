//! pod_evicted: the kubelet evicted a Pod, because its node is short of something or shuts down.

use std::sync::Arc;

use super::{Change, Context, Draft, Moment, Origin, Output, pod_facts};
use crate::{
    event::{EventType, Kind},
    object::{Object, Pod},
};

/// The rule.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "pod_evicted"
    }

    fn types(&self) -> &'static [EventType] {
        &[EventType::PodEvicted]
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Pod]
    }

    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        let Some(object) = change.after.as_ref().filter(|o| !o.is_terminating()) else { return };
        let Some(pod) = object.pod() else { return };
        let was = match change.update() {
            Some((before, _)) => before.pod().is_some_and(pod_facts::evicted_by_kubelet),
            None => change.origin != Origin::Late,
        };
        if !was && pod_facts::evicted_by_kubelet(pod) {
            out.tell(draft(object, pod, cx));
        }
    }
}

fn draft(object: &Arc<Object>, pod: &Pod, cx: &Context<'_>) -> Draft {
    let disrupted = pod.condition("DisruptionTarget");
    let of_condition = disrupted.map(|c| c.message.as_str()).unwrap_or_default();
    let message = if pod.message.is_empty() { of_condition } else { pod.message.as_str() };
    let description = if message.is_empty() { "The kubelet evicted the pod" } else { message };
    let reason = match (pod.reason.as_str(), disrupted) {
        ("", Some(c)) => c.reason.as_str(),
        (reason, _) => reason,
    };
    let first = pod.containers.iter().find(|c| !c.init);
    let mut draft =
        pod_facts::draft(EventType::PodEvicted, object, format!("Pod {} was evicted", object.meta.name))
            .at_or(disrupted.and_then(|c| c.since), cx.now)
            .description(description)
            .detail("reason", reason)
            .detail("message", message)
            .detail("last_error", message);
    if let Some(container) = first {
        draft = draft
            .detail("image", container.image.as_str())
            .detail("memory_request", container.memory_request.as_str())
            .detail("memory_limit", container.memory_limit.as_str());
    }
    let draft = pod_facts::look(draft);
    if pod.node.is_empty() {
        return draft;
    }
    draft.recommend("See what its node is short of", format!("kubectl describe node {}", pod.node))
}
