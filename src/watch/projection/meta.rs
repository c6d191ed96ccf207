//! metadata and conditions, which every kind has.

use jiff::{SignedDuration, Timestamp};

use super::de::{Annotations, Count, Pairs, Short, Time, Unique, slim};
use crate::{
    event::Owner,
    object::{Condition, Meta, Str},
};

slim! {
    struct MetaIn {
        namespace: Short,
        name: Short,
        uid: Unique,
        resource_version: Unique,
        generation: i64,
        creation_timestamp: Time,
        deletion_timestamp: Time,
        deletion_grace_period_seconds: Count,
        labels: Pairs,
        annotations: Annotations,
        owner_references: Vec<OwnerIn>,
        finalizers: Vec<Short>,
        managed_fields: Vec<ManagedIn>,
    }

    struct OwnerIn {
        api_version: Short,
        kind: Short,
        name: Short,
        uid: Short,
        controller: bool,
    }

    struct ManagedIn {
        manager: Short,
        time: Time,
        subresource: Short,
    }

    struct ConditionIn {
        #[serde(rename = "type")]
        kind: Short,
        status: Short,
        reason: Short,
        message: Short,
        last_transition_time: Time,
    }
}

impl From<MetaIn> for Meta {
    fn from(m: MetaIn) -> Meta {
        let newest = newest(m.managed_fields.iter());
        let newest_spec = newest_spec(&m.managed_fields);
        let grace = m.deletion_grace_period_seconds.0;
        let asked = |at: Timestamp| at.checked_sub(SignedDuration::from_secs(grace.into())).unwrap_or(at);
        Meta {
            namespace: m.namespace.0,
            name: m.name.0,
            uid: m.uid.0,
            version: m.resource_version.0,
            generation: m.generation,
            created_at: m.creation_timestamp.0,
            deleted_at: m.deletion_timestamp.0.map(asked),
            grace_secs: grace,
            labels: m.labels.0,
            annotations: m.annotations.pairs,
            owners: all::<_, Owner>(m.owner_references).into(),
            finalizers: super::de::strs(m.finalizers),
            manager: newest.map(|f| f.manager.0.clone()).unwrap_or_default(),
            managed_at: newest.and_then(|f| f.time.0),
            spec_manager: newest_spec.map(|f| f.manager.0.clone()).unwrap_or_default(),
            spec_managed_at: newest_spec.and_then(|f| f.time.0),
            scale_manager: scale_manager(&m.managed_fields),
        }
    }
}

fn newest<'a>(fields: impl Iterator<Item = &'a ManagedIn>) -> Option<&'a ManagedIn> {
    fields.max_by_key(|f| f.time.0)
}

fn newest_spec(fields: &[ManagedIn]) -> Option<&ManagedIn> {
    newest(fields.iter().filter(|f| &*f.subresource.0 != "status"))
}

/// The server notes no time for a change by way of `/scale`, and takes the field from whoever had it before.
fn scale_manager(fields: &[ManagedIn]) -> Str {
    let scale = fields.iter().find(|f| &*f.subresource.0 == "scale" && f.time.0.is_none());
    scale.map(|f| f.manager.0.clone()).unwrap_or_default()
}

impl From<OwnerIn> for Owner {
    fn from(o: OwnerIn) -> Owner {
        Owner {
            api_version: o.api_version.0.as_str().to_owned(),
            kind: o.kind.0.as_str().to_owned(),
            name: o.name.0.as_str().to_owned(),
            uid: o.uid.0.as_str().to_owned(),
            controller: o.controller,
        }
    }
}

impl From<ConditionIn> for Condition {
    fn from(c: ConditionIn) -> Condition {
        Condition {
            kind: c.kind.0,
            status: c.status.0,
            reason: c.reason.0,
            message: c.message.0,
            since: c.last_transition_time.0,
        }
    }
}

/// All of a list, in no more memory than it takes: `collect` would keep the room that decoding left over.
pub(super) fn all<A: Into<B>, B>(list: Vec<A>) -> Vec<B> {
    let mut all = Vec::with_capacity(list.len());
    all.extend(list.into_iter().map(Into::into));
    all
}
