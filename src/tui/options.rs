//! What the dashboard is given and what it answers: the seam to `app`.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{model::Message, theme::ThemeChoice};
use crate::{
    feed::{Action, Feed, Reply},
    status::ConnectorStatus,
    store::{self, Reader, Snapshot, Store},
};

/// Tells the time; only `app` makes a real one.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Where the screen's pages come from. Called on worker threads only; a snapshot lives for one page.
pub trait Pages: Send + Sync + 'static {
    /// The newest committed state.
    fn snapshot(&self) -> store::Result<Snapshot>;
}

impl Pages for Store {
    fn snapshot(&self) -> store::Result<Snapshot> {
        Store::snapshot(self)
    }
}

impl Pages for Reader {
    fn snapshot(&self) -> store::Result<Snapshot> {
        Reader::snapshot(self)
    }
}

/// Something asked of the engine, and where its answer goes.
#[derive(Debug)]
pub struct Ask {
    /// What.
    pub action: Action,
    /// The answer; a dropped sender counts as "the engine has stopped".
    pub reply: oneshot::Sender<Reply>,
}

/// The engine as the screen sees it: the same in one process and over the local socket.
pub struct Link {
    /// The store (`Store` in the engine's process, `Reader` beside it).
    pub pages: Arc<dyn Pages>,
    /// What is committed. Closed = the engine is gone.
    pub feed: broadcast::Receiver<Feed>,
    /// What is asked of it.
    pub actions: mpsc::Sender<Ask>,
    /// Cancelled by `app` at SIGTERM, SIGHUP or when another task died: the screen is restored and `run` returns.
    pub stop: CancellationToken,
}

/// Whose engine is shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Engine {
    /// This process watches and delivers: quitting stops it.
    #[default]
    Own,
    /// Another process does; the header says which ("forwarder, pid 4711").
    Attached(String),
}

/// How to show it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Dark, light, mono, or found out from `NO_COLOR` and `COLORFGBG`.
    pub theme: ThemeChoice,
    /// Other keys than the built-in ones: action name → keys.
    pub keys: BTreeMap<String, Vec<String>>,
    /// Whose engine.
    pub engine: Engine,
    /// Nothing is delivered by this process.
    pub watch_only: bool,
    /// The connectors as this process would have them: all that can be said of them where no engine says more.
    pub connectors: Vec<ConnectorStatus>,
    /// How long a message is tried.
    pub horizon: Duration,
    /// For how long repeats are folded into the first, at most.
    pub dedup_window: Duration,
    /// What `:logs` shows.
    pub log_file: Option<PathBuf>,
    /// Where the session is kept for the next one; `None` = nowhere.
    pub session_file: Option<PathBuf>,
    /// Clock times on the screen and in filters.
    pub timezone: TimeZone,
    /// Said once at the start, as toasts (a configuration that is only half right, for instance).
    pub notices: Vec<String>,
    /// A person has asked for this process to take an engine's place: what came of it is said.
    pub took_over: bool,
    /// What was said so far: a screen that is opened in place of another goes on with its messages.
    pub said: Said,
}

/// The messages of this process's screens, one after the other.
#[derive(Debug, Clone, Default)]
pub struct Said(Arc<Mutex<VecDeque<Message>>>);

impl Said {
    /// What earlier screens said.
    pub(super) fn before(&self) -> VecDeque<Message> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Kept for the next screen.
    pub(super) fn keep(&self, messages: &VecDeque<Message>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone_from(messages);
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            theme: ThemeChoice::Auto,
            keys: BTreeMap::new(),
            engine: Engine::Own,
            watch_only: false,
            connectors: Vec::new(),
            horizon: Duration::from_hours(24),
            dedup_window: Duration::ZERO,
            log_file: None,
            session_file: None,
            timezone: TimeZone::UTC,
            notices: Vec::new(),
            took_over: false,
            said: Said::default(),
        }
    }
}

/// Why the dashboard ended; the terminal is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// A person asked for it.
    Quit,
    /// Ctrl-C twice: end at once.
    Now,
    /// `stop` was cancelled.
    Stopped,
    /// The engine it was attached to is gone, and a person wants this process to take its place.
    TakeOver,
}

/// Why it could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a terminal, or it went away.
    #[error("cannot use the terminal: {0}; `barrelman forward` runs without one")]
    Terminal(#[from] std::io::Error),
    /// A panic outside of the screen, whose message stands on the terminal.
    #[error(
        "another part of this program failed, as it says above: the dashboard has ended; please report it"
    )]
    Fault,
    /// A key of the configuration.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Keys(Vec<super::KeyError>),
}
