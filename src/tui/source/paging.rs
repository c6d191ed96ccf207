//! Pages of a log that a list scrolls through, in slices of a snapshot each: older and newer rows, and those around one.

use std::sync::Arc;

use super::Job;
use crate::{
    store::{
        Result, Snapshot,
        pages::{self, Limits},
    },
    tui::{
        effect::{From, PageAsk},
        widgets::window::{PAGE, Page},
    },
};

/// A search that has found something is shown after so many rows, and goes on when somebody scrolls there.
const SHOW_AFTER: usize = 20_000;

/// A log, and which of its rows are wanted.
pub trait Log {
    /// What it holds.
    type Row;
    /// Rows from below one, the newest first; `next` is `None` at the end.
    fn back(
        &self,
        snapshot: &Snapshot,
        below: Option<u64>,
        limits: Limits,
    ) -> Result<pages::Page<(u64, Self::Row)>>;
    /// Rows from one on, the oldest first; `next` is where to go on.
    fn on(&self, snapshot: &Snapshot, from: u64, limits: Limits) -> Result<pages::Page<(u64, Self::Row)>>;
}

type Rows<R> = Vec<(u64, Arc<R>)>;

/// Older rows, whether there are no more, and whether the search was left early.
type Older<R> = (Rows<R>, bool, bool);

/// The page that is asked for, and whether it was left early; `None` where a newer question has come.
pub fn page<L: Log>(job: &Job<'_>, log: &L, ask: PageAsk) -> Result<Option<(Page<L::Row>, bool)>> {
    let found = match ask.from {
        From::Newest => older(job, log, None, PAGE)?.map(|(r, oldest, p)| (r, true, oldest, p)),
        From::Below(seq) => older(job, log, Some(seq), PAGE)?.map(|(r, oldest, p)| (r, false, oldest, p)),
        From::Above(seq) => newer(job, log, seq + 1, PAGE)?.map(|(r, newest)| (r, newest, false, false)),
        // The oldest rows are a page of their own: what lies above them is not here yet.
        From::Oldest => newer(job, log, 0, PAGE)?.map(|(r, newest)| (r, newest, true, false)),
        From::Around(seq) => {
            let above = newer(job, log, seq + 1, PAGE / 2)?;
            let below = older(job, log, Some(seq + 1), PAGE)?;
            above.zip(below).map(|((mut rows, newest), (rest, oldest, partial))| {
                rows.extend(rest);
                (rows, newest, oldest, partial)
            })
        }
    };
    Ok(found.map(|(rows, newest, oldest, partial)| (Page { ask, rows, newest, oldest }, partial)))
}

/// As many older rows from below a row as are wanted.
fn older<L: Log>(job: &Job<'_>, log: &L, below: Option<u64>, want: usize) -> Result<Option<Older<L::Row>>> {
    let mut rows = Vec::new();
    let mut below = below;
    let mut examined = 0;
    loop {
        let page = log.back(&job.snapshot()?, below, Limits::rows(want - rows.len()))?;
        rows.extend(page.rows.into_iter().map(|(seq, row)| (seq, Arc::new(row))));
        examined += page.examined;
        let Some(next) = page.next else { return Ok(Some((rows, true, false))) };
        if rows.len() >= want {
            return Ok(Some((rows, false, false)));
        }
        if !rows.is_empty() && examined >= SHOW_AFTER {
            return Ok(Some((rows, false, true)));
        }
        if job.stale() {
            return Ok(None);
        }
        below = Some(next);
    }
}

/// Newer rows from a row on, the newest first, and whether there are no more.
fn newer<L: Log>(job: &Job<'_>, log: &L, from: u64, want: usize) -> Result<Option<(Rows<L::Row>, bool)>> {
    let mut rows = Vec::new();
    let mut from = from;
    loop {
        let limits = Limits::rows(want - rows.len());
        let page = log.on(&job.snapshot()?, from, limits)?;
        rows.extend(page.rows.into_iter().map(|(seq, row)| (seq, Arc::new(row))));
        let full = rows.len() >= want;
        let end = !full && page.examined < limits.examine;
        if full || end {
            rows.reverse();
            return Ok(Some((rows, end)));
        }
        if job.stale() {
            return Ok(None);
        }
        from = page.next.unwrap_or(from);
    }
}
