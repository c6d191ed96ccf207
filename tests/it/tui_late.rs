//! Answers that come late: what the feed told meanwhile stands, and nobody is moved who has moved himself.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use barrelman::{
    event::{EventType, IncidentId, Severity, incident::IncidentStatus, incident::Phase},
    feed::{Feed, Reply},
    store::{DELIVERIES, DeliveryRow, DeliveryState, Error, Result, Snapshot, Store},
    tui::{Options, Pages, ThemeChoice, harness::Harness},
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

/// So many messages, a second apart, the newest a second ago; every other is severe.
fn deliveries(store: &Store, count: i64) {
    store
        .write_blocking(move |tx| {
            for n in 0..count {
                let mut row = delivery("slack-oncall", None);
                row.at = at(n - count);
                row.title = format!("message {n:04}");
                row.severity = if n % 2 == 0 { Severity::High } else { Severity::Info };
                row.state = DeliveryState::Delivered;
                tx.append(&DELIVERIES, &row)?;
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_reader_of_the_deliveries_keeps_his_row_whatever_is_read_anew() {
    let bench = bench(true);
    deliveries(&bench.store, 2_000);
    let mut h = bench.open(&Options::default(), (120, 40));
    h.keys("7").settle();
    for _ in 0..50 {
        h.keys("pgdn").settle();
    }
    h.keys("k k k").settle();
    let here = cursor(&mut h);
    let number = |line: &str| {
        let (_, rest) = line.split_once("message ").expect("a message");
        rest.get(..4).unwrap().parse::<i64>().unwrap()
    };
    assert!(number(&here.1) < 1_000 && number(&here.1) % 2 == 0, "{here:?}");
    // Reading again, the screen anew, a scope, a range and a filter that it passes, and warnings only.
    for keys in ["r", "7", "t 3", "esc", "!", "!"] {
        h.keys(keys).settle();
        assert_eq!(cursor(&mut h), here, "{keys}\n{}", h.screen());
    }
    h.keys("s").settle().text("pay").keys("enter").settle();
    assert_eq!(cursor(&mut h), here);
    h.keys("0").settle();
    // On the way to this filter stands one that nothing passes.
    h.keys("/").text("message zz").settle();
    assert!(h.screen().contains("no delivery matches"), "{}", h.screen());
    h.keys("backspace backspace enter").settle();
    assert_eq!(cursor(&mut h).1, here.1, "{}", h.screen());
    h.keys("esc").settle();
    assert_eq!(cursor(&mut h).1, here.1);
    // Up again, row by row, to the newest; nothing is left out and nothing is shown twice.
    let mut last = number(&here.1);
    let newest = loop {
        h.keys("k").settle();
        let line = cursor(&mut h).1;
        if !line.contains("message ") {
            break line;
        }
        let now = number(&line);
        if now == last {
            break line;
        }
        assert_eq!(now, last + 1, "{}", h.screen());
        last = now;
    };
    assert_eq!(last, 1_999, "{newest}");
    // What does not pass is not stood on: then the newest is shown, and followed.
    h.keys("j j j").settle().keys("/").text("message 0001").keys("enter").settle();
    assert!(!h.screen().contains("paused") && cursor(&mut h).1.contains("message 0001"), "{}", h.screen());
    // And the oldest is one key away, as is the newest.
    h.keys("esc").settle().keys("G").settle();
    assert!(h.screen().lines().any(|l| l.starts_with('▌') && !l.contains("message 1")), "{}", h.screen());
    h.keys("g").settle();
    assert_eq!(cursor(&mut h).0, 5, "{}", h.screen());
}

/// Pages of a disk that can be made to fail.
struct Failing {
    store: Store,
    fails: AtomicBool,
    panics: AtomicBool,
}

impl Pages for Failing {
    fn snapshot(&self) -> Result<Snapshot> {
        assert!(!self.panics.load(Ordering::SeqCst), "a fault in a reader");
        if self.fails.load(Ordering::SeqCst) { Err(Error::Closed) } else { self.store.snapshot() }
    }
}

#[test]
fn a_page_that_could_not_be_read_is_read_with_the_next_movement() {
    let (store, _dir) = sample::store(Some(1_500));
    deliveries(&store, 1_500);
    let pages = Arc::new(Failing { store, fails: AtomicBool::default(), panics: AtomicBool::default() });
    let why = Error::Closed.to_string();
    for screen in ["2", "7"] {
        let seam: Arc<dyn Pages> = Arc::clone(&pages) as _;
        let theme = ThemeChoice::Dark.resolve(None, None);
        let mut h = Harness::new(&seam, &Options::default(), theme, (120, 40), sample::now());
        h.settle().keys(screen).settle();
        pages.fails.store(true, Ordering::SeqCst);
        for _ in 0..20 {
            h.keys("pgdn").settle();
        }
        let stuck = cursor(&mut h).1;
        assert!(h.screen().contains(why.get(..30).unwrap_or(&why)), "{why}\n{}", h.screen());
        pages.fails.store(false, Ordering::SeqCst);
        for _ in 0..80 {
            h.keys("pgdn").settle();
        }
        assert_ne!(cursor(&mut h).1, stuck, "{}", h.screen());
        let bottom = cursor(&mut h).1;
        assert_eq!(cursor(h.keys("G").settle()).1, bottom);
    }
    // The first page, too: nothing says that there is nothing.
    pages.fails.store(true, Ordering::SeqCst);
    let seam: Arc<dyn Pages> = Arc::clone(&pages) as _;
    let theme = ThemeChoice::Dark.resolve(None, None);
    let mut h = Harness::new(&seam, &Options::default(), theme, (120, 40), sample::now());
    for screen in ["2", "7"] {
        let shown = h.settle().keys(screen).settle().screen();
        assert!(!shown.contains("no event yet") && !shown.contains("nothing was sent yet"), "{shown}");
        assert!(!shown.contains("reading the store"), "{shown}");
    }
    pages.fails.store(false, Ordering::SeqCst);
    let shown = h.keys("j").settle().screen();
    assert!(shown.contains("message 1499"), "{shown}");
}

#[test]
fn a_late_jump_moves_nobody_who_has_moved() {
    let mut wanted = sample::busy(1, at(-5_000));
    wanted.object.name = "needle-7c9d8f6b5-abcde".into();
    let items = vec![Feed::Event { seq: 9_000_000, event: Arc::new(sample::busy(7, at(1))) }];
    // The oldest of all: far below what is in memory.
    let (store, _dir) = sample::store(None);
    store.write_blocking(move |tx| sample::put_event(tx, &wanted)).unwrap();
    sample::fill(&store, sample::now(), 2_500);
    let seam: Arc<dyn Pages> = Arc::new(store);
    let theme = ThemeChoice::Dark.resolve(None, None);
    let mut h = Harness::new(&seam, &Options::default(), theme, (120, 40), sample::now());
    h.settle().keys("2").settle();
    h.keys("/").text("needle").keys("enter").settle();
    assert!(cursor(&mut h).1.contains("needle"), "{}", h.screen());
    h.keys("esc").settle();
    // He has gone on to another row before the search is over.
    h.keys("n j j").settle();
    let (line, text) = cursor(&mut h);
    assert!(line == 6 && !text.contains("needle"), "{}", h.screen());
    // To another screen, and back.
    h.keys("n 1").settle().keys("2").settle();
    assert_eq!(cursor(&mut h), (line, text));
    // Who waits is taken there, also while new rows come.
    h.keys("g").settle().keys("n").feed(items).settle();
    assert!(cursor(&mut h).1.contains("needle"), "{}", h.screen());
}

#[test]
fn a_fault_of_a_reader_is_told_and_the_next_question_is_answered() {
    let (store, _dir) = sample::store(Some(300));
    let pages = Arc::new(Failing { store, fails: AtomicBool::default(), panics: AtomicBool::default() });
    let seam: Arc<dyn Pages> = Arc::clone(&pages) as _;
    let theme = ThemeChoice::Dark.resolve(None, None);
    pages.panics.store(true, Ordering::SeqCst);
    let mut h = Harness::new(&seam, &Options::default(), theme, (120, 40), sample::now());
    let screen = h.settle().keys("2").settle().screen();
    assert!(screen.contains("by an error of this program: see :logs"), "{screen}");
    pages.panics.store(false, Ordering::SeqCst);
    h.keys("j").settle();
    h.now = at(10);
    let screen = h.tick().settle().screen();
    assert!(screen.contains("pod_restarted") && !screen.contains("error of this program"), "{screen}");
}

#[test]
fn a_late_manifest_is_not_shown_as_that_of_another_object() {
    let (store, _dir) = sample::store(None);
    store
        .write_blocking(|tx| {
            for (n, namespace, cluster) in
                [(1, "blue", "prod-eu"), (2, "green", "prod-eu"), (3, "green", "prod-us")]
            {
                let what = (EventType::PodCreated, Severity::Info);
                let mut event = sample::event(n, at(n as i64 - 60), what, (namespace, "Pod", "web-1"));
                event.cluster = cluster.into();
                sample::put_event(tx, &event)?;
            }
            Ok(())
        })
        .unwrap();
    let seam: Arc<dyn Pages> = Arc::new(store);
    let theme = ThemeChoice::Dark.resolve(None, None);
    let mut h = Harness::new(&seam, &Options::default(), theme, (120, 40), sample::now());
    h.settle();
    told_so(&mut h, |_| ());
    h.keys("2").settle();
    // The newest first: of one cluster its name says nothing, of two it does.
    assert!(h.keys("y").screen().contains("┌ Pod green/web-1 · manifest ─"), "{}", h.screen());
    h.keys("esc").reply(Reply::Done("late: 0".into()));
    told_so(&mut h, |status| {
        let mut other = status.clusters[0].clone();
        other.name = "prod-us".into();
        status.clusters.push(other);
    });
    for (title, late) in
        [("Pod green/web-1 · prod-us", 3), ("Pod green/web-1 · prod-eu", 2), ("Pod blue/web-1 · prod-eu", 1)]
    {
        let screen = h.keys("y").screen();
        assert!(screen.contains(&format!("┌ {title} · manifest ─")), "{screen}");
        assert!(screen.contains("fetching from the cluster"), "{late}: {screen}");
        if late > 1 {
            h.keys("esc j").settle();
        }
    }
    // The answers to what was closed come now; the last alone is for what is shown.
    for n in [3, 2, 1] {
        assert!(h.screen().contains("fetching from the cluster"), "{}", h.screen());
        h.reply(Reply::Done(format!("object: number-{n}")));
    }
    assert!(h.screen().contains("object: number-1"), "{}", h.screen());
    // Asked for again, the same object waits for its own answer, not for that of before.
    h.keys("esc y esc y").reply(Reply::Failed("no answer within 30 s".into()));
    assert!(h.screen().contains("fetching from the cluster"), "{}", h.screen());
    assert!(
        h.reply(Reply::Done("object: again".into())).screen().contains("object: again"),
        "{}",
        h.screen()
    );
}
