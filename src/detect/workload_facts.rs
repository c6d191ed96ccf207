//! What the rules about workloads have in common: is a rollout under way, is it complete, what is said of an object.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Context, Draft};
use crate::{
    event::{Kind, TimeSource},
    object::{KubeEvent, Object, Workload, World},
};

/// The annotation in which the Deployment controller counts revisions, on Deployments and their ReplicaSets.
pub const REVISION: &str = "deployment.kubernetes.io/revision";

/// Kinds whose Pods follow a template that can be rolled out.
pub const ROLLS_OUT: &[Kind] = &[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];

/// `Deployment web`: how titles name an object.
pub fn title_of(object: &Object) -> String {
    format!("{} {}", object.kind, object.meta.name)
}

/// `kubectl <verb> <kind> <name> -n <namespace>`
pub fn kubectl(verb: &str, object: &Object) -> String {
    let kind = object.kind.as_str().to_ascii_lowercase();
    let scope = match object.meta.namespace.as_str() {
        "" => String::new(),
        namespace => format!(" -n {namespace}"),
    };
    format!("kubectl {verb} {kind} {}{scope}", object.meta.name)
}

/// The Pods of a selector, as a command.
pub fn kubectl_pods(object: &Object, workload: &Workload) -> String {
    let selector: Vec<String> = workload.selector.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let namespace = &object.meta.namespace;
    if selector.is_empty() {
        return format!("kubectl get pods -n {namespace} -o wide");
    }
    format!("kubectl get pods -n {namespace} -l {} -o wide", selector.join(","))
}

/// Every Pod runs the current template and is available, and the controller has seen the current spec.
pub fn is_complete(object: &Object) -> bool {
    let Some(w) = object.workload() else { return false };
    let observed = w.observed_generation >= object.meta.generation;
    let old_ones = match object.kind {
        Kind::StatefulSet => w.current_revision != w.update_revision,
        Kind::DaemonSet => false,
        _ => w.current > w.replicas,
    };
    observed && !old_ones && w.updated >= w.replicas && w.available >= w.replicas
}

/// A new template is being rolled out, or the controller has not seen the newest spec yet.
///
/// A Deployment says so itself; being scaled is no rollout. A rollout past its deadline is one still.
pub fn in_rollout(object: &Object) -> bool {
    let Some(w) = object.workload() else { return false };
    if w.observed_generation < object.meta.generation {
        return true;
    }
    match object.kind {
        Kind::Deployment => {
            !w.paused
                && w.condition("Progressing")
                    .is_some_and(|c| c.reason != "NewReplicaSetAvailable" && c.reason != "DeploymentPaused")
        }
        Kind::StatefulSet => w.strategy != "OnDelete" && w.current_revision != w.update_revision,
        Kind::DaemonSet => w.strategy != "OnDelete" && w.updated < w.replicas,
        _ => false,
    }
}

/// A Deployment's rollout is under way, or the newest spec was not seen yet: what its status says is of older Pods too.
/// Other kinds may be held back by a partition for as long as one likes.
pub fn is_behind(object: &Object) -> bool {
    let behind = object.workload().is_some_and(|w| w.observed_generation < object.meta.generation);
    behind || (object.kind == Kind::Deployment && in_rollout(object))
}

/// Whether an event about a workload speaks of a part that belongs to another: a ReplicaSet of a Deployment, a Job
/// of a CronJob.
pub fn is_owned(object: &Object) -> bool {
    object.meta.controller().is_some()
}

/// The workload as it is now, by the reference's parts.
pub fn find_workload<'a>(
    world: &'a World,
    kind: &str,
    namespace: &str,
    name: &str,
) -> Option<&'a Arc<Object>> {
    world.find(Kind::parse(kind)?, namespace, name)
}

/// The Kubernetes Events about an object, in no order. Those about cluster-scoped objects are in `default`.
pub fn events_about<'a>(
    world: &'a World,
    object: &'a Object,
) -> impl Iterator<Item = (&'a Arc<Object>, &'a KubeEvent)> {
    let namespace = if object.kind.namespaced() { object.meta.namespace.as_str() } else { "default" };
    world
        .in_namespace(Kind::Event, namespace)
        .filter_map(|o| o.kube_event().map(|e| (o, e)))
        .filter(|(_, e)| e.involved_uid == object.meta.uid)
}

/// The newest of them that passes.
pub fn newest_event<'a>(
    world: &'a World,
    object: &'a Object,
    pass: impl Fn(&KubeEvent) -> bool,
) -> Option<&'a KubeEvent> {
    events_about(world, object).map(|(_, e)| e).filter(|e| pass(e)).max_by_key(|e| e.last)
}

/// The time of a creation: the one case in which the creation time is the event's.
pub fn at_creation(draft: Draft, now: Timestamp) -> Draft {
    match draft.object.meta.created_at {
        Some(at) => draft.at(at),
        None => observed(draft, now),
    }
}

/// A deletion, at the time when it was asked for, else when we saw it.
///
/// What was deleted while nobody looked is known in its last version, under which it may have been told as created: an
/// object goes once, and that is what makes its deletion unique.
pub fn at_deletion(draft: Draft, now: Timestamp) -> Draft {
    let meta = &draft.object.meta;
    let (asked, known) = (meta.deleted_at, meta.deleted_at.or(meta.created_at).unwrap_or_default());
    let draft = match asked {
        Some(at) => draft.at(at),
        None => observed(draft, now),
    };
    draft.moment("gone", known)
}

/// Nobody said when.
pub fn observed(mut draft: Draft, now: Timestamp) -> Draft {
    draft.at = now;
    draft.time_source = TimeSource::Observed;
    draft
}

/// The names of the ready, else all, workloads that read a thing, for details.
pub fn resources(references: &[crate::event::ObjectRef]) -> Vec<String> {
    references.iter().map(crate::event::ObjectRef::resource).collect()
}

/// The subject's name in a title: the top owner's where there is one.
pub fn subject_title(object: &Object, cx: &Context<'_>) -> String {
    let subject = cx.world.top_owner(object);
    format!("{} {}", subject.kind, subject.name)
}

/// A change of the spec: its field manager and time, where managedFields tells them.
///
/// The API server gives no time to writes of the scale subresource, and keeps the old time where a manager's set of
/// fields stays as it was: then the entry is of an earlier change, and we only know when we saw this one.
pub fn spec_change(draft: Draft, before: &Object, now: Timestamp) -> Draft {
    let told = draft.object.meta.spec_managed_at > before.meta.spec_managed_at;
    if told { draft.spec_change(now) } else { observed(draft, now) }
}
