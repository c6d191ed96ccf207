//! The keys of every table with text keys, and the prefixes that select rows in them.
//!
//! Everybody who writes or reads rows makes keys here, so that writer and reader cannot disagree. The shapes are
//! documented at the tables (`schema`). A prefix ends in the separator: incident `ab` does not select `abc`.

use jiff::Timestamp;

use super::schema::{KUBE_EVENTS, Keyed, OBJECTS, key, seq_key, time_key};
use crate::{
    event::{ClusterUid, Event, EventId, Fingerprint, IncidentId, Kind, ObjectRef},
    object::{Object, ObjectKey},
};

/// The part of a key that follows the object's, in place of a time.
const FOLD: &str = "fold";

/// The prefix of every key that begins with these parts and has more.
pub fn prefix(parts: &[&str]) -> String {
    let mut prefix = key(parts);
    prefix.push('\0');
    prefix
}

/// The parts of a key.
pub fn parts(key: &str) -> impl Iterator<Item = &str> {
    key.split('\0')
}

/// The number in the last part of a key.
pub fn last_seq(key: &str) -> Option<u64> {
    key.rsplit('\0').next()?.parse().ok()
}

/// OBJECTS
pub fn object(cluster: &ClusterUid, object: &ObjectKey) -> String {
    key(&[cluster.as_str(), object.kind.as_str(), &object.namespace, &object.name])
}

/// `KUBE_EVENTS`
pub fn kube_event(cluster: &ClusterUid, event: &Object) -> String {
    let created = time_key(event.meta.created_at.unwrap_or_default());
    key(&[cluster.as_str(), &event.meta.namespace, &created, &event.meta.name])
}

/// Where the record of an object of any kind is kept.
pub fn record(cluster: &ClusterUid, object: &Object) -> (&'static Keyed<Object>, String) {
    match object.kind {
        Kind::Event => (&KUBE_EVENTS, kube_event(cluster, object)),
        _ => (&OBJECTS, self::object(cluster, &object.key())),
    }
}

/// BASELINES
pub fn baseline(cluster: &ClusterUid, kind: &str, namespace: &str, selector: &str) -> String {
    key(&[cluster.as_str(), kind, namespace, selector])
}

/// `EVENTS_BY_OBJECT`; `about` is `ObjectRef::key()`: `Kind/namespace/name`.
pub fn event_by_object(cluster: &ClusterUid, about: &str, at: Timestamp, seq: u64) -> String {
    key(&[cluster.as_str(), about, &time_key(at), &seq_key(seq)])
}

/// `EVENTS_BY_OBJECT`: the keys to write for an event about `object` and, if it is another, `subject`.
pub fn events_by_object(event: &Event, seq: u64) -> Vec<String> {
    let mut about = vec![event.object.key()];
    let subject = event.subject.key();
    if subject != about.concat() {
        about.push(subject);
    }
    about.iter().map(|a| event_by_object(&event.cluster_uid, a, event.timestamp, seq)).collect()
}

/// `EVENTS_BY_OBJECT`: what all events about an object begin with. A time begins with 0 until the year 33658, and its
/// folds do not.
pub fn events_about(cluster: &ClusterUid, about: &str) -> String {
    key(&[cluster.as_str(), about, "0"])
}

/// `EVENTS_BY_OBJECT`: the first key at or after a time.
pub fn events_about_from(cluster: &ClusterUid, about: &str, at: Timestamp) -> String {
    key(&[cluster.as_str(), about, &time_key(at)])
}

/// FOLDS
pub fn fold(cluster: &ClusterUid, about: &str, fingerprint: &Fingerprint) -> String {
    key(&[cluster.as_str(), about, FOLD, fingerprint.as_str()])
}

/// FOLDS: of an event.
pub fn fold_of(event: &Event) -> String {
    fold(&event.cluster_uid, &event.object.key(), &event.fingerprint)
}

/// Whether a row of `EVENTS_BY_OBJECT` is one of FOLDS.
pub fn is_fold(key: &str) -> bool {
    parts(key).nth(2) == Some(FOLD)
}

/// `INCIDENTS_BY_TIME`
pub fn incident_by_time(opened_at: Timestamp, incident: &IncidentId) -> String {
    key(&[&time_key(opened_at), incident.as_str()])
}

/// `INCIDENT_OF`
pub fn incident_of(cluster: &ClusterUid, subject: &ObjectRef) -> String {
    key(&[cluster.as_str(), &subject.key()])
}

/// MEMBERS
pub fn member(incident: &IncidentId, fingerprint: &Fingerprint) -> String {
    key(&[incident.as_str(), fingerprint.as_str()])
}

/// `INCIDENT_EVENTS`
pub fn incident_event(incident: &IncidentId, seq: u64) -> String {
    key(&[incident.as_str(), &seq_key(seq)])
}

/// Of `REPEAT_IDS`.
pub fn repeat_id(seq: u64, id: &EventId) -> String {
    key(&[&seq_key(seq), id.as_str()])
}

/// OUTBOX
pub fn outbox(connector: &str, seq: u64) -> String {
    key(&[connector, &seq_key(seq)])
}

/// TOLD
pub fn told(connector: &str, incident: &IncidentId) -> String {
    key(&[connector, incident.as_str()])
}

/// `DELIVERIES_BY`; `about` is the incident's id, or the event's where there is no incident.
pub fn delivery_by(about: &str, seq: u64) -> String {
    key(&[about, &seq_key(seq)])
}

/// `DELIVERIES_BY`: the keys to write for a delivery: under its event and, if it has one, its incident.
pub fn deliveries_by(incident: Option<&IncidentId>, event: &EventId, seq: u64) -> Vec<String> {
    let mut keys = vec![delivery_by(event.as_str(), seq)];
    keys.extend(incident.map(|i| delivery_by(i.as_str(), seq)));
    keys
}

/// FIRINGS
pub fn firing(
    cluster: &ClusterUid,
    object: &ObjectKey,
    rule: &str,
    event_type: &str,
    discriminator: &str,
) -> String {
    key(&[cluster.as_str(), &object.to_string(), rule, event_type, discriminator])
}

/// MEMORY
pub fn memory(cluster: &ClusterUid, rule: &str, name: &str) -> String {
    key(&[cluster.as_str(), rule, name])
}

/// MEMORY: how long the subject of an incident must be well, and since when it is.
pub fn healing(cluster: &ClusterUid, incident: &IncidentId) -> String {
    memory(cluster, "healing", incident.as_str())
}

/// DUES: a step of an incident's life.
pub fn step_due(incident: &IncidentId, step: &str) -> String {
    key(&["incident", incident.as_str(), step])
}

/// DUES: the next look of a rule at an object.
pub fn judge_due(cluster: &ClusterUid, rule: &str, object: &ObjectKey) -> String {
    key(&["judge", cluster.as_str(), rule, &object.to_string()])
}

/// DUES: a cluster's API has been away, or back, for long enough.
pub fn api_due(cluster: &ClusterUid, away: bool) -> String {
    key(&["api", if away { "away" } else { "back" }, cluster.as_str()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_is_the_order_of_time() {
        let cluster = ClusterUid("c".into());
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let keys = [(5, 900), (40, 7), (40, 30), (1_000_000_000_000, 1)]
            .map(|(ms, seq)| event_by_object(&cluster, "Pod/a/b", at(ms), seq));
        assert!(keys.is_sorted());
        assert_eq!(last_seq(&keys[0]), Some(900));
        assert_eq!(parts(&keys[0]).nth(1), Some("Pod/a/b"));
    }

    #[test]
    fn a_prefix_does_not_select_longer_names() {
        assert!(!outbox("slack-2", 1).starts_with(&prefix(&["slack"])));
        assert!(outbox("slack", 1).starts_with(&prefix(&["slack"])));
    }
}
