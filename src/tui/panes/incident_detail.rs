//! One incident in words: the peek of five lines, the detail pane, and the page that `d` opens.

use ratatui::style::Style;

use super::incidents_view::{sign, style, what};
use crate::{
    event::incident::{Incident, IncidentStatus, Suspect},
    tui::{
        model::Shared,
        msg::{IncidentDetail, OwnerLine, ToldState},
        text,
        theme::Theme,
    },
};

/// A line of pieces.
pub type Line = Vec<(String, Style)>;

/// Width of the word before each line.
const WORD: usize = 9;

/// `payments/payments-api · critical · open 26m · 31 events`
pub fn heading(incident: &Incident, shared: &Shared) -> String {
    let state = match incident.resolved_at.filter(|_| incident.status == IncidentStatus::Resolved) {
        Some(end) => format!("ended {} ago, lasted {}", shared.age(end), text::age(incident.opened_at, end)),
        None => format!("open {}", shared.age(incident.opened_at)),
    };
    let reopened =
        if incident.reopened > 0 { format!(" · reopened ×{}", incident.reopened) } else { String::new() };
    let several = shared.status.as_ref().is_some_and(|s| s.clusters.len() > 1);
    let cluster = if several { format!("{}: ", incident.cluster) } else { String::new() };
    format!(
        "{cluster}{} · {} · {state} · {}{reopened}",
        text::object(&incident.subject),
        incident.severity,
        text::count(incident.events, "event")
    )
}

fn worded(word: &str, rest: &str, theme: &Theme, width: usize, lines: usize) -> Vec<Line> {
    let room = width.saturating_sub(WORD).max(1);
    text::wrap(rest, room, lines)
        .into_iter()
        .enumerate()
        .map(|(i, line)| {
            let word = if i == 0 { word } else { "" };
            vec![(text::fit(word, WORD), theme.key), (line, Style::new())]
        })
        .collect()
}

fn suspect(s: &Suspect, incident: &Incident, shared: &Shared) -> String {
    let before = incident.opened_at.as_second() - s.at.as_second();
    let level = if s.score >= 0.6 {
        "high"
    } else if s.score >= 0.3 {
        "med "
    } else {
        "low "
    };
    let manager = if s.manager.is_empty() { String::new() } else { format!(" by {}", s.manager) };
    let when = if shared.absolute {
        text::full(s.at, &shared.tz)
    } else {
        format!("−{}", text::span(before.max(0)))
    };
    format!("{level} {when} {} {}{manager} ({})", text::object(&s.object), s.title, s.link)
}

fn owners(chain: &[OwnerLine]) -> String {
    chain
        .iter()
        .map(|o| {
            let state = if o.state.is_empty() { String::new() } else { format!(" ({})", o.state) };
            format!("{}{state}", text::object(&o.object))
        })
        .collect::<Vec<_>>()
        .join(" ▸ ")
}

/// Why nobody was told.
fn nobody(detail: Option<&IncidentDetail>, incident: &Incident, shared: &Shared) -> &'static str {
    if incident.standing {
        "nobody: it was so when we first looked"
    } else if shared.watch_only {
        "nobody: --watch-only never delivers"
    } else if shared.status.as_ref().is_some_and(|s| s.connectors.iter().all(|c| !c.enabled)) {
        "nobody: no connector is on (6)"
    } else if detail.is_none() {
        "…"
    } else {
        "nobody: no connector's filter takes it, or none is due yet"
    }
}

/// Who was told, as many to a line as fit.
fn told(detail: Option<&IncidentDetail>, incident: &Incident, shared: &Shared, width: usize) -> Vec<Line> {
    let theme = &shared.theme;
    let marks = detail.map_or(&[][..], |d| d.told.as_slice());
    let mut lines = vec![vec![(text::fit("told", WORD), theme.key)]];
    if marks.is_empty() {
        lines[0].push((nobody(detail, incident, shared).to_owned(), theme.dim));
    }
    let mut used = WORD;
    for mark in marks {
        let rest = match mark.state {
            ToldState::Delivered => shared.clock(mark.at),
            ToldState::Waiting => "waits".to_owned(),
            ToldState::Dropped => "not told, over before".to_owned(),
            ToldState::Dead => format!("given up: {}", text::cut(&mark.detail, 44)),
            ToldState::Retrying => format!("tried again: {}", text::cut(&mark.detail, 40)),
        };
        let wide = text::width(&mark.connector) + text::width(&rest) + 5;
        if used + wide > width && used > WORD {
            lines.push(vec![(" ".repeat(WORD), theme.key)]);
            used = WORD;
        }
        used += wide;
        if let Some(line) = lines.last_mut() {
            line.push((format!("{} ", mark.connector), Style::new()));
            line.push((sign(mark.state).to_owned(), style(mark.state, theme)));
            line.push((format!(" {rest}  "), theme.dim));
        }
    }
    lines
}

fn why(incident: &Incident) -> String {
    if incident.description.is_empty() { what(incident) } else { incident.description.clone() }
}

/// The lines under the list: what matters least gives way where not all fit.
pub fn peek(
    incident: &Incident,
    detail: Option<&IncidentDetail>,
    shared: &Shared,
    (width, height): (usize, usize),
) -> Vec<Line> {
    let theme = &shared.theme;
    let one = |word: &str, rest: &str| worded(word, rest, theme, width, 1);
    // In the order of the screen, with how early each goes.
    let mut parts = vec![(0, worded("why", &why(incident), theme, width, 2))];
    for (i, s) in incident.suspects.iter().take(4).enumerate() {
        let word = if i == 0 { "suspect" } else { "" };
        parts.push((if i == 0 { 1 } else { 4 + i }, one(word, &suspect(s, incident, shared))));
    }
    if let Some(d) = detail {
        if d.owners.len() > 1 {
            parts.push((4, one("owner", &owners(&d.owners))));
        }
        if let Some(last) = d.last.as_ref().filter(|e| e.title != incident.title) {
            parts.push((3, one("last", &format!("{} {}", shared.clock(last.timestamp), last.title))));
        }
    }
    parts.push((0, told(detail, incident, shared, width)));
    if let Some(look) = detail.and_then(|d| d.look.first()) {
        parts.push((2, one("look", &look.command)));
    }
    while parts.iter().map(|(_, lines)| lines.len()).sum::<usize>() > height {
        let Some(least) = parts.iter().map(|(rank, _)| *rank).max().filter(|rank| *rank > 0) else { break };
        parts.retain(|(rank, _)| *rank != least);
    }
    parts.into_iter().flat_map(|(_, lines)| lines).collect()
}

/// The detail pane.
pub fn lines(
    incident: &Incident,
    detail: Option<&IncidentDetail>,
    shared: &Shared,
    width: usize,
) -> Vec<Line> {
    let theme = &shared.theme;
    let mut lines = worded("what", &what(incident), theme, width, 3);
    if !incident.description.is_empty() && incident.description != incident.title {
        lines.extend(worded("why", &incident.description, theme, width, 6));
    }
    lines.extend(worded("since", &text::full(incident.opened_at, &shared.tz), theme, width, 1));
    if let Some(end) = incident.resolved_at {
        lines.extend(worded("ended", &text::full(end, &shared.tz), theme, width, 1));
    }
    let place = format!(
        "{} · {}",
        incident.cluster,
        if incident.subject.namespace.is_empty() { "cluster-scoped" } else { &incident.subject.namespace }
    );
    lines.extend(worded("where", &place, theme, width, 1));
    lines.extend(told(detail, incident, shared, width));
    lines.push(Vec::new());
    if incident.suspects.is_empty() {
        lines.extend(worded("suspects", "nothing that we watched changed just before", theme, width, 2));
    } else {
        lines.push(vec![("Changed just before (correlation, not proof)".to_owned(), theme.title)]);
        for s in incident.suspects.iter().take(5) {
            lines.extend(
                text::wrap(&suspect(s, incident, shared), width, 3)
                    .into_iter()
                    .map(|l| vec![(l, Style::new())]),
            );
        }
    }
    let Some(d) = detail else { return lines };
    lines.push(Vec::new());
    for look in &d.look {
        lines.extend(worded("look", &format!("{}: {}", look.action, look.command), theme, width, 4));
    }
    if !d.owners.is_empty() {
        lines.push(Vec::new());
        lines.extend(chain(&d.owners, theme));
    }
    lines.push(Vec::new());
    members(&mut lines, d, incident, shared);
    if let Some(last) = &d.last {
        let line = format!("{} {}", shared.clock(last.timestamp), last.title);
        lines.extend(worded("last", &line, theme, width, 2));
    }
    lines
}

/// An owner chain as a tree.
pub fn chain(owners: &[OwnerLine], theme: &Theme) -> Vec<Line> {
    let mut lines = vec![vec![("Owner chain".to_owned(), theme.title)]];
    for (depth, owner) in owners.iter().enumerate() {
        let indent = if depth == 0 { String::new() } else { format!("{}└ ", "  ".repeat(depth - 1)) };
        let here = if depth + 1 == owners.len() { "  ◀ here" } else { "" };
        lines.push(vec![
            (format!("{indent}{}", text::object(&owner.object)), Style::new()),
            (format!("  {}{here}", owner.state), theme.dim),
        ]);
    }
    lines
}

fn members(lines: &mut Vec<Line>, detail: &IncidentDetail, incident: &Incident, shared: &Shared) {
    let theme = &shared.theme;
    let title = format!(
        "Members ({} {} it open, {} in all, {} affected)",
        incident.holding,
        if incident.holding == 1 { "holds" } else { "hold" },
        incident.members,
        incident.affected
    );
    lines.push(vec![(title, theme.title)]);
    for member in detail.members.iter().take(8) {
        let over = member.ended_at.is_some();
        let state = if over { "✓" } else { "✖" };
        let style = if over { theme.good } else { theme.severity(member.severity) };
        let role = if member.affected { " (affected)" } else { "" };
        lines.push(vec![
            (format!("{state} "), style),
            (format!("{}{role}  {}", text::object(&member.object), member.title), Style::new()),
            (format!("  {}", shared.age(member.since)), theme.dim),
        ]);
    }
    let more = detail.members.len().saturating_sub(8);
    if more > 0 {
        lines.push(vec![(format!("  and {more} more: ⏎ shows all events"), theme.dim)]);
    }
}

/// Everything, as plain lines.
pub fn page(incident: &Incident, detail: Option<&IncidentDetail>, shared: &Shared) -> Vec<String> {
    let mut out: Vec<String> =
        vec![heading(incident, shared), format!("id       {}", incident.id), String::new()];
    out.extend(
        lines(incident, detail, shared, 160).into_iter().map(|l| l.into_iter().map(|(t, _)| t).collect()),
    );
    if let Some(worst) = detail.and_then(|d| d.worst.as_ref()) {
        out.push(String::new());
        out.push("Worst event".to_owned());
        out.extend(super::event_detail::fields(worst, shared));
    }
    out
}
