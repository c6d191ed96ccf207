//! The local sink answers as the services that it stands for, and fails on command.

use std::sync::Arc;

use barrelman::demo::sink::{Mood, Sink};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::{noon, soon};

async fn sink() -> (Sink, String, JoinSet<std::io::Result<()>>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let sink = Sink::new(Arc::new(noon));
    let server = sink.serve().await.expect("a port");
    let url = server.url();
    let mut tasks = JoinSet::new();
    tasks.spawn(server.run(CancellationToken::new()));
    (sink, url, tasks)
}

async fn post(url: &str, body: &Value) -> (u16, String) {
    let request = reqwest::Client::new().post(url).header("webhook-id", "n-1").json(body);
    let reply = soon(request.send()).await.expect("a reply");
    (reply.status().as_u16(), reply.text().await.expect("a body"))
}

fn event(integration: &str, external: &str) -> Value {
    json!({"title": "Pod Created: web", "connector": "kubernetes", "project": "demo:shop",
        "timestamp": "2026-03-02T12:00:00.000Z", "data": {"kind": "Pod"}, "integrationId": integration, "externalId": external})
}

#[tokio::test]
async fn webhooks_are_recorded_with_their_ids() {
    let (sink, url, _tasks) = sink().await;
    assert_eq!(post(&format!("{url}/hook"), &json!({"id": "e1"})).await.0, 200);
    let received = sink.accepted("/hook");
    assert_eq!(received.len(), 1);
    let first = received.first().expect("one");
    assert_eq!((first.id(), first.json()["id"].as_str(), first.at), ("n-1", Some("e1"), noon()));
}

#[tokio::test]
async fn it_keeps_so_much_and_no_more_however_long_it_runs() {
    let sink = Sink::keeping(3, Arc::new(noon));
    let server = sink.serve().await.expect("a port");
    let url = server.url();
    let mut tasks = JoinSet::new();
    tasks.spawn(server.run(CancellationToken::new()));
    sink.set_mood(Some("/hook/flaky"), Mood::Fail(503), None);
    for n in 0..5 {
        assert_eq!(post(&format!("{url}/hook"), &json!({"id": n})).await.0, 200);
        assert_eq!(post(&format!("{url}/hook/flaky"), &json!({"id": n})).await.0, 503);
    }
    assert_eq!((sink.received().len(), sink.total()), (3, 10));
    // As long as the mood lasts, not so many times: it is over when that is said.
    sink.recover_on("/hook/flaky");
    assert_eq!(post(&format!("{url}/hook/flaky"), &json!({"id": 9})).await.0, 200);
}

#[tokio::test]
async fn slack_says_ok_or_why_not() {
    let (_sink, url, _tasks) = sink().await;
    assert_eq!(post(&format!("{url}/slack"), &json!({"text": "hello"})).await, (200, "ok".to_owned()));
    assert_eq!(post(&format!("{url}/slack"), &json!({})).await, (400, "no_text".to_owned()));
}

#[tokio::test]
async fn painchain_deduplicates_by_integration_and_refuses_with_500() {
    let (_sink, url, _tasks) = sink().await;
    let made = post(
        &format!("{url}/api/integrations"),
        &json!({"type": "kubernetes", "name": "demo", "config": {"tags": []}}),
    )
    .await;
    assert_eq!(made.0, 201);
    let made: Value = serde_json::from_str(&made.1).expect("JSON");
    let id = made["id"].as_str().expect("an id");
    let events = format!("{url}/api/events");
    let first = post(&events, &event(id, "pod-web-1")).await;
    assert_eq!(first.0, 201);
    assert_eq!(post(&events, &event(id, "pod-web-1")).await, first, "the old id and time");
    assert_ne!(post(&events, &event(id, "pod-web-2")).await, first);
    let mut without = event(id, "x");
    without.as_object_mut().expect("an object").remove("integrationId");
    assert_ne!(
        post(&events, &without).await.1,
        post(&events, &without).await.1,
        "no integration, no deduplication"
    );
    assert_eq!(post(&events, &event("unknown", "y")).await.0, 500);
    assert_eq!(post(&events, &json!([event(id, "z")])).await.0, 500);
    let mut big = event(id, "big");
    big["data"]["text"] = json!("x".repeat(110_000));
    assert_eq!(post(&events, &big).await.0, 413);
    let reply = soon(reqwest::Client::new().post(&events).body("{").send()).await.expect("a reply");
    assert_eq!(reply.status().as_u16(), 400);
}

#[tokio::test]
async fn it_fails_throttles_and_hangs_up_on_command() {
    let (sink, url, _tasks) = sink().await;
    let hook = format!("{url}/hook");
    sink.set_mood(Some("/hook"), Mood::Fail(503), Some(2));
    assert_eq!(
        [post(&hook, &json!(1)).await.0, post(&hook, &json!(1)).await.0, post(&hook, &json!(1)).await.0],
        [503, 503, 200]
    );
    sink.set_mood(None, Mood::Throttle(9), None);
    let reply = soon(reqwest::Client::new().post(&hook).send()).await.expect("a reply");
    assert_eq!((reply.status().as_u16(), reply.headers()["retry-after"].to_str().expect("text")), (429, "9"));
    sink.recover();
    for mood in [Mood::HangUp, Mood::AcceptAndHangUp] {
        sink.set_mood(None, mood, Some(1));
        let reply = soon(reqwest::Client::new().post(&hook).body("x").send()).await;
        let answered = match reply {
            Ok(reply) => soon(reply.bytes()).await.is_ok(),
            Err(_) => false,
        };
        assert!(!answered, "the sender must not see a whole answer");
    }
    assert_eq!(sink.accepted("/hook").len(), 2, "one before, and the one that was accepted in silence");
    assert_eq!(sink.total(), 6);
}
