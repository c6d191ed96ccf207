//! The stream: everything that happens, the newest first, live; still when somebody reads.

use std::sync::Arc;

use jiff::Timestamp;
use ratatui::{Frame, layout::Rect};

use super::{Pane, PaneDef, PaneState, event_detail, sorted::Sorted, stream_view};
use crate::{
    event::{Event, filter::Filter},
    feed::Feed,
    tui::{
        action::Action as A,
        effect::{Effect, From, Query, Wanted},
        keymap::{Binding, bind},
        model::{Level, Looked, Shared},
        msg::{Answer, EventDetail},
        overlays::viewer,
        query::{EventQuery, is_warning},
        text,
        widgets::{strip::Strip, window::Window},
    },
};

const BINDINGS: &[Binding] = &[
    bind(A::Open, &["enter"], "detail", "Shows and hides the detail beside or under the list", 10),
    bind(A::Follow, &["f"], "follow", "Follows the newest, or stands still", 20),
    bind(A::Describe, &["d"], "describe", "Everything that the event holds, as a page", 30),
    bind(
        A::Manifest,
        &["y"],
        "manifest",
        "The object's manifest, fetched now, values of ConfigMaps and Secrets masked",
        40,
    ),
    bind(A::Owner, &["J"], "owner", "The events of what owns the object", 45),
    bind(A::WarningsOnly, &["!"], "warnings", "Medium and worse only", 50),
    bind(A::NextWarning, &["w"], "next !", "The next (older) warning", 55),
    bind(A::PreviousWarning, &["W"], "previous !", "The previous (newer) warning", 0),
    bind(A::NextMatch, &["n"], "next match", "The next (older) event that the last filter passes", 0),
    bind(A::PreviousMatch, &["N"], "previous match", "The previous (newer) one", 0),
    bind(A::Copy, &["c"], "copy", "Copies a command that looks at the object", 60),
    bind(A::NextPart, &["tab"], "list/detail", "Between the list and the detail, to scroll it", 0),
    bind(
        A::Sort,
        &["o"],
        "sort",
        "Sorts what is in memory: as last seen, as it first happened, by severity, by count",
        0,
    ),
    bind(A::ReverseSort, &["O"], "reverse", "Reverses the order", 0),
    bind(A::Columns, &["C"], "columns", "Shows and hides the columns #, namespace, source", 0),
];

/// Events per second from which on a following cursor is not given its detail.
const STORM: f64 = 20.0;

/// Its definition.
pub const DEF: PaneDef = PaneDef {
    number: 2,
    name: "stream",
    title: ("Stream", "Stream"),
    show: A::Screen2,
    bindings: BINDINGS,
    make: || Box::new(Stream::new()),
};

/// Its state.
pub struct Stream {
    pub(super) window: Window<Event>,
    pub(super) query: EventQuery,
    pub(super) detail: Option<EventDetail>,
    /// The detail is shown.
    pub(super) open: bool,
    /// Keys scroll the detail.
    pub(super) in_detail: bool,
    /// First line of the detail that is shown.
    pub(super) scroll: usize,
    /// Events that pass, of those looked at, and whether that was all.
    pub(super) found: Option<(u64, u64, bool)>,
    pub(super) strip: Strip,
    /// Which columns: 0 by width, 1 the namespace turned round, 2 neither source nor namespace nor count.
    pub(super) columns: u8,
    /// The last filter, for `n` and `N`.
    last_filter: Option<Filter>,
    /// A page was left early: the search goes on.
    pub(super) searching: bool,
    /// Another order than that of arrival: then the list stands still.
    pub(super) sorted: Option<Sorted>,
    looked: Looked,
    /// The row on which a reader stood before only warnings were shown, until he moves.
    pub(super) left: Option<u64>,
    /// How many rows were looked for in the store so far, and which of these jumps is under way.
    pub(super) jumps: (u64, Option<u64>),
    /// When it was asked how many pass.
    pub(super) counted_at: Timestamp,
}

impl Stream {
    fn new() -> Self {
        Self {
            window: Window::default(),
            query: EventQuery::default(),
            detail: None,
            open: true,
            in_detail: false,
            scroll: 0,
            found: None,
            strip: Strip::default(),
            columns: 0,
            last_filter: None,
            searching: false,
            sorted: None,
            looked: Looked::default(),
            left: None,
            jumps: (0, None),
            counted_at: Timestamp::UNIX_EPOCH,
        }
    }

    pub(super) fn page(&mut self, from: From, shared: &Shared) -> Effect {
        let ask = self.window.ask(from);
        Effect::Query(Query::Events { query: Box::new(self.query.clone()), ask, now: shared.now })
    }

    /// From the newest on, or around a reader's row, with everything that depends on what is shown.
    pub(super) fn restart(&mut self, stand: Option<u64>, shared: &mut Shared) -> Vec<Effect> {
        self.query.scope.clone_from(&shared.scope);
        self.query.range = shared.range;
        self.query.folded = shared.folded();
        self.sorted = None;
        self.found = None;
        self.jumps.1 = None;
        let from = self.window.restart(stand);
        let mut effects = vec![self.page(from, shared)];
        effects.extend(self.count_them(shared));
        shared.dirty = true;
        effects
    }

    fn more(&mut self, shared: &Shared) -> Vec<Effect> {
        self.window.need().map(|from| self.page(from, shared)).into_iter().collect()
    }

    /// The detail of the selected row is asked for, unless it is here.
    fn follow_cursor(&mut self) -> Vec<Effect> {
        let seq = self.selected().map(|(seq, _)| seq);
        let known = self.detail.as_ref().is_some_and(|d| Some(d.seq) == seq);
        if known || !self.open {
            return Vec::new();
        }
        self.scroll = 0;
        seq.map(|seq| Effect::Query(Query::Event(seq))).into_iter().collect()
    }

    pub(super) fn moved(&mut self, shared: &Shared) -> Vec<Effect> {
        let mut effects = self.more(shared);
        effects.extend(self.follow_cursor());
        effects
    }

    fn with_selected(&mut self, action: A, shared: &mut Shared) -> Vec<Effect> {
        let Some((_, event)) = self.selected() else {
            shared.say(Level::Bad, "no event is selected");
            return Vec::new();
        };
        let event = Arc::clone(event);
        match action {
            A::Describe => {
                let lines = event_detail::page(&event, self.detail.as_ref(), shared);
                let title = viewer::title(&event.cluster, &event.object, shared);
                vec![Effect::Show(Box::new(viewer::Viewer::new(&title, lines)))]
            }
            A::Manifest => viewer::manifest(&event.cluster, &event.object, shared),
            A::Copy => vec![Effect::Copy(shared.command(&event.cluster, &event_detail::command(&event)))],
            _ => {
                let filter = event_detail::owner_filter(&event);
                if filter.is_none() {
                    shared.say(Level::Bad, format!("{} has no owner", text::object(&event.object)));
                }
                filter.map(|f| Effect::Go { screen: "stream", filter: Some(f) }).into_iter().collect()
            }
        }
    }

    fn do_act(&mut self, action: A, shared: &mut Shared) -> Vec<Effect> {
        if self.in_detail && self.open && stream_view::scroll(self, action) {
            return Vec::new();
        }
        if let Some(sorted) = &mut self.sorted {
            if sorted.cursor.act(action, sorted.rows.len()) {
                return self.follow_cursor();
            }
        } else if self.window.act(action) {
            self.left = None;
            return self.moved(shared);
        }
        match action {
            A::Sort => {
                let (order, reverse) = self.order();
                self.sort(order.next(), reverse);
                self.follow_cursor()
            }
            A::ReverseSort => {
                let (order, reverse) = self.order();
                self.sort(order, !reverse);
                self.follow_cursor()
            }
            A::Follow if self.sorted.is_some() => {
                self.sorted = None;
                self.act(A::Top, shared)
            }
            A::Top => match self.window.go_newest() {
                Some(from) => vec![self.page(from, shared)],
                None => self.follow_cursor(),
            },
            A::Bottom => match self.window.go_oldest() {
                Some(from) => vec![self.page(from, shared)],
                None => self.moved(shared),
            },
            A::Follow if self.window.follow => {
                self.window.follow = false;
                Vec::new()
            }
            A::Follow => self.act(A::Top, shared),
            A::Open => {
                self.open = !self.open;
                self.in_detail = false;
                self.follow_cursor()
            }
            A::NextPart | A::PreviousPart => {
                self.in_detail = !self.in_detail;
                self.open = true;
                self.follow_cursor()
            }
            A::WarningsOnly => self.warnings_only(shared),
            A::Columns => {
                self.columns = (self.columns + 1) % 3;
                Vec::new()
            }
            A::NextWarning => self.find(true, Wanted::Warning, shared),
            A::PreviousWarning => self.find(false, Wanted::Warning, shared),
            A::NextMatch | A::PreviousMatch => {
                let Some(filter) = self.last_filter.clone() else {
                    shared.say(Level::Bad, "no filter yet: / sets one");
                    return Vec::new();
                };
                self.find(action == A::NextMatch, Wanted::Filter(filter), shared)
            }
            A::Describe | A::Manifest | A::Copy | A::Owner => self.with_selected(action, shared),
            _ => Vec::new(),
        }
    }

    fn take(&mut self, seq: u64, event: &Arc<Event>, shared: &mut Shared) {
        if is_warning(event) && shared.scope.holds(&event.cluster, &event.object.namespace) {
            self.strip.add(seq, event, shared.now);
        }
        if !self.query.matches(event, shared.now) {
            return;
        }
        let new = self.window.is_new(seq);
        if self.window.push(seq, event) {
            shared.dirty = true;
        }
        if let Some((found, looked, _)) = self.found.as_mut().filter(|_| new) {
            *found += 1;
            *looked += 1;
        }
        if let Some(detail) = self.detail.as_mut().filter(|d| d.seq == seq) {
            detail.event = Arc::clone(event);
        }
    }
}

impl Pane for Stream {
    fn reload(&mut self, shared: &mut Shared) -> Vec<Effect> {
        let strip = Effect::Query(Query::Strip {
            scope: shared.scope.clone(),
            folded: shared.folded(),
            now: shared.now,
        });
        let still =
            (!self.window.follow && self.query.scope == shared.scope && self.query.range == shared.range)
                .then(|| self.window.selected().map(|(seq, _)| seq))
                .flatten();
        let mut effects = match still {
            // A refresh leaves a reader where he is.
            Some(seq) => vec![self.page(From::Around(seq), shared)],
            None => self.restart(None, shared),
        };
        effects.push(strip);
        effects
    }

    fn act(&mut self, action: A, shared: &mut Shared) -> Vec<Effect> {
        let place = |pane: &Self| (pane.selected().map(|(seq, _)| seq), pane.window.follow);
        let (before, jump) = (place(self), self.jumps.1);
        let effects = self.do_act(action, shared);
        // Who has gone elsewhere himself is not taken away from there by the answer.
        if place(self) != before && self.jumps.1 == jump {
            self.jumps.1 = None;
        }
        effects
    }

    fn feed(&mut self, item: &Feed, shared: &mut Shared) -> Vec<Effect> {
        if let Feed::Event { seq, event } = item {
            self.take(*seq, event, shared);
        }
        Vec::new()
    }

    fn answer(&mut self, answer: &mut Answer, shared: &mut Shared) -> Vec<Effect> {
        match answer {
            Answer::Events { page, partial } => {
                let query = &self.query;
                if !self.window.take(page.take(), |e| query.matches(e, shared.now)) {
                    return Vec::new();
                }
                self.searching = *partial;
                shared.dirty = true;
                self.moved(shared)
            }
            Answer::Count { query, found, looked, done } if **query == self.query => {
                // Counted once more, the number of before stands until it is done.
                if *done || !self.found.is_some_and(|(_, _, done)| done) {
                    let counted = Some((*found, *looked, *done));
                    shared.dirty |= self.found != counted;
                    self.found = counted;
                }
                Vec::new()
            }
            Answer::Found { jump, seq } if self.jumps.1 == Some(*jump) => {
                self.jumps.1 = None;
                let Some(seq) = *seq else {
                    shared.say(Level::Bad, "nothing further matches");
                    return Vec::new();
                };
                if self.window.go(seq) {
                    return self.moved(shared);
                }
                self.window.follow = false;
                vec![self.page(From::Around(seq), shared)]
            }
            Answer::Event(detail) => {
                if let Some(detail) = detail.take() {
                    shared.dirty |= self.detail.as_ref() != Some(&*detail);
                    self.detail = Some(*detail);
                }
                Vec::new()
            }
            Answer::Strip(counted) => {
                self.strip.set(std::mem::take(counted));
                shared.dirty = true;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn failed(&mut self, query: &Query, shared: &mut Shared) {
        match query {
            Query::Events { ask, .. } => shared.dirty |= self.window.failed(*ask),
            Query::Find { jump, .. } if self.jumps.1 == Some(*jump) => self.jumps.1 = None,
            _ => {}
        }
    }

    fn leave(&mut self) {
        self.jumps.1 = None;
        self.window.stay();
    }

    /// Owners, the incident and who was told go on while the event stands.
    fn refresh(&mut self, shared: &mut Shared) -> Vec<Effect> {
        let mut effects: Vec<Effect> = self.let_go(shared).into_iter().collect();
        let storm = self.window.follow && shared.rate.per_second(shared.now) > STORM;
        if self.open && !storm && self.looked.is_due(shared) {
            effects.extend(self.selected().map(|(seq, _)| Effect::Query(Query::Event(seq))));
        }
        effects
    }

    fn steps_to(&self, line: u16) -> Option<i32> {
        match &self.sorted {
            Some(sorted) => sorted.cursor.steps_to(line, sorted.rows.len()),
            None => self.window.steps_to(line),
        }
    }

    fn has_row(&self) -> bool {
        !self.window.rows().is_empty()
    }

    fn keep(&self) -> PaneState {
        PaneState {
            filter: self.query.filter.source().to_owned(),
            warnings: self.query.warnings,
            columns: self.columns,
            ..PaneState::default()
        }
    }

    fn take_up(&mut self, state: &PaneState) {
        self.query.warnings = state.warnings;
        self.columns = state.columns % 3;
    }

    fn tick(&mut self, shared: &mut Shared) -> Vec<Effect> {
        // While following in a storm the detail of each newest event would be a read per frame: it waits for a pause.
        if self.window.follow && shared.rate.per_second(shared.now) > STORM {
            Vec::new()
        } else {
            self.follow_cursor()
        }
    }

    fn filter(&self) -> Option<&Filter> {
        Some(&self.query.filter)
    }

    fn set_filter(&mut self, filter: Filter, shared: &mut Shared) -> Vec<Effect> {
        if !filter.is_empty() {
            self.last_filter = Some(filter.clone());
        }
        if filter == self.query.filter {
            return Vec::new();
        }
        self.query.filter = filter;
        self.restart(None, shared)
    }

    fn count(&self, shared: &Shared) -> String {
        let all = shared.events();
        let warnings = if self.query.warnings { " · ! only" } else { "" };
        match self.found {
            Some((found, _, true)) => {
                format!("{} of {}{warnings}", text::number(found), text::number(all.max(found)))
            }
            Some((found, looked, false)) => {
                format!(
                    "≥{} in {} of {}{warnings}",
                    text::number(found),
                    text::number(looked),
                    text::number(all)
                )
            }
            None if self.query.is_all() => format!("{} events", text::number(all)),
            None => format!("counting …{warnings}"),
        }
    }

    fn view(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        stream_view::view(self, frame, area, shared);
    }
}
