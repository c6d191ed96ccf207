//! Connectors built as the program builds them, with a clock that the test sets.

use std::{sync::Arc, time::Duration};

use barrelman::{
    config::{ConnectorSpec, DeliverySettings, Origin},
    connector::{Built, HttpClients, Notification, Outcome, Problem, Rendered, build, samples},
    event::{EventType, incident::Phase},
};
use jiff::Timestamp;
use serde_json::Value;

/// The settings of a test: short time-outs, nothing from the environment.
pub fn settings() -> DeliverySettings {
    DeliverySettings {
        horizon: Duration::from_secs(24 * 3600),
        timeout: Duration::from_secs(2),
        ca_file: None,
        allow_insecure_http: false,
    }
}

/// 2025-01-15T10:30:00Z, the moment of the samples.
pub fn at() -> Timestamp {
    "2025-01-15T10:30:00Z".parse().unwrap()
}

pub fn clients() -> HttpClients {
    HttpClients::new(&settings(), Arc::new(at)).unwrap()
}

pub fn spec(kind: &str, config: &Value) -> ConnectorSpec {
    let config = config.as_object().unwrap().clone();
    ConnectorSpec { name: "test".into(), kind: kind.into(), enabled: true, config, origin: Origin::File }
}

pub fn built(kind: &str, config: &Value) -> Built {
    build(&spec(kind, config), &clients()).unwrap()
}

pub fn problems(kind: &str, config: &Value) -> Vec<Problem> {
    build(&spec(kind, config), &clients()).unwrap_err()
}

pub fn crash(phase: Phase) -> Notification {
    samples::notification(EventType::PodCrashLoop, phase, "test")
}

pub async fn send(built: &Built, notification: &Notification) -> (Rendered, Outcome) {
    let rendered = built.connector.render(notification, None).unwrap();
    let outcome = built.connector.deliver(&rendered).await;
    (rendered, outcome)
}

/// `delivered`, `retry rate_limited`, `reject unauthorized pause`: a line of a table of statuses.
pub fn said(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Delivered { .. } => "delivered".into(),
        Outcome::Retry { reason, .. } => format!("retry {}", reason.as_str()),
        Outcome::Reject { reason, pause, .. } => {
            format!("reject {}{}", reason.as_str(), if *pause { " pause" } else { "" })
        }
    }
}

/// Every text of an outcome: where a secret could hide.
pub fn words(outcome: &Outcome) -> String {
    format!("{outcome:?}")
}

/// A server that answers every connection with these bytes and closes it: hang-ups and half answers.
pub async fn raw_server(answer: &'static [u8]) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[allow(clippy::disallowed_methods)]
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = vec![0; 64 * 1024];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        }
    });
    format!("http://{address}")
}
