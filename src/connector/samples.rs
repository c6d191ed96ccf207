//! A realistic notification for any type and phase: what templates are tried against, what forms preview, what a
//! test message looks like.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::{DigestLine, Notification, sample_details};
use crate::event::{
    ClusterUid, Ends, Event, EventId, EventType, Fingerprint, IncidentId, Link, NotificationId, ObjectRef,
    Owner, Recommendation, Role, Status, TimeSource,
    incident::{IncidentFacts, IncidentStatus, MemberFact, Phase, Suspect},
};

/// The guide's own moment, 2025-01-15T10:30:00Z: samples must not change from day to day.
const AT: i64 = 1_736_937_000_000;

/// An event of the type, as it might have happened.
pub fn event(event_type: EventType) -> Event {
    let def = event_type.def();
    let at = Timestamp::from_millisecond(AT).unwrap_or_default();
    let kind = sample_details::kind(event_type);
    let cluster_scoped = matches!(kind, "Node" | "Namespace" | "PersistentVolume" | "Cluster" | "Connector");
    let namespace = if cluster_scoped { "" } else { "default" };
    let object = object(kind, namespace);
    let subject = if kind == "Pod" { self::object("Deployment", namespace) } else { object.clone() };
    let mut details = sample_details::of(event_type);
    if !namespace.is_empty() {
        details.insert("namespace".into(), namespace.into());
    }
    let cluster_uid = ClusterUid::from("sample-cluster");
    let firing = matches!(def.ends, Ends::After(_));
    Event {
        id: EventId(crate::event::digest("sample", &[def.name])),
        fingerprint: Fingerprint::new(&cluster_uid, def.name, &object.uid, "app"),
        event_type,
        severity: def.severity,
        status: if firing { Status::Firing } else { Status::Info },
        role: def.role,
        timestamp: at,
        time_source: TimeSource::Cluster,
        observed_at: at,
        cluster: "production".into(),
        cluster_uid,
        title: title(event_type, &object),
        description: describe(event_type).into(),
        recommendations: vec![recommend(&object)],
        links: vec![manifest(&object)],
        labels: BTreeMap::from([("app".into(), "my-app".into())]),
        annotations: BTreeMap::new(),
        owner_references: owners(kind),
        details,
        object,
        subject,
        count: 1,
        first_seen: at,
        last_seen: at,
        late: false,
        standing: false,
        ignored: None,
        incident: None,
    }
}

fn object(kind: &str, namespace: &str) -> ObjectRef {
    let name = match kind {
        "Pod" => "my-app-123",
        "Node" => "node-1",
        "Cluster" => "production",
        _ => "my-app",
    };
    ObjectRef {
        kind: kind.into(),
        namespace: namespace.into(),
        name: name.into(),
        uid: format!("uid-{name}"),
    }
}

fn owners(kind: &str) -> Vec<Owner> {
    if kind != "Pod" {
        return Vec::new();
    }
    let (api_version, kind) = ("apps/v1".to_owned(), "ReplicaSet".to_owned());
    vec![Owner { api_version, kind, name: "my-app-6d4".into(), uid: "uid-rs".into(), controller: true }]
}

fn title(event_type: EventType, object: &ObjectRef) -> String {
    match event_type {
        // The guide's own example.
        EventType::PodCrashLoop => "Pod my-app-123 in crash loop".into(),
        _ => format!("{} {}: {}", object.kind, object.name, event_type.name().replace('_', " ")),
    }
}

fn describe(event_type: EventType) -> &'static str {
    match event_type {
        EventType::PodCrashLoop => "Pod has restarted 5 times in the last 10 minutes",
        _ => event_type.def().means,
    }
}

fn recommend(object: &ObjectRef) -> Recommendation {
    let place = if object.namespace.is_empty() { String::new() } else { format!(" -n {}", object.namespace) };
    if object.kind == "Pod" {
        let command = format!("kubectl logs {}{place}", object.name);
        return Recommendation { action: "Check pod logs".into(), command };
    }
    let command = format!("kubectl describe {} {}{place}", object.kind.to_lowercase(), object.name);
    Recommendation { action: "Look at the object".into(), command }
}

fn manifest(object: &ObjectRef) -> Link {
    let place = if object.namespace.is_empty() { String::new() } else { format!(" -n {}", object.namespace) };
    Link {
        rel: "manifest".into(),
        reference: format!("/{}/{}", object.kind.to_lowercase(), object.name),
        href: Some(format!("kubectl get {} {}{place} -o yaml", object.kind.to_lowercase(), object.name)),
    }
}

/// A message that somebody asked for: it says that it is a test wherever a service shows it, and speaks of now.
pub fn test(connector: &str, cluster: &str, now: Timestamp) -> Notification {
    let mut sample = notification(EventType::PodCrashLoop, Phase::Test, connector);
    let by = now.duration_since(sample.event.timestamp);
    let moved = |at: Timestamp| at.checked_add(by).unwrap_or(now);
    let event = &mut sample.event;
    cluster.clone_into(&mut event.cluster);
    for at in [&mut event.timestamp, &mut event.observed_at, &mut event.first_seen, &mut event.last_seen] {
        *at = moved(*at);
    }
    if let Some(facts) = &mut sample.incident {
        facts.opened_at = moved(facts.opened_at);
        facts.members.iter_mut().for_each(|m| m.since = moved(m.since));
        facts.suspects.iter_mut().for_each(|s| s.at = moved(s.at));
    }
    sample.created_at = now;
    sample
}

/// A notification of the phase about a sample event.
pub fn notification(event_type: EventType, phase: Phase, connector: &str) -> Notification {
    let mut event = event(event_type);
    let created_at = event.timestamp + SignedDuration::from_secs(1);
    let incident = match phase {
        Phase::Event | Phase::Digest => None,
        _ if event.role == Role::Context => None,
        _ => Some(facts(&mut event, phase)),
    };
    let about = incident.as_ref().map_or(event.id.as_str(), |i| i.id.as_str()).to_owned();
    let mut digest = Vec::new();
    if phase == Phase::Digest {
        digest = vec![line(&event, connector, 0), line(&event, connector, 1)];
    }
    if phase == Phase::Test {
        event.title = format!("Test from Barrelman: {}", event.title);
        event.description = "This is a test message: nothing is broken.".into();
    }
    Notification {
        id: NotificationId::new(connector, &about, phase.as_str(), 0),
        connector: connector.into(),
        phase,
        event,
        incident,
        digest,
        post: None,
        created_at,
    }
}

fn line(event: &Event, connector: &str, n: u32) -> DigestLine {
    DigestLine {
        id: NotificationId::new(connector, event.id.as_str(), "event", n),
        phase: Phase::Opened,
        title: event.title.clone(),
        severity: event.severity,
        event_type: event.event_type,
        timestamp: event.timestamp,
        messages: 1,
    }
}

fn facts(event: &mut Event, phase: Phase) -> IncidentFacts {
    let opened_at = event.timestamp - SignedDuration::from_secs(95);
    let over = phase == Phase::Resolved;
    if over {
        event.status = Status::Resolved;
    }
    let id = IncidentId::new(&event.cluster_uid, &event.subject.key(), opened_at);
    event.incident = Some(id.clone());
    let member = MemberFact {
        resource: event.object.resource(),
        namespace: event.object.namespace.clone(),
        event_type: event.event_type,
        status: event.status,
        since: opened_at,
    };
    let deployment = event.subject.kind == "Deployment";
    let suspects = if deployment { vec![suspect(event, opened_at)] } else { Vec::new() };
    IncidentFacts {
        id,
        phase,
        status: if over { IncidentStatus::Resolved } else { IncidentStatus::Open },
        opened_at,
        reopened_at: None,
        refired_at: None,
        resolved_at: over.then_some(event.timestamp),
        event_type: event.event_type,
        severity: event.severity,
        subject: event.subject.clone(),
        events: 4,
        members: vec![member],
        member_count: 1,
        objects: 1,
        affected: Vec::new(),
        suspects,
        ready: deployment.then_some(if over { (3, 3) } else { (2, 3) }),
    }
}

fn suspect(event: &Event, opened_at: Timestamp) -> Suspect {
    Suspect {
        event: EventId::from("sample-change"),
        event_type: EventType::ImageChanged,
        object: event.subject.clone(),
        at: opened_at - SignedDuration::from_secs(65),
        title: "image my-app 1.41.0 → 1.42.0".into(),
        manager: "helm".into(),
        link: "owner".into(),
        score: 0.93,
    }
}

/// The details that the sample of a type has, for documentation and completion in forms.
pub fn details(event_type: EventType) -> Map<String, Value> {
    event(event_type).details
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_sample_in_every_phase() {
        let phases = [
            Phase::Opened,
            Phase::Worse,
            Phase::Repeated,
            Phase::Resolved,
            Phase::Reopened,
            Phase::Flapping,
            Phase::Digest,
            Phase::Event,
            Phase::Test,
        ];
        for def in EventType::all() {
            for phase in phases {
                let sample = notification(def.event_type, phase, "c");
                assert_eq!(sample.event.event_type, def.event_type);
                assert!(!sample.event.title.is_empty());
                assert_eq!(sample.digest.is_empty(), phase != Phase::Digest);
            }
        }
    }
}
