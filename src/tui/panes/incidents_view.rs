//! How the incidents look: the table, what ended below it, and the peek or the detail pane.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use ratatui::{Frame, buffer::Buffer, layout::Rect, style::Style};

use super::{incident_detail, incidents::Incidents, told};
use crate::{
    event::incident::{Incident, IncidentStatus},
    status::StreamState,
    tui::{action::Action, model::Shared, text, theme::glyph, view::header::NO_CLUSTER, widgets::paint},
};

/// From this width on the detail stands beside the list.
const BESIDE: u16 = 110;
/// The narrowest detail beside a list.
const DETAIL: u16 = 38;
/// Lines of the peek under the list.
const PEEK: u16 = 8;
/// Cells that tell what is wrong, where there is room for them.
const WHAT: usize = 22;
/// From so many lines on one of them says how many rows have no place.
const COUNTED: usize = 2;
/// Lines of the peek at most, where the list is short.
const PEEK_MOST: u16 = 14;

pub fn view(pane: &mut Incidents, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
    let theme = &shared.theme;
    if pane.rows.is_empty() {
        empty(pane, frame.buffer_mut(), area, shared);
        return;
    }
    let beside = area.width >= BESIDE && !shared.zoom;
    let peek = if shared.zoom || beside || area.height < 9 {
        0
    } else if area.height < 14 {
        // Who was told and what to do comes before the rows that can be scrolled to.
        let listed = u16::try_from(pane.rows.len()).unwrap_or(u16::MAX).saturating_add(2);
        area.height.saturating_sub(listed).clamp(6, 8)
    } else {
        // What the list leaves free is the detail's: its height depends on the rows alone, so that moving is calm.
        let listed = u16::try_from(pane.rows.len()).unwrap_or(u16::MAX).saturating_add(3);
        area.height.saturating_sub(listed).clamp(PEEK.min(area.height / 2), PEEK_MOST)
    };
    let list_width = if beside { beside_list(area.width) } else { area.width };
    let list = Rect { width: list_width, height: area.height - peek, ..area };
    table(pane, frame.buffer_mut(), list, shared);
    let Some(incident) = pane.current().cloned() else { return };
    let detail = pane.shown_detail(shared);
    let detail = detail.as_deref();
    if beside {
        let room = Rect { x: area.x + list_width, width: area.width - list_width, ..area };
        let inside = paint::frame(
            frame.buffer_mut(),
            room,
            &incident_detail::heading(&incident, detail, shared),
            theme,
        );
        let lines = incident_detail::lines(&incident, detail, shared, (inside.width.into(), false));
        paint::lines(frame.buffer_mut(), inside, &lines, ": d", theme);
    } else if peek > 0 {
        let room = Rect { y: area.y + area.height - peek, height: peek, ..area };
        paint::rule(frame.buffer_mut(), room, 0, &incident_detail::heading(&incident, detail, shared), theme);
        let inside = Rect { y: room.y + 1, height: peek - 1, x: room.x + 1, width: room.width - 1 };
        let lines =
            incident_detail::peek(&incident, detail, shared, (inside.width.into(), inside.height.into()));
        paint::lines(frame.buffer_mut(), inside, &lines, ": d", theme);
    }
}

/// So many of the first rows are in sight on a terminal of this size, whatever else has to be said on it.
pub fn surely_shown((width, height): (u16, u16)) -> usize {
    // Header, tabs, troubles, filter, two lines of keys, the list's heading, that of what ended, what is left out.
    const OTHERS: u16 = 12;
    let peek = if width >= BESIDE { 0 } else { PEEK };
    height.saturating_sub(OTHERS + peek).max(1).into()
}

/// How wide a list is beside its detail: wide enough for its words, before the detail gets its full share.
pub fn beside_list(width: u16) -> u16 {
    (width * 3 / 5).max(80.min(width.saturating_sub(DETAIL)))
}

/// The widths of the columns.
struct Columns {
    since: usize,
    subject: usize,
    what: usize,
    affected: usize,
    told: usize,
}

impl Columns {
    /// `longest`: the width of the longest subject.
    fn new(width: u16, longest: usize, shared: &Shared) -> Self {
        let since = if shared.absolute { 23 } else { 11 };
        let affected = if width >= 62 { 11 } else { 0 };
        let told = if width >= 100 { 12 } else { 6 };
        let rest = usize::from(width)
            .saturating_sub(1 + since + 1 + 2 + 1 + 1 + affected + usize::from(affected > 0) + told + 1);
        // What is wrong is read first: the name of what it is wrong with gives way to it.
        let subject =
            longest.clamp(8.min(rest), (rest * 3 / 5).min(rest.saturating_sub(WHAT).max(rest * 2 / 5)));
        Self { since, subject, what: rest - subject, affected, told }
    }
}

fn table(pane: &mut Incidents, buf: &mut Buffer, area: Rect, shared: &Shared) {
    let theme = &shared.theme;
    let twins = twins(&pane.rows);
    let longest =
        pane.rows.iter().take(200).map(|i| text::width(&subject(i, (&twins, shared)))).max().unwrap_or(0);
    let columns = Columns::new(area.width, longest.max(7), shared);
    let head = format!(
        " {} {} {} {}{}",
        text::fit("SINCE", columns.since),
        text::fit("  SUBJECT", columns.subject + 2),
        text::fit("WHAT", columns.what),
        if columns.affected > 0 {
            format!("{} ", text::fit("AFFECTED", columns.affected))
        } else {
            String::new()
        },
        text::fit("TOLD", columns.told),
    );
    paint::pieces(buf, area, 0, &[(&head, theme.title)]);
    // The heading of what ended takes a line of its own, which the cursor skips.
    let divided = usize::from(pane.open < pane.rows.len());
    let lines = usize::from(area.height.saturating_sub(1));
    pane.cursor.line = area.y + 1;
    // No row is left out without a word: beside the heading, or on its line where that is not in sight, else on the
    // last one.
    let hidden = pane.rows.len() + divided > lines;
    let heading = divided > 0 && pane.open > 0;
    let counted = usize::from(hidden && !heading && lines >= COUNTED);
    let visible = pane.cursor.visible(pane.rows.len(), lines.saturating_sub(divided + counted));
    let seen = heading && visible.contains(&pane.open);
    let left_out = if hidden { unseen(pane, &visible) } else { String::new() };
    if counted > 0 || heading && !seen {
        paint::pieces(buf, area, area.height - 1, &[(&left_out, theme.dim)]);
    }
    let mut line = 1;
    if pane.open == 0 {
        let (words, style) = nothing_open(pane, shared);
        paint::pieces(buf, area, line, &[(&format!(" {words} · ended:"), style)]);
        line += 1;
    }
    for i in visible {
        if i == pane.open && seen {
            let between = if left_out.is_empty() { "" } else { " ·" };
            let cells = [(" ended", theme.title), (between, theme.dim), (&*left_out, theme.dim)];
            paint::pieces(buf, area, line, &cells);
            line += 1;
        }
        let Some(incident) = pane.rows.get(i) else { break };
        let room = Rect { y: area.y + line, height: 1.min(area.height.saturating_sub(line)), ..area };
        row(pane, buf, room, incident, (&columns, &twins, shared));
        if i == pane.cursor.at {
            paint::select(buf, area, line, theme);
        }
        line += 1;
    }
}

/// ` ▲ 3 above · ▼ 2 open and 5 ended below`
fn unseen(pane: &Incidents, visible: &Range<usize>) -> String {
    let above = if visible.start > 0 { format!("▲ {} above", visible.start) } else { String::new() };
    let open = pane.open.saturating_sub(visible.end);
    let ended = pane.rows.len() - visible.end.max(pane.open).min(pane.rows.len());
    let below = match (open, ended) {
        (0, 0) => String::new(),
        (open, 0) => format!("▼ {open} more open below"),
        (0, ended) => format!("▼ {ended} more ended below"),
        (open, ended) => format!("▼ {open} open and {ended} ended below"),
    };
    let between = if above.is_empty() || below.is_empty() { "" } else { " · " };
    format!(" {above}{between}{below}")
}

/// That nothing open is listed, and why: only where nothing at all is open is nothing broken.
fn nothing_open(pane: &Incidents, shared: &Shared) -> (String, Style) {
    let hidden = pane.hidden(shared);
    let theme = &shared.theme;
    if hidden > 0 {
        return (
            format!("nothing open passes the filter · {hidden} hidden ({})", ways(pane, shared)),
            theme.warn,
        );
    }
    if pane.elsewhere > 0 {
        let scope = shared.scope.words();
        return (
            format!("nothing is broken in {scope} · {} elsewhere ({})", pane.elsewhere, ways(pane, shared)),
            theme.warn,
        );
    }
    ("nothing is broken now".to_owned(), theme.good)
}

/// The keys that show what is left out.
fn ways(pane: &Incidents, shared: &Shared) -> String {
    let mut ways = Vec::new();
    let key = |action| shared.keymap.shown(action);
    if pane.hidden(shared) > 0 {
        if pane.filter_is_on() {
            ways.push(format!("{} clears the filter", key(Action::Back)));
        }
        if super::Pane::keep(pane).warnings {
            ways.push(format!("{} shows all severities", key(Action::WarningsOnly)));
        }
    }
    if pane.elsewhere > 0 {
        ways.push(format!("{} shows all", key(Action::AllNamespaces)));
    }
    ways.join(", ")
}

fn row(
    pane: &Incidents,
    buf: &mut Buffer,
    area: Rect,
    incident: &Incident,
    (columns, twins, shared): (&Columns, &Twins, &Shared),
) {
    let theme = &shared.theme;
    let open = incident.status == IncidentStatus::Open;
    let left = pane.left(incident);
    let base = if open || left.is_some() { Style::new() } else { theme.dim };
    let began = left.map_or(incident.since(), |left| left.since);
    let since = if shared.absolute {
        text::full(began, &shared.tz)
    } else {
        let start = text::short_clock(began, shared.now, &shared.tz);
        let lasted = match incident.resolved_at.filter(|_| !open && left.is_none()) {
            Some(end) => text::age(began, end),
            None => shared.age(began),
        };
        format!("{}{}", text::fit(&start, 6), text::fit_right(&lasted, 5))
    };
    let beside = pane.beside.get(&incident.id);
    let recovery = pane.healing(incident, shared);
    let recovering = pane.is_recovering(incident);
    let (mark, mark_style) = match (open, recovery.is_some(), left) {
        (true, true, _) => ("◒", theme.warn),
        (true, false, _) => (glyph(incident.severity), theme.severity(incident.severity)),
        (false, _, Some(left)) => (glyph(left.severity), theme.severity(left.severity)),
        (false, ..) => ("✓", theme.good),
    };
    let mut note = match recovery {
        Some(_) if recovering => "recovering: ".to_owned(),
        Some(recovery) => format!("well for {}: ", text::age(recovery.since, shared.known_to())),
        None => String::new(),
    };
    if open && incident.reopened > 0 {
        note = format!("{note}again (×{}): ", incident.reopened + 1);
    }
    if let Some(at) = incident.refired_at.filter(|_| open && recovery.is_none()) {
        note = format!("{note}anew {}: ", text::short_clock(at, shared.now, &shared.tz));
    }
    let said = beside.and_then(|b| b.instead.clone()).unwrap_or_else(|| what(incident));
    let standing = if incident.standing { " (standing)" } else { "" };
    let what = match left {
        Some(left) => format!("is over, but {}", left.words),
        None => format!("{note}{}{standing}", text::without_subject(&said, &incident.subject)),
    };
    let affected = beside.map_or("", |b| {
        if recovering && !b.healed.is_empty() { b.healed.as_str() } else { b.affected.as_str() }
    });
    let (since, subject) =
        (text::fit(&since, columns.since), subject_within(incident, columns.subject, (twins, shared)));
    let what = text::fit(&what, columns.what);
    let affected = if columns.affected > 0 {
        format!("{} ", text::fit(affected, columns.affected))
    } else {
        String::new()
    };
    let x = paint::pieces(
        buf,
        area,
        0,
        &[
            (" ", base),
            (&since, base),
            (" ", base),
            (mark, mark_style),
            (" ", base),
            (&subject, base),
            (" ", base),
            (&what, base),
            (" ", base),
            (&affected, base),
        ],
    );
    let room = Rect { x, width: area.right().saturating_sub(x), ..area };
    let marks = beside.map_or_else(Vec::new, |b| told::signs(&b.told, columns.told, theme));
    let marks = if marks.is_empty() { vec![(nobody(incident), theme.dim)] } else { marks };
    let marks: Vec<(&str, Style)> = marks.iter().map(|(t, s)| (t.as_str(), *s)).collect();
    paint::pieces(buf, room, 0, &marks);
}

fn nobody(incident: &Incident) -> String {
    if incident.standing { "untold".into() } else { "–".into() }
}

/// Subjects of several kinds with one name, as cluster, namespace and name.
type Twins = BTreeSet<(String, String, String)>;

fn named(incident: &Incident) -> (String, String, String) {
    let subject = &incident.subject;
    (incident.cluster.clone(), subject.namespace.clone(), subject.name.clone())
}

fn twins(rows: &[Arc<Incident>]) -> Twins {
    let mut kinds: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
    for incident in rows {
        kinds.entry(named(incident)).or_default().insert(&incident.subject.kind);
    }
    kinds.into_iter().filter(|(_, kinds)| kinds.len() > 1).map(|(name, _)| name).collect()
}

/// ` (svc)`, where another kind has the same name.
fn kind_of(incident: &Incident, twins: &Twins) -> String {
    let twin = !incident.subject.namespace.is_empty() && twins.contains(&named(incident));
    if twin { format!(" ({})", text::short_kind(&incident.subject.kind)) } else { String::new() }
}

/// `payments/payments-api`, `node ip-10-12-34-91`; with the cluster where there are several, and the kind where
/// another has the same name.
fn subject(incident: &Incident, (twins, shared): (&Twins, &Shared)) -> String {
    let subject = &incident.subject;
    let name = if subject.namespace.is_empty() {
        format!("{} {}", subject.kind.to_lowercase(), subject.name)
    } else {
        format!("{}/{}{}", subject.namespace, subject.name, kind_of(incident, twins))
    };
    let several = shared.status.as_ref().is_some_and(|s| s.clusters.len() > 1);
    if several { format!("{}: {name}", incident.cluster) } else { name }
}

/// The same in so many cells: where cluster or kind must be read, the namespace gives way before the name does.
fn subject_within(incident: &Incident, cells: usize, (twins, shared): (&Twins, &Shared)) -> String {
    let whole = subject(incident, (twins, shared));
    let several = shared.status.as_ref().is_some_and(|s| s.clusters.len() > 1);
    let kind = kind_of(incident, twins);
    if text::width(&whole) > cells && (several || !kind.is_empty()) {
        let cluster = if several { format!("{}: ", incident.cluster) } else { String::new() };
        return text::fit_middle(&format!("{cluster}{}{kind}", incident.subject.name), cells);
    }
    text::fit_middle(&whole, cells)
}

/// The type in words, and why.
pub fn what(incident: &Incident) -> String {
    if incident.title.is_empty() {
        incident.event_type.name().replace('_', " ")
    } else {
        incident.title.clone()
    }
}

/// Nothing to show: why, and what next.
fn empty(pane: &Incidents, buf: &mut Buffer, area: Rect, shared: &Shared) {
    let theme = &shared.theme;
    if let Some(error) = &shared.store_error {
        paint::notice(
            buf,
            area,
            ("✖ the store cannot be read", theme.bad),
            std::slice::from_ref(error),
            theme,
        );
        return;
    }
    if !shared.incidents_read {
        paint::notice(buf, area, ("reading the store …", theme.dim), &[], theme);
        return;
    }
    if shared.open_incidents > 0 {
        let (words, style) = nothing_open(pane, shared);
        let (head, lines) = if pane.hidden(shared) > 0 {
            ("nothing matches", words_and_caution(words, pane))
        } else {
            (&*words, Vec::new())
        };
        paint::notice(buf, area, (head, style), &lines, theme);
        return;
    }
    let (head, lines) = quiet(shared);
    paint::notice(
        buf,
        area,
        (&head, if head.starts_with('✓') { theme.good } else { theme.warn }),
        &lines,
        theme,
    );
}

fn words_and_caution(words: String, pane: &Incidents) -> Vec<String> {
    let caution = pane.query.filter.caution().map(str::to_owned);
    std::iter::once(words).chain(caution).collect()
}

fn quiet(shared: &Shared) -> (String, Vec<String>) {
    let Some(status) = &shared.status else {
        return (
            "connecting …".into(),
            vec![
                "No word from the engine yet. What was stored before is shown meanwhile: 2 for the stream."
                    .into(),
            ],
        );
    };
    if !shared.is_watched() {
        return (
            format!("nothing was known to be broken at {}", shared.clock(shared.known_to())),
            vec!["Nobody has said anything since.".to_owned()],
        );
    }
    if shared.away().next().is_some() {
        // Which one and why stands above.
        return (
            "◌ nothing is known to be broken, but a cluster is away".into(),
            vec![NO_CLUSTER.to_owned()],
        );
    }
    let streams = || status.clusters.iter().flat_map(|c| &c.streams);
    let syncing = streams().filter(|s| s.state == StreamState::Syncing).count();
    if syncing > 0 || status.clusters.iter().all(|c| c.streams.is_empty()) {
        let (have, want) = streams().fold((0, 0), |(a, b), s| (a + s.synced.0, b + s.synced.1));
        let of = if want > 0 { format!(" of {}", text::number(want)) } else { String::new() };
        return (
            "syncing …".into(),
            vec![
                format!("{} objects{of} listed, {syncing} streams to go.", text::number(have)),
                "What is already broken shows up as each list completes. 8 shows every stream.".into(),
            ],
        );
    }
    let forbidden = streams().filter(|s| matches!(s.state, StreamState::Forbidden { .. })).count();
    let since = shared.quiet_since.map(|at| format!(" {}", shared.lasting(at))).unwrap_or_default();
    let mut lines = vec![
        "Whatever breaks appears here the moment it is stored. 2 shows everything that happens.".to_owned(),
    ];
    if forbidden > 0 {
        lines.push(format!("{forbidden} kinds may not be watched: 8 names the missing rights."));
    }
    (format!("✓ all quiet{since}"), lines)
}

impl Incidents {
    fn filter_is_on(&self) -> bool {
        super::Pane::filter(self).is_some_and(|f| !f.is_empty())
    }
}
