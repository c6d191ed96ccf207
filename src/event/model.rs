//! An event as it is stored, sent and shown.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ClusterUid, EventId, EventType, Fingerprint, IncidentId, Kind, Role, Severity};

/// Names one object. Cluster-scoped objects have an empty namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub struct ObjectRef {
    /// The API's kind; also kinds that are not watched (an owner's, an involved object's).
    pub kind: String,
    /// Empty for cluster-scoped objects.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// metadata.name
    pub name: String,
    /// metadata.uid; empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

impl ObjectRef {
    /// An object of a kind that is watched.
    pub fn new(kind: Kind, namespace: &str, name: &str, uid: &str) -> Self {
        Self { kind: kind.as_str().into(), namespace: namespace.into(), name: name.into(), uid: uid.into() }
    }

    /// `Pod/my-app`: the payload's `resource`.
    pub fn resource(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }

    /// Identity across deletion and re-creation under the same name: `Kind/namespace/name`.
    /// Incidents hold their subject by it, so that a re-created workload continues its incident.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.kind, self.namespace, self.name)
    }
}

/// One entry of metadata.ownerReferences.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// apiVersion
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// kind
    pub kind: String,
    /// name
    pub name: String,
    /// uid
    pub uid: String,
    /// Whether it is the managing owner.
    #[serde(default)]
    pub controller: bool,
}

/// The payload's `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// A trouble began.
    Firing,
    /// The trouble of the same fingerprint ended.
    Resolved,
    /// A fact without an end.
    #[default]
    Info,
}

impl Status {
    /// `firing`, `resolved`, `info`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Firing => "firing",
            Status::Resolved => "resolved",
            Status::Info => "info",
        }
    }
}

/// Where an event's time came from; `details.time_source` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum TimeSource {
    /// A condition's lastTransitionTime, a container state's time, or a Kubernetes Event's own.
    Cluster,
    /// The newest time in managedFields.
    ManagedFields,
    /// We saw it then; the cluster did not say.
    #[default]
    Observed,
}

/// What a person could do next. Commands look, never change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recommendation {
    /// "Check pod logs"
    pub action: String,
    /// "kubectl logs my-app-123 -n default"
    pub command: String,
}

/// A related object or page: `rel` is one of manifest, owner, node, config, dashboard, runbook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// manifest | owner | node | config | dashboard | runbook
    pub rel: String,
    /// API path (`/api/v1/namespaces/…`) or, for pages, the URL.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The kubectl line that shows it, or a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub href: Option<String>,
}

/// A fact: one transition of one object, of one type of the catalogue, at one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Unique for ever; receivers de-duplicate by it.
    pub id: EventId,
    /// Equal for repeats of the same trouble of the same object.
    pub fingerprint: Fingerprint,
    /// A type of the catalogue.
    pub event_type: EventType,
    /// The type's severity, unless the rule or the configuration said otherwise.
    pub severity: Severity,
    /// Began, ended, or neither.
    pub status: Status,
    /// What it does to incidents: the type's role, or a lesser one that the rule gave it.
    pub role: Role,
    /// When it happened in the cluster.
    pub timestamp: Timestamp,
    /// Where `timestamp` came from.
    #[serde(default)]
    pub time_source: TimeSource,
    /// When we saw it.
    pub observed_at: Timestamp,
    /// The cluster's configured name.
    pub cluster: String,
    /// Its uid.
    pub cluster_uid: ClusterUid,
    /// The object it happened to.
    pub object: ObjectRef,
    /// What is broken: the top owning workload, or the object itself.
    pub subject: ObjectRef,
    /// One line.
    pub title: String,
    /// One or two sentences: why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Keys as documented per type in docs/events.md.
    #[serde(default)]
    pub details: serde_json::Map<String, serde_json::Value>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recommendations: Vec<Recommendation>,
    /// Related objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// The object's labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The object's annotations, without last-applied-configuration, each cut at 1 kB.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The object's ownerReferences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<Owner>,
    /// How often it happened; folded repeats raise it.
    pub count: u64,
    /// The first of the folded occurrences.
    pub first_seen: Timestamp,
    /// The last of them.
    pub last_seen: Timestamp,
    /// It happened while nobody watched, and was found by comparing with what is stored.
    #[serde(default, skip_serializing_if = "is_false")]
    pub late: bool,
    /// It was so when we first looked: shown, told to nobody.
    #[serde(default, skip_serializing_if = "is_false")]
    pub standing: bool,
    /// Why it was ignored (the rule or the annotation), if it was: shown, told to nobody, in no incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored: Option<String>,
    /// The incident it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentId>,
}

// serde gives a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(b: &bool) -> bool {
    !*b
}
