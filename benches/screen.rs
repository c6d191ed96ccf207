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

#[path = "endtoend/forward.rs"]
#[allow(dead_code)]
mod forward;
#[path = "../tests/it/tui_sample.rs"]
#[allow(dead_code)]
mod sample;

use std::{
    io::{Read, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use barrelman::{
    demo::{Cluster, Options},
    store::Store,
};
use forward::Usage;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// What begins each frame.
const FRAME: &[u8] = b"\x1b[?2026h";
const SIZE: (u16, u16) = (120, 40);

/// The program in a terminal of its own.
struct Screen {
    child: Box<dyn Child + Send + Sync>,
    writer: Box<dyn Write + Send>,
    output: mpsc::Receiver<Vec<u8>>,
    parser: vt100::Parser,
    frames: u64,
    tail: Vec<u8>,
    _master: Box<dyn MasterPty + Send>,
}

impl Screen {
    fn start(home: &Path, kubeconfig: &str) -> Self {
        std::fs::write(home.join("kubeconfig"), kubeconfig).unwrap();
        let size = PtySize { rows: SIZE.1, cols: SIZE.0, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_barrelman"));
        command.args(["--kubeconfig", home.join("kubeconfig").to_str().unwrap()]);
        command.args(["--data-dir", home.join("data").to_str().unwrap()]);
        command.env_clear();
        for (name, value) in [("PATH", "/usr/bin:/bin"), ("TZ", "UTC"), ("TERM", "xterm-256color")] {
            command.env(name, value);
        }
        command.env("HOME", home);
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let writer = pair.master.take_writer().unwrap();
        let (send, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut piece = vec![0; 64 * 1024];
            while let Ok(n @ 1..) = reader.read(&mut piece) {
                if send.send(piece[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        let lines = |n: u16| n.try_into().unwrap();
        let parser = vt100::Parser::new(lines(SIZE.1), lines(SIZE.0), 0);
        Screen { child, writer, output, parser, frames: 0, tail: Vec::new(), _master: pair.master }
    }

    fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    /// Takes what comes until then.
    fn watch(&mut self, wait: Duration) {
        let end = Instant::now() + wait;
        while let Ok(bytes) = self.output.recv_timeout(end.saturating_duration_since(Instant::now())) {
            self.take(&bytes);
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.parser.process(bytes);
        self.tail.extend_from_slice(bytes);
        self.frames += self.tail.windows(FRAME.len()).filter(|w| *w == FRAME).count() as u64;
        let keep = self.tail.len().min(FRAME.len() - 1);
        self.tail.drain(..self.tail.len() - keep);
    }

    fn text(&self) -> String {
        self.parser.screen().contents()
    }

    /// How long it takes until the screen is so.
    fn until(&mut self, what: &str, so: impl Fn(&str) -> bool) -> Duration {
        let start = Instant::now();
        while !so(&self.text()) {
            let left = Duration::from_secs(30).saturating_sub(start.elapsed());
            let Ok(bytes) = self.output.recv_timeout(left) else {
                panic!("not within 30 s: {what}\n{}", self.text());
            };
            self.take(&bytes);
        }
        start.elapsed()
    }

    fn press(&mut self, keys: &str) -> &mut Self {
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
        self
    }

    /// The row with the cursor of a list, and what it says beside the age.
    fn cursor(&self) -> Option<(usize, String)> {
        let text = self.text();
        let found = text.lines().enumerate().find(|(_, l)| l.starts_with('▌'));
        found.map(|(n, l)| (n, l.chars().take(60).collect()))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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
        let start = Instant::now();
        let mut screen = Screen::start(home.path(), kubeconfig);
        screen.until("open incidents", |t| t.contains("payments-api"));
        took.push(start.elapsed());
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

    let (going, emitted) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
    let storm = {
        let (going, emitted) = (Arc::clone(&going), Arc::clone(&emitted));
        std::thread::spawn(move || {
            let start = Instant::now();
            while going.load(Ordering::Relaxed) {
                let due = (start.elapsed().as_secs_f64() * 5_000.0) as u64;
                let behind = due - emitted.load(Ordering::Relaxed);
                if behind > 0 {
                    bulk.roll_out(behind as usize, "storm");
                    emitted.fetch_add(behind, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        })
    };
    screen.press("g").watch(Duration::from_secs(2));
    let frames = screen.frames;
    let start = Instant::now();
    screen.watch(Duration::from_secs(5));
    let rate = (screen.frames - frames) as f64 / start.elapsed().as_secs_f64();
    row("frames/s while 5,000 events/s arrive", &format!("{rate:.1}"), "≤30");
    let mut took = Vec::new();
    let end = Instant::now() + Duration::from_secs(secs);
    while Instant::now() < end {
        took.push(screen.press("?").until("help", |t| t.contains("Keys · search")));
        screen.watch(Duration::from_millis(23));
        took.push(screen.press("\x1b").until("closed", |t| !t.contains("Keys · search")));
        screen.watch(Duration::from_millis(31));
    }
    going.store(false, Ordering::Relaxed);
    storm.join().unwrap();
    took.sort();
    let at = |share: f64| ms(took[((took.len() - 1) as f64 * share) as usize]);
    let text = format!("p50 {:.1} ms, p99 {:.1} ms, of {}", at(0.5), at(0.99), took.len());
    row("key to frame meanwhile", &text, "p99 ≤16 ms");
    row("  emitted", &format!("{}", emitted.load(Ordering::Relaxed)), "");
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u64| {
        let at = args.iter().position(|a| a == name);
        at.and_then(|at| args.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    rustls::crypto::ring::default_provider().install_default().unwrap();
    row("", "measured", "goal");
    first_frame(number("--events", 200_000));
    live(number("--secs", 15));
}
