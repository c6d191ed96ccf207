//! What every object has.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Shared, Str, StrMap};
use crate::event::{Kind, ObjectRef, Owner};

/// metadata, without what nobody reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Meta {
    /// Empty for cluster-scoped kinds.
    #[serde(default)]
    pub namespace: Str,
    /// The name.
    pub name: Str,
    /// The uid.
    pub uid: Str,
    /// The resourceVersion of this state.
    pub version: Str,
    /// metadata.generation; 0 where the kind has none.
    #[serde(default)]
    pub generation: i64,
    /// creationTimestamp
    pub created_at: Option<Timestamp>,
    /// deletionTimestamp minus the grace period: when deletion was asked for.
    #[serde(default)]
    pub deleted_at: Option<Timestamp>,
    /// deletionGracePeriodSeconds
    #[serde(default)]
    pub grace_secs: u32,
    /// labels
    #[serde(default)]
    pub labels: StrMap,
    /// annotations, without last-applied-configuration, each value cleaned and cut at 1 kB.
    #[serde(default)]
    pub annotations: StrMap,
    /// ownerReferences
    #[serde(default)]
    pub owners: Shared<Owner>,
    /// finalizers
    #[serde(default)]
    pub finalizers: Vec<Str>,
    /// The newest entry of managedFields: who wrote last, as the field manager's name.
    #[serde(default)]
    pub manager: Str,
    /// And when.
    #[serde(default)]
    pub managed_at: Option<Timestamp>,
    /// The newest entry of managedFields that is not of the status subresource: who changed the spec last.
    #[serde(default)]
    pub spec_manager: Str,
    /// And when.
    #[serde(default)]
    pub spec_managed_at: Option<Timestamp>,
    /// Who changed the replicas by way of `/scale`, as `kubectl scale` and autoscalers do; empty = nobody. The server
    /// notes no time for it.
    #[serde(default)]
    pub scale_manager: Str,
    /// Who set the images of its containers, where one manager set them all.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub image_manager: Str,
}

fn is_empty(text: &Str) -> bool {
    text.is_empty()
}

impl Meta {
    /// The managing owner, else the first.
    pub fn controller(&self) -> Option<&Owner> {
        self.owners.iter().find(|o| o.controller).or_else(|| self.owners.first())
    }

    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(Str::as_str)
    }

    /// An annotation's value.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(Str::as_str)
    }
}

/// One of status.conditions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Condition {
    /// type
    #[serde(rename = "type")]
    pub kind: Str,
    /// True, False or Unknown.
    pub status: Str,
    /// reason
    #[serde(default)]
    pub reason: Str,
    /// message, cleaned and cut at 1 kB.
    #[serde(default)]
    pub message: Str,
    /// lastTransitionTime
    #[serde(default)]
    pub since: Option<Timestamp>,
}

impl Condition {
    /// The condition of that type.
    pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
        conditions.iter().find(|c| c.kind == *kind)
    }

    /// Whether its status is True.
    pub fn is_true(&self) -> bool {
        self.status == "True"
    }
}

/// Where an object lives: unique within a cluster at any one time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey {
    /// A watched kind.
    pub kind: Kind,
    /// Empty for cluster-scoped kinds.
    pub namespace: Str,
    /// The name.
    pub name: Str,
}

impl ObjectKey {
    /// From its parts.
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }

    /// From a reference, if its kind is watched.
    pub fn of(reference: &ObjectRef) -> Option<Self> {
        Kind::parse(&reference.kind).map(|kind| Self::new(kind, &reference.namespace, &reference.name))
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
    }
}
