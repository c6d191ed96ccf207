//! pod_restarted: a container of a Pod was restarted.

use jiff::Timestamp;

use super::{Change, Context, Draft, Moment, Origin, Output, pod_facts};
use crate::{
    event::{EventType, Kind, Role, Severity},
    object::{Container, ContainerState, Object, Pod, Terminated},
};

/// Reasons of an end that nobody saw: the node was rebooted, or its runtime started anew.
const LOST: &[&str] = &["Unknown", "ContainerStatusUnknown"];

/// The rule.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "pod_restarted"
    }

    fn types(&self) -> &'static [EventType] {
        &[EventType::PodRestarted]
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Pod]
    }

    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        let Some(object) = change.after.as_ref().filter(|o| !o.is_terminating()) else { return };
        let Some(pod) = object.pod() else { return };
        let before = match change.update() {
            Some((before, _)) => before.pod(),
            // A Pod that was made while nobody watched starts from nothing.
            None if change.origin == Origin::Late => None,
            None => return,
        };
        for container in &pod.containers {
            let known = before.and_then(|p| find(p, &container.name)).map_or(0, |c| c.restarts);
            if container.restarts > known {
                out.tell(draft(object, container, container.restarts - known, cx));
            }
        }
    }
}

fn find<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    pod.containers.iter().find(|c| c.name == *name)
}

fn draft(object: &std::sync::Arc<Object>, container: &Container, grown: u32, cx: &Context<'_>) -> Draft {
    let name = &object.meta.name;
    // What went before the newest start; a container that has died again since has it in `last`, too.
    let end = match &container.state {
        Some(ContainerState::Terminated(t)) => container.last.as_ref().or(Some(t)),
        _ => container.last.as_ref(),
    };
    let kind = if container.init { "Init container" } else { "Container" };
    let killed = end.and_then(|end| killed_because(object, container, end, cx));
    let mut description = format!("{kind} {} was restarted", container.name);
    if grown > 1 {
        description = format!("{description} {grown} times");
    }
    if let Some(end) = end {
        let reason = match end.reason.as_str() {
            "" | "Error" | "Completed" => String::new(),
            reason => format!("{reason}, "),
        };
        description = format!("{description} after {reason}{}", pod_facts::exit(end.exit_code));
    }
    if let Some(why) = killed.as_deref().or(end.map(|e| e.message.trim()).filter(|m| !m.is_empty())) {
        description = format!("{description}: {why}");
    }
    let mut draft = pod_facts::draft(EventType::PodRestarted, object, format!("Pod {name} restarted"))
        .at_or(restarted_at(container), cx.now)
        .discriminator(container.name.as_str())
        .description(description)
        .detail("restarts", grown)
        .detail("killed_because", killed);
    draft = pod_facts::container(draft, container);
    if let Some(end) = end {
        draft = pod_facts::ended(draft, end);
        if end.exit_code == 0 {
            draft = draft.role(Role::Context).severity(Severity::Low);
        } else if LOST.contains(&end.reason.as_str()) {
            // It went with its node or its runtime: that is the node's story.
            draft = draft.role(Role::Joins).severity(Severity::Low);
        }
    }
    pod_facts::look(pod_facts::look_at_previous_logs(draft, container))
}

fn restarted_at(container: &Container) -> Option<Timestamp> {
    match &container.state {
        Some(ContainerState::Running { started_at }) => *started_at,
        Some(ContainerState::Terminated(t)) => pod_facts::real(t.started_at).or(t.finished_at),
        // It waits again: the newest run that is known is the one that was started then.
        _ => container.last.as_ref().and_then(|t| pod_facts::real(t.started_at).or(t.finished_at)),
    }
}

/// The kubelet killed it itself, and said why: a liveness or startup probe that failed.
fn killed_because(
    object: &Object,
    container: &Container,
    end: &Terminated,
    cx: &Context<'_>,
) -> Option<String> {
    let path = format!("{{{}}}", container.name);
    let about = |message: &str, field_path: &str| {
        field_path.contains(&path) || (field_path.is_empty() && message.contains(container.name.as_str()))
    };
    let killing = pod_facts::newest_event(object, cx, |e| {
        e.reason == "Killing"
            && e.message.contains("probe")
            && about(&e.message, &e.field_path)
            && e.last >= end.started_at
    });
    killing.map(|e| e.message.to_string())
}
