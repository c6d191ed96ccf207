//! Every screen and state of the dashboard, at four sizes and in three themes.

use std::{collections::BTreeSet, fmt::Write, sync::Arc};

use barrelman::{
    feed::Feed,
    tui::{Options, Pages, Theme, ThemeChoice, harness::Harness},
};
use ratatui::style::{Color, Modifier};

use super::tui_sample as sample;

const SIZES: [(u16, u16); 4] = [(60, 16), (80, 24), (120, 40), (200, 60)];

fn theme(choice: ThemeChoice) -> Theme {
    choice.resolve(None, None)
}

struct Bench {
    pages: Arc<dyn Pages>,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new(filled: bool) -> Self {
        let (store, dir) = sample::store(filled.then_some(400));
        Self { pages: Arc::new(store), _dir: dir }
    }

    fn open(&self, size: (u16, u16), choice: ThemeChoice) -> Harness {
        let mut harness = Harness::new(&self.pages, &Options::default(), theme(choice), size, sample::now());
        harness.settle();
        harness
    }
}

/// What is done before the picture is taken.
struct State {
    name: &'static str,
    filled: bool,
    act: fn(&mut Harness),
}

fn well(h: &mut Harness) {
    h.feed(vec![Feed::Status { status: Arc::new(sample::status(sample::now())) }]);
}

fn keys(h: &mut Harness, keys: &str) {
    well(h);
    for key in keys.split_whitespace() {
        h.keys(key).settle();
    }
}

const STATES: &[State] = &[
    State { name: "connecting", filled: false, act: |_| {} },
    State { name: "quiet", filled: false, act: |h| keys(h, "1") },
    State { name: "incidents", filled: true, act: well },
    State { name: "incidents_ended", filled: true, act: |h| keys(h, "tab j") },
    State {
        name: "incidents_cluster_away",
        filled: true,
        act: |h| {
            h.feed(vec![Feed::Status { status: Arc::new(sample::troubled(sample::now())) }]);
        },
    },
    State {
        name: "incidents_nothing_matches",
        filled: true,
        act: |h| {
            keys(h, "/");
            h.text("ns:nowhere").keys("enter");
        },
    },
    State { name: "incident_described", filled: true, act: |h| keys(h, "d") },
    State { name: "incident_events", filled: true, act: |h| keys(h, "enter") },
    State {
        name: "engine_gone",
        filled: true,
        act: |h| {
            well(h);
            h.engine_gone();
        },
    },
    State { name: "stream", filled: true, act: |h| keys(h, "2") },
    State {
        name: "stream_paused",
        filled: true,
        act: |h| {
            keys(h, "2 j j j");
            new_events(h, 37);
        },
    },
    State { name: "stream_empty", filled: false, act: |h| keys(h, "2") },
    State {
        name: "stream_filter_wrong",
        filled: true,
        act: |h| {
            keys(h, "2 /");
            h.text("type:pod_* severty>=high");
        },
    },
    State { name: "stream_warnings_only", filled: true, act: |h| keys(h, "2 !") },
    State { name: "stream_zoomed", filled: true, act: |h| keys(h, "2 +") },
    State { name: "connectors", filled: true, act: |h| keys(h, "6 j") },
    State {
        name: "connectors_none",
        filled: false,
        act: |h| {
            let mut status = sample::status(sample::now());
            status.connectors.clear();
            h.feed(vec![Feed::Status { status: Arc::new(status) }]).keys("6");
        },
    },
    State { name: "deliveries", filled: true, act: |h| keys(h, "7") },
    State { name: "dead_letters", filled: true, act: |h| keys(h, "7 tab") },
    State { name: "dead_letter_opened", filled: true, act: |h| keys(h, "7 tab enter") },
    State { name: "purge_asked", filled: true, act: |h| keys(h, "7 tab P") },
    State { name: "health", filled: true, act: |h| keys(h, "8") },
    State {
        name: "health_troubled",
        filled: true,
        act: |h| {
            h.feed(vec![Feed::Status { status: Arc::new(sample::troubled(sample::now())) }])
                .keys("8")
                .settle();
        },
    },
    State { name: "help", filled: true, act: |h| keys(h, "?") },
    State {
        name: "help_searched",
        filled: true,
        act: |h| {
            keys(h, "?");
            h.text("warn");
        },
    },
    State {
        name: "palette",
        filled: true,
        act: |h| {
            keys(h, ":");
            h.text("theme");
        },
    },
    State { name: "scope", filled: true, act: |h| keys(h, "s space") },
    State { name: "time_range", filled: true, act: |h| keys(h, "t") },
    State { name: "quit_asked", filled: true, act: |h| keys(h, "q") },
    State {
        name: "messages",
        filled: true,
        act: |h| {
            keys(h, "6 F");
            h.keys(":").text("messages").keys("enter");
        },
    },
];

fn new_events(h: &mut Harness, count: u64) {
    let items = (0..count)
        .map(|i| Feed::Event { seq: 1_000_000 + i, event: Arc::new(sample::busy(i, sample::now())) });
    h.feed(items.collect()).settle();
}

/// Without the end of its last line.
fn whole(screen: &str) -> String {
    screen.strip_suffix('\n').unwrap_or(screen).to_owned()
}

#[test]
fn every_state_looks_as_it_did() {
    let benches = [Bench::new(false), Bench::new(true)];
    for state in STATES {
        let mut shown = String::new();
        for size in SIZES {
            let mut h = benches[usize::from(state.filled)].open(size, ThemeChoice::Dark);
            (state.act)(&mut h);
            let screen = whole(&h.screen());
            write!(shown, "{}x{}\n{}\n", size.0, size.1, screen).unwrap();
        }
        insta::assert_snapshot!(format!("screen_{}", state.name), shown);
    }
}

/// Runs of cells with the same style, per line: `0-12 Cyan bold`.
fn styles(h: &mut Harness) -> (String, BTreeSet<String>) {
    let buffer = h.draw().clone();
    let mut out = String::new();
    let mut colours = BTreeSet::new();
    for y in 0..buffer.area.height {
        let mut runs: Vec<(u16, u16, String)> = Vec::new();
        for x in 0..buffer.area.width {
            let cell = buffer.cell((x, y)).unwrap();
            for colour in [cell.fg, cell.bg] {
                if colour != Color::Reset {
                    colours.insert(format!("{colour:?}"));
                }
            }
            let style = format!("{:?} {:?}", cell.fg, cell.modifier);
            match runs.last_mut() {
                Some((_, end, s)) if *s == style => *end = x,
                _ => runs.push((x, x, style)),
            }
        }
        let plain = format!("{:?} {:?}", Color::Reset, Modifier::empty());
        let runs: Vec<String> =
            runs.into_iter().filter(|r| r.2 != plain).map(|(a, b, s)| format!("{a}-{b} {s}")).collect();
        writeln!(out, "{y}: {}", runs.join(", ")).unwrap();
    }
    (out, colours)
}

#[test]
fn every_state_reads_the_same_in_every_theme_and_no_theme_uses_what_cannot_be_read() {
    let benches = [Bench::new(false), Bench::new(true)];
    for state in STATES {
        let mut texts = Vec::new();
        for choice in [ThemeChoice::Dark, ThemeChoice::Light, ThemeChoice::Mono] {
            let mut h = benches[usize::from(state.filled)].open((80, 24), choice);
            (state.act)(&mut h);
            texts.push(whole(&h.screen()));
            let (_, colours) = styles(&mut h);
            let unreadable: &[&str] = match choice {
                ThemeChoice::Light => {
                    &["White", "Gray", "Yellow", "LightYellow", "LightCyan", "LightGreen", "Cyan"]
                }
                ThemeChoice::Dark => &["Black", "Blue", "Red"],
                _ => &[],
            };
            assert!(colours.iter().all(|c| !unreadable.contains(&c.as_str())), "{}: {colours:?}", state.name);
            assert!(choice != ThemeChoice::Mono || colours.is_empty(), "{}: {colours:?}", state.name);
        }
        assert_eq!(texts[0], texts[1], "{}", state.name);
        assert_eq!(texts[0], texts[2], "{}", state.name);
    }
}

#[test]
fn the_styles_of_the_screens_are_as_they_were() {
    let bench = Bench::new(true);
    for choice in [ThemeChoice::Dark, ThemeChoice::Light, ThemeChoice::Mono] {
        let mut shown = String::new();
        for screen in ["1", "2", "6", "7", "8"] {
            let mut h = bench.open((80, 24), choice);
            keys(&mut h, screen);
            writeln!(shown, "screen {screen}\n{}", styles(&mut h).0).unwrap();
        }
        insta::assert_snapshot!(format!("styles_{}", theme(choice).name), shown);
    }
}
