//! Painting lines into a buffer: everything that came from outside passes through `text` here.

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    style::{Modifier, Style},
};

use crate::tui::{text, theme::Theme};

/// Paints pieces one after the other, cut at the right edge; answers the column after the last.
pub fn pieces(buf: &mut Buffer, area: Rect, line: u16, pieces: &[(&str, Style)]) -> u16 {
    let mut x = area.x;
    let y = area.y + line;
    if line >= area.height {
        return x;
    }
    for (piece, style) in pieces {
        let room = area.right().saturating_sub(x);
        x = put(buf, x, y, &text::cut(piece, room.into()), *style);
    }
    x
}

/// Puts a text that was cut to its room; answers the column after it. Each character of such a text has cells of its
/// own, so nothing has to look for where one ends.
fn put(buf: &mut Buffer, mut x: u16, y: u16, shown: &str, style: Style) -> u16 {
    for c in shown.chars() {
        let end = x + text::cells(c);
        if let Some(cell) = buf.cell_mut(Position::new(x, y)) {
            cell.set_char(c).set_style(style);
        }
        // What a wide one covers.
        for covered in x + 1..end {
            if let Some(cell) = buf.cell_mut(Position::new(covered, y)) {
                cell.reset();
            }
        }
        x = end;
    }
    x
}

/// Paints a text against the right edge, if it leaves `min` cells free on the left.
pub fn right(buf: &mut Buffer, area: Rect, line: u16, (shown, style): (&str, Style), min: u16) {
    let width = text::width(shown) as u16;
    if line < area.height && width + min <= area.width {
        let room = Rect { x: area.right() - width, width, y: area.y, height: area.height };
        pieces(buf, room, line, &[(shown, style)]);
    }
}

/// A line across, with a title in it.
pub fn rule(buf: &mut Buffer, area: Rect, line: u16, title: &str, theme: &Theme) {
    if line >= area.height {
        return;
    }
    let full = "─".repeat(area.width.into());
    buf.set_stringn(area.x, area.y + line, &full, area.width.into(), theme.line);
    if !title.is_empty() && area.width > 6 {
        let shown = format!(" {} ", text::cut(title, usize::from(area.width) - 4));
        buf.set_stringn(area.x + 1, area.y + line, &shown, usize::from(area.width) - 1, theme.title);
    }
}

/// Marks a whole line as the selected one: reversed, and with a bar for those who see no reverse.
pub fn select(buf: &mut Buffer, area: Rect, line: u16, theme: &Theme) {
    if line >= area.height {
        return;
    }
    let row = Rect { y: area.y + line, height: 1, ..area };
    buf.set_style(row, theme.selected);
    if let Some(cell) = buf.cell_mut(Position::new(row.x, row.y)) {
        cell.set_symbol("▌");
    }
}

/// Empties an area, so that nothing below shows through.
pub fn clear(buf: &mut Buffer, area: Rect) {
    let area = area.intersection(buf.area);
    for position in area.positions() {
        if let Some(cell) = buf.cell_mut(position) {
            cell.reset();
        }
    }
}

/// A box with a title; answers the room inside.
pub fn frame(buf: &mut Buffer, area: Rect, title: &str, theme: &Theme) -> Rect {
    clear(buf, area);
    if area.width < 4 || area.height < 3 {
        return area;
    }
    let across = "─".repeat(usize::from(area.width) - 2);
    let bottom = area.height - 1;
    pieces(buf, area, 0, &[("┌", theme.line), (&across, theme.line), ("┐", theme.line)]);
    pieces(buf, area, bottom, &[("└", theme.line), (&across, theme.line), ("┘", theme.line)]);
    for line in 1..bottom {
        for x in [area.x, area.right() - 1] {
            buf.set_stringn(x, area.y + line, "│", 1, theme.line);
        }
    }
    let head = Rect { x: area.x + 1, width: area.width - 2, ..area };
    let shown = format!(" {} ", text::cut(title, usize::from(area.width).saturating_sub(6)));
    pieces(buf, head, 0, &[(&shown, theme.title.add_modifier(Modifier::BOLD))]);
    Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: area.height - 2 }
}

/// Lines of pieces. Where not all fit, the last line says how many are below, and the key that shows them.
pub fn lines(buf: &mut Buffer, area: Rect, lines: &[Vec<(String, Style)>], key: &str, theme: &Theme) {
    let height = usize::from(area.height);
    let shown = if lines.len() > height { height.saturating_sub(1) } else { lines.len() };
    for (i, line) in lines.iter().take(shown).enumerate() {
        let cells: Vec<(&str, Style)> = line.iter().map(|(t, s)| (t.as_str(), *s)).collect();
        pieces(buf, area, i as u16, &cells);
    }
    if lines.len() > shown && height > 0 {
        let more = format!("+{} more lines{key}", lines.len() - shown);
        pieces(buf, area, area.height - 1, &[(&more, theme.accent)]);
    }
}

/// A centred part of an area, at most this large.
pub fn centred(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

/// A named state of a list without rows: what is the case, and what to do about it.
pub fn notice(buf: &mut Buffer, area: Rect, head: (&str, Style), lines: &[String], theme: &Theme) {
    if area.height == 0 || area.width < 4 {
        return;
    }
    let width = usize::from(area.width.saturating_sub(4));
    let wrapped: Vec<String> = lines.iter().flat_map(|l| text::wrap(l, width, 4)).collect();
    let room = Rect { x: area.x + 2, width: area.width.saturating_sub(3), ..area };
    let start = u16::from(area.height > wrapped.len() as u16 + 3);
    pieces(buf, room, start, &[head]);
    for (i, line) in wrapped.iter().enumerate() {
        pieces(buf, room, start + 1 + i as u16, &[(line, theme.dim)]);
    }
}
