//! What reaches `update`: keys, the feed, answers of the workers and of the engine, and the passing of time.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    effect::{About, Query},
    keymap::Chord,
    query::EventQuery,
    widgets::{strip::Counted, window::Page},
};
use crate::{
    event::incident::Phase,
    event::{
        Event, Fingerprint, IncidentId, ObjectRef, Recommendation, Severity,
        incident::{Incident, Member},
    },
    feed::{Feed, Reply},
    store::{DeadLetter, DeliveryRow, GapRow, Whose, pages::Recovery},
};

/// One message.
#[derive(Debug)]
pub enum Msg {
    /// A key press.
    Key(Chord),
    /// Pasted text: goes to a field, or nowhere.
    Paste(String),
    /// The wheel, while the mouse is ours.
    Wheel {
        /// Towards older rows.
        down: bool,
    },
    /// The left button, while the mouse is ours.
    Click {
        /// From the left, 0 first.
        column: u16,
        /// From the top, 0 first.
        line: u16,
    },
    /// The terminal has another size.
    Resize(u16, u16),
    /// What was committed, in order; as many as were waiting.
    Feed(Vec<Feed>),
    /// The engine's end of the feed is gone.
    EngineGone,
    /// Time has passed.
    Tick,
    /// A question that could not even be put: too many wait.
    LeftOut(Box<Query>),
    /// A worker's answer.
    Answer(Answer),
    /// The engine's answer.
    Replied {
        /// What for.
        about: About,
        /// The answer.
        reply: Reply,
    },
    /// Something was put into the clipboard, or could not be: what to say.
    Copied(Result<String, String>),
}

/// How one connector stands with one incident: a mark for each kind of message that it had to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldMark {
    /// The connector.
    pub connector: String,
    /// What the message said: that it opened, got worse, is over.
    pub phase: Phase,
    /// What became of the newest message of this phase.
    pub state: ToldState,
    /// When; of a waiting one, when it is due.
    pub at: Timestamp,
    /// When it is tried again, where it is.
    pub next_at: Option<Timestamp>,
    /// The answer, or why not.
    pub detail: String,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToldState {
    /// In the outbox.
    Waiting,
    /// Acknowledged.
    Delivered,
    /// Failed once or more, and tried again.
    Retrying,
    /// In the dead letters.
    Dead,
    /// Never sent: healed while it waited, or its connector went.
    Dropped,
}

/// What the list says beside an incident.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Beside {
    /// What is there now, where that is not what gave the incident its name.
    pub instead: Option<String>,
    /// `4/6 pods`, `23 pods`, `svc/web`: what has it.
    pub affected: String,
    /// The same once all of it has been well for a while; empty: no other words.
    pub healed: String,
    /// The namespaces of what has it or is taken down with it.
    pub namespaces: BTreeSet<String>,
    /// A mark per connector and phase that has or had something to say, in the order of time.
    pub told: Vec<ToldMark>,
    /// It ends soon, if it stays so.
    pub recovery: Option<Recovery>,
    /// Containers of it crash, and run in between.
    pub runs: bool,
    /// It is over, and what it took down is not.
    pub left: Option<Left>,
}

/// What an incident that is over took down with it, and what fails on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The severity of the worst.
    pub severity: Severity,
    /// Since when that is there.
    pub since: Timestamp,
    /// `svc/api in pay has no ready endpoint (+2)`
    pub words: String,
}

/// Everything about one incident.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IncidentDetail {
    /// Which.
    pub id: IncidentId,
    /// Its members, those that still hold it open first, at most 50.
    pub members: Vec<Member>,
    /// Which of them are well at this moment, since when.
    pub well: HashMap<Fingerprint, Timestamp>,
    /// The event of the trouble that speaks for it: the worst that is there now, else what it was opened with.
    pub speaks: Option<Event>,
    /// The object of that is not there any more.
    pub gone: bool,
    /// What is there besides, in words.
    pub also: Vec<String>,
    /// What happened last, repeats included.
    pub last: Option<Event>,
    /// How many rows of the stream belong to it.
    pub rows: u64,
    /// From the top owner to the object that speaks for it, with what we know of each.
    pub owners: Vec<OwnerLine>,
    /// Who was told.
    pub told: Vec<ToldMark>,
    /// Commands to look.
    pub look: Vec<Recommendation>,
    /// It ends soon, if it stays so.
    pub recovery: Option<Recovery>,
    /// It is over, and what it took down is not.
    pub left: Option<Left>,
}

/// One object of an owner chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerLine {
    /// The object.
    pub object: ObjectRef,
    /// `4/6 ready`, `Running on node-1`, `gone`.
    pub state: String,
}

/// Everything about one event.
#[derive(Debug, Clone, PartialEq)]
pub struct EventDetail {
    /// Its row.
    pub seq: u64,
    /// The event.
    pub event: Arc<Event>,
    /// Its owners, the top first, itself last.
    pub owners: Vec<OwnerLine>,
    /// Its incident.
    pub incident: Option<Incident>,
    /// Who was told of it.
    pub told: Vec<ToldMark>,
}

/// A worker's answer.
#[derive(Debug)]
pub enum Answer {
    /// Open and lately ended incidents.
    Incidents {
        /// To this question.
        question: u64,
        /// All open ones and the newest ended ones.
        rows: Vec<Arc<Incident>>,
        /// What stands beside them.
        beside: Vec<(IncidentId, Beside)>,
        /// More ended ones than are here.
        more: bool,
    },
    /// Who was told.
    Told {
        /// To this question.
        question: u64,
        /// What stands beside those that are in the store.
        beside: Vec<(IncidentId, Beside)>,
    },
    /// One incident.
    Incident {
        /// To this question.
        question: u64,
        /// `None` when it is not in the store.
        detail: Option<Box<IncidentDetail>>,
    },
    /// A page of events.
    Events {
        /// The page.
        page: Page<Event>,
        /// It was left early, for the search was long: it goes on when somebody scrolls there.
        partial: bool,
    },
    /// How many pass, so far or in all.
    Count {
        /// For this.
        query: Box<EventQuery>,
        /// How many.
        found: u64,
        /// Of how many looked at.
        looked: u64,
        /// That was all.
        done: bool,
    },
    /// The row that was looked for.
    Found {
        /// As it was asked.
        jump: u64,
        /// `None`: nothing further passes.
        seq: Option<u64>,
    },
    /// One event.
    Event(Option<Box<EventDetail>>),
    /// Warnings per minute of the last hour.
    Strip(Counted),
    /// A page of deliveries.
    Deliveries(Page<DeliveryRow>),
    /// The dead letters, the newest first.
    Dead {
        /// At most 1,000.
        rows: Vec<(u64, Arc<DeadLetter>)>,
        /// In all.
        total: u64,
    },
    /// How many waiting messages pass.
    Waiting {
        /// For this.
        query: Box<EventQuery>,
        /// How many.
        found: u64,
        /// There are more than were looked at.
        more: bool,
    },
    /// What the log of deliveries says of each connector, by name.
    Connectors {
        /// A line per connector that the log or the queue names.
        logs: BTreeMap<String, ConnectorLog>,
        /// The whole log was looked at: what is not here never was.
        whole: bool,
    },
    /// Cluster and namespace, in order.
    Scopes(Vec<(String, String)>),
    /// Counts and gaps.
    Totals(Totals),
    /// The end of the log file.
    Logs(Vec<String>),
    /// The store could not be read.
    Failed {
        /// What for.
        query: Box<Query>,
        /// In words.
        error: String,
    },
}

/// What the store knows of a connector, whichever engine sent it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectorLog {
    /// The newest delivery that was acknowledged.
    pub delivered: Option<Timestamp>,
    /// The newest failure, and what it said.
    pub failed: Option<(Timestamp, String)>,
    /// When what failed is tried again.
    pub next_attempt: Option<Timestamp>,
    /// Messages that wait, as far as they were looked at.
    pub waiting: u64,
    /// Dead letters.
    pub dead: u64,
}

/// What the header and the health screen say about the store.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    /// Stored events.
    pub events: u64,
    /// The oldest event's time.
    pub oldest: Option<Timestamp>,
    /// Dead letters.
    pub dead: u64,
    /// Waiting messages.
    pub outbox: u64,
    /// Since when something was watched: before that nothing can be said.
    pub watched_since: Option<Timestamp>,
    /// The newest gaps, the newest first, at most 200.
    pub gaps: Arc<[GapRow]>,
    /// The engine that wrote to it last, as it said at its start.
    pub whose: Option<Whose>,
    /// The clusters of which something is stored, by name.
    pub clusters: Vec<String>,
}
