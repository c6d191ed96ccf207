//! What a list shows: scope, time range, filter, warnings only. The same test runs over pages of the store and over
//! what the feed brings.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::event::{
    Event, IncidentId, Severity,
    filter::Filter,
    incident::{CLUSTER, Incident},
};
use crate::store::DeliveryRow;
use crate::tui::{model::Shared, widgets::strip::FOLDED_FOR};

/// Clusters × namespaces; an empty set means all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Scope {
    /// Names of clusters.
    pub clusters: BTreeSet<String>,
    /// Namespaces; `-` stands for what is in none.
    pub namespaces: BTreeSet<String>,
}

impl Scope {
    /// Nothing is left out.
    pub fn is_all(&self) -> bool {
        self.clusters.is_empty() && self.namespaces.is_empty()
    }

    /// Whether it holds this place.
    pub fn holds(&self, cluster: &str, namespace: &str) -> bool {
        let namespace = if namespace.is_empty() { "-" } else { namespace };
        (self.clusters.is_empty() || self.clusters.contains(cluster))
            && (self.namespaces.is_empty() || self.namespaces.contains(namespace))
    }

    /// `all namespaces`, `payments, checkout, +2`.
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        for (set, all) in [(&self.clusters, ""), (&self.namespaces, "all namespaces")] {
            let mut text = set.iter().take(2).cloned().collect::<Vec<_>>().join(",");
            if set.len() > 2 {
                text = format!("{text},+{}", set.len() - 2);
            }
            if text.is_empty() {
                all.clone_into(&mut text);
            }
            if !text.is_empty() {
                words.push(text);
            }
        }
        words.join(" / ")
    }
}

/// Which events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Where.
    pub scope: Scope,
    /// Not older than this.
    pub range: Option<SignedDuration>,
    /// The filter.
    pub filter: Filter,
    /// Medium and worse only.
    pub warnings: bool,
    /// A row of which a repeat passes may have begun so much earlier.
    pub folded: SignedDuration,
}

impl Shared {
    /// For how long repeats are folded into the first, as the engine or this process's configuration has it.
    pub fn folded(&self) -> SignedDuration {
        let secs = self.status.as_ref().map_or(0, |s| s.dedup_window_secs);
        let engine = SignedDuration::from_secs(i64::try_from(secs).unwrap_or(i64::MAX));
        FOLDED_FOR.max(self.dedup_window).max(engine)
    }
}

/// Medium and worse: what `w` jumps to and `!` keeps.
pub fn is_warning(event: &Event) -> bool {
    event.severity >= Severity::Medium
}

/// When an event was there last.
pub fn last(event: &Event) -> Timestamp {
    event.last_seen.max(event.timestamp)
}

impl EventQuery {
    /// Everything passes.
    pub fn is_all(&self) -> bool {
        self.scope.is_all() && self.range.is_none() && self.filter.is_empty() && !self.warnings
    }

    /// The oldest time that can pass.
    pub fn since(&self, now: Timestamp) -> Option<Timestamp> {
        let range = self.range.and_then(|r| now.checked_sub(r).ok());
        range.max(self.filter.since(now))
    }

    /// Whether an event is shown.
    pub fn matches(&self, event: &Event, now: Timestamp) -> bool {
        (!self.warnings || is_warning(event))
            && self.scope.holds(&event.cluster, &event.object.namespace)
            && self.since(now).is_none_or(|since| last(event) >= since)
            && self.filter.matches(event, now)
    }

    /// The one incident that is asked for by its whole id: its events have an index of their own.
    pub fn incident(&self) -> Option<IncidentId> {
        let source = self.filter.source();
        // Of two either passes, and within quotes it is text.
        if source.matches("incident:").count() != 1 || source.contains('"') {
            return None;
        }
        source
            .split_whitespace()
            .filter_map(|term| term.strip_prefix("incident:"))
            .find(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))
            .map(IncidentId::from)
    }

    /// Whether an incident is of the scope: by its subject, or by what it hits (`namespaces`). What hits a whole cluster
    /// hits each of its namespaces.
    pub fn holds_incident(&self, incident: &Incident, namespaces: Option<&BTreeSet<String>>) -> bool {
        let holds = |namespace: &str| self.scope.holds(&incident.cluster, namespace);
        let whole = incident.subject.kind == CLUSTER;
        let cluster = self.scope.clusters.is_empty() || self.scope.clusters.contains(&incident.cluster);
        holds(&incident.subject.namespace)
            || whole && cluster
            || namespaces.into_iter().flatten().any(|ns| holds(ns))
    }

    /// The filter over incidents: an incident is judged as the event that is its worst.
    pub fn matches_incident(&self, incident: &Incident, now: Timestamp) -> bool {
        if self.warnings && incident.severity < Severity::Medium {
            return false;
        }
        self.filter.is_empty() || self.filter.matches(&as_event(incident), now)
    }

    /// The filter over deliveries.
    pub fn matches_delivery(&self, row: &DeliveryRow, now: Timestamp) -> bool {
        if self.range.and_then(|r| now.checked_sub(r).ok()).is_some_and(|since| row.at < since) {
            return false;
        }
        if self.warnings && row.severity < Severity::Medium {
            return false;
        }
        // A digest is about several places, and a row of an earlier version says none.
        if !row.cluster.is_empty() && !self.scope.holds(&row.cluster, &row.namespace) {
            return false;
        }
        self.filter.is_empty() || self.filter.matches(&delivery_as_event(row), now)
    }
}

/// A delivery as the filter language sees it: its `source:` is the connector.
fn delivery_as_event(row: &DeliveryRow) -> Event {
    let mut event = crate::tui::blank::blank_event();
    event.id = row.event.clone();
    event.event_type = row.event_type;
    event.severity = row.severity;
    event.timestamp = row.at;
    event.first_seen = row.at;
    event.last_seen = row.at;
    event.title.clone_from(&row.title);
    event.cluster.clone_from(&row.cluster);
    event.object.namespace.clone_from(&row.namespace);
    event.description = format!("{} {} {:?} {}", row.connector, row.phase.as_str(), row.state, row.detail);
    event.count = row.attempts.into();
    event.incident.clone_from(&row.incident);
    event.details.insert("source".into(), row.connector.clone().into());
    event
}

/// An incident as the filter language sees it.
fn as_event(incident: &Incident) -> Event {
    let mut event = crate::tui::blank::blank_event();
    event.id = incident.worst_event.clone();
    event.event_type = incident.event_type;
    event.severity = incident.severity;
    event.timestamp = incident.opened_at;
    event.first_seen = incident.opened_at;
    event.last_seen = incident.last_at;
    event.cluster.clone_from(&incident.cluster);
    event.object = incident.subject.clone();
    event.subject = incident.subject.clone();
    event.title.clone_from(&incident.title);
    event.description.clone_from(&incident.description);
    event.count = incident.events;
    event.standing = incident.standing;
    event.incident = Some(incident.id.clone());
    event.status = match incident.status {
        crate::event::incident::IncidentStatus::Open => crate::event::Status::Firing,
        crate::event::incident::IncidentStatus::Resolved => crate::event::Status::Resolved,
    };
    event
}
