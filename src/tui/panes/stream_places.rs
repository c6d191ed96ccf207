//! Where a reader of the stream stands: on the next match, on his row when other rows are shown, and when rows grow too
//! old for what is shown.

use jiff::SignedDuration;

use super::{sorted::Order, stream::Stream};
use crate::{
    event::Event,
    tui::{
        effect::{Effect, Query, Wanted},
        model::{Level, Shared},
        query::{self, is_warning},
    },
};

/// How often events are counted again that pass only for a time, where not all of them are in memory.
const COUNT_AGAIN: SignedDuration = SignedDuration::from_mins(1);

impl Stream {
    /// How many pass.
    pub(super) fn count_them(&mut self, shared: &Shared) -> Option<Effect> {
        self.counted_at = shared.now;
        (!self.query.is_all())
            .then(|| Effect::Query(Query::Count { query: Box::new(self.query.clone()), now: shared.now }))
    }

    /// What has grown older than what is shown leaves, but for what a reader looks at.
    pub(super) fn let_go(&mut self, shared: &mut Shared) -> Option<Effect> {
        let since = self.query.since(shared.now)?;
        let whole = self.window.oldest && self.window.newest;
        let gone = self.window.let_go(|event| query::last(event) >= since);
        let mut went = gone > 0;
        if let Some(sorted) = &mut self.sorted {
            went |= sorted.cursor.let_go(&mut sorted.rows, |(_, event)| query::last(event) >= since);
        }
        shared.dirty |= went;
        match &mut self.found {
            Some((found, _, true)) if whole => *found = found.saturating_sub(gone as u64),
            Some((_, _, true)) if shared.now.duration_since(self.counted_at) >= COUNT_AGAIN => {
                return self.count_them(shared);
            }
            _ => {}
        }
        None
    }

    /// All rows or warnings only. A reader stays where he is, and is there again when he turns back.
    pub(super) fn warnings_only(&mut self, shared: &mut Shared) -> Vec<Effect> {
        self.query.warnings = !self.query.warnings;
        let here = self.selected().map(|(seq, _)| seq).filter(|_| !self.window.follow);
        let stand = if self.query.warnings { here } else { self.left.take().or(here) };
        self.left = here.filter(|_| self.query.warnings);
        self.restart(stand, shared)
    }

    pub(super) fn find(&mut self, older: bool, wanted: Wanted, shared: &mut Shared) -> Vec<Effect> {
        // The next one is the next in time: in another order there is none.
        self.sort(Order::Seen, false);
        if self.window.rows().is_empty() {
            return Vec::new();
        }
        let from = self.window.edge(older);
        let passes = |event: &Event| match &wanted {
            Wanted::Warning => is_warning(event),
            Wanted::Filter(filter) => filter.matches(event, shared.now),
        };
        let rows = self.window.rows();
        let here = if older {
            rows.iter().skip(self.window.at + 1).find(|(_, e)| passes(e))
        } else {
            rows.iter().take(self.window.at).rev().find(|(_, e)| passes(e))
        };
        if let Some((seq, _)) = here {
            let seq = *seq;
            self.window.go(seq);
            return self.moved(shared);
        }
        if older && self.window.oldest || !older && self.window.newest {
            shared.say(Level::Bad, if older { "no older one" } else { "no newer one" });
            return Vec::new();
        }
        let jump = self.jumps.0 + 1;
        self.jumps = (jump, Some(jump));
        vec![Effect::Query(Query::Find {
            query: Box::new(self.query.clone()),
            wanted,
            from,
            older,
            jump,
            now: shared.now,
        })]
    }
}
