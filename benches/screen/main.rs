//! The dashboard through a real pseudo-terminal, as a process: what a person waits for.
//!
//! Prints what is aimed at beside what was measured; it never fails for a figure. `cargo bench --bench screen
//! [-- --events 200000 --secs 15]`
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark"
)]

#[path = "../endtoend/forward.rs"]
#[allow(dead_code)]
mod forward;
#[path = "../../tests/it/tui_sample.rs"]
#[allow(dead_code)]
mod sample;
mod terminal;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use barrelman::{
    demo::{Bulk, Cluster, Options},
    store::{
        Reader, Store,
        pages::{self, Limits, Span},
    },
};
use forward::Usage;
use terminal::{Screen, real_time};

/// What arrives while keys are pressed.
const PER_SECOND: f64 = 5_000.0;

fn row(what: &str, measured: &str, goal: &str) {
    println!("{what:<58} {measured:<34} {goal}");
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

/// Places on the disk of the build, because a temporary directory may be in memory.
fn home() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn first_frame(events: u64) {
    let home = home();
    let store = Store::open(&home.path().join("data")).unwrap();
    let now = jiff::Timestamp::now();
    sample::fill(&store, now, events);
    sample::day(&store, now);
    store.close();
    // A cluster that does not answer.
    let kubeconfig = "{apiVersion: v1, kind: Config, current-context: a, clusters: [{name: a, cluster: {server: \
                      'http://127.0.0.1:9'}}], contexts: [{name: a, context: {cluster: a, user: a}}], users: [{name: a, user: {}}]}";
    let mut took = Vec::new();
    for _ in 0..10 {
        let mut screen = Screen::start(home.path(), kubeconfig);
        took.push(screen.until("open incidents", |t| t.contains("payments-api")));
        screen.press("q").until("asked", |t| t.contains("Nobody will be told by") || t.contains(" y "));
        screen.press("y");
        let _ = screen.child.wait();
    }
    took.sort();
    let text = format!("median {:.0} ms, worst {:.0} ms", ms(took[took.len() / 2]), ms(took[took.len() - 1]));
    row(&format!("start to first frame with incidents, {events} events"), &text, "<150 ms");
}

fn live(secs: u64) {
    let mut options = Options::new(7, Arc::new(jiff::Timestamp::now));
    options.history = 200_000;
    let cluster = Cluster::new(options);
    let mut bulk = cluster.bulk(2_000, 20);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(cluster.serve()).unwrap();
    let kubeconfig = server.kubeconfig();
    std::thread::spawn(move || runtime.block_on(server.run(tokio_util::sync::CancellationToken::new())));
    let home = home();
    let mut screen = Screen::start(home.path(), &kubeconfig);
    screen.until("live", |t| t.contains("● LIVE"));
    screen.watch(Duration::from_secs(4));

    let (frames, before) = (screen.frames, Usage::of(screen.pid()));
    screen.watch(Duration::from_secs(10));
    let used = (Usage::of(screen.pid()).cpu - before.cpu) / 10.0 * 100.0;
    row("idle 10 s: repaints", &format!("{}", screen.frames - frames), "≤10");
    row("idle: of a core", &format!("{used:.1} %"), "<1 %");

    bulk.roll_out(200, "before");
    screen.press("2").until("stream", |t| t.contains("before"));
    screen.watch(Duration::from_secs(1));
    screen.press("jjj").watch(Duration::from_millis(500));
    let there = screen.cursor();
    bulk.roll_out(1_000, "above");
    screen.until("they are counted", |t| t.contains("1000 new") || t.contains("1 000 new"));
    screen.watch(Duration::from_millis(300));
    let same = there.is_some() && screen.cursor() == there;
    row("1,000 rows above the cursor: same event, same line", if same { "yes" } else { "NO" }, "yes");

    let storm = Storm::start(bulk);
    screen.press("g").watch(Duration::from_secs(2));
    let frames = screen.frames;
    let start = Instant::now();
    screen.watch(Duration::from_secs(5));
    let rate = (screen.frames - frames) as f64 / start.elapsed().as_secs_f64();
    row("frames/s while 5,000 events/s arrive", &format!("{rate:.1}"), "≤30");
    let reader = Reader::open(&home.path().join("data")).unwrap();
    let (start, emitted, stored) = (Instant::now(), storm.emitted(), newest(&reader));
    let mut took = Vec::new();
    while start.elapsed() < Duration::from_secs(secs) {
        took.push(screen.press("?").until("help", |t| t.contains("Keys · search")));
        screen.watch(Duration::from_millis(23));
        took.push(screen.press("\x1b").until("closed", |t| !t.contains("Keys · search")));
        screen.watch(Duration::from_millis(31));
    }
    let per_second = |count: u64| count as f64 / start.elapsed().as_secs_f64();
    let (emitted, stored) = (per_second(storm.emitted() - emitted), per_second(newest(&reader) - stored));
    let shown = screen.rate().map_or("?".to_owned(), |r| format!("{r:.0}"));
    storm.stop();
    took.sort();
    let at = |share: f64| ms(took[((took.len() - 1) as f64 * share) as usize]);
    let text = format!("p50 {:.1}, p99 {:.1}, worst {:.1} ms, of {}", at(0.5), at(0.99), at(1.0), took.len());
    row("key to frame meanwhile", &text, "p99 ≤16 ms");
    let text = format!("{emitted:.0} emitted, {stored:.0} stored, {shown} shown");
    row("  events/s", &text, "5,000");
}

/// Changes of the cluster, at a steady rate.
struct Storm {
    going: Arc<AtomicBool>,
    emitted: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<()>,
}

impl Storm {
    fn start(mut bulk: Bulk) -> Self {
        let (going, emitted) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
        let (on, count) = (Arc::clone(&going), Arc::clone(&emitted));
        let thread = std::thread::spawn(move || {
            let start = Instant::now();
            while on.load(Ordering::Relaxed) {
                let due = (start.elapsed().as_secs_f64() * PER_SECOND) as u64;
                let behind = due - count.load(Ordering::Relaxed);
                if behind > 0 {
                    bulk.roll_out(behind as usize, "storm");
                    count.fetch_add(behind, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { going, emitted, thread }
    }

    fn emitted(&self) -> u64 {
        self.emitted.load(Ordering::Relaxed)
    }

    fn stop(self) {
        self.going.store(false, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

/// The newest stored row.
fn newest(reader: &Reader) -> u64 {
    let snapshot = reader.snapshot().unwrap();
    let page = pages::events_back(&snapshot, None, Span::default(), Limits::rows(1), &|_| true).unwrap();
    page.rows.first().map_or(0, |(seq, _)| *seq)
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u64| {
        let at = args.iter().position(|a| a == name);
        at.and_then(|at| args.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    rustls::crypto::ring::default_provider().install_default().unwrap();
    row("", "measured", "goal");
    let measured = if real_time() { "at real-time priority" } else { "NOT at real-time priority: too slow" };
    row("keys and screen", measured, "");
    first_frame(number("--events", 200_000));
    live(number("--secs", 15));
}
