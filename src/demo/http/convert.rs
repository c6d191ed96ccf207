//! Objects as a client asked for them: whole or metadata only, and in the version of its path.

use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::api::Resource;
use super::super::object::{Stored, encode};

/// How much of an object is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::demo) enum Shape {
    Whole,
    /// `PartialObjectMetadata`.
    Metadata,
}

impl Shape {
    pub fn accepted(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        // `as=Table` is not served; a client that offers plain JSON beside it gets that.
        if accept.contains("as=PartialObjectMetadata") { Shape::Metadata } else { Shape::Whole }
    }

    /// apiVersion and kind of one object.
    pub fn type_of(self, resource: &Resource) -> (String, String) {
        match self {
            Shape::Whole => (resource.api_version(), resource.kind.to_owned()),
            Shape::Metadata => ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadata".to_owned()),
        }
    }

    /// apiVersion and kind of a list.
    pub fn type_of_list(self, resource: &Resource) -> (String, String) {
        let (api_version, kind) = self.type_of(resource);
        (api_version, format!("{kind}List"))
    }
}

#[derive(Deserialize)]
struct OnlyMetadata<'a> {
    #[serde(borrow)]
    metadata: &'a RawValue,
}

/// The object without apiVersion and kind.
pub(super) fn body(object: &Stored, resource: &Resource, shape: Shape) -> Bytes {
    let body = object.body();
    match shape {
        Shape::Metadata => match serde_json::from_slice::<OnlyMetadata<'_>>(&body) {
            Ok(only) => Bytes::from(format!("{{\"metadata\":{}}}", only.metadata.get())),
            Err(_) => body,
        },
        Shape::Whole if resource.plural == "horizontalpodautoscalers" && resource.version == "v1" => {
            encode(&autoscaler_v1(&object.value()))
        }
        Shape::Whole => body,
    }
}

/// The same with apiVersion and kind in front.
pub(super) fn whole(object: &Stored, resource: &Resource, shape: Shape) -> Bytes {
    let (api_version, kind) = shape.type_of(resource);
    let body = body(object, resource, shape);
    let mut out = BytesMut::with_capacity(body.len() + 64);
    out.extend_from_slice(format!("{{\"apiVersion\":\"{api_version}\",\"kind\":\"{kind}\",").as_bytes());
    out.extend_from_slice(body.get(1..).unwrap_or_default());
    out.freeze()
}

/// autoscaling/v2 as autoscaling/v1 shows it: what v1 cannot say goes to annotations.
fn autoscaler_v1(value: &Value) -> Value {
    let mut out = value.clone();
    let cpu = |list: &Value, at: &str| {
        let entry = list.as_array()?.iter().find(|m| m.pointer("/resource/name") == Some(&json!("cpu")))?;
        entry.pointer(at).cloned()
    };
    if let Some(spec) = out.get_mut("spec").and_then(Value::as_object_mut) {
        let metrics = spec.remove("metrics").unwrap_or_default();
        spec.remove("behavior");
        if let Some(target) = cpu(&metrics, "/resource/target/averageUtilization") {
            spec.insert("targetCPUUtilizationPercentage".to_owned(), target);
        }
    }
    let mut conditions = Value::Null;
    if let Some(status) = out.get_mut("status").and_then(Value::as_object_mut) {
        let metrics = status.remove("currentMetrics").unwrap_or_default();
        if let Some(current) = cpu(&metrics, "/resource/current/averageUtilization") {
            status.insert("currentCPUUtilizationPercentage".to_owned(), current);
        }
        conditions = status.remove("conditions").unwrap_or_default();
    }
    if conditions.is_array() {
        out["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/conditions"] =
            json!(conditions.to_string());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_autoscaler_of_version_one_keeps_its_conditions_in_an_annotation() {
        let v2 = json!({"metadata": {"name": "a"}, "spec": {"maxReplicas": 3, "metrics": [{"type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]},
            "status": {"currentReplicas": 3, "conditions": [{"type": "ScalingLimited", "status": "True"}]}});
        let v1 = autoscaler_v1(&v2);
        assert_eq!(v1["spec"]["targetCPUUtilizationPercentage"], 80);
        assert!(v1["status"].get("conditions").is_none());
        let text =
            v1["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/conditions"].as_str().unwrap();
        assert!(text.contains("ScalingLimited"), "{text}");
    }
}
