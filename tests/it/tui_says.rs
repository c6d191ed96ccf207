//! What the screen says of itself is so: it opens on what is broken, a toast tells what came of a key, a column is what
//! its heading says, and what is not kept, or was not watched, is said to be so.

use std::sync::Arc;

use barrelman::{
    event::{EventType, Severity, incident::IncidentStatus},
    feed::{Action, Feed, Reply},
    store::{BASELINES, Baseline, GapRow, INCIDENTS, INCIDENTS_BY_TIME, keys},
    tui::{Options, Pages, ThemeChoice, harness::Harness},
};
use jiff::{SignedDuration, Timestamp};

use super::{
    tui_sample as sample,
    tui_truth::{Bench, bench, told_so},
};

fn at(secs: i64) -> Timestamp {
    sample::now().checked_add(SignedDuration::from_secs(secs)).unwrap()
}

fn cursor(screen: &str) -> &str {
    screen.lines().find(|l| l.starts_with('▌')).unwrap_or_else(|| panic!("no cursor on\n{screen}"))
}

/// So many incidents more are open, the first of them the worst.
fn open_more(bench: &Bench, count: u64) {
    bench
        .store
        .write_blocking(move |tx| {
            for n in 0..count {
                let mut incident = sample::incident(sample::now(), 1);
                incident.id = sample::id(600 + n);
                incident.subject.name = format!("bad-{n:02}");
                incident.opened_at = at(-7_200 + n as i64);
                tx.put(&INCIDENTS, incident.id.as_str(), &incident)?;
                tx.put(&INCIDENTS_BY_TIME, &keys::incident_by_time(incident.opened_at, &incident.id), &())?;
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_dashboard_that_starts_shows_the_worst_whatever_was_looked_at_before() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { session_file: Some(dir.path().join("session.json")), ..Options::default() };
    let bench = bench(true);
    open_more(&bench, 30);
    for size in [(60, 16), (80, 24), (120, 40)] {
        // One that ended; one that is open far down; and one near the top, which hides nothing where there is some room.
        let near = if size.0 == 60 { "bad-00" } else { "bad-01" };
        for (keys, name) in [("1 G", "bad-00"), ("1 tab k k", "bad-00"), ("1 g j", near)] {
            bench.open(&options, size).keys(keys).settle().leave();
            let screen = bench.open(&options, size).screen();
            assert!(cursor(&screen).contains(name), "{keys} at {size:?}:\n{screen}");
            assert!(!screen.contains(" above") && screen.contains("bad-00"), "{keys} at {size:?}:\n{screen}");
        }
        // Until somebody moves, what breaks then is seen, too.
        bench.open(&options, size).keys("1 g j").settle().leave();
        let mut h = bench.open(&options, size);
        let worse = (0..12).map(|n| {
            let mut incident = sample::incident(sample::now(), 1);
            incident.id = sample::id(700 + n);
            incident.subject.name = format!("worse-{n:02}");
            incident.opened_at = at(-9_000 + n as i64);
            Feed::Incident { incident: Arc::new(incident) }
        });
        let screen = h.feed(worse.collect()).settle().screen();
        assert!(screen.contains("worse-00") && !screen.contains(" above"), "{size:?}:\n{screen}");
    }
}

#[test]
fn the_columns_time_is_when_it_was_seen_and_the_detail_says_the_same() {
    let bench = bench(true);
    let mut h = bench.open(&Options::default(), (120, 40));
    h.keys("2 g").settle();
    let what = (EventType::EndpointsChanged, Severity::Info);
    let mut event = sample::event(9_000, at(-30), what, ("search", "Service", "search"));
    event.observed_at = at(-25);
    h.feed(vec![Feed::Event { seq: 900_000, event: Arc::new(event.clone()) }]).settle();
    let screen = h.screen();
    assert!(screen.contains(" SEEN▼") && cursor(&screen).starts_with("▌09:40:42"), "{screen}");
    let flat = |screen: &str| screen.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    let detail = |screen: &str| {
        let right = screen.lines().filter_map(|l| l.split_once(['│', '┌']).map(|(_, r)| r));
        flat(&right.collect::<Vec<_>>().join(" "))
    };
    assert!(detail(&screen).contains("happened 09:40:37 · seen 09:40:42"), "{screen}");
    // Again: it was seen last when it happened last.
    (event.count, event.last_seen) = (3, at(-3));
    h.feed(vec![Feed::Event { seq: 900_000, event: Arc::new(event) }]).settle();
    let screen = h.screen();
    assert!(cursor(&screen).starts_with("▌09:41:04"), "{screen}");
    assert!(detail(&screen).contains("seen 09:41:04 · ×3, first 09:40:37, last 09:41:04"), "{screen}");
    let screen = h.keys("d").settle().screen();
    assert!(
        screen.contains("seen         2026-11-22 09:40:42.000, last 2026-11-22 09:41:04.000"),
        "{screen}"
    );
    assert!(h.keys("esc ?").text("seen last").screen().contains("by which the rows stand"));
}

#[test]
fn enter_on_a_connector_opens_its_log_whatever_was_open_there() {
    let bench = bench(true);
    for size in [(80, 24), (120, 40)] {
        let mut h = bench.open(&Options::default(), size);
        h.keys("7 tab").settle();
        assert!(h.screen().contains("▸ Dead letters"), "{}", h.screen());
        let screen = h.keys("6 g").settle().keys("enter").settle().screen();
        assert!(screen.contains("▸ Log") && screen.contains("/ source:audit-hook"), "{screen}");
        // Its dead letters are one key away, and an empty list says what empties it.
        let screen = h.keys("tab").settle().screen();
        assert!(
            screen.contains("no dead letter matches") && screen.contains("Esc clears the filter"),
            "{screen}"
        );
        // By a name that the filter does not have, the right one is named.
        let screen = h.keys("/").text("connector:good").screen();
        let flat = screen.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains("did you mean source (of a delivery it is the connector)?"), "{screen}");
    }
}

#[test]
fn a_page_of_the_log_says_what_is_not_kept_and_help_promises_no_more() {
    let bench = bench(true);
    let mut h = bench.open(&Options::default(), (120, 40));
    h.keys("7 /").text("delivered").keys("enter").settle();
    let screen = h.keys("enter").settle().screen();
    assert!(
        screen.contains("request       not kept once it is delivered, only with dead letters ("),
        "{screen}"
    );
    let screen = h.keys("esc tab esc").settle().keys("enter").settle().screen();
    assert!(screen.contains("request (application/json)") && !screen.contains("not kept"), "{screen}");
    let screen = h.keys("esc ?").text("request").screen();
    assert!(screen.contains("of a dead letter also the request"), "{screen}");
}

#[test]
fn what_came_of_trying_a_paused_connector_again_is_said() {
    let bench = bench(true);
    for (fails, words) in [
        (None, "email-leads is on again; nothing waited for it: ctrl-t tests it"),
        (Some(true), "email-leads was tried again, and has paused itself again: 404 not found"),
        (Some(false), "email-leads is on again, and delivers"),
    ] {
        let mut h = bench.open(&Options::default(), (120, 40));
        h.keys("6 g j").settle();
        assert!(cursor(&h.screen()).contains("paused"), "{}", h.screen());
        h.keys("space");
        assert!(matches!(h.asked.as_slice(), [Action::EnableConnector { enabled: true, .. }]));
        h.reply(Reply::Done("email-leads goes on: what waits for it is tried again".into()));
        assert!(h.screen().contains("email-leads goes on: what waits"), "{}", h.screen());
        let now = h.now;
        told_so(&mut h, |status| {
            let c = status.connectors.iter_mut().find(|c| c.name == "email-leads").unwrap();
            match fails {
                Some(true) => {
                    c.why = "404 not found".into();
                    c.last_error = Some((now, c.why.clone()));
                }
                Some(false) => (c.state, c.last_delivered) = ("on".into(), Some(now)),
                None => c.state = "on".into(),
            }
        });
        h.tick().settle();
        assert!(h.screen().contains(words), "{}", h.screen());
        // Once.
        h.keys("esc").tick().settle();
        assert!(!h.screen().contains(words), "{}", h.screen());
    }
}

#[test]
fn what_was_before_the_first_look_was_not_watched() {
    let (store, _dir) = sample::store(None);
    sample::fill(&store, sample::now(), 10);
    let pages: Arc<dyn Pages> = Arc::new(store.clone());
    let strip = |store_since: Option<i64>| {
        if let Some(since) = store_since {
            let listed = Baseline { since: at(since), live_until: sample::now() };
            let key = keys::baseline(&"uid-eu".into(), "Pod", "", "");
            store.write_blocking(move |tx| tx.put(&BASELINES, &key, &listed)).unwrap();
        }
        let theme = ThemeChoice::Dark.resolve(None, None);
        let mut h = Harness::new(&pages, &Options::default(), theme, (120, 40), sample::now());
        let screen = h.settle().keys("2").settle().screen();
        assert!(screen.contains("░ = not watching"), "{screen}");
        let line = screen.lines().find(|l| l.starts_with("   0┤")).unwrap().to_owned();
        line.matches('░').count()
    };
    // The oldest event is a minute old; then it is known that half an hour before the lists were complete.
    assert!((105..=114).contains(&strip(None)), "{}", strip(None));
    assert!((54..=60).contains(&strip(Some(-1_800))), "{}", strip(Some(-1_800)));
}

#[test]
fn a_message_has_the_room_that_is_free() {
    let bench = bench(true);
    for (size, cells) in [((80, 24), 18), ((120, 40), 18), ((160, 50), 24), ((200, 60), 40)] {
        let mut h = bench.open(&Options::default(), size);
        let screen = h.keys("2").settle().screen();
        let head = screen.lines().find(|l| l.contains("MESSAGE")).unwrap();
        let from = head.split("MESSAGE").next().unwrap().chars().count();
        let end = head.chars().position(|c| c == '┌').unwrap_or(size.0.into());
        assert!(end - from >= cells, "{size:?}: {}\n{screen}", end - from);
    }
}

#[test]
fn a_gap_that_has_grown_is_one() {
    let bench = bench(true);
    let mut h = bench.open(&Options::default(), (120, 40));
    h.keys("8").settle();
    let gap = |from, to| Feed::Gap {
        gap: GapRow { cluster: "prod-eu".into(), from: at(from), to: Some(at(to)), why: "away".into() },
    };
    h.feed(vec![gap(-60, -20), gap(-66, -19)]).settle();
    let screen = h.keys("G").screen();
    assert!(screen.contains("09:40:01.000 – 2026-11-22 09:40:48.000"), "{screen}");
    assert!(!screen.contains("09:40:07.000"), "{screen}");
}

#[test]
fn a_bracket_is_explained_where_it_leaves_nothing() {
    let bench = bench(true);
    let mut h = bench.open(&Options::default(), (80, 24));
    for screen in ["1", "2", "7"] {
        h.keys(screen).settle().keys("/").text("obj:payments-[ab]*").keys("enter").settle();
        let shown = h.screen();
        let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        // What ended is no row either: the incidents have nothing left to show.
        assert!(flat.contains("a bracket in a name stands for itself"), "{screen}: {shown}");
        let shown = h.keys("esc /").text("obj:nothing").keys("enter").settle().screen();
        assert!(!shown.contains("a bracket"), "{screen}: {shown}");
    }
}

#[test]
fn reading_again_says_so_and_choosing_a_range_does_not() {
    let bench = bench(true);
    let mut h = bench.open(&Options::default(), (80, 24));
    h.keys("2 t 4").settle();
    assert!(!h.screen().contains("read again"), "{}", h.screen());
    h.keys(":").text("read-again").keys("enter").settle();
    assert!(h.screen().contains("✓ read again from the store"), "{}", h.screen());
}

#[test]
fn a_service_is_not_said_to_be_owned_by_what_it_leads_to() {
    let bench = bench(true);
    bench
        .store
        .write_blocking(|tx| {
            let mut incident = sample::incident(sample::now(), 1);
            incident.id = sample::id(800);
            incident.status = IncidentStatus::Open;
            incident.opened_at = at(-9_000);
            let what = (EventType::ServiceUnavailable, Severity::Critical);
            let mut event = sample::event(8_000, at(-9_000), what, ("payments", "Service", "web"));
            event.subject = incident.subject.clone();
            event.incident = Some(incident.id.clone());
            incident.worst_event = event.id.clone();
            tx.put(&INCIDENTS, incident.id.as_str(), &incident)?;
            tx.put(&INCIDENTS_BY_TIME, &keys::incident_by_time(incident.opened_at, &incident.id), &())?;
            sample::put_event(tx, &event)
        })
        .unwrap();
    let mut h = bench.open(&Options::default(), (120, 40));
    h.keys("1 g").settle();
    let screen = h.screen();
    assert!(screen.contains("svc/web"), "{screen}");
    assert!(!screen.contains("▸ svc/web") && !screen.contains("└ svc/web"), "{screen}");
    let screen = h.keys("enter").settle().screen();
    assert!(screen.contains("counts to deploy/payments-api"), "{screen}");
}
