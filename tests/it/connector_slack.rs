//! The Slack connector against real HTTP servers.

use barrelman::{connector::Outcome, event::incident::Phase};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::support::connectors::{built, crash, problems, raw_server, said, send, words};

async fn server(status: u16, body: &str) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(status).set_body_string(body)).mount(&server).await;
    server
}

fn config(uri: &str) -> Value {
    json!({"webhook_url": format!("{uri}/services/T00000000/B00000000/t0ps3cretpath"), "channel": "#k8s-alerts"})
}

#[tokio::test]
async fn the_message_for_each_phase() {
    let server = server(200, "ok").await;
    let slack = built("slack", &config(&server.uri()));
    for phase in [Phase::Opened, Phase::Resolved, Phase::Digest, Phase::Test] {
        let (rendered, outcome) = send(&slack, &crash(phase)).await;
        assert_eq!(said(&outcome), "delivered");
        let body: Value = serde_json::from_str(&rendered.body).unwrap();
        assert!(body["text"].as_str().unwrap().len() <= 4_000);
        assert_eq!(body["channel"], "#k8s-alerts");
        insta::assert_json_snapshot!(format!("slack_{}", phase.as_str()), body);
    }
}

#[tokio::test]
async fn only_200_with_ok_is_a_success() {
    for (status, body, expected) in [
        (200, "ok", "delivered"),
        (200, "<html>log in</html>", "retry unexpected_answer"),
        (202, "ok", "retry unexpected_answer"),
        (200, "invalid_token", "reject unauthorized pause"),
        (301, "", "reject bad_request pause"),
        (400, "invalid_payload", "reject bad_request"),
        (400, "user_not_found", "reject not_found pause"),
        (401, "", "reject unauthorized pause"),
        (403, "invalid_token", "reject unauthorized pause"),
        (403, "action_prohibited", "reject unauthorized pause"),
        (404, "channel_not_found", "reject not_found pause"),
        (404, "no_service", "reject not_found pause"),
        (404, "", "reject not_found pause"),
        (405, "", "reject bad_request"),
        (408, "", "retry rate_limited"),
        (410, "channel_is_archived", "reject not_found pause"),
        (413, "", "reject bad_request"),
        (415, "", "reject bad_request"),
        (422, "", "reject bad_request"),
        (425, "", "retry rate_limited"),
        (429, "rate_limited", "retry rate_limited"),
        (500, "rollup_error", "retry server_error"),
        (501, "", "reject server_error"),
        (503, "", "retry server_error"),
    ] {
        let server = server(status, body).await;
        let (_, outcome) = send(&built("slack", &config(&server.uri())), &crash(Phase::Opened)).await;
        assert_eq!(said(&outcome), expected, "{status} {body}");
        assert!(!words(&outcome).contains("t0ps3cret"));
    }
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    for (status, body, hint) in [
        (404, "channel_not_found", "correct or remove `channel`"),
        (404, "no_service", "make a new one"),
        (403, "invalid_token", "copy it again from Slack"),
    ] {
        let server = server(status, body).await;
        let (_, outcome) = send(&built("slack", &config(&server.uri())), &crash(Phase::Opened)).await;
        assert!(words(&outcome).contains(hint), "{outcome:?}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_success() {
    let half = raw_server(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nok").await;
    let (_, outcome) = send(&built("slack", &config(&half)), &crash(Phase::Opened)).await;
    assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");
}

#[tokio::test]
async fn check_posts_no_message() {
    let known = server(400, "no_text").await;
    assert!(built("slack", &config(&known.uri())).connector.check().await.is_ok());
    assert_eq!(known.received_requests().await.unwrap()[0].body, b"{}");
    let gone = server(404, "no_service").await;
    assert!(
        built("slack", &config(&gone.uri())).connector.check().await.unwrap_err().contains("make a new one")
    );
}

#[test]
fn the_guides_examples_load_as_incomplete() {
    for url in ["...", "https://hooks.slack.com/services/YOUR/WEBHOOK/URL"] {
        let found = problems(
            "slack",
            &json!({"webhook_url": url, "channel": "#k8s-alerts",
            "events": ["pod_crash", "high_cpu", "security_issue"],
            "conditions": {"cost_threshold": 1000, "namespace": "production"}}),
        );
        assert_eq!(found.len(), 1);
        assert!(found[0].incomplete && found[0].option == "webhook_url");
    }
}
