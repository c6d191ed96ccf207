//! The part of a long log that is in memory, the newest first, with a cursor that is tied to a row and a screen line.
//!
//! Nothing is inserted above a cursor that stands still: what comes meanwhile is counted, and read when somebody
//! goes there.

use std::{collections::VecDeque, sync::Arc};

use crate::tui::action::Action;

/// Rows kept in memory at most.
pub const CAPACITY: usize = 1_000;
/// Rows of a page.
pub const PAGE: usize = 300;
/// A page is asked for when fewer rows than this are left in its direction.
const MARGIN: usize = 60;

/// The rows, the cursor, and what is known of the rest.
#[derive(Debug)]
pub struct Window<R> {
    rows: VecDeque<(u64, Arc<R>)>,
    /// The selected row.
    pub at: usize,
    /// The topmost visible row.
    pub top: usize,
    /// Rows that fit on the screen; set by the view.
    pub height: usize,
    /// The screen's line of the topmost row; set by the view.
    pub line: u16,
    /// Nothing newer is in the store.
    pub newest: bool,
    /// Nothing older is in the store.
    pub oldest: bool,
    /// New rows are shown as they come.
    pub follow: bool,
    /// How many came since the window stopped following.
    pub unseen: u64,
    /// A page is on its way.
    pub loading: bool,
    /// The newest row that the feed told of: a page that was read before it was committed is not the newest.
    latest: u64,
}

/// Which page is needed next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Older than this row.
    Below(u64),
    /// Newer than this row.
    Above(u64),
}

impl<R> Default for Window<R> {
    fn default() -> Self {
        Self {
            rows: VecDeque::new(),
            at: 0,
            top: 0,
            height: 0,
            line: 0,
            newest: false,
            oldest: false,
            follow: true,
            unseen: 0,
            loading: false,
            latest: 0,
        }
    }
}

impl<R> Window<R> {
    /// Its rows, the newest first.
    pub fn rows(&self) -> &VecDeque<(u64, Arc<R>)> {
        &self.rows
    }

    /// The selected row.
    pub fn selected(&self) -> Option<(u64, &Arc<R>)> {
        self.rows.get(self.at).map(|(seq, row)| (*seq, row))
    }

    /// Other rows are wanted from now on; the old ones stay until their page is here.
    pub fn restart(&mut self) {
        self.follow = true;
        self.newest = true;
        self.unseen = 0;
        self.latest = 0;
    }

    /// The newest page in place of everything, under what the feed brought since the page was read.
    pub fn replace_newest(&mut self, page: Vec<(u64, Arc<R>)>, oldest: bool, wanted: impl Fn(&R) -> bool) {
        let first = page.first().map_or(0, |(s, _)| *s);
        let newer =
            self.rows.iter().take_while(|(s, _)| *s > first).filter(|(s, r)| *s <= self.latest && wanted(r));
        let mut rows: Vec<_> = newer.cloned().collect();
        rows.extend(page);
        self.replace(rows, true, oldest, None);
    }

    /// A page in place of everything. `around`: the row to stand on, on the line on which the cursor is.
    pub fn replace(&mut self, rows: Vec<(u64, Arc<R>)>, newest: bool, oldest: bool, around: Option<u64>) {
        let line = self.at.saturating_sub(self.top);
        self.rows = rows.into();
        self.newest = newest && self.rows.front().map_or(0, |(s, _)| *s) >= self.latest;
        self.oldest = oldest;
        self.loading = false;
        self.at = around.and_then(|seq| self.rows.iter().position(|(s, _)| *s <= seq)).unwrap_or(0);
        self.top = self.at.saturating_sub(if around.is_some() { line } else { 0 });
        if newest && self.follow {
            self.unseen = 0;
        }
    }

    /// Stands on the last row.
    pub fn go_last(&mut self) {
        self.at = self.rows.len().saturating_sub(1);
    }

    /// An older page under the window.
    pub fn append(&mut self, rows: Vec<(u64, Arc<R>)>, oldest: bool) {
        let last = self.rows.back().map_or(u64::MAX, |(s, _)| *s);
        self.rows.extend(rows.into_iter().filter(|(s, _)| *s < last));
        self.oldest = oldest;
        self.loading = false;
        // The newer end goes where the cursor is not; the selected row keeps its line.
        let spare = self.rows.len().saturating_sub(CAPACITY).min(self.top);
        if spare > 0 {
            self.rows.drain(..spare);
            self.at -= spare;
            self.top -= spare;
            self.newest = false;
        }
    }

    /// A newer page above the window; the selected row keeps its line.
    pub fn prepend(&mut self, rows: Vec<(u64, Arc<R>)>, newest: bool) {
        let first = self.rows.front().map_or(0, |(s, _)| *s);
        let mut added = 0;
        for row in rows.into_iter().filter(|(s, _)| *s > first).rev() {
            self.rows.push_front(row);
            added += 1;
        }
        self.at += added;
        self.top += added;
        self.newest = newest && self.rows.front().map_or(0, |(s, _)| *s) >= self.latest;
        self.unseen = if self.newest { 0 } else { self.unseen.saturating_sub(added as u64) };
        self.loading = false;
        if self.rows.len() > CAPACITY {
            self.rows.truncate(CAPACITY.max(self.top + self.height));
            self.oldest = false;
        }
    }

    /// What the feed brought: shown at once when following, else counted. Whether the screen changes.
    pub fn push(&mut self, seq: u64, row: &Arc<R>) -> bool {
        if let Some(place) = self.place(seq) {
            // A repeat was folded into a row that is here.
            if let Some((_, old)) = self.rows.get_mut(place) {
                *old = Arc::clone(row);
            }
            return (self.top..self.top + self.height.max(1)).contains(&place);
        }
        if self.rows.front().is_some_and(|(first, _)| seq < *first) {
            // Folded into a row that is not in memory.
            return false;
        }
        self.latest = self.latest.max(seq);
        if self.follow && self.newest {
            self.rows.push_front((seq, Arc::clone(row)));
            if self.rows.len() > CAPACITY {
                self.rows.truncate(CAPACITY);
                self.oldest = false;
            }
        } else {
            self.newest = false;
            self.unseen += 1;
        }
        true
    }

    fn place(&self, seq: u64) -> Option<usize> {
        self.rows.binary_search_by(|(s, _)| seq.cmp(s)).ok()
    }

    /// Stands on a row that is in memory; whether it is.
    pub fn go(&mut self, seq: u64) -> bool {
        let Some(place) = self.place(seq) else { return false };
        self.follow = false;
        self.at = place;
        true
    }

    /// Moves, if the action is a move; whether it was one. Any move but to the top ends following.
    pub fn act(&mut self, action: Action) -> bool {
        let page = self.height.max(1);
        let last = self.rows.len().saturating_sub(1);
        let before = self.at;
        self.at = match action {
            Action::Down => self.at.saturating_add(1),
            Action::Up => self.at.saturating_sub(1),
            Action::HalfDown => self.at.saturating_add(page.div_ceil(2)),
            Action::HalfUp => self.at.saturating_sub(page.div_ceil(2)),
            Action::PageDown => self.at.saturating_add(page),
            Action::PageUp => self.at.saturating_sub(page),
            _ => return false,
        }
        .min(last);
        if self.at != before {
            self.follow = false;
        }
        true
    }

    /// How far the row on a line of the screen is from the cursor.
    pub fn steps_to(&self, line: u16) -> Option<i32> {
        let below = usize::from(line.checked_sub(self.line)?);
        let place = Some(self.top + below).filter(|p| below < self.height && *p < self.rows.len())?;
        i32::try_from(place).ok()?.checked_sub(i32::try_from(self.at).ok()?)
    }

    /// The page that the cursor will need soon, if none is on its way.
    pub fn need(&self) -> Option<Need> {
        if self.loading {
            return None;
        }
        let (first, last) = (self.rows.front()?.0, self.rows.back()?.0);
        if !self.newest && self.at < MARGIN && !self.follow {
            return Some(Need::Above(first));
        }
        (!self.oldest && self.at + MARGIN >= self.rows.len()).then_some(Need::Below(last))
    }

    /// The visible rows; scrolls as little as needed.
    pub fn visible(&mut self, height: usize) -> std::ops::Range<usize> {
        self.height = height;
        let rows = self.rows.len();
        self.at = self.at.min(rows.saturating_sub(1));
        if self.follow {
            self.at = 0;
            self.top = 0;
        }
        if self.at < self.top {
            self.top = self.at;
        } else if height > 0 && self.at >= self.top + height {
            self.top = self.at + 1 - height;
        }
        self.top = self.top.min(rows.saturating_sub(height));
        self.top..(self.top + height).min(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(range: std::ops::Range<u64>) -> Vec<(u64, Arc<u64>)> {
        range.rev().map(|s| (s, Arc::new(s))).collect()
    }

    fn line(window: &mut Window<u64>) -> (u64, usize) {
        window.visible(20);
        (window.selected().unwrap().0, window.at - window.top)
    }

    #[test]
    fn a_thousand_rows_above_leave_the_selected_row_on_its_line() {
        let mut window = Window::default();
        window.replace(page(1000..1100), true, true, None);
        window.visible(20);
        for _ in 0..30 {
            window.act(Action::Down);
            window.visible(20);
        }
        window.act(Action::Up);
        let before = line(&mut window);
        for seq in 1100..2100 {
            window.push(seq, &Arc::new(seq));
        }
        assert_eq!(line(&mut window), before);
        assert_eq!(window.unseen, 1000);
        // Reading them in moves nothing either.
        window.prepend(page(1100..1400), false);
        assert_eq!(line(&mut window), before);
        window.prepend(page(1400..2100), true);
        assert_eq!(line(&mut window), before);
        assert_eq!((window.unseen, window.newest), (0, true));
    }

    #[test]
    fn following_shows_the_newest_and_memory_is_bounded() {
        let mut window = Window::default();
        window.replace(Vec::new(), true, true, None);
        for seq in 1..=5_000 {
            window.push(seq, &Arc::new(seq));
        }
        assert_eq!(line(&mut window), (5_000, 0));
        assert_eq!(window.rows().len(), CAPACITY);
        assert!(!window.oldest);
        assert_eq!(window.need(), None);
        window.at = CAPACITY - 10;
        window.follow = false;
        assert_eq!(window.need(), Some(Need::Below(4_001)));
        window.visible(20);
        let before = line(&mut window);
        window.append(page(3_701..4_001), false);
        assert_eq!(line(&mut window), before);
        assert_eq!(window.rows().len(), CAPACITY);
        assert!(!window.newest);
    }

    #[test]
    fn what_comes_while_a_page_is_read_is_not_lost() {
        let mut window = Window::default();
        window.replace(page(1..10), true, true, None);
        window.restart();
        for seq in 10..13 {
            window.push(seq, &Arc::new(seq));
        }
        // The page was read before 11 was committed.
        window.replace_newest(page(5..11), true, |_| true);
        assert_eq!(window.rows().iter().map(|(s, _)| *s).collect::<Vec<_>>(), [12, 11, 10, 9, 8, 7, 6, 5]);
        // Standing still, a page that is older than the feed leaves something to read.
        window.act(Action::Down);
        window.push(20, &Arc::new(20));
        window.prepend(page(13..15), true);
        assert!(!window.newest);
        assert_eq!(window.need(), Some(Need::Above(14)));
    }

    #[test]
    fn a_folded_repeat_changes_its_row_in_place() {
        let mut window = Window::default();
        window.replace(page(1..10), true, true, None);
        window.visible(20);
        assert!(window.push(5, &Arc::new(55)));
        assert_eq!(window.rows().iter().find(|(s, _)| *s == 5).map(|(_, r)| **r), Some(55));
        assert_eq!(window.rows().len(), 9);
    }
}
