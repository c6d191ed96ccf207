//! What the screen must not say: that all is well where nobody knows, that something was done which was not, that it is
//! calm while the same trouble comes again and again.

use std::sync::Arc;

use barrelman::{
    event::{EventType, Severity},
    feed::{Action, Feed, Reply},
    store::Store,
    tui::{Engine, Options, Pages, ThemeChoice, harness::Harness},
};
use jiff::SignedDuration;

use super::tui_sample as sample;

pub struct Bench {
    pub store: Store,
    _dir: tempfile::TempDir,
}

pub fn bench(filled: bool) -> Bench {
    let (store, dir) = sample::store(filled.then_some(60));
    Bench { store, _dir: dir }
}

impl Bench {
    pub fn open(&self, options: &Options, size: (u16, u16)) -> Harness {
        let pages: Arc<dyn Pages> = Arc::new(self.store.clone());
        let mut h = Harness::new(&pages, options, ThemeChoice::Dark.resolve(None, None), size, sample::now());
        h.settle();
        told(&mut h);
        h
    }
}

/// The engine says how it is.
fn told(h: &mut Harness) {
    let mut status = sample::status(sample::now());
    status.at = h.now;
    h.feed(vec![Feed::Status { status: Arc::new(status) }]).settle();
}

/// Seconds in which the engine says nothing.
fn silence(h: &mut Harness, secs: u32) {
    for _ in 0..secs {
        h.tick().settle();
    }
}

pub fn attached() -> Options {
    Options { engine: Engine::Attached("forward, pid 4711".into()), ..Options::default() }
}

#[test]
fn whose_engine_is_shown_is_said_at_every_size_whatever_is_amiss() {
    let bench = bench(true);
    for size in [(80, 24), (120, 40)] {
        let mut h = bench.open(&attached(), size);
        let mut status = sample::troubled(h.now);
        status.connectors.iter_mut().for_each(|c| (c.dead, c.queued) = (1, 67));
        h.feed(vec![Feed::Status { status: Arc::new(status) }]).settle();
        let screen = h.screen();
        let head: Vec<&str> = screen.lines().take(2).collect();
        let whose = if size.0 == 80 { "shows pid 4711" } else { "shows forward, pid 4711" };
        assert!(head.concat().contains(whose), "{screen}");
    }
}

#[test]
fn an_engine_that_hangs_is_not_shown_as_live() {
    let bench = bench(true);
    for size in [(80, 24), (120, 40)] {
        let mut h = bench.open(&attached(), size);
        h.keys("1").settle();
        silence(&mut h, 4);
        assert!(h.screen().contains("● LIVE"), "{}", h.screen());
        silence(&mut h, 3);
        let screen = h.screen();
        assert!(screen.contains("✖ ENGINE SILENT 6s") && !screen.contains("LIVE"), "{screen}");
        assert!(screen.contains("no word from the engine since 09:41:"), "{screen}");
        // What is not known grows no older.
        let rows = |screen: &str| {
            screen.lines().filter(|l| l.starts_with("▌")).map(str::to_owned).collect::<Vec<_>>()
        };
        h.now = h.now.checked_add(SignedDuration::from_secs(2)).unwrap();
        silence(&mut h, 1);
        let before = rows(&h.screen());
        silence(&mut h, 120);
        assert_eq!(rows(&h.screen()), before);
        // The other screens do not say that all is well either.
        assert!(!h.keys("6").settle().screen().contains("● on"), "{}", h.screen());
        let screen = h.keys("8").settle().screen();
        assert!(!screen.contains("● live") && screen.contains("silent for"), "{screen}");
        let screen = h.keys("q").screen();
        assert!(screen.contains("it may hang") && !screen.contains("goes on"), "{screen}");
        h.keys("esc");
        // The first word ends it.
        told(&mut h);
        let screen = h.screen();
        assert!(screen.contains("● LIVE") && screen.contains("the engine answers again"), "{screen}");
    }
}

#[test]
fn a_silent_engine_is_asked_for_nothing_that_it_would_do_minutes_later() {
    let bench = bench(true);
    let mut h = bench.open(&attached(), (120, 40));
    h.keys("6").settle();
    silence(&mut h, 7);
    for key in ["ctrl-t", "space"] {
        h.keys(key);
        assert!(h.asked.is_empty(), "{key}: {:?}", h.asked);
        assert!(h.screen().contains("! nothing was asked of the engine"), "{key}: {}", h.screen());
    }
    h.keys(":").text("take-over").keys("enter");
    assert!(h.exit.is_none() && h.screen().contains("end its process first"), "{}", h.screen());
    told(&mut h);
    h.keys("ctrl-t");
    assert!(matches!(h.asked.as_slice(), [Action::TestConnector { .. }]));
    // Under way is not done.
    assert!(h.screen().contains(" … testing ") && !h.screen().contains("✓ testing"), "{}", h.screen());
}

#[test]
fn a_screen_that_was_suspended_does_not_blame_the_engine() {
    let bench = bench(true);
    let mut h = bench.open(&attached(), (120, 40));
    silence(&mut h, 1);
    h.now = h.now.checked_add(SignedDuration::from_mins(10)).unwrap();
    silence(&mut h, 1);
    assert!(h.screen().contains("● LIVE"), "{}", h.screen());
}

#[test]
fn when_the_engine_is_gone_no_screen_says_that_it_goes_on() {
    let bench = bench(true);
    let mut h = bench.open(&attached(), (120, 40));
    h.keys("1").settle().feed(vec![Feed::Engine { label: None }]);
    let age = |h: &mut Harness| {
        let screen = h.keys("1").screen();
        screen.lines().find(|l| l.contains("payments/payments-api")).map(str::to_owned)
    };
    let before = age(&mut h);
    silence(&mut h, 300);
    assert_eq!(age(&mut h), before);
    assert!(!h.keys("6").settle().screen().contains("● on"), "{}", h.screen());
    assert!(h.screen().contains("✖ stopped"), "{}", h.screen());
    let screen = h.keys("8").settle().screen();
    assert!(!screen.contains("● live") && screen.contains("stopped after"), "{screen}");
    assert_eq!(screen.matches("pid ").count(), 1 + usize::from(screen.contains("shows forward")), "{screen}");
    let screen = h.keys("q").screen();
    assert!(screen.contains("Nobody watches") && !screen.contains("goes on"), "{screen}");
}

#[test]
fn an_incomplete_connector_cannot_be_switched_on_and_says_why() {
    let bench = bench(true);
    let mut h = bench.open(&Options::default(), (120, 40));
    let mut status = sample::status(sample::now());
    for connector in &mut status.connectors {
        connector.enabled = false;
        connector.state = "incomplete".into();
        connector.why = "SLACK_NOT_SET is not set".into();
    }
    h.feed(vec![Feed::Status { status: Arc::new(status) }]).keys("6").settle();
    let screen = h.keys("space").screen();
    assert!(h.asked.is_empty(), "{:?}", h.asked);
    assert!(screen.contains("! audit-hook cannot be on, it is incomplete: SLACK_NOT_SET"), "{screen}");
    // An answer that names the connector is not said twice.
    told(&mut h);
    h.keys("space").reply(Reply::Done("audit-hook is on".into()));
    assert!(h.screen().contains("✓ audit-hook is on"), "{}", h.screen());
}

#[test]
fn what_comes_again_is_at_the_top_of_the_stream_with_the_time_of_the_last() {
    let bench = bench(true);
    let mut h = bench.open(&Options::default(), (80, 24));
    h.keys("2").settle();
    let what = (EventType::PodCrashLoop, Severity::Critical);
    let mut crash = sample::event(900, sample::now(), what, ("shop", "Pod", "crash-7c9d8f6b5-abcde"));
    h.feed(vec![Feed::Event { seq: 5_000, event: Arc::new(crash.clone()) }]);
    let noise = |n: u64| Feed::Event {
        seq: 5_001 + n,
        event: Arc::new(sample::busy(n, sample::now().checked_add(SignedDuration::from_secs(1)).unwrap())),
    };
    h.feed((0..100).map(noise).collect()).settle();
    assert!(!h.screen().contains("crash-7c9"), "{}", h.screen());
    crash.count = 12;
    crash.last_seen = sample::now().checked_add(SignedDuration::from_secs(9)).unwrap();
    h.feed(vec![Feed::Event { seq: 5_000, event: Arc::new(crash) }]).settle();
    let screen = h.screen();
    let row = screen.lines().find(|l| l.starts_with('▌')).unwrap_or_default();
    assert!(row.contains("09:41:16") && row.contains("×12") && row.contains("crash"), "{screen}");
}

#[test]
fn a_key_that_nobody_can_see_the_effect_of_has_none() {
    let bench = bench(true);
    let mut h = bench.open(&Options::default(), (120, 40));
    h.keys("6").settle().resize(30, 8);
    h.keys("space ctrl-t : x esc");
    assert!(h.asked.is_empty() && h.exit.is_none(), "{:?}", h.asked);
    let small = h.keys("q").screen();
    assert!(small.contains("y quit"), "{small}");
    h.keys("n").resize(120, 40);
    assert!(h.screen().contains("NAME▼") && !h.screen().contains("Quit?"), "{}", h.screen());
    h.resize(30, 8).keys("q y");
    assert!(h.exit.is_some());
}

#[test]
fn the_palette_runs_what_was_meant_or_nothing() {
    let bench = bench(true);
    let mut h = bench.open(&Options::default(), (120, 40));
    for nonsense in ["rbac", "foo", "silence"] {
        let screen = h.keys(":").text(nonsense).screen();
        assert!(screen.contains("nothing has such a name"), "{nonsense}: {screen}");
        h.keys("enter esc");
    }
    assert!(h.asked.is_empty());
    for (typed, first) in
        [("reload", "reload"), ("mess", "messages"), ("take", "take-over"), ("namesp", "all-namespaces")]
    {
        let screen = h.keys(":").text(typed).screen();
        let row = screen.lines().find(|l| l.contains("│▌")).unwrap_or_default();
        assert!(row.contains(first), "{typed}: {screen}");
        h.keys("esc");
    }
    let screen = h.keys("?").text("untold").screen();
    assert!(screen.contains("nobody was told: it was so when we first looked"), "{screen}");
}

#[test]
fn the_first_look_at_a_broken_cluster_is_at_what_is_broken_worst_first() {
    let dir = tempfile::tempdir().unwrap();
    let session = dir.path().join("session.json");
    let options = Options { session_file: Some(session), ..Options::default() };
    // Somebody left the stream of a quiet cluster.
    let empty = bench(false);
    let mut h = empty.open(&options, (80, 24));
    h.keys("2").leave();
    let mut h = empty.open(&options, (80, 24));
    assert!(h.screen().contains("no event yet"), "{}", h.screen());
    // Then a cluster is found broken: nobody has pressed a key since.
    let incident = |n| Feed::Incident { incident: Arc::new(sample::incident(sample::now(), n)) };
    h.feed(vec![incident(2)]).settle();
    let screen = h.feed(vec![incident(1)]).settle().screen();
    let row = screen.lines().find(|l| l.starts_with('▌')).unwrap_or_default();
    assert!(screen.contains("AFFECTED") && row.contains("payments/payments-api"), "{screen}");
}

#[test]
fn at_every_width_a_row_says_what_is_wrong() {
    let bench = bench(true);
    for width in [80, 109, 110, 120, 140, 200] {
        let mut h = bench.open(&Options::default(), (width, 30));
        let screen = h.screen();
        let head = screen.lines().find(|l| l.contains("AFFECTED")).expect("a heading");
        let place = |word: &str| head.split(word).next().map_or(0, |before| before.chars().count());
        let cells = place("AFFECTED") - place("WHAT");
        assert!(cells >= 22, "{cells} cells at {width}: {screen}");
    }
}

#[test]
fn a_quiet_cluster_that_nobody_watches_is_not_called_quiet() {
    let bench = bench(false);
    let mut h = bench.open(&attached(), (80, 24));
    h.keys("1").settle();
    assert!(h.screen().contains("✓ all quiet"), "{}", h.screen());
    silence(&mut h, 7);
    let screen = h.screen();
    assert!(
        !screen.contains("quiet") && screen.contains("nothing was known to be broken at 09:41:"),
        "{screen}"
    );
}

#[test]
fn a_paused_connector_gets_no_dead_letters_back_and_a_connector_has_no_manifest() {
    let bench = bench(true);
    let mut h = bench.open(&Options::default(), (120, 40));
    let mut status = sample::status(sample::now());
    for connector in &mut status.connectors {
        connector.state = "paused".into();
        connector.dead = 8;
    }
    h.feed(vec![Feed::Status { status: Arc::new(status) }]).keys("6").settle();
    let screen = h.keys("R").screen();
    assert!(h.asked.is_empty() && screen.contains("is paused: what is put back would only wait"), "{screen}");
    let mut incident = sample::incident(sample::now(), 1);
    incident.subject.kind = "Connector".into();
    incident.subject.namespace = String::new();
    h.keys("1").settle().feed(vec![Feed::Incident { incident: Arc::new(incident) }]);
    let screen = h.keys("y").screen();
    assert!(h.asked.is_empty() && screen.contains("is no object of the cluster"), "{screen}");
}

#[test]
fn what_is_away_is_counted_once_and_never_said_to_have_been_read() {
    let bench = bench(true);
    let mut h = bench.open(&Options::default(), (80, 24));
    let mut status = sample::troubled(sample::now());
    status.warnings.clear();
    status.store.error = None;
    status.store.full = false;
    let since = sample::now();
    for cluster in &mut status.clusters {
        let why = "connection refused".to_owned();
        cluster.state = barrelman::status::ClusterState::Away { since, why, retry_at: None };
    }
    let clusters = status.clusters.len();
    h.feed(vec![Feed::Status { status: Arc::new(status) }]).settle();
    let screen = h.screen();
    assert!(screen.contains(&format!("8 Health({clusters}!)")), "{screen}");
    // Between a long name and the state there is a blank.
    let first = screen.lines().next().unwrap_or_default();
    assert!(first.contains(" ◌ DISCONNECTED"), "{screen}");
}

#[test]
fn how_long_a_message_is_tried_is_what_is_configured() {
    let bench = bench(true);
    let options = Options { horizon: std::time::Duration::from_hours(3), ..Options::default() };
    let mut h = bench.open(&options, (120, 40));
    let mut status = sample::status(sample::now());
    for connector in &mut status.connectors {
        (connector.enabled, connector.state, connector.queued) = (true, "on".into(), 5);
    }
    h.feed(vec![Feed::Status { status: Arc::new(status) }]).keys("6").settle();
    let screen = h.keys("space").screen();
    assert!(screen.contains("longer than 3h"), "{screen}");
}

/// A status of the engine, changed.
pub fn told_so(h: &mut Harness, change: impl FnOnce(&mut barrelman::status::Status)) {
    let mut status = sample::status(sample::now());
    status.at = h.now;
    change(&mut status);
    h.feed(vec![Feed::Status { status: Arc::new(status) }]).settle();
}

#[test]
fn with_watch_only_no_connector_is_said_to_be_missing_or_to_send() {
    let bench = bench(true);
    for options in [attached(), Options { watch_only: true, ..Options::default() }] {
        for size in [(80, 24), (120, 40)] {
            let mut h = bench.open(&options, size);
            told_so(&mut h, |status| {
                status.watch_only = true;
                for c in status.connectors.iter_mut().filter(|c| c.state == "on") {
                    (c.state, c.why) = ("not used".into(), "--watch-only: this process sends nothing".into());
                    c.queued = 7;
                }
            });
            let screen = h.keys("6 j j").settle().screen();
            let head = screen.lines().take(2).collect::<String>();
            assert!(head.contains("watch only"), "{screen}");
            let row = screen.lines().find(|l| l.contains("pagerduty")).unwrap_or_default();
            assert!(row.contains("○ not used") && row.contains(" 7 "), "{screen}");
            assert!(screen.contains("start without --watch-only") && !screen.contains("● on"), "{screen}");
            h.keys("ctrl-t");
            assert!(h.asked.is_empty() && h.screen().contains("nothing is sent, no test"), "{}", h.screen());
            assert!(h.keys("7").settle().screen().contains("14 waiting"), "{}", h.screen());
        }
    }
    // Beside an engine that delivers, this process's own flag says nothing of it.
    let mut h = bench.open(&Options { watch_only: true, ..attached() }, (120, 40));
    assert!(!h.screen().contains("watch only"), "{}", h.screen());
}

#[test]
fn a_failing_connector_is_on_the_tab_in_the_header_and_has_a_next_step_and_a_time() {
    let bench = bench(true);
    let mut h = bench.open(&Options::default(), (120, 40));
    let at = |secs: i64| sample::now().checked_add(SignedDuration::from_secs(secs)).unwrap();
    told_so(&mut h, |status| {
        status.connectors.retain(|c| c.state == "on");
        let broken = &mut status.connectors[0];
        broken.queued = 31;
        broken.last_error = Some((at(-1), "HTTP 500: boom".into()));
        broken.next_attempt = Some(at(42));
    });
    let screen = h.keys("6 j").settle().screen();
    assert!(screen.contains("6 Connectors(1!)") && screen.contains("1 failing"), "{screen}");
    let row = screen.lines().find(|l| l.contains("slack-oncall")).unwrap_or_default();
    assert!(row.contains("▲ failing") && row.contains("HTTP 500: boom"), "{screen}");
    assert!(screen.contains("again    tried again at 09:41:49, in 42s"), "{screen}");
    assert!(screen.contains("see that the service can be reached and answers; ctrl-t tests it"), "{screen}");
    // The message itself says when, and until when.
    let mut row = sample::retrying("slack-oncall");
    row.next_at = Some(at(42));
    row.tried_since = Some(at(-60));
    let told = Feed::Delivery { seq: 900_000, delivery: Arc::new(row) };
    let screen = h.keys("7").settle().feed(vec![told]).settle().screen();
    assert!(screen.contains("tried again at 09:41:49: HTTP"), "{screen}");
    let screen = h.keys("g enter").settle().screen();
    for words in [
        "state         failed, and tried again",
        "answer        HTTP 500: boom",
        "tried again   2026-11-22 09:41:49",
        "given up      2026-11-23 09:40:07",
        "next step     see that the service can be reached",
        "incident      Deployment/payments/payments-api  (",
    ] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    assert!(!screen.contains("Retrying"), "{screen}");
    let screen = h.keys("esc 1").settle().screen();
    assert!(screen.contains("↻ tried again at") && screen.contains("09:41:49: HTTP 500: boom"), "{screen}");
    // One that was paused meanwhile is not tried at all.
    told_so(&mut h, |status| status.connectors[0].state = "paused".into());
    let screen = h.screen();
    assert!(screen.contains("↻ waits, it is") && !screen.contains("tried again at"), "{screen}");
}

#[test]
fn what_is_put_back_for_a_connector_that_does_not_send_is_not_said_to_be_sent() {
    let bench = bench(true);
    for (state, words) in [
        ("paused", "email-leads is paused: what is for it waits until it is switched on (6)."),
        ("off", "email-leads is off: what is for it waits until it is switched on (6)."),
        ("not used", "email-leads is not used: what is for it waits."),
        ("on", "It is sent at once."),
    ] {
        let mut h = bench.open(&Options::default(), (170, 40));
        told_so(&mut h, |status| {
            let email = status.connectors.iter_mut().find(|c| c.name == "email-leads").unwrap();
            (email.state, email.enabled) = (state.into(), state != "off");
        });
        let screen = h.keys("7").settle().keys("R").screen();
        let said = screen.split_whitespace().filter(|w| *w != "│").collect::<Vec<_>>().join(" ");
        assert!(said.contains(words), "{state}: {screen}");
        assert_eq!(said.contains("sent at once"), state == "on", "{screen}");
        assert!(h.asked.is_empty());
        let screen = h.keys("esc 6 j").settle().keys("R").screen();
        assert_eq!(h.asked.is_empty(), state != "on", "{state}: {screen}");
    }
}

#[test]
fn deliveries_keep_to_the_scope_that_the_header_names() {
    let bench = bench(true);
    let mut h = bench.open(&Options::default(), (120, 40));
    let all = h.keys("7").settle().screen();
    assert!(all.contains("crash loop: app exits") && all.contains("1 dead"), "{all}");
    h.keys("s").settle().text("check").keys("enter").settle();
    let screen = h.screen();
    assert!(screen.contains("▸ checkout") && !screen.contains("crash loop: app exits"), "{screen}");
    assert!(screen.contains("readiness probe answers 503") && screen.contains(" 0 of 1 dead"), "{screen}");
    // What comes is judged by it, too.
    let mut row = sample::retrying("slack-oncall");
    row.title = "not in this scope".into();
    let mut here = row.clone();
    (here.namespace, here.title) = ("checkout".into(), "in this scope".into());
    let item = |seq, row| Feed::Delivery { seq, delivery: Arc::new(row) };
    let screen = h.feed(vec![item(900_000, row), item(900_001, here)]).settle().screen();
    assert!(screen.contains("in this scope") && !screen.contains("not in this scope"), "{screen}");
    let screen = h.keys("0").settle().screen();
    assert!(screen.contains("crash loop: app exits"), "{screen}");
}

#[test]
fn messages_of_the_screen_before_are_still_there_after_a_take_over() {
    let bench = bench(true);
    let options = Options { notices: vec!["half right".into()], ..attached() };
    let mut h = bench.open(&options, (120, 40));
    h.feed(vec![Feed::Engine { label: None }]).leave();
    let options = Options { engine: Engine::Own, ..options };
    let mut h = bench.open(&options, (120, 40));
    let screen = h.keys("M").screen();
    assert!(screen.contains("the engine has stopped: what is shown is what was stored"), "{screen}");
    assert_eq!(screen.matches("half right").count(), 1, "{screen}");
}

#[test]
fn what_came_of_a_take_over_is_among_the_messages() {
    let bench = bench(true);
    let said = |options: Options| {
        let mut h = bench.open(&Options { took_over: true, ..options }, (120, 40));
        h.keys("M").screen()
    };
    let screen = said(Options::default());
    assert!(screen.contains("✓ taken over: this process watches and delivers now"), "{screen}");
    let screen = said(Options { watch_only: true, ..Options::default() });
    assert!(screen.contains("✓ taken over: this process watches now; it delivers nothing"), "{screen}");
    let screen = said(attached());
    assert!(screen.contains("! nothing was taken over") && screen.contains("pid 4711"), "{screen}");
}

#[test]
fn beside_an_engine_that_hangs_the_stored_is_shown_with_what_to_do() {
    let bench = bench(true);
    let options = Options { engine: Engine::Attached("pid 4711".into()), ..Options::default() };
    let pages: Arc<dyn Pages> = Arc::new(bench.store.clone());
    for size in [(80, 24), (120, 40)] {
        let mut h =
            Harness::new(&pages, &options, ThemeChoice::Dark.resolve(None, None), size, sample::now());
        let screen = h.feed(vec![Feed::Silent { pid: Some(4711) }]).settle().screen();
        assert!(screen.contains("✖ ENGINE SILENT") && screen.contains("payments/payments-api"), "{screen}");
        let said = screen.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("`kill -9 4711`, then :take-over"), "{screen}");
        for (key, words) in [("6", "the engine does not answer"), ("8", "does not answer")] {
            let screen = h.keys(key).settle().screen();
            assert!(screen.contains(words) && !screen.contains("connecting"), "{key}: {screen}");
        }
        h.keys("r ctrl-r");
        assert!(h.asked.is_empty(), "{:?}", h.asked);
        // It ends, or it goes on after all.
        h.feed(vec![Feed::Engine { label: None }]);
        assert!(h.screen().contains("✖ ENGINE GONE"), "{}", h.screen());
        h.feed(vec![Feed::Silent { pid: Some(4712) }]);
        assert!(h.screen().contains("kill -9 4712"), "{}", h.screen());
        h.feed(vec![Feed::Engine { label: Some("forward, pid 4712".into()) }]);
        told(&mut h);
        assert!(h.screen().contains("● LIVE"), "{}", h.screen());
    }
}

#[test]
fn under_a_reader_rows_keep_their_times_and_warnings_only_keeps_the_place() {
    let bench = bench(true);
    let mut h = bench.open(&Options::default(), (120, 40));
    let what = (EventType::PodCrashLoop, Severity::Critical);
    let mut crash = sample::event(900, sample::now(), what, ("shop", "Pod", "crash-7c9d8f6b5-abcde"));
    h.keys("2").settle().feed(vec![Feed::Event { seq: 5_000, event: Arc::new(crash.clone()) }]).settle();
    h.keys("j j j").settle();
    crash.count = 12;
    crash.last_seen = sample::now().checked_add(SignedDuration::from_secs(9)).unwrap();
    h.feed(vec![Feed::Event { seq: 5_000, event: Arc::new(crash) }]).settle();
    let screen = h.screen();
    let row = screen.lines().find(|l| l.contains("crash-7c9")).unwrap_or_default();
    assert!(row.starts_with('▲') && row.contains("09:41:07") && row.contains("×12"), "{screen}");
    // Following, it rises with its new time.
    let screen = h.keys("g").settle().screen();
    let row = screen.lines().find(|l| l.starts_with('▌')).unwrap_or_default();
    assert!(row.contains("09:41:16") && row.contains("crash-7c9"), "{screen}");
    // Whoever looks at warnings for a moment is where he was, and what comes does not carry him away.
    let selected = |h: &mut Harness| {
        let screen = h.screen();
        // Without the pane beside it, which is read a moment later.
        screen.lines().find(|l| l.starts_with('▌')).map(|l| l.chars().take(60).collect::<String>())
    };
    for moves in ["j", "j j j j", "j j j j j j j"] {
        h.keys("g").settle().keys(moves).settle();
        let before = selected(&mut h);
        h.keys("!").settle();
        assert!(h.screen().contains("paused on this row"), "{}", h.screen());
        h.keys("!").settle();
        assert_eq!(selected(&mut h), before, "{}", h.screen());
        assert!(h.screen().contains("paused on this row"), "{}", h.screen());
    }
    // One that follows goes on to follow.
    h.keys("g").settle().keys("! !").settle();
    assert!(!h.screen().contains("paused"), "{}", h.screen());
}

#[test]
fn the_memory_is_that_of_the_engine_and_says_whose_it_is() {
    let bench = bench(true);
    let line = |h: &mut Harness| {
        let screen = h.keys("8").settle().screen();
        screen.lines().find(|l| l.starts_with(" memory ")).unwrap_or_else(|| panic!("{screen}")).to_owned()
    };
    let mut h = bench.open(&attached(), (120, 60));
    told_so(&mut h, |status| (status.pid, status.memory) = (4711, Some(75_497_472)));
    assert!(line(&mut h).ends_with("72.0 MiB · the engine's process"), "{}", line(&mut h));
    // One that does not say it has none that this screen could know.
    told_so(&mut h, |status| (status.pid, status.memory) = (4711, None));
    assert!(line(&mut h).contains("not known: the engine's process does not say"), "{}", line(&mut h));
    let mut h = bench.open(&Options::default(), (120, 60));
    told_so(&mut h, |status| status.memory = Some(75_497_472));
    assert!(line(&mut h).ends_with("72.0 MiB · this process"), "{}", line(&mut h));
}
