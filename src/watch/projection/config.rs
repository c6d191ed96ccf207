//! ConfigMaps and Secrets: key names and keyed hashes. No value outlives the visit of its own JSON string.

use std::{collections::BTreeMap, fmt};

use base64::Engine as _;
use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, Visitor},
};
use x509_parser::{extensions::GeneralName, prelude::X509Certificate};

use super::{
    de::{SHORT, Short, slim, text},
    hash,
    meta::MetaIn,
};
use crate::object::{Certificate, ConfigData, Str};

slim! {
    struct ConfigIn {
        metadata: MetaIn,
        immutable: bool,
        data: DataIn,
        binary_data: DataIn,
        string_data: DataIn,
        #[serde(rename = "type")]
        kind: Short,
    }
}

/// The type of Secrets whose public certificate is read.
const TLS: &str = "kubernetes.io/tls";

/// The hashes of one map of values.
#[derive(Default)]
pub(super) struct DataIn {
    keys: BTreeMap<Str, u64>,
    certificate: Option<Certificate>,
}

impl<'de> Deserialize<'de> for DataIn {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = DataIn;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of values")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DataIn, A::Error> {
                let mut found = DataIn::default();
                while let Some(key) = map.next_key::<Short>()? {
                    let seed =
                        Value { certificate: &mut found.certificate, is_certificate: key.0 == "tls.crt" };
                    let hash = map.next_value_seed(seed)?;
                    found.keys.insert(key.0, hash);
                }
                Ok(found)
            }
        }
        d.deserialize_map(V)
    }
}

/// Hashes one value. The public certificate is parsed on the way, whatever the Secret's type, because the type
/// comes after the data; it is kept only if the type is right.
struct Value<'a> {
    certificate: &'a mut Option<Certificate>,
    is_certificate: bool,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = u64;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<u64, D::Error> {
        d.deserialize_any(self)
    }
}

impl Visitor<'_> for Value<'_> {
    type Value = u64;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<u64, E> {
        if self.is_certificate {
            *self.certificate = certificate(value);
        }
        Ok(hash::bytes(b'v', &[value.as_bytes()]))
    }
    fn visit_unit<E: Error>(self) -> Result<u64, E> {
        Ok(0)
    }
}

impl From<ConfigIn> for ConfigData {
    fn from(c: ConfigIn) -> ConfigData {
        let mut keys = c.data.keys;
        keys.extend(c.binary_data.keys);
        keys.extend(c.string_data.keys);
        let certificate = if c.kind.0 == TLS { c.data.certificate } else { None };
        ConfigData { secret_type: c.kind.0, keys, immutable: c.immutable, certificate }
    }
}

/// Names and dates of the first certificate of a base64 value; `None` where it cannot be read.
fn certificate(base64: &str) -> Option<Certificate> {
    let pem = base64::engine::general_purpose::STANDARD.decode(base64).ok()?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).ok()?;
    let x509 = pem.parse_x509().ok()?;
    let at = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
    Some(Certificate {
        names: names(&x509),
        issuer: x509
            .issuer()
            .iter_common_name()
            .next()
            .and_then(|n| n.as_str().ok())
            .map(cleaned)
            .unwrap_or_default(),
        not_before: at(x509.validity().not_before)?,
        not_after: at(x509.validity().not_after)?,
    })
}

fn names(x509: &X509Certificate<'_>) -> Vec<Str> {
    let alternative = x509.subject_alternative_name().ok().flatten();
    let mut names: Vec<Str> = alternative
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(cleaned(name)),
            GeneralName::IPAddress(bytes) => ip(bytes).map(|ip| cleaned(&ip.to_string())),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        names.extend(x509.subject().iter_common_name().filter_map(|n| n.as_str().ok()).map(cleaned));
    }
    names
}

fn ip(bytes: &[u8]) -> Option<std::net::IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(Into::into),
        16 => <[u8; 16]>::try_from(bytes).ok().map(Into::into),
        _ => None,
    }
}

fn cleaned(raw: &str) -> Str {
    text(raw, SHORT)
}
