//! Connectors: who can be told, how each of them is, and what to do where one is not well.

use ratatui::{Frame, layout::Rect};

use super::{Pane, PaneDef, connectors_view};
use crate::{
    feed::{Action as Ask, Feed},
    status::ConnectorStatus,
    tui::{
        action::Action as A,
        effect::{About, Effect},
        keymap::{Binding, bind},
        model::{Level, Shared},
        overlays::confirm::Confirm,
        widgets::cursor::Cursor,
    },
};

const BINDINGS: &[Binding] = &[
    bind(A::Open, &["enter"], "deliveries", "What this connector sent", 10),
    bind(A::Toggle, &["space"], "on/off", "Switches it on or off", 20),
    bind(A::Test, &["ctrl-t"], "test", "Sends a message that is marked as a test", 30),
    bind(A::Retry, &["R"], "retry dead", "Puts its dead letters back into the queue", 40),
    bind(A::Sort, &["o"], "sort", "Sorts by name, by state, by queue", 50),
    bind(A::ReverseSort, &["O"], "reverse", "Reverses the order", 0),
];

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

/// Its state.
#[derive(Default)]
pub struct Connectors {
    pub(super) rows: Vec<ConnectorStatus>,
    pub(super) cursor: Cursor,
    pub(super) order: Order,
    pub(super) reverse: bool,
}

impl Connectors {
    fn arrange(&mut self, shared: &Shared) {
        let selected = self.rows.get(self.cursor.at).map(|c| c.name.clone());
        self.rows = shared.status.as_ref().map_or_else(Vec::new, |s| s.connectors.clone());
        let order = self.order;
        let ill = |c: &ConnectorStatus| u8::from(c.state == "on" || c.state == "off");
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

impl Pane for Connectors {
    fn badge(&self, shared: &Shared) -> String {
        let connectors = shared.status.as_ref().map_or(&[][..], |s| s.connectors.as_slice());
        let ill = connectors.iter().filter(|c| c.state == "paused" || c.state == "incomplete").count();
        if ill > 0 {
            return format!("({ill}!)");
        }
        let on = connectors.iter().filter(|c| c.enabled).count();
        if on > 0 { format!("({on} on)") } else { String::new() }
    }

    fn reload(&mut self, shared: &mut Shared) -> Vec<Effect> {
        self.arrange(shared);
        Vec::new()
    }

    fn act(&mut self, action: A, shared: &mut Shared) -> Vec<Effect> {
        if self.cursor.act(action, self.rows.len()) {
            return Vec::new();
        }
        match action {
            A::Sort => {
                self.order = match self.order {
                    Order::Name => Order::State,
                    Order::State => Order::Queue,
                    Order::Queue => Order::Name,
                };
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
            A::Toggle => {
                let enabled = !connector.enabled;
                let about = About::Toast(format!("{name} {}", if enabled { "on" } else { "off" }));
                let ask = Effect::Act { action: Ask::EnableConnector { name: name.clone(), enabled }, about };
                if enabled || connector.queued + connector.in_flight == 0 {
                    return vec![ask];
                }
                let waiting = connector.queued + connector.in_flight;
                let text = format!(
                    "{name} has {waiting} messages waiting. They are kept until it is on again, but not longer than 24 h."
                );
                vec![Effect::Show(Box::new(Confirm::new("Switch off?", text, "y", "switch off", vec![ask])))]
            }
            A::Test => {
                shared.say(Level::Good, format!("testing {name} …"));
                let about = About::Toast(format!("test of {name}"));
                vec![Effect::Act { action: Ask::TestConnector { name }, about }]
            }
            A::Retry if connector.dead == 0 => {
                shared.say(Level::Good, format!("{name} has no dead letters"));
                Vec::new()
            }
            A::Retry => {
                let about = About::Toast(format!("retry of {name}"));
                vec![Effect::Act {
                    action: Ask::RetryDead { connector: Some(name), seqs: Vec::new() },
                    about,
                }]
            }
            _ => Vec::new(),
        }
    }

    fn feed(&mut self, item: &Feed, shared: &mut Shared) -> Vec<Effect> {
        if matches!(item, Feed::Status { .. }) {
            self.arrange(shared);
        }
        Vec::new()
    }

    fn view(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        connectors_view::view(self, frame, area, shared);
    }
}
