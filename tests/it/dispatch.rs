//! Delivery against real servers over a real store: nothing lost, nothing twice, nobody delayed by others.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use barrelman::{
    connector::Reason,
    event::incident::Phase,
    store::{AUDIT, CONNECTOR_STATES, DEAD, DeliveryState, OUTBOX, Read, TOLD, keys},
};
use serde_json::json;

use crate::support::{
    bench::{Bench, Watcher, until},
    connectors::raw_server,
    sink::{Sink, status},
};

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn audit(bench: &Bench) -> Vec<String> {
    let mut rows = Vec::new();
    let mut each = |_, row: barrelman::store::AuditRow| {
        rows.push(format!("{} {}", row.action, row.connector));
        true
    };
    bench.store.snapshot().unwrap().read_log(&AUDIT, 0, &mut each).unwrap();
    rows
}

fn dead(bench: &Bench) -> Vec<barrelman::store::DeadLetter> {
    let mut rows = Vec::new();
    let mut each = |_, row| {
        rows.push(row);
        true
    };
    bench.store.snapshot().unwrap().read_log(&DEAD, 0, &mut each).unwrap();
    rows
}

#[tokio::test]
async fn a_delivery_ends_the_row_and_marks_the_incident_told() {
    let (dir, sink) = (dir(), Sink::start(|_, _| status(200)).await);
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    let mut message = bench.message("hook", "inc-1", Phase::Opened);
    message.event.title = format!("\"quotes\"\n🚀 {}", "x".repeat(100_000));
    bench.put(vec![message.clone()]).await;
    until("delivered", || !bench.deliveries().is_empty()).await;
    assert_eq!(bench.outbox("hook"), []);
    let row = bench.deliveries().remove(0);
    assert_eq!((row.state, row.status, row.attempts), (DeliveryState::Delivered, 200, 1));
    let told =
        bench.store.snapshot().unwrap().get(&TOLD, &keys::told("hook", &"inc-1".into())).unwrap().unwrap();
    assert!(told.told_at.is_some() && told.resolved_at.is_none());
    let sent: serde_json::Value = serde_json::from_str(&sink.seen()[0].body).unwrap();
    assert_eq!(sent["title"], message.event.title);
    until("counted", || bench.status("hook").delivered == 1).await;
    bench.close().await;
}

#[tokio::test]
async fn a_sink_that_is_down_for_a_while_loses_nothing_and_repeats_nothing() {
    let down = tokio::time::Instant::now() + Duration::from_secs(2);
    let (dir, sink) = (
        dir(),
        Sink::start(move |_, _| status(if tokio::time::Instant::now() < down { 503 } else { 200 })).await,
    );
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    let messages: Vec<_> =
        (0..50).map(|n| bench.message("hook", &format!("inc-{n}"), Phase::Opened)).collect();
    let ids: BTreeSet<String> = messages.iter().map(|m| m.id.to_string()).collect();
    bench.put(messages).await;
    until("all 50", || sink.taken().len() >= 50).await;
    until("written", || bench.outbox("hook").is_empty()).await;
    let taken = sink.taken();
    assert_eq!(taken.len(), 50, "none was sent again after its 2xx");
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>(), ids);
    let states: Vec<_> = bench.deliveries().into_iter().map(|d| d.state).collect();
    assert!(states.iter().all(|s| *s == DeliveryState::Delivered), "retries left lines: {states:?}");
    // Every attempt of a message carried the same bytes.
    for id in &ids {
        let bodies: BTreeSet<String> =
            sink.seen().into_iter().filter(|s| s.id == *id).map(|s| s.body).collect();
        assert_eq!(bodies.len(), 1);
    }
    bench.close().await;
}

#[tokio::test]
async fn a_429_pauses_the_whole_destination_in_seconds_and_by_date() {
    for by_date in [false, true] {
        let dir = dir();
        let sink = Sink::start(move |n, _| match n {
            // The clock of these tests starts at 10:30:00.
            0 if by_date => status(429).header("retry-after", "Wed, 15 Jan 2025 10:30:02 GMT"),
            0 => status(429).header("retry-after", "2"),
            _ => status(200),
        })
        .await;
        let bench = Bench::open(dir.path());
        bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
        bench.put(vec![bench.message("hook", "a", Phase::Opened)]).await;
        until("429", || sink.seen().len() == 1).await;
        until("paused", || bench.status("hook").paused_until.is_some()).await;
        bench.put((0..5).map(|n| bench.message("hook", &format!("b{n}"), Phase::Opened)).collect()).await;
        until("all six", || sink.taken().len() == 6).await;
        let seen = sink.seen();
        let pause = seen[1].at - seen[0].at;
        assert!(pause >= Duration::from_millis(1500), "{pause:?}");
        bench.close().await;
    }
}

#[tokio::test]
async fn what_a_429_asks_for_counts_in_place_of_older_back_off() {
    let dir = dir();
    let sink = Sink::start(|n, _| match n {
        0..6 => status(503),
        6 => status(429).header("retry-after", "15"),
        _ => status(200),
    })
    .await;
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    bench.put(vec![bench.message("hook", "a", Phase::Opened)]).await;
    for n in 1..=7 {
        until("the next attempt", || sink.seen().len() >= n).await;
        if n < 7 {
            until("it waits", || bench.status("hook").failed >= n as u64).await;
            bench.advance(Duration::from_secs(64));
        }
    }
    until("asked", || bench.status("hook").paused_until.is_some()).await;
    bench.advance(Duration::from_secs(16));
    until("taken", || sink.taken().len() == 1).await;
    bench.close().await;
}

#[tokio::test]
async fn a_429_that_does_not_say_when_pauses_all_messages_together() {
    let dir = dir();
    // The clock of these tests starts at 10:30:00.
    let sink = Sink::start(|_, _| status(429).header("retry-after", "Wed, 15 Jan 2025 10:00:00 GMT")).await;
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    bench.put((0..5).map(|n| bench.message("hook", &format!("b{n}"), Phase::Opened)).collect()).await;
    // Half a minute.
    for _ in 0..60 {
        bench.advance(Duration::from_millis(500));
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    let tried = sink.seen().len();
    // Those that were on the wire together, and one for each pause of 1, 2, 4, 8, 16 s or half of it.
    assert!((4..=13).contains(&tried), "{tried}");
    assert!(bench.status("hook").paused_until.is_some());
    bench.close().await;
}

#[tokio::test]
async fn a_slow_sink_does_not_delay_a_fast_one() {
    let dir = dir();
    let slow = Sink::start(|_, _| status(200).after(Duration::from_secs(30))).await;
    let fast = Sink::start(|_, _| status(200)).await;
    let gone = raw_server(b"").await;
    let bench = Bench::open(dir.path());
    let to = |url: &str| json!({ "url": url });
    bench
        .apply(&[
            ("slow", "webhook", to(&slow.url)),
            ("gone", "webhook", to(&gone)),
            ("fast", "webhook", to(&fast.url)),
        ])
        .await;
    for name in ["slow", "gone", "fast"] {
        bench.put((0..100).map(|n| bench.message(name, &format!("i{n}"), Phase::Opened)).collect()).await;
    }
    let started = tokio::time::Instant::now();
    until("fast is through", || fast.taken().len() == 100).await;
    assert!(started.elapsed() < Duration::from_secs(10));
    until("retries", || bench.status("gone").failed > 0).await;
    assert!(bench.outbox("slow").len() == 100 && bench.outbox("gone").len() == 100);
    assert!(!bench.status("gone").last_error.unwrap().1.contains("127.0.0.1"));
    bench.crash().await;
}

#[tokio::test]
async fn after_a_crash_the_same_bytes_go_under_the_same_id() {
    let dir = dir();
    let silent = Sink::start(|_, _| status(200).after(Duration::from_secs(60))).await;
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": silent.url}))]).await;
    bench
        .put(vec![bench.message("hook", "a", Phase::Opened), bench.message("hook", "a", Phase::Worse)])
        .await;
    until("on the wire", || silent.seen().len() == 1).await;
    let claimed = bench.outbox("hook");
    assert!(claimed[0].claim.is_some() && claimed[1].claim.is_none(), "durable before the POST; in order");
    bench.crash().await;

    let sink = Sink::start(|_, _| status(200)).await;
    let bench = Bench::open(dir.path());
    let config =
        json!({"url": sink.url, "events": ["pod_crash_loop"], "body_template": "{\"new\": \"{{title}}\"}"});
    bench.apply(&[("hook", "webhook", config)]).await;
    until("both", || sink.taken().len() == 2).await;
    let (before, after) = (silent.seen(), sink.seen());
    assert_eq!((&before[0].id, &before[0].body), (&after[0].id, &after[0].body), "claimed: as it was");
    assert_eq!(after[1].body, "{\"new\": \"a worse\"}", "unclaimed: rendered anew");
    bench.close().await;
}

#[tokio::test]
async fn the_order_within_an_incident_is_kept() {
    let dir = dir();
    // Answers take longer for some than for others.
    let sink = Sink::start(|n, _| status(200).after(Duration::from_millis((n as u64 * 37) % 50))).await;
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    let phases = [Phase::Opened, Phase::Worse, Phase::Repeated, Phase::Resolved, Phase::Reopened];
    let mut messages = Vec::new();
    for phase in phases {
        messages.extend((0..20).map(|n| bench.message("hook", &format!("inc-{n}"), phase)));
    }
    bench.put(messages).await;
    until("all", || sink.taken().len() == 100).await;
    for n in 0..20 {
        let titles: Vec<String> = sink
            .seen()
            .iter()
            .map(|s| {
                serde_json::from_str::<serde_json::Value>(&s.body).unwrap()["title"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .filter(|t| t.starts_with(&format!("inc-{n} ")))
            .collect();
        let expected: Vec<String> = phases.iter().map(|p| format!("inc-{n} {}", p.as_str())).collect();
        assert_eq!(titles, expected);
    }
    bench.close().await;
}

#[tokio::test]
async fn a_resolve_goes_only_to_whom_was_told() {
    let (dir, sink) = (dir(), Sink::start(|_, _| status(200)).await);
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    bench.put(vec![bench.message("hook", "never", Phase::Resolved)]).await;
    until("dropped", || !bench.deliveries().is_empty()).await;
    let row = bench.deliveries().remove(0);
    assert_eq!((row.state, row.detail.as_str()), (DeliveryState::Dropped, "not told, healed in 95 s"));
    bench
        .put(vec![bench.message("hook", "a", Phase::Opened), bench.message("hook", "a", Phase::Resolved)])
        .await;
    until("both", || bench.deliveries().len() == 3).await;
    assert_eq!(sink.taken().len(), 2);
    let told = bench.store.snapshot().unwrap().get(&TOLD, &keys::told("hook", &"a".into())).unwrap().unwrap();
    assert!(told.resolved_at.is_some());
    bench.close().await;
}

#[tokio::test]
async fn the_storm_brake_folds_the_rest_of_a_minute_into_one_digest() {
    let (dir, sink) = (dir(), Sink::start(|_, _| status(200)).await);
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url, "max_per_minute": 10}))]).await;
    let mut messages: Vec<_> =
        (0..25).map(|n| bench.message("hook", &format!("i{n}"), Phase::Opened)).collect();
    messages.push(bench.message("hook", "i0", Phase::Resolved));
    bench.put(messages).await;
    until("ten and the resolve", || bench.deliveries().len() == 11).await;
    assert_eq!(bench.outbox("hook").len(), 15, "held back");
    bench.advance(Duration::from_secs(60));
    until("the digest", || bench.outbox("hook").is_empty()).await;
    assert_eq!(sink.taken().len(), 12);
    let digest: serde_json::Value = serde_json::from_str(&sink.seen()[11].body).unwrap();
    assert_eq!(digest["digest"].as_array().unwrap().len(), 15);
    let snapshot = bench.store.snapshot().unwrap();
    for n in 0..25 {
        let told = snapshot.get(&TOLD, &keys::told("hook", &format!("i{n}").as_str().into())).unwrap();
        assert!(told.unwrap().told_at.is_some(), "i{n}");
    }
    drop(snapshot);
    let folded = bench.deliveries().iter().filter(|d| d.detail.starts_with("told in digest")).count();
    assert_eq!(folded, 15);
    bench.close().await;
}

#[tokio::test]
async fn what_waited_through_a_long_silence_goes_as_one_digest() {
    let (dir, sink) = (dir(), Sink::start(|_, _| status(200)).await);
    let bench = Bench::open(dir.path());
    let config = |deliver: &str| json!({"url": sink.url, "deliver": deliver});
    bench.put((0..7).map(|n| bench.message("hook", &format!("i{n}"), Phase::Opened)).collect()).await;
    bench
        .put(vec![
            bench.message("hook", "i1", Phase::Resolved),
            bench.message("hook", "never", Phase::Resolved),
        ])
        .await;
    bench.put((0..3).map(|n| bench.message("stream", &format!("e{n}"), Phase::Event)).collect()).await;
    bench.advance(Duration::from_secs(2 * 3600));
    bench.put(vec![bench.message("hook", "new", Phase::Opened)]).await;
    bench.apply(&[("hook", "webhook", config("incidents")), ("stream", "webhook", config("events"))]).await;
    until("all", || bench.outbox("hook").is_empty() && bench.outbox("stream").is_empty()).await;
    let phases: Vec<_> =
        bench.deliveries().into_iter().filter(|d| d.state == DeliveryState::Delivered).collect();
    let count = |name: &str| phases.iter().filter(|d| d.connector == name).count();
    assert_eq!((count("hook"), count("stream")), (2, 3), "a stream of events is never folded");
    assert_eq!(phases.iter().filter(|d| d.phase == Phase::Digest).count(), 1);
    let not_told: Vec<_> =
        bench.deliveries().into_iter().filter(|d| d.detail.starts_with("not told")).collect();
    assert_eq!(not_told.len(), 1);
    assert_eq!(not_told[0].incident.as_ref().map(|i| i.as_str()), Some("never"));
    bench.close().await;
}

#[tokio::test]
async fn how_long_a_silence_is_long_can_be_changed_while_it_runs() {
    let (dir, sink) = (dir(), Sink::start(|_, _| status(200)).await);
    let bench = Bench::open(dir.path());
    bench.put((0..7).map(|n| bench.message("hook", &format!("i{n}"), Phase::Opened)).collect()).await;
    bench.advance(Duration::from_secs(2 * 3600));
    bench.dispatcher.set_stale_after(Duration::from_secs(3 * 3600));
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    until("all", || bench.outbox("hook").is_empty()).await;
    assert_eq!(sink.count(), 7, "two hours are not three");
    bench.close().await;
}

#[tokio::test]
async fn a_refused_message_is_a_dead_letter_that_can_be_retried_and_purged() {
    let dir = dir();
    let sink = Sink::start(|n, _| status(if n < 2 { 422 } else { 200 })).await;
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    bench.put(vec![bench.message("hook", "a", Phase::Opened)]).await;
    until("dead", || dead(&bench).len() == 1).await;
    bench.put(vec![bench.message("hook", "b", Phase::Opened)]).await;
    until("both dead", || bench.status("hook").dead == 2).await;
    let letters = dead(&bench);
    assert_eq!(letters[0].reason, Reason::BadRequest);
    assert!(letters[0].detail.contains("422") && letters[0].row.claim.is_some());
    assert_eq!(bench.status("hook").state, "on");
    let seqs = bench.dead_seqs();
    assert_eq!(bench.dispatcher.purge_dead(None, &seqs[1..]).await, Ok(1));
    assert_eq!(bench.dispatcher.retry_dead(Some("other"), &[]).await, Ok(0));
    assert_eq!(bench.dispatcher.retry_dead(Some("hook"), &[]).await, Ok(1));
    until("taken", || sink.taken().len() == 1).await;
    assert_eq!(sink.seen()[0].id, sink.seen()[2].id, "the same id");
    assert_eq!(bench.status("hook").dead, 0);
    assert_eq!(audit(&bench), ["purge hook", "retry hook"]);
    bench.close().await;
}

#[tokio::test]
async fn a_refused_credential_pauses_and_a_changed_one_resumes() {
    let dir = dir();
    let sink = Sink::start(|n, _| status(if n == 0 { 401 } else { 200 })).await;
    let watcher = Arc::new(Watcher::default());
    let bench = Bench::watched(dir.path(), Arc::clone(&watcher) as _);
    let config = |token: &str| json!({"url": sink.url, "headers": {"Authorization": token}});
    bench.apply(&[("hook", "webhook", config("old-token"))]).await;
    bench.put(vec![bench.message("hook", "a", Phase::Opened)]).await;
    until("told of the pause", || *watcher.0.lock().unwrap() == [("hook".to_owned(), "paused".to_owned())])
        .await;
    assert!(bench.status("hook").why.contains("401"));
    bench.put((0..3).map(|n| bench.message("hook", &format!("b{n}"), Phase::Opened)).collect()).await;
    bench.crash().await;

    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", config("old-token"))]).await;
    until("read", || bench.status("hook").queued == 3).await;
    assert_eq!(
        (bench.status("hook").state.as_str(), sink.seen().len()),
        ("paused", 1),
        "also over a restart"
    );
    bench.apply(&[("hook", "webhook", config("new-token"))]).await;
    until("taken", || sink.taken().len() == 3).await;
    assert_eq!(dead(&bench).len(), 1);
    assert_eq!(bench.dispatcher.retry_dead(None, &[]).await, Ok(1));
    until("replayed", || sink.taken().len() == 4).await;
    assert_eq!(audit(&bench), ["pause hook", "resume hook", "retry hook"]);
    let state = bench.store.snapshot().unwrap().get(&CONNECTOR_STATES, "hook").unwrap().unwrap();
    assert_eq!(state.paused, None);
    bench.close().await;
}

#[tokio::test]
async fn switching_off_keeps_rows_and_removing_drops_them() {
    let (dir, sink) = (dir(), Sink::start(|_, _| status(200)).await);
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    bench.dispatcher.set_enabled("hook", false).await.unwrap();
    bench.put((0..3).map(|n| bench.message("hook", &format!("i{n}"), Phase::Opened)).collect()).await;
    until("read", || bench.status("hook").queued == 3).await;
    assert_eq!((bench.status("hook").state.as_str(), sink.seen().len()), ("off", 0));
    bench.dispatcher.set_enabled("hook", true).await.unwrap();
    until("sent", || sink.taken().len() == 3).await;
    bench.dispatcher.set_enabled("hook", false).await.unwrap();
    bench.put((0..2).map(|n| bench.message("hook", &format!("j{n}"), Phase::Opened)).collect()).await;
    assert_eq!(bench.dispatcher.remove("hook").await, Ok(2));
    assert!(bench.outbox("hook").is_empty() && bench.dispatcher.status().is_empty());
    let dropped = bench.deliveries().into_iter().filter(|d| d.state == DeliveryState::Dropped).count();
    assert_eq!(dropped, 2);
    assert_eq!(audit(&bench), ["disable hook", "enable hook", "disable hook", "delete hook"]);
    bench.close().await;
}

#[tokio::test]
async fn after_the_horizon_a_row_becomes_a_dead_letter() {
    let (dir, sink) = (dir(), Sink::start(|_, _| status(503)).await);
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    bench.put(vec![bench.message("hook", "a", Phase::Opened)]).await;
    until("one attempt", || !sink.seen().is_empty()).await;
    until("retrying", || bench.deliveries().iter().any(|d| d.state == DeliveryState::Retrying)).await;
    bench.advance(Duration::from_secs(24 * 3600 + 60));
    until("given up", || dead(&bench).len() == 1).await;
    assert_eq!(dead(&bench)[0].reason, Reason::Expired);
    assert!(bench.outbox("hook").is_empty());
    bench.close().await;
}

#[tokio::test]
async fn a_replaced_row_is_not_sent_and_does_not_hold_back_its_successor() {
    let (dir, sink) = (dir(), Sink::start(|_, _| status(200)).await);
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    let due = bench.now() + jiff::SignedDuration::from_secs(600);
    let seqs = bench.put_due(vec![bench.message("hook", "a", Phase::Opened)], due).await;
    until("waits", || bench.status("hook").queued == 1).await;
    let key = keys::outbox("hook", seqs[0]);
    bench.store.write(move |tx| tx.remove(&OUTBOX, &key)).await.unwrap();
    bench.put(vec![bench.message("hook", "a", Phase::Worse)]).await;
    until("sent", || sink.taken().len() == 1).await;
    assert!(sink.seen()[0].body.contains("a worse"));
    bench.close().await;
}

#[tokio::test]
async fn what_is_handed_over_and_what_comes_back_meanwhile_all_goes_once() {
    let dir = dir();
    let sink = Sink::start(|n, _| status(if n < 30 { 422 } else { 200 })).await;
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url, "deliver": "events"}))]).await;
    let events = |from: usize, to: usize| {
        (from..to).map(|n| bench.message("hook", &format!("e{n}"), Phase::Event)).collect::<Vec<_>>()
    };
    bench.hand("hook", events(0, 30)).await;
    until("all refused", || bench.status("hook").dead == 30).await;
    // Dead letters come back between the commits of new rows; one commit is more than a worker holds.
    let new = async {
        for n in 0..40 {
            bench.hand("hook", events(30 + n * 10, 40 + n * 10)).await;
        }
        bench.hand("hook", events(430, 4000)).await;
        bench.hand("hook", events(4000, 4020)).await;
    };
    let back = async {
        for seq in bench.dead_seqs() {
            assert_eq!(bench.dispatcher.retry_dead(None, &[seq]).await, Ok(1));
        }
    };
    tokio::join!(new, back);
    until("everything", || sink.count() >= 4020).await;
    until("written", || bench.outbox("hook").is_empty()).await;
    let ids: BTreeSet<String> = sink.taken().into_iter().collect();
    assert_eq!((ids.len(), sink.count()), (4020, 4020));
    bench.close().await;
}

#[tokio::test]
async fn a_reload_restarts_only_what_changed() {
    let dir = dir();
    let slow = Sink::start(|_, _| status(200).after(Duration::from_millis(1500))).await;
    let sink = Sink::start(|_, _| status(200)).await;
    let bench = Bench::open(dir.path());
    let one = ("one", "webhook", json!({"url": slow.url}));
    bench.apply(&[one.clone(), ("two", "webhook", json!({"url": sink.url}))]).await;
    bench.put(vec![bench.message("one", "a", Phase::Opened)]).await;
    until("on the wire", || slow.seen().len() == 1).await;
    let started = tokio::time::Instant::now();
    bench.apply(&[one, ("two", "webhook", json!({"url": sink.url, "method": "PUT"}))]).await;
    assert!(started.elapsed() < Duration::from_secs(1), "the unchanged one is not waited for");
    assert_eq!(bench.status("one").in_flight, 1);
    until("delivered", || bench.outbox("one").is_empty()).await;
    assert_eq!(slow.seen().len(), 1);
    bench.close().await;
}

#[tokio::test]
async fn stopping_finishes_what_is_on_the_wire() {
    let (dir, sink) = (dir(), Sink::start(|_, _| status(200).after(Duration::from_millis(700))).await);
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    bench.put(vec![bench.message("hook", "a", Phase::Opened)]).await;
    until("on the wire", || sink.seen().len() == 1).await;
    bench.close().await;
    let bench = Bench::open(dir.path());
    assert!(bench.outbox("hook").is_empty() && bench.deliveries().len() == 1);
    bench.close().await;
}

#[tokio::test]
async fn a_test_message_is_marked_and_reported() {
    let (dir, sink) = (dir(), Sink::start(|_, _| status(202)).await);
    let bench = Bench::open(dir.path());
    let incomplete = ("new", "slack", json!({"webhook_url": "..."}));
    bench.apply(&[("hook", "webhook", json!({"url": sink.url})), incomplete]).await;
    let report = bench.dispatcher.test("hook").await.unwrap();
    assert!(report.line().unwrap().starts_with("status 202 in "));
    let sent: serde_json::Value = serde_json::from_str(&sink.seen()[0].body).unwrap();
    assert_eq!(sent["test"], true);
    assert!(bench.dispatcher.test("new").await.unwrap_err().contains("webhook_url"));
    until("shown", || bench.status("new").state == "incomplete").await;
    assert_eq!(audit(&bench), ["test hook"]);
    bench.close().await;
}

#[tokio::test]
async fn a_backlog_larger_than_the_window_is_worked_off_in_order() {
    let (dir, sink) = (dir(), Sink::start(|_, _| status(200)).await);
    let bench = Bench::open(dir.path());
    let numbered = |n: u32| {
        let object = format!("o{}", n % 500);
        let mut message = bench.message("hook", &object, Phase::Event);
        message.event.title = format!("number {n}");
        message.event.fingerprint = object.as_str().into();
        message
    };
    bench.put((0..4000).map(numbered).collect()).await;
    bench.apply(&[("hook", "webhook", json!({"url": sink.url, "deliver": "events"}))]).await;
    until("all", || sink.count() == 4000).await;
    let mut last = std::collections::BTreeMap::new();
    for seen in sink.seen() {
        let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
        let n: u64 = body["title"].as_str().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
        let before = last.insert(body["fingerprint"].as_str().unwrap().to_owned(), n);
        assert!(before.is_none_or(|b| b < n), "{before:?} before {n}");
    }
    assert_eq!(last.len(), 500);
    until("empty", || bench.outbox("hook").is_empty()).await;
    bench.close().await;
}

#[tokio::test]
async fn with_watch_only_connectors_are_known_and_nothing_is_sent() {
    let (dir, sink) = (dir(), Sink::start(|_, _| status(200)).await);
    let bench = Bench::watch_only(dir.path());
    bench.put((0..3).map(|n| bench.message("hook", &format!("i{n}"), Phase::Opened)).collect()).await;
    let incomplete = ("new", "slack", json!({"webhook_url": "..."}));
    bench.apply(&[("hook", "webhook", json!({"url": sink.url})), incomplete]).await;
    let hook = bench.status("hook");
    assert_eq!((hook.state.as_str(), hook.enabled, hook.queued), ("not used", true, 3));
    assert!(hook.why.contains("--watch-only") && hook.oldest.is_some(), "{hook:?}");
    assert_eq!(bench.status("new").state, "incomplete");
    assert!(bench.dispatcher.test("hook").await.unwrap_err().contains("--watch-only"));
    // It can be switched, and changed, like any other.
    bench.dispatcher.set_enabled("hook", false).await.unwrap();
    assert_eq!(bench.status("hook").state, "off");
    bench.dispatcher.set_enabled("hook", true).await.unwrap();
    bench.apply(&[("hook", "webhook", json!({"url": sink.url, "method": "PUT"}))]).await;
    assert_eq!((bench.status("hook").state.as_str(), bench.status("hook").queued), ("not used", 3));
    bench.advance(Duration::from_secs(60));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((sink.count(), bench.outbox("hook").len()), (0, 3));
    bench.close().await;
    // Without it, what waits goes out.
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    until("all", || sink.count() == 3).await;
    bench.close().await;
}

#[tokio::test]
async fn a_failing_connector_says_when_it_is_tried_again_and_until_when() {
    let (dir, sink) = (dir(), Sink::start(|n, _| status(if n < 3 { 500 } else { 200 })).await);
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    let made = bench.now();
    bench.put(vec![bench.message("hook", "a", Phase::Opened)]).await;
    until("failing", || bench.status("hook").fails()).await;
    until("written", || !bench.deliveries().is_empty()).await;
    let row = bench.deliveries().remove(0);
    assert_eq!(row.state, DeliveryState::Retrying);
    assert!(row.next_at > Some(row.at) && row.tried_since.is_some_and(|at| at >= made && at <= row.at));
    assert_eq!(row.cluster, bench.message("hook", "a", Phase::Opened).event.cluster);
    until("when", || bench.status("hook").next_attempt.is_some()).await;
    until("taken", || {
        bench.advance(Duration::from_secs(5));
        bench.outbox("hook").is_empty()
    })
    .await;
    until("well again", || !bench.status("hook").fails()).await;
    assert_eq!(bench.status("hook").next_attempt, None);
    let row = bench.deliveries().pop().unwrap();
    assert_eq!((row.state, row.next_at, row.tried_since), (DeliveryState::Delivered, None, None));
    bench.close().await;
}
