//! What changed just before an incident, in words: for `incident_detail`.

use jiff::Timestamp;
use ratatui::style::Style;

use super::incident_detail::{Line, worded};
use crate::{
    event::incident::{Incident, Suspect},
    tui::{model::Shared, text},
};

/// What scores less has hardly to do with it.
const LIKELY: f64 = 0.3;
/// So many suspects have room beside all else; more only where they are likely.
const SUSPECTS: usize = 2;

/// Before which beginning a change was, where an incident has two: what came after the first did not bring that about,
/// but perhaps that it broke anew.
pub(super) fn anew(s: &Suspect, incident: &Incident) -> Option<Timestamp> {
    incident.refired_at.filter(|_| s.at.as_second() > incident.since().as_second())
}

/// `high −1s deploy/web image web 2.14.0 → 2.15.0 by kubectl-set (owner)`
pub(super) fn suspect(s: &Suspect, incident: &Incident, shared: &Shared) -> String {
    let before = anew(s, incident).unwrap_or(incident.since()).as_second() - s.at.as_second();
    let level = if s.score >= 0.6 {
        "high"
    } else if s.score >= LIKELY {
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
    format!(
        "{level} {when} {} {}{manager} ({})",
        text::object(&s.object),
        text::without_object(&s.title, &s.object),
        s.link
    )
}

/// What changed just before, under the beginning that it was before.
pub(super) fn suspects(incident: &Incident, shared: &Shared, (width, whole): (usize, bool)) -> Vec<Line> {
    let theme = &shared.theme;
    if incident.suspects.is_empty() {
        return worded("suspects", "nothing that we watched changed just before", theme, width, 2);
    }
    let mut lines = Vec::new();
    let shown = |(i, s): &(usize, &Suspect)| whole || s.score >= LIKELY || *i < SUSPECTS;
    let mut heading = "";
    for (_, s) in incident.suspects.iter().enumerate().filter(shown) {
        let of = match (incident.refired_at, anew(s, incident)) {
            (None, _) => "Just before (correlation, not proof)",
            (_, Some(_)) => "Just before it broke anew (correlation, not proof)",
            _ => "Just before its beginning (correlation, not proof)",
        };
        if of != heading {
            heading = of;
            lines.push(vec![(of.to_owned(), theme.title)]);
        }
        let words = text::wrap(&suspect(s, incident, shared), width, 3);
        lines.extend(words.into_iter().map(|l| vec![(l, Style::new())]));
    }
    let more = incident.suspects.iter().enumerate().filter(|s| !shown(s)).count();
    if more > 0 {
        let words = format!("and {}: d", text::count(more as u64, "less likely one"));
        lines.push(vec![(words, theme.dim)]);
    }
    lines
}
