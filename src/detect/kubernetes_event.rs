//! Kubernetes' own Events: each occurrence, a grown count included.
//!
//! An Event joins what a rule of ours says of the same trouble (`kube_reasons`); a Warning that nobody speaks for
//! leads by itself.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{Change, Context, Draft, Moment, Output, kube_reasons};
use crate::{
    event::{EventType, Kind, ObjectRef, Role, Severity},
    object::{KubeEvent, Object, ObjectKey},
};

/// The cluster's clock may be so far ahead of ours: what is further ahead is no time of anything.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);

/// See the module.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "kubernetes_event"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::KubernetesEvent]
    }
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Event]
    }
    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        let Some(row) = &change.after else { return };
        let Some(event) = row.kube_event() else { return };
        let again = change.update().is_none_or(|(before, _)| {
            before.kube_event().is_none_or(|was| event.count > was.count || event.last > was.last)
        });
        if again {
            out.tell(draft(row, event, cx));
        }
    }
}

fn draft(row: &Arc<Object>, event: &KubeEvent, cx: &Context<'_>) -> Draft {
    let about = cx.world.claimed(event.about(&row.meta.namespace));
    let involved = involved(&about, cx);
    let severity = if event.warning { Severity::Medium } else { Severity::Info };
    let object = involved.unwrap_or(row);
    let mut draft = Draft::new(
        EventType::KubernetesEvent,
        object,
        format!("{} on {} {}", event.reason, about.kind, about.name),
    )
    .severity(severity)
    .role(role(event))
    .discriminator(format!("{}/{}", event.reason, event.component))
    .moment(format!("{}/{}", row.meta.uid, event.count), row.meta.created_at.unwrap_or(Timestamp::UNIX_EPOCH))
    .description(if event.message.is_empty() { event.reason.as_str() } else { event.message.as_str() })
    .detail("reason", event.reason.as_str())
    .detail("message", event.message.as_str())
    .detail("count", event.count)
    .detail("type", if event.warning { "Warning" } else { "Normal" })
    .detail(
        "involved_object",
        json!({ "kind": about.kind, "name": about.name, "namespace": about.namespace }),
    )
    .detail("component", event.component.as_str())
    .detail("host", event.host.as_str())
    .detail("field_path", event.field_path.as_str())
    .detail("first_seen", event.first.map(|t| t.to_string()));
    if let Some(pod) = object.pod() {
        draft = draft.detail("pod_name", object.meta.name.as_str()).detail("restart_count", pod.restarts());
        draft = draft.detail("namespace", object.meta.namespace.as_str());
    }
    if event.warning {
        draft = draft.recommend("See all that was said about it", command(&about));
    }
    draft.about = involved.is_none().then_some(about);
    let future = |at: &Timestamp| at.duration_since(cx.now) > AHEAD;
    match event.last.filter(|at| !future(at)).or(row.meta.created_at) {
        Some(at) => draft.at(at),
        None => super::workload_facts::observed(draft, cx.now),
    }
}

/// The object it is about, if it is known, and still the same one.
fn involved<'a>(about: &ObjectRef, cx: &Context<'a>) -> Option<&'a Arc<Object>> {
    // Some controllers, and kubelets about their Node, give the name in place of the uid, or none.
    cx.world.resolve(about).or_else(|| {
        let found = cx.world.get(&ObjectKey::of(about)?)?;
        (about.uid.is_empty() || about.uid == about.name).then_some(found)
    })
}

fn command(about: &ObjectRef) -> String {
    let scope = match about.namespace.as_str() {
        "" => "-n default".to_owned(),
        namespace => format!("-n {namespace}"),
    };
    // The API server does not look at the names in an Event: nobody's shell is to run what stands there.
    if !super::is_plain_name(&about.name) || !super::is_plain_name(&about.kind) {
        return format!("kubectl events {scope} --types=Warning");
    }
    format!("kubectl events {scope} --for {}/{}", about.kind.to_ascii_lowercase(), about.name)
}

/// Where nobody can see what an Event speaks of, the pipeline lets it lead after all.
fn role(event: &KubeEvent) -> Role {
    if !event.warning || kube_reasons::is_noise(event) {
        Role::Context
    } else if kube_reasons::spoken_for(&event.reason).is_empty() {
        Role::OneShot
    } else {
        Role::Joins
    }
}
