//! Keeps the store within its limits of age and size, oldest first, and counts what went.
//!
//! `app` calls `sweep` every minute. It works in write jobs of a few milliseconds each, between which other jobs
//! run, so the writer never stalls. It never takes outbox rows, objects, firings, or anything of an open incident.

mod chunk;

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    AUDIT, DEAD, DELIVERIES, DELIVERIES_BY, EVENT_IDS, EVENTS, EVENTS_BY_OBJECT, GAPS, INCIDENT_EVENTS,
    INCIDENT_OF, INCIDENTS, INCIDENTS_BY_TIME, MEMBERS, META, OUTBOX, REPEAT_IDS, Store, TOLD,
    error::{Error, Result},
    sizes,
    tx::{Read, Tx},
};
use crate::config::StoreSettings;
use chunk::Chunk;

/// The row of META that counts evicted rows by table.
const EVICTED: &str = "evicted";
/// How much of the file a byte of keys and values takes: pages are filled to about two thirds when keys come in no
/// order. `the_file_is_about_as_large_as_estimated` measures it.
const OVERHEAD: (u64, u64) = (3, 2);
/// After reaching the limit of size, this share is freed (in percent), so that not every sweep evicts.
const FREE_TO: u64 = 95;

/// The tables of which rows go.
const HISTORY: [&str; 14] = [
    EVENTS.name,
    EVENT_IDS.name,
    REPEAT_IDS.name,
    EVENTS_BY_OBJECT.name,
    INCIDENTS.name,
    INCIDENTS_BY_TIME.name,
    INCIDENT_OF.name,
    MEMBERS.name,
    INCIDENT_EVENTS.name,
    TOLD.name,
    DELIVERIES.name,
    DELIVERIES_BY.name,
    AUDIT.name,
    GAPS.name,
];

/// What to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Rows older than this go.
    pub age: SignedDuration,
    /// Above this size of the data (as it takes room in the file) the oldest go, down to a quarter of it in history.
    pub max_bytes: u64,
    /// Above this size of their own, the oldest dead letters go.
    pub dead_letters_max_bytes: u64,
    /// A resolved incident stays at least so long, whatever the size: its last messages may still wait.
    pub resolved_for: SignedDuration,
}

impl Retention {
    /// From the settings; `horizon` is the longest time for which a message may wait.
    pub fn new(settings: &StoreSettings, horizon: Duration) -> Self {
        let signed = |d: Duration| SignedDuration::try_from(d).unwrap_or(SignedDuration::MAX);
        Self {
            age: signed(settings.retention),
            max_bytes: settings.max_bytes,
            dead_letters_max_bytes: settings.dead_letters_max_bytes,
            resolved_for: signed(horizon).max(SignedDuration::from_hours(24)),
        }
    }
}

/// What one sweep took, by table.
pub type Evicted = BTreeMap<String, u64>;

/// The room that the data takes in the file, free pages left out, estimated from the bytes of all rows.
///
/// # Errors
/// The disk, or a row that cannot be read.
pub fn used_bytes(read: &impl Read) -> Result<u64> {
    Ok(sizes(read)?.values().sum::<u64>().saturating_mul(OVERHEAD.0) / OVERHEAD.1)
}

/// The same of the rows that may go: history, not the state of the cluster nor what waits to be sent.
fn history_bytes(read: &impl Read) -> Result<u64> {
    let rows: u64 =
        sizes(read)?.iter().filter(|(table, _)| HISTORY.contains(&table.as_str())).map(|(_, n)| n).sum();
    Ok(rows.saturating_mul(OVERHEAD.0) / OVERHEAD.1)
}

/// What of the limit is left for history. However much the rest takes, history keeps a quarter: without any the store
/// would be of no use, and the rest does not get smaller by it.
fn limit_of_history(max_bytes: u64, used: u64, history: u64) -> u64 {
    max_bytes.saturating_sub(used.saturating_sub(history)).max(max_bytes / 4)
}

/// Whether the outbox is at its cap; then reading from the cluster must stop. Costs one look-up.
///
/// # Errors
/// As `used_bytes`.
pub fn outbox_full(read: &impl Read, settings: &StoreSettings) -> Result<bool> {
    Ok(size_of_table(read, OUTBOX.name)? >= settings.outbox_max_bytes)
}

fn size_of_table(read: &impl Read, table: &str) -> Result<u64> {
    Ok(sizes(read)?.get(table).copied().unwrap_or(0))
}

/// What has been evicted since the file was made, by table.
///
/// # Errors
/// As `used_bytes`.
pub fn evicted(read: &impl Read) -> Result<Evicted> {
    let row = read.get(&META, EVICTED)?.unwrap_or_default();
    Ok(serde_json::from_value(row).unwrap_or_default())
}

/// What may go, in the order in which it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Events,
    Deliveries,
    Incidents,
    Audit,
    Gaps,
    Dead,
}

/// Why rows go.
#[derive(Debug, Clone, Copy)]
enum Until {
    /// They are from before this time.
    Before(Timestamp),
    /// The data is larger than this.
    DataBelow(u64),
    /// The dead letters are larger than this.
    DeadBelow(u64),
}

/// The stages for age, then for size, then for dead letters.
fn plan(now: Timestamp, limits: &Retention, (used, history): (u64, u64), dead: u64) -> Vec<(Stage, Until)> {
    const BY_TIME: [Stage; 5] =
        [Stage::Events, Stage::Deliveries, Stage::Incidents, Stage::Audit, Stage::Gaps];
    let oldest = now.saturating_sub(limits.age).unwrap_or(Timestamp::MIN);
    let mut steps: Vec<_> = BY_TIME.map(|stage| (stage, Until::Before(oldest))).into();
    let most = limit_of_history(limits.max_bytes, used, history);
    if used > limits.max_bytes && history > most {
        let target = most / 100 * FREE_TO;
        steps.extend(BY_TIME.map(|stage| (stage, Until::DataBelow(target))));
    }
    if dead > limits.dead_letters_max_bytes {
        steps.push((Stage::Dead, Until::DeadBelow(limits.dead_letters_max_bytes)));
    }
    steps
}

/// Evicts what is beyond the limits. Dropping the future stops between two chunks.
///
/// # Errors
/// The disk; what was evicted until then stays evicted and counted.
pub async fn sweep(store: &Store, limits: Retention, now: Timestamp) -> Result<Evicted> {
    let (used, dead) = {
        let read = store.snapshot()?;
        ((used_bytes(&read)?, history_bytes(&read)?), size_of_table(&read, DEAD.name)?)
    };
    let resolved_before = now.saturating_sub(limits.resolved_for).unwrap_or(Timestamp::MIN);
    let mut total = Evicted::new();
    for (stage, until) in plan(now, &limits, used, dead) {
        let mut from = Some(String::new());
        while let Some(cursor) = from.take() {
            let job = move |tx: &Tx<'_>| chunk(tx, stage, until, resolved_before, &cursor);
            let (next, evicted) = match store.write(job.clone()).await {
                // Another job of the same commit failed: this one is repeated.
                Err(Error::Undone(_)) => store.write(job).await?,
                other => other?,
            };
            from = next;
            for (table, n) in evicted {
                *total.entry(table).or_default() += n;
            }
        }
    }
    Ok(total)
}

/// One write job: some rows of one stage from a cursor on. Answers where to go on, and what went.
fn chunk(
    tx: &Tx<'_>,
    stage: Stage,
    until: Until,
    resolved_before: Timestamp,
    from: &str,
) -> Result<(Option<String>, Evicted)> {
    let mut chunk = Chunk::new(tx, until);
    match stage {
        Stage::Events => chunk.events(from)?,
        Stage::Deliveries => chunk.deliveries(from)?,
        Stage::Incidents => chunk.incidents(from, resolved_before)?,
        Stage::Audit => chunk.log(&AUDIT, from, |row| Some(row.at))?,
        Stage::Gaps => chunk.log(&GAPS, from, |row| row.to)?,
        Stage::Dead => chunk.log(&DEAD, from, |row| Some(row.at))?,
    }
    if !chunk.evicted.is_empty() {
        let mut all = evicted(tx)?;
        for (table, n) in &chunk.evicted {
            *all.entry(table.clone()).or_default() += n;
        }
        tx.put(&META, EVICTED, &serde_json::json!(all))?;
    }
    Ok((chunk.next, chunk.evicted))
}

#[cfg(test)]
mod tests;
