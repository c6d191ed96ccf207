//! One version of one object, as the storage keeps it and the wire shows it.
//!
//! Holds the JSON without `apiVersion` and `kind` (lists of a real server leave them out, watches prepend them),
//! made at most once however many clients read it; bulk objects are made as text and parsed only when asked.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;

/// One version of one object; immutable.
#[derive(Debug)]
pub(super) struct Stored {
    /// metadata.resourceVersion
    pub revision: u64,
    /// Empty for cluster-scoped kinds.
    pub namespace: String,
    /// metadata.name
    pub name: String,
    /// metadata.labels
    pub labels: BTreeMap<String, String>,
    value: OnceLock<Arc<Value>>,
    body: OnceLock<Bytes>,
}

impl Stored {
    /// From a full object whose metadata already holds its resourceVersion.
    pub fn new(revision: u64, mut value: Value) -> Self {
        if let Some(object) = value.as_object_mut() {
            object.remove("apiVersion");
            object.remove("kind");
        }
        let labels = value
            .pointer("/metadata/labels")
            .and_then(Value::as_object)
            .map(|labels| {
                labels.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
            })
            .unwrap_or_default();
        Stored {
            revision,
            namespace: text(&value, "/metadata/namespace").to_owned(),
            name: text(&value, "/metadata/name").to_owned(),
            labels,
            value: OnceLock::from(Arc::new(value)),
            body: OnceLock::new(),
        }
    }

    /// From JSON text (without apiVersion and kind) that the caller vouches for.
    pub fn from_text(
        revision: u64,
        (namespace, name): (String, String),
        labels: BTreeMap<String, String>,
        body: String,
    ) -> Self {
        let body = OnceLock::from(Bytes::from(body));
        Stored { revision, namespace, name, labels, value: OnceLock::new(), body }
    }

    /// The object without apiVersion and kind.
    pub fn value(&self) -> Arc<Value> {
        if let Some(value) = self.value.get() {
            return Arc::clone(value);
        }
        // Not kept: bulk objects would take five times their size.
        Arc::new(self.body.get().and_then(|b| serde_json::from_slice(b).ok()).unwrap_or(Value::Null))
    }

    /// The same as JSON text; starts with `{` and is never empty.
    pub fn body(&self) -> Bytes {
        self.body.get_or_init(|| encode(self.value.get().map_or(&Value::Null, |v| v))).clone()
    }

    /// A field by its selector name (`spec.nodeName`); empty where it is absent.
    pub fn field(&self, path: &str) -> String {
        match path {
            "metadata.name" => return self.name.clone(),
            "metadata.namespace" => return self.namespace.clone(),
            _ => {}
        }
        let value = self.value();
        let pointer = match path {
            "source" => "/source/component".to_owned(),
            _ => format!("/{}", path.replace('.', "/")),
        };
        match value.pointer(&pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None if path == "spec.unschedulable" => "false".to_owned(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        }
    }
}

/// A text at a JSON pointer; empty where it is absent.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A value as JSON text.
pub(super) fn encode(value: &Value) -> Bytes {
    Bytes::from(serde_json::to_vec(value).expect("a JSON value has text keys only"))
}
