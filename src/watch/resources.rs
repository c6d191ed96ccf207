//! The registry of kinds: where each lives in the API, in which versions, and what is special about it.

use std::fmt::Write as _;

use crate::event::Kind;

/// What the JSON of a kind looks like, where a version differs from the newest by more than optional fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// As in the newest version, or read by the same slim type.
    Usual,
    /// Endpoints in place of EndpointSlices.
    Endpoints,
}

/// One way to read a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource {
    /// The kind.
    pub kind: Kind,
    /// `v1`, `apps/v1`, …
    pub api: &'static str,
    /// `pods`, `deployments`, …
    pub plural: &'static str,
    /// How to read it.
    pub shape: Shape,
}

/// Older ways to read a kind, the newest first; what `Kind::api_version` says comes before them.
const OLDER: &[(Kind, &str, &str, Shape)] = &[
    (Kind::CronJob, "batch/v1beta1", "cronjobs", Shape::Usual),
    (Kind::EndpointSlice, "discovery.k8s.io/v1beta1", "endpointslices", Shape::Usual),
    (Kind::EndpointSlice, "v1", "endpoints", Shape::Endpoints),
    (Kind::Ingress, "networking.k8s.io/v1beta1", "ingresses", Shape::Usual),
    (Kind::Ingress, "extensions/v1beta1", "ingresses", Shape::Usual),
    (Kind::IngressClass, "networking.k8s.io/v1beta1", "ingressclasses", Shape::Usual),
    (Kind::HorizontalPodAutoscaler, "autoscaling/v2beta2", "horizontalpodautoscalers", Shape::Usual),
    (Kind::HorizontalPodAutoscaler, "autoscaling/v1", "horizontalpodautoscalers", Shape::Usual),
];

/// Kinds to which the configured label selector applies. The others are context: a filtered Node or EndpointSlice
/// would make healthy things look broken.
const SELECTED: &[Kind] = &[
    Kind::Deployment,
    Kind::ReplicaSet,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::Job,
    Kind::CronJob,
    Kind::Pod,
    Kind::Service,
    Kind::ConfigMap,
    Kind::Secret,
];

impl Resource {
    /// The newest way to read a kind.
    pub fn newest(kind: Kind) -> Self {
        Self { kind, api: kind.api_version(), plural: kind.plural(), shape: Shape::Usual }
    }

    /// Every way to read a kind, the best first.
    pub fn ways(kind: Kind) -> impl Iterator<Item = Self> {
        let older = OLDER.iter().filter(move |(k, ..)| *k == kind);
        std::iter::once(Self::newest(kind)).chain(older.map(|&(kind, api, plural, shape)| Self {
            kind,
            api,
            plural,
            shape,
        }))
    }

    /// `` for the core group, else `apps`, `batch`, …
    pub fn group(&self) -> &'static str {
        self.api.split_once('/').map_or("", |(group, _)| group)
    }

    /// `/api/v1/namespaces/prod/pods`, `/apis/apps/v1/deployments`
    pub fn path(&self, namespace: &str) -> String {
        let base = api_path(self.api);
        if namespace.is_empty() || !self.kind.namespaced() {
            format!("{base}/{}", self.plural)
        } else {
            format!("{base}/namespaces/{}/{}", encode(namespace), self.plural)
        }
    }

    /// The path of one object.
    pub fn object_path(&self, namespace: &str, name: &str) -> String {
        format!("{}/{}", self.path(namespace), encode(name))
    }

    /// Objects per page of a list: the body of a page is held while it is decoded, and these may be large.
    pub fn page(&self) -> u16 {
        match self.kind {
            Kind::ConfigMap | Kind::Secret => 50,
            Kind::Pod => 250,
            _ => 500,
        }
    }
}

/// Whether the configured label selector applies to a kind.
pub fn is_selected(kind: Kind) -> bool {
    SELECTED.contains(&kind)
}

/// `/api/v1` or `/apis/apps/v1`
pub fn api_path(api: &str) -> String {
    if api.contains('/') { format!("/apis/{api}") } else { format!("/api/{api}") }
}

/// Percent-encodes what may not stand in a path segment or a query value.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_path_and_old_servers_have_a_way() {
        for kind in Kind::ALL {
            assert!(Resource::newest(*kind).path("").starts_with("/api"), "{kind}");
        }
        let ways: Vec<_> = Resource::ways(Kind::EndpointSlice).map(|r| r.path("a")).collect();
        assert_eq!(
            ways,
            [
                "/apis/discovery.k8s.io/v1/namespaces/a/endpointslices",
                "/apis/discovery.k8s.io/v1beta1/namespaces/a/endpointslices",
                "/api/v1/namespaces/a/endpoints",
            ]
        );
        assert_eq!(Resource::newest(Kind::Node).object_path("", "n/1"), "/api/v1/nodes/n%2F1");
    }
}
