//! The in-memory state of one cluster: its world, what fires, which streams are live.
//!
//! All of it but the streams' liveness is rebuilt from the store.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use super::{skew::Clocks, suspects};
use crate::{
    detect::{Firing, Memory},
    event::{ClusterUid, Event, EventId, EventType, IncidentId, Kind, ObjectRef, Role, Status},
    object::{Object, ObjectKey, Str, World},
    store::{Baseline, FiringRow, MEMORY, Read, Tx, keys},
};

/// Kubernetes Events held in memory for the rules to look up, Warnings only; the store holds all.
const WARNINGS_HELD: usize = 5_000;
/// A watch is lost a moment before it is known that the API does not answer at all.
const SEEN_AWAY: SignedDuration = SignedDuration::from_mins(1);
/// After this time from the first live watch a start is over.
const BEGINS: SignedDuration = SignedDuration::from_mins(5);
/// How the reason of a gap begins that is one watch's alone.
pub(super) const LOST: &str = "the watch of";
/// Changes held for suspects.
const CHANGES_HELD: usize = 2_000;

/// A change that could be a suspect later.
#[derive(Debug, Clone)]
pub(super) struct ChangeNote {
    pub event: EventId,
    pub event_type: EventType,
    pub object: ObjectRef,
    pub subject: ObjectRef,
    pub at: Timestamp,
    pub title: String,
    pub manager: String,
    /// It came into being, rather than became different.
    pub created: bool,
    /// It is a trouble as well: a node that is lost.
    pub trouble: bool,
}

impl ChangeNote {
    /// Of an event that could be one: an end changes nothing, and nobody is suspected of it. Nor is a trouble that another
    /// takes down with it (`affected`), as the nodes of which nothing is heard while the API is away.
    pub fn of(event: &Event, affected: bool) -> Option<Self> {
        if suspects::weight(event.event_type) <= 0.0 || event.status == Status::Resolved || affected {
            return None;
        }
        // Jobs come and go.
        let stays = matches!(event.object.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet");
        if event.event_type == EventType::WorkloadDeleted && !stays {
            return None;
        }
        let detail = |name: &str| event.details.get(name).and_then(|m| m.as_str()).unwrap_or_default();
        let manager = detail("field_manager");
        Some(Self {
            event: event.id.clone(),
            event_type: event.event_type,
            object: event.object.clone(),
            subject: event.subject.clone(),
            at: event.timestamp,
            title: event.title.clone(),
            manager: manager.to_owned(),
            created: event.event_type == EventType::WorkloadCreated || detail("action") == "created",
            trouble: event.role != Role::Context,
        })
    }
}

/// An incident that is open now.
#[derive(Debug, Clone)]
pub(super) struct OpenIncident {
    pub id: crate::event::IncidentId,
    pub holding: u32,
    pub since: Timestamp,
    pub standing: bool,
    /// By a Warning of Kubernetes about its subject, that nobody else tells.
    pub warned: bool,
}

/// One cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    pub uid: ClusterUid,
    pub name: Arc<str>,
    /// The kubeconfig context that leads to it; empty where there is none.
    pub context: Arc<str>,
    pub world: World,
    pub firings: HashMap<ObjectKey, Vec<FiringRow>>,
    pub baselines: BTreeMap<String, Baseline>,
    /// By subject key.
    pub open: HashMap<String, OpenIncident>,
    /// What an open incident takes down with it, by key and uid: read from the store when the first is added.
    pub affected_by: HashMap<IncidentId, HashSet<(String, String)>>,
    /// Owners that are gone and were to be ignored, with what their annotation named: what they leave behind is
    /// ignored like them. Not in the store.
    pub opted_out: VecDeque<(Str, Str)>,
    /// Newest last.
    pub changes: VecDeque<ChangeNote>,
    warnings: VecDeque<ObjectKey>,
    /// Kinds of which a label selector chooses what is watched.
    pub selected: HashSet<Kind>,
    streams: HashMap<(Kind, Str), StreamNote>,
    pub away_since: Option<Timestamp>,
    /// What a rule could not judge because lists were under way, by the key of its due row: those lists. Not in the
    /// store; the due rows are.
    awaiting: HashMap<String, Vec<Missed>>,
    /// When this process had its first live watch.
    live_since: Option<Timestamp>,
    /// Until when an earlier process watched it.
    pub watched_until: Option<Timestamp>,
    /// It has answered this process.
    answered: bool,
    unseen: Option<Unseen>,
    pub clocks: Clocks,
    before: Option<Before>,
}

/// What is not in the store of a cluster, as it was before the batch under way; of its streams those that it touched.
#[derive(Debug)]
struct Before {
    away_since: Option<Timestamp>,
    live_since: Option<Timestamp>,
    answered: bool,
    unseen: Option<Unseen>,
    streams: HashMap<(Kind, Str), Option<StreamNote>>,
}

/// The last time in which a cluster was not seen: its API was away, or nobody watched.
#[derive(Debug, Clone, Copy)]
struct Unseen {
    from: Timestamp,
    to: Timestamp,
    /// Since when the API was away.
    away: Option<Timestamp>,
}

#[derive(Debug, Clone, Default)]
struct StreamNote {
    live: bool,
    /// Its list is complete: all of it is known, although its watch has not begun yet.
    listed: bool,
    was_live: bool,
    /// Something was said of it, by this process.
    heard: bool,
    /// Refused or absent: it will not become live by itself.
    shut: bool,
    lost_at: Option<Timestamp>,
}

impl Cluster {
    pub fn new(uid: ClusterUid, name: Arc<str>) -> Self {
        Self {
            uid,
            name,
            context: "".into(),
            world: World::default(),
            firings: HashMap::new(),
            baselines: BTreeMap::new(),
            open: HashMap::new(),
            affected_by: HashMap::new(),
            opted_out: VecDeque::new(),
            changes: VecDeque::new(),
            warnings: VecDeque::new(),
            selected: HashSet::new(),
            streams: HashMap::new(),
            awaiting: HashMap::new(),
            away_since: None,
            live_since: None,
            watched_until: None,
            answered: false,
            unseen: None,
            clocks: Clocks::default(),
            before: None,
        }
    }

    /// A batch begins: what it changes that is not in the store is kept as it was.
    pub fn begin(&mut self) {
        self.before = Some(Before {
            away_since: self.away_since,
            live_since: self.live_since,
            answered: self.answered,
            unseen: self.unseen,
            streams: HashMap::new(),
        });
    }

    /// It is stored.
    pub fn commit(&mut self) {
        self.before = None;
    }

    fn note_of(&mut self, stream: (Kind, &Str)) -> &mut StreamNote {
        let key = (stream.0, stream.1.clone());
        if let Some(before) = &mut self.before
            && !before.streams.contains_key(&key)
        {
            before.streams.insert(key.clone(), self.streams.get(&key).cloned());
        }
        self.streams.entry(key).or_default()
    }

    /// Takes over what is not in the store, after a reload, as it was before the batch that failed.
    pub fn keep_liveness(&mut self, mut old: Cluster) {
        if let Some(before) = old.before.take() {
            old.away_since = before.away_since;
            old.live_since = before.live_since;
            old.answered = before.answered;
            old.unseen = before.unseen;
            for (key, note) in before.streams {
                match note {
                    Some(note) => old.streams.insert(key, note),
                    None => old.streams.remove(&key),
                };
            }
        }
        self.streams = old.streams;
        self.awaiting = old.awaiting;
        self.away_since = old.away_since;
        self.live_since = old.live_since;
        self.watched_until = old.watched_until;
        self.answered = old.answered;
        self.unseen = old.unseen;
        self.opted_out = old.opted_out;
        self.selected = old.selected;
    }

    /// Whether a Kubernetes Event is about something that the label selector leaves out: the API server knows no
    /// selector for what an Event is about.
    pub fn is_left_out(&self, event: &Object) -> bool {
        let Some(e) = event.kube_event() else { return false };
        let kind = Kind::parse(&e.involved_kind).filter(|kind| self.selected.contains(kind));
        let about = e.about(&event.meta.namespace);
        kind.is_some_and(|kind| {
            self.is_settled(kind, &about.namespace)
                && self.world.find(kind, &about.namespace, &about.name).is_none()
        })
    }

    /// Since when the object's scope is watched.
    pub fn baseline_of(&self, kind: Kind, namespace: &str) -> Option<Timestamp> {
        self.baselines
            .iter()
            .filter(|(key, _)| {
                let mut parts = keys::parts(key).skip(1);
                let (of_kind, of_namespace) = (parts.next(), parts.next().unwrap_or_default());
                of_kind == Some(kind.as_str()) && (of_namespace.is_empty() || of_namespace == namespace)
            })
            .map(|(_, b)| b.since)
            .min()
    }

    pub fn note_warning(&mut self, key: ObjectKey) {
        self.warnings.push_back(key);
        if self.warnings.len() > WARNINGS_HELD
            && let Some(old) = self.warnings.pop_front()
        {
            self.world.remove(&old);
        }
    }

    pub fn note_change(&mut self, note: ChangeNote) {
        self.changes.push_back(note);
        if self.changes.len() > CHANGES_HELD {
            self.changes.pop_front();
        }
    }

    /// The API answers again; for how long it did not is kept for what comes back after it. Whether it is the first time
    /// that it answers this process.
    pub fn back(&mut self, now: Timestamp) -> bool {
        let away = self.away_since.take();
        let first = !std::mem::replace(&mut self.answered, true);
        let unwatched = self.watched_until.filter(|_| first);
        if let Some(from) = away.into_iter().chain(unwatched).min() {
            self.unseen = Some(Unseen { from, to: now, away });
        }
        first
    }

    /// Whether it has answered this process, and is not away.
    pub fn answers(&self) -> bool {
        self.answered && self.away_since.is_none()
    }

    /// Whether anything of it is watched at this moment.
    pub fn is_watched(&self) -> bool {
        self.away_since.is_none() && self.streams.values().any(|note| note.live)
    }

    /// The API's last time away, until it was back or until now.
    fn outage(&self, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let before = || self.unseen.and_then(|unseen| Some((unseen.away?, unseen.to)));
        self.away_since.map(|since| (since, now)).or_else(before)
    }

    /// Since when a watch told nothing that was lost then: one that goes with the API may be a few seconds behind it,
    /// and what was said of the outage while it lasted is not taken back.
    pub fn unwatched_since(&self, lost: Timestamp, now: Timestamp, together: SignedDuration) -> Timestamp {
        let outage = self.outage(now).filter(|(since, to)| (*since..=*to).contains(&lost));
        let since = outage.map(|(since, _)| since);
        since.filter(|since| lost.duration_since(*since) < together).unwrap_or(lost)
    }

    /// Why a kind was not watched from then until now, in words.
    pub fn why_unwatched(&self, kind: Kind, from: Timestamp, now: Timestamp) -> String {
        let away =
            self.outage(now).is_some_and(|(since, to)| from <= to && since.duration_since(from) < SEEN_AWAY);
        let began = self.live_since.filter(|began| from < *began);
        match began {
            // The lists of a large cluster take a while.
            Some(began) if now.duration_since(began) < BEGINS => "barrelman was not running".to_owned(),
            Some(_) => format!("{kind} could not be watched since barrelman started"),
            None if away => "the API server did not answer".to_owned(),
            None => format!("{LOST} {kind} was lost"),
        }
    }

    /// Notes a stream's state; answers since when it was lost, if it has just come back.
    pub fn set_stream(
        &mut self,
        (kind, namespace): (Kind, &Str),
        live: bool,
        shut: bool,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if live {
            self.live_since.get_or_insert(now);
        }
        let watched_until = self.watched_until;
        let note = self.note_of((kind, namespace));
        let was = std::mem::replace(&mut note.live, live);
        note.heard = true;
        note.listed &= live;
        note.shut = shut;
        match (was, live) {
            (true, false) => {
                note.lost_at = Some(now);
                None
            }
            (false, true) if !std::mem::replace(&mut note.was_live, true) => watched_until,
            (false, true) => note.lost_at.take(),
            _ => None,
        }
    }

    /// The list of a stream is complete, and what it names can be judged.
    pub fn note_listed(&mut self, kind: Kind, namespace: &Str) {
        let note = self.note_of((kind, namespace));
        note.listed = true;
        note.heard = true;
    }

    /// What is watched from now on. Of a stream that has not said anything yet nothing is known.
    pub fn set_streams(&mut self, wanted: &HashSet<(Kind, Str)>) {
        self.streams.retain(|key, _| wanted.contains(key));
        for key in wanted {
            self.streams.entry(key.clone()).or_default();
        }
    }

    /// Whether the cluster was reached by this process and is not away: only then can anything be said of it.
    pub fn is_seen(&self) -> bool {
        self.away_since.is_none() && self.streams.values().any(|note| note.heard)
    }

    /// How long this process has watched it.
    pub fn watched_for(&self, now: Timestamp) -> SignedDuration {
        self.live_since.map_or(SignedDuration::ZERO, |since| now.duration_since(since))
    }

    /// Whether what a watch of this kind has to say is known: it is listed, or will not become live by itself.
    pub fn is_settled(&self, kind: Kind, namespace: &str) -> bool {
        self.is_seen() && (self.is_live(kind, namespace) || self.is_shut(kind, namespace))
    }

    /// Whether the watch of a kind is listed and live where the object lives.
    pub fn is_live(&self, kind: Kind, namespace: &str) -> bool {
        self.away_since.is_none()
            && self.streams.iter().any(|((k, ns), note)| {
                *k == kind && (note.live || note.listed) && (ns.is_empty() || **ns == *namespace)
            })
    }

    /// Whether the watch of a kind will not become live by itself: refused, absent, or not asked for.
    pub fn is_shut(&self, kind: Kind, namespace: &str) -> bool {
        !self
            .streams
            .iter()
            .any(|((k, ns), note)| *k == kind && !note.shut && (ns.is_empty() || **ns == *namespace))
    }

    /// Notes which lists a rule waits for; none: it waits no more.
    pub fn set_awaited(&mut self, due: &str, kinds: Vec<Missed>) {
        if kinds.is_empty() {
            self.awaiting.remove(due);
        } else {
            self.awaiting.insert(due.to_owned(), kinds);
        }
    }

    /// Whether what is due under a key waits for a list.
    pub fn awaits(&self, due: &str) -> bool {
        let open = |(kind, namespace): &Missed| !self.is_settled(*kind, namespace);
        self.awaiting.get(due).is_some_and(|kinds| kinds.iter().any(open))
    }

    /// What waited for nothing but lists that are known now.
    pub fn take_answered(&mut self) -> Vec<String> {
        let mut answered: Vec<String> =
            self.awaiting.keys().filter(|due| !self.awaits(due)).cloned().collect();
        answered.sort_unstable();
        for due in &answered {
            self.awaiting.remove(due);
        }
        answered
    }

    pub fn firings_of(&self, key: &ObjectKey, rule: &str) -> Vec<FiringRow> {
        self.firings.get(key).into_iter().flatten().filter(|f| f.rule == rule).cloned().collect()
    }

    pub fn put_firing(&mut self, row: FiringRow) {
        let rows = self.firings.entry(row.key.clone()).or_default();
        rows.retain(|f| f.fingerprint != row.fingerprint || f.rule != row.rule);
        rows.push(row);
    }

    pub fn drop_firing(&mut self, row: &FiringRow) {
        if let Some(rows) = self.firings.get_mut(&row.key) {
            rows.retain(|f| f.fingerprint != row.fingerprint || f.rule != row.rule);
            if rows.is_empty() {
                self.firings.remove(&row.key);
            }
        }
    }
}

/// A kind that is not listed yet, where it was asked for.
pub(super) type Missed = (Kind, Str);

/// What rules may ask, answered from the cluster and the transaction.
pub(super) struct View<'a, 'tx> {
    pub cluster: &'a Cluster,
    pub tx: &'a Tx<'tx>,
    /// What was asked for and will be known only later.
    pub missed: RefCell<Vec<Missed>>,
}

impl Memory for View<'_, '_> {
    fn recall(&self, rule: &str, key: &str) -> Option<serde_json::Value> {
        self.tx.get(&MEMORY, &keys::memory(&self.cluster.uid, rule, key)).ok().flatten()
    }

    fn firing(&self, key: &ObjectKey) -> Vec<Firing> {
        let rows = self.cluster.firings.get(key).into_iter().flatten();
        rows.map(|f| Firing {
            event_type: f.event_type,
            discriminator: f.discriminator.clone(),
            since: f.since,
        })
        .collect()
    }

    fn unseen(&self) -> Option<(Timestamp, Timestamp)> {
        self.cluster.unseen.map(|unseen| (unseen.from, unseen.to))
    }

    fn is_live(&self, kind: Kind, namespace: &str) -> bool {
        if !self.cluster.is_settled(kind, namespace) {
            self.missed.borrow_mut().push((kind, namespace.into()));
        }
        self.cluster.is_live(kind, namespace)
    }
}
