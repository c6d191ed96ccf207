//! The last lines: a toast while it stands, and the keys that are valid now.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use crate::tui::{
    keymap::{Binding, GLOBAL},
    model::{Level, Model},
    panes::PANES,
    text,
    widgets::paint,
};

/// Lines it takes.
pub fn height(model: &Model, _: u16) -> u16 {
    1 + u16::from(model.shared.toast.is_some())
}

/// The keys of the screen and of everywhere, in the order of the footer.
fn keys(model: &Model) -> Vec<&'static Binding> {
    let own = PANES.get(model.current).map_or(&[][..], |p| p.bindings);
    let mut all: Vec<&Binding> = own.iter().chain(GLOBAL).filter(|b| b.footer > 0).collect();
    all.sort_by_key(|b| b.footer);
    let rest = own.iter().chain(GLOBAL).filter(|b| b.footer == 0);
    all.extend(rest);
    all.retain(|b| !model.shared.keymap.chords(b.action).is_empty());
    all
}

/// Draws them.
pub fn view(model: &Model, buf: &mut Buffer, area: Rect) {
    let shared = &model.shared;
    let theme = &shared.theme;
    let mut line = 0;
    if let Some(toast) = &shared.toast {
        let (mark, style) =
            if toast.level == Level::Good { (" ✓ ", theme.good) } else { (" ! ", theme.warn) };
        paint::pieces(buf, area, 0, &[(mark, style), (&toast.text, style)]);
        line = 1;
    }
    if let Some(overlay) = model.overlays.last() {
        let keys = format!(" {}", overlay.keys());
        paint::pieces(buf, area, line, &[(&keys, theme.key)]);
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
    let piece = |b: &Binding| (format!(" {}", shared.keymap.shown(b.action)), format!(" {} ", b.label));
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
