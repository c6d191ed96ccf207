//! How the stream looks: list, detail beside or under it, and the rate strip.

use ratatui::{Frame, buffer::Buffer, layout::Rect, style::Style};

use super::{event_detail, incidents_view::beside_list, stream::Stream};
use crate::{
    event::{Event, Status},
    tui::{
        action::Action,
        model::Shared,
        text,
        theme::{Theme, glyph},
        widgets::{paint, window::Row as _},
    },
};

/// From this width on the detail stands beside the list.
const BESIDE: u16 = 110;
/// From this width on facets stand beside both.
const FACETS: u16 = 180;
/// Their width.
const FACET_WIDTH: u16 = 26;
/// The detail beside the list is no wider: the messages in the list have the rest.
const DETAIL_MOST: u16 = 46;
/// Cells of the longest type of a Pod's trouble: `pod_stuck_terminating`.
const KIND: usize = 21;
/// Cells of an object beside a message: so many before the message grows, and no more than that.
const OBJECT: (usize, usize) = (23, 34);
/// From this height on the rate strip is shown.
const STRIP_FROM: u16 = 24;

/// Said where a filter passes nothing.
const NO_MATCH: &str = "no event matches";

pub fn view(pane: &mut Stream, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
    let theme = &shared.theme;
    let buf = frame.buffer_mut();
    let strip = if shared.zoom || area.height < STRIP_FROM || pane.strip.is_empty() { 0 } else { 6 };
    let body = Rect { height: area.height - strip, ..area };
    if strip > 0 {
        pane.strip.view(buf, Rect { y: area.y + body.height, height: strip, ..area }, shared, theme);
    }
    if pane.window.rows().is_empty() {
        empty(pane, buf, body, shared);
        return;
    }
    let beside = pane.open && body.width >= BESIDE && !shared.zoom;
    let peek = if pane.open && !beside && !shared.zoom && body.height >= 12 {
        (body.height / 3).clamp(4, 8)
    } else {
        0
    };
    let facets = if beside && body.width >= FACETS { FACET_WIDTH } else { 0 };
    let body = Rect { width: body.width - facets, ..body };
    if facets > 0 {
        let room = Rect { x: body.x + body.width, width: facets, ..body };
        super::facets::view(pane.window.rows().iter().map(|(_, e)| &**e), buf, room, theme);
    }
    let width =
        if beside { beside_list(body.width).max(body.width.saturating_sub(DETAIL_MOST)) } else { body.width };
    list(pane, buf, Rect { width, height: body.height - peek, ..body }, shared);
    if beside {
        let room = Rect { x: body.x + width, width: body.width - width, ..body };
        detail(pane, buf, room, shared);
    } else if peek > 0 {
        let room = Rect { y: body.y + body.height - peek, height: peek, ..body };
        under(pane, buf, room, shared);
    }
}

/// The columns that fit, by width and by choice.
struct Columns {
    time: usize,
    kind: usize,
    count: usize,
    namespace: usize,
    object: usize,
    source: usize,
    message: bool,
}

impl Columns {
    /// `today`: no row is older, so that a clock time is enough.
    fn new(width: u16, choice: u8, today: bool, shared: &Shared) -> Self {
        let wide = width >= 100;
        let time = shared.clock_width(today);
        let kind = if wide { KIND } else { 19 };
        // By width; the first press of the key turns the namespace round, the second leaves the bare minimum.
        let count = if choice < 2 && width >= 64 { 5 } else { 0 };
        let namespace = if choice < 2 && (width >= 90) == (choice == 0) { 14 } else { 0 };
        let source = if choice == 0 && width >= 150 { 16 } else { 0 };
        let fixed = 1 + time + 1 + 2 + kind + 1 + count + namespace + source;
        let rest = usize::from(width).saturating_sub(fixed);
        // Too narrow for both, the message goes to the detail, and then the object has all the room.
        let (most, wide) = OBJECT;
        let object = if rest < 32 {
            rest.saturating_sub(1)
        } else {
            // The name is as good as whole by then: what is more is the message's, mostly.
            (rest * 11 / 20).min(most + rest.saturating_sub(most * 2) / 3).min(wide)
        };
        Self { time, kind, count, namespace, object, source, message: rest >= 32 }
    }
}

fn list(pane: &mut Stream, buf: &mut Buffer, area: Rect, shared: &Shared) {
    let theme = &shared.theme;
    let waiting = !pane.window.follow && area.height > 5;
    let height = usize::from(area.height.saturating_sub(1 + u16::from(waiting)));
    let visible = pane.visible(area.y + 1, height);
    let happened = pane.by_happened();
    // A row that has happened again under a reader stands where it stood, and so does its time.
    let stood = |seq: u64| pane.window.stood_at(seq).filter(|_| pane.sorted.is_none());
    let time = |(seq, e): (u64, &Event)| {
        if happened { e.timestamp } else { stood(seq).or(e.seen()).unwrap_or(e.observed_at) }
    };
    let oldest = visible.clone().filter_map(|i| pane.row(i)).map(|(seq, e)| time((seq, e))).min();
    let columns = Columns::new(area.width, pane.columns, shared.is_today(oldest), shared);
    let heading = |word: &str, cells: usize| if cells > 0 { text::fit(word, cells) } else { String::new() };
    let head = format!(
        " {} {} {}{}{}{} {}",
        heading(pane.heading(), columns.time),
        heading("  WHAT", columns.kind + 2),
        if columns.count > 0 { text::fit_right("# ", columns.count) } else { String::new() },
        heading("NS", columns.namespace),
        heading("SOURCE", columns.source),
        heading("OBJECT", columns.object),
        if columns.message { "MESSAGE" } else { "" },
    );
    paint::pieces(buf, area, 0, &[(&head, theme.title)]);
    for (line, i) in visible.enumerate() {
        let Some((seq, event)) = pane.row(i) else { break };
        row(buf, area, 1 + line as u16, (event, time((seq, event))), (&columns, shared));
        if stood(seq).is_some() {
            paint::pieces(buf, area, 1 + line as u16, &[("▲", theme.accent)]);
        }
        if i == pane.at() {
            paint::select(buf, area, 1 + line as u16, theme);
        }
    }
    if waiting {
        let unseen = pane.window.new_above();
        let new =
            if unseen > 0 { format!(" · ▲ {} new above", text::number(unseen)) } else { String::new() };
        let sorted = pane.sorted_words();
        let line = format!(" ▮▮ {}{new} ", sorted.as_deref().unwrap_or("paused on this row"));
        paint::pieces(buf, area, area.height - 1, &[(&line, theme.accent)]);
        let keys = if sorted.is_some() { "f follows again " } else { "g newest · f follow " };
        paint::right(buf, area, area.height - 1, (keys, theme.dim), text::width(&line) as u16);
    }
}

/// The reason that Kubernetes gave, else the type.
fn kind(event: &Event) -> String {
    let reason = event
        .details
        .get("reason")
        .and_then(|r| r.as_str())
        .filter(|_| event.event_type == crate::event::EventType::KubernetesEvent);
    reason.map_or_else(|| event.event_type.name().to_owned(), str::to_owned)
}

fn row(
    buf: &mut Buffer,
    area: Rect,
    line: u16,
    (event, time): (&Event, jiff::Timestamp),
    (columns, shared): (&Columns, &Shared),
) {
    let theme = &shared.theme;
    let (mark, mark_style) = match event.status {
        Status::Resolved => ("✓", theme.good),
        _ => (glyph(event.severity), theme.severity(event.severity)),
    };
    let quiet = event.ignored.is_some() || event.standing;
    let base = if quiet { theme.dim } else { Style::new() };
    // The time by which the rows stand: when it was seen last, as the heading says. When it happened is in the detail.
    let time = text::fit(&shared.clock(time), columns.time);
    let kind = text::fit(&kind(event), columns.kind);
    let count = if columns.count > 0 {
        format!("{} ", text::fit_right(&times(event.count), columns.count - 1))
    } else {
        String::new()
    };
    let namespace = match event.object.namespace.as_str() {
        _ if columns.namespace == 0 => String::new(),
        "" => text::fit("-", columns.namespace),
        ns => format!("{} ", text::fit_middle(ns, columns.namespace - 1)),
    };
    let source = event
        .details
        .get("source")
        .or_else(|| event.details.get("manager"))
        .and_then(|v| v.as_str())
        .unwrap_or("-");
    let source = if columns.source > 0 {
        format!("{} ", text::fit(source, columns.source - 1))
    } else {
        String::new()
    };
    let object = text::fit_name(&text::object(&event.object), columns.object);
    let late = if event.late { "late: " } else { "" };
    let message = message(event);
    paint::pieces(
        buf,
        area,
        line,
        &[
            (" ", base),
            (&time, theme.dim),
            (" ", base),
            (mark, mark_style),
            (" ", base),
            (&kind, base),
            (" ", base),
            (&count, theme.dim),
            (&namespace, base),
            (&source, theme.dim),
            (&object, base),
            (" ", base),
            (late, theme.accent),
            (&message, base),
        ],
    );
}

/// `1`, `×25`, `×1k`: how often, in four cells.
fn times(count: u64) -> String {
    match count {
        0 | 1 => count.to_string(),
        2..1_000 => format!("×{count}"),
        1_000..100_000 => format!("×{}k", count / 1_000),
        _ => "×99k".to_owned(),
    }
}

/// What happened, and why; what the columns beside it name is left out.
fn message(event: &Event) -> String {
    let title = text::without_object(&event.title, &event.object);
    let words = event.event_type == crate::event::EventType::KubernetesEvent || title.is_empty();
    match event.description.as_str() {
        "" => title.to_owned(),
        why if words || why.starts_with(title) => why.to_owned(),
        why => format!("{title} · {why}"),
    }
}

fn detail(pane: &mut Stream, buf: &mut Buffer, area: Rect, shared: &Shared) {
    let theme = &shared.theme;
    let Some((seq, event)) = pane.selected() else { return };
    let title = if pane.in_detail {
        format!("▸ {}", text::object(&event.object))
    } else {
        text::object(&event.object)
    };
    let inside = paint::frame(buf, area, &title, theme);
    let known = pane.detail.as_ref().filter(|d| d.seq == seq);
    let lines = event_detail::lines(event, known, shared, inside.width.into());
    draw(pane, buf, inside, &lines, theme);
}

fn under(pane: &mut Stream, buf: &mut Buffer, area: Rect, shared: &Shared) {
    let theme = &shared.theme;
    let Some((seq, event)) = pane.selected() else { return };
    let ns = if event.object.namespace.is_empty() { "-" } else { &event.object.namespace };
    let title = format!(
        "{} · {ns} · {} · ×{} · {}",
        text::object(&event.object),
        event.cluster,
        event.count,
        event.severity
    );
    let title = if pane.in_detail { format!("▸ {title}") } else { title };
    paint::rule(buf, area, 0, &title, theme);
    let inside = Rect { x: area.x + 1, width: area.width - 1, y: area.y + 1, height: area.height - 1 };
    let known = pane.detail.as_ref().filter(|d| d.seq == seq);
    let lines = event_detail::lines(event, known, shared, inside.width.into());
    draw(pane, buf, inside, &lines, theme);
}

fn draw(
    pane: &mut Stream,
    buf: &mut Buffer,
    area: Rect,
    lines: &[super::incident_detail::Line],
    theme: &Theme,
) {
    pane.scroll = pane.scroll.min(lines.len().saturating_sub(area.height.into()));
    let rest = lines.get(pane.scroll..).unwrap_or_default();
    paint::lines(buf, area, rest, ": Tab, j", theme);
}

/// Scrolls the detail; whether the action was a move.
pub fn scroll(pane: &mut Stream, action: Action) -> bool {
    pane.scroll = match action {
        Action::Down => pane.scroll + 1,
        Action::Up => pane.scroll.saturating_sub(1),
        Action::HalfDown | Action::PageDown => pane.scroll + 10,
        Action::HalfUp | Action::PageUp => pane.scroll.saturating_sub(10),
        Action::Top => 0,
        Action::Bottom => usize::MAX,
        _ => return false,
    };
    true
}

fn empty(pane: &Stream, buf: &mut Buffer, area: Rect, shared: &Shared) {
    let theme = &shared.theme;
    let (head, line) = if let Some(error) = &shared.store_error {
        ("✖ the store cannot be read", error.clone())
    } else if pane.window.is_loading() || pane.searching {
        ("reading the store …", String::new())
    } else if pane.window.is_owed() {
        ("✖ the store was not read", "j reads it again; M on screen 8 shows why it failed.".to_owned())
    } else if !pane.query.is_all() {
        let mut ways = Vec::new();
        if !pane.query.filter.is_empty() {
            ways.push("Esc clears the filter");
        }
        if pane.query.warnings {
            ways.push("! shows all severities");
        }
        if pane.query.range.is_some() {
            ways.push("t widens the time range");
        }
        if !pane.query.scope.is_all() {
            ways.push("0 shows all namespaces");
        }
        (NO_MATCH, format!("{} events are stored: {}.", text::number(shared.events()), ways.join(", ")))
    } else if shared.away().next().is_some() {
        ("◌ nothing was stored yet, and a cluster is away", String::new())
    } else {
        ("no event yet", "The first look at a cluster is silent; from then on every change appears here. 8 shows how far the lists are.".to_owned())
    };
    let mut lines = vec![line];
    if head == NO_MATCH {
        lines.extend(pane.query.filter.caution().map(str::to_owned));
    }
    if head.starts_with('◌') {
        lines.push(crate::tui::view::header::NO_CLUSTER.to_owned());
    }
    paint::notice(buf, area, (head, theme.warn), &lines, theme);
}

#[cfg(test)]
mod tests {
    use super::times;

    #[test]
    fn how_often_always_fits_and_is_never_cut() {
        let shown = [0, 1, 2, 999, 1_000, 54_321, 99_999, 100_000, u64::MAX].map(times);
        assert_eq!(shown, ["0", "1", "×2", "×999", "×1k", "×54k", "×99k", "×99k", "×99k"]);
        assert!(shown.iter().all(|t| crate::tui::text::width(t) <= 4));
    }
}
