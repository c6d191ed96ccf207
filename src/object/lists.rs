//! Pairs and owners as shared lists: the Pods of one template carry the same labels, annotations and owner.
//!
//! One copy per thread's pool, as of strings (`intern`); a map of the standard library takes 370 bytes for one pair.

use std::{cell::RefCell, collections::BTreeMap, fmt, ops::Deref, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Str, intern::Pool};
use crate::event::Owner;

/// Labels, annotations, selectors: pairs in the order of their keys, each key once.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StrMap(Arc<[(Str, Str)]>);

/// ownerReferences, in their order.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Owners(Arc<[Owner]>);

thread_local! {
    static PAIRS: RefCell<Pool<[(Str, Str)]>> = RefCell::default();
    static OWNERS: RefCell<Pool<[Owner]>> = RefCell::default();
}

impl StrMap {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Str> {
        let place = self.0.binary_search_by(|(k, _)| k.as_str().cmp(key)).ok()?;
        self.0.get(place).map(|(_, value)| value)
    }

    /// Whether there is such a key.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// All pairs, in the order of keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Str, &Str)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// All keys, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Str> {
        self.0.iter().map(|(key, _)| key)
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Of a key that comes twice the last value counts.
impl FromIterator<(Str, Str)> for StrMap {
    fn from_iter<I: IntoIterator<Item = (Str, Str)>>(pairs: I) -> Self {
        let sorted: BTreeMap<Str, Str> = pairs.into_iter().collect();
        let pairs: Vec<(Str, Str)> = sorted.into_iter().collect();
        Self(PAIRS.with_borrow_mut(|pool| pool.share(pairs)))
    }
}

impl Default for StrMap {
    fn default() -> Self {
        Self(PAIRS.with_borrow_mut(|pool| pool.share(Vec::new())))
    }
}

impl fmt::Debug for StrMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for StrMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for StrMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::<Str, Str>::deserialize(deserializer).map(|pairs| pairs.into_iter().collect())
    }
}

impl Deref for Owners {
    type Target = [Owner];
    fn deref(&self) -> &[Owner] {
        &self.0
    }
}

impl From<Vec<Owner>> for Owners {
    fn from(owners: Vec<Owner>) -> Self {
        Self(OWNERS.with_borrow_mut(|pool| pool.share(owners)))
    }
}

impl Default for Owners {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<'a> IntoIterator for &'a Owners {
    type Item = &'a Owner;
    type IntoIter = std::slice::Iter<'a, Owner>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Debug for Owners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Owners {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Owners {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<Owner>::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lists_are_one_and_are_read_back_as_maps() {
        let read = |json: &str| serde_json::from_str::<StrMap>(json).unwrap();
        let (a, b) = (read(r#"{"b":"2","a":"1"}"#), read(r#"{"a":"1","b":"2"}"#));
        assert!(Arc::ptr_eq(&a.0, &b.0));
        assert_eq!(serde_json::to_string(&a).unwrap(), r#"{"a":"1","b":"2"}"#);
        assert_eq!((a.get("b").map(Str::as_str), a.get("c"), a.len()), (Some("2"), None, 2));
        assert!(StrMap::default().is_empty());
    }
}
