//! Everything the screen knows: plain data, owned by one task.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::{
    gaps::Unwatched,
    keymap::Keymap,
    msg::Totals,
    options::{Engine, Options},
    overlays::Overlay,
    panes::{PANES, Pane},
    query::{EventQuery, Scope},
    rate::Rate,
    theme::Theme,
    widgets::editor::Editor,
};
use crate::status::{ConnectorStatus, Status};

/// Messages kept for `:messages`.
const MESSAGES: usize = 200;
/// Names of incidents kept for filters.
const NAMES: usize = 50;
/// What stands on the screen is read again at most so often.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(2);
/// How long a toast stands.
const TOAST_FOR: SignedDuration = SignedDuration::from_secs(5);

/// The smallest terminal that shows everything that matters.
pub const SMALLEST: (u16, u16) = (60, 16);

/// Whether a terminal of this size shows more than a notice.
pub fn fits((width, height): (u16, u16)) -> bool {
    width >= SMALLEST.0 && height >= SMALLEST.1
}

/// The whole state.
pub struct Model {
    /// What every pane may look at.
    pub shared: Shared,
    /// One of each of `PANES`, in that order.
    pub panes: Vec<Box<dyn Pane>>,
    /// The one that is shown.
    pub current: usize,
    /// What lies over it, the topmost last.
    pub overlays: Vec<Box<dyn Overlay>>,
    /// The filter being written.
    pub prompt: Option<Prompt>,
    /// A person has pressed a key: which screen is shown is theirs to choose from then on.
    pub chosen: bool,
    /// Where the last screens were left by going deeper, for the way back.
    pub trail: Vec<usize>,
    /// When the session ended whose screen is shown again.
    pub left_at: Option<Timestamp>,
}

/// A filter being written.
pub struct Prompt {
    /// The line.
    pub editor: Editor,
    /// What was in force before.
    pub before: crate::event::filter::Filter,
    /// Why what is written cannot be used; what is shown is still that of before.
    pub error: Option<crate::event::filter::FilterError>,
    /// Which of the earlier filters is shown.
    pub history: Option<usize>,
}

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// It worked.
    Good,
    /// It did not.
    Bad,
    /// It is under way.
    Wait,
}

/// One message to the person.
#[derive(Debug, Clone)]
pub struct Message {
    /// When.
    pub at: Timestamp,
    /// The words.
    pub text: String,
    /// Good or bad.
    pub level: Level,
}

/// What every pane may look at.
pub struct Shared {
    /// The time of this update.
    pub now: Timestamp,
    /// For clock times.
    pub tz: TimeZone,
    /// Whose engine.
    pub engine: Engine,
    /// This process never delivers.
    pub watch_only: bool,
    /// The connectors as this process's configuration and the store have them.
    pub configured: Vec<ConnectorStatus>,
    /// How long a message is tried.
    pub horizon: SignedDuration,
    /// There is a log file to show.
    pub has_log: bool,
    /// The newest status; `None` until the engine has said one.
    pub status: Option<Arc<Status>>,
    /// The engine's end of the feed is gone, since then.
    pub gone: Option<Timestamp>,
    /// The engine is there, but has said nothing since then.
    pub silent: Option<Timestamp>,
    /// Its process, as the system tells, where it never said it itself.
    pub(super) silent_pid: Option<u32>,
    /// When it was last heard, and when the screen's own clock last ticked.
    pub(super) heard: (Timestamp, Option<Timestamp>),
    /// Why the store cannot be read.
    pub store_error: Option<String>,
    /// Where.
    pub scope: Scope,
    /// How far back.
    pub range: Option<SignedDuration>,
    /// Full dates.
    pub absolute: bool,
    /// One part over the whole screen.
    pub zoom: bool,
    /// Which page of keys the footer shows.
    pub keys_page: usize,
    /// The keys in force.
    pub keymap: Keymap,
    /// The colours in force.
    pub theme: Theme,
    /// Counts of the store, as last read.
    pub totals: Totals,
    /// What is not watched, by status and totals.
    pub(super) unwatched: RefCell<Option<Unwatched>>,
    /// Events that came since then.
    pub since_totals: u64,
    /// The newest row that the feed told of: what comes with an older one is a repeat.
    pub newest_seq: u64,
    /// Open incidents (the incidents pane counts them).
    pub open_incidents: usize,
    /// The newest end of an incident: since when all is quiet.
    pub quiet_since: Option<Timestamp>,
    /// What the incidents are about whose events were asked for, by id: a filter is read better by name.
    pub names: Vec<(String, String)>,
    /// The list of incidents was read once.
    pub incidents_read: bool,
    /// Events per second.
    pub rate: Rate,
    /// Earlier filters, the newest last.
    pub filters: Vec<String>,
    /// The newest message, while it stands.
    pub toast: Option<Message>,
    /// All of them.
    pub messages: VecDeque<Message>,
    /// The terminal's size.
    pub size: (u16, u16),
    /// Something is to be drawn.
    pub dirty: bool,
    /// Something only the next tick needs to draw: counters.
    pub stale: bool,
    /// A new status, which the next tick draws where the screen shows its counters.
    pub counted: bool,
    /// The rate as it was drawn last.
    pub drawn_rate: Cell<u64>,
    /// What was drawn changes within a second (an age in seconds, a countdown).
    pub moving: Cell<bool>,
    /// The first of two ctrl-c.
    pub interrupted: Option<Timestamp>,
    /// The mouse is ours, not the terminal's.
    pub mouse: bool,
    /// How many manifests were asked for.
    pub manifests: u64,
    /// For how long this process's configuration folds repeats into the first.
    pub dedup_window: SignedDuration,
}

/// When something was last read again, and how much was committed then.
#[derive(Debug, Clone, Copy, Default)]
pub struct Looked {
    at: Option<Timestamp>,
    commits: u64,
}

impl Looked {
    /// Something was committed since, and the last look was a moment ago.
    pub fn is_due(&mut self, shared: &Shared) -> bool {
        let commits = shared.status.as_ref().map_or(0, |s| s.store.commits);
        let rested = self.at.is_none_or(|at| shared.now.duration_since(at) >= LOOK_AGAIN);
        let due = commits != self.commits && rested;
        if due {
            *self = Self { at: Some(shared.now), commits };
        }
        due
    }
}

impl Shared {
    /// Says something: as a toast, and kept for `:messages`.
    pub fn say(&mut self, level: Level, text: impl Into<String>) {
        let message = Message { at: self.now, text: text.into(), level };
        if self.messages.len() >= MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back(message.clone());
        self.toast = Some(message);
        self.dirty = true;
    }

    /// Nothing but a notice is shown.
    pub fn is_too_small(&self) -> bool {
        !fits(self.size)
    }

    /// Takes a toast away whose time is over; whether it did.
    pub fn expire_toast(&mut self) -> bool {
        let over = self.toast.as_ref().is_some_and(|t| self.now.duration_since(t.at) > TOAST_FOR);
        if over {
            self.toast = None;
        }
        over
    }

    /// Remembers what an incident is about.
    pub fn name_incident(&mut self, incident: &crate::event::incident::Incident) {
        let subject = &incident.subject;
        let name = if subject.namespace.is_empty() {
            super::text::object(subject)
        } else {
            format!("{}/{}", subject.namespace, super::text::object(subject))
        };
        self.names.retain(|(id, _)| *id != incident.id.0);
        self.names.push((incident.id.0.clone(), name));
        let spare = self.names.len().saturating_sub(NAMES);
        self.names.drain(..spare);
    }

    /// A kubectl command for a cluster: with several, one without its context would look at another.
    pub fn command(&self, cluster: &str, command: &str) -> String {
        let clusters = self.status.as_ref().map_or(&[][..], |s| s.clusters.as_slice());
        let context = clusters.iter().find(|c| c.name == cluster).map_or("", |c| c.context.as_str());
        match command.strip_prefix("kubectl ") {
            Some(rest) if clusters.len() > 1 && !context.is_empty() && !rest.starts_with("--context ") => {
                format!("kubectl --context {} {rest}", super::panes::shell(context))
            }
            _ => command.to_owned(),
        }
    }

    /// What is watched, where that is not everything: the namespaces that the streams name.
    pub fn watched(&self) -> Vec<&str> {
        let streams = self.status.iter().flat_map(|s| &s.clusters).flat_map(|c| &c.streams);
        let mut names: Vec<&str> =
            streams.filter(|s| s.kind.namespaced()).map(|s| s.namespace.as_str()).collect();
        if names.iter().any(|n| n.is_empty()) {
            return Vec::new();
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Where, in words. All that is watched is not all that there is.
    pub fn scope_words(&self) -> String {
        let watched = self.watched();
        if !self.scope.namespaces.is_empty() || watched.is_empty() {
            return self.scope.words();
        }
        let some = watched.iter().take(2).copied().collect::<Vec<_>>().join(",");
        let more = if watched.len() > 2 { format!(",+{}", watched.len() - 2) } else { String::new() };
        self.scope.words().replace("all namespaces", &format!("only {some}{more}"))
    }

    /// A filter as it is shown: an incident that is known by name, by its name.
    pub fn worded(&self, filter: &str) -> String {
        self.names.iter().rev().fold(filter.to_owned(), |text, (id, name)| {
            text.replace(&format!("incident:{id}"), &format!("incident of {name}"))
        })
    }

    /// The question that scope and range alone ask.
    pub fn query(&self) -> EventQuery {
        EventQuery { scope: self.scope.clone(), range: self.range, ..EventQuery::default() }
    }

    /// Dead letters, as the newest of store and status has it.
    pub fn dead(&self) -> u64 {
        self.status.as_ref().map_or(self.totals.dead, |s| s.connectors.iter().map(|c| c.dead).sum())
    }

    /// Connectors whose newest attempt failed.
    pub fn failing(&self) -> u64 {
        let connectors = self.status.iter().flat_map(|s| &s.connectors);
        connectors.filter(|c| c.fails()).count() as u64
    }

    /// Messages that wait.
    pub fn waiting(&self) -> u64 {
        self.status
            .as_ref()
            .map_or(self.totals.outbox, |s| s.connectors.iter().map(|c| c.queued + c.in_flight).sum())
    }

    /// Events per second in tenths, as far as they are shown.
    pub fn tenths(&self) -> u64 {
        let rate = self.rate.per_second(self.now);
        if rate >= 10.0 { rate.round() as u64 * 10 } else { (rate * 10.0).round() as u64 }
    }

    /// Stored events, with what came since they were counted.
    pub fn events(&self) -> u64 {
        self.totals.events + self.since_totals
    }

    /// All of it is played, and goes with this process.
    pub fn is_demo(&self) -> bool {
        self.status.as_ref().is_some_and(|s| s.mode == "demo")
    }

    /// The engine that is shown never delivers.
    pub fn is_watch_only(&self) -> bool {
        match self.engine {
            Engine::Own => self.watch_only,
            Engine::Attached(_) => self.status.as_ref().map_or_else(
                // One that says nothing now wrote it down at its start.
                || {
                    let pid = self.engine_pid();
                    self.totals.whose.as_ref().is_some_and(|w| w.watch_only && Some(w.pid) == pid)
                },
                |status| status.watch_only,
            ),
        }
    }

    /// How long a message is tried, in words.
    pub fn horizon_words(&self) -> String {
        super::text::span(self.horizon.as_secs())
    }

    /// The connectors that would stop if this process ended.
    pub fn would_stop(&self) -> Vec<String> {
        if self.watch_only || self.engine != Engine::Own {
            return Vec::new();
        }
        // One that is paused tells nobody as it is.
        let connectors = self.status.iter().flat_map(|s| &s.connectors);
        connectors.filter(|c| c.enabled && c.state == "on").map(|c| c.name.clone()).collect()
    }

    /// Messages that wait for a connector that is on, and those that wait until theirs is on again.
    pub fn waiting_for(&self) -> (u64, u64) {
        let connectors = self.status.iter().flat_map(|s| &s.connectors);
        connectors.fold((0, 0), |(on, off), c| match c.queued + c.in_flight {
            n if c.enabled && c.state == "on" => (on + n, off),
            n => (on, off + n),
        })
    }
}

/// What came of a take-over.
fn took_over(options: &Options) -> (Level, String) {
    match &options.engine {
        Engine::Own if options.watch_only => (
            Level::Good,
            "taken over: this process watches now; it delivers nothing (--watch-only)".to_owned(),
        ),
        Engine::Own => (Level::Good, "taken over: this process watches and delivers now".to_owned()),
        Engine::Attached(label) => {
            (Level::Bad, format!("nothing was taken over: another engine was there first ({label})"))
        }
    }
}

impl Model {
    /// At the start.
    pub fn new(options: &Options, keymap: Keymap, theme: Theme, now: Timestamp) -> Self {
        let mut shared = Shared {
            now,
            tz: options.timezone.clone(),
            engine: options.engine.clone(),
            watch_only: options.watch_only,
            configured: options.connectors.clone(),
            horizon: SignedDuration::try_from(options.horizon).unwrap_or(SignedDuration::MAX),
            has_log: options.log_file.is_some(),
            status: None,
            gone: None,
            silent: None,
            silent_pid: None,
            heard: (now, None),
            store_error: None,
            scope: Scope::default(),
            range: None,
            absolute: false,
            zoom: false,
            keys_page: 0,
            keymap,
            theme,
            totals: Totals::default(),
            unwatched: RefCell::new(None),
            since_totals: 0,
            newest_seq: 0,
            open_incidents: 0,
            quiet_since: None,
            names: Vec::new(),
            incidents_read: false,
            rate: Rate::default(),
            filters: Vec::new(),
            toast: None,
            messages: options.said.before(),
            size: (80, 24),
            dirty: true,
            stale: false,
            counted: false,
            drawn_rate: Cell::new(0),
            moving: Cell::new(false),
            interrupted: None,
            mouse: false,
            manifests: 0,
            dedup_window: options.dedup_window.try_into().unwrap_or(SignedDuration::MAX),
        };
        // They were said by the first screen.
        let first = shared.messages.is_empty();
        for notice in options.notices.iter().filter(|_| first) {
            shared.say(Level::Bad, notice.clone());
        }
        if options.took_over {
            let (level, text) = took_over(options);
            shared.say(level, text);
        }
        Self {
            shared,
            panes: PANES.iter().map(|def| (def.make)()).collect(),
            current: 0,
            overlays: Vec::new(),
            prompt: None,
            chosen: false,
            trail: Vec::new(),
            left_at: None,
        }
    }
}
