//! The program itself in a terminal, as a person meets it: the demo, and the dashboard beside a forwarder.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use barrelman::{
    connector::samples,
    demo::{Cluster, Options},
    event::{EventType, incident::Phase},
    store::{OUTBOX, OutboxRow, Store, Tx, keys},
};
use portable_pty::CommandBuilder;

use super::tui_pty::Terminal;
use crate::support::{cli::Home, process::Place, serve};

fn program(home: &Path, args: &[&str]) -> CommandBuilder {
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_barrelman"));
    command.args(args);
    command.env_clear();
    for (name, value) in [("PATH", "/usr/bin:/bin"), ("TZ", "UTC"), ("TERM", "xterm-256color")] {
        command.env(name, value);
    }
    command.env("HOME", home);
    command.cwd(home);
    command
}

#[test]
fn the_demo_shows_every_screen_and_leaves_the_terminal_as_it_was() {
    let home = Home::new();
    let mut t = Terminal::spawn(program(home.path(), &["demo", "--speed", "20"]), (80, 24));
    t.until("1 Inc").until("demo [RO]").until("● LIVE");
    t.press("2").until("SEEN▼");
    t.press("6").until("on-call").until("● on");
    t.press("7").until("Dead letters").until("200 in");
    t.press("8").until("Cluster demo").until("streams");
    t.press("1").until("AFFECTED").until(" why ").until(" told ");
    t.press("?").until("Keys · search").until("Everywhere").press("\x1b").until_gone("Keys · search");
    t.press("/naemspace:shop").until("^^^^").until("did you mean namespace?");
    t.press("\x1b").until_gone("^^^^");
    // One key after the other is read: an Esc with a letter right behind it would be another key.
    t.press("/ns:no-such").until("/ ns:no-such").until("nothing matches");
    t.press("\r").until("q quit").press("\x1b").until("AFFECTED");
    t.press("q").until("Nobody will be told by").press("n").until_gone("Nobody will be told by");
    t.press("q").until("Nobody will be told by").press("y");
    t.restored();
}

/// The threads of a process by name, with their `nice`.
#[cfg(target_os = "linux")]
fn threads(pid: u32) -> Vec<(String, i32)> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let stat = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("stat")).ok();
    let line = |text: String| {
        // `pid (comm) state ppid …`, nice is the 19th.
        let (head, tail) = text.rsplit_once(") ")?;
        let name = head.split_once('(')?.1.to_owned();
        Some((name, tail.split(' ').nth(16)?.parse().ok()?))
    };
    tasks.filter_map(|task| line(stat(task.ok()?)?)).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn the_engine_steps_back_from_the_screen() {
    let home = Home::new();
    let mut t = Terminal::spawn(program(home.path(), &["demo"]), (80, 24));
    t.until("● LIVE");
    let threads = threads(t.pid());
    let of =
        |name: &str| threads.iter().filter(|(n, _)| n == name).map(|(_, nice)| *nice).collect::<Vec<_>>();
    let [screen, ..] = of("screen")[..] else { panic!("no thread of the screen: {threads:?}") };
    for name in ["store", "watch", "tokio-rt-worker", "tui-scan"] {
        let found = of(name);
        assert!(!found.is_empty(), "{name}: {threads:?}");
        assert!(found.iter().all(|nice| *nice == (screen + 5).min(19)), "{name}: {threads:?}");
    }
    assert!(of("tui-pages").iter().all(|nice| *nice == screen), "{threads:?}");
    t.press("q").until("Nobody will be told by").press("y");
    t.restored();
}

const HOOK: &str = r#"
[[connectors]]
name = "hook"
type = "webhook"
enabled = true
config = { url = "http://127.0.0.1:9/hook" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_forwarder_it_says_whose_engine_it_shows_and_takes_over_when_that_is_gone() {
    let cluster = Cluster::new(Options::new(5, Arc::new(barrelman::app::now)));
    let served = serve(&cluster).await;
    let place = Place::new(&served.kubeconfig, "").with(HOOK);
    let forwarder = place.spawn();
    let config = place.config().display().to_string();
    let command = program(place.dir.path(), &["--config", &config]);
    let (socket, log) = (place.data().join("barrelman.sock"), place.log());
    let flow = move || {
        let start = Instant::now();
        while !socket.exists() {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            assert!(start.elapsed() < Duration::from_secs(20), "no forwarder: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut t = Terminal::spawn(command, (120, 40));
        t.until("shows forward, pid ").until("● LIVE");
        // Its memory, not this screen's.
        let whose = "MiB · the engine's process";
        t.press("8").until(&format!("pid {} · forward", forwarder.pid())).until(whose);
        t.press("1").until_gone(whose);
        t.press("6").until("● on").press(" ").until_gone("● on").press(" ").until("● on");
        forwarder.kill();
        t.until("ENGINE GONE").until(":take-over watches and delivers from here");
        // Another one is found by itself, and shown.
        let forwarder = place.spawn();
        t.until_gone("ENGINE GONE").until("● LIVE").until("shows forward, pid ");
        t.press("6").until("● on");
        forwarder.kill();
        t.until("ENGINE GONE").until(":take-over watches and delivers from here");
        t.press(":take-over\r").until("y take over").press("y");
        t.until("● LIVE").until_gone("shows forward");
        t.press("M")
            .until("messages, the newest first")
            .until("taken over: this process watches and delivers now")
            .press("\x1b");
        t.until_gone("messages, the newest first");
        t.press("q").until("Nobody will be told by").press("y");
        t.restored();
    };
    tokio::task::spawn_blocking(flow).await.unwrap();
    drop(served);
}

fn served_there(place: &Place) {
    let start = Instant::now();
    while !place.data().join("barrelman.sock").exists() {
        let log = std::fs::read_to_string(place.log()).unwrap_or_default();
        assert!(start.elapsed() < Duration::from_secs(20), "no forwarder: {log}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_forwarder_that_hangs_it_opens_and_goes_on_when_that_goes_on() {
    let cluster = Cluster::new(Options::new(6, Arc::new(barrelman::app::now)));
    let served = serve(&cluster).await;
    let place = Place::new(&served.kubeconfig, "").with(HOOK);
    let forwarder = place.spawn();
    let config = place.config().display().to_string();
    let command = || program(place.dir.path(), &["--config", &config]);
    let (first, second) = (command(), command());
    let flow = move || {
        served_there(&place);
        let mut t = Terminal::spawn(first, (120, 40));
        t.until("● LIVE").press("q").until("goes on without").press("y");
        t.restored();
        forwarder.signal("-STOP");
        let start = Instant::now();
        let mut t = Terminal::spawn(second, (120, 40));
        t.until("ENGINE SILENT").until(&format!("`kill -9 {}`", forwarder.pid()));
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
        t.press("6").until("the engine does not answer");
        forwarder.signal("-CONT");
        t.until("● LIVE").until("● on");
        forwarder.signal("-STOP");
        t.until("ENGINE SILENT");
        forwarder.kill();
        t.until("ENGINE GONE").press(":take-over\r").until("y take over").press("y");
        t.until("● LIVE").until_gone("shows forward");
        t.press("M")
            .until("messages, the newest first")
            .until("taken over: this process watches and delivers now")
            .press("\x1b");
        t.until_gone("messages, the newest first");
        t.press("q").until("Nobody will be told by").press("y");
        t.restored();
    };
    tokio::task::spawn_blocking(flow).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_forwarder_that_only_watches_it_says_so_and_shows_what_waits() {
    let cluster = Cluster::new(Options::new(7, Arc::new(barrelman::app::now)));
    let served = serve(&cluster).await;
    let place = Place::new(&served.kubeconfig, "").with(HOOK);
    let left = |place: Place| {
        let store = Store::open(&place.data()).unwrap();
        let waits = |tx: &Tx<'_>| {
            let seq = tx.next_seq()?;
            let notification = samples::notification(EventType::PodCrashLoop, Phase::Opened, "hook");
            let row = OutboxRow { seq, notification, due_at: jiff::Timestamp::UNIX_EPOCH, claim: None };
            tx.put(&OUTBOX, &keys::outbox("hook", seq), &row)
        };
        store.write_blocking(waits).unwrap();
        store.close();
        place
    };
    // Something waits from before.
    let place = tokio::task::spawn_blocking(move || left(place)).await.unwrap();
    let forwarder = place.spawn_with(&["--watch-only"]);
    let config = place.config().display().to_string();
    let command = program(place.dir.path(), &["--config", &config]);
    let listed = place.command(&["connectors", "list"]);
    let tested = place.command(&["connectors", "test", "hook"]);
    let deliveries = place.command(&["deliveries", "list"]);
    let idle = "hook: 1 waiting, nothing is tried because the connector is not used";
    let flow = move || {
        served_there(&place);
        let mut t = Terminal::spawn(command, (120, 40));
        t.until("● LIVE").until("watch only").until("shows forward, pid ");
        t.press("6").until("○ not used").until("1 waiting").until("start without --watch-only");
        t.press("7").until("1 waiting");
        for (mut command, words) in [(listed, "not used"), (tested, "--watch-only"), (deliveries, idle)] {
            let out = command.output().unwrap();
            let said = [out.stdout, out.stderr].concat();
            assert!(String::from_utf8_lossy(&said).contains(words), "{}", String::from_utf8_lossy(&said));
        }
        t.press("q").until("goes on without").press("y");
        t.restored();
        assert_eq!(place.waiting(), 1);
        drop(forwarder);
    };
    tokio::task::spawn_blocking(flow).await.unwrap();
}
