//! The last lines: a toast while it stands, and the keys that are valid now.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use crate::tui::{
    action::Action,
    keymap::{Binding, GLOBAL},
    model::{Level, Model},
    panes::PANES,
    text,
    widgets::paint,
};

/// Lines of a toast at most.
const TOAST: usize = 3;

/// Lines it takes.
pub fn height(model: &Model, width: u16) -> u16 {
    1 + toast(model, width).len() as u16
}

/// A toast in as many lines as it needs: what to do about it stands at its end.
fn toast(model: &Model, width: u16) -> Vec<String> {
    let toast = model.shared.toast.as_ref();
    toast.map_or_else(Vec::new, |t| text::wrap(&t.text, usize::from(width).saturating_sub(4), TOAST))
}

/// What needs a row to do something with.
fn wants_row(action: Action) -> bool {
    use Action as A;
    matches!(
        action,
        A::Open
            | A::Copy
            | A::Describe
            | A::Manifest
            | A::Owner
            | A::Toggle
            | A::Test
            | A::Retry
            | A::Purge
            | A::NextWarning
            | A::PreviousWarning
            | A::NextMatch
            | A::PreviousMatch
            | A::NextPart
            | A::Sort
            | A::ReverseSort
            | A::Columns
    )
}

/// The keys of the screen and of everywhere, in the order of the footer.
fn keys(model: &Model) -> Vec<&'static Binding> {
    let own = PANES.get(model.current).map_or(&[][..], |p| p.bindings);
    let mut all: Vec<&Binding> = own.iter().chain(GLOBAL).filter(|b| b.footer > 0).collect();
    all.sort_by_key(|b| b.footer);
    let rest = own.iter().chain(GLOBAL).filter(|b| b.footer == 0);
    all.extend(rest);
    let sends = !model.shared.watch_only && !model.shared.is_watch_only();
    all.retain(|b| !model.shared.keymap.chords(b.action).is_empty() && (sends || b.action != Action::Test));
    if let Some(pane) = model.panes.get(model.current) {
        let (row, filter) = (pane.has_row(), pane.filter().is_some());
        all.retain(|b| (row || !wants_row(b.action)) && (filter || b.action != Action::Filter));
    }
    all
}

/// Draws them.
pub fn view(model: &Model, buf: &mut Buffer, area: Rect) {
    let shared = &model.shared;
    let theme = &shared.theme;
    let mut line = 0;
    if let Some(toast) = &shared.toast {
        let (mark, style) = match toast.level {
            Level::Good => (" ✓ ", theme.good),
            Level::Bad => (" ! ", theme.warn),
            Level::Wait => (" … ", theme.accent),
        };
        for part in self::toast(model, area.width) {
            let mark = if line == 0 { mark } else { "   " };
            paint::pieces(buf, area, line, &[(mark, style), (&part, style)]);
            line += 1;
        }
    }
    if let Some(overlay) = model.overlays.last() {
        let keys = format!(" {}", overlay.keys());
        paint::pieces(buf, area, line, &[(&keys, theme.key)]);
        return;
    }
    if model.prompt.as_ref().is_some_and(|p| p.error.is_some()) {
        let keys = " shown is what was before · Esc leaves it so · Tab completes a key";
        paint::pieces(buf, area, line, &[(keys, theme.key)]);
        return;
    }
    if model.prompt.is_some() {
        let keys = " ⏎ keep · Esc back to before · Tab completes a key · ↑ earlier filters · like type:pod_* severity>=high ns:a|b";
        paint::pieces(buf, area, line, &[(keys, theme.key)]);
        return;
    }
    // Palette, quit and help always have their place at the end; the rest fills what is left, page by page.
    let all = keys(model);
    let (last, first): (Vec<&Binding>, Vec<&Binding>) = all.into_iter().partition(|b| b.footer >= 90);
    let sends = !shared.watch_only && !shared.is_watch_only();
    let piece = |b: &Binding| {
        // Where nothing is sent, what is switched is what comes after.
        let later = if !sends && b.action == Action::Toggle { " for later" } else { "" };
        (format!(" {}", shared.keymap.shown(b.action)), format!(" {}{later} ", b.label))
    };
    let width = |b: &&Binding| {
        let (key, label) = piece(b);
        text::width(&key) + text::width(&label)
    };
    let tail: usize = last.iter().map(width).sum();
    let room = usize::from(area.width).saturating_sub(tail);
    let mut pages: Vec<Vec<&Binding>> = vec![Vec::new()];
    let mut used = 0;
    for b in first {
        let w = width(&b);
        if used + w > room && used > 0 {
            pages.push(Vec::new());
            used = 0;
        }
        used += w;
        if let Some(page) = pages.last_mut() {
            page.push(b);
        }
    }
    let page = pages.swap_remove(shared.keys_page % pages.len());
    let texts: Vec<(String, String)> = page.iter().map(|b| piece(b)).collect();
    let pieces: Vec<(&str, Style)> =
        texts.iter().flat_map(|(k, l)| [(k.as_str(), theme.key), (l.as_str(), theme.dim)]).collect();
    paint::pieces(buf, area, line, &pieces);
    let texts: Vec<(String, String)> = last.iter().map(|b| piece(b)).collect();
    let pieces: Vec<(&str, Style)> =
        texts.iter().flat_map(|(k, l)| [(k.as_str(), theme.key), (l.as_str(), theme.dim)]).collect();
    let x = area.right().saturating_sub(tail as u16);
    paint::pieces(buf, Rect { x, width: area.right() - x, ..area }, line, &pieces);
}
