//! Rows for the tests of this module.

use jiff::Timestamp;
use serde_json::json;

use super::{
    DELIVERIES, DELIVERIES_BY, DeliveryRow, DeliveryState, EVENT_IDS, EVENTS, EVENTS_BY_OBJECT,
    INCIDENT_EVENTS, INCIDENTS, INCIDENTS_BY_TIME, OUTBOX, OutboxRow, Result, Tx, keys,
};
use crate::event::{
    Event, EventType, IncidentId, Severity,
    incident::{Incident, Phase},
};

pub fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(secs).unwrap()
}

/// An event seen at `secs`, about pod `p{n}` of deployment `web`.
pub fn event(n: u64, secs: i64) -> Event {
    serde_json::from_value(json!({
        "id": format!("{n:032x}"), "fingerprint": format!("f{n}"), "event_type": "pod_crash_loop",
        "severity": "high", "status": "firing", "role": "opens", "timestamp": at(secs), "observed_at": at(secs),
        "cluster": "prod", "cluster_uid": "c1",
        "object": {"kind": "Pod", "namespace": "shop", "name": format!("p{n}"), "uid": format!("u{n}")},
        "subject": {"kind": "Deployment", "namespace": "shop", "name": "web"},
        "title": format!("pod p{n} crashes"), "count": 1, "first_seen": at(secs), "last_seen": at(secs),
    }))
    .unwrap()
}

/// Stores it with its indices.
pub fn put_event(tx: &Tx<'_>, event: &Event) -> Result<u64> {
    let seq = tx.append(&EVENTS, event)?;
    tx.put(&EVENT_IDS, event.id.as_str(), &seq)?;
    for key in keys::events_by_object(event, seq) {
        tx.put(&EVENTS_BY_OBJECT, &key, &())?;
    }
    if let Some(incident) = &event.incident {
        tx.put(&INCIDENT_EVENTS, &keys::incident_event(incident, seq), &())?;
    }
    Ok(seq)
}

pub fn incident(id: &str, secs: i64, severity: Severity, open: bool) -> Incident {
    serde_json::from_value(json!({
        "id": id, "cluster": "prod", "cluster_uid": "c1",
        "subject": {"kind": "Deployment", "namespace": "shop", "name": id},
        "status": if open { "open" } else { "resolved" }, "opened_at": at(secs), "last_at": at(secs),
        "resolved_at": (!open).then(|| at(secs + 60)), "event_type": "pod_crash_loop", "severity": severity,
        "title": "t", "worst_event": "e", "events": 1, "holding": u32::from(open), "members": 1,
    }))
    .unwrap()
}

pub fn put_incident(tx: &Tx<'_>, incident: &Incident) -> Result<()> {
    tx.put(&INCIDENTS, incident.id.as_str(), incident)?;
    tx.put(&INCIDENTS_BY_TIME, &keys::incident_by_time(incident.opened_at, &incident.id), &())
}

pub fn delivery(connector: &str, secs: i64, incident: Option<&str>, state: DeliveryState) -> DeliveryRow {
    DeliveryRow {
        at: at(secs),
        connector: connector.into(),
        notification: "n".into(),
        phase: Phase::Opened,
        event: "e".into(),
        event_type: EventType::PodCrashLoop,
        severity: Severity::High,
        title: "t".into(),
        incident: incident.map(IncidentId::from),
        cluster: "prod".into(),
        namespace: String::new(),
        subject: String::new(),
        state,
        attempts: 1,
        status: 200,
        next_at: None,
        tried_since: None,
        latency_ms: 5,
        detail: String::new(),
    }
}

pub fn put_delivery(tx: &Tx<'_>, row: &DeliveryRow) -> Result<u64> {
    let seq = tx.append(&DELIVERIES, row)?;
    for key in keys::deliveries_by(row.incident.as_ref(), &row.event, seq) {
        tx.put(&DELIVERIES_BY, &key, &())?;
    }
    Ok(seq)
}

pub fn put_outbox(tx: &Tx<'_>, connector: &str, secs: i64, claimed: bool) -> Result<u64> {
    let seq = tx.next_seq()?;
    let row: OutboxRow = serde_json::from_value(json!({
        "seq": seq, "due_at": at(secs),
        "notification": {"id": "n", "connector": connector, "phase": "opened", "event": event(1, secs), "created_at": at(secs)},
        "claim": claimed.then(|| json!({
            "at": at(secs), "message": {"content_type": "t", "body": "b", "id": "n"}, "attempts": 0, "next_at": at(secs),
        })),
    }))
    .unwrap();
    tx.put(&OUTBOX, &keys::outbox(connector, seq), &row)?;
    Ok(seq)
}
