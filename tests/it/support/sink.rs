//! A real HTTP server that remembers what it was sent and answers as a test wants.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};

/// What to answer to the n-th request (from 0) with this body.
pub type Answer = dyn Fn(usize, &str) -> Reply + Send + Sync;

#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub delay: Duration,
    pub body: String,
}

pub fn status(status: u16) -> Reply {
    Reply { status, headers: Vec::new(), delay: Duration::ZERO, body: "answer".into() }
}

impl Reply {
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
    pub fn saying(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

#[derive(Debug, Clone)]
pub struct Seen {
    pub id: String,
    pub body: String,
    pub status: u16,
    pub at: tokio::time::Instant,
}

#[derive(Clone)]
pub struct Sink {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<Answer>,
}

impl Sink {
    #[allow(clippy::disallowed_methods)]
    pub async fn start(answer: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Sink {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let sink = Sink { url, seen: Arc::default(), answer: Arc::new(answer) };
        let app = Router::new().fallback(take).with_state(sink.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        sink
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many were answered with 2xx.
    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().iter().filter(|s| s.status < 300).count()
    }

    /// Ids that were answered with 2xx, in order.
    pub fn taken(&self) -> Vec<String> {
        self.seen().into_iter().filter(|s| s.status < 300).map(|s| s.id).collect()
    }
}

async fn take(State(sink): State<Sink>, headers: HeaderMap, body: Bytes) -> Response {
    let body = String::from_utf8_lossy(&body).into_owned();
    let id = headers.get("webhook-id").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let reply = {
        let mut seen = sink.seen.lock().unwrap();
        let reply = (sink.answer)(seen.len(), &body);
        seen.push(Seen { id, body, status: reply.status, at: tokio::time::Instant::now() });
        reply
    };
    tokio::time::sleep(reply.delay).await;
    let mut answer = (StatusCode::from_u16(reply.status).unwrap(), reply.body).into_response();
    for (name, value) in reply.headers {
        answer.headers_mut().insert(name, value.parse().unwrap());
    }
    answer
}
