//! Measures the dashboard's budgets and prints them: `cargo run --release --example tui_budget -- [EVENTS]`.
//!
//! First frame over a store of 200,000 events (150 ms), key to frame while 5,000 events/s arrive (p99 16 ms), a
//! frame of the largest screen, and how long a filter over everything takes beside it.

#[path = "../tests/it/tui_sample.rs"]
#[allow(dead_code, clippy::unwrap_used)]
mod sample;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use barrelman::{
    feed::Feed,
    store::Store,
    tui::{Options, Pages, ThemeChoice, harness::Harness},
};

/// Events that arrive between two frames at 30 frames and 5,000 events a second.
const PER_FRAME: u64 = 170;

fn say(what: &str, took: Duration, budget_ms: u64) {
    let ms = took.as_secs_f64() * 1e3;
    let verdict = if ms <= budget_ms as f64 { "within" } else { "OVER" };
    #[allow(clippy::print_stdout)]
    {
        println!("{what:<44} {ms:>9.2} ms   {verdict} {budget_ms} ms");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let events = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(200_000);
    let dir = tempfile::tempdir()?;
    let store = Store::open(dir.path())?;
    sample::fill(&store, sample::now(), events);
    sample::day(&store, sample::now());
    let pages: Arc<dyn Pages> = Arc::new(store);
    let theme = ThemeChoice::Dark.resolve(None, None);
    let options = Options::default();

    let start = Instant::now();
    let mut h = Harness::new(&pages, &options, theme, (120, 40), sample::now());
    while !h.poll().screen().contains("payments-api") {
        std::thread::sleep(Duration::from_micros(200));
    }
    say("first frame with the open incidents", start.elapsed(), 150);

    h.settle().keys("2").settle();
    let mut took = Vec::new();
    for round in 0..600_u64 {
        let items = (0..PER_FRAME).map(|i| Feed::Event {
            seq: 1_000_000_000 + round * PER_FRAME + i,
            event: Arc::new(sample::busy(round * PER_FRAME + i, sample::now())),
        });
        let items = items.collect();
        let start = Instant::now();
        h.feed(items).poll();
        // A key waits at most for the batch before it.
        h.keys(if round % 3 == 0 { "k" } else { "j" });
        took.push(start.elapsed());
    }
    took.sort();
    say("key to frame at 5,000 events/s, median", took[took.len() / 2], 16);
    say("key to frame at 5,000 events/s, p99", took[took.len() * 99 / 100], 16);

    h.resize(200, 60);
    let start = Instant::now();
    for _ in 0..50 {
        h.draw();
    }
    say("a frame of 200x60", start.elapsed() / 50, 16);

    h.keys("g").settle();
    let start = Instant::now();
    h.keys("/").text("type:pod_restarted ns:payments");
    h.draw();
    say("30 keys of a filter, each one applied", start.elapsed(), 30 * 16);
    let start = Instant::now();
    h.settle();
    say("its count over the whole store (beside)", start.elapsed(), 10_000);
    Ok(())
}
