//! Lists that are shared: the Pods of one template carry the same labels, annotations and owner, and read the same
//! configuration.
//!
//! One copy per thread's pool, as of strings (`intern`); a map of the standard library takes 370 bytes for one pair.

use std::{cell::RefCell, collections::BTreeMap, fmt, ops::Deref, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ConfigRef, Str, intern::Pool};
use crate::event::Owner;

/// Labels, annotations, selectors: pairs in the order of their keys, each key once.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StrMap(Arc<[(Str, Str)]>);

/// A list of what often is the same, in its order.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Shared<T>(Arc<[T]>);

/// What `Shared` keeps one copy of.
pub trait Pooled: Clone + Eq + std::hash::Hash + 'static {
    /// The shared copy of a list, from this thread's pool.
    fn share(list: Vec<Self>) -> Arc<[Self]>;
}

thread_local! {
    static PAIRS: RefCell<Pool<[(Str, Str)]>> = RefCell::default();
    static OWNERS: RefCell<Pool<[Owner]>> = RefCell::default();
    static CONFIG_REFS: RefCell<Pool<[ConfigRef]>> = RefCell::default();
}

impl Pooled for Owner {
    fn share(list: Vec<Self>) -> Arc<[Self]> {
        OWNERS.with_borrow_mut(|pool| pool.share(list))
    }
}

impl Pooled for ConfigRef {
    fn share(list: Vec<Self>) -> Arc<[Self]> {
        CONFIG_REFS.with_borrow_mut(|pool| pool.share(list))
    }
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

impl<T> Deref for Shared<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Pooled> From<Vec<T>> for Shared<T> {
    fn from(list: Vec<T>) -> Self {
        Self(T::share(list))
    }
}

impl<T: Pooled> Default for Shared<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<'a, T> IntoIterator for &'a Shared<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Pooled + Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<T>::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::ConfigRefKind;

    #[test]
    fn equal_references_are_one() {
        let list = |name: &str| {
            let kind = ConfigRefKind::Secret;
            Shared::from(vec![ConfigRef { kind, name: name.into(), via: "env".into() }])
        };
        let (a, b, other) = (list("web"), list("web"), list("api"));
        assert!(Arc::ptr_eq(&a.0, &b.0) && a != other);
        let read: Shared<ConfigRef> = serde_json::from_str(&serde_json::to_string(&a).unwrap()).unwrap();
        assert_eq!(read, a);
    }

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
