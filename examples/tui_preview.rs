//! The dashboard over a made-up day, without an engine: for looking at it and for measuring it.
//!
//! `cargo run --example tui_preview -- [--events N] [--rate N] [--theme dark|light|mono] [--troubled] [--attached]`

#[path = "../tests/it/tui_sample.rs"]
#[allow(dead_code, clippy::unwrap_used)]
mod sample;

use std::{sync::Arc, time::Duration};

use barrelman::{
    feed::{Action, Feed, Reply},
    store::Store,
    tui::{self, Ask, Engine, Link, Options, ThemeChoice},
};
use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

#[derive(Default)]
struct Arguments {
    events: u64,
    rate: u64,
    theme: ThemeChoice,
    troubled: bool,
    attached: bool,
    panic: bool,
    quiet: bool,
}

fn arguments() -> Arguments {
    let mut found = Arguments { events: 2_000, ..Arguments::default() };
    let mut rest = std::env::args().skip(1);
    while let Some(argument) = rest.next() {
        let mut number = || rest.next().and_then(|n| n.parse().ok()).unwrap_or_default();
        match argument.as_str() {
            "--events" => found.events = number(),
            "--rate" => found.rate = number(),
            "--theme" => {
                found.theme = match rest.next().as_deref() {
                    Some("light") => ThemeChoice::Light,
                    Some("mono") => ThemeChoice::Mono,
                    Some("dark") => ThemeChoice::Dark,
                    _ => ThemeChoice::Auto,
                }
            }
            "--troubled" => found.troubled = true,
            "--attached" => found.attached = true,
            "--panic" => found.panic = true,
            "--quiet" => found.quiet = true,
            _ => {}
        }
    }
    found
}

#[allow(clippy::disallowed_methods)]
fn now() -> Timestamp {
    Timestamp::now()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = arguments();
    let dir = tempfile::tempdir()?;
    let store = Store::open(dir.path())?;
    if arguments.events > 0 {
        sample::fill(&store, now(), arguments.events);
        sample::day(&store, now());
    }
    let log = dir.path().join("preview.log");
    std::fs::write(&log, "2026-11-22T09:41:00Z INFO store opened\n")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let exit = runtime.block_on(show(&arguments, store.clone(), log))?;
    runtime.shutdown_timeout(Duration::from_millis(200));
    #[allow(clippy::print_stdout)]
    {
        println!("{exit:?}");
    }
    Ok(())
}

#[allow(clippy::disallowed_methods, clippy::panic)]
async fn show(arguments: &Arguments, store: Store, log: std::path::PathBuf) -> Result<tui::Exit, tui::Error> {
    let (feed, receiver) = broadcast::channel(barrelman::feed::FEED_CAPACITY);
    let (actions, asked) = mpsc::channel(16);
    let stop = CancellationToken::new();
    tokio::spawn(signals(stop.clone()));
    tokio::spawn(answer(asked, feed.clone(), arguments.troubled));
    if arguments.quiet {
        let status = sample::status(now());
        let _ = feed.send(Feed::Status { status: Arc::new(status) });
        std::mem::forget(feed);
    } else {
        tokio::spawn(live(feed, store.clone(), arguments.rate, arguments.troubled));
    }
    let options = Options {
        theme: arguments.theme,
        engine: if arguments.attached { Engine::Attached("forwarder, pid 4711".into()) } else { Engine::Own },
        log_file: Some(log),
        ..Options::default()
    };
    let link = Link { pages: Arc::new(store), feed: receiver, actions, stop };
    let shown = tui::run(link, options, Arc::new(now));
    if arguments.panic {
        let boom = async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            panic!("a panic for the test");
        };
        tokio::select! { exit = shown => exit, () = boom => unreachable!() }
    } else {
        shown.await
    }
}

async fn signals(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut hup)) = (signal(SignalKind::terminate()), signal(SignalKind::hangup())) else {
        return;
    };
    tokio::select! { _ = term.recv() => {}, _ = hup.recv() => {} }
    stop.cancel();
}

async fn answer(mut asked: mpsc::Receiver<Ask>, feed: broadcast::Sender<Feed>, troubled: bool) {
    while let Some(Ask { action, reply }) = asked.recv().await {
        let answer = match action {
            Action::Manifest { kind, namespace, name, .. } => Reply::Done(format!(
                "apiVersion: v1\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: {namespace}\n"
            )),
            Action::TestConnector { .. } => Reply::Done("200 ok in 184 ms".into()),
            Action::EnableConnector { name, enabled } => {
                let mut status = if troubled { sample::troubled(now()) } else { sample::status(now()) };
                for c in status.connectors.iter_mut().filter(|c| c.name == name) {
                    c.enabled = enabled;
                    c.state = if enabled { "on" } else { "off" }.into();
                }
                let _ = feed.send(Feed::Status { status: Arc::new(status) });
                Reply::Done("done".into())
            }
            _ => Reply::Done("done".into()),
        };
        let _ = reply.send(answer);
    }
}

async fn live(feed: broadcast::Sender<Feed>, store: Store, rate: u64, troubled: bool) {
    let status = if troubled { sample::troubled(now()) } else { sample::status(now()) };
    let _ = feed.send(Feed::Status { status: Arc::new(status) });
    let per_tick = (rate / 20).max(u64::from(rate > 0));
    let mut n = 10_000_000;
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    loop {
        tick.tick().await;
        if per_tick == 0 {
            continue;
        }
        let first = n;
        n += per_tick;
        let events: Vec<_> = (first..n).map(|i| sample::busy(i, now())).collect();
        let stored = store
            .write(move |tx| {
                let mut rows = Vec::new();
                for event in events {
                    rows.push((sample::put_event(tx, &event)?, event));
                }
                Ok(rows)
            })
            .await;
        for (seq, event) in stored.unwrap_or_default() {
            let _ = feed.send(Feed::Event { seq, event: Arc::new(event) });
        }
    }
}
