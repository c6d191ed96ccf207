//! ConfigMaps and Secrets: names and hashes, never values.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Str;

/// What is kept of a ConfigMap or Secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ConfigData {
    /// A Secret's type; empty for a ConfigMap.
    #[serde(default)]
    pub secret_type: Str,
    /// Every key of data, binaryData and stringData with a keyed hash of its value. The key of the hash is random
    /// per store, so that nobody can try values against it.
    #[serde(default)]
    pub keys: BTreeMap<Str, u64>,
    /// immutable
    #[serde(default)]
    pub immutable: bool,
    /// Of a Secret of type kubernetes.io/tls: what its public certificate says.
    #[serde(default)]
    pub certificate: Option<Certificate>,
}

/// Names and dates of a certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Subject alternative names, else the common name.
    pub names: Vec<Str>,
    /// The issuer's common name.
    #[serde(default)]
    pub issuer: Str,
    /// notBefore
    pub not_before: Timestamp,
    /// notAfter
    pub not_after: Timestamp,
}
