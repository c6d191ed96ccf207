//! Connectors: who can be told, how each of them is, and what to do where one is not well.

use ratatui::{Frame, layout::Rect};

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Pane, PaneDef, PaneState, connectors_view};
use crate::{
    feed::{Action as Ask, Feed},
    status::ConnectorStatus,
    store::DeliveryState,
    tui::{
        action::Action as A,
        effect::{About, Effect, Query},
        keymap::{Binding, bind},
        model::{Level, Shared},
        msg::{Answer, ConnectorLog},
        overlays::confirm::Confirm,
        widgets::cursor::Cursor,
    },
};

const BINDINGS: &[Binding] = &[
    bind(
        A::Open,
        &["enter"],
        "deliveries",
        "The log of what this connector sent; Tab there shows its dead letters",
        10,
    ),
    bind(A::Toggle, &["space"], "on/off", "Switches it on or off", 20),
    bind(A::Test, &["ctrl-t"], "test", "Sends a message that is marked as a test", 30),
    bind(A::Retry, &["R"], "retry dead", "Puts its dead letters back into the queue", 40),
    bind(A::Sort, &["o"], "sort", "Sorts by name, by state, by queue", 50),
    bind(A::ReverseSort, &["O"], "reverse", "Reverses the order", 0),
];

/// The queue is looked at again at most so often.
const AGAIN_SECS: i64 = 5;
/// What came of switching a connector on again is said after so long, when the engine has answered, and waited for until
/// so much later.
const OUTCOME: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(1), SignedDuration::from_secs(15));

/// Its definition.
pub const DEF: PaneDef = PaneDef {
    number: 6,
    name: "connectors",
    title: ("Connectors", "Conn"),
    show: A::Screen6,
    bindings: BINDINGS,
    make: || Box::new(Connectors::default()),
};

/// How the list is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// By name.
    #[default]
    Name,
    /// What is not well first.
    State,
    /// The longest queue first.
    Queue,
}

impl Order {
    fn next(self) -> Self {
        match self {
            Order::Name => Order::State,
            Order::State => Order::Queue,
            Order::Queue => Order::Name,
        }
    }
}

/// Its state.
#[derive(Default)]
pub struct Connectors {
    pub(super) rows: Vec<ConnectorStatus>,
    pub(super) cursor: Cursor,
    pub(super) order: Order,
    pub(super) reverse: bool,
    /// What the store knows of each: an engine counts from its own start only.
    pub(super) logs: BTreeMap<String, ConnectorLog>,
    /// The whole log was looked at.
    pub(super) whole: bool,
    /// The log is to be read again.
    stale: bool,
    /// One that had paused itself was switched on again: which, and when.
    resumed: Option<(String, Timestamp)>,
}

impl Connectors {
    /// The newest acknowledged delivery, whichever engine made it.
    pub(super) fn last(&self, c: &ConnectorStatus) -> Option<Timestamp> {
        c.last_delivered.max(self.logs.get(&c.name).and_then(|l| l.delivered))
    }

    /// The newest failure, whichever engine met it.
    pub(super) fn failure<'a>(&'a self, c: &'a ConnectorStatus) -> Option<&'a (Timestamp, String)> {
        let logged = self.logs.get(&c.name).and_then(|l| l.failed.as_ref());
        c.last_error.iter().chain(logged).max_by_key(|(at, _)| *at)
    }

    /// It is on, and the newest attempt failed.
    pub(super) fn fails(&self, c: &ConnectorStatus) -> bool {
        c.state == "on" && self.failure(c).map(|(at, _)| *at) > self.last(c)
    }

    /// When a failing connector is tried again, as far as the engine or the queue tells.
    pub(super) fn next_attempt(&self, c: &ConnectorStatus) -> Option<Timestamp> {
        c.next_attempt.or_else(|| self.logs.get(&c.name)?.next_attempt)
    }

    /// What configuration and store say of the connectors of an engine that does not speak.
    fn as_configured(&self, shared: &Shared) -> Vec<ConnectorStatus> {
        let with_queue = |c: &ConnectorStatus| {
            let log = self.logs.get(&c.name);
            let (queued, dead) = log.map_or((0, 0), |l| (l.waiting, l.dead));
            ConnectorStatus { queued, dead, ..c.clone() }
        };
        shared.configured.iter().map(with_queue).collect()
    }

    /// Says what came of switching one on again that had paused itself, as soon as that is known.
    fn say_outcome(&mut self, shared: &mut Shared) {
        let Some((name, at)) = self.resumed.clone() else { return };
        let waited = shared.now.duration_since(at);
        if waited < OUTCOME.0 {
            return;
        }
        let row = self.rows.iter().find(|c| c.name == name);
        let failed = row.and_then(|c| c.last_error.as_ref()).filter(|(failed, _)| *failed >= at);
        let said = match (row, failed) {
            (Some(c), Some(_)) if c.state == "paused" => {
                Some((Level::Bad, format!("{name} was tried again, and has paused itself again: {}", c.why)))
            }
            (Some(c), Some((_, why))) if c.last_delivered < Some(at) => {
                Some((Level::Bad, format!("{name} is {}, and fails: {why}", c.state)))
            }
            (Some(c), _) if c.last_delivered >= Some(at) => {
                Some((Level::Good, format!("{name} is on again, and delivers")))
            }
            (Some(c), None) if c.state == "on" && c.queued + c.in_flight == 0 => {
                let test = shared.keymap.shown(A::Test);
                Some((Level::Good, format!("{name} is on again; nothing waited for it: {test} tests it")))
            }
            _ => None,
        };
        let known = said.is_some();
        if let Some((level, text)) = said {
            shared.say(level, text);
        }
        self.resumed = self.resumed.take().filter(|_| !known && waited < OUTCOME.1);
    }

    fn arrange(&mut self, shared: &Shared) {
        let selected = self.rows.get(self.cursor.at).map(|c| c.name.clone());
        self.rows = match &shared.status {
            Some(status) => status.connectors.clone(),
            // Before the first word of an engine that runs, nothing is guessed: it comes at once.
            None if shared.is_watched() => Vec::new(),
            None => self.as_configured(shared),
        };
        let order = self.order;
        let ill = |c: &ConnectorStatus| u8::from(matches!(c.state.as_str(), "on" | "off" | "not used"));
        self.rows.sort_by(|a, b| {
            let by = match order {
                Order::Name => std::cmp::Ordering::Equal,
                Order::State => ill(a).cmp(&ill(b)).then(b.dead.cmp(&a.dead)),
                Order::Queue => (b.queued + b.in_flight).cmp(&(a.queued + a.in_flight)),
            };
            by.then_with(|| a.name.cmp(&b.name))
        });
        if self.reverse {
            self.rows.reverse();
        }
        let place = selected.and_then(|name| self.rows.iter().position(|c| c.name == name));
        self.cursor.follow(place, self.rows.len());
    }
}

/// Switches a connector on or off; asks first where something waits for it.
fn toggle(connector: &ConnectorStatus, shared: &Shared) -> Vec<Effect> {
    let name = connector.name.clone();
    // One that paused itself is switched on again: that is what its next step says.
    let enabled = !connector.enabled || connector.state == "paused";
    let about = About::Toast(name.clone());
    let ask = Effect::Act { action: Ask::EnableConnector { name: name.clone(), enabled }, about };
    if enabled || connector.queued + connector.in_flight == 0 {
        return vec![ask];
    }
    let waiting = crate::tui::text::count(connector.queued + connector.in_flight, "message");
    let horizon = shared.horizon_words();
    let text = if connector.state == "not used" {
        // It sends nothing as it is: what is switched is what comes after --watch-only.
        format!(
            "Under --watch-only {name} sends nothing anyway. Switched off, it sends nothing either when an \
             engine delivers again: its {waiting} would wait on, but not longer than {horizon}."
        )
    } else {
        format!(
            "{name} has {waiting} waiting. What waits is kept until it is on again, but not longer than \
             {horizon}."
        )
    };
    vec![Effect::Show(Box::new(Confirm::new("Switch off?", text, "y", "switch off", vec![ask])))]
}

impl Pane for Connectors {
    fn badge(&self, shared: &Shared) -> String {
        let connectors = shared.status.as_ref().map_or(&[][..], |s| s.connectors.as_slice());
        let ill = |c: &&ConnectorStatus| c.state == "paused" || c.state == "incomplete" || self.fails(c);
        let ill = connectors.iter().filter(ill).count();
        if ill > 0 {
            return format!("({ill}!)");
        }
        // Without a word from the engine, what it wrote down at its start counts.
        let unused = connectors.iter().any(|c| c.state == "not used")
            || connectors.is_empty() && shared.is_watch_only() && !self.rows.is_empty();
        let on = connectors.iter().filter(|c| c.enabled && c.state != "not used").count();
        if on > 0 || unused { format!("({on} on)") } else { String::new() }
    }

    fn reload(&mut self, shared: &mut Shared) -> Vec<Effect> {
        self.arrange(shared);
        vec![Effect::Query(Query::Connectors)]
    }

    fn act(&mut self, action: A, shared: &mut Shared) -> Vec<Effect> {
        if self.cursor.act(action, self.rows.len()) {
            return Vec::new();
        }
        match action {
            A::Sort => {
                self.order = self.order.next();
                self.arrange(shared);
                return Vec::new();
            }
            A::ReverseSort => {
                self.reverse = !self.reverse;
                self.arrange(shared);
                return Vec::new();
            }
            _ => {}
        }
        let Some(connector) = self.rows.get(self.cursor.at).cloned() else {
            if matches!(action, A::Open | A::Toggle | A::Test | A::Retry) {
                shared.say(Level::Bad, "there is no connector yet: add one to the configuration file");
            }
            return Vec::new();
        };
        let name = connector.name.clone();
        match action {
            A::Open => {
                let filter = format!("source:{}", crate::event::filter::quote(&name));
                vec![Effect::Go { screen: "deliveries", filter: Some(filter) }]
            }
            A::Toggle if connector.state == "incomplete" && !connector.enabled => {
                shared.say(Level::Bad, format!("{name} cannot be on, it is incomplete: {}", connector.why));
                Vec::new()
            }
            A::Toggle => {
                self.resumed = (connector.state == "paused").then_some((name, shared.now));
                toggle(&connector, shared)
            }
            A::Test if shared.watch_only || shared.is_watch_only() => {
                shared.say(Level::Bad, "--watch-only: nothing is sent, no test either");
                Vec::new()
            }
            A::Test => {
                if shared.is_watched() {
                    shared.say(Level::Wait, format!("testing {name} …"));
                }
                let about = About::Toast(format!("test of {name}"));
                vec![Effect::Act { action: Ask::TestConnector { name }, about }]
            }
            A::Retry if connector.dead > 0 && connector.state != "on" => {
                let next = match connector.state.as_str() {
                    "paused" | "off" => format!("{} switches it on", shared.keymap.shown(A::Toggle)),
                    _ => connector.why.clone(),
                };
                let text = format!("{name} is {}: what is put back would only wait; {next}", connector.state);
                shared.say(Level::Bad, text);
                Vec::new()
            }
            A::Retry if connector.dead == 0 => {
                shared.say(Level::Good, format!("{name} has no dead letters"));
                Vec::new()
            }
            A::Retry => {
                let about = About::Dead(format!("retry of {name}"));
                vec![Effect::Act {
                    action: Ask::RetryDead { connector: Some(name), seqs: Vec::new() },
                    about,
                }]
            }
            _ => Vec::new(),
        }
    }

    fn feed(&mut self, item: &Feed, shared: &mut Shared) -> Vec<Effect> {
        match item {
            Feed::Status { .. } | Feed::Silent { .. } | Feed::Engine { .. } => self.arrange(shared),
            Feed::Delivery { delivery, .. } => {
                let log = self.logs.entry(delivery.connector.clone()).or_default();
                match delivery.state {
                    DeliveryState::Delivered => {
                        log.delivered = log.delivered.max(Some(delivery.at));
                        log.next_attempt = None;
                    }
                    DeliveryState::Dead | DeliveryState::Retrying => {
                        log.failed = Some((delivery.at, delivery.detail.clone()));
                        // When it is tried again stands in the queue alone.
                        self.stale = true;
                    }
                    DeliveryState::Dropped => {}
                }
            }
            _ => {}
        }
        Vec::new()
    }

    fn answer(&mut self, answer: &mut Answer, shared: &mut Shared) -> Vec<Effect> {
        if let Answer::Connectors { logs, whole } = answer {
            let logs = std::mem::take(logs);
            shared.dirty |= self.logs != logs;
            self.logs = logs;
            self.whole = *whole;
            if shared.status.is_none() {
                self.arrange(shared);
            }
        }
        Vec::new()
    }

    fn refresh(&mut self, shared: &mut Shared) -> Vec<Effect> {
        self.say_outcome(shared);
        // An attempt was due: when the next one is, the queue knows.
        let due = |log: &ConnectorLog| log.next_attempt.is_some_and(|at| at <= shared.now);
        self.stale |= shared.now.as_second() % AGAIN_SECS == 0 && self.logs.values().any(due);
        if std::mem::take(&mut self.stale) { vec![Effect::Query(Query::Connectors)] } else { Vec::new() }
    }

    fn steps_to(&self, line: u16) -> Option<i32> {
        self.cursor.steps_to(line, self.rows.len())
    }

    fn has_row(&self) -> bool {
        !self.rows.is_empty()
    }

    fn keep(&self) -> PaneState {
        PaneState { order: self.order as u8, reverse: self.reverse, ..PaneState::default() }
    }

    fn take_up(&mut self, state: &PaneState) {
        self.order = match state.order {
            1 => Order::State,
            2 => Order::Queue,
            _ => Order::Name,
        };
        self.reverse = state.reverse;
    }

    fn view(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        connectors_view::view(self, frame, area, shared);
    }
}
