//! The part of a long log that is in memory, the newest first, with a cursor that is tied to a row and a screen line.
//!
//! Nothing is inserted above a cursor that stands still: what comes meanwhile is counted, and read when somebody
//! goes there. A row that happens again rises to the top of a list that follows; under a reader it stays where it is.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use jiff::Timestamp;

pub use paging::Page;

use super::cursor::Leaving;
use crate::tui::{action::Action, effect::PageAsk};

/// What stands in such a list.
pub trait Row {
    /// When it was seen last, by which it stands where it does: what comes now is above everything, however late it is
    /// told. `None` where nothing happens twice, and the number alone says the order.
    fn seen(&self) -> Option<Timestamp> {
        None
    }
}

impl Row for crate::store::DeliveryRow {}

impl Row for crate::event::Event {
    fn seen(&self) -> Option<Timestamp> {
        // A repeat is folded into its first and only moves `last_seen`; what comes late was seen later than it was.
        Some(if self.count > 1 { self.observed_at.max(self.last_seen) } else { self.observed_at })
    }
}

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
    /// How many came since the window stopped following and are not here yet.
    unseen: u64,
    /// The first row that came since then and was not looked at yet.
    new_from: Option<u64>,
    /// The page that is on its way.
    under_way: Option<PageAsk>,
    /// Pages asked for so far.
    number: u64,
    /// A page that was to replace everything could not be read.
    owed: bool,
    /// The newest row that the feed told of: a page that was read before it was committed is not the newest.
    latest: u64,
    /// The same when the page on its way was asked for: what the feed told before, and the page does not have, has left
    /// the range of time that is asked for.
    asked: u64,
    /// Every row of the store from the one to the other is here. Outside there may be some that happened again.
    low: u64,
    high: u64,
    /// Rows have left under a reader: what he sees stays on its line until he moves.
    ragged: bool,
    /// Rows have happened again under a reader: they rise when the list follows.
    unsorted: bool,
    /// Those among them that stand where they stood, and the time by which they do.
    again: HashMap<u64, Timestamp>,
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
            new_from: None,
            under_way: None,
            number: 0,
            owed: false,
            latest: 0,
            asked: 0,
            low: u64::MAX,
            high: 0,
            ragged: false,
            unsorted: false,
            again: HashMap::new(),
        }
    }
}

/// The place in the order: the newest first, by its number where the times are the same.
fn order<R: Row>((seq, row): &(u64, Arc<R>)) -> Reverse<(Option<Timestamp>, u64)> {
    Reverse((row.seen(), *seq))
}

impl<R: Row> Window<R> {
    /// Its rows, the newest first.
    pub fn rows(&self) -> &VecDeque<(u64, Arc<R>)> {
        &self.rows
    }

    /// The selected row.
    pub fn selected(&self) -> Option<(u64, &Arc<R>)> {
        self.rows.get(self.at).map(|(seq, row)| (*seq, row))
    }

    /// A row that nobody has told of yet.
    pub fn is_new(&self, seq: u64) -> bool {
        seq > self.high.max(self.latest)
    }

    /// The row from which on a search goes on in the store: what is in memory was looked at.
    pub fn edge(&self, older: bool) -> u64 {
        if older { self.low } else { self.high }
    }

    /// Shows new rows as they come.
    pub fn follow(&mut self) {
        self.follow = true;
        self.unseen = 0;
        self.new_from = None;
        self.again.clear();
        if std::mem::take(&mut self.unsorted) {
            self.rows.make_contiguous().sort_by_key(order);
        }
    }

    /// The time by which a row stands where it is, where it has happened again since.
    pub fn stood_at(&self, seq: u64) -> Option<Timestamp> {
        self.again.get(&seq).copied()
    }

    /// The newest page in place of everything, under what the feed brought since the page was read.
    fn replace_newest(&mut self, page: Vec<(u64, Arc<R>)>, oldest: bool, wanted: impl Fn(&R) -> bool) {
        let first = page.iter().map(|(s, _)| *s).max().unwrap_or(0);
        let newer = self.rows.iter().filter(|(s, r)| *s > first && *s <= self.latest && wanted(r));
        let mut rows: Vec<_> = newer.cloned().collect();
        rows.extend(page);
        self.replace(rows, true, oldest, None);
    }

    /// A page in place of everything. `around`: the row to stand on, on the line on which the cursor is.
    fn replace(&mut self, rows: Vec<(u64, Arc<R>)>, newest: bool, oldest: bool, around: Option<u64>) {
        let line = self.at.saturating_sub(self.top);
        let mut rows = rows;
        self.low = rows.iter().map(|(s, _)| *s).min().unwrap_or(u64::MAX);
        self.high = rows.iter().map(|(s, _)| *s).max().unwrap_or(0);
        rows.sort_by_key(order);
        self.rows = rows.into();
        self.unsorted = false;
        self.again.clear();
        self.ragged = false;
        self.newest = newest && self.high >= self.latest;
        self.oldest = oldest;
        self.under_way = None;
        // It may have been evicted meanwhile: then the next older one, else the oldest that is left.
        let nearest = |seq: u64| {
            let below = self.rows.iter().enumerate().filter(|(_, (s, _))| *s <= seq);
            let found = below.max_by_key(|(_, (s, _))| *s).map(|(place, _)| place);
            found.unwrap_or(self.rows.len().saturating_sub(1))
        };
        self.at = around.map_or(0, nearest);
        self.top = self.at.saturating_sub(if around.is_some() { line } else { 0 });
        if newest && self.follow {
            self.new_from = None;
        }
        if self.newest || newest && self.follow {
            self.unseen = 0;
        }
    }

    /// How many came since the window stopped following and stand above what is shown, or would.
    pub fn new_above(&self) -> u64 {
        let Some(from) = self.new_from else { return 0 };
        let above = self.rows.iter().take(self.top).filter(|(seq, _)| *seq >= from);
        self.unseen + above.count() as u64
    }

    /// Stands on the last row.
    fn go_last(&mut self) {
        self.at = self.rows.len().saturating_sub(1);
    }

    /// An older page under the window.
    fn append(&mut self, rows: Vec<(u64, Arc<R>)>, oldest: bool) {
        // Also where all of them are here already: the next page begins below them.
        self.low = rows.iter().map(|(s, _)| *s).fold(self.low, u64::min);
        let rows = self.absent(rows);
        self.rows.extend(rows);
        self.oldest = oldest;
        self.under_way = None;
        // What can be seen stays where it is.
        let below = (self.top + self.height).max(self.at + 1).min(self.rows.len());
        if let Some(below) = self.rows.make_contiguous().get_mut(below..) {
            below.sort_by_key(order);
            self.again.retain(|seq, _| !below.iter().any(|(s, _)| s == seq));
        }
        // The newer end goes where the cursor is not; the selected row keeps its line.
        let spare = self.rows.len().saturating_sub(CAPACITY).min(self.top);
        if spare > 0 {
            let gone = self.rows.drain(..spare).map(|(s, _)| s).min();
            self.high = gone.map_or(self.high, |s| self.high.min(s - 1));
            self.at -= spare;
            self.top -= spare;
            self.newest = false;
        }
    }

    /// A newer page above the window; the selected row keeps its line.
    fn prepend(&mut self, rows: Vec<(u64, Arc<R>)>, newest: bool) {
        self.high = rows.iter().map(|(s, _)| *s).fold(self.high, u64::max);
        let rows = self.absent(rows);
        let added = rows.len();
        let new = rows.iter().filter(|(seq, _)| self.new_from.is_some_and(|from| *seq >= from)).count();
        for row in rows.into_iter().rev() {
            self.rows.push_front(row);
        }
        self.at += added;
        self.top += added;
        if let Some(above) = self.rows.make_contiguous().get_mut(..self.top) {
            above.sort_by_key(order);
            self.again.retain(|seq, _| !above.iter().any(|(s, _)| s == seq));
        }
        self.newest = newest && self.high.max(self.asked) >= self.latest;
        self.unseen = if self.newest { 0 } else { self.unseen.saturating_sub(new as u64) };
        self.under_way = None;
        self.shorten(CAPACITY.max(self.top + self.height));
    }

    /// Those that are not here already.
    fn absent(&self, mut rows: Vec<(u64, Arc<R>)>) -> Vec<(u64, Arc<R>)> {
        let here: HashSet<u64> = self.rows.iter().map(|(s, _)| *s).collect();
        rows.retain(|(s, _)| !here.contains(s));
        rows
    }

    /// Lets the older end go.
    fn shorten(&mut self, most: usize) {
        if self.rows.len() > most {
            let gone = self.rows.drain(most..).map(|(s, _)| s).max();
            self.low = gone.map_or(self.low, |s| self.low.max(s + 1));
            self.oldest = false;
        }
    }

    /// What the feed brought: shown at once when following, else counted. Whether the screen changes.
    pub fn push(&mut self, seq: u64, row: &Arc<R>) -> bool {
        let live = self.follow && self.newest;
        if let Some(place) = self.place(seq) {
            // A repeat was folded into a row that is here.
            if live {
                self.rows.remove(place);
                self.insert(seq, row);
                return true;
            }
            if let Some((_, old)) = self.rows.get_mut(place) {
                if let Some(stood) = old.seen() {
                    self.again.entry(seq).or_insert(stood);
                    self.unsorted = true;
                }
                *old = Arc::clone(row);
            }
            return (self.top..self.top + self.height.max(1)).contains(&place);
        }
        if seq <= self.high {
            // Folded into a row that is not in memory.
            if live {
                self.insert(seq, row);
            }
            return live;
        }
        let new = self.is_new(seq);
        self.latest = self.latest.max(seq);
        if live {
            self.high = seq;
            self.low = self.low.min(seq);
            self.insert(seq, row);
        } else {
            self.newest = false;
            self.unseen += u64::from(new);
            if new {
                self.new_from.get_or_insert(seq);
            }
        }
        live || new
    }

    /// At its place in the order; the oldest gives way.
    fn insert(&mut self, seq: u64, row: &Arc<R>) {
        let row = (seq, Arc::clone(row));
        let key = order(&row);
        // Almost always at the top: looked for from there.
        let place = self.rows.iter().position(|other| order(other) > key).unwrap_or(self.rows.len());
        self.rows.insert(place, row);
        self.shorten(CAPACITY);
    }

    fn place(&self, seq: u64) -> Option<usize> {
        // The feed brings new rows, mostly.
        if seq > self.high { None } else { self.rows.iter().position(|(s, _)| *s == seq) }
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
            self.ragged = false;
        }
        true
    }

    /// What does not pass any more leaves, but for what a reader looks at; how many did.
    pub fn let_go(&mut self, passes: impl Fn(&R) -> bool) -> usize {
        let before = self.rows.len();
        let mut leaving = Leaving::new((!self.follow).then_some((self.top, self.at)));
        self.rows.retain(|(_, row)| leaving.stays(passes(row)));
        self.at = self.at.saturating_sub(leaving.above);
        self.top = self.top.saturating_sub(leaving.above);
        let gone = before - self.rows.len();
        if gone > 0 {
            self.ragged = !self.follow;
            let here: HashSet<u64> = self.rows.iter().map(|(seq, _)| *seq).collect();
            self.again.retain(|seq, _| here.contains(seq));
        }
        gone
    }

    /// How far the row on a line of the screen is from the cursor.
    pub fn steps_to(&self, line: u16) -> Option<i32> {
        let below = usize::from(line.checked_sub(self.line)?);
        let place = Some(self.top + below).filter(|p| below < self.height && *p < self.rows.len())?;
        i32::try_from(place).ok()?.checked_sub(i32::try_from(self.at).ok()?)
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
        if !self.ragged {
            self.top = self.top.min(rows.saturating_sub(height));
        }
        let shown = self.top..(self.top + height).min(rows);
        // What is looked at is new no more.
        let newest = self.rows.range(shown.clone()).map(|(seq, _)| *seq).max();
        if let (Some(from), Some(newest)) = (self.new_from, newest)
            && newest >= from
        {
            self.new_from = Some(newest + 1);
        }
        shown
    }
}

mod paging;

#[cfg(test)]
mod tests;
