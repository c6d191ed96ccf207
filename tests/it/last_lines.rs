//! `incidents.logs = true`: the last lines of the container that died, from the simulated cluster to a webhook.

use std::{sync::Arc, time::Duration};

use barrelman::{
    demo::{Access, Cluster, Fault, Options, Rule},
    store::{DELIVERIES, DeliveryRow, Read, Store},
};
use serde_json::{Value, json};

use crate::support::{
    process::{Place, ready, until},
    serve,
    sink::{Sink, status},
    watching::clock,
};

fn crashing(restarts: u32) -> Value {
    let now = clock().to_string();
    let last = json!({"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": now, "startedAt": now}});
    json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}], "containerStatuses": [
        {"name": "app", "image": "app:1", "ready": false, "restartCount": restarts, "lastState": last,
         "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}}}]})
}

/// A pod in a crash loop with these lines in its log: what the webhook got, the delivery's note, and the requests for
/// logs.
async fn told_of_a_crash(prepare: impl FnOnce(&Cluster)) -> (Value, String, u64) {
    let options = Options { bookmark_every: Duration::from_millis(200), ..Options::new(5, Arc::new(clock)) };
    let cluster = Cluster::new(options);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "api-1", "namespace": "default"},
        "spec": {"nodeName": "node-1", "containers": [{"name": "app", "image": "app:1"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [
            {"name": "app", "image": "app:1", "ready": true, "restartCount": 0, "state": {"running": {}}}]}});
    cluster.create(pod).unwrap();
    for n in 0..30 {
        cluster.log("default", "api-1", &format!("\u{1b}[32mlevel=info\u{1b}[0m request {n}"));
    }
    cluster.log("default", "api-1", "panic: cannot reach postgres://shop:hunter2@db:5432");
    prepare(&cluster);
    let served = serve(&cluster).await;
    let sink = Sink::start(|_, _| status(200)).await;
    let hook = |name: &str| {
        format!(
            "[[connectors]]\nname = \"{name}\"\ntype = \"webhook\"\nenabled = true\n[connectors.config]\nurl = \"{}\"\n",
            sink.url
        )
    };
    let place = Place::new(&served.kubeconfig, "[incidents]\nlogs = true\n").with(&(hook("a") + &hook("b")));
    let running = place.run().await;
    ready(&running).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.update("pods", "default", "api-1", |pod| pod["status"] = crashing(3)).unwrap();
    until("both are told", 20, || sink.taken().len() >= 2).await;
    let notes = || -> Vec<String> { deliveries(&running.store).into_iter().map(|d| d.detail).collect() };
    until("written", 5, || notes().len() >= 2).await;
    let note = notes()[0].clone();
    let asked = cluster.faults().count("get", "/pods/api-1/log");
    running.stop().await;
    (serde_json::from_str(&sink.seen()[0].body).unwrap(), note, asked)
}

fn deliveries(store: &Store) -> Vec<DeliveryRow> {
    let mut rows = Vec::new();
    let mut each = |_, row| {
        rows.push(row);
        true
    };
    store.snapshot().unwrap().read_log(&DELIVERIES, 0, &mut each).unwrap();
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_message_has_the_last_lines_and_the_log_is_read_once_for_all_connectors() {
    let (body, note, asked) = told_of_a_crash(|_| {}).await;
    let lines = body["details"]["log_tail"].as_array().unwrap();
    assert_eq!((lines.len(), asked), (20, 1));
    assert_eq!(lines[19], "panic: cannot reach postgres://[secret]@db:5432");
    assert_eq!(lines[18], "level=info request 29");
    assert!(!body.to_string().contains("hunter2"));
    assert_eq!(note, "answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_the_message_goes_without_and_says_so() {
    let (body, note, _) =
        told_of_a_crash(|cluster| cluster.set_access(Access::full().deny("get", "pods/log", None))).await;
    assert_eq!(body["details"]["log_tail"], Value::Null);
    assert!(note.starts_with("without the container's last lines: ") && note.contains("pods"), "{note}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_never_comes_holds_the_message_back_for_a_second() {
    let started = std::time::Instant::now();
    let (body, note, _) = told_of_a_crash(|cluster| {
        cluster.faults().inject(Rule::new(Fault::Hang).verb("get").resource("pods"))
    })
    .await;
    assert_eq!(body["details"]["log_tail"], Value::Null);
    assert!(note.contains("no answer within 1 s"), "{note}");
    assert!(started.elapsed() < Duration::from_secs(20));
}
