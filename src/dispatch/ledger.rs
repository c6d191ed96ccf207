//! What is written: claims, answers, dead letters. Each function is one job for the store's writer.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::{
    connector::{Reason, Receipt},
    event::{NotificationId, incident::Phase},
    store::{
        self, AUDIT, AuditRow, CONNECTOR_STATES, DEAD, DELIVERIES, DELIVERIES_BY, DeadLetter, DeliveryRow,
        DeliveryState, OUTBOX, OUTBOX_HEADS, OUTBOX_TEXT, OutboxRow, Read, TOLD, Tx, keys,
    },
};

/// Delivery rows that a job wrote, for the feed.
pub type Logged = Vec<(u64, DeliveryRow)>;

/// A row to be claimed: its text was made before.
#[derive(Debug, Clone)]
pub struct Claiming {
    /// The row as it is.
    pub row: Arc<OutboxRow>,
    /// The row with its claim.
    pub claimed: Arc<OutboxRow>,
    /// The same as text.
    pub text: Box<RawValue>,
    /// Further rows that the message answers.
    pub answers: Vec<u64>,
}

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// It is ours: the bytes are on disk.
    Yes,
    /// The row is gone or was replaced, or (of a digest) one of its rows was.
    Gone,
    /// A resolve of what was never told.
    NotTold,
}

/// Claims rows: each is checked again, because the pipeline may have replaced it meanwhile.
pub fn claim(tx: &Tx<'_>, batch: &[Claiming], now: Timestamp) -> store::Result<(Vec<Claimed>, Logged)> {
    let (mut results, mut logged) = (Vec::with_capacity(batch.len()), Vec::new());
    for one in batch {
        results.push(claim_one(tx, one, now, &mut logged)?);
    }
    Ok((results, logged))
}

fn claim_one(tx: &Tx<'_>, one: &Claiming, now: Timestamp, logged: &mut Logged) -> store::Result<Claimed> {
    let notification = &one.row.notification;
    let connector = notification.connector.as_str();
    let key = keys::outbox(connector, one.row.seq);
    let unclaimed = |key: &str| Ok(tx.get(&OUTBOX_HEADS, key)?.is_some_and(|head| head.claim.is_none()));
    if !unclaimed(&key)? {
        return Ok(Claimed::Gone);
    }
    for seq in &one.answers {
        if !unclaimed(&keys::outbox(connector, *seq))? {
            return Ok(Claimed::Gone);
        }
    }
    if notification.phase == Phase::Resolved && one.answers.is_empty() && !was_told(tx, &one.row)? {
        tx.remove(&OUTBOX, &key)?;
        let healed = now.duration_since(notification.created_at).as_secs().max(0);
        let lasted =
            notification.incident.as_ref().and_then(|i| Some(i.resolved_at?.duration_since(i.opened_at)));
        let lasted = lasted.map_or(healed, |l| l.as_secs().max(0));
        let detail = format!("not told, healed in {lasted} s");
        log(tx, delivery(&one.row, now, DeliveryState::Dropped, detail), logged)?;
        return Ok(Claimed::NotTold);
    }
    tx.put(&OUTBOX_TEXT, &key, &one.text)?;
    Ok(Claimed::Yes)
}

fn was_told(tx: &Tx<'_>, row: &OutboxRow) -> store::Result<bool> {
    let Some(incident) = &row.notification.incident else { return Ok(true) };
    let told = tx.get(&TOLD, &keys::told(&row.notification.connector, &incident.id))?;
    Ok(told.is_some_and(|t| t.told_at.is_some()))
}

/// What became of a message.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// The service has it.
    Delivered {
        /// Its answer.
        answer: String,
        /// For later messages.
        receipt: Option<Receipt>,
    },
    /// To be tried again: the row's text with its new claim.
    Retry {
        /// Made before the transaction.
        row: Box<OutboxRow>,
        /// Why.
        detail: String,
    },
    /// Nobody will take it.
    Dead {
        /// Why.
        reason: Reason,
        /// In words.
        detail: String,
        /// The connector pauses itself: a hash of its settings.
        pause: Option<String>,
    },
}

/// An answer to be written.
#[derive(Debug, Clone)]
pub struct Ending {
    /// The row; with its claim, if it had one.
    pub row: Arc<OutboxRow>,
    /// Rows that the same message answers.
    pub answered: Vec<Arc<OutboxRow>>,
    /// What became of it.
    pub verdict: Verdict,
    /// When.
    pub at: Timestamp,
    /// How long its last attempt took.
    pub took: Duration,
    /// The status of its answer; 0 where there was none.
    pub status: u16,
    /// The service asked for silence until then; with a hash of the connector's settings.
    pub silence: Option<(Timestamp, String)>,
}

impl Ending {
    fn entry(&self, row: &OutboxRow, state: DeliveryState, detail: &str) -> DeliveryRow {
        let latency_ms = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        let tried = row.claim.as_ref().filter(|_| state == DeliveryState::Retrying);
        let (next_at, tried_since) = (tried.map(|c| c.next_at), tried.map(|c| c.at));
        let plain = delivery(row, self.at, state, detail.to_owned());
        DeliveryRow { latency_ms, status: self.status, next_at, tried_since, ..plain }
    }
}

/// What a batch of answers came to.
#[derive(Debug, Clone, Default)]
pub struct Ended {
    /// For the feed.
    pub logged: Logged,
    /// Per answer: the delivery row that says "retrying".
    pub retrying: Vec<Option<u64>>,
}

/// Writes many answers at once.
pub fn end(tx: &Tx<'_>, batch: &[Ending]) -> store::Result<Ended> {
    let mut ended = Ended::default();
    for one in batch {
        ended.retrying.push(end_one(tx, one, &mut ended.logged)?);
    }
    Ok(ended)
}

fn end_one(tx: &Tx<'_>, one: &Ending, logged: &mut Logged) -> store::Result<Option<u64>> {
    let row = &one.row;
    let connector = row.notification.connector.as_str();
    if let Some(old) = row.claim.as_ref().and_then(|c| c.log) {
        unlog(tx, row, old)?;
    }
    if let Some((until, hash)) = &one.silence {
        keep_silence(tx, connector, *until, hash)?;
    }
    match &one.verdict {
        Verdict::Retry { row: claimed, detail } => {
            let entry = one.entry(claimed, DeliveryState::Retrying, detail);
            let seq = log(tx, entry, logged)?;
            let mut claimed = (**claimed).clone();
            if let Some(claim) = claimed.claim.as_mut() {
                claim.log = Some(seq);
            }
            tx.put(&OUTBOX, &keys::outbox(connector, row.seq), &claimed)?;
            Ok(Some(seq))
        }
        Verdict::Delivered { answer, receipt } => {
            let digest = !one.answered.is_empty();
            let mut entry = one.entry(row, DeliveryState::Delivered, answer);
            if let Some(note) = row.claim.as_ref().and_then(|c| c.message.note.as_deref()) {
                entry.detail = format!("{note}; {answer}");
            }
            let id = row.claim.as_ref().map(|c| c.message.id.clone()).unwrap_or_default();
            if digest {
                entry.phase = Phase::Digest;
                // It stands for messages of several places.
                entry.cluster.clear();
                entry.namespace.clear();
                entry.subject.clear();
                entry.notification = NotificationId(id.clone());
                entry.title = format!("{} messages in one", one.answered.len() + 1);
            }
            log(tx, entry, logged)?;
            for told in std::iter::once(row).chain(&one.answered) {
                tx.remove(&OUTBOX, &keys::outbox(connector, told.seq))?;
                mark_told(tx, told, one.at, receipt.as_ref())?;
                if digest {
                    let detail = format!("told in digest {id}");
                    log(tx, delivery(told, one.at, DeliveryState::Dropped, detail), logged)?;
                }
            }
            Ok(None)
        }
        Verdict::Dead { reason, detail, pause } => {
            for dead in std::iter::once(row).chain(&one.answered) {
                tx.remove(&OUTBOX, &keys::outbox(connector, dead.seq))?;
                let letter =
                    DeadLetter { at: one.at, row: (**dead).clone(), reason: *reason, detail: detail.clone() };
                tx.append(&DEAD, &letter)?;
                log(tx, one.entry(dead, DeliveryState::Dead, detail), logged)?;
            }
            if let Some(hash) = pause {
                pause_connector(tx, connector, one.at, detail, hash)?;
            }
            Ok(None)
        }
    }
}

/// A start after a kill goes on waiting. The longest wait of those settings counts.
fn keep_silence(tx: &Tx<'_>, name: &str, until: Timestamp, hash: &str) -> store::Result<()> {
    let mut state = tx.get(&CONNECTOR_STATES, name)?.unwrap_or_default();
    if state.silent_until.as_ref().is_some_and(|(known, of)| of == hash && *known >= until) {
        return Ok(());
    }
    state.silent_until = Some((until, hash.to_owned()));
    tx.put(&CONNECTOR_STATES, name, &state)
}

fn pause_connector(tx: &Tx<'_>, name: &str, at: Timestamp, why: &str, hash: &str) -> store::Result<()> {
    let mut state = tx.get(&CONNECTOR_STATES, name)?.unwrap_or_default();
    if state.paused.is_some() {
        return Ok(());
    }
    state.paused = Some((at, why.to_owned()));
    hash.clone_into(&mut state.settings_hash);
    tx.put(&CONNECTOR_STATES, name, &state)?;
    audit(tx, at, "pause", name, why)
}

/// Adds an audit row.
pub fn audit(tx: &Tx<'_>, at: Timestamp, action: &str, connector: &str, outcome: &str) -> store::Result<()> {
    let row = AuditRow { at, action: action.into(), connector: connector.into(), outcome: outcome.into() };
    tx.append(&AUDIT, &row).map(drop)
}

fn mark_told(tx: &Tx<'_>, row: &OutboxRow, at: Timestamp, receipt: Option<&Receipt>) -> store::Result<()> {
    let Some(incident) = &row.notification.incident else { return Ok(()) };
    let key = keys::told(&row.notification.connector, &incident.id);
    let mut told = tx.get(&TOLD, &key)?.unwrap_or_default();
    told.told_at.get_or_insert(at);
    told.last_at = Some(at);
    match row.notification.phase {
        Phase::Resolved => told.resolved_at = Some(at),
        Phase::Reopened => told.resolved_at = None,
        _ => {}
    }
    if let Some(receipt) = receipt {
        told.receipt = Some(receipt.clone());
    }
    tx.put(&TOLD, &key, &told)
}

/// The log's line about a row.
pub fn delivery(row: &OutboxRow, at: Timestamp, state: DeliveryState, detail: String) -> DeliveryRow {
    let attempts = row.claim.as_ref().map_or(0, |c| c.attempts);
    DeliveryRow { attempts, ..DeliveryRow::of(&row.notification, at, state, detail) }
}

/// Adds a line to the log and its indexes.
pub fn log(tx: &Tx<'_>, row: DeliveryRow, logged: &mut Logged) -> store::Result<u64> {
    let seq = tx.append(&DELIVERIES, &row)?;
    for key in keys::deliveries_by(row.incident.as_ref(), &row.event, seq) {
        tx.put(&DELIVERIES_BY, &key, &())?;
    }
    logged.push((seq, row));
    Ok(seq)
}

fn unlog(tx: &Tx<'_>, row: &OutboxRow, seq: u64) -> store::Result<()> {
    tx.remove_entry(&DELIVERIES, seq)?;
    let notification = &row.notification;
    let incident = notification.incident.as_ref().map(|i| &i.id);
    for key in keys::deliveries_by(incident, &notification.event.id, seq) {
        tx.remove(&DELIVERIES_BY, &key)?;
    }
    Ok(())
}
