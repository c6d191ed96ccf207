//! The stream in another order than that of its arrival: the rows in memory, sorted, still until somebody goes on.

use std::sync::Arc;

use super::stream::Stream;
use crate::{
    event::Event,
    tui::{
        text,
        widgets::{cursor::Cursor, window::Row as _},
    },
};

/// In which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// As they were seen last: live.
    #[default]
    Seen,
    /// By the cluster's time.
    Happened,
    /// The worst first.
    Severity,
    /// The most frequent first.
    Count,
}

impl Order {
    /// The next one.
    pub fn next(self) -> Self {
        match self {
            Order::Seen => Order::Happened,
            Order::Happened => Order::Severity,
            Order::Severity => Order::Count,
            Order::Count => Order::Seen,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Order::Seen => "by the time they were last seen",
            Order::Happened => "by the time they first happened",
            Order::Severity => "by severity",
            Order::Count => "by how often",
        }
    }
}

/// A list that stands still.
pub struct Sorted {
    pub rows: Vec<(u64, Arc<Event>)>,
    pub cursor: Cursor,
    pub order: Order,
    pub reverse: bool,
}

impl Sorted {
    /// Of these rows, standing on the one that was selected.
    pub fn new(mut rows: Vec<(u64, Arc<Event>)>, selected: Option<u64>, order: Order, reverse: bool) -> Self {
        // The row's number is the stable key: what is equal keeps the order in which it came.
        rows.sort_by(|(a_seq, a), (b_seq, b)| {
            let by = match order {
                Order::Seen => b.seen().cmp(&a.seen()),
                Order::Happened => b.timestamp.cmp(&a.timestamp),
                Order::Severity => b.severity.cmp(&a.severity),
                Order::Count => b.count.cmp(&a.count),
            };
            by.then(b_seq.cmp(a_seq))
        });
        if reverse {
            rows.reverse();
        }
        let at = selected.and_then(|seq| rows.iter().position(|(s, _)| *s == seq)).unwrap_or(0);
        Self { rows, cursor: Cursor { at, ..Cursor::default() }, order, reverse }
    }

    /// What stands under the list.
    pub fn words(&self) -> String {
        let reverse = if self.reverse { ", reversed" } else { "" };
        format!("the {} here {}{reverse}", text::count(self.rows.len() as u64, "event"), self.order.words())
    }
}

/// The stream's list, live or sorted.
impl Stream {
    /// The selected row.
    pub(super) fn selected(&self) -> Option<(u64, &Arc<Event>)> {
        match &self.sorted {
            Some(sorted) => sorted.rows.get(sorted.cursor.at).map(|(seq, e)| (*seq, e)),
            None => self.window.selected(),
        }
    }

    /// A row by its place in the list.
    pub(super) fn row(&self, place: usize) -> Option<(u64, &Arc<Event>)> {
        let row = match &self.sorted {
            Some(sorted) => sorted.rows.get(place),
            None => self.window.rows().get(place),
        };
        row.map(|(seq, e)| (*seq, e))
    }

    /// The place of the cursor.
    pub(super) fn at(&self) -> usize {
        self.sorted.as_ref().map_or(self.window.at, |s| s.cursor.at)
    }

    /// The places that are visible, from a line of the screen on.
    pub(super) fn visible(&mut self, line: u16, height: usize) -> std::ops::Range<usize> {
        if let Some(sorted) = &mut self.sorted {
            sorted.cursor.line = line;
            return sorted.cursor.visible(sorted.rows.len(), height);
        }
        self.window.line = line;
        self.window.visible(height)
    }

    /// The column of times says when it happened, not when it was seen last.
    pub(super) fn by_happened(&self) -> bool {
        self.sorted.as_ref().is_some_and(|s| s.order == Order::Happened)
    }

    /// Over the column of times.
    pub(super) fn heading(&self) -> &'static str {
        match self.sorted.as_ref().map(|s| (s.order, s.reverse)) {
            None | Some((Order::Seen, false)) => "SEEN▼",
            Some((Order::Seen, true)) => "SEEN▲",
            Some((Order::Happened, false)) => "TIME▼",
            Some((Order::Happened, true)) => "TIME▲",
            Some(_) => "SEEN",
        }
    }

    /// How the list is sorted, where it is not live.
    pub(super) fn sorted_words(&self) -> Option<String> {
        self.sorted.as_ref().map(Sorted::words)
    }

    pub(super) fn sort(&mut self, order: Order, reverse: bool) {
        let selected = self.selected().map(|(seq, _)| seq);
        self.window.follow = false;
        self.sorted = (order != Order::Seen || reverse)
            .then(|| Sorted::new(self.window.rows().iter().cloned().collect(), selected, order, reverse));
        if let (None, Some(seq)) = (&self.sorted, selected) {
            self.window.go(seq);
        }
    }

    pub(super) fn order(&self) -> (Order, bool) {
        self.sorted.as_ref().map_or((Order::Seen, false), |s| (s.order, s.reverse))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Severity, tui::blank::blank_event};

    #[test]
    fn what_is_equal_keeps_its_order_and_the_cursor_its_row() {
        let rows: Vec<_> = (1..=6_u64)
            .rev()
            .map(|seq| {
                let mut event = blank_event();
                event.severity = if seq % 2 == 0 { Severity::High } else { Severity::Info };
                (seq, Arc::new(event))
            })
            .collect();
        let seqs = |s: &Sorted| s.rows.iter().map(|(seq, _)| *seq).collect::<Vec<_>>();
        let sorted = Sorted::new(rows.clone(), Some(3), Order::Severity, false);
        assert_eq!(seqs(&sorted), [6, 4, 2, 5, 3, 1]);
        assert_eq!(sorted.rows[sorted.cursor.at].0, 3);
        assert_eq!(seqs(&Sorted::new(rows, None, Order::Severity, true)), [1, 3, 5, 2, 4, 6]);
    }
}
