//! pod_oom_restart: a container was killed for using more memory than it may.
//!
//! The kubelet's reason OOMKilled decides. Exit code 137 alone is any SIGKILL: a failed probe, a forced stop.

use std::sync::Arc;

use super::{Change, Context, Draft, Moment, Origin, Output, pod_facts};
use crate::{
    event::{EventType, Kind},
    object::{Container, ContainerState, Object, Terminated},
};

/// The rule.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "pod_oom_restart"
    }

    fn types(&self) -> &'static [EventType] {
        &[EventType::PodOomRestart]
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Pod]
    }

    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        let Some(object) = change.after.as_ref().filter(|o| !o.is_terminating()) else { return };
        let Some(pod) = object.pod() else { return };
        let before = match change.update() {
            Some((before, _)) => before.pod(),
            None if change.origin == Origin::Late => None,
            None => return,
        };
        for container in &pod.containers {
            let known = before.and_then(|p| p.containers.iter().find(|c| c.name == container.name));
            let known: Vec<&Terminated> = known.into_iter().flat_map(ends).collect();
            // The newest is told, the older one too if both are news: two kills between two looks.
            for end in ends(container).filter(|e| e.reason == "OOMKilled") {
                if !known.iter().any(|k| same(k, end)) {
                    out.tell(draft(object, container, end, cx));
                }
            }
        }
    }
}

/// The current end, if it is not running, and the last.
fn ends(container: &Container) -> impl Iterator<Item = &Terminated> {
    let current = match &container.state {
        Some(ContainerState::Terminated(t)) => Some(t),
        _ => None,
    };
    container.last.iter().chain(current).map(|end| &**end)
}

/// An end moves from `state` to `lastState` when the container is started again.
fn same(a: &Terminated, b: &Terminated) -> bool {
    a.finished_at == b.finished_at && a.started_at == b.started_at
}

fn draft(object: &Arc<Object>, container: &Container, end: &Terminated, cx: &Context<'_>) -> Draft {
    let name = &object.meta.name;
    let limit = container.memory_limit.as_str();
    let bounds = if limit.is_empty() {
        "it has no memory limit, so its node ran out of memory".to_owned()
    } else {
        format!("its memory limit is {limit}")
    };
    let kind = if container.init { "Init container" } else { "Container" };
    let mut draft =
        pod_facts::draft(EventType::PodOomRestart, object, format!("Pod {name} was killed for its memory"))
            .at_or(end.finished_at, cx.now)
            .discriminator(container.name.as_str())
            .description(format!("{kind} {} was OOMKilled: {bounds}", container.name))
            .detail("memory_limit", limit)
            .detail("memory_request", container.memory_request.as_str());
    // Two kills that one change brings need two ids.
    if let Some(at) = end.finished_at {
        draft = draft.moment(format!("@{}", at.as_millisecond()), at);
    }
    let draft = pod_facts::ended(pod_facts::container(draft, container), end);
    let (pod, namespace) = (name.clone(), object.meta.namespace.clone());
    pod_facts::look_at_previous_logs(draft, container).recommend(
        "Compare its use with its limit",
        format!("kubectl top pod {pod} -n {namespace} --containers"),
    )
}
