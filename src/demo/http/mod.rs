//! The HTTP side of the simulated API server: paths to handlers.
//!
//! Every request is counted, checked against faults and rights, then answered from storage. Replies have the
//! shapes of a real API server, refusals are `Status` objects.

mod convert;
mod list;
mod log;
mod path;
mod watch;
mod write;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use jiff::fmt::rfc2822;
use serde_json::{Value, json};

use super::api::REVIEWS;
use super::cluster::Cluster;
use super::failure::Failure;
use super::faults::{Asked, Fault};
use super::object::encode;
use convert::Shape;
use path::{ObjectPath, Params, Route};

/// Bodies of writes; a real server's limit is 3 MiB.
const BODY_LIMIT: usize = 3 << 20;

pub(super) fn router(cluster: Cluster) -> Router {
    Router::new().fallback(handle).with_state(cluster)
}

async fn handle(State(cluster): State<Cluster>, request: Request) -> Response {
    let mut response = match answer(&cluster, request).await {
        Ok(response) => response,
        Err(failure) => refuse(&failure),
    };
    if cluster.inner.options.dates {
        let date = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&cluster.now());
        if let Some(date) = date.ok().and_then(|date| HeaderValue::try_from(date).ok()) {
            response.headers_mut().insert(header::DATE, date);
        }
    }
    response
}

async fn answer(cluster: &Cluster, request: Request) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().trim_end_matches('/').to_owned();
    let params = Params::parse(&parts.uri)?;
    let surface = &cluster.inner.options.surface;
    let route = path::route(&path, surface);
    let verb = verb(&parts.method, route.as_ref().ok(), &params);
    cluster.faults().note(verb, &path);
    let route = route?;
    let (resource, namespace) = match &route {
        Route::Object(at) => (at.resource.plural, at.namespace.as_str()),
        Route::Document(_) | Route::Review(_) | Route::Health => ("", ""),
    };
    let asked = Asked { verb, resource, namespace, path: &path };
    let fault = strike(cluster, &asked).await?;
    match route {
        Route::Health => Ok(reply(StatusCode::OK, "text/plain", "ok")),
        Route::Document(document) => Ok(reply_json(StatusCode::OK, encode(&document))),
        Route::Review(kind) => {
            let review = read_json(body).await?;
            let access = cluster.access();
            let answer = if kind == "selfsubjectrulesreviews" {
                access.rules(review, surface)
            } else {
                access.review(review)
            };
            Ok(reply_json(StatusCode::CREATED, encode(&answer)))
        }
        Route::Object(at) => {
            cluster.access().check(verb, &at.resource, &at.sub, &at.namespace)?;
            let call = Call { cluster, at, params, shape: Shape::accepted(&parts.headers), verb, fault };
            call.answer(&parts.headers, body).await
        }
    }
}

/// A request for objects.
pub(super) struct Call<'a> {
    pub cluster: &'a Cluster,
    pub at: ObjectPath,
    pub params: Params,
    pub shape: Shape,
    pub verb: &'static str,
    pub fault: Option<Fault>,
}

impl Call<'_> {
    async fn answer(self, headers: &HeaderMap, body: Body) -> Result<Response, Failure> {
        match self.verb {
            "watch" => watch::watch(self),
            "list" => list::list(&self),
            "get" if self.at.sub == "log" => log::log(&self),
            "get" => list::get(&self),
            "create" | "update" | "patch" | "delete" => {
                let body = if self.verb == "delete" { Value::Null } else { read_json(body).await? };
                write::write(&self, headers, body)
            }
            _ => Err(Failure::new(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the resource",
            )),
        }
    }
}

/// Obeys the fault of a request as far as it concerns its beginning; the rest goes on to list and watch.
async fn strike(cluster: &Cluster, asked: &Asked<'_>) -> Result<Option<Fault>, Failure> {
    match cluster.faults().take(asked) {
        Some(Fault::Refuse(failure)) => Err(failure),
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Delay(time)) => {
            tokio::time::sleep(time).await;
            Ok(None)
        }
        other => Ok(other),
    }
}

fn verb(method: &Method, route: Option<&Route>, params: &Params) -> &'static str {
    let named = matches!(route, Some(Route::Object(at)) if !at.name.is_empty());
    match *method {
        Method::GET | Method::HEAD if !matches!(route, Some(Route::Object(_))) => "get",
        Method::GET | Method::HEAD if params.is_true("watch") => "watch",
        Method::GET | Method::HEAD if named => "get",
        Method::GET | Method::HEAD => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

async fn read_json(body: Body) -> Result<Value, Failure> {
    let bytes = axum::body::to_bytes(body, BODY_LIMIT)
        .await
        .map_err(|_| Failure::new(413, "RequestEntityTooLarge", "limit is 3145728"))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::bad_request(format!("the object is no JSON: {error}")))
}

fn refuse(failure: &Failure) -> Response {
    let code = StatusCode::from_u16(failure.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = reply_json(code, encode(&failure.status()));
    if let Some(secs) = failure.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, secs.into());
    }
    response
}

pub(super) fn reply_json(code: StatusCode, body: Bytes) -> Response {
    reply(code, "application/json", body)
}

pub(super) fn reply(code: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

/// The documents of discovery that need no storage.
fn discovery(path: &str, surface: &super::api::Surface) -> Option<Value> {
    match path {
        "/version" => return Some(surface.version()),
        "/api" => {
            return Some(
                json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
            );
        }
        "/apis" => return Some(surface.groups()),
        "/api/v1" => return surface.resource_list("", "v1"),
        _ => {}
    }
    let rest = path.strip_prefix("/apis/")?;
    match rest.split_once('/') {
        None => surface.group_document(rest),
        Some((group, version)) if !version.contains('/') => surface.resource_list(group, version),
        Some(_) => None,
    }
}

fn is_review(path: &str) -> Option<&'static str> {
    let rest = path.strip_prefix("/apis/")?.strip_prefix(REVIEWS)?.strip_prefix("/v1/")?;
    ["selfsubjectaccessreviews", "selfsubjectrulesreviews"].into_iter().find(|kind| *kind == rest)
}
