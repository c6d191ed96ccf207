//! The webhook connector against real HTTP servers.

use barrelman::{
    connector::{Checked, DigestLine, Outcome},
    event::incident::Phase,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::support::connectors::{at, built, crash, problems, raw_server, said, send, words};

async fn server(status: u16) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(status).set_body_string("thanks"))
        .mount(&server)
        .await;
    server
}

async fn body(server: &MockServer) -> (wiremock::Request, Value) {
    let request = server.received_requests().await.unwrap().pop().unwrap();
    let body = serde_json::from_slice(&request.body).unwrap_or_default();
    (request, body)
}

#[tokio::test]
async fn every_phase_sends_the_documented_payload() {
    let server = server(200).await;
    let webhook = built("webhook", &json!({"url": server.uri()}));
    for phase in [Phase::Opened, Phase::Resolved, Phase::Event, Phase::Digest, Phase::Test] {
        let (rendered, outcome) = send(&webhook, &crash(phase)).await;
        assert_eq!(
            outcome,
            Outcome::Delivered { receipt: None, status: 200, answer: "thanks".into() },
            "{phase:?}"
        );
        let pretty: Value = serde_json::from_str(&rendered.body).unwrap();
        insta::assert_json_snapshot!(format!("payload_{}", phase.as_str()), pretty);
        let keys = rendered.body.find("\"event_type\"").unwrap();
        assert_eq!(keys, 1, "the guide's object comes first");
    }
}

#[tokio::test]
async fn a_digest_lists_what_it_stands_for() {
    let server = server(200).await;
    let webhook = built("webhook", &json!({"url": server.uri()}));
    let mut digest = crash(Phase::Digest);
    digest.digest.push(DigestLine { title: "third".into(), ..digest.digest[0].clone() });
    send(&webhook, &digest).await;
    let (_, sent) = body(&server).await;
    assert_eq!(sent["digest"].as_array().unwrap().len(), 3);
    assert_eq!(sent["digest"][2]["title"], "third");
}

#[tokio::test]
async fn the_signature_covers_the_exact_bytes_and_the_id_stays() {
    let server = server(204).await;
    let secret = format!("whsec_{}", BASE64_STANDARD.encode("a key of some length"));
    let webhook = built("webhook", &json!({"url": server.uri(), "signing_secret": secret}));
    let mut notification = crash(Phase::Opened);
    notification.event.title = format!("\"quoted\"\nline — 🚀 {}", "x".repeat(100_000));
    let (rendered, _) = send(&webhook, &notification).await;
    let again = webhook.connector.deliver(&rendered).await;
    assert_eq!(said(&again), "delivered");
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 2);
    for request in &requests {
        let header = |name: &str| request.headers.get(name).unwrap().to_str().unwrap().to_owned();
        let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
        assert_eq!((id.as_str(), header("idempotency-key")), (notification.id.as_str(), id.clone()));
        assert!(!id.contains('.'));
        assert_eq!(timestamp, at().as_second().to_string());
        let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(b"a key of some length").unwrap();
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(&request.body);
        let expected = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
        assert_eq!(header("webhook-signature"), expected);
        let sent: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(sent["title"], notification.event.title);
    }
}

#[tokio::test]
async fn method_headers_and_the_users_content_type_win() {
    let server = server(200).await;
    let config = json!({
        "url": server.uri(), "method": "PUT",
        "headers": "{\"Content-Type\": \"text/plain; charset=utf-8\", \"X-API-Key\": \"k-123\"}",
        "body_template": "{{title}} <{{cluster}}>",
    });
    let (_, outcome) = send(&built("webhook", &config), &crash(Phase::Opened)).await;
    assert_eq!(said(&outcome), "delivered");
    let (request, _) = body(&server).await;
    assert_eq!(request.method.as_str(), "PUT");
    assert_eq!(request.headers.get_all("content-type").iter().count(), 1);
    assert_eq!(request.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(request.headers["x-api-key"], "k-123");
    assert_eq!(request.body, b"Pod my-app-123 in crash loop <production>");
}

#[tokio::test]
async fn cloud_events_are_structured_and_small() {
    let server = server(202).await;
    let webhook = built("webhook", &json!({"url": server.uri(), "format": "cloudevents"}));
    let mut notification = crash(Phase::Opened);
    notification.event.annotations.insert("note".into(), "x".repeat(70_000));
    let (rendered, _) = send(&webhook, &notification).await;
    let (request, sent) = body(&server).await;
    assert_eq!(request.headers["content-type"], "application/cloudevents+json");
    assert_eq!(sent["specversion"], "1.0");
    assert_eq!(sent["id"], notification.id.as_str());
    assert_eq!(sent["type"], "barrelman.pod_crash_loop");
    assert_eq!(sent["source"], "/barrelman/production");
    assert_eq!(sent["data"]["resource"], "Pod/my-app-123");
    assert_eq!(sent["data"]["annotations"], json!({}));
    assert!(request.body.len() <= 64 * 1024 && rendered.note.is_some());
}

#[tokio::test]
async fn json_lines_end_with_a_newline() {
    let server = server(200).await;
    let webhook = built("webhook", &json!({"url": server.uri(), "format": "jsonl"}));
    let (rendered, _) = send(&webhook, &crash(Phase::Opened)).await;
    assert_eq!(rendered.body.matches('\n').count(), 1);
    assert!(rendered.body.ends_with("}\n"));
}

#[tokio::test]
async fn a_template_that_fails_at_run_time_falls_back_with_a_note() {
    let server = server(200).await;
    let config = json!({
        "url": server.uri(), "events": ["pod_crash_loop"],
        "body_template": "{\"n\": {{ details.restart_count }}}",
    });
    let webhook = built("webhook", &config);
    let mut notification = crash(Phase::Opened);
    notification.event.details.remove("restart_count");
    let (rendered, outcome) = send(&webhook, &notification).await;
    assert_eq!(said(&outcome), "delivered");
    assert!(rendered.note.unwrap().contains("body_template failed"));
    assert_eq!(body(&server).await.1["event_type"], "pod_crash_loop");
}

#[tokio::test]
async fn every_status_has_its_meaning() {
    for (status, expected) in [
        (200, "delivered"),
        (202, "delivered"),
        (204, "delivered"),
        (301, "reject bad_request pause"),
        (400, "reject bad_request"),
        (401, "reject unauthorized pause"),
        (403, "reject unauthorized pause"),
        (404, "reject not_found pause"),
        (405, "reject bad_request"),
        (408, "retry rate_limited"),
        (410, "reject not_found pause"),
        (413, "reject bad_request"),
        (415, "reject bad_request"),
        (422, "reject bad_request"),
        (425, "retry rate_limited"),
        (429, "retry rate_limited"),
        (500, "retry server_error"),
        (501, "reject server_error"),
        (503, "retry server_error"),
    ] {
        let server = server(status).await;
        let (_, outcome) =
            send(&built("webhook", &json!({"url": server.uri()})), &crash(Phase::Opened)).await;
        assert_eq!(said(&outcome), expected, "{status}");
    }
}

#[tokio::test]
async fn retry_after_is_read_as_seconds_and_as_a_date() {
    for text in ["90", "Wed, 15 Jan 2025 10:31:30 GMT"] {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(429).insert_header("retry-after", text);
        Mock::given(any()).respond_with(answer).mount(&server).await;
        let (_, outcome) =
            send(&built("webhook", &json!({"url": server.uri()})), &crash(Phase::Opened)).await;
        let Outcome::Retry { after, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(after, Some(std::time::Duration::from_secs(90)), "{text}");
    }
}

#[tokio::test]
async fn hang_ups_are_retried_and_a_2xx_counts_even_if_its_body_breaks_off() {
    let hang_up = raw_server(b"").await;
    let half = raw_server(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
    let garbage = raw_server(b"not http at all\r\n\r\n").await;
    for (url, expected) in [
        (hang_up, "retry network"),
        (half, "delivered"),
        (garbage, "retry network"),
        ("http://127.0.0.1:1".to_owned(), "retry network"),
    ] {
        let (_, outcome) = send(&built("webhook", &json!({"url": url})), &crash(Phase::Opened)).await;
        assert_eq!(said(&outcome), expected, "{outcome:?}");
    }
}

#[tokio::test]
async fn no_answer_in_time_is_a_time_out() {
    let server = MockServer::start().await;
    let slow = ResponseTemplate::new(200).set_delay(std::time::Duration::from_secs(30));
    Mock::given(any()).respond_with(slow).mount(&server).await;
    let (_, outcome) = send(&built("webhook", &json!({"url": server.uri()})), &crash(Phase::Opened)).await;
    assert_eq!(said(&outcome), "retry timeout");
}

#[tokio::test]
async fn no_secret_is_in_any_answer_error_or_debug() {
    let server = MockServer::start().await;
    let echo = |request: &wiremock::Request| {
        let auth = request.headers["authorization"].to_str().unwrap();
        ResponseTemplate::new(403).set_body_string(format!("{} {auth} no", request.url))
    };
    Mock::given(any()).respond_with(echo).mount(&server).await;
    let config = |base: &str| {
        json!({"url": format!("{base}/hook/t0ps3cretpath?key=t0ps3cretkey"), "signing_secret": "t0ps3cretsign",
               "headers": {"Authorization": "Bearer t0ps3crettoken"}})
    };
    for base in [server.uri(), "http://127.0.0.1:1".to_owned(), raw_server(b"t0ps3crettoken").await] {
        let webhook = built("webhook", &config(&base));
        let (rendered, outcome) = send(&webhook, &crash(Phase::Opened)).await;
        let check = webhook.connector.check().await;
        for text in [words(&outcome), format!("{rendered:?}"), format!("{webhook:?}"), format!("{check:?}")] {
            assert!(!text.contains("t0ps3cret"), "{text}");
        }
    }
    let wrong = json!({"url": "ftp://h/t0ps3cret", "signing_secret": "whsec_t0ps3cret!", "headers": {"a b": "t0ps3cret"}});
    assert!(!format!("{:?}", problems("webhook", &wrong)).contains("t0ps3cret"));
}

#[tokio::test]
async fn settings_are_checked_all_at_once() {
    let said = |config: &Value| -> Vec<String> {
        problems("webhook", config).iter().map(ToString::to_string).collect()
    };
    let wrong = json!({"url": "http://example.com/x", "methd": "POST", "method": "GET", "headers": {"Host": "x"},
                       "body_template": "{{ nope }}", "events": ["pod_crash_loop"]});
    let all = said(&wrong).join("\n");
    for part in [
        "https://",
        "did you mean \"method\"",
        "one of POST, PUT, PATCH",
        "headers.Host",
        "body_template: fails for pod_crash_loop",
    ] {
        assert!(all.contains(part), "{part} in {all}");
    }
    let missing = said(&json!({}));
    assert_eq!(missing, ["url: is required"]);
    let guide = json!({"url": "https://api.example.com/kubegraf/events", "method": "POST",
                       "headers": {"Authorization": "Bearer YOUR_TOKEN"}, "events": ["all"]});
    let found = problems("webhook", &guide);
    assert!(found.len() == 1 && found[0].incomplete && found[0].option == "headers.Authorization");
    assert!(problems("webhok", &json!({}))[0].message.contains("did you mean \"webhook\""));
}

#[tokio::test]
async fn plain_http_needs_loopback_or_leave() {
    built("webhook", &json!({"url": "http://localhost:9/x"}));
    built("webhook", &json!({"url": "http://[::1]:9/x"}));
    built("webhook", &json!({"url": "http://example.com/x", "allow_insecure_http": true}));
    assert!(
        problems("webhook", &json!({"url": "http://example.com/x"}))[0]
            .message
            .contains("allow_insecure_http")
    );
}

#[tokio::test]
async fn check_sends_nothing() {
    let server = server(405).await;
    let webhook = built("webhook", &json!({"url": server.uri()}));
    let neutral = "answers (HTTP 405) to a HEAD, which says nothing of a message";
    assert!(matches!(webhook.connector.check().await, Ok(Checked::Answers(line)) if line.ends_with(neutral)));
    assert!(server.received_requests().await.unwrap().iter().all(|r| r.method.as_str() == "HEAD"));
    for (status, level) in
        [(200, "Works"), (204, "Works"), (404, "Answers"), (501, "Answers"), (500, "Unwell"), (503, "Unwell")]
    {
        let server = self::server(status).await;
        let checked = built("webhook", &json!({"url": server.uri()})).connector.check().await.unwrap();
        assert!(
            format!("{checked:?}").starts_with(level) && checked.line().contains(&status.to_string()),
            "{checked:?}"
        );
    }
    let gone = built("webhook", &json!({"url": "http://127.0.0.1:1/"}));
    assert!(gone.connector.check().await.unwrap_err().contains("127.0.0.1:1"));
}
