//! From a draft to a stored event: ids, subject, links, folding of repeats.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    cluster::ChangeNote,
    engine::Engine,
    incidents::Place,
    judge::{fingerprint, identity},
};
use crate::{
    detect::{Draft, Origin, is_plain_name},
    event::{
        ClusterUid, Event, EventId, EventType, IncidentId, Kind, Link, Moment, ObjectRef, Role, Severity,
        Status, TimeSource, incident::IncidentStatus,
    },
    feed::Feed,
    object::{ConfigRefKind, Object, World},
    store::{
        EVENT_IDS, EVENTS, EVENTS_BY_OBJECT, FOLDS, FoldRow, INCIDENTS, REPEAT_IDS, Read, Result, Tx, keys,
    },
};

/// When the first of several repeats was that came after another: Kubernetes says how many there were and when the last
/// was, so they are taken to be as far from one another as from the one before.
fn first_after(after: Timestamp, event: &Event) -> Timestamp {
    let (Ok(count), true) = (i32::try_from(event.count), event.count > 1) else { return event.first_seen };
    let apart = event.first_seen.duration_since(after) / count;
    after.saturating_add(apart).map_or(event.first_seen, |first| first.min(event.first_seen))
}

impl Engine {
    /// A draft of a moment becomes an event, or raises the count of an earlier one.
    pub(super) fn tell(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        draft: Draft,
        origin: Origin,
        now: Timestamp,
    ) -> Result<()> {
        let since = draft.moment.as_ref().map_or(now, |(_, at)| *at);
        let mut event = self.build(uid, draft, (Status::Info, origin), now);
        if tx.get(&EVENT_IDS, event.id.as_str())?.is_some() {
            return Ok(());
        }
        let folds = event.role != Role::Context || event.event_type == EventType::KubernetesEvent;
        if folds && self.fold(tx, &event, (since, now))? {
            return Ok(());
        }
        let (fold, first, counted) = (keys::fold_of(&event), event.timestamp, claimed(&event));
        let before = if folds { tx.get(&FOLDS, &fold)? } else { None };
        match before {
            // The row before has told of the rest, and these have happened since its last.
            Some(before) => {
                event.count = event.count.min(grown(counted, before.counted));
                let row = if event.count > 1 { tx.entry(&EVENTS, before.seq)? } else { None };
                let after = row.map_or(before.first, |row| row.last_seen);
                event.first_seen = first_after(after, &event);
            }
            // All that it ever counted happened since it was made.
            None if event.count > 1 => event.first_seen = since.min(event.first_seen),
            None => {}
        }
        let (seq, _) = self.record_new(tx, event, now)?;
        if folds {
            tx.put(&FOLDS, &fold, &FoldRow { seq, first, counted })?;
        }
        Ok(())
    }

    /// Whether the event is a repeat within the window, and was counted by the event that opened it.
    fn fold(&mut self, tx: &Tx<'_>, event: &Event, (since, now): (Timestamp, Timestamp)) -> Result<bool> {
        let key = keys::fold_of(event);
        let Some(row) = tx.get(&FOLDS, &key)? else { return Ok(false) };
        let window = self.config.types.get(&event.event_type).and_then(|t| t.dedup_window);
        let window = window.unwrap_or(self.config.incidents.dedup_window);
        let within = SignedDuration::try_from(window).unwrap_or(SignedDuration::MAX);
        if event.timestamp.duration_since(row.first) > within {
            return Ok(false);
        }
        let Some(mut first) = tx.entry(&EVENTS, row.seq)? else { return Ok(false) };
        if event.severity > first.severity || event.role != first.role || self.is_over(tx, &first)? {
            return Ok(false);
        }
        let before = first.clone();
        // A Kubernetes Event carries the sum of its repeats, everything else counts as one.
        let claimed = claimed(event);
        let grown = grown(claimed, row.counted);
        let room = plausible(since.min(first.observed_at), now).saturating_sub(first.count);
        first.count += grown.clamp(1, room.max(1));
        tx.put(&FOLDS, &key, &FoldRow { counted: claimed, ..row })?;
        // One reason has many messages: the newest is what the cluster says now.
        if event.event_type == EventType::KubernetesEvent && event.timestamp >= first.last_seen {
            first.description.clone_from(&event.description);
            first.details.clone_from(&event.details);
        }
        first.last_seen = first.last_seen.max(event.timestamp);
        tx.put_entry(&EVENTS, row.seq, &first)?;
        // The repeat's own id is known too: it may be found again by a relist.
        tx.put(&EVENT_IDS, event.id.as_str(), &row.seq)?;
        tx.put(&REPEAT_IDS, &keys::repeat_id(row.seq, &event.id), &())?;
        self.counts.folded += 1;
        self.counted(tx, (row.seq, &before, &first), now)?;
        self.feed.push(Feed::Event { seq: row.seq, event: Arc::new(first) });
        Ok(true)
    }

    /// Whether the incident of an event has ended since: what comes after that is no repeat of it.
    fn is_over(&self, tx: &Tx<'_>, first: &Event) -> Result<bool> {
        let Some(id) = &first.incident else { return Ok(false) };
        let Some(incident) = tx.get(&INCIDENTS, id.as_str())? else { return Ok(true) };
        let last = first.last_seen.max(first.observed_at);
        Ok(incident.status != IncidentStatus::Open || incident.reopened_at.is_some_and(|at| at > last))
    }

    /// Everything that an event has, but its place in an incident.
    pub(super) fn build(
        &self,
        uid: &ClusterUid,
        draft: Draft,
        (status, origin): (Status, Origin),
        now: Timestamp,
    ) -> Event {
        let object = Arc::clone(&draft.object);
        let cluster = self.clusters.get(uid);
        let empty = World::default();
        let world = cluster.map_or(&empty, |c| &c.world);
        let reference = draft.about.clone().unwrap_or_else(|| object.reference());
        let known = world.resolve(&reference).filter(|_| draft.about.is_some());
        let described = known.unwrap_or(&object);
        let subject = if draft.about.is_some() && known.is_none() {
            reference.clone()
        } else {
            world.subject(described)
        };
        let fingerprint = fingerprint(uid, &draft, &object);
        let moment = draft.moment.clone();
        let moment = match (&moment, status) {
            (Some((text, at)), _) => Moment::Version { of: text, at: *at },
            (None, Status::Firing) => Moment::At(draft.at),
            (None, _) => {
                // The time at which we saw it is ours alone: another who sees it has to make the same id.
                let ours = draft.time_source == TimeSource::Observed;
                let at = if ours { object.meta.created_at.unwrap_or_default() } else { draft.at };
                Moment::Version { of: &object.meta.version, at }
            }
        };
        let names = (draft.event_type.name(), status.as_str());
        let id = EventId::new(uid, &identity(&reference), moment, names, &draft.discriminator);
        let severity = self.severity_of(draft.event_type, draft.severity);
        let mut details = draft.details;
        complete(&mut details, described, &reference, draft.time_source);
        let count = match &draft.moment {
            Some((_, at)) if draft.event_type == EventType::KubernetesEvent => {
                claimed_in(&details).min(plausible(*at, now))
            }
            _ => 1,
        };
        let mut links = draft.links;
        links.extend(self::links(described, world));
        Event {
            id,
            fingerprint,
            event_type: draft.event_type,
            severity,
            status,
            role: draft.role,
            timestamp: draft.at,
            time_source: draft.time_source,
            observed_at: now,
            cluster: cluster.map(|c| c.name.to_string()).unwrap_or_default(),
            cluster_uid: uid.clone(),
            object: reference,
            subject,
            title: draft.title,
            description: draft.description,
            details,
            recommendations: draft.recommendations,
            links,
            labels: strings(&described.meta.labels),
            annotations: strings(&described.meta.annotations),
            owner_references: described.meta.owners.to_vec(),
            count,
            first_seen: draft.at,
            last_seen: draft.at,
            late: origin == Origin::Late || draft.late,
            standing: false,
            ignored: None,
            incident: None,
        }
    }

    pub(super) fn severity_of(&self, event_type: EventType, own: Severity) -> Severity {
        self.config.types.get(&event_type).and_then(|t| t.severity).unwrap_or(own)
    }

    /// Stores an event with its place in an incident and its messages. `None`: it was stored before.
    pub(super) fn record(
        &mut self,
        tx: &Tx<'_>,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<(u64, Option<IncidentId>)>> {
        if tx.get(&EVENT_IDS, event.id.as_str())?.is_some() {
            return Ok(None);
        }
        self.record_new(tx, event, now).map(Some)
    }

    /// The same for an event of which it is known that it was not stored before.
    fn record_new(
        &mut self,
        tx: &Tx<'_>,
        mut event: Event,
        now: Timestamp,
    ) -> Result<(u64, Option<IncidentId>)> {
        event.ignored = self.ignored(&event, now);
        self.gather(&mut event);
        self.name_context(&mut event);
        let place = self.find_place(tx, &event, now)?;
        event.incident = place.incident().cloned();
        if event.role != Role::Context {
            self.config.pages.mark(&mut event);
        }
        let seq = self.keep(tx, &event)?;
        if let Some(note) = ChangeNote::of(&event, matches!(place, Place::Affected(_)))
            && let Some(cluster) = self.clusters.get_mut(&event.cluster_uid)
        {
            cluster.note_change(note);
        }
        let event = Arc::new(event);
        self.feed.push(Feed::Event { seq, event: Arc::clone(&event) });
        let incident = event.incident.clone();
        self.enter(tx, place, seq, &event, now)?;
        Ok((seq, incident))
    }

    /// Stores an event where it is found by its number, its id and what it is about.
    pub(super) fn keep(&mut self, tx: &Tx<'_>, event: &Event) -> Result<u64> {
        let seq = tx.append(&EVENTS, event)?;
        tx.put(&EVENT_IDS, event.id.as_str(), &seq)?;
        for key in keys::events_by_object(event, seq) {
            tx.put(&EVENTS_BY_OBJECT, &key, &())?;
        }
        self.counts.events += 1;
        Ok(seq)
    }
}

/// How often a Kubernetes Event says that it happened.
fn claimed(event: &Event) -> u64 {
    if event.event_type == EventType::KubernetesEvent { claimed_in(&event.details) } else { 1 }
}

fn claimed_in(details: &serde_json::Map<String, Value>) -> u64 {
    details.get("count").and_then(Value::as_u64).unwrap_or(1).max(1)
}

/// How often it happened since it was counted last. One that counts less is another Event about the same.
fn grown(claimed: u64, counted: u64) -> u64 {
    if claimed > counted { claimed - counted } else { claimed }
}

/// How often something may have happened that is known since then: whoever may create an Event may write any count into
/// it. Once a second is more than any component's own limit of Events lets through.
fn plausible(since: Timestamp, now: Timestamp) -> u64 {
    now.duration_since(since).as_secs().max(0).unsigned_abs() + 1
}

fn complete(
    details: &mut serde_json::Map<String, Value>,
    object: &Object,
    reference: &ObjectRef,
    time_source: TimeSource,
) {
    let mut add = |key: &str, value: Value| {
        details.entry(key.to_owned()).or_insert(value);
    };
    if !reference.namespace.is_empty() {
        add("namespace", reference.namespace.clone().into());
    }
    if let Some(pod) = object.pod() {
        add("pod_name", reference.name.clone().into());
        add("restart_count", pod.restarts().into());
        if !pod.node.is_empty() {
            add("node", pod.node.to_string().into());
        }
    }
    if time_source != TimeSource::Cluster {
        add("time_source", serde_json::to_value(time_source).unwrap_or_default());
    }
}

pub(super) fn strings(map: &crate::object::StrMap) -> BTreeMap<String, String> {
    map.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

/// The API path of an object.
fn path(kind: Kind, namespace: &str, name: &str) -> String {
    let version = kind.api_version();
    let root = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let namespace = if kind.namespaced() { format!("/namespaces/{namespace}") } else { String::new() };
    format!("{root}{namespace}/{}/{name}", kind.plural())
}

/// The line that shows an object.
pub(super) fn kubectl_get(kind: &str, namespace: &str, name: &str) -> String {
    let kind = kind.to_ascii_lowercase();
    if namespace.is_empty() {
        format!("kubectl get {kind} {name} -o yaml")
    } else {
        format!("kubectl get {kind} {name} -n {namespace} -o yaml")
    }
}

fn link(rel: &str, reference: &ObjectRef) -> Option<Link> {
    // An owner's, or an involved object's: the API server does not look at such a name.
    let kind = Kind::parse(&reference.kind).filter(|_| is_plain_name(&reference.name))?;
    Some(Link {
        rel: rel.to_owned(),
        reference: path(kind, &reference.namespace, &reference.name),
        href: Some(kubectl_get(&reference.kind, &reference.namespace, &reference.name)),
    })
}

/// The manifest, the owners, the node and the configuration that an object reads.
pub(super) fn links(object: &Object, world: &World) -> Vec<Link> {
    let mut found: Vec<Link> = link("manifest", &object.reference()).into_iter().collect();
    found.extend(world.owners(&object.meta).iter().filter_map(|o| link("owner", o)));
    if let Some(pod) = object.pod() {
        if !pod.node.is_empty() {
            found.extend(link("node", &ObjectRef::new(Kind::Node, "", &pod.node, "")));
        }
        for r in &pod.refs {
            let kind = match r.kind {
                ConfigRefKind::ConfigMap => Kind::ConfigMap,
                ConfigRefKind::Secret => Kind::Secret,
                ConfigRefKind::Claim => Kind::PersistentVolumeClaim,
            };
            found.extend(link("config", &ObjectRef::new(kind, &object.meta.namespace, &r.name, "")));
        }
    }
    found
}
