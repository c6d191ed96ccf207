//! Lenient building blocks for reading the API's JSON: null is the default, unknown fields are skipped, text is
//! cleaned at this border. Used by every slim type of this module; it must never fail because of a value that
//! nobody reads.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::copies;
use crate::{
    event::sanitize,
    object::{Str, StrMap},
};

/// Longest kept short text: names, reasons, condition messages, annotation values.
pub(super) const SHORT: usize = 1024;
/// Longest kept message of a container or a Kubernetes Event.
pub(super) const LONG: usize = 4096;

/// Declares structs as a slim view of the API's JSON: camelCase, every field defaulted, null the same as absent.
macro_rules! slim {
    ($($(#[$meta:meta])* struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $ty:ty,)* })*) => {
        $(
            $(#[$meta])*
            #[derive(Default, serde::Deserialize)]
            #[serde(default, rename_all = "camelCase")]
            pub(super) struct $name {
                $($(#[$field_meta])*
                #[serde(deserialize_with = "crate::watch::projection::de::lenient")]
                pub(super) $field: $ty,)*
            }
        )*
    };
}
pub(super) use slim;

/// null is the default.
pub(super) fn lenient<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(d).map(Option::unwrap_or_default)
}

/// Cleaned text as a shared string, cut at `max` bytes.
pub(super) fn text(raw: &str, max: usize) -> Str {
    // Nearly everything is short printable ASCII: no second look at each character.
    if raw.len() <= max && raw.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return Str::new(raw);
    }
    Str::new(&sanitize::clean_cut(raw, max))
}

/// Cleaned text of at most `MAX` bytes. Numbers and booleans are taken as text: some fields may be either.
#[derive(Default, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Text<const MAX: usize>(pub(super) Str);

/// A name, a reason, a message of a condition.
pub(super) type Short = Text<SHORT>;
/// A message that may be long.
pub(super) type Long = Text<LONG>;

impl<const MAX: usize> From<Text<MAX>> for Str {
    fn from(text: Text<MAX>) -> Str {
        text.0
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V<const MAX: usize>;
        impl<const MAX: usize> Visitor<'_> for V<MAX> {
            type Value = Text<MAX>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_str<E: Error>(self, raw: &str) -> Result<Self::Value, E> {
                Ok(Text(text(raw, MAX)))
            }
            fn visit_i64<E: Error>(self, n: i64) -> Result<Self::Value, E> {
                Ok(Text(Str::new(&n.to_string())))
            }
            fn visit_u64<E: Error>(self, n: u64) -> Result<Self::Value, E> {
                Ok(Text(Str::new(&n.to_string())))
            }
            fn visit_f64<E: Error>(self, n: f64) -> Result<Self::Value, E> {
                Ok(Text(Str::new(&n.to_string())))
            }
            fn visit_bool<E: Error>(self, b: bool) -> Result<Self::Value, E> {
                Ok(Text(Str::new(if b { "true" } else { "false" })))
            }
            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Text::default())
            }
        }
        d.deserialize_any(V)
    }
}

/// Text that hardly ever occurs twice (uid, resourceVersion): not pooled.
#[derive(Default)]
pub(super) struct Unique(pub(super) Str);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl Visitor<'_> for V {
            type Value = Unique;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_str<E: Error>(self, raw: &str) -> Result<Unique, E> {
                Ok(Unique(Str::unique(&sanitize::clean_cut(raw, SHORT))))
            }
        }
        d.deserialize_str(V)
    }
}

/// A time; what cannot be read as one is none.
#[derive(Default, Clone, Copy)]
pub(super) struct Time(pub(super) Option<Timestamp>);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl Visitor<'_> for V {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time")
            }
            fn visit_str<E: Error>(self, raw: &str) -> Result<Time, E> {
                Ok(Time(raw.parse().ok()))
            }
        }
        d.deserialize_str(V)
    }
}

/// A number that fits: negative is 0, too large is the largest.
#[derive(Default, Clone, Copy)]
pub(super) struct Count(pub(super) u32);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl Visitor<'_> for V {
            type Value = Count;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            fn visit_i64<E: Error>(self, n: i64) -> Result<Count, E> {
                Ok(Count(u32::try_from(n.max(0)).unwrap_or(u32::MAX)))
            }
            fn visit_u64<E: Error>(self, n: u64) -> Result<Count, E> {
                Ok(Count(u32::try_from(n).unwrap_or(u32::MAX)))
            }
            fn visit_f64<E: Error>(self, n: f64) -> Result<Count, E> {
                Ok(Count(n as u32))
            }
        }
        d.deserialize_any(V)
    }
}

/// Labels and selectors: cleaned pairs.
#[derive(Default)]
pub(super) struct Pairs(pub(super) StrMap);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let pairs = BTreeMap::<Short, Option<Short>>::deserialize(d)?;
        Ok(Self(pairs.into_iter().map(|(k, v)| (k.0, v.unwrap_or_default().0)).collect()))
    }
}

/// Where autoscaling/v1 keeps the conditions.
pub(super) const HPA_CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";

/// The value of an annotation, cleaned and cut; none where it repeats an object, which is told from the whole of it.
struct Kept(Option<Str>);

impl Default for Kept {
    fn default() -> Self {
        Self(Some(Str::default()))
    }
}

impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl Visitor<'_> for V {
            type Value = Kept;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_str<E: Error>(self, raw: &str) -> Result<Kept, E> {
                Ok(Kept((!copies::is_copy("", raw)).then(|| text(raw, SHORT))))
            }
        }
        d.deserialize_str(V)
    }
}

/// Annotations, cleaned and cut, without what repeats the object. The conditions of an old autoscaler are kept
/// apart, whole.
#[derive(Default)]
pub(super) struct Annotations {
    pub(super) pairs: StrMap,
    pub(super) hpa_conditions: Option<String>,
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Annotations;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of annotations")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Annotations, A::Error> {
                let (mut hpa_conditions, mut pairs) = (None, Vec::new());
                while let Some(Text::<SHORT>(key)) = map.next_key()? {
                    if copies::is_named(&key) {
                        map.next_value::<IgnoredAny>()?;
                    } else if key == HPA_CONDITIONS {
                        hpa_conditions = map.next_value()?;
                    } else {
                        let Kept(value) = map.next_value::<Option<Kept>>()?.unwrap_or_default();
                        pairs.extend(value.map(|value| (key, value)));
                    }
                }
                Ok(Annotations { pairs: pairs.into_iter().collect(), hpa_conditions })
            }
        }
        d.deserialize_map(V)
    }
}

/// The first element of a list of addresses and suchlike; the others are not read.
#[derive(Default)]
pub(super) struct First<T>(pub(super) Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for First<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for V<T> {
            type Value = First<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<First<T>, A::Error> {
                let first = seq.next_element()?;
                if first.is_some() {
                    while seq.next_element::<IgnoredAny>()?.is_some() {}
                }
                Ok(First(first))
            }
        }
        d.deserialize_seq(V(std::marker::PhantomData))
    }
}

/// A list of texts.
pub(super) fn strs<const MAX: usize>(list: Vec<Text<MAX>>) -> Vec<Str> {
    let mut all = Vec::with_capacity(list.len());
    all.extend(list.into_iter().map(|t| t.0));
    all
}
