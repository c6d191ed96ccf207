//! What the screen says in between: while a cluster comes back, beside an engine that says nothing, under `--watch-only`,
//! and of what waits.

use std::sync::Arc;

use barrelman::{
    event::Severity,
    feed::Feed,
    status::{ClusterState, ConnectorStatus, StreamState},
    store::{GapRow, META, Whose, keys, sign},
    tui::{Engine, Options, Pages, ThemeChoice, harness::Harness},
};
use jiff::{SignedDuration, Timestamp};

use super::{
    tui_sample as sample,
    tui_truth::{Bench, attached, bench, told_so},
};

fn at(secs: i64) -> Timestamp {
    sample::now().checked_add(SignedDuration::from_secs(secs)).unwrap()
}

fn flat(screen: &str) -> String {
    screen.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words of the question that lies over the screen.
fn asked(screen: &str) -> String {
    let lines: Vec<Vec<char>> = screen.lines().map(|l| l.chars().collect()).collect();
    let top = lines.iter().position(|l| l.iter().collect::<String>().contains("? ─")).expect("a question");
    let title: String = lines[top].iter().collect();
    let mark = title.char_indices().position(|(at, _)| title[at..].starts_with("? ─")).unwrap();
    let left = (0..mark).rev().find(|x| lines[top][*x] == '┌').unwrap();
    let right = (mark..lines[top].len()).find(|x| lines[top][*x] == '┐').unwrap();
    let inside = lines[top + 1..].iter().take_while(|l| l.get(left) == Some(&'│'));
    let words: String = inside.flat_map(|l| l[left + 1..right].iter().chain(&[' '])).collect();
    title[..]
        .chars()
        .skip(left + 1)
        .take(mark - left)
        .chain(words.chars())
        .collect::<String>()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// Found away 24 seconds ago; so many of its six streams have been heard since, the others not for 40 seconds.
fn back(h: &mut Harness, heard: usize) {
    told_so(h, |status| {
        let cluster = &mut status.clusters[0];
        let why = "the API server is not ready yet: rbac/bootstrap-roles".to_owned();
        cluster.state = ClusterState::Away { since: at(-24), why, retry_at: Some(at(4)) };
        for (i, stream) in cluster.streams.iter_mut().enumerate() {
            stream.last_activity = Some(at(if i < heard { -3 } else { -40 }));
            if i >= heard {
                stream.state = StreamState::Retrying { retry_at: at(2) };
            }
        }
    });
}

#[test]
fn a_cluster_that_comes_back_is_not_disconnected_and_its_gap_is_open_until_it_is_whole() {
    let bench = bench(true);
    for size in [(80, 24), (120, 40)] {
        let mut h = bench.open(&Options::default(), size);
        // Nothing is back, and the store has no row of it yet: it is a gap all the same.
        back(&mut h, 0);
        let screen = h.screen();
        assert!(screen.contains("◌ DISCONNECTED"), "{screen}");
        assert_eq!(screen.contains("(2 gaps)"), size.0 > 100, "{screen}");
        let screen = h.keys("8").settle().keys("G").screen();
        assert!(flat(&screen).contains("09:40:43.000 – now"), "{screen}");
        // The first watch is back, and with it the row of the gap: that is not its end.
        let gap = GapRow {
            cluster: "prod-eu".into(),
            from: at(-39),
            to: Some(at(-5)),
            why: "the API server did not answer".into(),
        };
        back(&mut h, 5);
        h.feed(vec![Feed::Gap { gap: gap.clone() }]);
        let screen = h.keys("G").screen();
        assert!(screen.contains("◌ 1 of 6 streams lost"), "{screen}");
        assert!(
            !screen.contains("DISCONNECTED") && flat(&screen).contains("answers again, 1 of 6"),
            "{screen}"
        );
        assert!(flat(&screen).contains("09:40:28.000 – now the API server did not answer"), "{screen}");
        // All are back, and the API calls itself ready no more than before: it is watched, and Health says the rest.
        back(&mut h, 6);
        let screen = h.keys("g").screen();
        assert!(screen.contains("● LIVE") && flat(&screen).contains("is not ready yet"), "{screen}");
        assert!(!flat(&h.keys("G").screen()).contains("– now"), "{}", h.screen());
        // Ready, but one of those that were lost is not back.
        told_so(&mut h, |status| {
            let stream = &mut status.clusters[0].streams[2];
            stream.state = StreamState::Retrying { retry_at: at(2) };
            stream.last_activity = Some(at(-40));
        });
        h.keys("G");
        assert!(flat(&h.screen()).contains("09:40:28.000 – now"), "{}", h.screen());
        told_so(&mut h, |_| {});
        let screen = h.keys("G").screen();
        assert!(flat(&screen).contains("09:40:28.000 – 2026-11-22 09:41:02.000"), "{screen}");
        // A watch that is lost later has nothing to do with it.
        told_so(&mut h, |status| {
            let stream = &mut status.clusters[0].streams[2];
            stream.state = StreamState::Retrying { retry_at: at(2) };
            stream.last_activity = Some(at(-1));
        });
        assert!(!flat(&h.screen()).contains("– now"), "{}", h.screen());
    }
}

#[test]
fn watches_that_nobody_has_cut_are_no_sign_of_life() {
    let bench = bench(true);
    let mut h = bench.open(&Options::default(), (80, 24));
    // All of them are still called live: the network swallows what they would say.
    told_so(&mut h, |status| {
        let cluster = &mut status.clusters[0];
        cluster.state = ClusterState::Away { since: at(-24), why: "no answer".into(), retry_at: None };
    });
    let quiet = |h: &mut Harness, heard: i64, since: i64| {
        told_so(h, |status| {
            let cluster = &mut status.clusters[0];
            cluster.state = ClusterState::Away { since: at(since), why: "no answer".into(), retry_at: None };
            cluster.streams.iter_mut().for_each(|s| s.last_activity = Some(at(heard)));
        });
        h.screen()
    };
    assert!(quiet(&mut h, -60, -24).contains("DISCONNECTED"), "{}", h.screen());
    // It came back and went again, before it was ready in between.
    assert!(quiet(&mut h, -60, -300).contains("DISCONNECTED"), "{}", h.screen());
    assert!(!quiet(&mut h, -5, -300).contains("DISCONNECTED"), "{}", h.screen());
}

#[test]
fn what_waits_is_counted_by_scope_and_filter() {
    let bench = bench(true);
    bench
        .store
        .write_blocking(|tx| {
            sample::waits(tx, 1, "pagerduty", "payments", Severity::Critical)?;
            sample::waits(tx, 2, "pagerduty", "payments", Severity::Low)?;
            sample::waits(tx, 3, "pagerduty", "checkout", Severity::Low)
        })
        .unwrap();
    let mut h = bench.open(&Options::default(), (120, 40));
    let waiting = |h: &mut Harness, n: u64| told_so(h, |status| status.connectors[1].queued = n);
    waiting(&mut h, 3);
    assert!(h.keys("7").settle().screen().contains("1 dead · 3 waiting"), "{}", h.screen());
    h.keys("s").settle().text("payments").keys("enter").settle();
    assert!(h.screen().contains(" 2 of 3 waiting"), "{}", h.screen());
    h.keys("/").text("severity>=high").keys("enter").settle();
    assert!(h.screen().contains(" 1 of 3 waiting"), "{}", h.screen());
    // One more comes.
    bench.store.write_blocking(|tx| sample::waits(tx, 4, "pagerduty", "payments", Severity::High)).unwrap();
    waiting(&mut h, 4);
    h.tick().settle();
    assert!(h.screen().contains(" 2 of 4 waiting"), "{}", h.screen());
    h.keys("esc 0").settle();
    assert!(h.screen().contains("1 dead · 4 waiting"), "{}", h.screen());
}

#[test]
fn under_watch_only_the_keys_of_a_connector_promise_no_message() {
    let bench = bench(true);
    let mut h = bench.open(&Options { watch_only: true, ..Options::default() }, (120, 40));
    told_so(&mut h, |status| {
        status.watch_only = true;
        for c in status.connectors.iter_mut().filter(|c| c.state == "on") {
            (c.state, c.why) = ("not used".into(), "--watch-only: this process sends nothing".into());
            c.queued = 1;
        }
    });
    // audit-hook is off.
    let screen = h.keys("6").settle().screen();
    assert!(flat(&screen).contains("under --watch-only nothing is sent, no test either"), "{screen}");
    assert!(!flat(&screen).contains("sends a test"), "{screen}");
    assert!(!screen.lines().last().is_some_and(|footer| footer.contains("ctrl-t")), "{screen}");
    assert!(screen.lines().last().is_some_and(|footer| footer.contains("on/off for later")), "{screen}");
    let screen = h.keys("j j space").screen();
    let words = flat(&screen);
    assert!(
        words.contains("Switch off?") && words.contains("Under --watch-only pagerduty sends nothing anyway"),
        "{screen}"
    );
    assert!(words.contains("when an engine delivers again: its 1 message would wait on"), "{screen}");
}

#[test]
fn a_take_over_says_what_begins_to_go_out() {
    let bench = bench(true);
    let take_over = |options: &Options, watch_only: bool, queued: u64| {
        let mut h = bench.open(options, (120, 40));
        told_so(&mut h, |status| {
            status.watch_only = watch_only;
            status.connectors[1].queued = queued;
        });
        h.feed(vec![Feed::Engine { label: None }]).keys(":").text("take-over").keys("enter");
        asked(&h.screen())
    };
    let words = take_over(&attached(), true, 3);
    assert!(words.contains("which only watched: from now on people are told"), "{words}");
    assert!(words.contains("what waits (3 messages) goes out, where its connector is on"), "{words}");
    let words = take_over(&attached(), false, 3);
    assert!(words.contains("What waits (3 messages) goes out") && !words.contains("only watched"), "{words}");
    let words = take_over(&Options { watch_only: true, ..attached() }, true, 3);
    assert!(
        words.contains("It delivers nothing either: --watch-only.") && !words.contains("goes out"),
        "{words}"
    );
}

#[test]
fn quitting_says_what_of_the_waiting_goes_out_at_the_next_start() {
    let bench = bench(true);
    let quit = |on: u64, off: u64, mode: &str| {
        let mut h = bench.open(&Options::default(), (120, 40));
        told_so(&mut h, |status| {
            status.mode = mode.into();
            for c in &mut status.connectors {
                c.queued = match c.name.as_str() {
                    "pagerduty" => on,
                    "audit-hook" => off,
                    _ => 0,
                };
            }
        });
        asked(&h.keys("q").screen())
    };
    // email-leads is paused: it tells nobody as it is.
    let words = quit(0, 1, "dashboard");
    assert!(
        words.contains("told by: slack-oncall, pagerduty. 1 message waits on, until their connector"),
        "{words}"
    );
    assert!(!words.contains("next start"), "{words}");
    let words = quit(2, 3, "dashboard");
    assert!(
        words.contains("What waits (2 messages) is kept, and sent at the next start; 3 messages wait on"),
        "{words}"
    );
    let words = quit(2, 3, "demo");
    assert!(
        words.contains("What waits (5 messages) goes with the demo") && !words.contains("next start"),
        "{words}"
    );
}

fn beside_a_hung(bench: &Bench, size: (u16, u16)) -> Harness {
    let connector = |name: &str, state: &str| ConnectorStatus {
        name: name.into(),
        kind: "webhook".into(),
        origin: "file".into(),
        enabled: state != "off",
        state: state.into(),
        why: "no engine says how it is".into(),
        ..ConnectorStatus::default()
    };
    let options = Options {
        engine: Engine::Attached("pid 4711".into()),
        connectors: vec![connector("pagerduty", "not known"), connector("audit-hook", "off")],
        ..Options::default()
    };
    let pages: Arc<dyn Pages> = Arc::new(bench.store.clone());
    let theme = ThemeChoice::Dark.resolve(None, None);
    let mut h = Harness::new(&pages, &options, theme, size, sample::now());
    h.feed(vec![Feed::Silent { pid: Some(4711) }]).settle();
    h
}

#[test]
fn beside_an_engine_that_hangs_the_store_and_the_configuration_say_what_they_know() {
    let bench = bench(true);
    bench
        .store
        .write_blocking(|tx| {
            tx.put(&META, &keys::prefix(&["name", "uid-eu"]), &"prod-eu".into())?;
            tx.put(&META, &keys::prefix(&["name", "uid-old"]), &"left-long-ago".into())?;
            let row = serde_json::from_value(
                serde_json::json!({"since": sample::now(), "live_until": sample::now()}),
            )
            .unwrap();
            tx.put(&barrelman::store::BASELINES, &keys::baseline(&"uid-eu".into(), "Pod", "", ""), &row)?;
            sample::waits(tx, 1, "pagerduty", "payments", Severity::High)
        })
        .unwrap();
    let retrying = Feed::Delivery { seq: 900_000, delivery: Arc::new(sample::retrying("pagerduty")) };
    for size in [(80, 24), (120, 40)] {
        let mut h = beside_a_hung(&bench, size);
        let screen = h.screen();
        let first = screen.lines().next().unwrap_or_default();
        assert!(first.starts_with(" prod-eu [RO]") && !screen.contains("watch only"), "{screen}");
        let screen = h.keys("6").settle().screen();
        let row = screen.lines().find(|l| l.contains("pagerduty")).unwrap_or_default();
        assert!(row.contains("◌ not known") && row.contains(" 1 "), "{screen}");
        assert!(screen.lines().any(|l| l.contains("audit-hook") && l.contains("○ off")), "{screen}");
        h.keys("7").settle().feed(vec![retrying.clone()]).feed(vec![Feed::Silent { pid: Some(4711) }]);
        for _ in 0..7 {
            h.tick().settle();
        }
        let screen = h.screen();
        assert!(screen.contains("↻ pagerduty") && screen.matches("may be tried").count() == 2, "{screen}");
    }
    // It wrote down at its start that it only watches; another process's word would not count.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (pid, only) in [(4711, true), (4712, false)] {
        runtime.block_on(sign(&bench.store, Whose { pid, watch_only: true })).unwrap();
        let mut h = beside_a_hung(&bench, (120, 40));
        let screen = h.keys("6").settle().screen();
        assert_eq!(screen.lines().take(2).any(|l| l.contains("watch only")), only, "{screen}");
        assert_eq!(screen.contains("○ not used"), only, "{screen}");
        assert_eq!(screen.contains("6 Connectors(0 on)"), only, "{screen}");
    }
}
