//! Beside a running engine: its feed and its hands over the socket, its pages from the file. When it goes, it is
//! looked for until one runs again; the screen stays as it is meanwhile. Called by `dashboard`.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::sync::{broadcast, mpsc};

use super::connectors;
use crate::{
    config::Settings,
    feed::{Feed, Reply},
    server::attach::{self, Attached, Knock},
    status::ConnectorStatus,
    store::{self, Reader, Snapshot},
    tui::{Ask, Pages},
};

/// How long an engine is waited for to say who it is.
const WHO: Duration = Duration::from_millis(500);
/// How long an answer of the engine is waited for.
const PATIENCE: Duration = Duration::from_mins(1);
/// An engine greets at once. One that has not done so by then hangs, and the screen opens without it.
const GREETS: Duration = Duration::from_secs(1);
/// How often an engine is looked for.
const AGAIN: Duration = Duration::from_secs(1);

/// The file of another process: opened anew when another engine writes to it.
pub struct File {
    dir: PathBuf,
    reader: RwLock<Reader>,
}

impl File {
    /// Opens it.
    pub fn open(dir: &Path) -> store::Result<Self> {
        Ok(Self { dir: dir.to_owned(), reader: RwLock::new(Reader::open(dir)?) })
    }

    fn reopen(&self) {
        // The old one still shows what was stored before.
        if let Ok(reader) = Reader::open(&self.dir) {
            *self.reader.write().unwrap_or_else(PoisonError::into_inner) = reader;
        }
    }
}

impl Pages for File {
    fn snapshot(&self) -> store::Result<Snapshot> {
        self.reader.read().unwrap_or_else(PoisonError::into_inner).snapshot()
    }
}

/// The engine's name for the header: it says at once who it is; a slow one is shown without its name rather than late.
pub async fn whose(engine: &mut Attached) -> String {
    let told = tokio::select! {
        // Without the driver nothing comes.
        _ = &mut engine.driver => None,
        status = tokio::time::timeout(WHO, engine.status.wait_for(|s| s.pid != 0)) => {
            status.ok().and_then(Result::ok).map(|status| Arc::clone(&status))
        }
    };
    match told {
        Some(first) => format!("{}, pid {}", first.mode, first.pid),
        None => "another process".to_owned(),
    }
}

/// An engine beside us.
pub enum Found {
    /// It answers.
    Answers(Attached),
    /// It holds the store, takes connections and says nothing.
    Hangs(Knock),
}

/// Looks for the engine that runs on a data directory.
///
/// # Errors
/// None runs there, it is of another version, or the system refuses.
pub async fn look(dir: &Path) -> Result<Found, attach::Error> {
    let mut knock = attach::knock(dir).await?;
    match tokio::time::timeout(GREETS, knock.greeted()).await {
        Ok(greeted) => greeted.map(|()| Found::Answers(knock.attached())),
        Err(_) => Ok(Found::Hangs(knock)),
    }
}

/// An engine that hangs, for the header.
pub fn hanging(knock: &Knock) -> String {
    knock.pid().map_or_else(|| "another process".to_owned(), |pid| format!("pid {pid}"))
}

/// The connectors as this process would have them: all that is known beside an engine that says nothing.
///
/// # Errors
/// The store cannot be read.
pub fn configured(settings: &Settings, file: &File) -> anyhow::Result<Vec<ConnectorStatus>> {
    let snapshot = file.snapshot()?;
    let mut rows = Vec::new();
    for spec in connectors::all_specs(settings, &snapshot)? {
        let enabled = connectors::is_enabled(&spec, &snapshot)?;
        let why = format!(
            "no engine says how it is; it is {} as configuration and store have it",
            if enabled { "on" } else { "off" }
        );
        rows.push(ConnectorStatus {
            name: spec.name,
            kind: spec.kind,
            origin: spec.origin.as_str().to_owned(),
            enabled,
            state: if enabled { "not known" } else { "off" }.into(),
            why,
            ..ConnectorStatus::default()
        });
    }
    Ok(rows)
}

/// Passes feed and questions on for as long as it is polled, whichever engine runs.
pub async fn follow(
    file: Arc<File>,
    first: Found,
    feed: broadcast::Sender<Feed>,
    mut asks: mpsc::Receiver<Ask>,
) {
    // Who the first one is, the screen was told at its start.
    let mut new = false;
    let mut found = first;
    loop {
        let answers = match found {
            Found::Answers(engine) => Some(engine),
            Found::Hangs(knock) => {
                new = true;
                let _ = feed.send(Feed::Silent { pid: knock.pid() });
                until_greeted(knock, &mut asks).await
            }
        };
        if let Some(mut engine) = answers {
            if new {
                file.reopen();
                let label = whose(&mut engine).await;
                let _ = feed.send(Feed::Engine { label: Some(label) });
            }
            until_gone(engine, &feed, &mut asks).await;
        }
        let _ = feed.send(Feed::Engine { label: None });
        found = another(&file.dir, &mut asks).await;
        new = true;
    }
}

/// Until an engine that hangs greets after all; `None` when it ended instead. Nothing is asked of it.
async fn until_greeted(mut knock: Knock, asks: &mut mpsc::Receiver<Ask>) -> Option<Attached> {
    loop {
        tokio::select! {
            greeted = knock.greeted() => return greeted.is_ok().then(|| knock.attached()),
            Some(ask) = asks.recv() => {
                let _ = ask.reply.send(Reply::Failed("the engine hangs: nothing was asked of it".into()));
            }
        }
    }
}

/// As long as the connection lasts.
async fn until_gone(engine: Attached, feed: &broadcast::Sender<Feed>, asks: &mut mpsc::Receiver<Ask>) {
    let Attached { client, feed: mut told, status: _status, mut driver } = engine;
    let mut calls = FuturesUnordered::new();
    loop {
        tokio::select! {
            _ = &mut driver => return,
            item = told.recv() => match item {
                // Nobody listens where the screen has just ended.
                Some(item) => drop(feed.send(item)),
                None => return,
            },
            Some(ask) = asks.recv() => {
                let client = client.clone();
                calls.push(async move {
                    let reply = client.call(ask.action, PATIENCE).await;
                    let _ = ask.reply.send(reply.unwrap_or_else(|e| Reply::Failed(e.to_string())));
                });
            }
            Some(()) = calls.next(), if !calls.is_empty() => {}
        }
    }
}

/// The next engine that runs on the same data.
async fn another(dir: &Path, asks: &mut mpsc::Receiver<Ask>) -> Found {
    let mut again = tokio::time::interval(AGAIN);
    let found = async {
        loop {
            again.tick().await;
            if let Ok(found) = look(dir).await {
                return found;
            }
        }
    };
    tokio::pin!(found);
    loop {
        tokio::select! {
            found = &mut found => return found,
            Some(ask) = asks.recv() => {
                let _ = ask.reply.send(Reply::Failed("the engine has stopped".into()));
            }
        }
    }
}
