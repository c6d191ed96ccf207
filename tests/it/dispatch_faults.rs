//! Delivery where something is odd: a sink that takes half, rows that cannot be read, deletions that were interrupted.

use std::time::Duration;

use barrelman::{
    event::incident::Phase,
    store::{AUDIT, CONNECTOR_STATES, ConnectorState, DeliveryState, OUTBOX, OUTBOX_TEXT, Read, keys},
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::{
    bench::{Bench, until},
    sink::{Sink, status},
};

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A number between 0 and 99 that looks random.
fn dice(n: usize) -> u64 {
    let hash = blake3::hash(&n.to_le_bytes());
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap()) % 100
}

#[tokio::test]
async fn a_sink_that_takes_half_of_everything_is_worked_off_at_speed() {
    for deliver in ["events", "incidents"] {
        let dir = dir();
        let sink =
            Sink::start(|n, _| status(if dice(n) < 50 { 503 } else { 200 }).after(Duration::from_millis(5)))
                .await;
        let bench = Bench::open(dir.path());
        bench.apply(&[("hook", "webhook", json!({"url": sink.url, "deliver": deliver}))]).await;
        let phase = if deliver == "events" { Phase::Event } else { Phase::Opened };
        bench.put((0..600).map(|n| bench.message("hook", &format!("i{n}"), phase)).collect()).await;
        // A sink in good health takes these within a second; with one probe at a time it took minutes.
        until("five of six", || sink.taken().len() >= 500).await;
        until("all", || sink.taken().len() == 600).await;
        let status = bench.status("hook");
        assert_eq!(status.failures.get("server_error"), Some(&status.failed), "{status:?}");
        bench.close().await;
    }
}

#[tokio::test]
async fn a_dead_sink_is_left_in_peace() {
    let (dir, sink) = (dir(), Sink::start(|_, _| status(503)).await);
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url, "deliver": "events"}))]).await;
    bench.put((0..600).map(|n| bench.message("hook", &format!("i{n}"), Phase::Event)).collect()).await;
    until("tried", || !sink.seen().is_empty()).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    // At most 64 are claimed, and each of them waits twice as long every time.
    assert!(sink.seen().len() < 64 * 4, "{}", sink.seen().len());
    bench.crash().await;
}

#[tokio::test]
async fn a_row_of_a_newer_version_holds_nothing_up_and_stays() {
    let (dir, sink) = (dir(), Sink::start(|_, _| status(200)).await);
    let bench = Bench::open(dir.path());
    let future = r#"{"seq":1,"notification":{"id":"x","phase":"foretold"},"due_at":"2025-01-15T10:30:00Z"}"#;
    let future = serde_json::value::RawValue::from_string(future.to_owned()).unwrap();
    let key = bench
        .store
        .write(move |tx| {
            let key = keys::outbox("hook", tx.next_seq()?);
            tx.put(&OUTBOX_TEXT, &key, &future)?;
            Ok(key)
        })
        .await
        .unwrap();
    bench.put((0..20).map(|n| bench.message("hook", &format!("i{n}"), Phase::Opened)).collect()).await;
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    until("the others", || sink.taken().len() == 20).await;
    let status = bench.status("hook");
    assert_eq!(status.unreadable, 1);
    assert!(status.last_error.unwrap().1.contains("cannot be read"));
    assert!(
        bench.store.snapshot().unwrap().get(&OUTBOX_TEXT, &key).unwrap().is_some(),
        "a newer version may send it"
    );
    until("written", || bench.deliveries().len() == 20).await;
    // Deleting the connector takes it along.
    assert_eq!(bench.dispatcher.remove("hook").await.unwrap(), 1);
    assert!(bench.store.snapshot().unwrap().get(&OUTBOX_TEXT, &key).unwrap().is_none());
    bench.close().await;
}

#[tokio::test]
async fn a_silence_that_was_asked_for_holds_over_a_kill_and_not_over_other_settings() {
    let dir = dir();
    let sink =
        Sink::start(|n, _| if n == 0 { status(429).header("retry-after", "900") } else { status(200) }).await;
    let config = json!({"url": sink.url});
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", config.clone())]).await;
    bench.put(vec![bench.message("hook", "a", Phase::Opened)]).await;
    let kept = |bench: &Bench| {
        let state: Option<ConnectorState> =
            bench.store.snapshot().unwrap().get(&CONNECTOR_STATES, "hook").unwrap();
        state.and_then(|state| state.silent_until)
    };
    until("written down", || kept(&bench).is_some()).await;
    let until_then = kept(&bench).unwrap().0;
    bench.crash().await;

    // The clock of a bench begins anew.
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", config.clone())]).await;
    bench.put((0..5).map(|n| bench.message("hook", &format!("b{n}"), Phase::Opened)).collect()).await;
    until("it waits", || bench.status("hook").paused_until == Some(until_then)).await;
    bench.advance(Duration::from_secs(600));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(sink.seen().len(), 1, "{:?}", sink.taken());
    bench.crash().await;

    // Who changes where to or how it is sent is not held by what the service said before.
    let bench = Bench::open(dir.path());
    let other = json!({"url": sink.url, "headers": {"X-Token": "another"}});
    bench.apply(&[("hook", "webhook", other)]).await;
    until("the others", || sink.taken().len() >= 5).await;
    // What is not written down goes out again after a kill.
    until("written", || bench.outbox("hook").len() == 1).await;
    bench.crash().await;

    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", config)]).await;
    bench.put(vec![bench.message("hook", "c", Phase::Opened)]).await;
    until("it waits again", || bench.status("hook").paused_until == Some(until_then)).await;
    bench.advance(Duration::from_secs(901));
    until("all", || sink.taken().len() == 7).await;
    bench.close().await;
}

#[tokio::test]
async fn a_deletion_that_was_interrupted_is_done_at_the_next_start() {
    let dir = dir();
    let bench = Bench::open(dir.path());
    bench.put((0..700).map(|n| bench.message("gone", &format!("i{n}"), Phase::Opened)).collect()).await;
    bench.put(vec![bench.message("off", "kept", Phase::Opened)]).await;
    // Its settings are gone, and the program died before its queue was emptied.
    bench
        .store
        .write(|tx| {
            tx.put(&CONNECTOR_STATES, "gone", &ConnectorState { removing: true, ..ConnectorState::default() })
        })
        .await
        .unwrap();
    bench.apply(&[]).await;
    assert_eq!((bench.outbox("gone").len(), bench.outbox("off").len()), (0, 1));
    let dropped = bench.deliveries();
    assert!(dropped.len() == 700 && dropped.iter().all(|d| d.state == DeliveryState::Dropped));
    let mut said = Vec::new();
    let mut each = |_, row: barrelman::store::AuditRow| {
        said.push(format!("{} {}: {}", row.action, row.connector, row.outcome));
        true
    };
    bench.store.snapshot().unwrap().read_log(&AUDIT, 0, &mut each).unwrap();
    assert_eq!(said, ["delete gone: 700 waiting messages dropped, at the next start"]);
    assert!(bench.store.snapshot().unwrap().get(&CONNECTOR_STATES, "gone").unwrap().is_none());
    bench.close().await;
}

#[tokio::test]
async fn the_time_that_a_delivery_took_is_that_of_its_attempt() {
    let (dir, sink) = (dir(), Sink::start(|_, _| status(200).after(Duration::from_millis(300))).await);
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    let due = bench.now() + SignedDuration::from_secs(3600);
    bench.put_due(vec![bench.message("hook", "a", Phase::Opened)], due).await;
    bench.advance(Duration::from_secs(3600));
    until("delivered", || !bench.deliveries().is_empty()).await;
    let took = bench.deliveries()[0].latency_ms;
    assert!((300..3000).contains(&took), "{took} ms, after an hour of settling");
    bench.close().await;
}

#[tokio::test]
async fn a_test_message_speaks_of_now_and_of_the_cluster_that_is_watched() {
    let (dir, sink) = (dir(), Sink::start(|_, _| status(200)).await);
    let bench = Bench::open(dir.path());
    bench
        .store
        .write(|tx| tx.put(&barrelman::store::META, &keys::prefix(&["name", "uid-1"]), &json!("prod-eu")))
        .await
        .unwrap();
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    bench.advance(Duration::from_secs(30 * 86_400));
    bench.dispatcher.test("hook").await.unwrap().line().unwrap();
    let body: Value = serde_json::from_str(&sink.seen()[0].body).unwrap();
    assert_eq!((body["test"].as_bool(), body["cluster"].as_str()), (Some(true), Some("prod-eu")));
    for at in [&body["timestamp"], &body["first_seen"], &body["incident"]["opened_at"]] {
        let at: jiff::Timestamp = at.as_str().unwrap().parse().unwrap();
        assert!(bench.now().duration_since(at).as_secs() < 600, "{at}");
    }
    bench.close().await;
}

#[tokio::test]
async fn a_sink_that_asks_for_a_year_of_silence_gets_a_day() {
    let (dir, sink) = (dir(), Sink::start(|_, _| status(429).header("retry-after", "31536000")).await);
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    bench.put(vec![bench.message("hook", "a", Phase::Opened)]).await;
    until("paused", || bench.status("hook").paused_until.is_some()).await;
    let until = bench.status("hook").paused_until.unwrap();
    assert!(until.duration_since(bench.now()) <= SignedDuration::from_hours(24), "{until}");
    bench.close().await;
}

#[tokio::test]
async fn a_message_carries_the_counts_of_the_moment_in_which_it_goes() {
    let (dir, sink) = (dir(), Sink::start(|_, _| status(200)).await);
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    let due = bench.now() + SignedDuration::from_secs(600);
    let seq = bench.put_due(vec![bench.message("hook", "a", Phase::Opened)], due).await[0];
    until("read", || bench.status("hook").queued == 1).await;
    // As the pipeline does while a message settles.
    let key = keys::outbox("hook", seq);
    bench
        .store
        .write(move |tx| {
            let mut row = tx.get(&OUTBOX, &key)?.unwrap();
            row.notification.incident.as_mut().unwrap().events = 41;
            tx.put(&OUTBOX, &key, &row)
        })
        .await
        .unwrap();
    bench.advance(Duration::from_secs(600));
    until("delivered", || sink.taken().len() == 1).await;
    let body: Value = serde_json::from_str(&sink.seen()[0].body).unwrap();
    assert_eq!(body["incident"]["events"], 41);
    bench.close().await;
}

#[tokio::test]
async fn what_was_delivered_before_a_restart_is_known_after_it() {
    let (dir, sink) = (dir(), Sink::start(|_, _| status(200)).await);
    let hook = [("hook", "webhook", json!({"url": sink.url}))];
    let bench = Bench::open(dir.path());
    bench.apply(&hook).await;
    bench.put(vec![bench.message("hook", "i", Phase::Opened)]).await;
    until("delivered", || bench.status("hook").last_delivered.is_some()).await;
    let at = bench.status("hook").last_delivered;
    bench.close().await;
    let bench = Bench::open(dir.path());
    bench.apply(&hook).await;
    assert_eq!(bench.status("hook").last_delivered, at);
    bench.close().await;
}

#[tokio::test]
async fn a_failed_attempt_keeps_its_status_and_the_time_of_the_next() {
    let (dir, sink) = (dir(), Sink::start(|n, _| status(if n == 0 { 503 } else { 400 })).await);
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    bench.put(vec![bench.message("hook", "i", Phase::Opened)]).await;
    until("tried once", || bench.deliveries().iter().any(|d| d.state == DeliveryState::Retrying)).await;
    let first = bench.deliveries().remove(0);
    assert_eq!((first.status, first.attempts), (503, 1));
    assert!(first.next_at.is_some_and(|next| next > first.at), "{first:?}");
    bench.advance(Duration::from_mins(10));
    until("given up", || bench.deliveries().iter().any(|d| d.state == DeliveryState::Dead)).await;
    let last = bench.deliveries().pop().unwrap();
    assert_eq!((last.status, last.attempts, last.next_at), (400, 2, None));
    bench.close().await;
}
