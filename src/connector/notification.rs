//! One message to one connector: frozen facts.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{
    Event, EventType, NotificationId, Severity,
    incident::{IncidentFacts, Phase},
};

/// What a connector is given to render.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// The same on every attempt.
    pub id: NotificationId,
    /// The connector's name.
    pub connector: String,
    /// What it is.
    pub phase: Phase,
    /// The event that made it (of an incident: the worst as this connector sees it; of a resolve: the end).
    pub event: Event,
    /// The incident, as this connector's filter sees it; `None` outside incidents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentFacts>,
    /// Phase `Digest`: what it stands for, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digest: Vec<DigestLine>,
    /// A body made elsewhere (a PainChain post), to be sent as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post: Option<serde_json::Value>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// One of the messages that a digest stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DigestLine {
    /// The message's own id.
    pub id: NotificationId,
    /// Its phase.
    pub phase: Phase,
    /// Its title.
    pub title: String,
    /// Its severity.
    pub severity: Severity,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// When it happened.
    pub timestamp: Timestamp,
    /// How many messages about the same thing it stands for; the newest is shown.
    #[serde(default = "one")]
    pub messages: u32,
}

const fn one() -> u32 {
    1
}

impl Notification {
    /// The severity to show: the incident's as this connector sees it, else the event's.
    pub fn severity(&self) -> Severity {
        self.incident.as_ref().map_or(self.event.severity, |i| i.severity)
    }

    /// Messages about the same thing are sent in order.
    pub fn order_key(&self) -> &str {
        self.incident.as_ref().map_or(self.event.object.uid.as_str(), |i| i.id.as_str())
    }
}
