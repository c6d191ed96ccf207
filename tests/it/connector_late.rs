//! A variable in a webhook's body: its value is in what is sent, and in nothing that is kept or shown.

use std::{
    path::Path,
    process::{Child, Command},
    time::Duration,
};

use barrelman::event::incident::Phase;
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::support::{
    bench::{Bench, until},
    cli::Home,
    connectors::{built, crash, problems, said, send},
    sink::{Sink, status},
    watching::clock,
};

const KUBECONFIG: &str = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "away",
    "contexts": [{"name": "away", "context": {"cluster": "away", "user": "nobody"}}], "users": [{"name": "nobody"}],
    "clusters": [{"name": "away", "cluster": {"server": "https://127.0.0.1:1"}}]}"#;

/// Everything in a directory that holds the text.
fn holding(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if std::fs::read(&path).unwrap().windows(text.len()).any(|w| w == text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

fn forward(home: &Home) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(home.path().join("log")).unwrap();
    home.command(&["forward"]).stdout(std::process::Stdio::null()).stderr(log).spawn().unwrap()
}

async fn stop(mut forward: Child) {
    assert!(Command::new("kill").arg(forward.id().to_string()).status().unwrap().success());
    tokio::task::spawn_blocking(move || forward.wait()).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_variable_of_a_body_is_sent_and_kept_nowhere() {
    const OLD: &str = "r0ut1ng-k3y-0ld";
    const NEW: &str = "r0ut1ng-k3y-n3w";
    // It repeats what it was sent, as some do.
    let sink = Sink::start(|_, body| {
        let code = match body {
            _ if body.contains("refused") => 422,
            _ if body.contains(OLD) => 503,
            _ => 200,
        };
        status(code).saying(body)
    })
    .await;
    let mut home = Home::new();
    let kubeconfig = home.file("kubeconfig", KUBECONFIG);
    home.set("KUBECONFIG", &kubeconfig);
    home.set("HOOK_KEY", OLD);
    home.config(&format!(
        "[[connectors]]\nname = \"hook\"\ntype = \"webhook\"\nenabled = true\n[connectors.config]\nurl = {:?}\n\
         body_template = '{{\"routing_key\": \"${{HOOK_KEY}}\", \"title\": \"{{{{title}}}}\"}}'\n",
        sink.url
    ));
    std::fs::create_dir_all(home.data()).unwrap();
    let bench = Bench::open(&home.data());
    let mut waits = bench.message("hook", "waits", Phase::Opened);
    // Who may write into a cluster cannot have the key put elsewhere.
    waits.event.title = "waits ${HOOK_KEY}$".into();
    let now = clock();
    (waits.created_at, waits.event.timestamp) = (now, now);
    let mut refused = bench.message("hook", "refused", Phase::Opened);
    (refused.created_at, refused.event.timestamp) = (now, now);
    bench.put_due(vec![waits, refused], now).await;
    bench.close().await;

    let first = forward(&home);
    let tried = |code: u16| sink.seen().iter().any(|s| s.status == code);
    until("both are tried", || tried(503) && tried(422)).await;
    assert!(
        sink.seen()[0].body.starts_with(&format!("{{\"routing_key\": \"{OLD}\"")),
        "{:?}",
        sink.seen()[0]
    );
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop(first).await;
    assert_eq!(holding(&home.data(), OLD), [] as [String; 0], "nothing on disk");
    assert_eq!(holding(home.path(), OLD), [] as [String; 0], "nor in a log");
    assert_eq!(
        holding(&home.data(), r#"{\"routing_key\": \"${HOOK_KEY}\""#).len(),
        1,
        "what is kept names it"
    );
    for args in [
        &["deliveries", "list", "-o", "json"][..],
        &["deliveries", "list", "--dead"],
        &["connectors", "list"],
        &["connectors", "export"],
        &["config", "show"],
    ] {
        let ran = home.run_async(args).await;
        assert!(!format!("{}{}", ran.out, ran.err).contains(OLD), "{args:?}: {ran:?}");
    }

    // The next attempt of a message that was made before goes out with what the variable holds now.
    home.set("HOOK_KEY", NEW);
    let second = forward(&home);
    until("taken", || sink.count() == 1).await;
    stop(second).await;
    let sent = sink.seen().pop().unwrap().body;
    assert_eq!(sent, format!("{{\"routing_key\": \"{NEW}\", \"title\": \"waits ${{HOOK_KEY}}$\"}}"));
    assert_eq!(holding(home.path(), NEW), [] as [String; 0]);
}

/// A webhook as it is built once its secrets are resolved.
fn resolved(url: &str, template: &str, more: &[(&str, Value)]) -> Value {
    let mut config = json!({"url": url, "body_template": template,
        "${}": {"body_template": {"KEY": "k&y \"1\"", "CHAT": "-1001"}}});
    for (name, value) in more {
        config[*name] = value.clone();
    }
    config
}

#[tokio::test]
async fn it_is_encoded_for_the_body_and_signed_as_sent() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let form = json!({"Content-Type": "application/x-www-form-urlencoded"});
    for (template, more, expected) in [
        (r#"{"k": "${KEY}", "chat": ${CHAT}}"#, vec![], r#"{"k": "k&y \"1\"", "chat": -1001}"#),
        ("token=${KEY}&n={{count}}", vec![("headers", form)], "token=k%26y+%221%22&n=1"),
    ] {
        let signed = [more, vec![("signing_secret", json!("secret of ours"))]].concat();
        let webhook = built("webhook", &resolved(&server.uri(), template, &signed));
        let (rendered, outcome) = send(&webhook, &crash(Phase::Opened)).await;
        assert_eq!(said(&outcome), "delivered");
        assert!(rendered.body.contains("${KEY}") && !format!("{rendered:?}").contains("k&y"), "{rendered:?}");
        let request = server.received_requests().await.unwrap().pop().unwrap();
        assert_eq!(std::str::from_utf8(&request.body).unwrap(), expected);
        let header = |name: &str| request.headers[name].to_str().unwrap().to_owned();
        let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(b"secret of ours").unwrap();
        mac.update(format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).as_bytes());
        mac.update(&request.body);
        let signature = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
        assert_eq!(header("webhook-signature"), signature);
    }
}

#[tokio::test]
async fn one_that_the_template_does_not_name_any_more_is_told_and_not_sent() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let webhook = built("webhook", &resolved(&server.uri(), "{\"k\": \"${KEY}\"}", &[]));
    let rendered = webhook.connector.render(&crash(Phase::Opened), None).unwrap();
    let later = built("webhook", &json!({"url": server.uri(), "body_template": "{\"k\": \"{{title}}\"}"}));
    let outcome = later.connector.deliver(&rendered).await;
    assert_eq!(said(&outcome), "reject render");
    assert!(format!("{outcome:?}").contains("deliveries retry"), "{outcome:?}");
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[test]
fn what_would_look_at_it_or_break_the_body_is_refused_when_it_is_saved() {
    for (template, expected) in [
        ("{\"n\": {{ '${KEY}' | length }}}", "${KEY} stands within braces"),
        ("{% if '${KEY}' == 'k' %}{}{% endif %}", "${KEY} stands within braces"),
        ("{\"k\": ${KEY}}", "is no JSON once its variables are put in"),
    ] {
        let said = problems("webhook", &resolved("http://127.0.0.1:1/x", template, &[]));
        let said: Vec<String> = said.iter().map(ToString::to_string).collect();
        assert!(said.len() == 1 && said[0].contains(expected) && !said[0].contains("k&y"), "{said:?}");
    }
}
