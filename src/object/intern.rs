//! Strings that are shared: label keys, image names, node names occur thousands of times in a cluster.
//!
//! A pool per thread, without locks: the watch thread fills it while decoding, the engine thread while loading
//! the store. Long strings are not pooled, because they hardly ever repeat.

use std::{borrow::Borrow, cell::RefCell, collections::HashSet, hash::Hash, ops::Deref, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Visitor};

/// Above this length a string is not pooled.
const POOLED_BYTES: usize = 96;
/// The pool is swept of strings that nobody holds when it has grown by this much.
const SWEEP_EVERY: usize = 65_536;

/// A shared, immutable string; cloning it costs a counter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Str(Arc<str>);

/// Values of which one copy is kept, for as long as somebody holds it.
pub(super) struct Pool<T: ?Sized> {
    held: HashSet<Arc<T>>,
    sweep_at: usize,
}

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        Self { held: HashSet::new(), sweep_at: 0 }
    }
}

impl<T: ?Sized + Eq + Hash> Pool<T> {
    /// The shared copy; made if there is none.
    pub(super) fn share<Q>(&mut self, value: Q) -> Arc<T>
    where
        Q: AsRef<T>,
        Arc<T>: From<Q>,
    {
        if let Some(found) = self.held.get(value.as_ref()) {
            return Arc::clone(found);
        }
        if self.held.len() >= self.sweep_at {
            self.held.retain(|held| Arc::strong_count(held) > 1);
            self.sweep_at = self.held.len() + SWEEP_EVERY;
        }
        let shared: Arc<T> = Arc::from(value);
        self.held.insert(Arc::clone(&shared));
        shared
    }
}

thread_local! {
    static POOL: RefCell<Pool<str>> = RefCell::default();
}

impl Str {
    /// The shared copy of `text`.
    pub fn new(text: &str) -> Self {
        if text.len() > POOLED_BYTES {
            return Self(Arc::from(text));
        }
        Self(POOL.with_borrow_mut(|pool| pool.share(text)))
    }

    /// A copy of its own, outside the pool: for uids and resourceVersions, which hardly ever occur twice.
    pub fn unique(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Str {
    fn default() -> Self {
        Self::new("")
    }
}
impl Deref for Str {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}
impl AsRef<str> for Str {
    fn as_ref(&self) -> &str {
        &self.0
    }
}
impl Borrow<str> for Str {
    fn borrow(&self) -> &str {
        &self.0
    }
}
impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}
impl From<String> for Str {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}
impl From<&Str> for String {
    fn from(text: &Str) -> Self {
        text.as_str().to_owned()
    }
}
impl PartialEq<str> for Str {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}
impl PartialEq<&str> for Str {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}
impl std::fmt::Debug for Str {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self.as_str(), f)
    }
}
impl std::fmt::Display for Str {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
impl Serialize for Str {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}
impl<'de> Deserialize<'de> for Str {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Str;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Str, E> {
                Ok(Str::new(text))
            }
            fn visit_unit<E: serde::de::Error>(self) -> Result<Str, E> {
                Ok(Str::default())
            }
        }
        // `deserialize_any`: the API writes null where a string is unset, and that is no error.
        deserializer.deserialize_any(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_share_one_allocation() {
        let (a, b): (Str, Str) = (Str::new("app"), serde_json::from_str("\"app\"").unwrap());
        assert!(Arc::ptr_eq(&a.0, &b.0));
        assert_eq!(serde_json::from_str::<Str>("null").unwrap(), "");
    }
}
