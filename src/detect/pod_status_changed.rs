//! pod_status_changed: a Pod's phase or readiness changed, and no other rule tells it.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Change, Context, Draft, Moment, Output, pod_facts, pod_failed};
use crate::{
    event::{EventType, Kind},
    object::{ContainerState, Object, Pod},
};

/// The rule.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "pod_status_changed"
    }

    fn types(&self) -> &'static [EventType] {
        &[EventType::PodStatusChanged]
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Pod]
    }

    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        let Some((before, after)) = change.update() else { return };
        let (Some(was), Some(is)) = (before.pod(), after.pod()) else { return };
        let changed = was.phase != is.phase || was.is_ready() != is.is_ready();
        let told = pod_failed::is_told(after, is) || pod_facts::evicted_by_kubelet(is);
        if changed && !told && !after.is_terminating() {
            out.tell(draft(change.object(), was, is, cx));
        }
    }
}

fn draft(object: &Arc<Object>, was: &Pod, is: &Pod, cx: &Context<'_>) -> Draft {
    let readiness = |pod: &Pod| if pod.is_ready() { "ready" } else { "not ready" };
    let ready = is.condition("Ready");
    let (now_is, at) = match is.phase.as_str() {
        "Running" if is.is_ready() => ("ready".to_owned(), ready.and_then(|c| c.since)),
        "Running" if was.is_ready() => ("not ready".to_owned(), ready.and_then(|c| c.since)),
        "Running" => ("running".to_owned(), started_at(is)),
        "Succeeded" => ("completed".to_owned(), finished_at(is)),
        phase => (phase.to_lowercase(), finished_at(is)),
    };
    let phases = if was.phase == is.phase {
        format!("{}, {} → {}", is.phase, readiness(was), readiness(is))
    } else {
        format!("{} → {}, {}", was.phase, is.phase, readiness(is))
    };
    let why = ready.filter(|c| !c.is_true() && is.phase == "Running").map(|c| c.message.as_str());
    let description = match why {
        None | Some("") => phases,
        Some(why) => format!("{phases}: {why}"),
    };
    let title = format!("Pod {} is {now_is}", object.meta.name);
    pod_facts::draft(EventType::PodStatusChanged, object, title)
        .at_or(at, cx.now)
        .description(description)
        .detail("phase", is.phase.as_str())
        .detail("old_phase", was.phase.as_str())
        .detail("ready", is.is_ready())
        .detail("old_ready", was.is_ready())
        .detail("reason", ready.map(|c| c.reason.to_string()))
}

fn started_at(pod: &Pod) -> Option<Timestamp> {
    let started = pod.containers.iter().filter_map(|c| match &c.state {
        Some(ContainerState::Running { started_at }) => *started_at,
        _ => None,
    });
    started.max()
}

fn finished_at(pod: &Pod) -> Option<Timestamp> {
    let finished = pod.containers.iter().filter_map(|c| match &c.state {
        Some(ContainerState::Terminated(t)) => t.finished_at,
        _ => None,
    });
    finished.max()
}
