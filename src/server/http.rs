//! Health and metrics over HTTP, where `listen` is set: for the kubelet and Prometheus. Reads a `Status`, no more.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, routing::get};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use super::{
    guard::{Guarded, IDLE, MOST},
    health,
    metrics::metrics,
};
use crate::status::Status;

type Latest = watch::Receiver<Arc<Status>>;

/// Takes the address.
///
/// # Errors
/// In words that name the setting: the address is in use, or not ours.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|e| format!("cannot listen on {address}: {e}; choose another address with `listen`"))
}

/// Answers until `stop`; requests under way are finished.
///
/// # Errors
/// The listener fails.
pub async fn serve(listener: TcpListener, status: Latest, stop: CancellationToken) -> std::io::Result<()> {
    serve_guarded(Guarded::new(listener, MOST, IDLE), status, stop).await
}

async fn serve_guarded(listener: Guarded, status: Latest, stop: CancellationToken) -> std::io::Result<()> {
    axum::serve(listener, router(status)).with_graceful_shutdown(stop.cancelled_owned()).await
}

fn router(status: Latest) -> Router {
    Router::new()
        // Says only that the process answers: a restart would not mend what /readyz complains about.
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route(
            "/metrics",
            get(async |State(status): State<Latest>| {
                let status = Arc::clone(&status.borrow());
                let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                ([(CONTENT_TYPE, kind)], metrics(&status))
            }),
        )
        .with_state(status)
}

async fn ready(State(status): State<Latest>) -> (StatusCode, String) {
    let (why, without) = {
        let status = status.borrow();
        (health::unready(&status), health::without(&status))
    };
    if why.is_empty() {
        let lines = std::iter::once("ready".to_owned());
        let lines: Vec<String> = lines.chain(without.iter().map(|line| format!("without {line}"))).collect();
        (StatusCode::OK, lines.join("\n") + "\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, why.join("\n") + "\n")
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::{super::health::tests::*, *};
    use crate::{event::Kind, status::StreamState};

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn readiness_follows_the_status_and_liveness_does_not() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let taken = bind(address).await.unwrap_err();
        assert!(taken.contains("`listen`"), "{taken}");
        let ready = Arc::new(status(vec![stream(Kind::Pod, StreamState::Live)]));
        let (send, latest) = watch::channel(ready);
        let stop = CancellationToken::new();
        let test = async {
            assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
            send.send_replace(Arc::new(status(vec![stream(Kind::Pod, StreamState::Syncing)])));
            let answer = get(address, "/readyz").await;
            assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
            assert!(answer.ends_with("cluster prod: pods: listing\n"), "{answer}");
            assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
            let answer = get(address, "/metrics").await;
            assert!(answer.contains("openmetrics-text"), "{answer}");
            assert!(answer.contains("barrelman_ready 0.0"), "{answer}");
            assert!(get(address, "/").await.starts_with("HTTP/1.1 404"));
            stop.cancel();
        };
        let (served, ()) = futures::future::join(serve(listener, latest, stop.clone()), test).await;
        served.unwrap();
    }

    #[tokio::test]
    async fn requests_that_never_end_are_few_and_short() {
        use std::time::Duration;
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_send, latest) = watch::channel(Arc::new(status(vec![stream(Kind::Pod, StreamState::Live)])));
        let stop = CancellationToken::new();
        let test = async {
            let half = async || {
                let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
                stream.write_all(b"GET /readyz HTTP/1.1\r\nHo").await.unwrap();
                stream
            };
            let mut crowd = Vec::new();
            for _ in 0..20 {
                crowd.push(half().await);
            }
            // Three may stay: this one is answered all the same, and the oldest was let go for the newer ones.
            assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
            let mut answer = Vec::new();
            let _ = crowd.swap_remove(0).read_to_end(&mut answer).await;
            assert!(!answer.starts_with(b"HTTP/1.1 200"));
            // One that drips goes too, when its time is over.
            let mut drip = half().await;
            let ends = async {
                loop {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    if drip.write_all(b"x").await.is_err() {
                        return;
                    }
                }
            };
            tokio::time::timeout(Duration::from_secs(20), ends).await.expect("it is let go");
            stop.cancel();
        };
        let guarded = Guarded::new(listener, 3, Duration::from_millis(300));
        let served = serve_guarded(guarded, latest, stop.clone());
        let (served, ()) = futures::future::join(served, test).await;
        served.unwrap();
    }
}
