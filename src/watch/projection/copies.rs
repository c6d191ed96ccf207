//! Annotations in which a tool repeats the object that it applied, values of Secrets included. They are never kept.
//!
//! Used while annotations are decoded, before anything of them is stored. Of a ConfigMap or Secret only those are kept
//! that cannot carry a value.

use crate::object::{Str, StrMap};

/// Keys whose value is the applied object, whole, as a patch or packed.
const COPIES: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    "kapp.k14s.io/original",
    "objectset.rio.cattle.io/applied",
    "banzaicloud.com/last-applied",
    "autoscaling.alpha.kubernetes.io/current-metrics",
];
/// Words in a key that say the same of tools that are not listed.
const WORDS: &[&str] =
    &["last-applied", "last_applied", "lastapplied", "applied-config", "original-config", "previous-config"];
/// `/`-parts that say it alone.
const NAMES: &[&str] = &["applied", "original", "manifest", "applied-manifest"];

/// Tools that write about a ConfigMap or Secret, and never what is in it.
const KNOWN: &[&str] = &[
    "barrelman.dev/",
    "cert-manager.io/",
    "acme.cert-manager.io/",
    "meta.helm.sh/",
    "helm.sh/",
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "kubernetes.io/service-account.",
];
/// An annotation of a ConfigMap or Secret that nobody knows is kept if it is no longer than this.
const SHORT: usize = 64;

/// Whether an annotation repeats an object. `value` is the whole of it.
pub(super) fn is_copy(key: &str, value: &str) -> bool {
    is_named(key) || is_object(value)
}

/// By its key alone: then its value need not be looked at.
pub(super) fn is_named(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    let name = lower.rsplit('/').next().unwrap_or_default();
    COPIES.contains(&key) || WORDS.iter().any(|w| name.contains(w)) || NAMES.contains(&name)
}

/// JSON or YAML of an object or of its data, or gzip in base64.
fn is_object(value: &str) -> bool {
    let text = value.trim_start();
    if text.starts_with("H4sI") {
        return true;
    }
    if text.starts_with('{') || text.starts_with('[') {
        return ["apiVersion", "kind", "metadata", "data", "stringData", "binaryData", "spec"].iter().any(
            |field| value.contains(&format!("\"{field}\"")) || value.contains(&format!("\\\"{field}\\\"")),
        );
    }
    value.contains("apiVersion:") && value.contains("kind:")
}

/// Of a ConfigMap or Secret: what cannot carry a value.
pub(super) fn without_values(annotations: &StrMap) -> StrMap {
    let keep = |key: &str, value: &str| {
        let known = KNOWN.iter().any(|prefix| key.starts_with(prefix)) && !is_structured(value);
        known || (value.len() <= SHORT && !is_structured(value))
    };
    let kept: Vec<(Str, Str)> =
        annotations.iter().filter(|(k, v)| keep(k, v)).map(|(k, v)| (k.clone(), v.clone())).collect();
    kept.into_iter().collect()
}

/// Something in which several values could stand.
fn is_structured(value: &str) -> bool {
    value.contains(['{', '}', '[', ']', '"', '\n', '=']) || value.contains(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_an_object_is_told_by_its_key_or_by_its_look() {
        for (key, value) in [
            ("kapp.k14s.io/original", "x"),
            ("objectset.rio.cattle.io/applied", "H4sIAAAAAAAA"),
            ("banzaicloud.com/last-applied", "x"),
            ("some.tool/last-applied-configuration", "x"),
            ("some.tool/state", "{\"apiVersion\":\"v1\",\"data\":{}}"),
            ("some.tool/state", "{\"data\":{\"a\":\"b\"}}"),
            ("some.tool/state", "\"{\\\"kind\\\":\\\"Secret\\\"}\""),
            ("some.tool/packed", "H4sIAAAAAAAA/6tW"),
            ("some.tool/yaml", "apiVersion: v1\nkind: Secret\ndata: {}"),
        ] {
            let copied = is_copy(key, value) || is_structured(value);
            assert!(copied, "{key}: {value}");
        }
        for (key, value) in [
            ("deployment.kubernetes.io/revision", "3"),
            ("kubectl.kubernetes.io/restartedAt", "2025-01-15T10:00:00Z"),
            ("example.com/owner", "team-a"),
            ("example.com/labels", "{\"team\":\"a\"}"),
        ] {
            assert!(!is_copy(key, value), "{key}: {value}");
        }
    }
}
