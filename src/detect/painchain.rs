//! One post per change of an object, in the form a PainChain backend's own timeline expects.
//!
//! Not a rule: the pipeline asks for every change, beside the rules. Pure. Keys, titles, project and externalId are
//! those of PainChain's own Kubernetes connector, observed on its output; a test compares them. Two of its faults are
//! not kept: the timestamp is when it happened, not the object's creation, and a missing count is 1.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Change, Origin, painchain_data as data};
use crate::{
    event::Kind,
    object::{Object, World},
};

/// Normal Kubernetes Events that its timeline takes.
const TOLD_REASONS: &[&str] = &[
    "Pulling",
    "Pulled",
    "Created",
    "Started",
    "Killing",
    "Scheduled",
    "FailedScheduling",
    "SuccessfulCreate",
    "SuccessfulDelete",
    "ScalingReplicaSet",
    "Unhealthy",
    "BackOff",
];

/// What a change is to the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Added,
    Modified,
    Deleted,
}

impl Action {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Action::Added => "added",
            Action::Modified => "modified",
            Action::Deleted => "deleted",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Action::Added => "Created",
            Action::Modified => "Updated",
            Action::Deleted => "Deleted",
        }
    }
}

/// The post for a change, without `integrationId`; `None` where the timeline shows nothing. Never at a baseline.
pub fn post(change: &Change, cluster: &str, world: &World, now: Timestamp) -> Option<Value> {
    if change.origin == Origin::Baseline {
        return None;
    }
    let object = change.object();
    let before = change.update().map(|(before, _)| before);
    let action = match (change.after.is_some(), before) {
        (false, _) => Action::Deleted,
        (true, None) => Action::Added,
        (true, Some(_)) => Action::Modified,
    };
    let action = shown(action, before, object)?;
    let fields = data::fields(object)?;
    if action == Action::Modified && before.is_some_and(|b| unchanged(b, object, &fields)) {
        return None;
    }
    let namespace = object.meta.namespace.as_str();
    let scope = if object.kind.namespaced() { namespace } else { "cluster-wide" };
    let mut body = head(object, action, cluster);
    body.extend(fields);
    data::surroundings(&mut body, object, world);
    Some(json!({
        "title": title(object, action),
        "connector": "kubernetes",
        "project": format!("{cluster}:{scope}"),
        "timestamp": format!("{:.3}", time(before, object, action, now)),
        "externalId": external_id(change, object, action, cluster),
        "data": body,
    }))
}

/// Whether the timeline takes it, and as what.
fn shown(action: Action, before: Option<&Object>, object: &Object) -> Option<Action> {
    match object.kind {
        Kind::Pod => pod(action, before, object),
        Kind::Event => {
            let event = object.kube_event()?;
            let told = event.warning || TOLD_REASONS.contains(&event.reason.as_str());
            let again = before
                .and_then(|b| b.kube_event())
                .is_none_or(|was| event.count > was.count || event.last > was.last);
            // An Event that is cleaned up is no event.
            (told && again && action != Action::Deleted).then_some(action)
        }
        Kind::Secret if data::is_helm(object) => helm(action, before, object),
        // Endpoints follow the Pods, which are posted themselves; there are many of them.
        Kind::EndpointSlice => None,
        Kind::ConfigMap if object.meta.annotation("control-plane.alpha.kubernetes.io/leader").is_some() => {
            None
        }
        _ => Some(action),
    }
}

/// A Pod is created once it is beyond Pending; later only its troubles are told.
fn pod(action: Action, before: Option<&Object>, object: &Object) -> Option<Action> {
    let pod = object.pod()?;
    let began =
        before.and_then(|b| b.pod()).is_some_and(|was| was.phase == "Pending" && pod.phase != "Pending");
    match action {
        Action::Deleted => Some(action),
        Action::Added => (pod.phase != "Pending").then_some(action),
        Action::Modified if began => Some(Action::Added),
        Action::Modified => data::in_trouble(pod).then_some(action),
    }
}

/// A revision is told when it is decided, once: pending is not yet, superseded is the next one's story. It has one
/// externalId for its whole life.
fn helm(action: Action, before: Option<&Object>, object: &Object) -> Option<Action> {
    let status = |o: &Object| o.meta.label("status").unwrap_or_default().to_owned();
    let is = status(object);
    match action {
        Action::Deleted => (is != "superseded").then_some(action),
        _ if is.starts_with("pending") || is == "superseded" || is == "uninstalling" => None,
        Action::Modified if before.is_some_and(|b| status(b).starts_with("pending")) => {
            let first = object.meta.label("version") == Some("1");
            Some(if first { Action::Added } else { action })
        }
        _ => Some(action),
    }
}

/// Nothing that the timeline shows is different, and nothing that somebody wants of the object: a value of a key, a
/// variable of a container.
fn unchanged(before: &Object, after: &Object, fields: &Map<String, Value>) -> bool {
    data::fields(before).as_ref() == Some(fields)
        && before.meta.generation + i64::from(begins_to_go(before, after)) == after.meta.generation
        && data::values(before) == data::values(after)
        && before.meta.annotations == after.meta.annotations
        && before.meta.owners == after.meta.owners
}

/// The API server counts the beginning of a deletion as a new generation, of what it counts at all, though nobody wants
/// anything else of the object. That it is gone is told when it is.
fn begins_to_go(before: &Object, after: &Object) -> bool {
    before.meta.deleted_at.is_none() && after.meta.deleted_at.is_some() && before.meta.generation > 0
}

fn title(object: &Object, action: Action) -> String {
    let (name, word) = (&object.meta.name, action.word());
    if let Some(event) = object.kube_event() {
        let kind = if event.warning { "Warning" } else { "Normal" };
        let about = format!("{}/{}", event.involved_kind, event.involved_name);
        return format!("K8s Event [{kind}]: {} - {about}", event.reason);
    }
    if data::is_helm(object) {
        let release = object.meta.label("name").unwrap_or("unknown");
        let version = object.meta.label("version").unwrap_or("unknown");
        return match action {
            Action::Added => format!("Helm Release Installed: {release}"),
            Action::Modified => format!("Helm Release Updated: {release} (v{version})"),
            Action::Deleted => format!("Helm Release Uninstalled: {release}"),
        };
    }
    if action != Action::Modified {
        return format!("{} {word}: {name}", object.kind);
    }
    let phase = |phase: &str| if phase.is_empty() { word.to_owned() } else { phase.to_owned() };
    if let Some(pod) = object.pod() {
        let states: Vec<String> = pod.containers.iter().map(data::state).collect();
        let of = |what: &str| states.iter().find(|s| s.starts_with(what)).cloned();
        let state = of("terminated").or_else(|| of("waiting")).unwrap_or_else(|| word.to_owned());
        return format!("Pod {state}: {name}");
    }
    let state = object
        .job()
        .map(|j| data::job_status(j).to_owned())
        .or_else(|| object.claim().map(|c| phase(&c.phase)))
        .or_else(|| object.volume().map(|v| phase(&v.phase)));
    format!("{} {}: {name}", object.kind, state.as_deref().unwrap_or(word))
}

/// When it happened, by the cluster where it says so. The API server gives no time to a write of `/scale`, and keeps
/// the old one where a manager writes the same fields again: then the newest time is of an earlier change.
fn time(before: Option<&Object>, object: &Object, action: Action, now: Timestamp) -> Timestamp {
    let meta = &object.meta;
    let managed_at = meta.managed_at.filter(|at| before.is_none_or(|b| Some(*at) > b.meta.managed_at));
    if let Some(event) = object.kube_event() {
        return event.last.unwrap_or(now);
    }
    let said = match action {
        Action::Deleted => meta.deleted_at,
        // A Pod that is posted when it runs was created earlier: the write that says so is the time.
        Action::Added if object.kind != Kind::Pod && !data::is_helm(object) => meta.created_at,
        Action::Added | Action::Modified => managed_at,
    };
    said.unwrap_or(now)
}

/// What the backend de-duplicates by.
fn external_id(change: &Change, object: &Object, action: Action, cluster: &str) -> String {
    let meta = &object.meta;
    let (kind, last) = match object.kind {
        Kind::Event => ("event", object.kube_event().map_or(1, |e| e.count.max(1)).to_string()),
        Kind::PersistentVolume => ("pv", meta.version.to_string()),
        Kind::PersistentVolumeClaim => ("pvc", meta.version.to_string()),
        Kind::Secret if data::is_helm(object) => {
            ("helm", meta.label("version").unwrap_or("unknown").to_owned())
        }
        _ => (object.kind.as_str(), meta.version.to_string()),
    };
    let name = if kind == "helm" { meta.label("name").unwrap_or("unknown") } else { &meta.name };
    let scope = if object.kind.namespaced() { format!("{}-", meta.namespace) } else { String::new() };
    let id = format!("k8s-{}-{cluster}-{scope}{name}-{last}", kind.to_ascii_lowercase());
    // The version that we know was used already: by the change that made it, or by the release's own post.
    let used = match action {
        Action::Deleted if kind == "helm" => meta.label("status") == Some("uninstalling"),
        Action::Deleted => change.origin == Origin::Late,
        _ => false,
    };
    if used { format!("{id}-deleted") } else { id }
}

/// The keys that every kind has. Kubernetes Events have their own word and no name.
fn head(object: &Object, action: Action, cluster: &str) -> Map<String, Value> {
    let mut map = Map::new();
    let kind = object.kind.as_str().to_ascii_lowercase();
    let name = object.meta.name.as_str();
    if object.kind == Kind::Event {
        map.insert("event_type".into(), "k8s_event".into());
    } else if data::is_helm(object) {
        map.insert("event_type".into(), "helm_release".into());
        map.insert("action".into(), action.as_str().into());
        map.insert("release_name".into(), object.meta.label("name").unwrap_or("unknown").into());
    } else {
        let key = match object.kind {
            Kind::PersistentVolume => "pv_name".to_owned(),
            Kind::PersistentVolumeClaim => "pvc_name".to_owned(),
            _ => format!("{kind}_name"),
        };
        map.insert("event_type".into(), kind.into());
        map.insert("action".into(), action.as_str().into());
        map.insert(key, name.into());
    }
    if object.kind.namespaced() {
        map.insert("namespace".into(), object.meta.namespace.as_str().into());
    }
    map.insert("cluster".into(), cluster.into());
    map
}
