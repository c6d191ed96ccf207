//! A local receiver for everything that a forwarder sends: webhook, Slack's answer, a PainChain backend.
//!
//! Runs on loopback for the demo and for tests. It answers as the real services do, fails, throttles and hangs up
//! on command, and records every request with its headers and body. Spawns nothing: `run` is a future.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::cluster::{Clock, uid};
use super::net::{Gate, Listener};

/// One request that arrived, whatever was answered.
#[derive(Debug, Clone)]
pub struct Received {
    /// When.
    pub at: Timestamp,
    /// `POST`, …
    pub method: String,
    /// `/hook`, `/slack`, `/api/events`, …
    pub path: String,
    /// All headers, lower case.
    pub headers: BTreeMap<String, String>,
    /// As it came.
    pub body: String,
    /// What was answered; 0 where the sink hung up.
    pub status: u16,
}

impl Received {
    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The id that stays the same over attempts: `webhook-id`, else `idempotency-key`, else empty.
    pub fn id(&self) -> &str {
        let header = |name: &str| self.headers.get(name).map(String::as_str);
        header("webhook-id").or_else(|| header("idempotency-key")).unwrap_or_default()
    }
}

/// How the sink answers instead of accepting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mood {
    /// Any status, with a short text.
    Fail(u16),
    /// 429 with Retry-After in seconds.
    Throttle(u32),
    /// Reads the request and closes the connection without an answer.
    HangUp,
    /// Accepts, records, and then closes without an answer: the sender cannot know.
    AcceptAndHangUp,
    /// Never answers.
    Silence,
}

#[derive(Default)]
struct State_ {
    received: VecDeque<Received>,
    total: u64,
    moods: Vec<(Option<String>, Mood, Option<u32>)>,
    integrations: Vec<Value>,
    /// Ids of what was stored, by what makes a repeat; the oldest first in `order`.
    events: HashMap<(String, String), (String, String)>,
    order: VecDeque<(String, String)>,
    stored: u64,
}

struct Inner {
    clock: Clock,
    kept: usize,
    gate: Arc<Gate>,
    state: Mutex<State_>,
}

/// The receiver; clones are handles of the same.
#[derive(Clone)]
pub struct Sink {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink").finish_non_exhaustive()
    }
}

/// Requests that are kept, the newest, where nothing else is asked for.
const KEPT: usize = 20_000;
/// A PainChain backend's limit of a body.
const PAINCHAIN_LIMIT: usize = 100 * 1024;
/// The largest body that is read at all.
const BODY_LIMIT: usize = 16 << 20;

/// A bound port of a sink.
#[derive(Debug)]
pub struct SinkServer {
    sink: Sink,
    tcp: TcpListener,
    addr: SocketAddr,
}

impl SinkServer {
    /// `http://127.0.0.1:port`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Serves until the token is cancelled; then, or when dropped, open connections break.
    pub async fn run(self, shutdown: CancellationToken) -> io::Result<()> {
        let gate = Arc::clone(&self.sink.inner.gate);
        let listener = Listener { tcp: self.tcp, gate: Arc::clone(&gate) };
        let router = Router::new().fallback(handle).with_state(self.sink);
        tokio::select! {
            () = shutdown.cancelled() => {}
            served = axum::serve(listener, router) => served?,
        }
        gate.reset_connections();
        Ok(())
    }
}

impl Sink {
    /// An empty one that keeps the newest 20,000 requests.
    pub fn new(clock: Clock) -> Self {
        Self::keeping(KEPT, clock)
    }

    /// One that keeps so many requests, and as many ids by which a repeat is known.
    pub fn keeping(kept: usize, clock: Clock) -> Self {
        let state = Mutex::default();
        Sink { inner: Arc::new(Inner { clock, kept, gate: Arc::new(Gate::new()), state }) }
    }

    /// Binds a free port of 127.0.0.1.
    ///
    /// # Errors
    /// Where the port cannot be bound.
    pub async fn serve(&self) -> io::Result<SinkServer> {
        let tcp = TcpListener::bind("127.0.0.1:0").await?;
        let addr = tcp.local_addr()?;
        Ok(SinkServer { sink: self.clone(), tcp, addr })
    }

    /// Everything that arrived and is kept, oldest first.
    pub fn received(&self) -> Vec<Received> {
        self.lock().received.iter().cloned().collect()
    }

    /// What was accepted (2xx) on a path, oldest first.
    pub fn accepted(&self, path: &str) -> Vec<Received> {
        let state = self.lock();
        state.received.iter().filter(|r| r.path == path && (200..300).contains(&r.status)).cloned().collect()
    }

    /// How many requests arrived in all.
    pub fn total(&self) -> u64 {
        self.lock().total
    }

    /// Answers badly on a path (or on all) until `recover`, or so many times.
    pub fn set_mood(&self, path: Option<&str>, mood: Mood, times: Option<u32>) {
        self.lock().moods.push((path.map(str::to_owned), mood, times));
    }

    /// Accepts again.
    pub fn recover(&self) {
        self.lock().moods.clear();
    }

    /// Accepts again on a path.
    pub fn recover_on(&self, path: &str) {
        self.lock().moods.retain(|(of, _, _)| of.as_deref() != Some(path));
    }

    /// Forgets what was received.
    pub fn clear(&self) {
        self.lock().received.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State_> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mood(&self, path: &str) -> Option<Mood> {
        let mut state = self.lock();
        let index = state.moods.iter().position(|(of, _, _)| of.as_deref().is_none_or(|p| p == path))?;
        let (_, mood, times) = state.moods.get_mut(index)?;
        let mood = mood.clone();
        if let Some(times) = times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                state.moods.remove(index);
            }
        }
        Some(mood)
    }

    fn record(&self, mut received: Received, status: u16) {
        received.status = status;
        let mut state = self.lock();
        state.total += 1;
        state.received.push_back(received);
        if state.received.len() > self.inner.kept {
            state.received.pop_front();
        }
    }

    fn answer(&self, method: &Method, path: &str, body: &[u8]) -> Answer {
        match (method.as_str(), path) {
            ("POST", "/api/integrations") => self.create_integration(body),
            ("GET", "/api/integrations") => json_answer(200, &json!(self.lock().integrations)),
            ("POST", "/api/events") => self.create_event(body),
            ("POST", "/slack") => slack(body),
            ("POST" | "PUT" | "PATCH", _) if path.starts_with("/hook") => {
                json_answer(200, &json!({"ok": true}))
            }
            _ => json_answer(404, &json!({"message": format!("Cannot {method} {path}"), "statusCode": 404})),
        }
    }

    fn create_integration(&self, body: &[u8]) -> Answer {
        let Ok(request) = serde_json::from_slice::<Value>(body) else { return malformed() };
        if request["type"].as_str().is_none() || request["name"].as_str().is_none() {
            return broken();
        }
        let mut state = self.lock();
        let id = uid(17, state.integrations.len() as u64);
        let made = json!({"id": id, "type": request["type"], "name": request["name"], "config": request["config"],
            "createdAt": self.now_text()});
        state.integrations.push(made.clone());
        json_answer(201, &made)
    }

    /// As observed of the real backend: what is missing or unknown is a 500, for ever; a duplicate is a 201.
    fn create_event(&self, body: &[u8]) -> Answer {
        if body.len() > PAINCHAIN_LIMIT {
            return json_answer(413, &json!({"statusCode": 413, "message": "request entity too large"}));
        }
        let Ok(event) = serde_json::from_slice::<Value>(body) else { return malformed() };
        let has_text = |key: &str| event[key].as_str().is_some_and(|t| !t.is_empty());
        let whole = ["title", "connector", "project", "timestamp"].into_iter().all(has_text);
        let dated = event["timestamp"].as_str().is_some_and(|t| t.parse::<Timestamp>().is_ok());
        if !whole || !dated || !event["data"].is_object() {
            return broken();
        }
        let mut state = self.lock();
        let integration = event["integrationId"].as_str().unwrap_or_default().to_owned();
        if !integration.is_empty() && !state.integrations.iter().any(|i| i["id"] == integration.as_str()) {
            return broken();
        }
        let key = (integration, event["externalId"].as_str().unwrap_or_default().to_owned());
        let dedups = !key.0.is_empty() && !key.1.is_empty();
        if dedups && let Some((id, stored_at)) = state.events.get(&key) {
            return json_answer(201, &json!({"event_id": id, "stored_at": stored_at}));
        }
        state.stored += 1;
        let (id, stored_at) = (uid(19, state.stored), self.now_text());
        if dedups {
            state.order.push_back(key.clone());
            state.events.insert(key, (id.clone(), stored_at.clone()));
            if state.order.len() > self.inner.kept
                && let Some(oldest) = state.order.pop_front()
            {
                state.events.remove(&oldest);
            }
        }
        json_answer(201, &json!({"event_id": id, "stored_at": stored_at}))
    }

    fn now_text(&self) -> String {
        (self.inner.clock)().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }
}

struct Answer {
    status: u16,
    content_type: &'static str,
    body: String,
}

fn json_answer(status: u16, body: &Value) -> Answer {
    Answer { status, content_type: "application/json", body: body.to_string() }
}

fn malformed() -> Answer {
    json_answer(
        400,
        &json!({"statusCode": 400, "message": "Unexpected token in JSON", "error": "Bad Request"}),
    )
}

fn broken() -> Answer {
    json_answer(500, &json!({"statusCode": 500, "message": "Internal server error"}))
}

/// An incoming webhook of Slack: `ok`, or a short text with 400.
fn slack(body: &[u8]) -> Answer {
    let text = |status, body: &str| Answer { status, content_type: "text/html", body: body.to_owned() };
    match serde_json::from_slice::<Value>(body) {
        Err(_) => text(400, "invalid_payload"),
        Ok(v) if v["text"].as_str().is_none_or(str::is_empty) && !v["blocks"].is_array() => {
            text(400, "no_text")
        }
        Ok(v) if v["blocks"].as_array().is_some_and(|b| b.len() > 50) => text(400, "invalid_blocks"),
        Ok(_) => text(200, "ok"),
    }
}

fn headers_of(headers: &HeaderMap) -> BTreeMap<String, String> {
    let text = |v: &header::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

async fn handle(State(sink): State<Sink>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let body = axum::body::to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
    let received = Received {
        at: (sink.inner.clock)(),
        method: parts.method.to_string(),
        path: path.clone(),
        headers: headers_of(&parts.headers),
        body: String::from_utf8_lossy(&body).into_owned(),
        status: 0,
    };
    let mood = sink.mood(&path);
    let answer = match mood {
        None => sink.answer(&parts.method, &path, &body),
        Some(Mood::Fail(status)) => {
            let body = if status == 401 || status == 403 { "this token was revoked" } else { "unavailable" };
            Answer { status, content_type: "text/plain", body: body.to_owned() }
        }
        Some(Mood::Throttle(secs)) => {
            sink.record(received, 429);
            let mut response =
                respond(Answer { status: 429, content_type: "text/plain", body: String::new() });
            response.headers_mut().insert(header::RETRY_AFTER, secs.into());
            return response;
        }
        Some(Mood::HangUp) => {
            sink.record(received, 0);
            return hang_up();
        }
        Some(Mood::AcceptAndHangUp) => {
            let answer = sink.answer(&parts.method, &path, &body);
            sink.record(received, answer.status);
            return hang_up();
        }
        Some(Mood::Silence) => {
            sink.record(received, 0);
            return std::future::pending().await;
        }
    };
    sink.record(received, answer.status);
    respond(answer)
}

fn respond(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(answer.content_type));
    response
}

/// Headers that promise a body which never comes: the client sees the connection close in the middle.
fn hang_up() -> Response {
    let broken = io::Error::from(io::ErrorKind::ConnectionReset);
    let mut response =
        Response::new(Body::from_stream(futures::stream::iter([Err::<axum::body::Bytes, _>(broken)])));
    response.headers_mut().insert(header::CONTENT_LENGTH, 64.into());
    response
}
