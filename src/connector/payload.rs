//! The guide's object: what a webhook gets, what templates see, what CloudEvents carry.
//!
//! Field names and order are the contract with receivers; a snapshot test per phase holds them.

use jiff::Timestamp;
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::{Map, Value};

use super::Notification;
use crate::event::{
    Link, ObjectRef, Owner, Recommendation, TimeSource,
    incident::{IncidentFacts, MemberFact, Phase, Suspect},
};

/// The payload of a notification: borrowed, written straight to bytes.
#[derive(Debug, Serialize)]
pub struct Payload<'a> {
    event_type: &'static str,
    severity: &'static str,
    #[serde(serialize_with = "millis")]
    timestamp: Timestamp,
    cluster: &'a str,
    namespace: &'a str,
    resource: String,
    title: &'a str,
    description: &'a str,
    details: Details<'a>,
    recommendations: &'a [Recommendation],
    id: &'a str,
    fingerprint: &'a str,
    status: &'static str,
    count: u64,
    #[serde(serialize_with = "millis")]
    first_seen: Timestamp,
    late: bool,
    labels: &'a std::collections::BTreeMap<String, String>,
    annotations: &'a std::collections::BTreeMap<String, String>,
    owner_references: &'a [Owner],
    links: &'a [Link],
    incident: Option<Incident<'a>>,
    /// Only in a digest: what it stands for, oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Vec<Line<'a>>>,
    /// Only where somebody asked for a test.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    test: bool,
}

/// The rule's details and where the time came from.
#[derive(Debug)]
struct Details<'a>(&'a Map<String, Value>, TimeSource);

impl Serialize for Details<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0.iter().filter(|(name, _)| *name != "time_source") {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("time_source", &self.1)?;
        map.end()
    }
}

#[derive(Debug, Serialize)]
struct Incident<'a> {
    id: &'a str,
    phase: &'static str,
    status: crate::event::incident::IncidentStatus,
    #[serde(serialize_with = "millis")]
    opened_at: Timestamp,
    #[serde(serialize_with = "millis")]
    since: Timestamp,
    #[serde(serialize_with = "millis_or_null")]
    resolved_at: Option<Timestamp>,
    #[serde(rename = "type")]
    event_type: &'static str,
    severity: &'static str,
    subject: Subject<'a>,
    events: u64,
    members: Members<'a>,
    member_count: u32,
    objects: u32,
    affected: Members<'a>,
    suspects: Suspects<'a>,
    ready: Option<u32>,
    wanted: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Subject<'a> {
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    resource: String,
}

#[derive(Debug)]
struct Members<'a>(&'a [MemberFact]);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Member<'a> {
            resource: &'a str,
            namespace: &'a str,
            #[serde(rename = "type")]
            event_type: &'static str,
            status: &'static str,
            #[serde(serialize_with = "millis")]
            since: Timestamp,
        }
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for m in self.0 {
            seq.serialize_element(&Member {
                resource: &m.resource,
                namespace: &m.namespace,
                event_type: m.event_type.name(),
                status: m.status.as_str(),
                since: m.since,
            })?;
        }
        seq.end()
    }
}

#[derive(Debug)]
struct Suspects<'a>(&'a [Suspect]);

impl Serialize for Suspects<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct One<'a> {
            event: &'a str,
            #[serde(rename = "type")]
            event_type: &'static str,
            resource: String,
            namespace: &'a str,
            #[serde(serialize_with = "millis")]
            at: Timestamp,
            title: &'a str,
            manager: &'a str,
            link: &'a str,
            score: f64,
        }
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for s in self.0 {
            seq.serialize_element(&One {
                event: s.event.as_str(),
                event_type: s.event_type.name(),
                resource: s.object.resource(),
                namespace: &s.object.namespace,
                at: s.at,
                title: &s.title,
                manager: &s.manager,
                link: &s.link,
                score: s.score,
            })?;
        }
        seq.end()
    }
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    id: &'a str,
    phase: &'static str,
    title: &'a str,
    severity: &'static str,
    #[serde(rename = "type")]
    event_type: &'static str,
    #[serde(serialize_with = "millis")]
    timestamp: Timestamp,
    messages: u32,
}

impl<'a> Payload<'a> {
    /// Of a notification.
    pub fn of(notification: &'a Notification) -> Self {
        let event = &notification.event;
        let digest = (notification.phase == Phase::Digest).then(|| {
            let line = |l: &'a super::DigestLine| Line {
                id: l.id.as_str(),
                phase: l.phase.as_str(),
                title: &l.title,
                severity: l.severity.as_str(),
                event_type: l.event_type.name(),
                timestamp: l.timestamp,
                messages: l.messages,
            };
            notification.digest.iter().map(line).collect()
        });
        Self {
            event_type: event.event_type.name(),
            severity: event.severity.as_str(),
            timestamp: event.timestamp,
            cluster: &event.cluster,
            namespace: &event.object.namespace,
            resource: event.object.resource(),
            title: &event.title,
            description: &event.description,
            details: Details(&event.details, event.time_source),
            recommendations: &event.recommendations,
            id: event.id.as_str(),
            fingerprint: event.fingerprint.as_str(),
            status: event.status.as_str(),
            count: event.count,
            first_seen: event.first_seen,
            late: event.late,
            labels: &event.labels,
            annotations: &event.annotations,
            owner_references: &event.owner_references,
            links: &event.links,
            incident: notification.incident.as_ref().map(Incident::of),
            digest,
            test: notification.phase == Phase::Test,
        }
    }

    /// As JSON, on one line.
    ///
    /// # Errors
    /// Never for finite numbers, which is all that JSON can hold.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Leaves out what is the least missed, one step after the other; false when nothing is left to leave out.
    /// For services with a limit.
    pub fn shrink(&mut self) -> bool {
        static NONE: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
        if !self.annotations.is_empty() {
            self.annotations = &NONE;
        } else if self.digest.as_ref().is_some_and(|d| d.len() > 20) {
            self.digest.as_mut().into_iter().for_each(|d| d.truncate(20));
        } else if !self.labels.is_empty() {
            self.labels = &NONE;
        } else if !self.links.is_empty() || !self.owner_references.is_empty() {
            self.links = &[];
            self.owner_references = &[];
        } else if !self.details.0.is_empty() {
            static EMPTY: std::sync::OnceLock<Map<String, Value>> = std::sync::OnceLock::new();
            self.details.0 = EMPTY.get_or_init(Map::new);
        } else if let Some(incident) = self.incident.as_mut().filter(|i| !i.suspects.0.is_empty()) {
            incident.suspects = Suspects(&[]);
            incident.members = Members(&[]);
            incident.affected = Members(&[]);
        } else if !self.description.is_empty() {
            self.description = "";
        } else {
            return false;
        }
        true
    }
}

impl<'a> Incident<'a> {
    fn of(facts: &'a IncidentFacts) -> Self {
        let ObjectRef { kind, namespace, name, .. } = &facts.subject;
        Self {
            id: facts.id.as_str(),
            phase: facts.phase.as_str(),
            status: facts.status,
            opened_at: facts.opened_at,
            since: facts.since(),
            resolved_at: facts.resolved_at,
            event_type: facts.event_type.name(),
            severity: facts.severity.as_str(),
            subject: Subject { kind, namespace, name, resource: facts.subject.resource() },
            events: facts.events,
            members: Members(&facts.members),
            member_count: facts.member_count,
            objects: facts.objects,
            affected: Members(&facts.affected),
            suspects: Suspects(&facts.suspects),
            ready: facts.ready.map(|(ready, _)| ready),
            wanted: facts.ready.map(|(_, wanted)| wanted),
        }
    }
}

/// RFC 3339 with milliseconds, in UTC.
fn millis<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{at:.3}"))
}

// serde passes fields by reference.
#[allow(clippy::ref_option)]
fn millis_or_null<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => millis(at, serializer),
        None => serializer.serialize_none(),
    }
}
