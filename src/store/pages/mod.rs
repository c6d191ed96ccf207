//! What screens and commands read: pages of rows, newest first, over any `Read` (mostly a `Snapshot`).
//!
//! Every call answers a bounded number of rows after looking at a bounded number, so that no snapshot is held for
//! long: whoever filters a long history calls again with the cursor of the page, on a fresh snapshot. Nothing here
//! writes, and nothing here is kept between calls.

mod events;
mod incidents;
mod objects;
mod queues;
mod recovery;

use serde::de::DeserializeOwned;

use super::{error::Result, schema::Log, tx::Read};

pub use events::{
    Span, event, event_by_id, events_about, events_back, events_of_incident, events_on, find_event,
    oldest_event, seq_at,
};
pub use incidents::{ended_incidents, find_incident, incident, incidents_back, members, open_incidents};
pub use objects::{is_listed, nodes_failing};
pub use queues::{
    OutboxCount, audit_back, connectors, dead_counts, dead_letters_back, deliveries_about, deliveries_back,
    deliveries_on, gaps_back, outbox_counts,
};
pub use recovery::{Now, Recovery, Waits, now};

/// Some rows, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, C = u64> {
    /// The rows that were asked for and passed.
    pub rows: Vec<T>,
    /// How many were looked at.
    pub examined: usize,
    /// Hand this in to go on; `None` when there is no more.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    const fn new() -> Self {
        Self { rows: Vec::new(), examined: 0, next: None }
    }
}

/// How much one call may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rows to answer.
    pub rows: usize,
    /// Rows to look at.
    pub examine: usize,
}

impl Limits {
    /// Rows that can be decoded within 100 ms, the longest time for which a snapshot should live.
    pub const EXAMINE: usize = 5_000;

    /// So many rows, from as many as a snapshot has time for.
    pub const fn rows(rows: usize) -> Self {
        Self { rows, examine: Self::EXAMINE }
    }
}

/// What a person's abbreviation of an id stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<T> {
    /// Nothing begins like that.
    Nothing,
    /// One thing does.
    One(T),
    /// Several do: their whole ids, at most ten.
    Several(Vec<String>),
}

/// A page of a log, newest first, from below `below` (`None`: from the newest). `keep` answers whether a row is
/// wanted; `stop` whether it and all older ones are out of range.
fn back<V: DeserializeOwned>(
    read: &impl Read,
    table: &Log<V>,
    below: Option<u64>,
    limits: Limits,
    judge: &dyn Fn(&V) -> Verdict,
) -> Result<Page<(u64, V)>> {
    let mut page = Page::new();
    read.read_log_back(table, below.unwrap_or(u64::MAX), &mut |seq, row| {
        page.examined += 1;
        match judge(&row) {
            Verdict::Keep => page.rows.push((seq, row)),
            Verdict::Skip => {}
            Verdict::Stop => {
                page.next = None;
                return false;
            }
        }
        page.next = Some(seq);
        page.rows.len() < limits.rows && page.examined < limits.examine
    })?;
    Ok(ended(page, limits))
}

/// A page of a log, oldest first, from a seq on; `next` is where to go on, and is also given at the end of what is there.
fn on<V: DeserializeOwned>(
    read: &impl Read,
    table: &Log<V>,
    from: u64,
    limits: Limits,
    wanted: &dyn Fn(&V) -> bool,
) -> Result<Page<(u64, V)>> {
    let mut page = Page::new();
    page.next = Some(from);
    read.read_log(table, from, &mut |seq, row| {
        page.examined += 1;
        page.next = Some(seq + 1);
        if wanted(&row) {
            page.rows.push((seq, row));
        }
        page.rows.len() < limits.rows && page.examined < limits.examine
    })?;
    Ok(page)
}

/// A scan that ran out of rows, not of limits, is at its end.
fn ended<T, C>(mut page: Page<T, C>, limits: Limits) -> Page<T, C> {
    if page.rows.len() < limits.rows && page.examined < limits.examine {
        page.next = None;
    }
    page
}

/// What a filter says of a row.
enum Verdict {
    Keep,
    Skip,
    Stop,
}

const fn keep_if(wanted: bool) -> Verdict {
    if wanted { Verdict::Keep } else { Verdict::Skip }
}

#[cfg(test)]
mod tests;
