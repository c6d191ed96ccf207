//! A draft: what a rule knows of an event. The pipeline adds ids, subject, labels and the rest.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{
    event::{EventType, Link, ObjectRef, Recommendation, Role, Severity, TimeSource},
    object::Object,
};

/// An event in the making.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its type.
    pub event_type: EventType,
    /// The object it happened to (for a deletion, as it last was).
    pub object: Arc<Object>,
    /// What it is about instead, where `object` is a Kubernetes Event whose involved object is not known: the event's
    /// object and subject.
    pub about: Option<ObjectRef>,
    /// The catalogue's, unless the rule knows better.
    pub severity: Severity,
    /// The catalogue's, unless the rule gives a lesser one.
    pub role: Role,
    /// When it happened in the cluster; for a finding, when the trouble began.
    pub at: Timestamp,
    /// Since when it is so by the cluster, where it is seen for the first time as it stands and `at` is only the
    /// newest of many tries. Not for a beginning that is seen: it may be long before that.
    pub stands_since: Option<Timestamp>,
    /// Where `at` came from.
    pub time_source: TimeSource,
    /// It is told of something that happened while nobody watched, although it is told later.
    pub late: bool,
    /// Container or condition: what tells two troubles of one type and object apart. Part of the fingerprint.
    pub discriminator: String,
    /// One line, without the cluster's name.
    pub title: String,
    /// Why, word for word where the cluster says it.
    pub description: String,
    /// As documented for the type. The pipeline adds `namespace`, and for pods `pod_name`, `restart_count`.
    pub details: Map<String, Value>,
    /// What to do next.
    pub recommendations: Vec<Recommendation>,
    /// Beside manifest, owners, node and config, which the pipeline adds.
    pub links: Vec<Link>,
    /// What makes the id unique, where it is not the object's resourceVersion: a Kubernetes Event's count, or the
    /// transition's time (`@<ms>`) where time made the event. With a time that is the same whoever sees it.
    pub moment: Option<(String, Timestamp)>,
}

impl Draft {
    /// With the catalogue's severity and role, at the given cluster time.
    pub fn new(event_type: EventType, object: &Arc<Object>, title: impl Into<String>) -> Self {
        let def = event_type.def();
        Self {
            event_type,
            object: Arc::clone(object),
            about: None,
            severity: def.severity,
            role: def.role,
            at: Timestamp::UNIX_EPOCH,
            time_source: TimeSource::Observed,
            stands_since: None,
            late: false,
            discriminator: String::new(),
            title: title.into(),
            description: String::new(),
            details: Map::new(),
            recommendations: Vec::new(),
            links: Vec::new(),
            moment: None,
        }
    }

    /// The cluster said when.
    pub fn at(mut self, at: Timestamp) -> Self {
        self.at = at;
        self.time_source = TimeSource::Cluster;
        self
    }

    /// The first time that is known: the cluster's own, else managedFields (of the spec for changes of the spec),
    /// else the time of observation.
    pub fn at_or(mut self, at: Option<Timestamp>, now: Timestamp) -> Self {
        let managed = self.object.meta.managed_at;
        (self.at, self.time_source) = match (at, managed) {
            (Some(at), _) => (at, TimeSource::Cluster),
            (None, Some(at)) => (at, TimeSource::ManagedFields),
            (None, None) => (now, TimeSource::Observed),
        };
        self
    }

    /// Since when it is so, where it is seen for the first time as it stands.
    pub fn stands_since(mut self, since: Option<Timestamp>) -> Self {
        self.stands_since = since;
        self
    }

    /// A change of the spec: the time and name of its field manager, else the observation.
    pub fn spec_change(mut self, now: Timestamp) -> Self {
        let meta = &self.object.meta;
        (self.at, self.time_source) =
            meta.spec_managed_at.map_or((now, TimeSource::Observed), |at| (at, TimeSource::ManagedFields));
        if !meta.spec_manager.is_empty() {
            let manager = meta.spec_manager.to_string();
            self.details.insert("field_manager".into(), manager.into());
        }
        self
    }

    /// Another severity than the catalogue's.
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// A lesser role than the catalogue's.
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// Container or condition.
    pub fn discriminator(mut self, text: impl Into<String>) -> Self {
        self.discriminator = text.into();
        self
    }

    /// Why.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }

    /// One of the details; a null or empty value is left out.
    pub fn detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let empty = match &value {
            Value::Null => true,
            Value::String(s) => s.is_empty(),
            _ => false,
        };
        if !empty {
            self.details.insert(key.to_owned(), value);
        }
        self
    }

    /// What to do next.
    pub fn recommend(mut self, action: &str, command: impl Into<String>) -> Self {
        self.recommendations.push(Recommendation { action: action.to_owned(), command: command.into() });
        self
    }

    /// What makes the id unique (see the field).
    pub fn moment(mut self, moment: impl Into<String>, at: Timestamp) -> Self {
        self.moment = Some((moment.into(), at));
        self
    }
}
