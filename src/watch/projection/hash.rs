//! Keyed hashes of what may be secret or is too large to keep: values of ConfigMaps and Secrets, environment
//! variables, parts of Pod templates. The values themselves are dropped while decoding.

use std::{cell::Cell, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};

thread_local! {
    // serde's derived impls cannot be handed a context; `with_key` sets it around one decode.
    static KEY: Cell<[u8; 32]> = const { Cell::new([0; 32]) };
}

/// Runs a decode whose hashes are keyed with the store's random key.
pub(super) fn with_key<T>(key: &[u8; 32], decode: impl FnOnce() -> T) -> T {
    let before = KEY.replace(*key);
    let out = decode();
    KEY.set(before);
    out
}

/// The keyed hash of some bytes, in a domain of their own.
pub(super) fn bytes(domain: u8, parts: &[&[u8]]) -> u64 {
    let mut hasher = blake3::Hasher::new_keyed(&KEY.get());
    hasher.update(&[domain]);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut out = [0; 8];
    hasher.finalize_xof().fill(&mut out);
    u64::from_le_bytes(out)
}

/// The hash of one entry of a map.
pub(super) fn entry(key: &str, value: u64) -> u64 {
    if value == 0 { 0 } else { bytes(b'e', &[key.as_bytes(), &value.to_le_bytes()]) }
}

/// The hash of any JSON value. The order of a map's keys does not count; null, `{}`, `[]` and absent are the same
/// (0): a newer server that writes out an empty default must not look like a change.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hashed(pub(super) u64);

impl<'de> Deserialize<'de> for Hashed {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(HashVisitor)
    }
}

struct HashVisitor;

impl<'de> Visitor<'de> for HashVisitor {
    type Value = Hashed;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_unit<E: Error>(self) -> Result<Hashed, E> {
        Ok(Hashed(0))
    }
    fn visit_bool<E: Error>(self, b: bool) -> Result<Hashed, E> {
        Ok(Hashed(bytes(b'b', &[&[u8::from(b)]])))
    }
    fn visit_i64<E: Error>(self, n: i64) -> Result<Hashed, E> {
        Ok(Hashed(bytes(b'n', &[&n.to_le_bytes()])))
    }
    fn visit_u64<E: Error>(self, n: u64) -> Result<Hashed, E> {
        Ok(Hashed(bytes(b'n', &[&n.to_le_bytes()])))
    }
    fn visit_f64<E: Error>(self, n: f64) -> Result<Hashed, E> {
        Ok(Hashed(bytes(b'f', &[&n.to_le_bytes()])))
    }
    fn visit_str<E: Error>(self, s: &str) -> Result<Hashed, E> {
        Ok(Hashed(bytes(b's', &[s.as_bytes()])))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Hashed, A::Error> {
        let mut hash = 0;
        while let Some(Hashed(item)) = seq.next_element()? {
            hash = bytes(b'l', &[&u64::to_le_bytes(hash), &item.to_le_bytes()]);
        }
        Ok(Hashed(hash))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Hashed, A::Error> {
        let mut hash = 0_u64;
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            let Hashed(value) = map.next_value()?;
            hash = hash.wrapping_add(entry(&key, value));
        }
        Ok(Hashed(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed(json: &str) -> u64 {
        serde_json::from_str::<Hashed>(json).unwrap().0
    }

    #[test]
    fn order_of_keys_and_empty_values_do_not_count_and_order_of_items_does() {
        assert_eq!(hashed(r#"{"a":1,"b":[1,2]}"#), hashed(r#"{"b":[1,2],"c":null,"d":{},"a":1}"#));
        assert_ne!(hashed(r#"{"a":1}"#), hashed(r#"{"a":2}"#));
        assert_ne!(hashed("[1,2]"), hashed("[2,1]"));
        assert_ne!(hashed(r#"["ab","c"]"#), hashed(r#"["a","bc"]"#));
    }

    #[test]
    fn another_key_gives_another_hash() {
        let one = with_key(&[1; 32], || hashed("\"s3cret\""));
        let two = with_key(&[2; 32], || hashed("\"s3cret\""));
        assert_ne!(one, two);
    }
}
