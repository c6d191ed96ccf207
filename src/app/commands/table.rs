//! Columns for people: as wide as needed, cut to the terminal, counted in cells.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::event::sanitize;

/// Between columns.
const GAP: &str = "  ";
/// A column is not cut below this.
const LEAST: usize = 6;

/// The widths of columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    widths: Vec<usize>,
    /// Cells that do not fit are cut.
    cuts: bool,
}

impl Table {
    /// As wide as its cells, or less where the terminal is narrow: the widest column gives way first.
    pub fn fit(titles: &[&str], rows: &[Vec<String>], width: Option<usize>) -> Self {
        let mut widths: Vec<usize> = titles.iter().map(|t| t.width()).collect();
        for row in rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(one_line(cell).width());
            }
        }
        let room = width.map(|w| w.saturating_sub(GAP.len() * titles.len().saturating_sub(1)));
        while room.is_some_and(|room| widths.iter().sum::<usize>() > room) {
            // The last of the widest: there stand titles and reasons.
            match widths.iter_mut().max_by_key(|w| **w) {
                Some(widest) if *widest > LEAST => *widest -= 1,
                _ => break,
            }
        }
        Self { widths, cuts: width.is_some() }
    }

    /// The line of titles.
    pub fn head(&self, titles: &[&str]) -> String {
        self.row(&titles.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>())
    }

    /// One line, without spaces at its end.
    pub fn row(&self, cells: &[String]) -> String {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(&self.widths) {
            if !line.is_empty() {
                line.push_str(GAP);
            }
            let cell = one_line(cell);
            let cell = if self.cuts { cut(&cell, *width) } else { cell };
            let pad = width.saturating_sub(cell.width());
            line.push_str(&cell);
            line.extend(std::iter::repeat_n(' ', pad));
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Without line breaks and control characters, wherever it came from.
pub fn one_line(text: &str) -> String {
    let clean = sanitize::clean(text);
    let words: Vec<&str> = clean.split(['\n', '\t']).map(str::trim).filter(|w| !w.is_empty()).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(" ") }
}

/// At most so many cells, with `…` in place of what is cut.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for part in text.graphemes(true) {
        if used + part.width() + 1 > width {
            break;
        }
        used += part.width();
        out.push_str(part);
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        vec![vec!["a".into(), "日本語 is wide".into()], vec![String::new(), "x\ny\u{1b}[31m".into()]]
    }

    #[test]
    fn cells_are_padded_cut_and_clean() {
        let table = Table::fit(&["A", "TITLE"], &rows(), None);
        assert_eq!(table.head(&["A", "TITLE"]), "A  TITLE");
        assert_eq!(table.row(&rows()[1]), "-  x y[31m");
        let narrow = Table::fit(&["A", "TITLE"], &rows(), Some(12));
        let line = narrow.row(&rows()[0]);
        assert_eq!(line, "a  日本語 i…");
        assert!(line.width() <= 12);
    }

    #[test]
    fn the_widest_column_gives_way_and_none_vanishes() {
        let rows = vec![vec!["short".to_owned(), "x".repeat(100), "y".repeat(40)]];
        let table = Table::fit(&["A", "B", "C"], &rows, Some(80));
        assert_eq!(table.widths.iter().sum::<usize>(), 76);
        assert_eq!(table.widths[0], 5);
        let tiny = Table::fit(&["A", "B", "C"], &rows, Some(4));
        assert!(tiny.widths.iter().all(|w| *w > 0));
    }
}
