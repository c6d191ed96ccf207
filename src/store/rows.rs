//! Rows that are not model types of `event` or `object`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    connector::{Notification, Receipt, Rendered},
    event::{
        EventId, EventType, Fingerprint, IncidentId, NotificationId, ObjectRef, Severity, incident::Phase,
    },
    object::ObjectKey,
};

/// What was listed and is watched: its first list was silent, later ones are compared with what is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// When its first list was complete.
    pub since: Timestamp,
    /// When it was last known to be complete: the start of a gap, after a restart.
    pub live_until: Timestamp,
}

/// A trouble that fires, or whose threshold has not passed yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FiringRow {
    /// The rule that found it.
    pub rule: String,
    /// The object.
    pub key: ObjectKey,
    /// The object's reference, for when it is gone.
    pub object: ObjectRef,
    /// Its type.
    pub event_type: EventType,
    /// Its severity.
    pub severity: Severity,
    /// Container or condition.
    pub discriminator: String,
    /// The fingerprint of its events.
    pub fingerprint: Fingerprint,
    /// When it began.
    pub since: Timestamp,
    /// The event that told it.
    pub event: EventId,
    /// The seq of that event.
    pub seq: u64,
    /// Its incident.
    #[serde(default)]
    pub incident: Option<IncidentId>,
    /// Since when its end holds.
    #[serde(default)]
    pub healthy_since: Option<Timestamp>,
    /// It was so at the first sight.
    #[serde(default)]
    pub standing: bool,
    /// What it is like now, in place of what its event said at its beginning.
    #[serde(default)]
    pub words: Option<Words>,
}

impl FiringRow {
    /// A node does not answer, or did so until lately.
    pub fn is_lost_node(&self) -> bool {
        self.event_type == EventType::NodeUnhealthy && self.discriminator == "Ready"
    }
}

/// The step of an incident's life at which its subject has been well for long enough.
pub const HEAL: &str = "heal";

/// A member went with its object, which proves nothing: what is remembered of its incident until that has healed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Healing {
    /// For how long its subject has to be well.
    pub hold_secs: u64,
    /// Since when it is; `None`: it is not.
    pub since: Option<Timestamp>,
}

/// What a rule says of a trouble at some time of its life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Words {
    /// One line.
    pub title: String,
    /// Why.
    pub description: String,
    /// As documented for the type.
    pub details: serde_json::Map<String, serde_json::Value>,
}

/// The newest event of a fingerprint, for folding repeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldRow {
    /// The event that counts the repeats.
    pub seq: u64,
    /// The first occurrence: the window is counted from here.
    pub first: Timestamp,
    /// The count that the newest occurrence carried: a Kubernetes Event counts its own repeats.
    #[serde(default)]
    pub counted: u64,
}

/// Something to do at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DueRow {
    /// When.
    pub at: Timestamp,
    /// The cluster's uid; its dues wait while it is away.
    pub cluster: String,
    /// What.
    pub what: Due,
}

/// What is due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Due {
    /// Judge an object again, by a condition's name.
    Judge {
        /// The rule.
        rule: String,
        /// The object.
        key: ObjectKey,
        /// As at the first sight: it waits for the lists of what the object belongs to.
        #[serde(default)]
        baseline: bool,
    },
    /// Call a moment.
    Moment {
        /// The rule.
        rule: String,
        /// The key it chose.
        key: String,
    },
    /// A Kubernetes Event waits for the detector that speaks for it.
    PendingJoin {
        /// The event's row.
        seq: u64,
        /// The types that speak for it.
        types: Vec<EventType>,
    },
    /// A trouble that may be its node's doing waited a moment.
    Held {
        /// The event's row.
        seq: u64,
    },
    /// A cluster's API has been away, or back, for as long as it takes.
    Api {
        /// Away, or back.
        away: bool,
    },
    /// Anything about an incident's life: quiet end, affected left over, reminder.
    Incident {
        /// The incident.
        id: IncidentId,
        /// What to look at.
        step: String,
    },
}

/// One message on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutboxRow {
    /// Its place in the queue of its connector.
    pub seq: u64,
    /// What to say.
    pub notification: Notification,
    /// Not before.
    pub due_at: Timestamp,
    /// Rendered and (about to be) on the wire: never replaced.
    #[serde(default)]
    pub claim: Option<Claim>,
}

/// A claimed row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// When.
    pub at: Timestamp,
    /// The bytes, the same on every attempt.
    pub message: Rendered,
    /// Attempts so far.
    pub attempts: u32,
    /// The next one.
    pub next_at: Timestamp,
    /// What the last one came to.
    #[serde(default)]
    pub last: String,
    /// Further rows that this message answers (a digest): their seqs.
    #[serde(default)]
    pub answers: Vec<u64>,
    /// Answers among them that may mean "never": so many, and it is given up.
    #[serde(default)]
    pub doubtful: u32,
    /// The delivery row that says that it is being retried; it goes when the answer is final.
    #[serde(default)]
    pub log: Option<u64>,
}

/// The rows that a commit has for one connector, in order. `None`: some of them may still be replaced, so that only the
/// store knows them.
pub type FreshRows = Option<Vec<std::sync::Arc<OutboxRow>>>;

/// As much of an outbox row as it takes to know that it is still there, and whether it is claimed.
#[derive(Debug, Clone, Deserialize)]
pub struct OutboxHead {
    /// Its place in the queue of its connector.
    pub seq: u64,
    /// Claimed already.
    #[serde(default)]
    pub claim: Option<serde::de::IgnoredAny>,
}

/// What one connector was told of one incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Told {
    /// Messages made so far, by phase: the `n` of notification ids.
    pub made: std::collections::BTreeMap<Phase, u32>,
    /// Its first message was acknowledged.
    pub told_at: Option<Timestamp>,
    /// The newest message that was acknowledged.
    pub last_at: Option<Timestamp>,
    /// The worst severity that was routed.
    pub severity: Option<Severity>,
    /// The event that the newest message spoke of; an end speaks of the same.
    #[serde(default)]
    pub event: Option<EventId>,
    /// Its resolve was acknowledged.
    pub resolved_at: Option<Timestamp>,
    /// When it was reopened, newest last; for flapping.
    #[serde(default)]
    pub reopened: Vec<Timestamp>,
    /// Its resolve was routed.
    #[serde(default)]
    pub ended: bool,
    /// Rows made for it that may still be in the outbox, oldest first.
    #[serde(default)]
    pub queued: Vec<u64>,
    /// It flaps: silence until it has stayed resolved.
    #[serde(default)]
    pub flapping: bool,
    /// Of a cluster's incident: that its API does not answer was told.
    #[serde(default)]
    pub api: bool,
    /// The service's last receipt.
    #[serde(default)]
    pub receipt: Option<Receipt>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Hash)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Acknowledged.
    Delivered,
    /// In the dead letters.
    Dead,
    /// Never sent: healed while it waited, connector deleted, or answered by a digest.
    Dropped,
    /// An attempt failed and will be repeated (the newest attempt's row only).
    Retrying,
}

/// A line of the log of deliveries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeliveryRow {
    /// When.
    pub at: Timestamp,
    /// The connector.
    pub connector: String,
    /// The message.
    pub notification: NotificationId,
    /// Its phase.
    pub phase: Phase,
    /// The event.
    pub event: EventId,
    /// The event's type.
    pub event_type: EventType,
    /// Its severity.
    pub severity: Severity,
    /// Its title.
    pub title: String,
    /// The incident.
    #[serde(default)]
    pub incident: Option<IncidentId>,
    /// What it is about: the cluster, and the namespace of the event's object. Without a cluster it is about several
    /// places.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// Empty for what is in none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The incident's subject, else the event's: `Kind/namespace/name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// What became of it.
    pub state: DeliveryState,
    /// Attempts.
    pub attempts: u32,
    /// HTTP status or SMTP code; 0 where there was no answer.
    #[serde(default)]
    pub status: u16,
    /// When it is tried next, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// Since when it is tried, where it is tried again: after the horizon it becomes a dead letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried_since: Option<Timestamp>,
    /// The last attempt, from the request to its answer, without any wait before it; 0 where none was made.
    pub latency_ms: u64,
    /// The answer's first bytes, or why not: secrets cut.
    #[serde(default)]
    pub detail: String,
}

impl DeliveryRow {
    /// The log's line about a message of which no attempt was made yet.
    pub fn of(notification: &Notification, at: Timestamp, state: DeliveryState, detail: String) -> Self {
        let incident = notification.incident.as_ref();
        let event = &notification.event;
        // A digest stands for messages of several places.
        let place = Some(event).filter(|_| notification.phase != Phase::Digest);
        Self {
            at,
            connector: notification.connector.clone(),
            notification: notification.id.clone(),
            phase: notification.phase,
            event: event.id.clone(),
            event_type: event.event_type,
            severity: notification.severity(),
            title: event.title.clone(),
            incident: incident.map(|i| i.id.clone()),
            cluster: place.map(|e| e.cluster.clone()).unwrap_or_default(),
            namespace: place.map(|e| e.object.namespace.clone()).unwrap_or_default(),
            subject: incident.map_or(&event.subject, |i| &i.subject).key(),
            state,
            attempts: 0,
            status: 0,
            next_at: None,
            tried_since: None,
            latency_ms: 0,
            detail,
        }
    }
}

/// A message that nobody will take; it stays until it is replayed, purged or evicted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// When it was given up.
    pub at: Timestamp,
    /// The row as it was; its claim holds the request, without secrets.
    pub row: OutboxRow,
    /// Why.
    pub reason: crate::connector::Reason,
    /// In words.
    pub detail: String,
}

/// As much of a dead letter as it takes to count and choose.
#[derive(Debug, Clone, Deserialize)]
pub struct DeadHead {
    /// The row as it was.
    pub row: DeadHeadRow,
}

/// See `DeadHead`.
#[derive(Debug, Clone, Deserialize)]
pub struct DeadHeadRow {
    /// What to say.
    pub notification: DeadHeadNotification,
}

/// See `DeadHead`.
#[derive(Debug, Clone, Deserialize)]
pub struct DeadHeadNotification {
    /// The connector's name.
    pub connector: String,
}

/// A connector made in the terminal or on the command line. Secret strings in `config` are sealed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectorRow {
    /// The guide's object.
    pub spec: crate::config::ConnectorSpec,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What a connector remembers over restarts, wherever it was defined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ConnectorState {
    /// Paused itself: since when and why.
    #[serde(default)]
    pub paused: Option<(Timestamp, String)>,
    /// A hash of its settings when it paused: a change resumes it.
    #[serde(default)]
    pub settings_hash: String,
    /// For connectors of the file and environment: switched off (or on) by a person.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// The service asked for silence until then; with a hash of the settings that it was asked with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_until: Option<(Timestamp, String)>,
    /// It is being deleted: where that was interrupted, its waiting rows go at the next start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removing: bool,
}

/// Who did what, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// When.
    pub at: Timestamp,
    /// create, edit, enable, disable, delete, test, send, fail, pause, resume, retry, purge, import, export
    pub action: String,
    /// The connector.
    pub connector: String,
    /// The outcome; never a secret.
    pub outcome: String,
}

/// Time in which a stream was not watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapRow {
    /// The cluster's name.
    pub cluster: String,
    /// From.
    pub from: Timestamp,
    /// To; `None` = still.
    pub to: Option<Timestamp>,
    /// Why, in words.
    pub why: String,
}
