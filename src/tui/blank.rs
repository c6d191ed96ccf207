//! An event to fill in.

use jiff::Timestamp;

use crate::event::{
    ClusterUid, Event, EventId, EventType, Fingerprint, ObjectRef, Role, Severity, TimeSource,
};

/// An event without content, to be filled in.
pub fn blank_event() -> Event {
    Event {
        id: EventId::default(),
        fingerprint: Fingerprint::default(),
        event_type: EventType::KubernetesEvent,
        severity: Severity::Info,
        status: crate::event::Status::Info,
        role: Role::Context,
        timestamp: Timestamp::UNIX_EPOCH,
        time_source: TimeSource::Cluster,
        observed_at: Timestamp::UNIX_EPOCH,
        cluster: String::new(),
        cluster_uid: ClusterUid::default(),
        object: ObjectRef::default(),
        subject: ObjectRef::default(),
        title: String::new(),
        description: String::new(),
        details: serde_json::Map::new(),
        recommendations: Vec::new(),
        links: Vec::new(),
        labels: std::collections::BTreeMap::new(),
        annotations: std::collections::BTreeMap::new(),
        owner_references: Vec::new(),
        count: 1,
        first_seen: Timestamp::UNIX_EPOCH,
        last_seen: Timestamp::UNIX_EPOCH,
        late: false,
        standing: false,
        ignored: None,
        incident: None,
    }
}
