//! What is told to nobody: global rules, and an annotation on an object, its owners or its namespace.

use std::sync::Arc;

use jiff::Timestamp;

use super::{cluster::Cluster, engine::Engine};
use crate::{
    event::{ClusterUid, Event, Kind, ObjectRef, Owner},
    object::{Object, ObjectKey, Str, World},
};

/// Comma-separated types, families or aliases, or `all`.
const ANNOTATION: &str = "barrelman.dev/ignore";
/// Owners that are gone and were to be ignored: what they leave behind goes within moments.
const OPTED_OUT: usize = 1_000;
/// Kinds that controllers make.
const MADE: [Kind; 3] = [Kind::Pod, Kind::ReplicaSet, Kind::Job];
/// Those controllers' kinds.
const MAKERS: [Kind; 6] =
    [Kind::ReplicaSet, Kind::StatefulSet, Kind::DaemonSet, Kind::Job, Kind::Deployment, Kind::CronJob];

impl Engine {
    /// Why an event is ignored, if it is: it is stored and shown, joins no incident, and is told to nobody.
    pub(super) fn ignored(&self, event: &Event, now: Timestamp) -> Option<String> {
        if let Some(rule) = self.config.ignore.iter().find(|f| f.matches(event, now)) {
            return Some(format!("rule {}", rule.source()));
        }
        if let Some(text) = event.annotations.get(ANNOTATION)
            && names(text, event)
        {
            return Some(format!("annotation on {}", event.object.resource()));
        }
        // What is described may already be gone, but its owners and its namespace are known.
        let cluster = self.clusters.get(&event.cluster_uid)?;
        let mut found = above(cluster, event).into_iter();
        found.find(|(_, text)| names(text, event)).map(|(what, _)| format!("annotation on {what}"))
    }
}

impl Engine {
    /// Says, once for each change of it, what an annotation names in vain.
    pub(super) fn check_annotation(&self, uid: &ClusterUid, object: &Object) {
        let Some(text) = object.meta.annotation(ANNOTATION) else { return };
        let before = self.clusters.get(uid).and_then(|c| c.world.get(&object.key()));
        if before.is_some_and(|b| b.meta.annotation(ANNOTATION) == Some(text)) {
            return;
        }
        let words: Vec<&str> = text.split(',').map(str::trim).filter(|w| !w.is_empty()).collect();
        if let Err(unknown) = crate::event::TypeSet::parse(&words) {
            let unknown: Vec<String> = unknown.iter().map(ToString::to_string).collect();
            let object = object.key();
            tracing::warn!(%object, "its annotation {ANNOTATION} is not all understood: {}", unknown.join("; "));
        }
    }
}

impl Cluster {
    /// An object is about to go: what it leaves behind (its ReplicaSets, its Pods) is ignored as it was.
    pub(super) fn note_opted_out(&mut self, key: &ObjectKey) {
        let Some(object) = self.world.get(key).filter(|o| o.kind != Kind::Event) else { return };
        let own = object.meta.annotation(ANNOTATION).map(Str::new);
        let owners = || self.world.owners(&object.meta).into_iter();
        let text = own.or_else(|| owners().find_map(|o| self.opted_out_by(&o)));
        let Some(text) = text else { return };
        let uid = object.meta.uid.clone();
        self.opted_out.push_back((uid, text));
        if self.opted_out.len() > OPTED_OUT {
            self.opted_out.pop_front();
        }
    }

    fn opted_out_by(&self, owner: &ObjectRef) -> Option<Str> {
        if let Some(object) = self.world.resolve(owner) {
            return object.meta.annotation(ANNOTATION).map(Str::new);
        }
        self.opted_out.iter().rev().find(|(gone, _)| *gone == *owner.uid).map(|(_, text)| text.clone())
    }
}

/// The annotations of everything that the event's object belongs to, and of its namespace.
fn above(cluster: &Cluster, event: &Event) -> Vec<(String, Str)> {
    let world = &cluster.world;
    let mut seen: Vec<String> = Vec::new();
    let mut found = Vec::new();
    let owner = |o: &Owner| ObjectRef {
        kind: o.kind.clone(),
        namespace: event.object.namespace.clone(),
        name: o.name.clone(),
        uid: o.uid.clone(),
    };
    let mut next: Vec<ObjectRef> = event.owner_references.iter().map(owner).collect();
    next.extend([event.subject.clone(), event.object.clone()]);
    next.extend(by_name(world, event).map(|o| o.reference()));
    while let Some(reference) = next.pop() {
        if reference.uid.is_empty() || seen.contains(&reference.uid) {
            continue;
        }
        if let Some(object) = world.resolve(&reference) {
            next.extend(world.owners(&object.meta));
        }
        found.extend(cluster.opted_out_by(&reference).map(|text| (reference.resource(), text)));
        seen.push(reference.uid);
    }
    if let Some(namespace) = world.find(Kind::Namespace, "", &event.object.namespace) {
        let text = namespace.meta.annotation(ANNOTATION).map(Str::new);
        found.extend(text.map(|text| (format!("Namespace/{}", namespace.meta.name), text)));
    }
    found
}

/// What made an object of which a Kubernetes Event gives the name alone, because it is gone or not seen yet:
/// controllers name what they make after themselves, with one more word.
fn by_name<'a>(world: &'a World, event: &Event) -> Option<&'a Arc<Object>> {
    if !MADE.iter().any(|kind| kind.as_str() == event.object.kind) || world.resolve(&event.object).is_some() {
        return None;
    }
    let mut name = event.object.name.as_str();
    // Pod → ReplicaSet → Deployment, Pod → Job → CronJob.
    for _ in 0..2 {
        (name, _) = name.rsplit_once('-')?;
        let maker = MAKERS.iter().find_map(|kind| world.find(*kind, &event.object.namespace, name));
        if maker.is_some() {
            return maker;
        }
    }
    None
}

fn names(text: &str, event: &Event) -> bool {
    // A name that does not exist ignores nothing; the others of the same annotation still count.
    text.split(',').any(|name| {
        crate::event::TypeSet::parse(&[name]).is_ok_and(|set| set.contains(event.event_type, &event.details))
    })
}
