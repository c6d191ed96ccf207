//! What keys, the feed and hostile text do to the dashboard, without a terminal.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use barrelman::{
    event::{EventType, Severity, incident::IncidentStatus},
    feed::{Action, Feed, Reply},
    store::{DeliveryState, Store},
    tui::{Engine, Exit, Options, PANES, Pages, ThemeChoice, harness::Harness},
};

use super::tui_sample as sample;

struct Bench {
    store: Store,
    _dir: tempfile::TempDir,
}

fn bench(events: u64) -> Bench {
    let (store, dir) = sample::store(Some(events));
    Bench { store, _dir: dir }
}

impl Bench {
    fn open_with(&self, options: &Options) -> Harness {
        let pages: Arc<dyn Pages> = Arc::new(self.store.clone());
        let theme = ThemeChoice::Dark.resolve(None, None);
        let mut h = Harness::new(&pages, options, theme, (170, 45), sample::now());
        h.settle();
        h.feed(vec![Feed::Status { status: Arc::new(sample::status(sample::now())) }]).settle();
        h
    }

    fn open(&self) -> Harness {
        self.open_with(&Options::default())
    }
}

/// The line on the screen that holds the cursor.
fn cursor(h: &mut Harness) -> (usize, String) {
    let screen = h.screen();
    let (at, line) = screen.lines().enumerate().find(|(_, l)| l.starts_with('▌')).expect("a cursor");
    (at, line.to_owned())
}

#[test]
fn it_opens_on_the_incidents_and_says_what_since_when_why_and_who_was_told() {
    let mut h = bench(50).open();
    let screen = h.screen();
    for words in [
        "1 Incidents(3)",
        "▌09:14   26m ✖",
        "payments/payments-api",
        "4/6 pods",
        "23 objects",
        "−1m deploy/payments-api image 1.41.0 → 1.42.0",
        "argocd-controller",
        "rs/payments-api-7c9d8f6b5",
        "slack-oncall ✓ 09:14:23",
        "email-leads ✖ given up: 535 auth",
        "kubectl -n payments logs",
        "1 dead",
        "ended",
    ] {
        assert!(screen.contains(words), "{words:?} is not on\n{screen}");
    }
}

#[test]
fn without_an_open_incident_it_opens_on_the_stream_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let bench = Bench { store, _dir: dir };
    let screen = bench.open().screen();
    assert!(screen.contains("no event yet") && screen.contains("all quiet"), "{screen}");
}

#[test]
fn a_new_incident_is_on_the_screen_with_the_next_frame() {
    let bench = bench(50);
    let mut h = bench.open();
    let mut incident = sample::incident(sample::now(), 2);
    incident.id = sample::id(77);
    incident.severity = Severity::Critical;
    incident.subject.name = "brand-new".into();
    h.feed(vec![Feed::Incident { incident: Arc::new(incident.clone()) }]);
    assert!(h.dirty());
    let screen = h.screen();
    assert!(screen.contains("batch/brand-new") && screen.contains("1 Incidents(4)"), "{screen}");
    // And its end takes it to the ended ones.
    incident.status = IncidentStatus::Resolved;
    incident.resolved_at = Some(sample::now());
    h.feed(vec![Feed::Incident { incident: Arc::new(incident) }]);
    let screen = h.screen();
    let (open, ended) = screen.split_once("\n ended").unwrap();
    assert!(!open.contains("brand-new") && ended.contains("brand-new"), "{screen}");
}

#[test]
fn the_cursor_stays_on_its_incident_and_its_line() {
    let bench = bench(50);
    let mut h = bench.open();
    h.keys("j j").settle();
    let before = cursor(&mut h);
    assert!(before.1.contains("nightly-recon"), "{before:?}");
    // One that is sorted below.
    let mut incident = sample::incident(sample::now(), 2);
    incident.id = sample::id(78);
    incident.severity = Severity::Low;
    h.feed(vec![Feed::Incident { incident: Arc::new(incident) }]).settle();
    assert_eq!(cursor(&mut h), before);
}

#[test]
fn a_failed_delivery_shows_at_once_with_its_next_step() {
    let bench = bench(50);
    let mut h = bench.open();
    let row = barrelman::store::DeliveryRow {
        at: sample::now(),
        connector: "teams".into(),
        notification: "n".into(),
        phase: barrelman::event::incident::Phase::Opened,
        event: "e".into(),
        event_type: EventType::PodCrashLoop,
        severity: Severity::Critical,
        title: "crash loop".into(),
        incident: Some(sample::id(1)),
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
    };
    h.feed(vec![Feed::Delivery { seq: 900_000, delivery: Arc::new(row) }]);
    let screen = h.screen();
    assert!(screen.contains("teams ✖ given up: 410 gone: make a new"), "{screen}");
    let screen = h.keys("7").settle().screen();
    assert!(screen.contains("R retry") && screen.contains("P purge"), "{screen}");
}

#[test]
fn enter_on_an_incident_shows_its_events_and_escape_leads_back() {
    let bench = bench(300);
    let mut h = bench.open();
    let screen = h.keys("enter").settle().screen();
    assert!(screen.contains("/ incident of payments/deploy/payments-api"), "{screen}");
    assert!(
        screen.contains("2 of ") && screen.contains("pod_crash_loop") && !screen.contains("indexer"),
        "{screen}"
    );
    let screen = h.keys("esc").settle().screen();
    assert!(screen.contains("indexer"), "{screen}");
    let screen = h.keys("esc").settle().screen();
    assert!(screen.contains("AFFECTED"), "{screen}");
}

#[test]
fn a_wrong_filter_shows_a_caret_and_keeps_the_previous_result() {
    let bench = bench(300);
    let mut h = bench.open();
    h.keys("2 /").text("type:pod_restarted").keys("enter").settle();
    let before: Vec<String> = rows(&h.screen());
    assert!(!before.is_empty() && before.iter().all(|r| r.contains("pod_restarted")), "{before:?}");
    // What was only on the way to the mistake was never the result.
    h.keys("/").text("count>=2").settle();
    assert_ne!(before, rows(&h.screen()));
    h.text(" severty>=high").settle();
    let screen = h.screen();
    assert!(screen.contains("^^^^^^^") && screen.contains("severity"), "{screen}");
    let after = rows(&screen);
    assert!(!after.is_empty() && before.starts_with(&after), "{screen}");
    // Enter does not take it; Esc goes back to what was before.
    h.keys("enter");
    assert!(h.screen().contains("^^^^"));
    let screen = h.keys("esc").settle().screen();
    assert!(!screen.contains("^^^^") && rows(&screen) == before, "{screen}");
    let screen = h.keys("esc").settle().screen();
    assert!(screen.contains("pod_created"), "{screen}");
}

#[test]
fn what_was_typed_before_a_mistake_is_no_search_for_text() {
    let bench = bench(300);
    let mut h = bench.open();
    h.keys("2").settle();
    let before = rows(&h.screen());
    // Each letter is a filter of its own until the mistake shows.
    h.keys("/").text("sevrity>=high").settle();
    let screen = h.screen();
    let after = rows(&screen);
    assert!(screen.contains("^^^^^^^") && !after.is_empty() && before.starts_with(&after), "{screen}");
    let screen = h.keys("enter").settle().screen();
    assert!(screen.contains("^^^^^^^") && rows(&screen) == after, "{screen}");
    // The message can be read on the smallest terminal too.
    let screen = h.resize(60, 16).screen();
    let words = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("did you mean severity?"), "{screen}");
    h.keys("esc").settle();
    h.keys("/ s e v tab").text("high").settle();
    assert!(h.screen().contains("severity>=high"), "{}", h.screen());
}

#[test]
fn where_there_is_no_filter_what_is_typed_does_nothing() {
    let bench = bench(20);
    for screen in ["6", "8"] {
        let mut h = bench.open();
        h.keys(screen).settle();
        let before = h.screen();
        assert!(!before.contains("/ filter"), "{before}");
        h.keys("/").text("pods").keys("enter");
        assert_eq!(h.screen(), before);
        assert!(h.asked.is_empty() && h.exit.is_none());
    }
}

fn rows(screen: &str) -> Vec<String> {
    let event =
        |l: &&str| l.get(..3).is_some() && (l.contains(" pod_") || l.contains("_changed")) && l.contains(':');
    screen.lines().skip(4).filter(event).map(|l| l.chars().skip(1).take(50).collect()).collect()
}

#[test]
fn a_thousand_new_rows_leave_the_same_event_on_the_same_line() {
    let bench = bench(500);
    let mut h = bench.open();
    h.keys("2").settle().keys("j j j j j j j").settle();
    let before = cursor(&mut h);
    for batch in 0..10 {
        let events: Vec<_> = (0..100).map(|i| sample::busy(batch * 100 + i, sample::now())).collect();
        let stored = events.clone();
        let seqs = bench
            .store
            .write_blocking(move |tx| {
                stored.iter().map(|e| sample::put_event(tx, e)).collect::<Result<Vec<_>, _>>()
            })
            .unwrap();
        let items = seqs.into_iter().zip(events).map(|(seq, e)| Feed::Event { seq, event: Arc::new(e) });
        h.feed(items.collect());
        assert_eq!(cursor(&mut h), before);
    }
    assert!(h.screen().contains("▲ 1 000 new above"), "{}", h.screen());
    // They are read in as one goes there, and g follows again.
    for _ in 0..40 {
        h.keys("k").settle();
    }
    let (_, line) = cursor(&mut h);
    assert_ne!(line, before.1);
    let screen = h.keys("g").settle().screen();
    assert!(!screen.contains("paused"), "{screen}");
    assert!(screen.lines().nth(4).unwrap().starts_with('▌'), "{screen}");
}

#[test]
fn every_row_of_a_long_store_is_reached_once_going_down_and_up() {
    let bench = bench(2_500);
    let mut h = bench.open();
    h.keys("2").settle();
    for _ in 0..100 {
        h.keys("pgdn").settle();
    }
    let bottom = cursor(&mut h).1;
    let screen = h.keys("G").settle().screen();
    assert_eq!(cursor(&mut h).1, bottom, "{screen}");
    for _ in 0..100 {
        h.keys("pgup").settle();
    }
    let (line, top) = cursor(&mut h);
    assert_eq!(line, 4);
    h.keys("g").settle();
    assert_eq!(cursor(&mut h).1, top);
}

#[test]
fn hostile_text_is_inert_and_the_columns_stay_aligned() {
    let bench = bench(20);
    let hostile = [
        "\x1b]52;c;aGFjaw==\x07 \x1b[2J\x1b[31m",
        "\u{202e}evil\u{2066}",
        "zero\u{200b}width\u{feff}",
        "👩‍👩‍👧‍👦👍🏽🇩🇪❤️",
        "漢字かな",
        "Z̸̡̢a̷l̵g̶o̷",
        "a\tb\nc\rd",
        &"x".repeat(8192),
    ];
    let items: Vec<Feed> = hostile
        .iter()
        .enumerate()
        .map(|(i, text)| {
            let i = i as u64;
            let mut event = sample::busy(i, sample::now());
            event.title = (*text).into();
            event.description = (*text).into();
            event.object.name = (*text).into();
            event.object.namespace = (*text).into();
            Feed::Event { seq: 2_000_000 + i, event: Arc::new(event) }
        })
        .collect();
    for size in [(60, 16), (80, 24), (120, 40), (200, 60)] {
        let mut h = bench.open();
        h.resize(size.0, size.1).keys("2").settle().feed(items.clone());
        for _ in 0..=hostile.len() {
            let buffer = h.draw().clone();
            for cell in &buffer.content {
                assert!(
                    cell.symbol().chars().all(|c| !c.is_control()
                        && !"\u{200b}\u{200d}\u{202e}\u{2066}\u{2069}\u{feff}".contains(c))
                );
            }
            // The frame of the detail stands in one column, whatever is in the rows.
            if size.0 >= 110 {
                let edge =
                    (0..buffer.area.width).find(|x| buffer.cell((*x, 3)).unwrap().symbol() == "┌").unwrap();
                for y in 4..20 {
                    assert_eq!(buffer.cell((edge, y)).unwrap().symbol(), "│", "line {y}");
                }
            }
            h.keys("j").settle();
        }
    }
}

#[test]
fn a_pasted_key_is_never_a_key() {
    let bench = bench(20);
    let mut h = bench.open();
    h.paste("q\ny\n");
    assert!(h.exit.is_none() && h.screen().contains("goes into a field"));
    h.keys("2 /").paste("ns:payments\nq").settle();
    assert!(h.screen().contains("ns:payments q"), "{}", h.screen());
    assert!(h.exit.is_none());
}

#[test]
fn quitting_names_the_connectors_that_would_stop_and_needs_another_key() {
    let bench = bench(20);
    let mut h = bench.open();
    let screen = h.keys("q").screen();
    assert!(
        screen.contains("told by: slack-oncall, pagerduty. What waits (1") && !screen.contains("audit-hook,"),
        "{screen}"
    );
    h.keys("q");
    assert!(h.exit.is_none());
    h.keys("q y");
    assert_eq!(h.exit, Some(Exit::Quit));

    let attached = Options { engine: Engine::Attached("forwarder, pid 4711".into()), ..Options::default() };
    let mut h = bench.open_with(&attached);
    let screen = h.keys("q").screen();
    assert!(
        screen.contains("(forwarder, pid 4711) goes on") && screen.contains("shows forwarder, pid 4711"),
        "{screen}"
    );
    h.keys("esc").engine_gone();
    assert!(h.screen().contains("ENGINE GONE"));
    h.keys(":").text("take-over").keys("enter y");
    assert_eq!(h.exit, Some(Exit::TakeOver));

    let watch_only = Options { watch_only: true, ..Options::default() };
    let mut h = bench.open_with(&watch_only);
    let screen = h.keys("q").screen();
    assert!(!screen.contains("Nobody will be told by") && screen.contains("watch only"), "{screen}");
}

#[test]
fn ctrl_c_twice_quits_at_once() {
    let bench = bench(20);
    let mut h = bench.open();
    h.keys("ctrl-c");
    let screen = h.screen();
    assert!(h.exit.is_none() && screen.contains("ctrl-c again quits"), "{screen}");
    assert!(screen.contains("Quit?") && screen.contains("Nobody will be told by: "), "{screen}");
    h.keys("ctrl-c");
    assert_eq!(h.exit, Some(Exit::Now));
}

#[test]
fn ctrl_c_once_asks_as_q_does() {
    let bench = bench(20);
    let mut h = bench.open();
    h.keys("/").text("ns:a").keys("ctrl-c n");
    assert!(h.exit.is_none() && !h.screen().contains("Quit?"), "{}", h.screen());
    for _ in 0..4 {
        h.tick();
    }
    // Long after the first it is a first again, and asks once.
    h.keys("ctrl-c");
    for _ in 0..4 {
        h.tick();
    }
    h.keys("ctrl-c");
    assert!(h.exit.is_none() && h.screen().contains("Quit?"), "{}", h.screen());
    h.keys("n");
    assert!(!h.screen().contains("Quit?"), "{}", h.screen());
    h.keys("ctrl-c y");
    assert_eq!(h.exit, Some(Exit::Quit));
}

#[test]
fn a_connector_is_switched_and_tested_and_the_answer_is_said() {
    let bench = bench(20);
    let mut h = bench.open();
    h.keys("6 ctrl-t");
    assert_eq!(h.asked, [Action::TestConnector { name: "audit-hook".into() }]);
    h.reply(Reply::Done("200 ok in 184 ms".into()));
    assert!(h.screen().contains("test of audit-hook: 200 ok in 184 ms"), "{}", h.screen());
    h.keys("space");
    assert_eq!(h.asked, [Action::EnableConnector { name: "audit-hook".into(), enabled: true }]);
    h.reply(Reply::Failed("it is in the file: set enabled there".into()));
    assert!(h.screen().contains("set enabled there"));
    // One with messages waiting asks first.
    h.keys("j j space");
    assert!(h.asked.is_empty() && h.screen().contains("Switch off?"), "{}", h.screen());
    h.keys("y");
    assert_eq!(h.asked, [Action::EnableConnector { name: "pagerduty".into(), enabled: false }]);
}

#[test]
fn dead_letters_are_retried_one_by_one_and_purged_only_after_asking() {
    let bench = bench(20);
    let mut h = bench.open();
    h.keys("7 tab").settle().keys("R");
    // Its connector is paused: nobody would be told now.
    assert!(h.asked.is_empty() && h.screen().contains("email-leads is paused"), "{}", h.screen());
    h.keys("y");
    assert!(
        matches!(&h.asked[..], [Action::RetryDead { connector: None, seqs }] if seqs.len() == 1),
        "{:?}",
        h.asked
    );
    // The engine has put it back: the list follows its answer.
    let [Action::RetryDead { seqs, .. }] = &h.asked[..] else { unreachable!() };
    let seq = seqs[0];
    bench.store.write_blocking(move |tx| tx.remove_entry(&barrelman::store::DEAD, seq)).unwrap();
    h.reply(Reply::Done("1 queued".into())).settle();
    let screen = h.screen();
    assert!(screen.contains("Dead letters (0)") && screen.contains("no dead letters"), "{screen}");
    let mut h = self::bench(20).open();
    h.keys("7 tab").settle();
    assert!(h.keys("P").screen().contains("1 dead letter is thrown away"), "{}", h.screen());
    h.keys("esc P P");
    assert!(h.asked.is_empty(), "the key that asked does not agree");
    h.keys("P y");
    assert!(matches!(&h.asked[..], [Action::PurgeDead { .. }]), "{:?}", h.asked);
}

#[test]
fn a_manifest_is_fetched_on_demand_and_shown() {
    let bench = bench(20);
    let mut h = bench.open();
    h.keys("2").settle().keys("y");
    assert!(
        matches!(&h.asked[..], [Action::Manifest { cluster, .. }] if cluster == "prod-eu"),
        "{:?}",
        h.asked
    );
    assert!(h.screen().contains("fetching from the cluster"));
    h.reply(Reply::Done("apiVersion: v1\nkind: Pod\n".into()));
    assert!(h.screen().contains("kind: Pod"));
    h.keys("esc y").reply(Reply::Failed("forbidden: grant get pods".into()));
    assert!(h.screen().contains("grant get pods"));
}

#[test]
fn the_scope_narrows_every_list() {
    let bench = bench(300);
    let mut h = bench.open();
    h.keys("s").settle().text("check").keys("enter").settle();
    let screen = h.screen();
    assert!(
        screen.contains("▸ checkout") && screen.contains("3 elsewhere") && !screen.contains("nightly"),
        "{screen}"
    );
    let screen = h.keys("2").settle().screen();
    assert!(screen.contains("of 3") && !screen.contains(" payments "), "{screen}");
    assert!(h.keys("0").settle().screen().contains("all namespaces"));
}

#[test]
fn a_paused_connector_is_switched_on_again_with_the_key_that_its_next_step_names() {
    let bench = bench(20);
    let mut h = bench.open();
    h.keys("6 j").settle();
    assert!(h.screen().contains("then switch it on with space"), "{}", h.screen());
    h.keys("space");
    assert_eq!(h.asked, [Action::EnableConnector { name: "email-leads".into(), enabled: true }]);
}

#[test]
fn the_last_delivery_is_what_the_store_says_whichever_engine_made_it() {
    let bench = bench(20);
    let mut h = bench.open();
    let mut status = sample::status(sample::now());
    for connector in &mut status.connectors {
        connector.last_delivered = None;
        connector.last_error = None;
    }
    h.feed(vec![Feed::Status { status: Arc::new(status) }]).keys("6").settle();
    let screen = h.screen();
    let line = |name: &str| screen.lines().find(|l| l.contains(name)).unwrap().to_owned();
    assert!(line("slack-oncall").contains(" 59s "), "{screen}");
    assert!(line("audit-hook").contains(" never "), "{screen}");
}

#[test]
fn an_engine_that_runs_again_is_shown_without_being_asked_for() {
    let bench = bench(50);
    let attached = Options { engine: Engine::Attached("forward, pid 1".into()), ..Options::default() };
    let mut h = bench.open_with(&attached);
    h.feed(vec![Feed::Engine { label: None }]);
    assert!(h.screen().contains("ENGINE GONE"));
    let queries = h.queries();
    h.feed(vec![Feed::Engine { label: Some("forward, pid 2".into()) }]).settle();
    let screen = h.screen();
    assert!(!screen.contains("ENGINE GONE") && screen.contains("shows forward, pid 2"), "{screen}");
    assert!(h.queries() > queries + 3);
}

#[test]
fn only_the_refresh_tries_a_cluster_again() {
    let bench = bench(20);
    let mut h = bench.open();
    h.feed(vec![Feed::Status { status: Arc::new(sample::troubled(sample::now())) }]);
    h.keys("s").settle().text("check").keys("enter").settle().keys("t 3").settle().keys("0").settle();
    assert!(h.asked.is_empty(), "{:?}", h.asked);
    h.keys("r");
    assert_eq!(h.asked, [Action::Reconnect { cluster: "prod-us".into() }]);
}

#[test]
fn an_incident_that_heals_says_since_when_and_when_it_ends() {
    let bench = bench(20);
    let now = sample::now();
    let mut h = bench.open();
    assert!(!h.screen().contains("recovering"));
    bench.store.write_blocking(move |tx| sample::heal(tx, now)).unwrap();
    // The engine tells of no change; what it committed is looked at again.
    let mut status = sample::status(now);
    status.store.commits += 1;
    h.feed(vec![Feed::Status { status: Arc::new(status.clone()) }]).tick().settle();
    // A container that runs for a moment between two crashes is no recovery.
    assert!(!h.screen().contains("recovering"), "{}", h.screen());
    for _ in 0..25 {
        h.feed(vec![Feed::Status { status: Arc::new(status.clone()) }]).tick().settle();
    }
    let screen = h.keys("j j").settle().screen();
    let words = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(screen.contains("◒") && screen.contains("recovering: "), "{screen}");
    assert!(words.contains("(since 09:40:57), closes at 09:41:57"), "{screen}");
}

#[test]
fn the_stream_is_in_the_order_of_its_column_and_can_be_sorted() {
    let bench = bench(60);
    let mut h = bench.open();
    h.keys("2").settle();
    let times =
        |screen: &str| -> Vec<String> { rows(screen).iter().map(|r| r.chars().take(8).collect()).collect() };
    let screen = h.screen();
    let seen = times(&screen);
    assert!(screen.contains("SEEN▼") && seen.len() > 20 && seen.is_sorted_by(|a, b| a >= b), "{screen}");
    let screen = h.keys("o").settle().screen();
    let happened = times(&screen);
    assert!(screen.contains("TIME▼") && happened.is_sorted_by(|a, b| a >= b), "{screen}");
    let screen = h.keys("O").settle().screen();
    assert!(screen.contains("TIME▲"), "{screen}");
    let screen = h.keys("g").settle().screen();
    assert!(times(&screen).is_sorted(), "{screen}");
    let screen = h.keys("f").settle().screen();
    assert_eq!(times(&screen), seen, "{screen}");
}

#[test]
fn the_session_is_found_again_but_not_before_what_broke_since() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("session.json");
    let options = Options { session_file: Some(file.clone()), ..Options::default() };
    let bench = bench(100);
    let mut h = bench.open_with(&options);
    h.keys("s").settle().text("check").keys("enter").settle();
    h.keys("2 /").text("type:pod_*").keys("enter").settle().keys("!");
    h.leave();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let mut h = bench.open_with(&options);
    // What is broken comes first; the rest is as it was left.
    assert!(h.screen().contains("AFFECTED"), "{}", h.screen());
    let screen = h.keys("2").settle().screen();
    assert!(
        screen.contains("SEEN▼") && screen.contains("▸ checkout") && screen.contains("/ type:pod_*"),
        "{screen}"
    );
    assert!(screen.contains("! only"), "{screen}");
    // A file that is none changes nothing.
    std::fs::write(&file, "no session").unwrap();
    assert!(bench.open_with(&options).screen().contains("AFFECTED"));
}

#[test]
fn nobody_has_touched_a_key_so_the_first_incident_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench { store: Store::open(dir.path()).unwrap(), _dir: dir };
    for touched in [false, true] {
        let mut h = bench.open();
        assert!(h.screen().contains("no event yet"));
        if touched {
            h.keys("j");
        }
        h.feed(vec![Feed::Incident { incident: Arc::new(sample::incident(sample::now(), 1)) }]).settle();
        assert_eq!(h.screen().contains("AFFECTED"), !touched, "{}", h.screen());
    }
}

#[test]
fn the_wheel_and_a_click_choose_a_row_or_a_screen() {
    let bench = bench(200);
    let mut h = bench.open();
    h.keys("2").settle();
    h.click(10, 12).settle();
    assert_eq!(cursor(&mut h).0, 12);
    h.wheel(true).settle();
    assert_eq!(cursor(&mut h).0, 15);
    let column = h.screen().lines().nth(1).unwrap().find("6 Conn").unwrap() as u16;
    h.click(column, 1).settle();
    assert!(h.screen().contains("ORIGIN") || h.screen().contains("QUEUE"), "{}", h.screen());
    h.keys("1").settle();
    // The heading of what ended is no row; the row under it is the first that ended.
    let ended = h.screen().lines().position(|l| l.starts_with(" ended")).unwrap() as u16;
    h.click(5, ended).settle();
    assert_ne!(cursor(&mut h).0, usize::from(ended));
    h.click(5, ended + 1).settle();
    assert_eq!(cursor(&mut h).0, usize::from(ended) + 1);
}

#[test]
fn the_wheel_moves_whatever_the_keys_are_and_neither_types_nor_answers() {
    let bench = bench(200);
    let keys = [("down".to_owned(), vec!["x".to_owned()])].into();
    let mut h = bench.open_with(&Options { keys, ..Options::default() });
    h.keys("2").settle();
    let before = cursor(&mut h).0;
    h.wheel(true).settle();
    assert_eq!(cursor(&mut h).0, before + 3);
    h.wheel(false).settle();
    assert_eq!(cursor(&mut h).0, before);
    // In a page it scrolls, in the filter it types nothing, to a question it says nothing.
    h.keys("?");
    let top = h.screen();
    h.wheel(true);
    assert_ne!(h.screen(), top);
    h.keys("esc /").wheel(true);
    assert!(!h.screen().contains(" / x"), "{}", h.screen());
    h.keys("esc q").wheel(true).wheel(false);
    assert!(h.screen().contains("Quit?"), "{}", h.screen());
}

#[test]
fn a_refresh_with_nothing_away_says_that_it_was_one() {
    let bench = bench(20);
    let mut h = bench.open();
    let screen = h.keys("r").settle().screen();
    assert!(h.asked.is_empty() && screen.contains("✓ read again from the store"), "{screen}");
}

#[test]
fn twenty_streams_with_one_reason_are_one_entry_and_nothing_is_cut() {
    use barrelman::{event::Kind, status::StreamState};
    let bench = bench(20);
    let mut h = bench.open();
    h.resize(120, 40).keys("8").settle();
    let mut status = sample::status(sample::now());
    let retry_at = sample::now().checked_add(jiff::SignedDuration::from_secs(9)).unwrap();
    let template = status.clusters[0].streams[0].clone();
    let kinds = Kind::ALL.iter().take(20).copied();
    status.clusters[0].streams = kinds
        .map(|kind| {
            let mut stream = template.clone();
            stream.kind = kind;
            stream.state = StreamState::Retrying { retry_at };
            stream.last_error =
                format!("cannot list {}: connection refused; see that the API server runs", kind.plural());
            stream
        })
        .collect();
    status.clusters[0].user = Some("system:serviceaccount:lim:look".into());
    status.clusters[0].streams[3].state = StreamState::Forbidden { missing: "list,watch nodes".into() };
    h.feed(vec![Feed::Status { status: Arc::new(status) }]);
    let screen = h.screen();
    assert!(screen.contains("19 streams") && screen.contains("connection refused"), "{screen}");
    assert!(screen.contains("Engine") && screen.contains("Database"), "{screen}");
    let words = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    let commands = "barrelman rbac --account look --install-namespace lim | kubectl apply -f -";
    assert!(words.contains(commands) && words.contains("of system:serviceaccount:lim:look"), "{screen}");
    h.resize(80, 60);
    assert!(!h.screen().lines().skip(2).any(|l| l.ends_with('…')), "{}", h.screen());
}

#[test]
fn the_help_finds_the_keys_of_every_screen_and_cuts_nothing() {
    let bench = bench(20);
    let mut h = bench.open();
    h.resize(80, 24).keys("8 ?").text("follow");
    let screen = h.screen();
    assert!(screen.contains("Stream") && screen.contains("Follows the newest"), "{screen}");
    h.keys("esc esc 2 ?");
    for _ in 0..60 {
        let screen = h.screen();
        // One of the signs that are explained is the ellipsis itself.
        let cut = |l: &str| l.replace("↻ … ✖", "").contains('…');
        assert!(!screen.lines().skip(3).any(cut), "{screen}");
        h.keys("down down down");
    }
}

#[test]
fn a_description_is_wrapped_to_its_end() {
    let bench = bench(20);
    let mut event = sample::busy(1, sample::now());
    event.description = format!("{} and the very end", "long words ".repeat(30));
    let mut h = bench.open();
    h.resize(80, 24).keys("2").settle();
    h.feed(vec![Feed::Event { seq: 5_000_000, event: Arc::new(event) }]).settle().keys("d");
    assert!(h.screen().contains("the very end"), "{}", h.screen());
    h.keys("w");
    assert!(!h.screen().contains("the very end"), "{}", h.screen());
}

#[test]
fn the_words_stay_true_on_the_smallest_screen() {
    let bench = bench(20);
    let mut h = bench.open();
    let screen = h.resize(60, 16).settle().screen();
    assert!(screen.contains("told") && screen.contains("look"), "{screen}");
    // Nothing to select: no key for it.
    let dir = tempfile::tempdir().unwrap();
    let empty = Bench { store: Store::open(dir.path()).unwrap(), _dir: dir };
    let mut h = empty.open();
    for screen in ["1", "2", "7"] {
        let shown = h.keys(screen).settle().screen();
        let footer = shown.lines().last().unwrap().to_owned();
        assert!(!footer.contains('⏎') && !footer.contains("copy"), "{screen}: {footer}");
    }
}

#[test]
fn every_key_of_the_help_does_something_on_its_screen() {
    let bench = bench(300);
    for (i, def) in PANES.iter().enumerate() {
        for binding in def.bindings.iter().chain(barrelman::tui::GLOBAL) {
            for key in binding.keys {
                let mut h = bench.open();
                h.resize(100, 30).keys(&def.number.to_string()).settle();
                if def.name == "health" {
                    // So much to say that there is something to scroll.
                    h.resize(80, 16);
                    h.feed(vec![Feed::Status { status: Arc::new(sample::troubled(sample::now())) }]);
                }
                // A place in the middle, so that every direction has somewhere to go.
                h.keys("j j").settle();
                if matches!(binding.action.name(), "next-match" | "previous-match") {
                    h.keys("/").text("pod").keys("enter").settle();
                }
                if binding.action.name() == "back" {
                    h.keys("+");
                }
                if binding.action.name() == "all-namespaces" {
                    h.keys("s").settle().text("check").keys("enter").settle();
                }
                let before = h.screen();
                let (asked, copied) = (h.asked.len(), h.copied.len());
                let queries = h.queries();
                h.keys(key).settle();
                let after = h.screen();
                let acted = h.asked.len() > asked || h.copied.len() > copied || h.queries() > queries;
                // These are the terminal's business, shown through a PTY; and a screen's own key shows it again.
                let terminal = matches!(binding.action.name(), "suspend" | "redraw");
                let itself = binding.action == def.show;
                assert!(
                    before != after || acted || terminal || itself,
                    "{key} ({}) does nothing on {} (pane {i})\n{after}",
                    binding.action.name(),
                    def.name
                );
                assert!(!after.contains("does nothing here"), "{key} on {}", def.name);
            }
        }
    }
}

#[test]
fn remapped_keys_show_in_help_and_footer() {
    let bench = bench(20);
    let keys: BTreeMap<String, Vec<String>> = [("follow".to_owned(), vec!["ctrl-f".to_owned()])].into();
    let mut h = bench.open_with(&Options { keys, ..Options::default() });
    let screen = h.keys("2").settle().screen();
    assert!(screen.contains("ctrl-f follow"), "{screen}");
    h.keys("j ctrl-f").settle();
    assert!(!h.screen().contains("paused"));
}

#[test]
fn nothing_is_drawn_while_nothing_changes() {
    let bench = bench(300);
    for screen in ["1", "2", "6", "7", "8"] {
        let mut h = bench.open();
        h.keys(screen).settle();
        h.now = h.now.checked_add(jiff::SignedDuration::from_secs(120)).unwrap();
        // Toasts and the first draw are over; then ten seconds in which the engine only counts its requests.
        h.tick().screen();
        let mut drawn = 0;
        for second in 0..10 {
            let mut status = sample::status(sample::now());
            status.at = h.now;
            status.clusters[0].requests += second;
            h.feed(vec![Feed::Status { status: Arc::new(status) }]);
            drawn += usize::from(h.dirty());
            h.tick();
            if h.dirty() {
                drawn += 1;
                h.draw();
            }
        }
        // Every ten seconds for the ages; where the engine's counters stand, as often as they change.
        let most = if screen == "8" { 10 } else { 2 };
        assert!(drawn <= most, "{drawn} frames on {screen}");
    }
}

#[test]
fn a_lag_reads_the_store_again() {
    let bench = bench(50);
    let mut h = bench.open();
    let queries = h.queries();
    h.feed(vec![Feed::Lagged { missed: 12 }]).settle();
    assert!(h.queries() > queries + 3 && h.screen().contains("fell 12 changes behind"));
}

#[test]
fn a_key_is_answered_within_a_frame_while_events_pour_in() {
    let bench = bench(5_000);
    let mut h = bench.open();
    h.keys("2").settle();
    let mut slowest = Duration::ZERO;
    for round in 0..60_u64 {
        // A thirtieth of a second's worth of 5,000 a second.
        let items = (0..170).map(|i| Feed::Event {
            seq: 3_000_000 + round * 170 + i,
            event: Arc::new(sample::busy(i, sample::now())),
        });
        h.feed(items.collect());
        let start = Instant::now();
        h.poll().keys(if round % 2 == 0 { "j" } else { "k" });
        h.draw();
        slowest = slowest.max(start.elapsed());
    }
    // An unoptimised build on a busy machine is far slower than what ships; the budget proper is measured by
    // `cargo run --release --example tui_budget`.
    assert!(slowest < Duration::from_millis(250), "{slowest:?}");
}
