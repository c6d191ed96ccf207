//! What is told to nobody: global rules, and an annotation on an object, its owners or its namespace.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{
    cluster::Cluster, engine::Engine, firing::words, judge::judge_key, record::strings, wording::reworded,
};
use crate::{
    detect::{Change, Draft},
    event::{ClusterUid, Event, Kind, ObjectRef, Owner},
    feed::Feed,
    object::{Object, ObjectKey, Str, World},
    store::{Due, DueRow, EVENTS, FiringRow, Read, Result, Tx},
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

/// Whether what was to be ignored is seen now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unseen {
    /// It was never unseen, or is so still.
    AsBefore,
    /// What may say that it is to be ignored is not all known yet.
    Later,
    /// It is told as what it is.
    Told,
}

/// The namespace in which an annotation was changed or taken away, if it was.
pub(super) fn unannotated(change: &Change) -> Option<&str> {
    let (before, after) = change.update()?;
    let was = before.meta.annotation(ANNOTATION);
    let changed = was.is_some() && was != after.meta.annotation(ANNOTATION);
    let namespace = if after.kind == Kind::Namespace { &after.meta.name } else { &after.meta.namespace };
    changed.then_some(namespace.as_str())
}

impl Engine {
    /// What fires and is in no incident is judged again soon, everywhere or in one namespace: what was to be ignored
    /// may not be any more.
    pub(super) fn look_at_unseen(
        &mut self,
        tx: &Tx<'_>,
        place: Option<(&ClusterUid, &str)>,
        now: Timestamp,
    ) -> Result<()> {
        let mut found = Vec::new();
        for (uid, cluster) in &self.clusters {
            let here = |key: &ObjectKey| place.is_none_or(|(u, ns)| u == uid && key.namespace == *ns);
            let unseen = cluster.firings.values().flatten().filter(|f| f.incident.is_none() && here(&f.key));
            found.extend(unseen.map(|f| (f.since, uid.clone(), f.rule.clone(), f.key.clone())));
        }
        // What began first opens the incident: an instant apart, in the order in which they began.
        found.sort_by_key(|(since, ..)| std::cmp::Reverse(*since));
        let mut at = now;
        for (_, uid, rule, key) in found {
            at = at.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(at);
            let place = judge_key(&uid, &rule, &key);
            // One that waits as at the first sight is judged within moments.
            let first = |row: &DueRow| matches!(row.what, Due::Judge { baseline: true, .. });
            if !self.dues.get(&place).is_some_and(first) {
                let what = || (uid.0.clone(), Due::Judge { rule, key, baseline: false });
                self.dues.set(tx, &place, Some(at), what)?;
            }
        }
        Ok(())
    }

    /// A trouble that began unseen, because it was to be ignored, goes on and is not to be ignored any more: it is told
    /// as what it is, once.
    pub(super) fn unignored(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        row: &mut FiringRow,
        draft: &Draft,
        now: Timestamp,
    ) -> Result<Unseen> {
        if row.incident.is_some() {
            return Ok(Unseen::AsBefore);
        }
        let began: Option<Event> = tx.entry(&EVENTS, row.seq)?;
        let Some(mut event) = began.filter(|e| e.ignored.is_some()) else { return Ok(Unseen::AsBefore) };
        let meta = &draft.object.meta;
        event.annotations = strings(&meta.annotations);
        event.labels = strings(&meta.labels);
        event.ignored = self.ignored(&event, now);
        if event.ignored.is_some() {
            return Ok(Unseen::AsBefore);
        }
        if !self.is_above_settled(uid, &meta.namespace, now) {
            return Ok(Unseen::Later);
        }
        let words = Some(words(draft)).filter(|w| !w.description.is_empty());
        let event = reworded(event, words.as_ref().or(row.words.as_ref()));
        let place = self.find_place(tx, &event, now)?;
        row.incident = place.incident().cloned();
        let event = Arc::new(Event { incident: row.incident.clone(), ..event });
        tx.put_entry(&EVENTS, row.seq, &*event)?;
        self.feed.push(Feed::Event { seq: row.seq, event: Arc::clone(&event) });
        self.enter(tx, place, row.seq, &event, now)?;
        Ok(Unseen::Told)
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
