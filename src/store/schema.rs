//! Every table, a line each, with the shape of its keys.
//!
//! Parts of a string key are joined by a 0 byte (`key(&[..])`), times in it are milliseconds, 16 digits wide, so that
//! the order of keys is the order of time.

use std::marker::PhantomData;

use super::rows::{
    AuditRow, Baseline, ConnectorRow, ConnectorState, DeadHead, DeadLetter, DeliveryRow, DueRow, FiringRow,
    FoldRow, GapRow, OutboxHead, OutboxRow, Told,
};
use crate::{
    event::{
        Event,
        incident::{Incident, Member},
    },
    object::Object,
};

/// The version of this schema. A file of a newer version is refused; an older one is migrated at opening.
pub const SCHEMA_VERSION: u32 = 2;

/// A table with string keys.
#[derive(Debug)]
pub struct Keyed<V> {
    /// Its name in the file.
    pub name: &'static str,
    value: PhantomData<fn() -> V>,
}

/// A table with growing number keys: a log.
#[derive(Debug)]
pub struct Log<V> {
    /// Its name in the file.
    pub name: &'static str,
    value: PhantomData<fn() -> V>,
}

/// Also for a narrower type over the same table.
pub(super) const fn keyed<V>(name: &'static str) -> Keyed<V> {
    Keyed { name, value: PhantomData }
}
/// See `keyed`.
pub(super) const fn log<V>(name: &'static str) -> Log<V> {
    Log { name, value: PhantomData }
}

/// Joins the parts of a key.
pub fn key(parts: &[&str]) -> String {
    parts.join("\0")
}

/// A time as part of a key.
pub fn time_key(at: jiff::Timestamp) -> String {
    format!("{:016}", at.as_millisecond().max(0))
}

/// A number as part of a key.
pub fn seq_key(seq: u64) -> String {
    format!("{seq:020}")
}

/// `schema`, `store_id`, `hash_key`, counters: name → any JSON.
pub const META: Keyed<serde_json::Value> = keyed("meta");
/// (cluster uid, kind, namespace, name) → the object's record; Kubernetes Events left out.
pub const OBJECTS: Keyed<Object> = keyed("objects");
/// (cluster uid, namespace, creation time, name) → the record of a Kubernetes Event. Of all kinds they come and go
/// most: by time, a namespace's new ones stand together, and those that the cluster drops.
pub const KUBE_EVENTS: Keyed<Object> = keyed("kube_events");
/// (cluster uid, kind, namespace or "", selector) → since when it is watched.
pub const BASELINES: Keyed<Baseline> = keyed("baselines");
/// seq → event, in the order of commits.
pub const EVENTS: Log<Event> = log("events");
/// event id → seq.
pub const EVENT_IDS: Keyed<u64> = keyed("event_ids");
/// (seq, event id) → (): ids of repeats, which go with the event that counts them.
pub const REPEAT_IDS: Keyed<()> = keyed("repeat_ids");
/// (cluster uid, subject or object key `Kind/namespace/name`, time, seq) → (): events by what they are about.
pub const EVENTS_BY_OBJECT: Keyed<()> = keyed("events_by_object");
/// (cluster uid, object key, "fold", fingerprint) → the event that counts its repeats. In the table of the events by
/// object, because a new event writes both: in the same place.
pub const FOLDS: Keyed<FoldRow> = keyed(EVENTS_BY_OBJECT.name);
/// (cluster uid, object key, rule, type, discriminator) → what fires.
pub const FIRINGS: Keyed<FiringRow> = keyed("firings");
/// (cluster uid, rule, key) → what a rule remembers.
pub const MEMORY: Keyed<serde_json::Value> = keyed("memory");
/// id of the due thing → when and what.
pub const DUES: Keyed<DueRow> = keyed("dues");
/// incident id → incident.
pub const INCIDENTS: Keyed<Incident> = keyed("incidents");
/// (opened at, incident id) → (): incidents by time.
pub const INCIDENTS_BY_TIME: Keyed<()> = keyed("incidents_by_time");
/// (cluster uid, subject key) → the id of its newest incident (open, or ended and perhaps reopened).
pub const INCIDENT_OF: Keyed<String> = keyed("incident_of");
/// (incident id, fingerprint) → member or affected.
pub const MEMBERS: Keyed<Member> = keyed("members");
/// (incident id, seq) → (): the incident's events.
pub const INCIDENT_EVENTS: Keyed<()> = keyed("incident_events");
/// (connector, seq) → a message on its way.
pub const OUTBOX: Keyed<OutboxRow> = keyed("outbox");
/// The same rows, without decoding more than a reader needs who only asks whether they are still there.
pub const OUTBOX_HEADS: Keyed<OutboxHead> = keyed("outbox");
/// The same rows as text that was encoded before the transaction, so that the writer only copies it.
pub const OUTBOX_TEXT: Keyed<Box<serde_json::value::RawValue>> = keyed("outbox");
/// (connector, incident id) → what it was told.
pub const TOLD: Keyed<Told> = keyed("told");
/// seq → delivery, newest last.
pub const DELIVERIES: Log<DeliveryRow> = log("deliveries");
/// (incident id or event id, delivery seq) → (): deliveries by what they are about.
pub const DELIVERIES_BY: Keyed<()> = keyed("deliveries_by");
/// seq → dead letter.
pub const DEAD: Log<DeadLetter> = log("dead_letters");
/// The same rows, without decoding more than their connector's name.
pub const DEAD_HEADS: Log<DeadHead> = log("dead_letters");
/// name → connector made in the terminal.
pub const CONNECTORS: Keyed<ConnectorRow> = keyed("connectors");
/// name → what it remembers.
pub const CONNECTOR_STATES: Keyed<ConnectorState> = keyed("connector_states");
/// seq → audit row.
pub const AUDIT: Log<AuditRow> = log("audit");
/// seq → gap.
pub const GAPS: Log<GapRow> = log("gaps");

/// The names of all tables.
pub const TABLES: &[&str] = &[
    META.name,
    OBJECTS.name,
    KUBE_EVENTS.name,
    BASELINES.name,
    EVENTS.name,
    EVENT_IDS.name,
    REPEAT_IDS.name,
    EVENTS_BY_OBJECT.name,
    FIRINGS.name,
    MEMORY.name,
    DUES.name,
    INCIDENTS.name,
    INCIDENTS_BY_TIME.name,
    INCIDENT_OF.name,
    MEMBERS.name,
    INCIDENT_EVENTS.name,
    OUTBOX.name,
    TOLD.name,
    DELIVERIES.name,
    DELIVERIES_BY.name,
    DEAD.name,
    CONNECTORS.name,
    CONNECTOR_STATES.name,
    AUDIT.name,
    GAPS.name,
];

/// Whether a table's keys are numbers.
pub(super) fn is_log(name: &str) -> bool {
    [EVENTS.name, DELIVERIES.name, DEAD.name, AUDIT.name, GAPS.name].contains(&name)
}
