//! A cursor over a list that is held whole: it stays on its row by the row's key, whatever is inserted around it.

use crate::tui::action::Action;

/// Where the cursor is, and which row is the topmost on the screen.
#[derive(Debug, Clone, Default)]
pub struct Cursor {
    /// The selected row.
    pub at: usize,
    /// The topmost visible row.
    pub top: usize,
    /// Rows that fit; set by the view.
    pub height: usize,
    /// The screen's line of the topmost row; set by the view.
    pub line: u16,
}

impl Cursor {
    /// Moves, if the action is a move; whether it was one.
    pub fn act(&mut self, action: Action, rows: usize) -> bool {
        let page = self.height.max(1);
        let at = match action {
            Action::Down => self.at.saturating_add(1),
            Action::Up => self.at.saturating_sub(1),
            Action::HalfDown => self.at.saturating_add(page.div_ceil(2)),
            Action::HalfUp => self.at.saturating_sub(page.div_ceil(2)),
            Action::PageDown => self.at.saturating_add(page),
            Action::PageUp => self.at.saturating_sub(page),
            Action::Top => 0,
            Action::Bottom => usize::MAX,
            _ => return false,
        };
        self.at = at.min(rows.saturating_sub(1));
        true
    }

    /// How far the row on a line of the screen is from the cursor.
    pub fn steps_to(&self, line: u16, rows: usize) -> Option<i32> {
        let below = usize::from(line.checked_sub(self.line)?);
        let place = Some(self.top + below).filter(|p| below < self.height && *p < rows)?;
        i32::try_from(place).ok()?.checked_sub(i32::try_from(self.at).ok()?)
    }

    /// The list was made anew: the row that was selected is now at `found` (`None`: it is gone), and stays on the
    /// same line of the screen.
    pub fn follow(&mut self, found: Option<usize>, rows: usize) {
        let line = self.at.saturating_sub(self.top);
        self.at = found.unwrap_or(self.at).min(rows.saturating_sub(1));
        self.top = self.at.saturating_sub(line);
    }

    /// The same in a list whose first rows matter most: what comes above pushes the row down, and hides nothing.
    pub fn follow_down(&mut self, found: Option<usize>, rows: usize) {
        let top = self.top;
        self.follow(found, rows);
        self.top = self.top.min(top);
    }

    /// The visible rows of a list; scrolls as little as needed.
    pub fn visible(&mut self, rows: usize, height: usize) -> std::ops::Range<usize> {
        self.height = height;
        self.at = self.at.min(rows.saturating_sub(1));
        if self.at < self.top {
            self.top = self.at;
        } else if height > 0 && self.at >= self.top + height {
            self.top = self.at + 1 - height;
        }
        self.top = self.top.min(rows.saturating_sub(height));
        self.top..(self.top + height).min(rows)
    }
}
