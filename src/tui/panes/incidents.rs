//! Incidents: what is broken now, the worst first; below it what ended; beside it why, suspects, and who was told.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use ratatui::{Frame, layout::Rect};

use super::{
    Pane, PaneDef, PaneState,
    incident_news::{self, News},
    incident_order::{Order, Way, Ways},
    incidents_view,
    told::told_state,
};
use crate::{
    event::{
        IncidentId,
        filter::Filter,
        incident::{Incident, IncidentStatus},
    },
    feed::Feed,
    store::pages::Recovery,
    tui::{
        action::Action as A,
        effect::{Effect, Query},
        keymap::{Binding, bind},
        model::{Level, Looked, Shared},
        msg::{Answer, Beside, IncidentDetail, ToldMark},
        overlays,
        query::EventQuery,
        widgets::cursor::Cursor,
    },
};

const BINDINGS: &[Binding] = &[
    bind(A::Open, &["enter"], "events", "The incident's events, in the stream", 10),
    bind(A::Copy, &["c"], "copy", "Copies a command that looks at it (or its id)", 20),
    bind(A::Describe, &["d"], "describe", "Everything that is known about it, as a page", 30),
    bind(
        A::Manifest,
        &["y"],
        "manifest",
        "The subject's manifest, fetched now, values of ConfigMaps and Secrets masked",
        40,
    ),
    bind(A::WarningsOnly, &["!"], "warnings", "Medium and worse only", 60),
    bind(A::Sort, &["o"], "sort", "Sorts by severity, by time, by subject", 50),
    bind(A::ReverseSort, &["O"], "reverse", "Reverses the order", 0),
    bind(A::NextPart, &["tab"], "ended", "From what is open to what ended, and back", 0),
];

/// Its definition.
pub const DEF: PaneDef = PaneDef {
    number: 1,
    name: "incidents",
    title: ("Incidents", "Incid"),
    show: A::Screen1,
    bindings: BINDINGS,
    make: || Box::new(Incidents::default()),
};

/// How long ended incidents are shown, where no time range says otherwise.
const ENDED_FOR: SignedDuration = SignedDuration::from_hours(24);
/// Ended incidents that are kept in memory.
const ENDED_KEPT: usize = 500;

/// Its state.
#[derive(Default)]
pub struct Incidents {
    all: HashMap<IncidentId, Arc<Incident>>,
    pub(super) beside: HashMap<IncidentId, Beside>,
    /// What is shown, in order: open ones, then ended ones.
    pub(super) rows: Vec<Arc<Incident>>,
    /// How many of `rows` are open.
    pub(super) open: usize,
    /// How many open ones are outside the scope.
    pub(super) elsewhere: usize,
    pub(super) cursor: Cursor,
    selected: Option<IncidentId>,
    /// Somebody has moved, or an earlier session did: else, and at the top again, the cursor stands on the first row,
    /// whatever comes.
    moved: bool,
    /// How far each open one was on its way back when they were last arranged.
    ways: Ways,
    pub(super) detail: Option<IncidentDetail>,
    query: EventQuery,
    pub(super) order: Order,
    pub(super) reverse: bool,
    /// There are more ended ones than are kept.
    more: bool,
    /// Whose marks are to be read again.
    stale_told: Vec<IncidentId>,
    stale_detail: bool,
    looked: Looked,
    /// What the feed told while questions are under way.
    news: News,
    /// Too old for what is shown, but somebody looks at them: until he moves.
    held: HashSet<IncidentId>,
}

impl Incidents {
    fn ended_since(shared: &Shared) -> Timestamp {
        let range = shared.range.unwrap_or(ENDED_FOR);
        shared.now.checked_sub(range).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// None of its troubles is there at this moment.
    pub(super) fn recovery(&self, incident: &Incident) -> Option<Recovery> {
        let recovery = self.beside.get(&incident.id).and_then(|b| b.recovery);
        recovery.filter(|_| incident.status == IncidentStatus::Open)
    }

    /// It has been well for a while, though not yet long enough to be over; as the list is arranged.
    pub(super) fn is_recovering(&self, incident: &Incident) -> bool {
        self.recovery(incident).is_some() && self.ways.of(&incident.id) == Way::Recovering
    }

    /// How far an open incident is on its way back now.
    fn way(&self, incident: &Incident, shared: &Shared) -> Way {
        self.ways.now(&incident.id, self.recovery(incident).as_ref(), shared.known_to())
    }

    /// Takes note of how the open ones are.
    fn note(&mut self, shared: &Shared) {
        for incident in self.all.values().filter(|i| i.status == IncidentStatus::Open) {
            let recovery = self.beside.get(&incident.id).and_then(|b| b.recovery.as_ref());
            self.ways.note(&incident.id, recovery, shared.known_to());
        }
    }

    fn is_in_scope(&self, incident: &Incident) -> bool {
        let namespaces = self.beside.get(&incident.id).map(|b| &b.namespaces);
        self.query.holds_incident(incident, namespaces)
    }

    /// Open ones of the scope that the filter leaves out.
    pub(super) fn hidden(&self, shared: &Shared) -> usize {
        shared.open_incidents.saturating_sub(self.open + self.elsewhere)
    }

    /// Some of them are further on their way back, or less far, than when the list was arranged.
    fn rearrange(&mut self, shared: &mut Shared) -> Vec<Effect> {
        self.note(shared);
        let mut open = self.rows.iter().take(self.open);
        if open.all(|i| self.ways.of(&i.id) == self.way(i, shared)) {
            return Vec::new();
        }
        self.arrange(shared);
        self.follow_cursor()
    }

    /// Sorts and filters anew; the cursor stays on its incident, and what is broken stays in sight.
    fn arrange(&mut self, shared: &mut Shared) {
        self.query.scope.clone_from(&shared.scope);
        let since = Self::ended_since(shared);
        let shown = |i: &&Arc<Incident>| {
            self.held.contains(&i.id)
                || i.resolved_at.is_none_or(|at| i.status == IncidentStatus::Open || at >= since)
                    && self.is_in_scope(i)
                    && self.query.matches_incident(i, shared.now)
        };
        let mut rows: Vec<_> = self.all.values().filter(shown).cloned().collect();
        self.note(shared);
        let open = self.all.values().filter(|i| i.status == IncidentStatus::Open);
        let ways = open.map(|i| (i.id.clone(), self.way(i, shared))).collect();
        self.ways.arranged(ways);
        rows.sort_by(|a, b| self.ways.compare(a, b, (self.order, self.reverse)));
        self.open = rows.iter().filter(|i| i.status == IncidentStatus::Open).count();
        self.rows = rows;
        let place = self.selected.as_ref().and_then(|id| self.rows.iter().position(|i| i.id == *id));
        let place = if self.moved { place } else { Some(0) };
        self.cursor.follow_down(place, self.rows.len());
        shared.open_incidents = self.all.values().filter(|i| i.status == IncidentStatus::Open).count();
        let open = self.all.values().filter(|i| i.status == IncidentStatus::Open);
        self.elsewhere = open.filter(|i| !self.is_in_scope(i)).count();
        shared.quiet_since = self.all.values().filter_map(|i| i.resolved_at).max();
        shared.dirty = true;
    }

    /// What has grown too old for what is shown leaves, but for what a reader looks at.
    fn let_go(&mut self, shared: &mut Shared) -> Vec<Effect> {
        let since = Self::ended_since(shared);
        let aged = |i: &Arc<Incident>| {
            let ended = i.status != IncidentStatus::Open && i.resolved_at.is_some_and(|at| at < since);
            ended
                || self.query.filter.since(shared.now).is_some_and(|since| i.last_at.max(i.opened_at) < since)
        };
        if !self.rows.iter().any(|i| aged(i) && !self.held.contains(&i.id)) {
            return Vec::new();
        }
        let near = self.cursor.top..=self.cursor.at;
        let looked_at = self.rows.iter().enumerate().filter(|(place, i)| near.contains(place) && aged(i));
        self.held = looked_at.filter(|_| self.moved).map(|(_, i)| i.id.clone()).collect();
        self.cursor.ragged = self.moved;
        self.arrange(shared);
        self.follow_cursor()
    }

    pub(super) fn current(&self) -> Option<&Arc<Incident>> {
        self.rows.get(self.cursor.at)
    }

    /// The detail belongs to the selected incident, or is asked for.
    fn follow_cursor(&mut self) -> Vec<Effect> {
        let id = self.current().map(|i| i.id.clone());
        let known = self.detail.as_ref().is_some_and(|d| Some(&d.id) == id.as_ref());
        self.selected.clone_from(&id);
        match id {
            Some(id) if !known => vec![self.ask_detail(id)],
            _ => Vec::new(),
        }
    }

    fn ask_detail(&mut self, id: IncidentId) -> Effect {
        Effect::Query(Query::Incident { id, question: self.news.ask() })
    }

    fn ask_told(&mut self, ids: Vec<IncidentId>) -> Effect {
        Effect::Query(Query::Told { ids, question: self.news.ask() })
    }

    fn take(&mut self, incident: &Arc<Incident>) {
        self.news.tell(incident);
        if self.detail.as_ref().is_some_and(|d| d.id == incident.id) {
            self.stale_detail = true;
        }
        if !self.stale_told.contains(&incident.id) {
            self.stale_told.push(incident.id.clone());
        }
        self.all.insert(incident.id.clone(), Arc::clone(incident));
        if self.all.len() > ENDED_KEPT * 4 {
            self.forget_old();
        }
    }

    fn forget_old(&mut self) {
        let mut ended: Vec<_> =
            self.all.values().filter_map(|i| Some((i.resolved_at?, i.id.clone()))).collect();
        ended.sort();
        ended.truncate(ended.len().saturating_sub(ENDED_KEPT));
        for (_, id) in ended {
            self.all.remove(&id);
            self.beside.remove(&id);
            self.more = true;
        }
    }

    fn mark(&mut self, id: &IncidentId, mark: &ToldMark) {
        self.news.mark(id, mark);
        incident_news::put(&mut self.beside.entry(id.clone()).or_default().told, mark);
        if let Some(detail) = self.detail.as_mut().filter(|d| d.id == *id) {
            incident_news::put(&mut detail.told, mark);
        }
    }

    /// The command that `c` copies: the first one that looks, else the id.
    fn command(&self, shared: &Shared) -> Option<String> {
        let incident = self.current()?;
        let detail = self.detail.as_ref().filter(|d| d.id == incident.id);
        Some(super::incident_next::copied(incident, detail, shared))
    }
}

impl Pane for Incidents {
    fn badge(&self, shared: &Shared) -> String {
        if shared.open_incidents == 0 { String::new() } else { format!("({})", shared.open_incidents) }
    }

    fn reload(&mut self, shared: &mut Shared) -> Vec<Effect> {
        self.held.clear();
        self.arrange(shared);
        let (ended_since, question) = (Self::ended_since(shared), self.news.ask());
        vec![Effect::Query(Query::Incidents { ended_since, question })]
    }

    fn act(&mut self, action: A, shared: &mut Shared) -> Vec<Effect> {
        self.moved = action != A::Top;
        self.held.clear();
        if self.cursor.act(action, self.rows.len()) {
            return self.follow_cursor();
        }
        let Some(incident) = self.current().cloned() else {
            match action {
                A::WarningsOnly => self.query.warnings = !self.query.warnings,
                A::Open | A::Copy | A::Describe | A::Manifest => {
                    shared.say(Level::Bad, "no incident is selected");
                }
                _ => {}
            }
            self.arrange(shared);
            return self.follow_cursor();
        };
        match action {
            A::Open => {
                shared.name_incident(&incident);
                return vec![Effect::Go {
                    screen: "stream",
                    filter: Some(format!("incident:{}", incident.id)),
                }];
            }
            A::Copy => return self.command(shared).map(Effect::Copy).into_iter().collect(),
            A::Describe => {
                let detail = self.detail.as_ref().filter(|d| d.id == incident.id);
                let lines = super::incident_detail::page(&incident, detail, shared);
                let title = overlays::viewer::title(&incident.cluster, &incident.subject, shared);
                return vec![Effect::Show(Box::new(overlays::viewer::Viewer::new(&title, lines)))];
            }
            A::Manifest => return overlays::viewer::manifest(&incident.cluster, &incident.subject, shared),
            A::WarningsOnly => self.query.warnings = !self.query.warnings,
            A::Sort => {
                self.order = match self.order {
                    Order::Worst => Order::Newest,
                    Order::Newest => Order::Subject,
                    Order::Subject => Order::Worst,
                };
            }
            A::ReverseSort => self.reverse = !self.reverse,
            A::NextPart | A::PreviousPart => {
                self.cursor.at =
                    if self.cursor.at < self.open && self.open < self.rows.len() { self.open } else { 0 };
                return self.follow_cursor();
            }
            _ => return Vec::new(),
        }
        self.arrange(shared);
        self.follow_cursor()
    }

    fn feed(&mut self, item: &Feed, shared: &mut Shared) -> Vec<Effect> {
        match item {
            Feed::Incident { incident } => {
                self.take(incident);
                shared.dirty = true;
            }
            Feed::Delivery { delivery, .. } => {
                if let Some(id) = &delivery.incident {
                    let mark = ToldMark {
                        connector: delivery.connector.clone(),
                        phase: delivery.phase,
                        state: told_state(delivery.state),
                        at: delivery.at,
                        next_at: delivery.next_at,
                        detail: delivery.detail.clone(),
                    };
                    self.mark(id, &mark);
                    shared.dirty = true;
                }
            }
            _ => {}
        }
        Vec::new()
    }

    fn answer(&mut self, answer: &mut Answer, shared: &mut Shared) -> Vec<Effect> {
        match answer {
            Answer::Incidents { question, rows, beside, more } => {
                self.news.answered(*question);
                self.all = std::mem::take(rows).into_iter().map(|i| (i.id.clone(), i)).collect();
                self.all.extend(self.news.incidents().map(|i| (i.id.clone(), Arc::clone(i))));
                self.beside = std::mem::take(beside).into_iter().collect();
                self.news.over_all(&mut self.beside);
                self.news.taken(*question);
                self.more = *more;
                shared.incidents_read = true;
                self.arrange(shared);
                self.follow_cursor()
            }
            Answer::Told { question, beside } => {
                self.news.answered(*question);
                let mut moved = false;
                for (id, mut beside) in std::mem::take(beside) {
                    self.news.over(&id, &mut beside.told);
                    shared.dirty |= self.beside.get(&id) != Some(&beside);
                    let old = self.beside.insert(id, beside.clone());
                    moved |= old.is_none_or(|old| old.namespaces != beside.namespaces);
                }
                self.news.taken(*question);
                if moved && !self.query.scope.is_all() {
                    self.arrange(shared);
                    return self.follow_cursor();
                }
                self.rearrange(shared)
            }
            Answer::Incident { question, detail } => {
                self.news.answered(*question);
                let mut detail = detail.take().map(|d| *d);
                if let Some(detail) = &mut detail {
                    self.news.over_detail(detail);
                }
                self.news.taken(*question);
                shared.dirty |= self.detail != detail;
                self.detail = detail;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// After each batch of the feed: one arrangement and at most two questions, however much came.
    fn tick(&mut self, shared: &mut Shared) -> Vec<Effect> {
        if self.stale_told.is_empty() {
            return Vec::new();
        }
        self.arrange(shared);
        let mut effects = self.follow_cursor();
        let stale = std::mem::take(&mut self.stale_told);
        effects.push(self.ask_told(stale));
        if std::mem::take(&mut self.stale_detail) {
            effects.extend(self.selected.clone().map(|id| self.ask_detail(id)));
        }
        effects
    }

    /// What heals, restarts or becomes ready changes no incident until it ends: what stands there is read again.
    fn refresh(&mut self, shared: &mut Shared) -> Vec<Effect> {
        let mut effects = self.let_go(shared);
        effects.extend(self.rearrange(shared));
        if !self.looked.is_due(shared) {
            return effects;
        }
        let near = self.cursor.top..self.cursor.top + self.cursor.height.max(1);
        let open = self.rows.iter().take(self.open).enumerate().filter(|(i, _)| near.contains(i));
        let ids: Vec<IncidentId> = open.map(|(_, i)| i.id.clone()).collect();
        if !ids.is_empty() {
            effects.push(self.ask_told(ids));
        }
        effects.extend(self.selected.clone().map(|id| self.ask_detail(id)));
        effects
    }

    fn steps_to(&self, line: u16) -> Option<i32> {
        // The heading of what ended stands between the two parts, or above the only one.
        let divider = self.cursor.line + self.open.saturating_sub(self.cursor.top) as u16;
        let divided = self.open < self.rows.len() && self.open >= self.cursor.top && line >= divider;
        if divided && line == divider {
            return None;
        }
        self.cursor.steps_to(line - u16::from(divided), self.rows.len())
    }

    fn has_row(&self) -> bool {
        !self.rows.is_empty()
    }

    fn keep(&self) -> PaneState {
        PaneState {
            filter: self.query.filter.source().to_owned(),
            warnings: self.query.warnings,
            order: self.order as u8,
            reverse: self.reverse,
            selected: self.selected.as_ref().map(ToString::to_string).unwrap_or_default(),
            ..PaneState::default()
        }
    }

    fn take_up(&mut self, state: &PaneState) {
        self.query.warnings = state.warnings;
        self.order = match state.order {
            1 => Order::Newest,
            2 => Order::Subject,
            _ => Order::Worst,
        };
        self.reverse = state.reverse;
        self.selected = (!state.selected.is_empty()).then(|| IncidentId(state.selected.clone()));
        self.moved = self.selected.is_some();
    }

    fn filter(&self) -> Option<&Filter> {
        Some(&self.query.filter)
    }

    fn set_filter(&mut self, filter: Filter, shared: &mut Shared) -> Vec<Effect> {
        self.query.filter = filter;
        self.held.clear();
        self.arrange(shared);
        self.follow_cursor()
    }

    fn count(&self, shared: &Shared) -> String {
        let ended = self.rows.len() - self.open;
        let more = if self.more { "+" } else { "" };
        let some = |n: usize, word: &str| if n > 0 { format!(" · {n} {word}") } else { String::new() };
        let hidden = format!("{}{}", some(self.elsewhere, "elsewhere"), some(self.hidden(shared), "hidden"));
        let warnings = if self.query.warnings { " · ! only" } else { "" };
        let order = format!(" · {}{}", self.order.word(), if self.reverse { ", reversed" } else { "" });
        format!("{} open · {ended}{more} ended{hidden}{warnings}{order}", self.open)
    }

    fn view(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        incidents_view::view(self, frame, area, shared);
    }
}
