//! Pages of what is told: outbox, deliveries, dead letters, connectors, and the logs beside them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, de::IgnoredAny};

use super::{Limits, Page, back, ended, keep_if, on};
use crate::store::{
    AUDIT, AuditRow, CONNECTOR_STATES, CONNECTORS, ConnectorRow, ConnectorState, DEAD, DEAD_HEADS,
    DELIVERIES, DELIVERIES_BY, DeadLetter, DeliveryRow, GAPS, GapRow, OUTBOX,
    error::Result,
    keys,
    schema::{Keyed, keyed},
    tx::Read,
};

/// Deliveries, newest first, from below a cursor.
///
/// # Errors
/// A row that cannot be read, or the disk.
pub fn deliveries_back(
    read: &impl Read,
    below: Option<u64>,
    limits: Limits,
    wanted: &dyn Fn(&DeliveryRow) -> bool,
) -> Result<Page<(u64, DeliveryRow)>> {
    back(read, &DELIVERIES, below, limits, &|row| keep_if(wanted(row)))
}

/// Deliveries oldest first, from a seq on; `next` as of `events_on`.
///
/// # Errors
/// As `deliveries_back`.
pub fn deliveries_on(
    read: &impl Read,
    from: u64,
    limits: Limits,
    wanted: &dyn Fn(&DeliveryRow) -> bool,
) -> Result<Page<(u64, DeliveryRow)>> {
    on(read, &DELIVERIES, from, limits, wanted)
}

/// Deliveries about an incident or an event, by its id, newest first.
///
/// # Errors
/// As `deliveries_back`.
pub fn deliveries_about(
    read: &impl Read,
    id: &str,
    below: Option<u64>,
    limits: Limits,
) -> Result<Page<(u64, DeliveryRow)>> {
    let end = below.map(|seq| keys::delivery_by(id, seq));
    let mut page: Page<u64> = Page::new();
    read.scan_back(&DELIVERIES_BY, &keys::prefix(&[id]), end.as_deref(), &mut |key, ()| {
        page.examined += 1;
        page.next = keys::last_seq(key);
        page.rows.extend(page.next);
        page.rows.len() < limits.rows && page.examined < limits.examine
    })?;
    let Page { rows: seqs, examined, next } = ended(page, limits);
    let mut rows = Vec::with_capacity(seqs.len());
    for seq in seqs {
        rows.extend(read.entry(&DELIVERIES, seq)?.map(|row| (seq, row)));
    }
    Ok(Page { rows, examined, next })
}

/// Dead letters, newest first, from below a cursor.
///
/// # Errors
/// As `deliveries_back`.
pub fn dead_letters_back(
    read: &impl Read,
    below: Option<u64>,
    limits: Limits,
    wanted: &dyn Fn(&DeadLetter) -> bool,
) -> Result<Page<(u64, DeadLetter)>> {
    back(read, &DEAD, below, limits, &|row| keep_if(wanted(row)))
}

/// Dead letters by connector.
///
/// # Errors
/// The disk.
pub fn dead_counts(read: &impl Read) -> Result<BTreeMap<String, u64>> {
    let mut counts = BTreeMap::new();
    read.read_log(&DEAD_HEADS, 0, &mut |_, head| {
        *counts.entry(head.row.notification.connector).or_insert(0) += 1;
        true
    })?;
    Ok(counts)
}

/// The audit log, newest first, from below a cursor.
///
/// # Errors
/// As `deliveries_back`.
pub fn audit_back(
    read: &impl Read,
    below: Option<u64>,
    limits: Limits,
    wanted: &dyn Fn(&AuditRow) -> bool,
) -> Result<Page<(u64, AuditRow)>> {
    back(read, &AUDIT, below, limits, &|row| keep_if(wanted(row)))
}

/// Gaps in watching, newest first, from below a cursor.
///
/// # Errors
/// As `deliveries_back`.
pub fn gaps_back(
    read: &impl Read,
    below: Option<u64>,
    limits: Limits,
    wanted: &dyn Fn(&GapRow) -> bool,
) -> Result<Page<(u64, GapRow)>> {
    back(read, &GAPS, below, limits, &|row| keep_if(wanted(row)))
}

/// What waits for one connector.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutboxCount {
    /// Waiting and not yet claimed.
    pub queued: u64,
    /// Claimed and not answered.
    pub claimed: u64,
    /// When the oldest was made.
    pub oldest: Option<Timestamp>,
    /// Counting ended at its limit: there are more.
    pub more: bool,
}

/// As much of an outbox row as is counted.
#[derive(Deserialize)]
struct Waiting {
    notification: Made,
    #[serde(default)]
    claim: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Made {
    created_at: Timestamp,
}

const WAITING: Keyed<Waiting> = keyed(OUTBOX.name);

/// What waits, by connector; counts at most `limit` rows of each.
///
/// # Errors
/// As `deliveries_back`.
pub fn outbox_counts(read: &impl Read, limit: u64) -> Result<BTreeMap<String, OutboxCount>> {
    let mut counts: BTreeMap<String, OutboxCount> = BTreeMap::new();
    let mut from = String::new();
    loop {
        // Seeks from connector to connector, so that a long queue does not hide the next one.
        let mut connector = None;
        let mut count = OutboxCount::default();
        read.scan(&WAITING, "", &from, &mut |key, row| {
            let name = keys::parts(key).next().unwrap_or_default();
            let current = connector.get_or_insert_with(|| name.to_owned());
            if current != name {
                return false;
            }
            if count.queued + count.claimed >= limit {
                count.more = true;
                return false;
            }
            *(if row.claim.is_some() { &mut count.claimed } else { &mut count.queued }) += 1;
            let made = row.notification.created_at;
            count.oldest = Some(count.oldest.map_or(made, |o| o.min(made)));
            true
        })?;
        let Some(connector) = connector else { return Ok(counts) };
        from = format!("{connector}\u{1}");
        counts.insert(connector, count);
    }
}

/// The connectors that are kept in the database, by name, each with what it remembers.
///
/// # Errors
/// As `deliveries_back`.
pub fn connectors(read: &impl Read) -> Result<Vec<(String, ConnectorRow, ConnectorState)>> {
    let mut states: BTreeMap<String, ConnectorState> = read.all(&CONNECTOR_STATES, "")?.into_iter().collect();
    let rows = read.all(&CONNECTORS, "")?.into_iter().map(|(name, row)| {
        let state = states.remove(&name).unwrap_or_default();
        (name, row, state)
    });
    Ok(rows.collect())
}
