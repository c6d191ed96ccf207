//! A range of time: what grows older than it leaves, but nothing moves that somebody looks at.

use std::sync::Arc;

use barrelman::{
    event::{EventType, Severity},
    feed::Feed,
    store::{DELIVERIES, INCIDENTS, INCIDENTS_BY_TIME, Store, keys},
    tui::{Options, Pages, ThemeChoice, harness::Harness},
};
use jiff::{SignedDuration, Timestamp};

use super::tui_sample as sample;

fn at(secs: i64) -> Timestamp {
    sample::now().checked_add(SignedDuration::from_secs(secs)).unwrap()
}

fn open(store: &Store, options: &Options) -> Harness {
    let pages: Arc<dyn Pages> = Arc::new(store.clone());
    let theme = ThemeChoice::Dark.resolve(None, None);
    let mut h = Harness::new(&pages, options, theme, (120, 40), sample::now());
    h.settle();
    h
}

/// Seconds pass, each with a word of the engine; how many frames are asked for.
fn pass(h: &mut Harness, secs: u32) -> usize {
    let mut frames = 0;
    for _ in 0..secs {
        let mut status = sample::status(sample::now());
        status.at = h.now;
        h.feed(vec![Feed::Status { status: Arc::new(status) }]).tick().settle();
        if h.dirty() {
            frames += 1;
            h.draw();
        }
    }
    frames
}

/// Ten events, ten seconds apart: the oldest 295 seconds ago, the newest 205.
fn ten_events(store: &Store) {
    store
        .write_blocking(|tx| {
            for n in 0..10_i64 {
                let name = format!("web-7c9d8f6b5-row{n}");
                let what = (EventType::PodCreated, Severity::Info);
                let event = sample::event(n as u64, at(-295 + 10 * n), what, ("shop", "Pod", &name));
                sample::put_event(tx, &event)?;
            }
            Ok(())
        })
        .unwrap();
}

/// The rows on the screen, and the line of the cursor.
fn rows(h: &mut Harness, word: &str) -> (Vec<u32>, Option<(usize, u32)>) {
    let screen = h.screen();
    let number = |line: &str| {
        let (_, rest) = line.split_once(word)?;
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
    };
    let list = screen
        .lines()
        .enumerate()
        .filter(|(_, l)| l.get(..1).is_some_and(|c| c == " ") || l.starts_with('▌'));
    let list: Vec<(usize, u32, bool)> = list
        .filter_map(|(y, l)| Some((y, number(l.split(['│', '┌']).next()?)?, l.starts_with('▌'))))
        .collect();
    let cursor = list.iter().find(|(_, _, cursor)| *cursor).map(|(y, n, _)| (*y, *n));
    (list.into_iter().map(|(_, n, _)| n).collect(), cursor)
}

#[test]
fn events_that_grow_older_than_the_range_leave_the_stream() {
    let (store, _dir) = sample::store(None);
    ten_events(&store);
    let mut h = open(&store, &Options::default());
    h.keys("2").settle().keys("t 1").settle();
    assert_eq!(rows(&mut h, "row").0, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    assert!(h.screen().contains("10 of 10"), "{}", h.screen());
    // Toasts are over; then one row leaves in ten seconds, and the screen is drawn for that and for the ages.
    pass(&mut h, 6);
    assert_eq!(rows(&mut h, "row").0, [9, 8, 7, 6, 5, 4, 3, 2, 1]);
    let frames = pass(&mut h, 10);
    assert!((1..=3).contains(&frames), "{frames}");
    assert_eq!(rows(&mut h, "row").0, [9, 8, 7, 6, 5, 4, 3, 2]);
    assert!(h.screen().contains("8 of 10"), "{}", h.screen());
    // In another order they leave, too.
    h.keys("o O").settle();
    assert_eq!(rows(&mut h, "row").0, [2, 3, 4, 5, 6, 7, 8, 9]);
    h.keys("G").settle();
    pass(&mut h, 10);
    assert!(h.screen().contains("7 of 10"), "{}", h.screen());
    h.keys("g").settle();
    pass(&mut h, 10);
    h.keys("f").settle();
    assert_eq!(rows(&mut h, "row").0, [9, 8, 7, 6, 5, 4]);
    // All of them, in the end; then nothing is drawn but for the ages.
    pass(&mut h, 60);
    assert_eq!(rows(&mut h, "row").0, [0; 0]);
    assert!(h.screen().contains("no event matches"), "{}", h.screen());
    assert!(pass(&mut h, 10) <= 2);
}

#[test]
fn a_reader_of_a_range_keeps_what_he_looks_at_until_he_moves() {
    let (store, _dir) = sample::store(None);
    ten_events(&store);
    let mut h = open(&store, &Options::default());
    h.keys("2").settle().keys("t 1").settle().keys("j j j j j").settle();
    let (_, here) = rows(&mut h, "row");
    assert_eq!(here.map(|(_, n)| n), Some(4));
    // Below him they leave; he and what stands above him stay, also when they have grown too old themselves.
    pass(&mut h, 30);
    assert_eq!(rows(&mut h, "row"), (vec![9, 8, 7, 6, 5, 4, 3], here));
    pass(&mut h, 60);
    assert_eq!(rows(&mut h, "row"), (vec![9, 8, 7, 6, 5, 4], here));
    h.keys("k k").settle();
    pass(&mut h, 1);
    assert_eq!(rows(&mut h, "row").0, [9, 8, 7, 6]);
    h.keys("g").settle();
    pass(&mut h, 1);
    assert_eq!(rows(&mut h, "row").0, [9]);
    // The same for `since:`.
    let mut h = open(&store, &Options::default());
    h.keys("2 /").text("since:5m").keys("enter").settle();
    pass(&mut h, 30);
    assert_eq!(rows(&mut h, "row").0, [9, 8, 7, 6, 5, 4, 3]);
}

#[test]
fn a_reader_far_down_a_range_keeps_his_line_while_the_end_leaves() {
    let (store, _dir) = sample::store(None);
    sample::fill(&store, sample::now(), 600);
    let mut h = open(&store, &Options::default());
    h.keys("2").settle().keys("t 1").settle().keys("G").settle().keys("k k k k k k k k").settle();
    let cursor = |h: &mut Harness| {
        let screen = h.screen();
        let line = screen.lines().position(|l| l.starts_with('▌')).unwrap();
        (line, screen.lines().nth(line).unwrap().to_owned())
    };
    let here = cursor(&mut h);
    pass(&mut h, 60);
    assert_eq!(cursor(&mut h), here, "{}", h.screen());
    h.keys("k").settle();
    assert!(cursor(&mut h).1 != here.1, "{}", h.screen());
}

#[test]
fn deliveries_and_ended_incidents_leave_a_range_as_events_do() {
    let (store, _dir) = sample::store(None);
    store
        .write_blocking(|tx| {
            for n in 0..10_i64 {
                let mut row = sample::retrying("slack-oncall");
                row.at = at(-295 + 10 * n);
                row.title = format!("row{n}");
                tx.append(&DELIVERIES, &row)?;
                let mut incident = sample::incident(sample::now(), 5);
                incident.id = sample::id(500 + n as u64);
                incident.subject.name = format!("row{n}");
                incident.resolved_at = Some(row.at);
                tx.put(&INCIDENTS, incident.id.as_str(), &incident)?;
                let key = keys::incident_by_time(incident.opened_at, &incident.id);
                tx.put(&INCIDENTS_BY_TIME, &key, &())?;
            }
            Ok(())
        })
        .unwrap();
    for screen in ["7", "1"] {
        let mut h = open(&store, &Options::default());
        h.keys(screen).settle().keys("t 1").settle();
        assert_eq!(rows(&mut h, "row").0, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0], "{}", h.screen());
        pass(&mut h, 16);
        assert_eq!(rows(&mut h, "row").0, [9, 8, 7, 6, 5, 4, 3, 2], "{}", h.screen());
        h.keys("j j j j j").settle();
        let (_, here) = rows(&mut h, "row");
        pass(&mut h, 50);
        assert_eq!(rows(&mut h, "row"), (vec![9, 8, 7, 6, 5, 4], here), "{}", h.screen());
        assert!(pass(&mut h, 8) <= 2);
        h.keys("g").settle();
        pass(&mut h, 1);
        assert_eq!(rows(&mut h, "row").0, [9, 8, 7], "{}", h.screen());
    }
}

#[test]
fn a_row_that_began_before_the_range_is_found_however_long_repeats_are_folded() {
    let (store, _dir) = sample::store(None);
    let what = (EventType::PodCrashLoop, Severity::High);
    let mut event = sample::event(1, at(-2 * 3600), what, ("shop", "Pod", "web-7c9d8f6b5-row1"));
    (event.count, event.last_seen) = (40, at(-60));
    store.write_blocking(move |tx| sample::put_event(tx, &event)).unwrap();
    sample::fill(&store, sample::now(), 50);
    // By this process's configuration, and by what the engine says of its own.
    let own = Options { dedup_window: std::time::Duration::from_secs(4 * 3600), ..Options::default() };
    for (options, engine) in [(own, 0), (Options::default(), 4 * 3600)] {
        let mut h = open(&store, &options);
        let mut status = sample::status(sample::now());
        status.dedup_window_secs = engine;
        h.feed(vec![Feed::Status { status: Arc::new(status) }]).settle();
        h.keys("2").settle().keys("t 1").settle().keys("/").text("obj:*row1").keys("enter").settle();
        assert_eq!(rows(&mut h, "row").1.map(|(_, n)| n), Some(1), "{}", h.screen());
        assert!(h.screen().contains("1 of 51"), "{}", h.screen());
    }
}
