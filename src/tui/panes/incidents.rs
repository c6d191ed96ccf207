//! Incidents: what is broken now, the worst first; below it what ended; beside it why, suspects, and who was told.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ratatui::{Frame, layout::Rect};

use super::{
    Pane, PaneDef, PaneState,
    incident_news::News,
    incident_order::{Order, Ways},
    incidents_view,
    told::told_state,
};
use crate::{
    event::{IncidentId, filter::Filter, incident::Incident},
    feed::Feed,
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

/// Its state.
#[derive(Default)]
pub struct Incidents {
    pub(super) all: HashMap<IncidentId, Arc<Incident>>,
    pub(super) beside: HashMap<IncidentId, Beside>,
    /// What is shown, in order: what is broken, then what ended.
    pub(super) rows: Vec<Arc<Incident>>,
    /// Of how many of `rows` something is broken.
    pub(super) open: usize,
    /// How many more such are outside the scope.
    pub(super) elsewhere: usize,
    pub(super) cursor: Cursor,
    pub(super) selected: Option<IncidentId>,
    /// Somebody has moved, or an earlier session did: else, and at the top again, the cursor stands on the first row,
    /// whatever comes.
    pub(super) moved: bool,
    /// The selection is that of an earlier session, and nobody has touched a key since.
    restored: bool,
    /// How far each open one was on its way back when they were last arranged.
    pub(super) ways: Ways,
    pub(super) detail: Option<IncidentDetail>,
    pub(super) query: EventQuery,
    pub(super) order: Order,
    pub(super) reverse: bool,
    /// There are more ended ones than are kept.
    pub(super) more: bool,
    /// Whose marks are to be read again.
    pub(super) stale_told: Vec<IncidentId>,
    pub(super) stale_detail: bool,
    pub(super) looked: Looked,
    /// What the feed told while questions are under way.
    pub(super) news: News,
    /// Too old for what is shown, but somebody looks at them: until he moves.
    pub(super) held: HashSet<IncidentId>,
}

impl Incidents {
    /// A dashboard that starts shows what is broken from the top: a selection of an earlier session stands as long as it
    /// is open and takes nothing that is worse out of sight.
    fn begin_at_the_top(&mut self, shared: &mut Shared) {
        let sure = incidents_view::surely_shown(shared.size).min(self.open);
        if self.restored && self.rows.iter().take(sure).all(|i| Some(&i.id) != self.selected.as_ref()) {
            (self.restored, self.moved) = (false, false);
            self.arrange(shared);
        }
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
        self.restored = false;
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
                let detail = self.shown_detail(shared);
                let lines = super::incident_detail::page(&incident, detail.as_deref(), shared);
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
                self.begin_at_the_top(shared);
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
        self.begin_at_the_top(shared);
        let mut effects = self.follow_cursor();
        let mut stale = std::mem::take(&mut self.stale_told);
        // What is told for itself now may be what these left behind.
        let left = self.rows.iter().filter(|i| self.left(i).is_some() && !stale.contains(&i.id));
        let left: Vec<_> = left.map(|i| i.id.clone()).collect();
        stale.extend(left);
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
        let broken = self.rows.iter().take(self.open).enumerate();
        // Of what is over nothing else says that what it left behind is over, too.
        let looked_at = broken.filter(|(place, i)| near.contains(place) || self.left(i).is_some());
        let ids: Vec<IncidentId> = looked_at.map(|(_, i)| i.id.clone()).collect();
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
        self.restored = self.moved;
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
