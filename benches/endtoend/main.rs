//! The whole way, in processes as they run: a simulated cluster here, `barrelman forward` and a receiver beside it.
//!
//! Prints what is aimed at beside what was measured, and what the parts do bare in the same run. It never fails for a
//! figure, only for an event that was lost or told twice. `cargo bench --bench endtoend [-- --secs 20 --pods 20000]`
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark"
)]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::panic, reason = "a benchmark")]

mod baseline;
mod forward;
mod sink;

use std::{
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use barrelman::demo::{Bulk, Cluster, Options};
use forward::{Forward, Usage};
use sink::{EMITTED, Sink};

/// Events that are emitted and not yet received: enough to keep every part busy.
const AHEAD: u64 = 8_000;
/// Sends in flight of a webhook.
const IN_FLIGHT: usize = 16;
/// The goal, and the pace at which delays are measured.
const GOAL: f64 = 5_000.0;

pub fn micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|a| a == "sink") {
        return sink::run();
    }
    let number = |name: &str, default: u64| {
        let at = args.iter().position(|a| a == name);
        at.and_then(|at| args.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let (secs, pods) = (number("--secs", 20), number("--pods", 20_000) as usize);
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let mut report = Report::default();
    if !args.iter().any(|a| a == "--no-idle") {
        idle(&mut report, number("--idle-secs", 10));
    }
    busy(&mut report, pods, Duration::from_secs(secs));
    report.print();
    std::process::exit(i32::from(report.wrong));
}

/// A cluster that is served on a thread of its own, with its kubeconfig.
fn serve(pods: usize) -> (Cluster, Bulk, String) {
    let mut options = Options::new(7, Arc::new(jiff::Timestamp::now));
    options.history = 200_000;
    let cluster = Cluster::new(options);
    let bulk = cluster.bulk(pods, 20);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(cluster.serve()).unwrap();
    let kubeconfig = server.kubeconfig();
    std::thread::spawn(move || runtime.block_on(server.run(tokio_util::sync::CancellationToken::new())));
    (cluster, bulk, kubeconfig)
}

fn idle(report: &mut Report, secs: u64) {
    let (_cluster, _bulk, kubeconfig) = serve(50);
    let sink = Sink::start();
    let mut forward = Forward::start(&kubeconfig, &sink.url());
    forward.synced(50);
    sleep(Duration::from_secs(3));
    let before = Usage::of(forward.pid());
    sleep(Duration::from_secs(secs));
    let after = Usage::of(forward.pid());
    report.row(
        "idle, 50 pods: resident",
        format!("{:.1} MiB ({:.1} own)", after.rss, after.own),
        "<30 MiB",
        "",
    );
    let share = (after.cpu - before.cpu) / secs as f64 * 100.0;
    report.row("idle: of a core", format!("{share:.1} %"), "<1 %", "");
}

fn busy(report: &mut Report, pods: usize, lasts: Duration) {
    let (cluster, mut bulk, kubeconfig) = serve(pods);
    let sink = Sink::start();
    let mut forward = Forward::start(&kubeconfig, &sink.url());
    let took = forward.synced(pods as u64);
    sleep(Duration::from_secs(2));
    let synced = Usage::of(forward.pid());
    let size = format!("{pods} pods of 10 kB: resident");
    report.row(
        &size,
        format!("{:.1} MiB ({:.1} own, peak {:.1})", synced.rss, synced.own, synced.peak),
        "<80 MiB",
        "",
    );
    report.row(
        "first list",
        format!("{:.1} s, {:.0} pods/s", took.as_secs_f64(), pods as f64 / took.as_secs_f64()),
        "",
        "",
    );
    let (mut emitted, group, rate) = flood(report, &cluster, &mut bulk, &forward, &sink, lasts);
    let _ = sink.ask("/reset");
    let pace = GOAL.min(rate * 0.7);
    let paced = trickle(&mut bulk, &sink, pace, Duration::from_secs(8));
    let late = sink.ask("/latency");
    emitted += paced;
    let ms = |name: &str| late[name].as_f64().unwrap_or(0.0) / 1000.0;
    report.row(
        &format!("delay from change to receiver at {pace:.0}/s"),
        format!("p50 {:.0} ms, p99 {:.0} ms", ms("p50_us"), ms("p99_us")),
        "",
        "",
    );
    report.check("once each, paced", &sink.ask("/"), paced);
    // The counters of the store are collected every five seconds.
    let counted = Instant::now();
    let mut stored = forward.metric("events") as u64;
    while stored != emitted && counted.elapsed() < Duration::from_secs(12) {
        sleep(Duration::from_millis(500));
        stored = forward.metric("events") as u64;
    }
    report.wrong |= stored != emitted;
    report.row("events stored", format!("{stored} of {emitted}"), "all", "");
    let bytes = forward.store_bytes() as f64 / stored.max(1) as f64;
    report.row("store, with deliveries and index", format!("{bytes:.0} B/event"), "", "");
    let body = sink.text("/body");
    drop(forward);
    let (ours, typed) = baseline::decode(&cluster);
    report.row(
        "decode of pods",
        format!("{ours:.0} MB/s"),
        "",
        format!("typed {typed:.0} MB/s: {:.1}×", ours / typed),
    );
    let plain = baseline::redb(group, 1500);
    report.row(
        "",
        String::new(),
        "",
        format!("plain redb, groups of {group}: {plain:.0} rows/s: {:.2}×", rate / plain),
    );
    let plain = baseline::reqwest(&sink.url(), &body, IN_FLIGHT);
    let bare = format!(
        "plain reqwest, {IN_FLIGHT} in flight, {} B: {plain:.0} posts/s: {:.2}×",
        body.len(),
        rate / plain
    );
    report.row("", String::new(), "", bare);
}

/// As fast as it goes: answers how many were emitted, events per commit, and events a second.
fn flood(
    report: &mut Report,
    cluster: &Cluster,
    bulk: &mut Bulk,
    forward: &Forward,
    sink: &Sink,
    lasts: Duration,
) -> (u64, u64, f64) {
    let (requests, commits) = (cluster.faults().total(), forward.metric("store_commits"));
    let usage = || [forward.pid(), std::process::id(), sink.pid()].map(|pid| Usage::of(pid).cpu);
    let (began, before) = (micros(), usage());
    let mut emitted = 0;
    while micros() - began < lasts.as_micros() as u64 {
        let room = (AHEAD + sink.unique()).saturating_sub(emitted).min(500);
        if room < 100 {
            sleep(Duration::from_millis(2));
            continue;
        }
        bulk.roll_out(room as usize, &format!("{EMITTED}{}", micros()));
        emitted += room;
    }
    drain(sink, emitted);
    let seen = sink.ask("/");
    let took = (seen["last_at"].as_u64().unwrap_or(0).saturating_sub(began)) as f64 / 1e6;
    let after = usage();
    // The counters are collected every second, those of the store every five.
    sleep(Duration::from_secs(7));
    let commits = forward.metric("store_commits") - commits;
    let rate = seen["unique"].as_f64().unwrap_or(0.0) / took;
    report.row("events to one webhook, a POST each", format!("{rate:.0}/s over {took:.0} s"), "≥5000/s", "");
    report.check("once each", &seen, emitted);
    let cpu: Vec<f64> = after.iter().zip(before).map(|(a, b)| (a - b) / emitted as f64 * 1e6).collect();
    report.row(
        "  its processor time",
        format!("{:.0} µs/event", cpu[0]),
        "",
        format!("cluster {:.0}, sink {:.0}", cpu[1], cpu[2]),
    );
    report.row(
        "  commits",
        format!("{:.0}/s, {:.0} events each", commits / took, emitted as f64 / commits.max(1.0)),
        "",
        "",
    );
    let asked = cluster.faults().total() - requests;
    report.row("  API requests", format!("{asked} for {emitted} events"), "none per event", "");
    let peak = Usage::of(forward.pid());
    report.row("  resident after it", format!("{:.1} MiB (peak {:.1})", peak.rss, peak.peak), "", "");
    (emitted, (emitted as f64 / commits.max(1.0)) as u64, rate)
}

/// At an even pace: how many were emitted.
fn trickle(bulk: &mut Bulk, sink: &Sink, per_second: f64, lasts: Duration) -> u64 {
    let (started, mut emitted) = (Instant::now(), 0_u64);
    while started.elapsed() < lasts {
        let due = (started.elapsed().as_secs_f64() * per_second) as u64;
        if due > emitted {
            bulk.roll_out((due - emitted) as usize, &format!("{EMITTED}{}", micros()));
            emitted = due;
        }
        sleep(Duration::from_millis(5));
    }
    drain(sink, emitted);
    emitted
}

/// Waits until everything has arrived, or nothing comes any more.
fn drain(sink: &Sink, emitted: u64) {
    let (mut last, mut since) = (0, Instant::now());
    while last < emitted && since.elapsed() < Duration::from_secs(15) {
        let now = sink.unique();
        if now > last {
            (last, since) = (now, Instant::now());
        }
        sleep(Duration::from_millis(20));
    }
    // What would arrive twice.
    sleep(Duration::from_millis(500));
}

#[derive(Default)]
struct Report {
    rows: Vec<[String; 4]>,
    wrong: bool,
}

impl Report {
    fn row(&mut self, what: &str, measured: String, goal: &str, bare: impl Into<String>) {
        let row = [what.to_owned(), measured, goal.to_owned(), bare.into()];
        eprintln!("{}", row.join("  "));
        self.rows.push(row);
    }

    fn check(&mut self, what: &str, seen: &serde_json::Value, emitted: u64) {
        let (unique, posts) = (seen["unique"].as_u64().unwrap_or(0), seen["posts"].as_u64().unwrap_or(0));
        self.wrong |= unique != emitted || posts != emitted;
        self.row(&format!("  {what}"), format!("{unique} ids, {posts} posts of {emitted}"), "all, once", "");
    }

    fn print(&self) {
        let head = ["", "measured", "goal", "bare, in this run"].map(str::to_owned);
        let width =
            |n: usize| self.rows.iter().chain([&head]).map(|r| r[n].chars().count()).max().unwrap_or(0);
        for row in [&head].into_iter().chain(&self.rows) {
            let cells: Vec<String> =
                row.iter().enumerate().map(|(n, c)| format!("{c:<w$}", w = width(n))).collect();
            println!("{}", cells.join("  ").trim_end());
        }
        if self.wrong {
            println!("WRONG: events were lost, or told twice");
        }
    }
}
