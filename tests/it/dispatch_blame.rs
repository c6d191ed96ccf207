//! One message that is never taken, and a destination that takes nothing for a while: told apart, and neither harms more
//! than it must.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use barrelman::{
    connector::Reason,
    event::incident::Phase,
    store::{DEAD, DeadLetter, Read},
};
use serde_json::json;

use crate::support::{
    bench::{Bench, until},
    sink::{Reply, Sink, status},
};

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// As Slack: `ok`, or an error of its own for what it cannot lay out.
fn slack(body: &str) -> Reply {
    if body.contains("poison") { status(500).saying("rollup_error") } else { status(200).saying("ok") }
}

/// As a PainChain backend: 500 also for what it will never take.
fn painchain(up: bool, body: &str) -> Reply {
    if !up || body.contains("poison") {
        return status(500).saying(r#"{"statusCode":500,"message":"Internal server error"}"#);
    }
    status(201).saying(r#"{"event_id":"e","stored_at":"2025-01-15T10:30:00Z"}"#)
}

async fn painchain_bench(dir: &Path, sink: &Sink) -> Bench {
    let bench = Bench::open(dir);
    let base = sink.url.trim_end_matches("/hook").to_owned();
    bench.apply(&[("pain", "painchain", json!({"api_url": base, "integration_id": "i"}))]).await;
    bench
}

fn dead(bench: &Bench) -> Vec<DeadLetter> {
    let mut rows = Vec::new();
    let mut each = |_, row| {
        rows.push(row);
        true
    };
    bench.store.snapshot().unwrap().read_log(&DEAD, 0, &mut each).unwrap();
    rows
}

fn tries(sink: &Sink, word: &str) -> usize {
    sink.seen().iter().filter(|s| s.body.contains(word)).count()
}

/// Lets time pass, with a new message every two seconds, until it holds.
async fn while_others_are_taken(bench: &Bench, mut holds: impl FnMut() -> bool) {
    for n in 0..2000 {
        if holds() {
            return;
        }
        bench.put(vec![bench.message("pain", &format!("later{n}"), Phase::Event)]).await;
        bench.advance(Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not within an hour");
}

#[tokio::test]
async fn one_message_that_slack_never_takes_holds_up_its_own_incident_alone() {
    let (dir, sink) = (dir(), Sink::start(|_, body| slack(body)).await);
    let bench = Bench::open(dir.path());
    bench.apply(&[("slack", "slack", json!({"webhook_url": sink.url}))]).await;
    bench.put(vec![bench.message("slack", "poison", Phase::Opened)]).await;
    until("refused", || tries(&sink, "poison") >= 1).await;
    bench.put(vec![bench.message("slack", "poison", Phase::Worse)]).await;
    // Its pauses grow; whatever they are, the others go.
    for round in 0..6 {
        let word = format!("other{round}");
        bench.put(vec![bench.message("slack", &word, Phase::Opened)]).await;
        until(&word, || tries(&sink, &word) == 1).await;
        bench.advance(Duration::from_mins(5));
        let before = tries(&sink, "poison");
        until("it is tried again", || tries(&sink, "poison") > before).await;
    }
    assert_eq!(tries(&sink, "poison worse"), 0, "in order within an incident");
    until("the others are written", || bench.outbox("slack").len() == 2).await;
    bench.close().await;
}

#[tokio::test]
async fn a_dozen_messages_that_slack_never_takes_do_not_silence_it() {
    let (dir, sink) = (dir(), Sink::start(|_, body| slack(body)).await);
    let bench = Bench::open(dir.path());
    bench.apply(&[("slack", "slack", json!({"webhook_url": sink.url}))]).await;
    bench.put((0..12).map(|n| bench.message("slack", &format!("poison{n}"), Phase::Opened)).collect()).await;
    bench.put(vec![bench.message("slack", "other", Phase::Opened)]).await;
    // Well within its horizon, however slow the disk is: then it would expire.
    for _ in 0..600 {
        bench.advance(Duration::from_mins(1));
        tokio::time::sleep(Duration::from_millis(30)).await;
        if tries(&sink, "other") == 1 {
            return bench.close().await;
        }
    }
    panic!("the other was not tried in ten hours, and {} of the dozen were", sink.seen().len());
}

#[tokio::test]
async fn a_backend_that_is_down_for_a_while_makes_no_dead_letters() {
    let dir = dir();
    let up = Arc::new(AtomicBool::new(true));
    let answers = Arc::clone(&up);
    let sink = Sink::start(move |_, body| painchain(answers.load(Ordering::SeqCst), body)).await;
    let bench = painchain_bench(dir.path(), &sink).await;
    let events =
        |from: usize| (from..from + 40).map(|n| bench.message("pain", &format!("e{n}"), Phase::Event));
    bench.put(events(0).collect()).await;
    until("healthy", || sink.count() == 40).await;
    up.store(false, Ordering::SeqCst);
    bench.put(events(40).collect()).await;
    until("refused", || sink.seen().len() > 40).await;
    // Two hours, in steps in which everything that is due is tried.
    for _ in 0..120 {
        bench.advance(Duration::from_mins(1));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(dead(&bench).len(), 0, "{:?}", dead(&bench).first().map(|d| d.detail.clone()));
    let tried = sink.seen().len() - 40;
    assert!(tried < 40 * 12, "a destination in trouble is probed: {tried}");
    up.store(true, Ordering::SeqCst);
    until("all", || {
        bench.advance(Duration::from_secs(10));
        sink.count() == 80
    })
    .await;
    until("written", || bench.outbox("pain").is_empty()).await;
    bench.close().await;
}

#[tokio::test]
async fn what_a_healthy_backend_never_takes_is_given_up_after_a_dozen_attempts_over_minutes() {
    let (dir, sink) = (dir(), Sink::start(|_, body| painchain(true, body)).await);
    let bench = painchain_bench(dir.path(), &sink).await;
    bench.put((0..40).map(|n| bench.message("pain", &format!("e{n}"), Phase::Event)).collect()).await;
    until("healthy", || sink.count() == 40).await;
    let began = bench.now();
    bench.put(vec![bench.message("pain", "poison", Phase::Event)]).await;
    while_others_are_taken(&bench, || !dead(&bench).is_empty()).await;
    let letter = dead(&bench).remove(0);
    assert!(letter.detail.starts_with("given up after 12 "), "{}", letter.detail);
    let took = bench.now().duration_since(began);
    assert!(took.as_secs() > 120, "{took}");
    bench.close().await;
}

#[tokio::test]
async fn the_count_of_refusals_beside_others_survives_a_restart() {
    let (dir, sink) = (dir(), Sink::start(|_, body| painchain(true, body)).await);
    let bench = painchain_bench(dir.path(), &sink).await;
    bench.put(vec![bench.message("pain", "poison", Phase::Event)]).await;
    while_others_are_taken(&bench, || tries(&sink, "poison") >= 8).await;
    let doubts = || bench.outbox("pain").iter().find_map(|r| Some(r.claim.as_ref()?.doubtful)).unwrap_or(0);
    until("written", || doubts() > 5).await;
    bench.close().await;
    let before = tries(&sink, "poison");
    let bench = painchain_bench(dir.path(), &sink).await;
    while_others_are_taken(&bench, || !dead(&bench).is_empty()).await;
    let after = tries(&sink, "poison") - before;
    assert!(after < 12, "{after} more");
    bench.close().await;
}

#[tokio::test]
async fn while_nothing_is_taken_nothing_is_given_up_before_its_horizon() {
    let (dir, sink) = (dir(), Sink::start(|_, body| painchain(true, body)).await);
    let bench = painchain_bench(dir.path(), &sink).await;
    bench.put(vec![bench.message("pain", "poison", Phase::Event)]).await;
    for _ in 0..200 {
        bench.advance(Duration::from_mins(5));
        tokio::time::sleep(Duration::from_millis(50)).await;
        if tries(&sink, "poison") > 20 {
            break;
        }
    }
    assert!(tries(&sink, "poison") > 20, "more than a dozen times");
    assert!(dead(&bench).is_empty(), "nothing tells whether the message or the backend is to blame");
    bench.advance(Duration::from_hours(24));
    until("given up", || {
        bench.advance(Duration::from_mins(5));
        !dead(&bench).is_empty()
    })
    .await;
    assert_eq!(dead(&bench)[0].reason, Reason::Expired);
    bench.close().await;
}

#[tokio::test]
async fn a_destination_that_is_back_is_known_by_what_it_refuses_too() {
    let dir = dir();
    let up = Arc::new(AtomicBool::new(false));
    let answers = Arc::clone(&up);
    let sink = Sink::start(move |_, body| {
        let refused = if body.contains("malformed") { 422 } else { 200 };
        status(if answers.load(Ordering::SeqCst) { refused } else { 503 })
    })
    .await;
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    let malformed = (0..30).map(|n| bench.message("hook", &format!("malformed{n}"), Phase::Opened));
    bench.put(malformed.collect()).await;
    for _ in 0..60 {
        bench.advance(Duration::from_mins(1));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    up.store(true, Ordering::SeqCst);
    bench.put(vec![bench.message("hook", "good", Phase::Opened)]).await;
    let mut began = None;
    // With time to be sent and written for each step of the clock: that is what is measured.
    for _ in 0..300 {
        bench.advance(Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(100)).await;
        if began.is_none() && sink.seen().iter().any(|s| s.status == 422) {
            began = Some(bench.now());
        }
        if sink.count() == 1 {
            break;
        }
    }
    assert_eq!(sink.count(), 1, "the good one is taken");
    let took = bench.now().duration_since(began.unwrap());
    assert!(took.as_secs() < 30, "no pause for each that it refuses: {took}");
    bench.close().await;
}

/// Sixteen are on the wire when an address is found not to exist: one of them says so for all.
#[tokio::test]
async fn what_pauses_a_connector_costs_one_message_however_many_are_on_the_wire() {
    let dir = dir();
    let up = Arc::new(AtomicBool::new(false));
    let there = Arc::clone(&up);
    let sink = Sink::start(move |_, _| {
        let there = there.load(Ordering::Relaxed);
        if there { status(200) } else { status(404).after(Duration::from_millis(100)) }
    })
    .await;
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    bench.put((0..40).map(|n| bench.message("hook", &format!("m{n}"), Phase::Opened)).collect()).await;
    until("paused", || bench.status("hook").state == "paused" && bench.status("hook").in_flight == 0).await;
    assert!(sink.seen().len() > 1, "several were on the wire");
    assert_eq!(dead(&bench).len(), 1);
    // Resumed without being mended: one more.
    bench.dispatcher.resume("hook").await.unwrap();
    until("paused again", || dead(&bench).len() == 2).await;
    until("all back", || bench.status("hook").in_flight == 0).await;
    assert_eq!((dead(&bench).len(), bench.status("hook").queued), (2, 38));
    up.store(true, Ordering::Relaxed);
    bench.dispatcher.resume("hook").await.unwrap();
    until("taken", || sink.taken().len() == 38).await;
    bench.close().await;
}

/// A queue that is longer than what a worker holds of it is seen growing.
#[tokio::test]
async fn all_that_waits_is_counted() {
    let dir = dir();
    let sink = Sink::start(|_, _| status(503)).await;
    let bench = Bench::open(dir.path());
    bench.apply(&[("hook", "webhook", json!({"url": sink.url}))]).await;
    for turn in 0..2_u64 {
        let message = |n| bench.message("hook", &format!("m{turn}-{n}"), Phase::Opened);
        bench.put((0..2000).map(message).collect()).await;
        bench.advance(Duration::from_secs(6));
        let wants = 2000 * (turn + 1);
        until("counted", || {
            let status = bench.status("hook");
            status.queued + status.in_flight == wants
        })
        .await;
    }
    bench.close().await;
}
