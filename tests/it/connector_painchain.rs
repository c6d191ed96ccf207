//! The PainChain connector against a server that behaves as the backend was observed to.

use barrelman::{
    connector::{Notification, Outcome},
    event::incident::Phase,
};
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{method, path},
};

use crate::support::connectors::{built, crash, problems, raw_server, said, send, words};

/// A backend that answers posts like this; it knows these integrations, and makes one when asked.
async fn backend(integrations: Value, status: u16, answer: &str) -> MockServer {
    let server = MockServer::start().await;
    let list = ResponseTemplate::new(200).set_body_json(integrations);
    Mock::given(method("GET")).and(path("/api/integrations")).respond_with(list).mount(&server).await;
    let made = ResponseTemplate::new(201).set_body_json(json!({"id": "made-1", "tenant_id": "t"}));
    Mock::given(method("POST")).and(path("/api/integrations")).respond_with(made).mount(&server).await;
    let taken = ResponseTemplate::new(status).set_body_string(answer);
    Mock::given(method("POST")).and(path("/api/events")).respond_with(taken).mount(&server).await;
    server
}

const TAKEN: &str = r#"{"event_id": "e-1", "stored_at": "2025-01-15T10:30:00.000Z"}"#;

async fn requests(server: &MockServer) -> Vec<(String, Value)> {
    let requests = server.received_requests().await.unwrap();
    let body = |r: &wiremock::Request| serde_json::from_slice(&r.body).unwrap_or_default();
    requests.iter().map(|r| (format!("{} {}", r.method, r.url.path()), body(r))).collect()
}

fn change() -> Notification {
    let mut notification = crash(Phase::Event);
    notification.post = Some(json!({
        "title": "Pod Created: my-app-123", "connector": "kubernetes", "project": "prod:default",
        "timestamp": "2025-01-15T10:00:00.000Z", "externalId": "k8s-pod-prod-default-my-app-123-42",
        "data": {"event_type": "pod", "action": "added", "message": "a \"quote\"\nand 🚀"},
    }));
    notification
}

#[tokio::test]
async fn a_post_goes_as_it_is_with_the_integration_found_once() {
    let known = json!([{"id": "other", "type": "github", "name": "test"}, {"id": "i-7", "type": "kubernetes", "name": "test"}]);
    let server = backend(known, 201, TAKEN).await;
    let painchain =
        built("painchain", &json!({"api_url": server.uri(), "tenant_id": "t-1", "token": "s3cr3t"}));
    let (_, outcome) = send(&painchain, &change()).await;
    let Outcome::Delivered { receipt, status: 201, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(receipt, Some(json!({"event_id": "e-1", "integration_id": "i-7"})));
    send(&painchain, &change()).await;
    let seen = requests(&server).await;
    let lines: Vec<&str> = seen.iter().map(|(line, _)| line.as_str()).collect();
    assert_eq!(lines, ["GET /api/integrations", "POST /api/events", "POST /api/events"]);
    let mut expected = change().post.unwrap();
    expected["integrationId"] = "i-7".into();
    assert_eq!(seen[1].1, expected);
    for request in server.received_requests().await.unwrap() {
        assert_eq!(request.headers["x-tenant-id"], "t-1");
        assert_eq!(request.headers["authorization"], "Bearer s3cr3t");
    }
}

#[tokio::test]
async fn a_missing_integration_is_made_once_even_by_many_at_a_time() {
    let server = backend(json!([]), 201, TAKEN).await;
    let painchain = built("painchain", &json!({"api_url": format!("{}/api/", server.uri())}));
    let notification = change();
    futures::future::join_all((0..8).map(|_| send(&painchain, &notification))).await;
    let seen = requests(&server).await;
    let made: Vec<&Value> =
        seen.iter().filter(|(l, _)| l == "POST /api/integrations").map(|(_, b)| b).collect();
    assert_eq!(
        made,
        [&json!({"type": "kubernetes", "name": "test", "config": {"name": "test", "tags": []}})]
    );
    assert!(
        seen.iter().filter(|(l, _)| l == "POST /api/events").all(|(_, b)| b["integrationId"] == "made-1")
    );
}

#[tokio::test]
async fn an_event_without_a_post_is_mapped() {
    let server = backend(json!([]), 201, TAKEN).await;
    let painchain = built("painchain", &json!({"api_url": server.uri(), "integration_id": "i-1"}));
    let notification = crash(Phase::Opened);
    send(&painchain, &notification).await;
    let (_, body) = requests(&server).await.pop().unwrap();
    assert_eq!(body["integrationId"], "i-1");
    assert_eq!(body["project"], "production:default");
    assert_eq!(body["externalId"], format!("barrelman-{}", notification.id));
    assert_eq!(body["data"]["event_type"], "pod_crash_loop");
    assert_eq!(body["timestamp"], "2025-01-15T10:30:00.000Z");
}

#[tokio::test]
async fn every_status_has_its_meaning() {
    for (status, body, expected) in [
        (201, TAKEN, "delivered"),
        (201, "{}", "retry unexpected_answer"),
        (200, "<html>", "retry unexpected_answer"),
        (301, "", "reject bad_request pause"),
        (400, "malformed", "reject bad_request"),
        (401, "", "reject unauthorized pause"),
        (403, "", "reject unauthorized pause"),
        (404, "", "reject not_found pause"),
        (405, "", "reject bad_request"),
        (408, "", "retry rate_limited"),
        (409, "", "delivered"),
        (410, "", "reject not_found pause"),
        (413, "", "reject bad_request"),
        (415, "", "reject bad_request"),
        (422, "", "reject bad_request"),
        (425, "", "retry rate_limited"),
        (429, "", "retry rate_limited"),
        (500, "unknown integration", "retry bad_request"),
        (500, "duplicate key", "delivered"),
        (501, "", "reject server_error"),
        (502, "", "retry server_error"),
        (503, "", "retry server_error"),
    ] {
        let server = backend(json!([]), status, body).await;
        let painchain = built("painchain", &json!({"api_url": server.uri(), "token": "t0ps3cret"}));
        let (_, outcome) = send(&painchain, &change()).await;
        assert_eq!(said(&outcome), expected, "{status} {body}");
    }
}

#[tokio::test]
async fn after_a_500_the_integration_is_looked_up_again() {
    let server = backend(json!([]), 500, "Internal server error").await;
    let painchain = built("painchain", &json!({"api_url": server.uri()}));
    send(&painchain, &change()).await;
    send(&painchain, &change()).await;
    let seen = requests(&server).await;
    assert_eq!(seen.iter().filter(|(line, _)| line == "GET /api/integrations").count(), 2);
}

#[tokio::test]
async fn the_older_backend_is_read_by_its_words() {
    let config = |uri: &str| json!({"api_url": uri, "mode": "webhooks", "integration_id": 5});
    for (body, expected) in [
        (r#"{"success": true, "duplicate": false, "eventId": 9}"#, "delivered"),
        (r#"{"success": true, "duplicate": true, "eventId": 9}"#, "delivered"),
        (r#"{"success": false, "error": "Missing required fields: title"}"#, "reject bad_request"),
        (r#"{"success": false, "error": "Foreign key constraint violated"}"#, "reject bad_request"),
        (r#"{"success": false, "error": "Unique constraint failed"}"#, "delivered"),
        (r#"{"success": false, "error": "Can't reach database server"}"#, "retry server_error"),
        ("<html>", "retry unexpected_answer"),
    ] {
        let server = backend(json!([]), 200, body).await;
        let (_, outcome) = send(&built("painchain", &config(&server.uri())), &change()).await;
        assert_eq!(said(&outcome), expected, "{body}");
        let seen = requests(&server).await;
        assert_eq!(seen.len(), 1, "no look-up of integrations");
        assert_eq!(seen[0].1["connectionId"], 5);
        assert_eq!(seen[0].1["eventType"], "K8sPod");
        assert_eq!(seen[0].1["eventMetadata"]["action"], "added");
        assert_eq!(seen[0].1["externalId"], "k8s-pod-prod-default-my-app-123-42");
    }
}

#[tokio::test]
async fn no_secret_is_shown_and_broken_answers_are_retried() {
    for url in
        [raw_server(b"").await, raw_server(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nt0ps3cret").await]
    {
        let painchain =
            built("painchain", &json!({"api_url": url, "integration_id": "i", "token": "t0ps3cret"}));
        let (_, outcome) = send(&painchain, &change()).await;
        assert_eq!(said(&outcome), "retry network");
        assert!(!words(&outcome).contains("t0ps3cret") && !format!("{painchain:?}").contains("t0ps3cret"));
    }
}

#[test]
fn settings_are_checked() {
    let said = |config: &Value| problems("painchain", config)[0].to_string();
    assert!(said(&json!({"api_url": "http://painchain.svc:8000"})).contains("allow_insecure_http"));
    assert!(said(&json!({"api_url": "https://h", "mode": "webhooks"})).contains("number"));
    assert!(said(&json!({})).contains("api_url: is required"));
}
