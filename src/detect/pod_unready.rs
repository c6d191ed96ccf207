//! pod_unready: a running Pod has lost its readiness.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{Condition, Context, Draft, Output, Verdict, pod_facts};
use crate::{
    event::{EventType, Kind},
    object::{Container, ContainerState, Object, Pod, Workload},
};

/// A probe may fail for a moment.
const AFTER_SECS: u32 = 120;
/// A Pod whose readiness is false since its very start was never ready.
const START_SECS: i64 = 2;
/// How soon to look again at a Pod that is not judged because of its rollout.
const ROLLOUT_LOOK_SECS: i64 = 30;
/// Other rules tell these.
const TOLD_ELSEWHERE: &[&str] = &[
    "CrashLoopBackOff",
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "InvalidImageName",
];

/// The rule.
pub struct Rule;

impl Condition for Rule {
    fn name(&self) -> &'static str {
        "pod_unready"
    }

    fn types(&self) -> &'static [EventType] {
        &[EventType::PodUnready]
    }

    fn kind(&self) -> Kind {
        Kind::Pod
    }

    fn judge(&self, object: &Arc<Object>, cx: &Context<'_>, out: &mut Output) -> Verdict {
        let Some(pod) = object.pod() else { return Verdict::healthy() };
        if object.is_terminating() {
            return Verdict::Unknown;
        }
        if pod.phase != "Running" {
            return Verdict::healthy();
        }
        let Some(since) = lost_readiness_at(pod) else { return Verdict::healthy() };
        let unready: Vec<&Container> = pod.containers.iter().filter(|c| is_unready(c)).collect();
        let completed = pod.containers.iter().any(|c| !c.ready && !c.init && has_completed(c));
        if (unready.is_empty() && completed) || is_told_elsewhere(object, pod, cx) {
            return Verdict::healthy();
        }
        let fires = pod_facts::firing_since(object, cx, EventType::PodUnready, "").is_some();
        if !fires && is_rolling_out(object, cx) {
            out.look_again.push(cx.now + SignedDuration::from_secs(ROLLOUT_LOOK_SECS));
            return Verdict::healthy();
        }
        Verdict::one(draft(object, pod, &unready, (since, cx)), AFTER_SECS)
    }
}

/// When it lost its readiness; `None` while it is ready, or was never. The condition is written first when the
/// kubelet takes the Pod on; a later transition to False needs a True before it.
fn lost_readiness_at(pod: &Pod) -> Option<Timestamp> {
    let ready = pod.condition("Ready").filter(|c| !c.is_true())?;
    let (since, started) = (ready.since?, pod.started_at?);
    (since.duration_since(started).as_secs() > START_SECS).then_some(since)
}

fn is_unready(container: &Container) -> bool {
    !container.ready && (!container.init || container.sidecar) && !has_completed(container)
}

fn has_completed(container: &Container) -> bool {
    matches!(&container.state, Some(ContainerState::Terminated(t)) if t.exit_code == 0)
}

fn is_told_elsewhere(object: &Object, pod: &Pod, cx: &Context<'_>) -> bool {
    pod.containers.iter().any(|c| pod_facts::waits(c, TOLD_ELSEWHERE))
        || cx.memory.firing(&object.key()).iter().any(|f| f.event_type == EventType::PodCrashLoop)
}

/// Its workload is still putting a new template in place, and has time left for it.
fn is_rolling_out(object: &Object, cx: &Context<'_>) -> bool {
    let owners = cx.world.owners(&object.meta);
    let known = owners.iter().filter_map(|o| cx.world.resolve(o));
    known
        .filter(|o| o.kind != Kind::ReplicaSet)
        .any(|o| o.workload().is_some_and(|w| within_deadline(o, w, cx)))
}

fn within_deadline(object: &Object, workload: &Workload, cx: &Context<'_>) -> bool {
    let seen = workload.observed_generation >= object.meta.generation;
    if object.kind == Kind::Deployment {
        let progress = workload.condition("Progressing");
        return !seen || progress.is_some_and(|c| c.is_true() && c.reason != "NewReplicaSetAvailable");
    }
    if seen && workload.updated >= workload.replicas {
        return false;
    }
    let deadline = SignedDuration::from_secs(match workload.progress_deadline_secs {
        0 => 600,
        secs => i64::from(secs),
    });
    object.meta.spec_managed_at.is_some_and(|at| cx.now.duration_since(at) < deadline)
}

fn draft(
    object: &Arc<Object>,
    pod: &Pod,
    unready: &[&Container],
    (since, cx): (Timestamp, &Context<'_>),
) -> Draft {
    let name = &object.meta.name;
    let condition = pod.condition("Ready");
    let probe = pod_facts::newest_event(object, cx, |e| {
        e.reason == "Unhealthy" && e.message.starts_with("Readiness probe") && e.last >= Some(since)
    });
    let probe = probe.map(|e| e.message.to_string());
    let node = cx.world.find(Kind::Node, "", &pod.node).and_then(|o| o.node());
    let node_ready = node.map(crate::object::Node::is_ready);
    let said = condition.map(|c| c.message.to_string()).filter(|m| !m.is_empty());
    let why = if node_ready == Some(false) {
        format!("node {} is not ready", pod.node)
    } else {
        probe.clone().or(said).unwrap_or_else(|| "its Ready condition is False".to_owned())
    };
    let mut draft = pod_facts::draft(EventType::PodUnready, object, format!("Pod {name} is not ready"))
        .at(since)
        .description(format!("Running, but not ready any more: {why}"))
        .detail("reason", condition.map(|c| c.reason.to_string()))
        .detail("message", condition.map(|c| c.message.to_string()))
        .detail("probe", probe)
        .detail("node_ready", node_ready);
    if let Some(container) = unready.first() {
        draft = pod_facts::container(draft, container);
    }
    draft = draft.detail("last_error", why);
    let draft = pod_facts::look(draft);
    let mut draft = pod_facts::look_at_logs(draft, unready.first().copied());
    if node_ready == Some(false) {
        draft = draft.recommend("Look at its node", format!("kubectl describe node {}", pod.node));
    }
    draft
}
