//! pod_start_failed: a container cannot be created or started, or the Pod's volumes or sandbox cannot be set up.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{Change, Condition, Context, Draft, Finding, Output, Verdict, pod_facts};
use crate::{
    event::{EventType, Kind},
    object::{self, Container, ContainerState, KubeEvent, Object, ObjectKey, Pod},
};

/// What the kubelet says when a container cannot be created or started: told at once.
const REASONS: &[&str] =
    &["CreateContainerConfigError", "CreateContainerError", "RunContainerError", "InvalidImageName"];
/// What it says while volumes and sandbox are set up.
const CREATING: &[&str] = &["", "ContainerCreating", "PodInitializing"];
/// Events that say why that does not succeed.
const FAILURES: &[&str] = &["FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"];
/// Events that come after it did.
const PROGRESS: &[&str] = &["Pulling", "Pulled", "Created", "Started"];
/// A volume may have to move from another node: failures before this age are usual.
const CREATING_SECS: u32 = 60;
/// The discriminator where it is the Pod that fails, not one of its containers.
const POD: &str = "";

/// The rule.
pub struct Rule;

impl Condition for Rule {
    fn name(&self) -> &'static str {
        "pod_start_failed"
    }

    fn types(&self) -> &'static [EventType] {
        &[EventType::PodStartFailed]
    }

    fn kind(&self) -> Kind {
        Kind::Pod
    }

    fn also_on(&self) -> &'static [Kind] {
        &[Kind::Event]
    }

    fn also(&self, change: &Change, _cx: &Context<'_>) -> Vec<ObjectKey> {
        let event = change.after.as_ref().and_then(|o| o.kube_event());
        let about = event.filter(|e| e.involved_kind == "Pod" && FAILURES.contains(&e.reason.as_str()));
        about
            .map(|e| ObjectKey::new(Kind::Pod, &e.involved_namespace, &e.involved_name))
            .into_iter()
            .collect()
    }

    fn judge(&self, object: &Arc<Object>, cx: &Context<'_>, out: &mut Output) -> Verdict {
        let Some(pod) = object.pod() else { return Verdict::healthy() };
        if object.is_terminating() {
            return Verdict::Unknown;
        }
        if pod.is_finished() {
            return Verdict::healthy();
        }
        let mut findings: Vec<Finding> =
            pod.containers.iter().filter_map(|c| container_fails(object, c, cx)).collect();
        match setup_fails(object, pod, cx, out) {
            Ok(setup) => findings.extend(setup),
            Err(NotLive) if findings.is_empty() => return Verdict::Unknown,
            Err(NotLive) => {}
        }
        Verdict::Known(findings)
    }
}

/// Events are not watched here: nobody can say why it takes so long.
struct NotLive;

fn container_fails(object: &Arc<Object>, container: &Container, cx: &Context<'_>) -> Option<Finding> {
    if !has_not_run(container) {
        return None;
    }
    let since = pod_facts::firing_since(object, cx, EventType::PodStartFailed, &container.name);
    if since.is_none() && !pod_facts::waits(container, REASONS) {
        return None;
    }
    let message = match pod_facts::waiting_message(container) {
        "" => container.newest_end().map(pod_facts::last_error).unwrap_or_default(),
        message => message.to_owned(),
    };
    let reason = container.waiting_reason();
    let description = if message.is_empty() {
        format!("{}: {reason}", container.name)
    } else {
        format!("{reason}: {message}")
    };
    let title = format!("Pod {} cannot start container {}", object.meta.name, container.name);
    let draft = pod_facts::draft(EventType::PodStartFailed, object, title);
    let draft = pod_facts::container(draft, container)
        .at_or(since, cx.now)
        .stands_since(pod_facts::not_ready_since(object))
        .discriminator(container.name.as_str())
        .description(description)
        .detail("reason", reason)
        .detail("message", pod_facts::waiting_message(container))
        .detail("last_error", if message.is_empty() { reason.to_owned() } else { message });
    let draft = pod_facts::look(draft);
    // Between two tries there is nothing new to say.
    let draft = if pod_facts::waits(container, REASONS) { draft } else { draft.description("") };
    Some(Finding { draft: look_at_config(draft), after_secs: 0 })
}

/// It still waits, or what it waited for ended without ever having run.
fn has_not_run(container: &Container) -> bool {
    match &container.state {
        Some(ContainerState::Waiting { .. }) => true,
        Some(ContainerState::Terminated(t)) => t.reason == "StartError" || t.reason == "ContainerCannotRun",
        Some(ContainerState::Running { .. }) | None => false,
    }
}

/// Volumes or sandbox: the containers wait, and the newest that the kubelet or the attach controller said is a
/// failure.
fn setup_fails(
    object: &Arc<Object>,
    pod: &Pod,
    cx: &Context<'_>,
    out: &mut Output,
) -> Result<Option<Finding>, NotLive> {
    let sandbox_is_up = pod.condition("PodReadyToStartContainers").is_some_and(object::Condition::is_true);
    let creating = |c: &Container| {
        let waits = matches!(c.state, None | Some(ContainerState::Waiting { .. }));
        waits && CREATING.contains(&c.waiting_reason()) && c.last.is_none()
    };
    if pod.node.is_empty() || sandbox_is_up || !pod.containers.iter().all(creating) {
        return Ok(None);
    }
    let scheduled_at = pod.condition("PodScheduled").and_then(|c| c.since);
    let Some(began) = scheduled_at.or(pod.started_at).or(object.meta.created_at) else { return Ok(None) };
    let since = pod_facts::firing_since(object, cx, EventType::PodStartFailed, POD);
    let due = began + SignedDuration::from_secs(i64::from(CREATING_SECS));
    if since.is_none() && cx.now < due {
        out.look_again.push(due);
        return Ok(None);
    }
    if !cx.memory.is_live(Kind::Event, &object.meta.namespace) {
        return Err(NotLive);
    }
    let said = pod_facts::newest_event(object, cx, |e| {
        FAILURES.contains(&e.reason.as_str()) || PROGRESS.contains(&e.reason.as_str())
    });
    let failure = said.filter(|e| FAILURES.contains(&e.reason.as_str()));
    // Events are forgotten after an hour; a Pod that was told of and still waits is no better for it.
    if failure.is_none() && (since.is_none() || said.is_some()) {
        return Ok(None);
    }
    let draft = setup_draft(object, failure, since.unwrap_or(began));
    Ok(Some(Finding { draft, after_secs: CREATING_SECS }))
}

fn setup_draft(object: &Arc<Object>, failure: Option<&KubeEvent>, began: Timestamp) -> Draft {
    let name = &object.meta.name;
    let reason = failure.map_or("ContainerCreating", |e| e.reason.as_str());
    let message = failure.map_or("", |e| e.message.as_str());
    let what = match reason {
        "FailedCreatePodSandBox" => "its sandbox cannot be created",
        "FailedAttachVolume" => "a volume cannot be attached",
        "FailedMount" => "a volume cannot be mounted",
        _ => "its containers are not created",
    };
    let description = if message.is_empty() { what.to_owned() } else { format!("{reason}: {message}") };
    let mut draft =
        pod_facts::draft(EventType::PodStartFailed, object, format!("Pod {name} cannot start: {what}"))
            .at(began)
            .discriminator(POD)
            .description(description)
            .detail("reason", reason)
            .detail("message", message)
            .detail("last_error", if message.is_empty() { what } else { message });
    if let Some(first) = object.pod().and_then(|p| p.containers.first()) {
        draft = draft.detail("image", first.image.as_str());
    }
    look_at_config(pod_facts::look(draft))
}

/// Most often something that it refers to is missing.
fn look_at_config(draft: Draft) -> Draft {
    let namespace = draft.object.meta.namespace.clone();
    draft.recommend(
        "See whether what it refers to is there",
        format!("kubectl get configmaps,secrets,persistentvolumeclaims -n {namespace}"),
    )
}
