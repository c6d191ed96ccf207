//! pod_failed: a Pod ended in phase Failed.
//!
//! Not one of a Job (job_failed counts those), not one that was evicted, preempted or deleted.

use std::sync::Arc;

use super::{Change, Context, Draft, Moment, Origin, Output, pod_facts};
use crate::{
    event::{EventType, Kind},
    object::{Condition, Container, ContainerState, Object, Pod, Terminated},
};

/// The rule.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "pod_failed"
    }

    fn types(&self) -> &'static [EventType] {
        &[EventType::PodFailed]
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Pod]
    }

    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        let Some(object) = change.after.as_ref() else { return };
        let Some(pod) = object.pod() else { return };
        let was_failed = match change.update() {
            Some((before, _)) => before.pod().is_some_and(|p| p.phase == "Failed"),
            None => change.origin != Origin::Late,
        };
        if !was_failed && is_told(object, pod) {
            out.tell(draft(object, pod, cx));
        }
    }
}

/// Whether a Pod in this state is one that this rule tells.
pub fn is_told(object: &Object, pod: &Pod) -> bool {
    let of_a_job = object.meta.controller().is_some_and(|o| o.kind == "Job");
    let disrupted = pod.condition("DisruptionTarget").is_some_and(Condition::is_true);
    pod.phase == "Failed"
        && !object.is_terminating()
        && !of_a_job
        && !disrupted
        && !pod_facts::evicted_by_kubelet(pod)
}

/// The container that failed, the worst first: one that ended by an error.
fn culprit(pod: &Pod) -> Option<(&Container, &Terminated)> {
    let ended = pod.containers.iter().filter_map(|c| match &c.state {
        Some(ContainerState::Terminated(t)) if t.exit_code != 0 => Some((c, &**t)),
        _ => None,
    });
    ended.min_by_key(|(_, t)| t.finished_at)
}

fn draft(object: &Arc<Object>, pod: &Pod, cx: &Context<'_>) -> Draft {
    let culprit = culprit(pod);
    let said = [pod.reason.as_str(), pod.message.as_str()];
    let said: Vec<&str> = said.into_iter().filter(|s| !s.is_empty()).collect();
    let description = match (&culprit, said.is_empty()) {
        (_, false) => said.join(": "),
        (Some((container, end)), true) => {
            let message = end.message.trim();
            let tail = if message.is_empty() { String::new() } else { format!(": {message}") };
            format!("Container {} ended with {}{tail}", container.name, pod_facts::exit(end.exit_code))
        }
        (None, true) => "The pod ended in phase Failed".to_owned(),
    };
    let at = culprit.and_then(|(_, end)| end.finished_at);
    let mut draft =
        pod_facts::draft(EventType::PodFailed, object, format!("Pod {} failed", object.meta.name))
            .at_or(at.or_else(|| pod.condition("Ready").and_then(|c| c.since)), cx.now)
            .description(description)
            .detail("phase", pod.phase.as_str())
            .detail("pod_reason", pod.reason.as_str())
            .detail("message", pod.message.as_str());
    if let Some((container, end)) = culprit {
        draft = pod_facts::ended(pod_facts::container(draft, container), end);
    } else {
        draft = draft.detail("last_error", said.join(": "));
    }
    pod_facts::look(pod_facts::look_at_logs(draft, culprit.map(|(c, _)| c)))
}
