//! From the API's JSON to compact records.
//!
//! Slim types that read only what a rule or a person may ask for; everything else is skipped while lexing. No
//! value of a ConfigMap or Secret leaves its visitor. Called by the streams for every object; must stay cheap,
//! and must never fail because of a field that is not read.

mod config;
mod copies;
mod de;
mod hash;
mod kube_event;
mod meta;
mod net;
mod node;
mod pod;
mod refs;
mod storage;
mod template;
#[cfg(test)]
mod tests;
mod workload;

use serde::Deserialize;

use super::resources::Shape;
use crate::{
    event::Kind,
    object::{Body, Object, ObjectKey},
};

/// Decodes objects with the store's random hash key.
#[derive(Clone)]
pub(super) struct Decoder {
    key: [u8; 32],
}

impl Decoder {
    /// With the store's key.
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// One object of a known kind.
    pub(super) fn object(&self, kind: Kind, shape: Shape, json: &[u8]) -> serde_json::Result<Object> {
        let object = hash::with_key(&self.key, || decode(kind, shape, json))?;
        if object.meta.name.is_empty() {
            return Err(serde::de::Error::custom("metadata.name is missing"));
        }
        Ok(object)
    }
}

/// Of an object that could not be decoded: where it lives and its version, as far as that can be told.
pub(super) fn identity(kind: Kind, json: &[u8]) -> (Option<ObjectKey>, Option<String>) {
    de::slim! {
        struct Identity {
            metadata: IdentityMeta,
        }
        struct IdentityMeta {
            name: de::Short,
            namespace: de::Short,
            resource_version: de::Short,
        }
    }
    let Ok(Identity { metadata }) = serde_json::from_slice(json) else { return (None, None) };
    let some = |t: &de::Short| (!t.0.is_empty()).then(|| t.0.to_string());
    let key = some(&metadata.name).map(|name| ObjectKey::new(kind, &metadata.namespace.0, &name));
    (key, some(&metadata.resource_version))
}

fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> serde_json::Result<T> {
    serde_json::from_slice(json)
}

/// Reads `$ty`, takes its metadata, and makes the body of the rest.
macro_rules! record {
    ($kind:expr, $json:expr, $ty:ty, |$o:ident, $meta:ident| $body:expr) => {{
        let mut $o: $ty = parse($json)?;
        let $meta: crate::object::Meta = std::mem::take(&mut $o.metadata).into();
        let body = $body;
        Ok(Object { kind: $kind, meta: $meta, body })
    }};
}

fn decode(kind: Kind, shape: Shape, json: &[u8]) -> serde_json::Result<Object> {
    match kind {
        Kind::Pod => record!(kind, json, pod::PodIn, |o, m| Body::Pod(Box::new((o.spec, o.status).into()))),
        Kind::Deployment | Kind::ReplicaSet | Kind::StatefulSet | Kind::DaemonSet => {
            record!(kind, json, workload::WorkloadIn, |o, m| {
                Body::Workload(Box::new(workload::workload(kind, o.spec, o.status)))
            })
        }
        Kind::Job => {
            record!(kind, json, workload::JobIn, |o, m| Body::Job(Box::new((o.spec, o.status).into())))
        }
        Kind::CronJob => {
            record!(kind, json, workload::CronJobIn, |o, m| Body::CronJob(Box::new(
                (o.spec, o.status).into()
            )))
        }
        Kind::HorizontalPodAutoscaler => autoscaler(kind, json),
        Kind::ConfigMap | Kind::Secret => {
            let mut config: config::ConfigIn = parse(json)?;
            let annotations = &mut config.metadata.annotations.pairs;
            *annotations = copies::without_values(annotations);
            let meta = std::mem::take(&mut config.metadata).into();
            Ok(Object { kind, meta, body: Body::Config(Box::new(config.into())) })
        }
        Kind::Event => {
            record!(kind, json, kube_event::EventIn, |o, m| {
                Body::Event(Box::new(kube_event::kube_event(o, m.created_at, m.managed_at)))
            })
        }
        Kind::Service | Kind::EndpointSlice | Kind::Ingress | Kind::IngressClass => net(kind, shape, json),
        _ => cluster(kind, json),
    }
}

fn autoscaler(kind: Kind, json: &[u8]) -> serde_json::Result<Object> {
    let mut hpa: workload::AutoscalerIn = parse(json)?;
    let annotation = hpa.metadata.annotations.hpa_conditions.take();
    let body = workload::autoscaler(hpa.spec, hpa.status, annotation.as_deref());
    Ok(Object { kind, meta: hpa.metadata.into(), body: Body::Autoscaler(Box::new(body)) })
}

fn net(kind: Kind, shape: Shape, json: &[u8]) -> serde_json::Result<Object> {
    match kind {
        Kind::Service => {
            record!(kind, json, net::ServiceIn, |o, m| Body::Service(Box::new((o.spec, o.status).into())))
        }
        Kind::EndpointSlice if shape == Shape::Endpoints => {
            record!(kind, json, net::EndpointsIn, |o, m| {
                Body::EndpointSlice(Box::new(net::endpoints(m.name.clone(), o.subsets)))
            })
        }
        Kind::EndpointSlice => record!(kind, json, net::SliceIn, |o, m| {
            let service = m.labels.get("kubernetes.io/service-name").cloned().unwrap_or_default();
            Body::EndpointSlice(Box::new(net::slice(service, o.endpoints)))
        }),
        Kind::Ingress => record!(kind, json, net::IngressIn, |o, m| {
            Body::Ingress(Box::new(net::ingress(o.spec, o.status, m.annotation(net::OLD_CLASS))))
        }),
        _ => record!(kind, json, net::IngressClassIn, |o, m| {
            let default = m.annotation("ingressclass.kubernetes.io/is-default-class");
            Body::IngressClass(Box::new(net::ingress_class(o.spec, default)))
        }),
    }
}

fn cluster(kind: Kind, json: &[u8]) -> serde_json::Result<Object> {
    match kind {
        Kind::Node => {
            record!(kind, json, node::NodeIn, |o, m| Body::Node(Box::new((o.spec, o.status).into())))
        }
        Kind::Namespace => {
            record!(kind, json, node::NamespaceIn, |o, m| {
                Body::Namespace(Box::new((o.spec, o.status).into()))
            })
        }
        Kind::PersistentVolumeClaim => {
            record!(kind, json, storage::ClaimIn, |o, m| Body::Claim(Box::new((o.spec, o.status).into())))
        }
        Kind::PersistentVolume => {
            record!(kind, json, storage::VolumeIn, |o, m| Body::Volume(Box::new((o.spec, o.status).into())))
        }
        _ => record!(kind, json, storage::StorageClassIn, |o, m| {
            let default = m.annotation("storageclass.kubernetes.io/is-default-class");
            Body::StorageClass(Box::new(storage::storage_class(o, default)))
        }),
    }
}
