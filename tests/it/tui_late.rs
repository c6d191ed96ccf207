//! Answers that come late: what the feed told meanwhile stands, and nobody is moved who has moved himself.

use std::sync::Arc;

use barrelman::{
    event::{EventType, IncidentId, Severity, incident::IncidentStatus, incident::Phase},
    feed::Feed,
    store::{DeliveryRow, DeliveryState},
    tui::{Options, harness::Harness},
};
use jiff::{SignedDuration, Timestamp};

use super::{
    tui_sample as sample,
    tui_truth::{bench, told_so},
};

fn at(secs: i64) -> Timestamp {
    sample::now().checked_add(SignedDuration::from_secs(secs)).unwrap()
}

fn delivery(connector: &str, incident: Option<IncidentId>) -> DeliveryRow {
    DeliveryRow {
        at: sample::now(),
        connector: connector.into(),
        notification: "n".into(),
        phase: Phase::Opened,
        event: "e".into(),
        event_type: EventType::PodCrashLoop,
        severity: Severity::Critical,
        title: "crash loop".into(),
        incident,
        cluster: "prod-eu".into(),
        namespace: "payments".into(),
        subject: "Deployment/payments/payments-api".into(),
        state: DeliveryState::Dead,
        attempts: 3,
        status: 410,
        next_at: None,
        tried_since: None,
        latency_ms: 12,
        detail: "410 gone: make a new webhook".into(),
    }
}

/// The line on the screen that holds the cursor.
fn cursor(h: &mut Harness) -> (usize, String) {
    let screen = h.screen();
    let found = screen.lines().enumerate().find(|(_, l)| l.starts_with('▌'));
    let (at, line) = found.unwrap_or_else(|| panic!("no cursor on\n{screen}"));
    (at, line.to_owned())
}

#[test]
fn what_the_feed_tells_while_the_incidents_are_read_stands_over_the_answer() {
    let bench = bench(true);
    let mut h = bench.open(&Options::default(), (170, 45));
    h.keys("1").settle();
    let mut new = sample::incident(sample::now(), 2);
    new.id = sample::id(77);
    new.subject.name = "brand-new".into();
    let mut ended = sample::incident(sample::now(), 1);
    (ended.status, ended.resolved_at) = (IncidentStatus::Resolved, Some(sample::now()));
    // Nothing of it is in the pages: they were read before it was committed.
    let told = vec![
        Feed::Incident { incident: Arc::new(new) },
        Feed::Incident { incident: Arc::new(ended) },
        Feed::Delivery { seq: 900_000, delivery: Arc::new(delivery("teams", Some(sample::id(2)))) },
    ];
    let marks = |screen: &str| {
        let line = screen.lines().find(|l| l.contains("nightly-recon") && l.get(..3).is_some()).unwrap();
        line.matches('✖').count()
    };
    let before = marks(&h.screen());
    h.keys("r").feed(told).settle();
    let screen = h.screen();
    let (open, over) = screen.split_once("\n ended").unwrap();
    assert!(open.contains("batch/brand-new"), "{screen}");
    assert!(!open.contains("payments/payments-api") && over.contains("payments/payments-api"), "{screen}");
    assert_eq!(marks(&screen), before + 1, "{screen}");
    // An answer that was asked for later knows better.
    let screen = h.keys("r").settle().screen();
    let (open, _) = screen.split_once("\n ended").unwrap();
    assert!(!screen.contains("brand-new") && open.contains("payments/payments-api"), "{screen}");
    assert_eq!(marks(&screen), before, "{screen}");
}

#[test]
fn a_message_that_is_told_of_while_its_incident_is_looked_at_keeps_its_mark() {
    let bench = bench(true);
    let mut h = bench.open(&Options::default(), (170, 45));
    h.keys("1").settle();
    // Something was committed: what stands on the screen is asked for again.
    h.now = at(5);
    told_so(&mut h, |status| status.store.commits += 1);
    h.tick();
    h.feed(vec![Feed::Delivery { seq: 900_000, delivery: Arc::new(delivery("teams", Some(sample::id(1)))) }]);
    let queries = h.queries();
    h.settle();
    let screen = h.screen();
    assert!(screen.contains("teams ✖ given up: 410 gone"), "{screen}");
    let row = cursor(&mut h).1;
    assert!(row.contains("payments-api") && row.matches('✖').count() >= 3, "{screen}");
    assert_eq!(h.queries(), queries, "it is not read once more for that");
}
