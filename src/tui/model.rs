//! Everything the screen knows: plain data, owned by one task.

use std::{cell::Cell, collections::VecDeque, sync::Arc};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::{
    keymap::Keymap,
    msg::Totals,
    options::{Engine, Options},
    overlays::Overlay,
    panes::{PANES, Pane},
    query::{EventQuery, Scope},
    theme::Theme,
    widgets::editor::Editor,
};
use crate::{
    event::{ClusterUid, Event, EventId, EventType, Fingerprint, ObjectRef, Role, Severity, TimeSource},
    status::{ClusterState, Status},
};

/// Messages kept for `:messages`.
const MESSAGES: usize = 200;
/// How long a toast stands.
const TOAST_FOR: SignedDuration = SignedDuration::from_secs(5);

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
    /// A person has chosen a screen: the start no longer does.
    pub chosen: bool,
}

/// A filter being written.
pub struct Prompt {
    /// The line.
    pub editor: Editor,
    /// What was in force before.
    pub before: crate::event::filter::Filter,
    /// Why what is written cannot be used; the previous result stays.
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
    /// There is a log file to show.
    pub has_log: bool,
    /// The newest status; `None` until the engine has said one.
    pub status: Option<Arc<Status>>,
    /// The engine's end of the feed is gone, since then.
    pub gone: Option<Timestamp>,
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
    /// Events that came since then.
    pub since_totals: u64,
    /// Open incidents (the incidents pane counts them).
    pub open_incidents: usize,
    /// The newest end of an incident: since when all is quiet.
    pub quiet_since: Option<Timestamp>,
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
    /// What was drawn changes within a second (an age in seconds, a countdown).
    pub moving: Cell<bool>,
    /// The first of two ctrl-c.
    pub interrupted: Option<Timestamp>,
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

    /// Takes a toast away whose time is over; whether it did.
    pub fn expire_toast(&mut self) -> bool {
        let over = self.toast.as_ref().is_some_and(|t| self.now.duration_since(t.at) > TOAST_FOR);
        if over {
            self.toast = None;
        }
        over
    }

    /// The question that scope and range alone ask.
    pub fn query(&self) -> EventQuery {
        EventQuery { scope: self.scope.clone(), range: self.range, ..EventQuery::default() }
    }

    /// An age, or the full time where full times are wanted.
    pub fn age(&self, at: Timestamp) -> String {
        if self.absolute {
            return super::text::full(at, &self.tz);
        }
        if self.now.as_second() - at.as_second() < 60 {
            self.moving.set(true);
        }
        super::text::age(at, self.now)
    }

    /// A clock time, or the full time where full times are wanted.
    pub fn clock(&self, at: Timestamp) -> String {
        if self.absolute {
            super::text::full(at, &self.tz)
        } else {
            super::text::clock(at, self.now, &self.tz)
        }
    }

    /// Whether the oldest of some times is of today.
    pub fn is_today(&self, oldest: Option<Timestamp>) -> bool {
        let date = |at: Timestamp| at.to_zoned(self.tz.clone()).date();
        oldest.is_none_or(|at| date(at) == date(self.now))
    }

    /// Width of a clock time's column.
    pub fn clock_width(&self, today: bool) -> usize {
        match (self.absolute, today) {
            (true, _) => 23,
            (false, true) => 8,
            (false, false) => 12,
        }
    }

    /// Clusters that do not answer.
    pub fn away(&self) -> impl Iterator<Item = &crate::status::ClusterStatus> {
        self.status.iter().flat_map(|s| &s.clusters).filter(|c| matches!(c.state, ClusterState::Away { .. }))
    }

    /// Dead letters, as the newest of store and status has it.
    pub fn dead(&self) -> u64 {
        self.status.as_ref().map_or(self.totals.dead, |s| s.connectors.iter().map(|c| c.dead).sum())
    }

    /// Messages that wait.
    pub fn waiting(&self) -> u64 {
        self.status
            .as_ref()
            .map_or(self.totals.outbox, |s| s.connectors.iter().map(|c| c.queued + c.in_flight).sum())
    }

    /// Stored events, with what came since they were counted.
    pub fn events(&self) -> u64 {
        self.totals.events + self.since_totals
    }

    /// The connectors that would stop if this process ended.
    pub fn would_stop(&self) -> Vec<String> {
        if self.watch_only || self.engine != Engine::Own {
            return Vec::new();
        }
        let connectors = self.status.iter().flat_map(|s| &s.connectors);
        connectors.filter(|c| c.enabled && c.state != "incomplete").map(|c| c.name.clone()).collect()
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
            has_log: options.log_file.is_some(),
            status: None,
            gone: None,
            store_error: None,
            scope: Scope::default(),
            range: None,
            absolute: false,
            zoom: false,
            keys_page: 0,
            keymap,
            theme,
            totals: Totals::default(),
            since_totals: 0,
            open_incidents: 0,
            quiet_since: None,
            incidents_read: false,
            rate: Rate::default(),
            filters: Vec::new(),
            toast: None,
            messages: VecDeque::new(),
            size: (80, 24),
            dirty: true,
            stale: false,
            moving: Cell::new(false),
            interrupted: None,
        };
        for notice in &options.notices {
            shared.say(Level::Bad, notice.clone());
        }
        Self {
            shared,
            panes: PANES.iter().map(|def| (def.make)()).collect(),
            current: 0,
            overlays: Vec::new(),
            prompt: None,
            chosen: false,
        }
    }
}

/// Events per second over the last ten seconds.
#[derive(Debug, Clone, Default)]
pub struct Rate {
    seconds: VecDeque<(i64, u64)>,
}

impl Rate {
    const WINDOW: i64 = 10;

    /// Counts events.
    pub fn add(&mut self, now: Timestamp, events: u64) {
        let second = now.as_second();
        match self.seconds.back_mut() {
            Some((s, n)) if *s == second => *n += events,
            _ => self.seconds.push_back((second, events)),
        }
        while self.seconds.front().is_some_and(|(s, _)| *s < second - Self::WINDOW) {
            self.seconds.pop_front();
        }
    }

    /// Per second; zero again ten seconds after the last.
    pub fn per_second(&self, now: Timestamp) -> f64 {
        let from = now.as_second() - Self::WINDOW;
        let events: u64 = self.seconds.iter().filter(|(s, _)| *s >= from).map(|(_, n)| n).sum();
        events as f64 / Self::WINDOW as f64
    }
}

/// An event without content, to be filled in.
pub fn blank_event() -> Event {
    Event {
        id: EventId::default(),
        fingerprint: Fingerprint::default(),
        event_type: EventType::KubernetesEvent,
        severity: Severity::Info,
        status: crate::event::Status::Info,
        role: Role::Context,
        timestamp: Timestamp::UNIX_EPOCH,
        time_source: TimeSource::Cluster,
        observed_at: Timestamp::UNIX_EPOCH,
        cluster: String::new(),
        cluster_uid: ClusterUid::default(),
        object: ObjectRef::default(),
        subject: ObjectRef::default(),
        title: String::new(),
        description: String::new(),
        details: serde_json::Map::new(),
        recommendations: Vec::new(),
        links: Vec::new(),
        labels: std::collections::BTreeMap::new(),
        annotations: std::collections::BTreeMap::new(),
        owner_references: Vec::new(),
        count: 1,
        first_seen: Timestamp::UNIX_EPOCH,
        last_seen: Timestamp::UNIX_EPOCH,
        late: false,
        standing: false,
        ignored: None,
        incident: None,
    }
}
