//! Paths and query parameters of the Kubernetes API.

use std::collections::HashMap;

use axum::extract::Query;
use axum::http::Uri;
use serde_json::Value;

use super::super::api::{Resource, Surface};
use super::super::failure::Failure;

/// What a path leads to.
pub(super) enum Route {
    /// `/readyz` and its like.
    Health,
    /// A document of discovery.
    Document(Value),
    /// An access review, by its plural name.
    Review(&'static str),
    /// Objects.
    Object(ObjectPath),
}

/// Where objects live.
pub(in crate::demo) struct ObjectPath {
    pub resource: Resource,
    /// Empty for cluster-scoped kinds and cluster-wide lists.
    pub namespace: String,
    /// Empty for collections.
    pub name: String,
    /// `log`, `status` or empty.
    pub sub: String,
}

pub(super) fn route(path: &str, surface: &Surface) -> Result<Route, Failure> {
    if let Some(rest) = path.strip_prefix('/')
        && matches!(rest.split('/').next(), Some("readyz" | "livez" | "healthz"))
    {
        return Ok(Route::Health);
    }
    if let Some(kind) = super::is_review(path) {
        return Ok(Route::Review(kind));
    }
    if let Some(document) = super::discovery(path, surface) {
        return Ok(Route::Document(document));
    }
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let (group, version, rest) = match segments.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Err(Failure::no_route()),
    };
    let (namespace, rest) = match rest {
        // `/namespaces/shop` is the Namespace, `/namespaces/shop/pods` the Pods in it.
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() && rest[0] != "status" => (*namespace, rest),
        rest => ("", rest),
    };
    let [plural, rest @ ..] = rest else { return Err(Failure::no_route()) };
    let resource = surface.find(group, version, plural).ok_or_else(Failure::no_route)?.clone();
    if !namespace.is_empty() && !resource.namespaced {
        return Err(Failure::no_route());
    }
    let (name, sub) = match rest {
        [] => ("", ""),
        [name] => (*name, ""),
        [name, sub @ ("log" | "status")] => (*name, *sub),
        _ => return Err(Failure::no_route()),
    };
    Ok(Route::Object(ObjectPath {
        resource,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        sub: sub.to_owned(),
    }))
}

/// The query of a request.
pub(in crate::demo) struct Params(HashMap<String, String>);

impl Params {
    pub fn parse(uri: &Uri) -> Result<Self, Failure> {
        let query = Query::<HashMap<String, String>>::try_from_uri(uri);
        query.map(|q| Params(q.0)).map_err(|error| Failure::bad_request(error.to_string()))
    }

    /// A parameter; empty where it is absent.
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub fn is_true(&self, name: &str) -> bool {
        matches!(self.text(name), "true" | "1")
    }

    /// A number; `None` where it is absent.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        match self.text(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Failure::bad_request(format!("invalid value for {name}: {text:?} is no number"))
            }),
        }
    }
}
