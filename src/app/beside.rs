//! Beside a running engine: its feed and its hands over the socket, its pages from the file. When it goes, it is
//! looked for until one runs again; the screen stays as it is meanwhile. Called by `dashboard`.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::sync::{broadcast, mpsc};

use crate::{
    feed::{Feed, Reply},
    server::attach::{self, Attached},
    store::{self, Reader, Snapshot},
    tui::{Ask, Pages},
};

/// How long an engine is waited for to say who it is.
const WHO: Duration = Duration::from_millis(500);
/// How long an answer of the engine is waited for.
const PATIENCE: Duration = Duration::from_mins(1);
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

/// Passes feed and questions on for as long as it is polled, whichever engine runs.
pub async fn follow(
    file: Arc<File>,
    mut engine: Attached,
    feed: broadcast::Sender<Feed>,
    mut asks: mpsc::Receiver<Ask>,
) {
    loop {
        until_gone(engine, &feed, &mut asks).await;
        let _ = feed.send(Feed::Engine { label: None });
        engine = another(&file.dir, &mut asks).await;
        file.reopen();
        let label = whose(&mut engine).await;
        let _ = feed.send(Feed::Engine { label: Some(label) });
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
async fn another(dir: &Path, asks: &mut mpsc::Receiver<Ask>) -> Attached {
    let mut look = tokio::time::interval(AGAIN);
    loop {
        tokio::select! {
            _ = look.tick() => if let Ok(found) = attach::connect(dir).await {
                return found;
            },
            Some(ask) = asks.recv() => {
                let _ = ask.reply.send(Reply::Failed("the engine has stopped".into()));
            }
        }
    }
}
