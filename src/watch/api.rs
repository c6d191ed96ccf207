//! Requests to one API server: counted, timed, classified.

use std::{
    cell::{Cell, RefCell},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, header};
use http_body_util::BodyExt as _;
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use kube::{Client, client::Body};
use serde::Deserialize;

use super::{
    Clock,
    error::{Error, Fault, Result},
    hidden::Hidden,
};

/// How long a server may take to begin an answer, and to send the next piece of a list.
pub const ANSWER: Duration = Duration::from_secs(30);
/// A difference of clocks that is worth a word.
const NOTABLE: SignedDuration = SignedDuration::from_secs(5);
/// Longest body that is held whole: a page of a list. Above it something is wrong.
const MAX_BODY: usize = 256 << 20;
/// Longest body of an error, or of a version, that is read.
const MAX_STATUS: usize = 64 << 10;

/// The client of one cluster. Not `Send`: it lives on the thread of the streams.
pub struct Api {
    client: RefCell<Client>,
    hidden: RefCell<Hidden>,
    requests: Arc<AtomicU64>,
    clock: Clock,
    ahead: Cell<Option<SignedDuration>>,
}

impl Api {
    /// With a client and the counter that status shows.
    pub fn new(client: Client, hidden: Hidden, requests: Arc<AtomicU64>, clock: Clock) -> Self {
        let (client, hidden) = (RefCell::new(client), RefCell::new(hidden));
        Self { client, hidden, requests, clock, ahead: Cell::new(None) }
    }

    /// How far the server's clock is ahead of ours, by the date of its last answer; zero where that is less than a
    /// date in seconds and a slow answer explain.
    pub fn ahead(&self) -> SignedDuration {
        self.ahead.get().filter(|ahead| ahead.abs() >= NOTABLE).unwrap_or_default()
    }

    /// Puts a client with fresh credentials in its place.
    pub fn replace(&self, client: Client, hidden: Hidden) {
        self.client.replace(client);
        self.hidden.replace(hidden);
    }

    /// An error in the server's words, without our credentials.
    pub fn cut(&self, error: Error) -> Error {
        self.hidden.borrow().cut(error)
    }

    /// A GET whose body is read as it comes.
    ///
    /// # Errors
    /// Whatever keeps the server from answering 2xx.
    pub async fn open(&self, path: &str) -> Result<Body> {
        let request = Request::get(path);
        self.send(path, request.body(Body::empty())).await.map(Response::into_body)
    }

    /// A GET of a small answer.
    pub async fn get_small(&self, path: &str) -> Result<Bytes> {
        let body = self.open(path).await?;
        collect(body, path, MAX_STATUS).await
    }

    /// A GET whose body is held whole.
    pub async fn get(&self, path: &str) -> Result<Bytes> {
        let body = self.open(path).await?;
        collect(body, path, MAX_BODY).await
    }

    /// A POST of JSON; its answer, whole.
    pub async fn post(&self, path: &str, json: Vec<u8>) -> Result<Bytes> {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        let body = self.send(path, request.body(Body::from(json))).await?.into_body();
        collect(body, path, MAX_BODY).await
    }

    async fn send(&self, path: &str, request: http::Result<Request<Body>>) -> Result<Response<Body>> {
        let mut request = request.map_err(|e| Error::new(Fault::Refused, e.to_string()))?;
        request.headers_mut().insert(header::ACCEPT, header::HeaderValue::from_static("application/json"));
        self.requests.fetch_add(1, Ordering::Relaxed);
        let client = self.client.borrow().clone();
        let answer = tokio::time::timeout(ANSWER, client.send(request)).await;
        let answer = answer.map_err(|_| Error::timed_out(short(path), ANSWER))?;
        let response = answer.map_err(|e| self.cut(Error::from_kube(&e)))?;
        self.ahead.set(ahead(response.headers(), (self.clock)()));
        if response.status().is_success() {
            return Ok(response);
        }
        let code = response.status().as_u16();
        let wait = retry_after(response.headers());
        let body = collect(response.into_body(), path, MAX_STATUS).await.unwrap_or_default();
        let mut error = status_error(code, &body);
        error.retry_after = error.retry_after.or(wait);
        Err(self.cut(error))
    }
}

/// From the date of an answer, which is cut to seconds.
fn ahead(headers: &HeaderMap, now: Timestamp) -> Option<SignedDuration> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let at = rfc2822::DateTimeParser::new().parse_timestamp(date.trim()).ok()?;
    Some(at.duration_since(now) + SignedDuration::from_millis(500))
}

/// The path without its query.
fn short(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}

/// The next piece of a body. `None` at its end.
///
/// # Errors
/// A broken connection, or silence for longer than `limit`.
pub async fn next_piece(body: &mut Body, path: &str, limit: Duration) -> Result<Option<Bytes>> {
    loop {
        let frame = tokio::time::timeout(limit, body.frame()).await;
        match frame.map_err(|_| Error::timed_out(short(path), limit))? {
            None => return Ok(None),
            Some(Err(e)) => return Err(Error::from_kube(&e)),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

async fn collect(mut body: Body, path: &str, max: usize) -> Result<Bytes> {
    let mut whole = BytesMut::new();
    while let Some(piece) = next_piece(&mut body, path, ANSWER).await? {
        if whole.len() + piece.len() > max {
            return Err(Error::new(
                Fault::Nonsense,
                format!("{}: the answer is over {max} bytes", short(path)),
            ));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct StatusIn {
    code: Option<u16>,
    reason: Option<String>,
    message: Option<String>,
    details: Option<DetailsIn>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct DetailsIn {
    retry_after_seconds: Option<u64>,
}

/// From a Status object, or from whatever else a proxy answered.
pub fn status_error(code: u16, body: &[u8]) -> Error {
    let status: StatusIn = serde_json::from_slice(body).unwrap_or_else(|_| StatusIn {
        message: Some(String::from_utf8_lossy(body.get(..300).unwrap_or(body)).trim().to_owned()),
        ..StatusIn::default()
    });
    let code = if code == 0 { status.code.unwrap_or(500) } else { code };
    let mut error = Error::from_status(
        code,
        status.reason.as_deref().unwrap_or_default(),
        status.message.as_deref().unwrap_or_default(),
    );
    let secs = status.details.and_then(|d| d.retry_after_seconds).filter(|s| *s > 0);
    error.retry_after = secs.map(Duration::from_secs);
    error
}

/// Retry-After in seconds. Its other form, a date, is not used by API servers.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}
