//! Incidents: one broken thing with a beginning and an end, and what a connector is told of it.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ClusterUid, EventId, EventType, Fingerprint, IncidentId, ObjectRef, Severity, Status};

/// Whether something is still broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum IncidentStatus {
    /// Broken now.
    #[default]
    Open,
    /// Over, on positive evidence.
    Resolved,
}

/// The kind of a subject that is a whole cluster.
pub const CLUSTER: &str = "Cluster";
/// The kind of a subject that is one of our own connectors, and in no cluster.
pub const CONNECTOR: &str = "Connector";
/// What an incident took down with it and what still fails so long after its end opens an incident of its own.
pub const LEFTOVER: Duration = Duration::from_mins(5);

/// One open or ended incident. Members, affected objects and events are rows of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Frozen at opening.
    pub id: IncidentId,
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's uid.
    pub cluster_uid: ClusterUid,
    /// What is broken.
    pub subject: ObjectRef,
    /// Open or resolved.
    pub status: IncidentStatus,
    /// By the cluster's time.
    pub opened_at: Timestamp,
    /// The newest event's time.
    pub last_at: Timestamp,
    /// When it ended, by the cluster's time where that is known.
    #[serde(default)]
    pub resolved_at: Option<Timestamp>,
    /// The type of the worst event so far.
    pub event_type: EventType,
    /// The type of the event that opened it, this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_by: Option<EventType>,
    /// Its severity.
    pub severity: Severity,
    /// Its title.
    pub title: String,
    /// Its description: why, in one line.
    #[serde(default)]
    pub description: String,
    /// The worst event itself.
    pub worst_event: EventId,
    /// How many events belong to it, folded occurrences included.
    pub events: u64,
    /// How many members hold it open now.
    pub holding: u32,
    /// Whether any member ever held it open; else it is of one-shots only, and ends quietly.
    #[serde(default)]
    pub held: bool,
    /// How many members it ever had.
    pub members: u32,
    /// How many other subjects it takes down with it (a node's incident).
    #[serde(default)]
    pub affected: u32,
    /// A node's that is over: whom it had taken down, when it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<Reach>,
    /// It was so when we first looked: shown, never notified.
    #[serde(default)]
    pub standing: bool,
    /// How often it was reopened.
    #[serde(default)]
    pub reopened: u32,
    /// When it was broken again for the last time.
    #[serde(default)]
    pub reopened_at: Option<Timestamp>,
    /// When it broke anew, for the last time, after it had been well but had not ended.
    #[serde(default)]
    pub refired_at: Option<Timestamp>,
    /// What changed just before it, the likeliest first; before that, what changed before it broke anew.
    #[serde(default)]
    pub suspects: Vec<Suspect>,
}

impl Incident {
    /// Since when it is broken, this time.
    pub fn since(&self) -> Timestamp {
        self.reopened_at.unwrap_or(self.opened_at)
    }
}

/// What a node carries: its Pods go down with it, each workload's trouble being its own incident's or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Reach {
    /// So many Pods.
    pub pods: u32,
    /// Of these namespaces.
    pub namespaces: BTreeSet<String>,
}

/// One trouble of one object within an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The event's fingerprint.
    pub fingerprint: Fingerprint,
    /// The object that has the trouble.
    pub object: ObjectRef,
    /// Its type.
    pub event_type: EventType,
    /// Its severity.
    pub severity: Severity,
    /// The newest title.
    pub title: String,
    /// When it began.
    pub since: Timestamp,
    /// When it ended; a one-shot is over at once.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// Whether it holds the incident open until it ends.
    pub holds: bool,
    /// It is taken down by this incident's subject (a node), and is no member: it holds nothing open.
    #[serde(default)]
    pub affected: bool,
    /// Occurrences.
    pub count: u64,
}

/// Something that changed shortly before an incident: correlation, not proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suspect {
    /// The change's event.
    pub event: EventId,
    /// Its type.
    pub event_type: EventType,
    /// What changed.
    pub object: ObjectRef,
    /// When.
    pub at: Timestamp,
    /// In words: "image 1.41.0 → 1.42.0".
    pub title: String,
    /// The field manager, never a person; empty where it is unknown.
    #[serde(default)]
    pub manager: String,
    /// How it is tied to the incident: owner, config, service (what stands in front of it), node, namespace.
    pub link: String,
    /// 0 to 1: link × kind of change × closeness.
    pub score: f64,
}

/// What a message is about, in the life of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The first message.
    Opened,
    /// Its severity rose.
    Worse,
    /// Still open after `repeat_interval_secs`.
    Repeated,
    /// Over.
    Resolved,
    /// Broken again, after its resolve was sent.
    Reopened,
    /// In place of the second reopening within an hour.
    Flapping,
    /// Several waiting messages in one.
    Digest,
    /// A single event outside incidents.
    Event,
    /// A person asked for it.
    Test,
}

impl Phase {
    /// The word on the wire and in ids.
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Opened => "opened",
            Phase::Worse => "worse",
            Phase::Repeated => "repeated",
            Phase::Resolved => "resolved",
            Phase::Reopened => "reopened",
            Phase::Flapping => "flapping",
            Phase::Digest => "digest",
            Phase::Event => "event",
            Phase::Test => "test",
        }
    }

    /// Whether the message says that something is over.
    pub const fn is_end(self) -> bool {
        matches!(self, Phase::Resolved)
    }
}

/// The payload's `incident`, as one connector's filter sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentFacts {
    /// Frozen at opening.
    pub id: IncidentId,
    /// What this message is.
    pub phase: Phase,
    /// Open or resolved.
    pub status: IncidentStatus,
    /// By the cluster's time.
    pub opened_at: Timestamp,
    /// When it was broken again for the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reopened_at: Option<Timestamp>,
    /// When it broke anew, for the last time, after it had been well but had not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refired_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Timestamp>,
    /// The type of its worst event.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// Its severity.
    pub severity: Severity,
    /// What is broken.
    pub subject: ObjectRef,
    /// How many events.
    pub events: u64,
    /// The objects that have the trouble, or had it since it was broken again; the worst first, at most 20.
    #[serde(default)]
    pub members: Vec<MemberFact>,
    /// How many members there are in all.
    #[serde(default)]
    pub member_count: u32,
    /// How many objects have them: one pod may crash, restart and run out of memory.
    #[serde(default)]
    pub objects: u32,
    /// Other subjects that it takes down, at most 20.
    #[serde(default)]
    pub affected: Vec<MemberFact>,
    /// What changed just before.
    #[serde(default)]
    pub suspects: Vec<Suspect>,
    /// How many of the subject's pods are ready, of how many wanted, where it has a wanted count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<(u32, u32)>,
}

impl IncidentFacts {
    /// Since when it is broken, this time.
    pub fn since(&self) -> Timestamp {
        self.reopened_at.unwrap_or(self.opened_at)
    }
}

/// One line of `incident.members` or `incident.affected`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberFact {
    /// `Pod/my-app-123`
    pub resource: String,
    /// Its namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its trouble.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// Still firing, or over.
    pub status: Status,
    /// Since when.
    pub since: Timestamp,
}
