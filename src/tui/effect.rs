//! What `update` asks of the world. Nothing here is done on the screen's task but the terminal's own business.

use jiff::{SignedDuration, Timestamp};

use super::{
    options::Exit,
    query::{EventQuery, Scope},
};
use crate::{event::IncidentId, feed};

/// One thing to be done outside. `Go` and `Show` never leave `update`.
pub enum Effect {
    /// Another screen, with this filter.
    Go {
        /// Its name.
        screen: &'static str,
        /// `None` leaves its filter as it is.
        filter: Option<String>,
    },
    /// Something over the screen.
    Show(Box<dyn super::overlays::Overlay>),
    /// Read the store, on a worker.
    Query(Query),
    /// Ask the engine.
    Act {
        /// What.
        action: feed::Action,
        /// What for: decides how the answer is shown.
        about: About,
    },
    /// To the clipboard, by OSC 52.
    Copy(String),
    /// Give the terminal back, stop, and come back.
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// Take the mouse, or leave it to the terminal.
    Mouse(bool),
    /// End.
    Quit(Exit),
}

/// How an engine's answer is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// As a toast after these words.
    Toast(String),
    /// The same; then the dead letters are read again.
    Dead(String),
    /// As a page.
    Manifest {
        /// Its title.
        title: String,
        /// Its number: another page that waits is not for this answer.
        number: u64,
    },
}

/// Where a page of events begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With the newest.
    Newest,
    /// With the oldest that is kept.
    Oldest,
    /// Older than this row.
    Below(u64),
    /// Newer than this row.
    Above(u64),
    /// This row, with some on both sides.
    Around(u64),
}

/// A page that a list asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageAsk {
    /// Where it begins.
    pub from: From,
    /// How many the list has asked for: of two answers only that to the newest question is taken.
    pub number: u64,
}

/// What to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Medium and worse.
    Warning,
    /// What this passes.
    Filter(crate::event::filter::Filter),
}

/// A question to the store. A newer question of the same slot takes the place of an older one.
#[derive(Debug, Clone)]
pub enum Query {
    /// Open incidents, and those that ended lately.
    Incidents {
        /// Since when.
        ended_since: Timestamp,
        /// Its number: what is told after it may not be in the answer.
        question: u64,
    },
    /// Who was told of these.
    Told {
        /// Which.
        ids: Vec<IncidentId>,
        /// As above.
        question: u64,
    },
    /// Everything about one.
    Incident {
        /// Which.
        id: IncidentId,
        /// As above.
        question: u64,
    },
    /// A page of events.
    Events {
        /// Which.
        query: Box<EventQuery>,
        /// From where.
        ask: PageAsk,
        /// As seen from when.
        now: Timestamp,
    },
    /// How many events pass.
    Count {
        /// Which.
        query: Box<EventQuery>,
        /// As seen from when.
        now: Timestamp,
    },
    /// The next event that is wanted.
    Find {
        /// Among these.
        query: Box<EventQuery>,
        /// What.
        wanted: Wanted,
        /// From this row on, exclusive.
        from: u64,
        /// Towards older events.
        older: bool,
        /// Its number: who has moved since is not moved by its answer.
        jump: u64,
        /// As seen from when.
        now: Timestamp,
    },
    /// Everything about one event.
    Event(u64),
    /// Warnings per minute of the last hour.
    Strip {
        /// Where.
        scope: Scope,
        /// What began so much earlier may have happened again within it.
        folded: SignedDuration,
        /// The end of the hour.
        now: Timestamp,
    },
    /// A page of the log of deliveries.
    Deliveries {
        /// From where.
        ask: PageAsk,
        /// Which.
        query: Box<EventQuery>,
        /// As seen from when.
        now: Timestamp,
    },
    /// The dead letters.
    Dead,
    /// How many of the waiting messages pass.
    Waiting {
        /// Which.
        query: Box<EventQuery>,
        /// As seen from when.
        now: Timestamp,
    },
    /// What the log says of the connectors.
    Connectors,
    /// Clusters and namespaces to choose from; given uid and name of the clusters that are known.
    Scopes(Vec<(String, String)>),
    /// Counts and gaps.
    Totals,
    /// The end of the log file.
    Logs,
}

/// Questions of one slot supersede each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Slot {
    Incidents,
    Told,
    Incident,
    Events,
    Count,
    Find,
    Event,
    Strip,
    Deliveries,
    Dead,
    Waiting,
    Connectors,
    Scopes,
    Totals,
    Logs,
}

impl Slot {
    /// How many there are.
    pub const COUNT: usize = 15;
}

/// Which worker runs it: a long search must not hold a page back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Pages and details.
    Quick,
    /// Pages of events, which a filter can make long.
    Events,
    /// Searches and counts over the whole store.
    Scan,
}

impl Query {
    /// Its slot.
    pub fn slot(&self) -> Slot {
        match self {
            Query::Incidents { .. } => Slot::Incidents,
            Query::Told { .. } => Slot::Told,
            Query::Incident { .. } => Slot::Incident,
            Query::Events { .. } => Slot::Events,
            Query::Count { .. } => Slot::Count,
            Query::Find { .. } => Slot::Find,
            Query::Event(_) => Slot::Event,
            Query::Strip { .. } => Slot::Strip,
            Query::Deliveries { .. } => Slot::Deliveries,
            Query::Dead => Slot::Dead,
            Query::Waiting { .. } => Slot::Waiting,
            Query::Connectors => Slot::Connectors,
            Query::Scopes(_) => Slot::Scopes,
            Query::Totals => Slot::Totals,
            Query::Logs => Slot::Logs,
        }
    }

    /// Its worker.
    pub fn lane(&self) -> Lane {
        match self.slot() {
            Slot::Events | Slot::Find => Lane::Events,
            Slot::Count | Slot::Strip | Slot::Scopes | Slot::Connectors => Lane::Scan,
            _ => Lane::Quick,
        }
    }
}
