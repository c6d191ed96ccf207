//! `barrelman connectors` and `deliveries`, alone and beside an engine; and that no command prints a secret.

use std::sync::Arc;

use barrelman::{
    connector::{Reason, samples},
    event::{EventType, incident::Phase},
    feed::{Action, Feed, Reply},
    server::{Engine, attach},
    status::{ConnectorStatus, Status},
    store::{AUDIT, CONNECTORS, DEAD, DeadLetter, OUTBOX, OutboxRow, Read, Reader, Store},
};
use serde_json::Value;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::method};

use crate::support::cli::Home;

const GUIDE: &str = r##"{"name": "Production Alerts", "type": "slack",
    "config": {"webhook_url": "https://hooks.slack.com/services/T01/B01/verySecretSlackPath", "channel": "#k8s-alerts", "events": ["pod_crash", "high_cpu", "security_issue"]}}"##;
const SECRETS: &[&str] = &[
    "verySecretSlackPath",
    "sk-literal-token-000",
    "hunter2-from-env",
    "filesecret-777",
    "whsec_c2lnbmluZ3NlY3JldA",
];

fn audit(home: &Home) -> Vec<String> {
    let snapshot = Reader::open(&home.data()).unwrap().snapshot().unwrap();
    let mut rows = Vec::new();
    snapshot
        .read_log(&AUDIT, 0, &mut |_, row| {
            rows.push(format!("{} {}", row.action, row.connector));
            true
        })
        .unwrap();
    rows
}

#[test]
fn a_connector_is_added_switched_listed_exported_and_removed() {
    let home = Home::new();
    assert!(home.run(&["connectors", "list"]).err.contains("there is none"));
    let said = home
        .run(&[
            "connectors",
            "add",
            "hook",
            "--type",
            "webhook",
            "--set",
            "url=https://x.example/SECRETSECRETSECRET",
            "--set",
            "headers:={\"Authorization\":\"Bearer sk-literal-token-000\"}",
        ])
        .ok();
    assert_eq!(said, "hook is saved; it is off: barrelman connectors enable 'hook'\n");
    let row =
        Reader::open(&home.data()).unwrap().snapshot().unwrap().get(&CONNECTORS, "hook").unwrap().unwrap();
    let stored = serde_json::to_string(&row).unwrap();
    assert!(
        stored.contains("sealed:v1:") && !stored.contains("sk-literal") && !stored.contains("SECRETSECRET"),
        "{stored}"
    );
    let said = home
        .run(&["connectors", "add", "hook", "--type", "webhook", "--set", "url=https://y.example"])
        .failed(2);
    assert!(said.contains("there is a connector hook already"), "{said}");
    let said = home
        .run(&["connectors", "add", "bad", "--type", "webhok", "--set", "url=https://y.example"])
        .failed(2);
    assert!(said.contains("did you mean \"webhook\"?"), "{said}");
    let said = home.run(&["connectors", "add", "bad", "--type", "webhook", "--set", "nourl"]).failed(2);
    assert!(said.contains("expected key=value"), "{said}");
    let line =
        |home: &Home| home.run(&["connectors", "list"]).ok().lines().nth(1).unwrap_or_default().to_owned();
    assert!(line(&home).contains("off"), "{}", line(&home));
    assert_eq!(home.run(&["connectors", "enable", "hook"]).ok(), "hook is on\n");
    assert!(line(&home).contains(" on "), "{}", line(&home));
    let off = home.run(&["connectors", "disable", "hook"]).ok();
    assert!(
        off.starts_with("hook is off: what begins or ends meanwhile is not told to it later")
            && !off.contains("says"),
        "{off}"
    );
    let said = home.run(&["connectors", "enable", "nobody"]).failed(2);
    assert!(said.contains("there is no connector \"nobody\""), "{said}");
    let exported: Value = serde_json::from_str(&home.run(&["connectors", "export"]).ok()).unwrap();
    assert_eq!(exported["connectors"][0]["config"]["url"], "${HOOK_URL}");
    let cut = home.run(&["connectors", "export", "hook", "--secrets", "cut"]).ok();
    assert!(!cut.contains("url"), "{cut}");
    assert!(home.run(&["connectors", "remove", "hook"]).failed(2).contains("say --yes"));
    assert_eq!(
        home.run(&["connectors", "remove", "hook", "--yes"]).ok(),
        "hook is deleted, with 0 waiting messages\n"
    );
    assert!(home.run(&["connectors", "remove", "hook", "--yes"]).failed(2).contains("there is no connector"));
    assert_eq!(audit(&home), ["create hook", "enable hook", "disable hook", "delete hook"]);
}

#[test]
fn a_slip_in_a_name_or_directory_makes_no_store() {
    let home = Home::new();
    for command in
        [&["test", "nope"][..], &["enable", "nope"], &["disable", "nope"], &["remove", "nope", "--yes"]]
    {
        let said = home.run(&[&["connectors"], command].concat());
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains("no connector \"nope\"") && said.err.contains("--data-dir"), "{said:?}");
    }
    assert!(!home.data().join("barrelman.redb").exists());
}

#[test]
fn both_shapes_of_the_guide_are_imported_and_an_export_loads_again() {
    let home = Home::new();
    let one = home.file("one.json", GUIDE);
    let said = home.run(&["connectors", "import", &one]).ok();
    assert!(said.contains("Production Alerts is saved; these cannot happen: high_cpu (needs "), "{said}");
    assert!(said.contains("; it is off: barrelman connectors enable 'Production Alerts'"), "{said}");
    let two = home.file(
        "two.json",
        r#"{"connectors": [{"name": "a", "type": "webhook", "enabled": true, "config": {"url": "https://a.example", "events": ["all"]}},
            {"name": "b", "type": "webhook", "config": {"url": "${B_URL}"}}]}"#,
    );
    let said = home.run(&["connectors", "import", &two]).ok();
    assert!(
        said.contains("b is saved, and cannot send yet: url: the environment variable B_URL is not set"),
        "{said}"
    );
    let said = home.run(&["connectors", "import", &two]).failed(1);
    assert!(said.contains("nothing was imported") && said.contains("a: is there already"), "{said}");
    home.run(&["connectors", "import", &two, "--replace"]).ok();
    let wrong = home.file("wrong.json", r#"[{"name": "c", "type": "webhook", "config": {"url": "https://c.example"}}, {"name": "d", "type": "webhook", "config": {"url": 7}}]"#);
    let said = home.run(&["connectors", "import", &wrong]).failed(6);
    assert!(said.contains("1 of 2 connectors imported; these were not:\n  d: url: "), "{said}");
    let guide = home.file(
        "guide.json",
        r#"{"connectors": [{"name": "e", "type": "pagerduty", "config": {"integration_key": "x"}},
            {"name": "f", "type": "webhook", "extra": 1, "config": {"url": "https://f.example"}}]}"#,
    );
    let said = home.run(&["connectors", "import", &guide]).failed(1);
    assert!(
        said.contains("nothing was imported") && said.contains("pagerduty is not in this version"),
        "{said}"
    );
    assert!(said.contains("connectors[1].extra: unknown key"), "{said}");
    let export = home.run(&["connectors", "export"]).ok();
    let names: Value = serde_json::from_str(&export).unwrap();
    assert_eq!(names["connectors"].as_array().unwrap().len(), 4, "c was taken, d was not: {export}");
    let mut other = Home::new();
    other
        .set("PRODUCTION_ALERTS_WEBHOOK_URL", "https://hooks.slack.com/services/T01/B01/verySecretSlackPath");
    other.set("A_URL", "https://a.example");
    other.set("C_URL", "https://c.example");
    let file = other.file("export.json", &export);
    other.run(&["connectors", "import", &file]).ok();
    assert_eq!(
        other.run(&["connectors", "export"]).ok(),
        export,
        "what was exported loads, and is exported the same"
    );
}

#[test]
fn what_can_never_be_sent_is_said_when_it_is_saved_and_checked() {
    let home = Home::new();
    let add = |name: &str, option: &str| {
        let set = ["--set", "url=http://127.0.0.1:9/", "--set", option];
        home.run(&[&["connectors", "add", name, "--type", "webhook"][..], &set[..]].concat()).ok()
    };
    let said = add("costs", r#"conditions:={"cost_threshold": 5}"#);
    assert!(said.contains("nothing can pass: conditions.cost_threshold needs costs"), "{said}");
    assert!(add("nothing", "events:=[]").contains("nothing can pass: events is empty"));
    home.config(
        "[[connectors]]\nname = \"c\"\ntype = \"webhook\"\nconfig = { url = \"https://f.example\", conditions = { cost_threshold = 5 } }\n",
    );
    let said = home.run(&["config", "check"]).ok();
    assert!(said.contains("cost_threshold needs costs"), "{said}");
}

#[test]
fn a_backup_names_the_key_that_it_needs() {
    let home = Home::new();
    home.run(&["connectors", "add", "h", "--type", "webhook", "--set", "url=https://h.example"]).ok();
    let copy = home.path().join("copy.redb");
    let said = home.run(&["store", "backup", copy.to_str().unwrap()]);
    assert!(said.err.contains("secret.key") && said.err.contains("sealed"), "{said:?}");
}

#[test]
fn times_the_wrong_way_round_are_refused() {
    let home = Home::new();
    home.run(&["connectors", "add", "h", "--type", "webhook", "--set", "url=https://h.example"]).ok();
    let said = home.run(&["events", "--since", "1h", "--until", "2h"]).failed(2);
    assert!(said.contains("is after until"), "{said}");
}

#[test]
fn connectors_of_the_file_are_switched_here_and_changed_there() {
    let home = Home::new();
    home.config(
        "[[connectors]]\nname = \"f\"\ntype = \"webhook\"\nconfig = { url = \"https://f.example\" }\n",
    );
    for (args, code) in [
        (&["connectors", "remove", "f", "--yes"][..], 1),
        (&["connectors", "add", "f", "--type", "webhook"], 2),
    ] {
        let said = home.run(args).failed(code);
        assert!(said.contains("written in the configuration file") || said.contains("already"), "{said}");
    }
    let on = home.run(&["connectors", "enable", "f"]).ok();
    let says = "the configuration file says enabled = false, which this overrides until: barrelman connectors disable 'f'";
    assert_eq!(on, format!("f is on; {says}\n"));
    let list: Value = serde_json::from_str(&home.run(&["connectors", "list", "-o", "json"]).ok()).unwrap();
    assert_eq!((list[0]["origin"].as_str(), list[0]["state"].as_str()), (Some("file"), Some("on")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_sends_a_real_message_and_tells_the_answer() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(202).set_body_string("taken"))
        .mount(&server)
        .await;
    let home = Home::new();
    home.run_async(&[
        "connectors",
        "add",
        "hook",
        "--type",
        "webhook",
        "--set",
        &format!("url={}", server.uri()),
    ])
    .await
    .ok();
    let said = home.run_async(&["connectors", "test", "hook"]).await.ok();
    assert!(said.starts_with("status 202 in ") && said.contains("taken"), "{said}");
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
    server.reset().await;
    let said = home.run_async(&["connectors", "test", "hook"]).await.failed(1);
    assert!(said.contains("not_found"), "{said}");
    assert_eq!(audit(&home).last().unwrap(), "test hook");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_variable_beside_other_text_is_filled_in_wherever_the_connector_is_kept() {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let mut home = Home::new();
    home.set("MYTOK", "tokvalue123456");
    let url = format!("url={}/hook/v2/send?token=${{MYTOK}}", server.uri());
    let headers = "headers={\"X-Key\":\"team:${MYTOK}\",\"Authorization\":\"Bearer ${MYTOK}\"}";
    let set = ["--set", &url, "--set", headers, "--enable"];
    let add = |name| [&["connectors", "add", name, "--type", "webhook"][..], &set[..]].concat();
    home.run_async(&add("stored")).await.ok();
    let said = home.run_async(&["connectors", "test", "stored"]).await.ok();
    assert!(said.starts_with("status 200"), "{said}");
    let seen = server.received_requests().await.unwrap();
    assert_eq!(seen[0].url.query(), Some("token=tokvalue123456"));
    assert_eq!(seen[0].headers["authorization"], "Bearer tokvalue123456");
    assert_eq!(seen[0].headers["x-key"], "team:tokvalue123456");
    // Without the variable it is not on, and sends nothing.
    home.set("MYTOK", "");
    let said = home.run_async(&["connectors", "list"]).await.ok();
    assert!(said.contains("incomplete") && said.contains("variable MYTOK is not set"), "{said}");
    home.run_async(&["connectors", "test", "stored"]).await.failed(1);
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_named_as_the_reason() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let add =
        ["connectors", "add", "h", "--type", "webhook", "--set", "url=https://x.example/SECRETSECRETSECRET"];
    home.run(&[&add[..], &["--enable"]].concat()).ok();
    let mode = |mode| {
        let key = home.data().join("secret.key");
        std::fs::set_permissions(key, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0o644);
    for said in [home.run(&["connectors", "list"]).ok(), home.run(&["check", "--offline"]).failed(1)] {
        assert!(said.contains("secret.key can be read by others: chmod 600 it"), "{said}");
        assert!(!said.contains("import --replace"), "{said}");
    }
    mode(0o600);
    assert!(home.run(&["connectors", "list"]).ok().contains(" on "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_an_engine_everything_goes_through_its_socket() {
    let home = Home::new();
    let store = Store::open(&home.data()).unwrap();
    let letter = dead_letter("hook");
    let dead = store.write(move |tx| tx.append(&DEAD, &letter)).await.unwrap().to_string();
    let socket = attach::bind(&home.data()).await.unwrap();
    let hook = ConnectorStatus {
        name: "hook".into(),
        state: "paused".into(),
        why: "no such channel".into(),
        queued: 7,
        ..ConnectorStatus::default()
    };
    let status = Status { pid: 4711, mode: "forward".into(), connectors: vec![hook], ..Status::default() };
    let (status, read_status) = watch::channel(Arc::new(status));
    let (feed, _) = broadcast::channel::<Feed>(4);
    let (actions, mut asked) = mpsc::channel(4);
    let engine = Engine { status: read_status, feed: feed.downgrade(), actions };
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(attach::serve(socket, engine, CancellationToken::new()));
    let (seen, mut actions) = mpsc::channel(100);
    tasks.spawn(async move {
        while let Some((action, answer)) = asked.recv().await {
            let reply = match &action {
                Action::EnableConnector { name, .. } if name == "nobody" => {
                    Reply::Failed("there is no connector".into())
                }
                _ => Reply::Done("done by the engine".into()),
            };
            let _ = seen.send(action).await;
            let _ = answer.send(reply);
        }
    });
    let list = home.run_async(&["connectors", "list"]).await.ok();
    assert!(list.contains("paused") && list.contains("no such channel") && list.contains('7'), "{list}");
    for args in [
        &["connectors", "add", "x", "--type", "webhook", "--set", "url=https://x.example"][..],
        &["connectors", "disable", "hook"],
        &["connectors", "test", "hook"],
        &["connectors", "remove", "hook", "--yes"],
        &["deliveries", "retry", "--connector", "hook", &dead],
        &["deliveries", "purge", "--yes"],
    ] {
        assert_eq!(home.run_async(args).await.ok(), "done by the engine\n", "{args:?}");
    }
    assert!(
        home.run_async(&["connectors", "enable", "nobody"]).await.failed(2).contains("there is no connector")
    );
    let mut taken = Vec::new();
    while let Ok(action) = actions.try_recv() {
        taken.push(serde_json::to_value(action).unwrap()["action"].as_str().unwrap().to_owned());
    }
    assert_eq!(
        taken,
        [
            "put_connector",
            "enable_connector",
            "test_connector",
            "remove_connector",
            "retry_dead",
            "purge_dead",
        ]
    );
    assert!(
        home.run_async(&["check", "--offline"])
            .await
            .ok()
            .contains("a running barrelman holds it (pid 4711, forward)")
    );
    drop((store, status, feed));
}

#[test]
fn a_store_held_by_a_process_without_a_socket_has_its_own_exit_code() {
    let home = Home::new();
    let _store = Store::open(&home.data()).unwrap();
    let said = home
        .run(&["connectors", "add", "x", "--type", "webhook", "--set", "url=https://x.example"])
        .failed(3);
    assert!(said.contains("another barrelman holds the store"), "{said}");
}

fn dead_letter(connector: &str) -> DeadLetter {
    let notification = samples::notification(EventType::PodCrashLoop, Phase::Opened, connector);
    let at = notification.created_at;
    let row = OutboxRow { seq: 1, notification, due_at: at, claim: None };
    DeadLetter { at, row, reason: Reason::BadRequest, detail: "status 400: invalid_payload".into() }
}

#[test]
fn dead_letters_are_listed_retried_and_purged_by_number_and_connector() {
    let home = Home::new();
    let store = Store::open(&home.data()).unwrap();
    let mut numbers = Vec::new();
    for connector in ["a", "a", "b"] {
        let letter = dead_letter(connector);
        numbers.push(store.write_blocking(move |tx| tx.append(&DEAD, &letter)).unwrap());
    }
    store.close();
    let list = home.run(&["deliveries", "list", "--dead"]).ok();
    assert!(
        list.contains("bad_request")
            && list.contains("invalid_payload")
            && list.contains("a: 2 dead letters"),
        "{list}"
    );
    let one = home.run(&["deliveries", "list", "--dead", "-o", "jsonl", "--connector", "b"]).ok();
    assert_eq!(serde_json::from_str::<Value>(&one).unwrap()["number"].as_u64(), Some(numbers[2]));
    let number = numbers[0].to_string();
    assert_eq!(home.run(&["deliveries", "retry", &number]).ok(), "1 put back into the queue\n");
    let queued = Reader::open(&home.data()).unwrap().snapshot().unwrap().all(&OUTBOX, "").unwrap();
    assert_eq!(queued.len(), 1);
    assert!(
        home.run(&["deliveries"])
            .ok()
            .contains("a: 1 waiting, nothing is tried because no barrelman is running")
    );
    assert!(
        home.run(&["deliveries", "purge"]).failed(2).contains("Delete all dead letters for good? Nobody")
    );
    assert_eq!(home.run(&["deliveries", "purge", "--connector", "b", "--yes"]).ok(), "1 thrown away\n");
    assert_eq!(home.run(&["deliveries", "purge", "--yes"]).ok(), "1 thrown away\n");
    assert_eq!(audit(&home), ["retry a", "purge b", "purge a"]);
    for args in [
        &["list", "--connector", "nope"][..],
        &["retry", "--connector", "nope"],
        &["purge", "--connector", "nope", "--yes"],
    ] {
        let args: Vec<&str> = std::iter::once("deliveries").chain(args.iter().copied()).collect();
        assert!(home.run(&args).failed(2).contains("there is no connector \"nope\""), "{args:?}");
    }
    assert!(home.run(&["deliveries", "retry", "99999"]).failed(2).contains("there is no dead letter 99999"));
    home.config(
        "[[connectors]]\nname = \"oncall\"\ntype = \"webhook\"\nconfig = { url = \"https://a.example\" }\n",
    );
    let said = home.run(&["deliveries", "--connector", "oncal", "--limit", "5"]).failed(2);
    assert!(said.contains("did you mean oncall?"), "{said}");
    home.run(&["deliveries", "--connector", "oncall", "--dead", "--limit", "5", "-o", "jsonl"]).ok();
}

#[test]
fn no_command_prints_a_secret() {
    let mut home = Home::new();
    home.set("HOOK_TOKEN", "hunter2-from-env");
    home.set("BARRELMAN_HEARTBEAT_URL", "https://beat.example/verySecretSlackPath");
    let file = home.file("hook.txt", "http://127.0.0.1:9/filesecret-777\n");
    home.config(&format!(
        "[[connectors]]\nname = \"lit\"\ntype = \"slack\"\nenabled = true\nconfig = {{ webhook_url = \"http://127.0.0.1:9/services/T01/B01/verySecretSlackPath\", nonsense = \"sk-literal-token-000\" }}\n\
         [[connectors]]\nname = \"env\"\ntype = \"webhook\"\nenabled = true\nconfig = {{ url = \"http://127.0.0.1:9/${{HOOK_TOKEN}}\", headers = {{ Authorization = \"Bearer ${{HOOK_TOKEN}}\" }} }}\n\
         [[connectors]]\nname = \"file\"\ntype = \"webhook\"\nenabled = true\nconfig = {{ url_file = \"{file}\", signing_secret = \"whsec_c2lnbmluZ3NlY3JldA\" }}\n"
    ));
    let guide = home.file("guide.json", GUIDE);
    let mut printed = String::new();
    for args in [
        &["connectors", "import", guide.as_str()][..],
        &[
            "connectors",
            "add",
            "t",
            "--type",
            "webhook",
            "--set",
            "url=http://127.0.0.1:9/verySecretSlackPath",
            "--set",
            "headers:={\"X\":\"sk-literal-token-000\"}",
            "--enable",
        ],
        &["connectors", "add", "bad", "--type", "webhook", "--set", "url=verySecretSlackPath"],
        &["connectors", "add", "bad", "--type", "webhook", "--set", "url=http://[verySecretSlackPath"],
        &["connectors", "list"],
        &["connectors", "list", "-o", "json"],
        &["connectors", "list", "-o", "csv"],
        &["connectors", "export"],
        &["connectors", "export", "--secrets", "cut"],
        &["connectors", "test", "t"],
        &["connectors", "test", "env"],
        &["connectors", "test", "file"],
        &["connectors", "test", "lit"],
        &["check"],
        &["check", "--json"],
        &["check", "--offline"],
        &["config", "show"],
        &["config", "check"],
        &["deliveries"],
        &["deliveries", "list", "--dead", "-o", "json"],
        &["store", "verify"],
    ] {
        let ran = home.run(args);
        let all = format!("{}{}", ran.out, ran.err);
        for secret in SECRETS {
            assert!(!all.contains(secret), "{args:?} prints {secret}:\n{all}");
        }
        printed.push_str(&all);
    }
    for shown in ["Production Alerts", "lit", "${HOOK_TOKEN}", "127.0.0.1:9"] {
        assert!(printed.contains(shown), "{shown} is no secret");
    }
    for row in std::fs::read_dir(home.data()).unwrap() {
        let bytes = std::fs::read(row.unwrap().path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("sk-literal-token-000") && !text.contains("verySecretSlackPath"), "on disk");
    }
}

#[test]
fn bad_usage_is_two_wherever_it_is_found() {
    let home = Home::new();
    home.run(&["connectors", "add", "good", "--type", "webhook", "--set", "url=https://h.example/x"]).ok();
    let file = home.file("taken", "");
    let add = |more: &[&'static str]| [&["connectors", "add", "w"], more].concat();
    for (args, part) in [
        (vec!["connectors", "test", "god"], "there is no connector \"god\", did you mean good?"),
        (vec!["connectors", "export", "god"], "there is no connector \"god\""),
        (vec!["connectors", "add", "good", "--type", "webhook"], "already"),
        (add(&["--type", "webhok"]), "webhook"),
        (add(&["--type", "webhook", "--set", "ur=x"]), "url"),
        (vec!["store", "backup", &file], "exists already"),
        (vec!["events", "--since", "1h", "--until", "2h"], "since 1h ("),
        (vec!["--data-dir", &file, "forward"], "is no directory"),
    ] {
        let said = home.run(&args).failed(2);
        assert!(said.contains(part), "{args:?}: {said}");
    }
    let kubeconfig = "apiVersion: v1\nkind: Config\ncontexts: [{name: prod, context: {cluster: c, user: u}}]\n\
                      clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\nusers: [{name: u, user: {}}]\n";
    let kubeconfig = home.file("kubeconfig", kubeconfig);
    let said = home.run(&["--kubeconfig", &kubeconfig, "--context", "nope", "check"]).failed(2);
    assert!(said.contains("the context nope is not in the kubeconfig"), "{said}");
}

#[test]
fn each_mistake_of_a_configuration_is_told_once_and_at_its_line() {
    let mut home = Home::new();
    let told = |home: &Home, text: &str| {
        let file = home.file("c.toml", text);
        home.run(&["--config", &file, "config", "check"]).failed(2)
    };
    for (text, part) in [
        ("[incidents]\nrunbook_url = \"https://w/{{titel}}\"\n", "c.toml:2: incidents.runbook_url: "),
        ("[incidents]\nrunbook_url = \"https://w/{{titel}}\"\n", "titel, did you mean title?"),
        ("[ui.keys]\nquit = \"q\"\nqiut = \"x\"\n", "c.toml:3: ui.keys: "),
        ("[delivery]\nca_file = \"/nowhere/ca.pem\"\n", "c.toml:2: delivery.ca_file: "),
        ("[clusters]\ncontexts = [\"a\", \"a\"]\n", "c.toml:2: clusters.contexts: \"a\" is named twice"),
        ("[clusters]\ncontexts = [\"a\", \"\"]\n", "c.toml:2: clusters.contexts: expected the name"),
        ("[watch.kinds]\npods = \"auto\"\n", "c.toml:2: watch.kinds.pods: expected true or false"),
        (
            "[[connectors]]\nname = \"a\"\ntype = \"webhook\"\nconfig.url = \"https://h.example/x\"\n\
             config.conditions.filter = \"ns:(\"\n",
            "c.toml:5: connectors[0].config.conditions.filter: ",
        ),
    ] {
        let said = told(&home, text);
        assert!(said.contains(part), "{text}: {said}");
    }
    for text in ["[[connectors]]\ntype = \"webhook\"\nconfig.url = \"https://h.example/x\"\n", "a\n"] {
        let said = told(&home, text);
        assert!(said.contains("1 problem in the configuration"), "{text}: {said}");
    }
    home.set("PAINCHAIN_API_URL", "foo");
    let said = told(&home, "");
    assert!(said.contains("1 problem in the configuration"), "{said}");
    let directory = home.path().display().to_string();
    let said = home.run(&["--config", &directory, "config", "check"]).failed(2);
    assert!(said.contains("cannot be read") && !said.contains("config init"), "{said}");
}
