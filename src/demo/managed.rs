//! metadata.managedFields, as server-side bookkeeping of who wrote what and when.
//!
//! One entry per manager and subresource; its time moves with each write. The field set is built from the object
//! when the entry is new, two levels deep, which is about what a reader of it needs.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Notes that `manager` wrote (the status, or everything else) now.
pub(super) fn stamp(object: &mut Value, api_version: &str, manager: &str, status: bool, now: Timestamp) {
    let fields = if status {
        json!({"f:status": keys(object.get("status"))})
    } else {
        let mut fields = Map::new();
        for (key, value) in object.as_object().into_iter().flatten() {
            if !matches!(key.as_str(), "apiVersion" | "kind" | "metadata" | "status") {
                fields.insert(format!("f:{key}"), keys(Some(value)));
            }
        }
        Value::Object(fields)
    };
    let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let entries = meta.entry("managedFields").or_insert_with(|| json!([]));
    let Some(entries) = entries.as_array_mut() else { return };
    let subresource = if status { json!("status") } else { Value::Null };
    let same = |e: &&mut Value| e["manager"] == manager && e["subresource"] == subresource;
    if let Some(entry) = entries.iter_mut().find(same) {
        entry["time"] = json!(seconds(now));
        return;
    }
    let mut entry = json!({"manager": manager, "operation": "Update", "apiVersion": api_version,
        "time": seconds(now), "fieldsType": "FieldsV1", "fieldsV1": fields});
    if status {
        entry["subresource"] = subresource;
    }
    entries.push(entry);
}

/// A time as `metav1.Time` writes it: whole seconds.
pub(super) fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time as `metav1.MicroTime` writes it.
pub(super) fn micros(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

fn keys(value: Option<&Value>) -> Value {
    let Some(Value::Object(map)) = value else { return json!({}) };
    map.iter().map(|(key, _)| (format!("f:{key}"), json!({}))).collect::<Map<String, Value>>().into()
}
