//! Facets: what the rows in memory are made of, by severity, type, namespace and object. Only where there is room.

use std::collections::HashMap;

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use crate::{
    event::{Event, Severity},
    tui::{
        text,
        theme::{Theme, glyph},
        widgets::paint,
    },
};

/// Lines of each list.
const LINES: usize = 7;

/// Draws them over these events.
pub fn view<'a>(events: impl Iterator<Item = &'a Event>, buf: &mut Buffer, area: Rect, theme: &Theme) {
    let mut severities: HashMap<Severity, u64> = HashMap::new();
    let mut types: HashMap<&str, u64> = HashMap::new();
    let mut namespaces: HashMap<&str, u64> = HashMap::new();
    let mut subjects: HashMap<(&str, &str), u64> = HashMap::new();
    let mut all = 0_u64;
    for event in events {
        all += 1;
        *severities.entry(event.severity).or_default() += 1;
        *types.entry(event.event_type.name()).or_default() += 1;
        let namespace = if event.object.namespace.is_empty() { "-" } else { &event.object.namespace };
        *namespaces.entry(namespace).or_default() += 1;
        *subjects.entry((&event.subject.kind, &event.subject.name)).or_default() += 1;
    }
    let inside = paint::frame(buf, area, &format!("of these {}", text::number(all)), theme);
    let mut lines: Vec<Vec<(String, Style)>> = Vec::new();
    let line = |mark: (&str, Style), name: &str, count: u64| {
        let room = usize::from(inside.width).saturating_sub(9);
        vec![
            (format!(" {} ", mark.0), mark.1),
            (text::fit(name, room), Style::new()),
            (text::fit_right(&text::number(count), 6), theme.dim),
        ]
    };
    let title = |word: &str| vec![(word.to_owned(), theme.title)];
    lines.push(title("Severity"));
    let mut counted: Vec<(Severity, u64)> = severities.into_iter().collect();
    counted.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
    for (severity, count) in counted {
        lines.push(line((glyph(severity), theme.severity(severity)), &severity.to_string(), count));
    }
    let subjects: HashMap<String, u64> = subjects
        .into_iter()
        .map(|((kind, name), n)| (format!("{}/{name}", text::short_kind(kind)), n))
        .collect();
    let subjects = subjects.iter().map(|(name, n)| (name.as_str(), *n)).collect();
    for (word, counts) in [("Type", types), ("Namespace", namespaces), ("What it is about", subjects)] {
        lines.push(Vec::new());
        lines.push(title(word));
        let others = counts.len().saturating_sub(LINES);
        for (name, count) in top(counts) {
            lines.push(line((" ", Style::new()), name, count));
        }
        if others > 0 {
            lines.push(vec![(format!("   and {others} more"), theme.dim)]);
        }
    }
    for (i, pieces) in lines.iter().take(inside.height.into()).enumerate() {
        let pieces: Vec<(&str, Style)> = pieces.iter().map(|(t, s)| (t.as_str(), *s)).collect();
        paint::pieces(buf, inside, i as u16, &pieces);
    }
}

/// The most frequent ones; among equals by name, so that they stand still.
fn top(counts: HashMap<&str, u64>) -> Vec<(&str, u64)> {
    let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    counts.truncate(LINES);
    counts
}
