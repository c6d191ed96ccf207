//! `barrelman`: the dashboard, over an engine of its own or beside a running one.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{broadcast, mpsc},
};
use tokio_util::sync::CancellationToken;

use super::{
    beside,
    configuration::called,
    demo,
    engine::{Command, Running},
    forward, logging, outward,
    screen::Screens,
    tasks::Tasks,
};
use crate::{
    cli::{Demo, Exit},
    config::{Flags, Problem, Resolved, Settings, UiSettings},
    feed::{FEED_CAPACITY, Feed, Reply},
    server::Request,
    status::Called,
    store,
    tui::{self, Link, Options},
};

/// Questions of the screen that wait; a person asks one at a time.
const ASKS: usize = 16;
/// What ends at once has so long to end in order all the same.
const AT_ONCE: Duration = Duration::from_millis(300);
/// How long a forwarder that ends is waited for before its place is taken.
const TAKE_OVER: Duration = Duration::from_secs(5);

/// Opens the dashboard; beside a running engine it attaches.
pub async fn run(resolved: Resolved, flags: Flags, screens: &Screens) -> Result<Exit> {
    let settings = resolved.settings;
    let log_file = logging::to_file(&settings.log, &settings.store.dir)?;
    let notices: Vec<String> = resolved.warnings.iter().map(ToString::to_string).collect();
    // Beside the log: the state directory, which is there by now.
    let session_file = Some(log_file.with_file_name("session.json"));
    let mut options = Options { session_file, ..options(&settings, Some(log_file), notices) };
    loop {
        let exit = match Running::start(settings.clone(), "dashboard", called(&flags, &settings.watch)).await
        {
            Ok(running) => own(running, (&settings, Some(&flags)), options.clone(), screens).await?,
            Err(error) if held(&error) => attached(&settings, options.clone(), screens).await?,
            Err(error) => return Err(error),
        };
        match exit {
            tui::Exit::TakeOver => {
                options.took_over = true;
                tokio::time::sleep(TAKE_OVER / 10).await;
            }
            tui::Exit::Now => return Ok(Exit::Interrupted),
            tui::Exit::Quit | tui::Exit::Stopped => return Ok(Exit::Ok),
        }
    }
}

/// The dashboard on the simulated cluster.
pub async fn demo(args: &Demo, ui: UiSettings, screens: &Screens) -> Result<Exit> {
    let stage = demo::stage(args).await?;
    let settings = Settings { ui, ..stage.settings.clone() };
    // Nothing of a demo outlives it.
    let log_file = logging::to_file_in(&settings.log, &settings.store.dir)?;
    let running = Running::start(settings.clone(), "demo", Called::default()).await?;
    let shown = options(&settings, Some(log_file), Vec::new());
    let exit = own(running, (&settings, None), shown, screens).await;
    stage.stop.cancel();
    Ok(match exit? {
        tui::Exit::Now => Exit::Interrupted,
        _ => Exit::Ok,
    })
}

/// What cannot be used of `[ui.keys]`: unknown actions with the nearest name, keys that are none, conflicts.
pub fn key_problems(resolved: &Resolved) -> Vec<Problem> {
    let found = tui::Keymap::new(&resolved.settings.ui.keys).err().unwrap_or_default();
    // The words begin with the action that it is about.
    let problem = |e: tui::KeyError| {
        let message = e.to_string();
        let about = |(action, _): &(&String, &String)| message.split(':').next() == Some(action.as_str());
        let origin = resolved.key_places.iter().find(about).map_or("file", |(_, origin)| origin);
        Problem { origin: origin.to_owned(), path: "ui.keys".into(), message }
    };
    found.into_iter().map(problem).collect()
}

fn held(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<store::Error>(), Some(store::Error::Held(_)))
}

fn options(settings: &Settings, log_file: Option<PathBuf>, notices: Vec<String>) -> Options {
    Options {
        theme: tui::ThemeChoice::parse(&settings.ui.theme).unwrap_or_default(),
        keys: settings.ui.keys.clone(),
        watch_only: settings.watch_only,
        horizon: settings.delivery.horizon,
        dedup_window: settings.longest_dedup_window(),
        log_file,
        timezone: jiff::tz::TimeZone::system(),
        notices,
        ..Options::default()
    }
}

/// An engine of our own: it ends with the screen, the screen ends with it.
async fn own(
    mut running: Running,
    (settings, flags): (&Settings, Option<&Flags>),
    options: Options,
    screens: &Screens,
) -> Result<tui::Exit> {
    outward::serve(&mut running, settings).await?;
    let (actions, asks) = mpsc::channel(ASKS);
    running.tasks.run("questions", pass(asks, running.requests.clone(), running.stop_rest.clone()));
    let link = Link {
        pages: Arc::new(running.store.clone()),
        feed: running.feed.subscribe(),
        actions,
        stop: CancellationToken::new(),
    };
    let mut ends = Ends::new()?;
    let mut screen = screens.show(link, options)?;
    let died = loop {
        tokio::select! {
            // Somebody who quits is not told that something else ended with it.
            biased;
            exit = &mut screen => return stopped(running, &mut ends, exit).await,
            () = ends.next() => break None,
            command = running.next() => match (command, flags) {
                (Ok(Command::RestartWatches), _) => {
                    if let Err(error) = running.restart_watches().await {
                        break Some(error);
                    }
                }
                (Ok(Command::Reload(asked)), Some(flags)) => {
                    forward::reload(&mut running, flags, asked).await;
                }
                (Ok(Command::Reload(asked)), None) => {
                    let why = "the demo made its own configuration: there is none to read again";
                    let _ = asked.map(|asked| asked.send(Reply::Failed(why.to_owned())));
                }
                (Err(error), _) => break Some(error),
            },
        }
    };
    // The terminal first: what is said after that can be read.
    let shown = screen.end().await;
    let exit = stopped(running, &mut ends, shown).await;
    died.map_or(exit, Err)
}

/// Ends the engine in order, unless somebody has asked, or asks now, to end at once: the store takes no harm by it.
async fn stopped(running: Running, ends: &mut Ends, shown: Result<tui::Exit>) -> Result<tui::Exit> {
    let now = async {
        match shown {
            Ok(tui::Exit::Now) => tokio::time::sleep(AT_ONCE).await,
            _ => ends.next().await,
        }
    };
    tokio::select! {
        () = running.stop() => shown,
        () = now => shown.and(Ok(tui::Exit::Now)),
    }
}

/// Passes what the screen asks on to the engine, until it is stopped: a screen that ends asks no more, and that is no
/// reason for the engine to end.
async fn pass(mut asks: mpsc::Receiver<tui::Ask>, requests: mpsc::Sender<Request>, stop: CancellationToken) {
    let passing = async {
        while let Some(ask) = asks.recv().await {
            if requests.send((ask.action, ask.reply)).await.is_err() {
                return;
            }
        }
    };
    tokio::select! { () = passing => {}, () = stop.cancelled() => return }
    stop.cancelled().await;
}

/// Beside another process: its pages from the file, its feed and its hands over the socket.
async fn attached(settings: &Settings, options: Options, screens: &Screens) -> Result<tui::Exit> {
    let dir = &settings.store.dir;
    let mut engine =
        beside::look(dir).await.context("another process holds the store, but does not answer")?;
    let file = Arc::new(beside::File::open(dir)?);
    let whose = match &mut engine {
        beside::Found::Answers(engine) => beside::whose(engine).await,
        beside::Found::Hangs(knock) => beside::hanging(knock),
    };
    let mut tasks = Tasks::default();
    let (feed, feed_out) = broadcast::channel::<Feed>(FEED_CAPACITY);
    let (actions, asks) = mpsc::channel::<tui::Ask>(ASKS);
    tasks.run("engine", beside::follow(Arc::clone(&file), engine, feed, asks));
    // A screen without them is better than none.
    let connectors = beside::configured(settings, file.as_ref()).unwrap_or_else(|error| {
        tracing::warn!(%error, "the connectors could not be read from the store");
        Vec::new()
    });
    let link = Link { pages: file, feed: feed_out, actions, stop: CancellationToken::new() };
    let options = Options { engine: tui::Engine::Attached(whose), connectors, ..options };
    let mut ends = Ends::new()?;
    let mut screen = screens.show(link, options)?;
    let exit = tokio::select! {
        exit = &mut screen => exit,
        () = ends.next() => screen.end().await,
    };
    tasks.abort().await;
    exit
}

/// SIGTERM, SIGHUP, SIGINT and SIGQUIT: a terminal that is closed, a person who ends the process from elsewhere (the
/// keys of the last two are read as keys). Their default would leave the terminal as the screen had it.
struct Ends(Vec<tokio::signal::unix::Signal>);

impl Ends {
    fn new() -> Result<Self> {
        let kinds =
            [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit()];
        Ok(Self(kinds.into_iter().map(signal).collect::<std::io::Result<_>>()?))
    }

    async fn next(&mut self) {
        let each = self.0.iter_mut().map(|s| Box::pin(s.recv()));
        futures::future::select_all(each).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_screen_that_ends_ends_no_task_of_the_engine() {
        let (actions, asks) = mpsc::channel(ASKS);
        let (requests, _requests) = mpsc::channel(ASKS);
        let stop = CancellationToken::new();
        let mut passing = Box::pin(pass(asks, requests, stop.clone()));
        drop(actions);
        assert!(tokio::time::timeout(Duration::from_secs(5), &mut passing).await.is_err());
        stop.cancel();
        passing.await;
    }
}
