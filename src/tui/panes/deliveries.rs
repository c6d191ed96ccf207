//! Deliveries: the log of what was sent, and the dead letters, which can be sent again or thrown away.

use std::sync::Arc;

use ratatui::{Frame, layout::Rect};

use super::{Pane, PaneDef, PaneState, deliveries_view};
use crate::{
    event::filter::Filter,
    feed::{Action as Ask, Feed},
    store::{DeadLetter, DeliveryRow, DeliveryState},
    tui::{
        action::Action as A,
        effect::{About, Effect, From, Query},
        keymap::{Binding, bind},
        model::{Level, Shared},
        msg::Answer,
        overlays::{confirm::Confirm, viewer::Viewer},
        query::EventQuery,
        text,
        widgets::{cursor::Cursor, window::Window},
    },
};

const BINDINGS: &[Binding] = &[
    bind(A::NextPart, &["tab"], "log/dead", "From the log to the dead letters, and back", 10),
    bind(A::Open, &["enter"], "open", "The message and its answer; of a dead letter also the request", 20),
    bind(A::Retry, &["R"], "retry", "Puts the selected dead letter back into the queue", 30),
    bind(A::Purge, &["P"], "purge", "Throws the dead letters that are shown away; asks first", 40),
    bind(A::Owner, &["J"], "incident", "The events of its incident, in the stream", 45),
    bind(A::Follow, &["f"], "follow", "Follows the newest, or stands still", 50),
    bind(A::WarningsOnly, &["!"], "warnings", "Medium and worse only", 0),
    bind(A::Copy, &["c"], "copy", "Copies the notification's id", 0),
];

/// Its definition.
pub const DEF: PaneDef = PaneDef {
    number: 7,
    name: "deliveries",
    title: ("Deliveries", "Deliv"),
    show: A::Screen7,
    bindings: BINDINGS,
    make: || Box::new(Deliveries::default()),
};

/// Its state.
#[derive(Default)]
pub struct Deliveries {
    pub(super) window: Window<DeliveryRow>,
    pub(super) all_dead: Vec<(u64, Arc<DeadLetter>)>,
    /// The dead letters that pass the filter.
    pub(super) dead: Vec<(u64, Arc<DeadLetter>)>,
    pub(super) dead_total: u64,
    pub(super) dead_cursor: Cursor,
    pub(super) show_dead: bool,
    pub(super) query: EventQuery,
    /// How many waiting messages pass, where not all do: of so many, and there may be more.
    waiting: Option<(u64, bool)>,
    /// How many waited when they were looked at.
    waited: u64,
    /// Dead letters are to be read again.
    stale: bool,
    /// The row on which a reader stood before other rows were asked for, until he moves.
    left: Option<(u64, Arc<DeliveryRow>)>,
}

impl Deliveries {
    fn page(&mut self, from: From, shared: &Shared) -> Effect {
        let ask = self.window.ask(from);
        Effect::Query(Query::Deliveries { query: Box::new(self.query.clone()), ask, now: shared.now })
    }

    /// Reads anew. A reader stays on his row where it still passes, and is there again when it passes again.
    fn restart(&mut self, shared: &mut Shared) -> Vec<Effect> {
        self.query.scope.clone_from(&shared.scope);
        self.query.range = shared.range;
        if let Some((seq, row)) = self.window.selected().filter(|_| !self.window.follow) {
            self.left = Some((seq, Arc::clone(row)));
        }
        let query = &self.query;
        let stand = self.left.as_ref().filter(|(_, row)| query.matches_delivery(row, shared.now));
        let from = self.window.restart(stand.map(|(seq, _)| *seq));
        shared.dirty = true;
        self.arrange_dead(shared);
        self.waiting = None;
        let mut effects = vec![self.page(from, shared), Effect::Query(Query::Dead)];
        effects.extend(self.count_waiting(shared));
        effects
    }

    /// Asks how many of what waits pass, where not all do.
    fn count_waiting(&mut self, shared: &Shared) -> Option<Effect> {
        self.waited = shared.waiting();
        (!self.query.is_all())
            .then(|| Effect::Query(Query::Waiting { query: Box::new(self.query.clone()), now: shared.now }))
    }

    fn arrange_dead(&mut self, shared: &Shared) {
        let selected = self.dead.get(self.dead_cursor.at).map(|(seq, _)| *seq);
        let query = &self.query;
        let passes = |d: &DeadLetter| query.matches_delivery(&deliveries_view::as_row(d), shared.now);
        self.dead = self.all_dead.iter().filter(|(_, d)| passes(d)).cloned().collect();
        let place = selected.and_then(|seq| self.dead.iter().position(|(s, _)| *s == seq));
        self.dead_cursor.follow(place, self.dead.len());
    }

    fn retry(&self, shared: &mut Shared) -> Vec<Effect> {
        if let Some((seq, letter)) = self.dead.get(self.dead_cursor.at).filter(|_| self.show_dead) {
            let name = &letter.row.notification.connector;
            let about = About::Dead(format!("retry for {name}"));
            let ask = Effect::Act { action: Ask::RetryDead { connector: None, seqs: vec![*seq] }, about };
            let Some(waits) = waits(&[name], shared) else { return vec![ask] };
            let text = format!("This dead letter goes back into the queue. {waits}");
            return vec![Effect::Show(Box::new(Confirm::new("Retry?", text, "y", "put it back", vec![ask])))];
        }
        if self.show_dead || self.dead_total == 0 {
            shared.say(Level::Good, "there are no dead letters");
            return Vec::new();
        }
        let about = About::Dead("retry of all dead letters".into());
        let ask = Effect::Act { action: Ask::RetryDead { connector: None, seqs: Vec::new() }, about };
        let mut names: Vec<&String> =
            self.all_dead.iter().map(|(_, d)| &d.row.notification.connector).collect();
        names.sort();
        names.dedup();
        let one = self.dead_total == 1;
        let (go, them) = if one { ("goes", "it is") } else { ("go", "they are") };
        let then = waits(&names, shared).unwrap_or_else(|| format!("{} sent at once.", capital(them)));
        let all = if self.query.is_all() || one { "" } else { ", those that are not shown too," };
        let text =
            format!("{}{all} {go} back into the queue. {then}", text::count(self.dead_total, "dead letter"));
        vec![Effect::Show(Box::new(Confirm::new("Retry all?", text, "y", "retry all", vec![ask])))]
    }

    fn purge(&self, shared: &mut Shared) -> Vec<Effect> {
        if self.dead.is_empty() {
            shared.say(Level::Good, "there are no dead letters to purge");
            return Vec::new();
        }
        // By number: one that dies while the question stands was not asked about.
        let seqs = self.dead.iter().map(|(s, _)| *s).collect();
        let count = self.dead.len() as u64;
        let about = About::Dead("purge".into());
        let ask = Effect::Act { action: Ask::PurgeDead { connector: None, seqs }, about };
        let text = format!(
            "{} {} thrown away for good. Nobody will ever be told of {}. The log keeps a line of each.",
            text::count(count, "dead letter"),
            text::are(count),
            if count == 1 { "it" } else { "them" },
        );
        // Another key than the one that asked, so that a key held down destroys nothing.
        vec![Effect::Show(Box::new(Confirm::new("Purge?", text, "y", "purge", vec![ask])))]
    }

    fn open(&self, shared: &mut Shared) -> Vec<Effect> {
        let (title, lines) = if self.show_dead {
            let Some((seq, letter)) = self.dead.get(self.dead_cursor.at) else { return Vec::new() };
            (format!("dead letter {seq}"), deliveries_view::dead_page(letter, shared))
        } else {
            let Some((seq, row)) = self.window.selected() else {
                shared.say(Level::Bad, "nothing is selected");
                return Vec::new();
            };
            (format!("delivery {seq}"), deliveries_view::log_page(row, shared))
        };
        vec![Effect::Show(Box::new(Viewer::new(&title, lines)))]
    }

    fn selected(&self) -> Option<DeliveryRow> {
        if self.show_dead {
            return self.dead.get(self.dead_cursor.at).map(|(_, d)| deliveries_view::as_row(d));
        }
        self.window.selected().map(|(_, row)| (**row).clone())
    }

    /// What has grown older than what is shown leaves, but for what a reader looks at.
    fn let_go(&mut self, shared: &mut Shared) {
        let Some(since) = self.query.since(shared.now) else { return };
        shared.dirty |= self.window.let_go(|row| row.at >= since) > 0;
        let passes = |(_, letter): &(u64, Arc<DeadLetter>)| deliveries_view::as_row(letter).at >= since;
        shared.dirty |= self.dead_cursor.let_go(&mut self.dead, passes);
    }

    fn more(&mut self, shared: &Shared) -> Vec<Effect> {
        self.window.need().map(|from| self.page(from, shared)).into_iter().collect()
    }
}

fn capital(words: &str) -> String {
    let mut chars = words.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// What becomes of messages that are put back for these connectors, where not all of them send.
fn waits(names: &[&String], shared: &Shared) -> Option<String> {
    let connectors = shared.status.as_ref().map_or(&[][..], |s| s.connectors.as_slice());
    let words = |name: &&String| match connectors.iter().find(|c| c.name == **name) {
        Some(c) if c.state == "on" => None,
        Some(c) if matches!(c.state.as_str(), "off" | "paused") => {
            Some(format!("{name} is {}: what is for it waits until it is switched on (6).", c.state))
        }
        Some(c) => Some(format!("{name} is {}: what is for it waits. {}", c.state, c.why)),
        None => Some(format!("{name} is not configured any more: what is for it waits until it is again.")),
    };
    let told: Vec<String> = names.iter().filter_map(words).collect();
    (!told.is_empty()).then(|| told.join(" "))
}

impl Pane for Deliveries {
    fn badge(&self, shared: &Shared) -> String {
        let dead = shared.dead();
        if dead > 0 { format!("({dead}!)") } else { String::new() }
    }

    fn reload(&mut self, shared: &mut Shared) -> Vec<Effect> {
        self.restart(shared)
    }

    fn act(&mut self, action: A, shared: &mut Shared) -> Vec<Effect> {
        if self.show_dead && self.dead_cursor.act(action, self.dead.len()) {
            return Vec::new();
        }
        if !self.show_dead && self.window.act(action) {
            self.left = None;
            return self.more(shared);
        }
        match action {
            A::Top => {
                self.left = None;
                self.window.go_newest().map(|from| self.page(from, shared)).into_iter().collect()
            }
            A::Bottom => {
                self.left = None;
                self.window.go_oldest().map(|from| self.page(from, shared)).into_iter().collect()
            }
            A::Follow => {
                if self.window.follow {
                    self.window.follow = false;
                    Vec::new()
                } else {
                    self.act(A::Top, shared)
                }
            }
            A::NextPart | A::PreviousPart => {
                self.show_dead = !self.show_dead;
                if self.show_dead { vec![Effect::Query(Query::Dead)] } else { Vec::new() }
            }
            A::WarningsOnly => {
                self.query.warnings = !self.query.warnings;
                self.restart(shared)
            }
            A::Retry => self.retry(shared),
            A::Purge => self.purge(shared),
            A::Open => self.open(shared),
            A::Copy => {
                self.selected().map(|row| Effect::Copy(row.notification.to_string())).into_iter().collect()
            }
            A::Owner => {
                let id = self.selected().and_then(|row| row.incident);
                if id.is_none() {
                    shared.say(Level::Bad, "this message is about no incident");
                }
                let go = |id| Effect::Go { screen: "stream", filter: Some(format!("incident:{id}")) };
                id.map(go).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn feed(&mut self, item: &Feed, shared: &mut Shared) -> Vec<Effect> {
        if let Feed::Delivery { seq, delivery } = item {
            self.stale |= delivery.state == DeliveryState::Dead;
            if self.query.matches_delivery(delivery, shared.now) && self.window.push(*seq, delivery) {
                shared.dirty = true;
            }
        }
        // Others retry and purge too.
        if let Feed::Status { status } = item {
            let dead: u64 = status.connectors.iter().map(|c| c.dead).sum();
            self.stale |= !status.connectors.is_empty() && dead != self.dead_total;
        }
        Vec::new()
    }

    fn tick(&mut self, _: &mut Shared) -> Vec<Effect> {
        if std::mem::take(&mut self.stale) { vec![Effect::Query(Query::Dead)] } else { Vec::new() }
    }

    fn answer(&mut self, answer: &mut Answer, shared: &mut Shared) -> Vec<Effect> {
        match answer {
            Answer::Deliveries(page) => {
                let query = &self.query;
                if !self.window.take(page.take(), |row| query.matches_delivery(row, shared.now)) {
                    return Vec::new();
                }
                shared.dirty = true;
                self.more(shared)
            }
            Answer::Waiting { query, found, more } => {
                // One that was asked for another filter says nothing of this one.
                if **query == self.query {
                    shared.dirty |= self.waiting != Some((*found, *more));
                    self.waiting = Some((*found, *more));
                }
                Vec::new()
            }
            Answer::Dead { rows, total } => {
                let same = self.dead_total == *total
                    && self.all_dead.iter().map(|(seq, _)| seq).eq(rows.iter().map(|(seq, _)| seq));
                self.all_dead = std::mem::take(rows);
                self.dead_total = *total;
                shared.totals.dead = *total;
                self.arrange_dead(shared);
                shared.dirty |= !same;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn failed(&mut self, query: &Query, shared: &mut Shared) {
        if let Query::Deliveries { ask, .. } = query {
            shared.dirty |= self.window.failed(*ask);
        }
    }

    fn enter(&mut self) {
        self.show_dead = false;
    }

    fn leave(&mut self) {
        self.window.stay();
    }

    /// What waits changes with every message that comes or goes.
    fn refresh(&mut self, shared: &mut Shared) -> Vec<Effect> {
        self.let_go(shared);
        if shared.waiting() == self.waited {
            return Vec::new();
        }
        self.count_waiting(shared).into_iter().collect()
    }

    fn steps_to(&self, line: u16) -> Option<i32> {
        if self.show_dead {
            self.dead_cursor.steps_to(line, self.dead.len())
        } else {
            self.window.steps_to(line)
        }
    }

    fn has_row(&self) -> bool {
        if self.show_dead { !self.dead.is_empty() } else { !self.window.rows().is_empty() }
    }

    fn keep(&self) -> PaneState {
        PaneState {
            filter: self.query.filter.source().to_owned(),
            warnings: self.query.warnings,
            ..PaneState::default()
        }
    }

    fn take_up(&mut self, state: &PaneState) {
        self.query.warnings = state.warnings;
    }

    fn filter(&self) -> Option<&Filter> {
        Some(&self.query.filter)
    }

    fn set_filter(&mut self, filter: Filter, shared: &mut Shared) -> Vec<Effect> {
        self.query.filter = filter;
        self.restart(shared)
    }

    fn count(&self, shared: &Shared) -> String {
        let (shown, total) = (self.dead.len() as u64, self.dead_total);
        // What is left out by scope and filter is counted, so that nobody takes it for all.
        let dead = if shown == total {
            text::number(total)
        } else {
            format!("{} of {}", text::number(shown), text::number(total))
        };
        let total = shared.waiting();
        let all = text::number(total);
        let waiting = match self.waiting {
            _ if self.query.is_all() || total == 0 => all,
            Some((found, more)) => {
                format!("{}{} of {all}", text::number(found.min(total)), if more { "+" } else { "" })
            }
            None => format!("… of {all}"),
        };
        format!("{dead} dead · {waiting} waiting")
    }

    fn view(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        deliveries_view::view(self, frame, area, shared);
    }
}
