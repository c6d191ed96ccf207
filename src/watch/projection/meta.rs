//! metadata and conditions, which every kind has.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};

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
        fields_v1: OwnsImage,
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
            image_manager: image_manager(&m.managed_fields),
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

/// Who owns the images of the containers: whoever changes a value takes its field from all others. Of several owners,
/// as of several containers, none can be told.
fn image_manager(fields: &[ManagedIn]) -> Str {
    let mut owners = fields.iter().filter(|f| f.fields_v1.0 && &*f.subresource.0 != "status");
    match (owners.next(), owners.next()) {
        (Some(owner), None) => owner.manager.0.clone(),
        _ => Str::default(),
    }
}

/// Whether a set of fields has the image of a container in it. Only the way there is read, the rest is skipped.
#[derive(Default)]
pub(super) struct OwnsImage(bool);

/// A key of such a set.
enum Field {
    Image,
    OnTheWay,
    Other,
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl Visitor<'_> for V {
            type Value = Field;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field")
            }
            fn visit_str<E: Error>(self, key: &str) -> Result<Field, E> {
                Ok(match key {
                    "f:image" => Field::Image,
                    "f:spec" | "f:jobTemplate" | "f:template" | "f:containers" | "f:initContainers" => {
                        Field::OnTheWay
                    }
                    item if item.starts_with("k:{\"name\":") => Field::OnTheWay,
                    _ => Field::Other,
                })
            }
        }
        d.deserialize_str(V)
    }
}

impl<'de> Deserialize<'de> for OwnsImage {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = OwnsImage;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a set of fields")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OwnsImage, A::Error> {
                let mut owns = false;
                while let Some(key) = map.next_key::<Field>()? {
                    match key {
                        Field::OnTheWay => owns |= map.next_value::<OwnsImage>()?.0,
                        Field::Image | Field::Other => {
                            map.next_value::<IgnoredAny>()?;
                            owns |= matches!(key, Field::Image);
                        }
                    }
                }
                Ok(OwnsImage(owns))
            }
        }
        d.deserialize_map(V)
    }
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
