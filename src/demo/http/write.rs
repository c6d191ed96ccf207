//! create, update, merge patch and delete over HTTP: enough for a client's own Lease, and for tests that write
//! as a user would. Barrelman itself never writes to a watched object.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::object::text;
use super::{Call, convert, reply_json};

pub(super) fn write(call: &Call<'_>, headers: &HeaderMap, body: Value) -> Result<Response, Failure> {
    let agent = headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let manager = match call.params.text("fieldManager") {
        "" => agent.split(['/', ' ']).next().unwrap_or_default(),
        named => named,
    };
    let manager = if manager.is_empty() { "unknown" } else { manager };
    match call.verb {
        "create" => create(call, manager, body),
        "delete" => {
            let failure = || Failure::not_found(&call.at.resource.qualified(), &call.at.name);
            let writer = call.cluster.writer(manager);
            writer
                .delete(call.at.resource.plural, &call.at.namespace, &call.at.name)
                .map_err(|_| failure())?;
            let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
            Ok(reply_json(StatusCode::OK, super::encode(&status)))
        }
        _ => change(call, manager, body),
    }
}

fn create(call: &Call<'_>, manager: &str, mut body: Value) -> Result<Response, Failure> {
    if !body.is_object() || text(&body, "/metadata/name").is_empty() {
        return Err(Failure::bad_request("the object needs metadata.name"));
    }
    body["kind"] = json!(call.at.resource.kind);
    if call.at.resource.namespaced {
        body["metadata"]["namespace"] = json!(call.at.namespace);
    }
    let name = text(&body, "/metadata/name").to_owned();
    call.cluster.writer(manager).create(body)?;
    answer(call, &name, StatusCode::CREATED)
}

fn change(call: &Call<'_>, manager: &str, body: Value) -> Result<Response, Failure> {
    let plural = call.at.resource.plural;
    let current = call.cluster.get(plural, &call.at.namespace, &call.at.name);
    let current = current.ok_or_else(|| Failure::not_found(&call.at.resource.qualified(), &call.at.name))?;
    let asked = text(&body, "/metadata/resourceVersion");
    if !asked.is_empty() && asked != text(&current, "/metadata/resourceVersion") {
        return Err(Failure::conflict(&call.at.resource.qualified(), &call.at.name));
    }
    let patch = call.verb == "patch";
    let writer = call.cluster.writer(manager);
    let writer = if call.at.sub == "status" { writer.status() } else { writer };
    writer.update(plural, &call.at.namespace, &call.at.name, |object| {
        if patch {
            merge(object, &body);
            return;
        }
        let meta = object.get("metadata").cloned().unwrap_or_default();
        *object = body;
        if let Some(map) = object.as_object_mut() {
            map.remove("apiVersion");
            map.remove("kind");
        }
        for kept in [
            "uid",
            "creationTimestamp",
            "managedFields",
            "generation",
            "resourceVersion",
            "namespace",
            "name",
        ] {
            if let Some(value) = meta.get(kept) {
                object["metadata"][kept] = value.clone();
            }
        }
    })?;
    answer(call, &call.at.name, StatusCode::OK)
}

fn answer(call: &Call<'_>, name: &str, code: StatusCode) -> Result<Response, Failure> {
    let key = (call.at.namespace.clone(), name.to_owned());
    let object = call.cluster.storage().get(call.at.resource.plural, &key);
    let object = object.ok_or_else(|| Failure::not_found(call.at.resource.plural, name))?;
    Ok(reply_json(code, convert::whole(&object, &call.at.resource, call.shape)))
}

/// RFC 7386, but for what only the server may write.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().map(|map| map.remove(key));
        } else if !matches!(key.as_str(), "apiVersion" | "kind" | "resourceVersion" | "managedFields" | "uid")
        {
            merge(&mut target[key.as_str()], value);
        }
    }
}
