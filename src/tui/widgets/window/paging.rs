//! Which page of the log a window asks for, and what becomes of the answer: the same for every list. A reader stays on
//! his row whatever is read; only the newest question is waited for, and one that fails is put again with the next key.

use std::sync::Arc;

use super::{MARGIN, Row, Window};
use crate::tui::effect::{From, PageAsk};

/// A page that came.
#[derive(Debug)]
pub struct Page<R> {
    /// As it was asked for.
    pub ask: PageAsk,
    /// The rows, the newest first.
    pub rows: Vec<(u64, Arc<R>)>,
    /// Nothing newer passes.
    pub newest: bool,
    /// Nothing older passes.
    pub oldest: bool,
}

impl<R> Page<R> {
    /// Out of an answer that others may look at, too.
    pub fn take(&mut self) -> Self {
        Self { rows: std::mem::take(&mut self.rows), ..*self }
    }
}

impl<R: Row> Window<R> {
    /// A page is asked for; none that was asked for before is waited for any more.
    pub fn ask(&mut self, from: From) -> PageAsk {
        self.number += 1;
        let ask = PageAsk { from, number: self.number };
        self.under_way = Some(ask);
        self.owed = false;
        self.asked = self.latest;
        ask
    }

    /// A page is on its way.
    pub fn is_loading(&self) -> bool {
        self.under_way.is_some()
    }

    /// A page could not be read; what is here may not be what is wanted.
    pub fn is_owed(&self) -> bool {
        self.owed
    }

    /// Other rows are wanted from now on; the old ones stay until their page is here. `stand`: the row of a reader.
    pub fn restart(&mut self, stand: Option<u64>) -> From {
        self.follow = stand.is_none();
        self.newest = true;
        self.unseen = 0;
        self.new_from = None;
        self.latest = 0;
        stand.map_or(From::Newest, From::Around)
    }

    /// To the newest row, and along with it: the page that is to be read for that, if one is.
    pub fn go_newest(&mut self) -> Option<From> {
        if self.newest && !self.owed {
            self.follow();
            return None;
        }
        Some(self.restart(None))
    }

    /// To the oldest row: the page that is to be read for that, if one is.
    pub fn go_oldest(&mut self) -> Option<From> {
        self.follow = false;
        if self.oldest && !self.owed {
            self.go_last();
            return None;
        }
        Some(From::Oldest)
    }

    /// The page that the cursor will need soon, if none is on its way.
    pub fn need(&self) -> Option<From> {
        let here = self.selected().map(|(seq, _)| seq);
        match (self.under_way.map(|ask| ask.from), here) {
            // Around another row than the one on which the reader is by now: it would take him back, or away.
            (Some(From::Around(seq)), Some(here)) if seq != here => return Some(From::Around(here)),
            (None, here) if self.owed => {
                return Some(here.filter(|_| !self.follow).map_or(From::Newest, From::Around));
            }
            (None, Some(_)) => {}
            (Some(_), _) | (None, None) => return None,
        }
        if !self.newest && self.at < MARGIN && !self.follow {
            return Some(From::Above(self.high));
        }
        (!self.oldest && self.at + MARGIN >= self.rows.len()).then_some(From::Below(self.low))
    }

    /// Takes a page; whether it was waited for. `wanted`: what of that which the feed brought meanwhile belongs to it.
    pub fn take(&mut self, page: Page<R>, wanted: impl Fn(&R) -> bool) -> bool {
        if self.under_way != Some(page.ask) {
            return false;
        }
        let Page { ask, rows, newest, oldest } = page;
        match ask.from {
            From::Below(_) => self.append(rows, oldest),
            From::Above(_) => self.prepend(rows, newest),
            From::Newest => self.replace_newest(rows, oldest, wanted),
            From::Oldest => {
                self.replace(rows, newest, oldest, None);
                self.go_last();
            }
            From::Around(seq) => self.replace(rows, newest, oldest, Some(seq)),
        }
        true
    }

    /// A page could not be read; whether it was waited for. The next movement asks again.
    pub fn failed(&mut self, ask: PageAsk) -> bool {
        let waited = self.under_way == Some(ask);
        if waited {
            self.under_way = None;
            // A part at an edge is asked for whenever the cursor comes near it; these were to replace everything.
            self.owed = matches!(ask.from, From::Newest | From::Around(_));
        }
        waited
    }

    /// Another screen is shown: a row that was looked for is not to be stood on when somebody comes back.
    pub fn stay(&mut self) {
        let here = self.selected().map(|(seq, _)| seq);
        if let Some(From::Around(seq)) = self.under_way.map(|ask| ask.from)
            && here != Some(seq)
        {
            self.under_way = None;
            self.owed = true;
        }
    }
}
