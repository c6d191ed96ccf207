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
    /// Rows have left under a reader: what he sees stays on its line, over an end that is empty, until he moves.
    pub ragged: bool,
}

/// Rows leave a list, from the first to the last: those on the screen down to the cursor of a reader stay, so that
/// nothing moves that he looks at.
pub struct Leaving {
    still: std::ops::Range<usize>,
    place: usize,
    /// How many have left above the screen: by so many the cursor and the screen go down in number.
    pub above: usize,
}

impl Leaving {
    /// From a list with this place of the topmost row and of a reader's cursor; `None`: nobody reads.
    pub fn new(reader: Option<(usize, usize)>) -> Self {
        Self { still: reader.map_or(0..0, |(top, at)| top..at + 1), place: 0, above: 0 }
    }

    /// Whether the next row stays.
    pub fn stays(&mut self, passes: bool) -> bool {
        let stays = passes || self.still.contains(&self.place);
        self.above += usize::from(!stays && self.place < self.still.start);
        self.place += 1;
        stays
    }
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
        self.ragged = false;
        true
    }

    /// What does not pass any more leaves, but for what a reader looks at; whether something did.
    pub fn let_go<T>(&mut self, rows: &mut Vec<T>, passes: impl Fn(&T) -> bool) -> bool {
        let before = rows.len();
        let mut leaving = Leaving::new(Some((self.top, self.at)));
        rows.retain(|row| leaving.stays(passes(row)));
        self.at = self.at.saturating_sub(leaving.above);
        self.top = self.top.saturating_sub(leaving.above);
        self.ragged |= rows.len() < before;
        rows.len() < before
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
        if !self.ragged {
            self.top = self.top.min(rows.saturating_sub(height));
        }
        self.top..(self.top + height).min(rows)
    }
}
