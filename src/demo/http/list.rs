//! get and list: one object, a collection, its pages.

use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::faults::Fault;
use super::super::object::Stored;
use super::super::selector::Selector;
use super::super::storage::Page;
use super::{Call, convert, reply, reply_json};

/// One object.
pub(super) fn get(call: &Call<'_>) -> Result<Response, Failure> {
    let key = (call.at.namespace.clone(), call.at.name.clone());
    let object = call.cluster.storage().get(call.at.resource.plural, &key);
    let object = object.ok_or_else(|| Failure::not_found(&call.at.resource.qualified(), &call.at.name))?;
    Ok(reply_json(StatusCode::OK, convert::whole(&object, &call.at.resource, call.shape)))
}

/// A collection, or a page of it.
pub(super) fn list(call: &Call<'_>) -> Result<Response, Failure> {
    let page = page(call)?;
    let mut body = encode(call, &page);
    match call.fault {
        Some(Fault::Undecodable) => body = spoil(&body),
        Some(Fault::CutLine) => return Ok(cut(&body)),
        _ => {}
    }
    Ok(reply_json(StatusCode::OK, body))
}

/// A consistent selection and the revision that it was made at.
pub(super) fn select(call: &Call<'_>, selector: &Selector) -> Result<(u64, Vec<Arc<Stored>>), Failure> {
    let plural = call.at.resource.plural;
    let namespace = Some(call.at.namespace.as_str()).filter(|ns| !ns.is_empty());
    let asked = call.params.number("resourceVersion")?.unwrap_or(0);
    let storage = call.cluster.storage();
    let now = storage.revision();
    if asked > now {
        return Err(Failure::new(
            504,
            "Timeout",
            format!("Too large resource version: {asked}, current: {now}"),
        ));
    }
    let exact = call.params.text("resourceVersionMatch") == "Exact";
    let (revision, mut objects) = if exact {
        (asked, storage.all_at(plural, namespace, asked)?)
    } else {
        (now, storage.all(plural, namespace))
    };
    drop(storage);
    if !selector.is_empty() {
        objects.retain(|o| selector.matches(o));
    }
    Ok((revision, objects))
}

fn page(call: &Call<'_>) -> Result<Page, Failure> {
    let limit = call.params.number("limit")?.unwrap_or(0) as usize;
    let token = call.params.text("continue");
    if !token.is_empty() {
        let at = decode_token(token).ok_or_else(|| {
            Failure::bad_request("continue key is not valid: it was not made by this server")
        })?;
        return call.cluster.storage().next_page(at, limit);
    }
    let selector = selector(call)?;
    let (revision, objects) = select(call, &selector)?;
    Ok(call.cluster.storage().first_page(revision, objects, limit))
}

/// The selectors of a request; a name in the path of a watch is one too.
pub(super) fn selector(call: &Call<'_>) -> Result<Selector, Failure> {
    let mut fields = call.params.text("fieldSelector").to_owned();
    if !call.at.name.is_empty() {
        let comma = if fields.is_empty() { "" } else { "," };
        fields = format!("{fields}{comma}metadata.name={}", call.at.name);
    }
    Selector::parse(call.at.resource.plural, call.params.text("labelSelector"), &fields)
}

fn encode(call: &Call<'_>, page: &Page) -> Bytes {
    let (api_version, kind) = call.shape.type_of_list(&call.at.resource);
    let mut meta = json!({"resourceVersion": page.revision.to_string()});
    if let Some((snapshot, offset)) = page.next {
        meta["continue"] = json!(encode_token(page.revision, snapshot, offset));
        meta["remainingItemCount"] = json!(page.remaining);
    }
    let head =
        format!("{{\"apiVersion\":\"{api_version}\",\"kind\":\"{kind}\",\"metadata\":{meta},\"items\":[");
    let mut out = BytesMut::with_capacity(head.len() + page.objects.len() * 4096);
    out.put_slice(head.as_bytes());
    for (index, object) in page.objects.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        out.put_slice(&convert::body(object, &call.at.resource, call.shape));
    }
    out.put_slice(b"]}");
    out.freeze()
}

fn encode_token(revision: u64, snapshot: u64, offset: usize) -> String {
    let token = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": format!("{snapshot}:{offset}")});
    URL_SAFE_NO_PAD.encode(token.to_string())
}

fn decode_token(token: &str) -> Option<(u64, usize)> {
    let token: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (snapshot, offset) = token.get("start")?.as_str()?.split_once(':')?;
    Some((snapshot.parse().ok()?, offset.parse().ok()?))
}

/// Puts an item in front that no type can hold.
fn spoil(body: &Bytes) -> Bytes {
    let text = String::from_utf8_lossy(body);
    let spoiled =
        "\"items\":[{\"metadata\":{\"name\":[\"not\",\"a\",\"name\"],\"labels\":7},\"spec\":\"broken\"},";
    Bytes::from(text.replacen("\"items\":[", spoiled, 1).replacen(",]}", "]}", 1))
}

/// Half of the body, then the connection breaks.
fn cut(body: &Bytes) -> Response {
    let half = body.slice(..body.len() / 2);
    let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let stream = futures::stream::iter([Ok(half), Err(broken)]);
    reply(StatusCode::OK, "application/json", Body::from_stream(stream))
}
