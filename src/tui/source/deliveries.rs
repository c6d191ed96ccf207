//! Pages of what was sent, the dead letters, and what the log says of each connector.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::{
    Job,
    paging::{self, Log},
};
use crate::{
    store::{
        DEAD, DeliveryRow, DeliveryState, OUTBOX, Read, Result, Snapshot,
        pages::{self, Limits},
    },
    tui::{
        effect::PageAsk,
        msg::{Answer, ConnectorLog},
        query::EventQuery,
    },
};

/// Dead letters that are listed.
const DEAD_ROWS: usize = 1_000;
/// Rows of the log that are looked at for the newest of each connector.
const LOG_ROWS: usize = 50_000;
/// Waiting messages that are looked at.
const WAITING: usize = 2_000;

/// The deliveries that are asked for.
struct Wished<'a> {
    query: &'a EventQuery,
    now: Timestamp,
}

impl Log for Wished<'_> {
    type Row = DeliveryRow;

    fn back(
        &self,
        snapshot: &Snapshot,
        below: Option<u64>,
        limits: Limits,
    ) -> Result<pages::Page<(u64, DeliveryRow)>> {
        pages::deliveries_back(snapshot, below, limits, &|row| self.query.matches_delivery(row, self.now))
    }

    fn on(&self, snapshot: &Snapshot, from: u64, limits: Limits) -> Result<pages::Page<(u64, DeliveryRow)>> {
        pages::deliveries_on(snapshot, from, limits, &|row| self.query.matches_delivery(row, self.now))
    }
}

/// A page of deliveries.
pub fn page(job: &Job<'_>, query: &EventQuery, ask: PageAsk, now: Timestamp) -> Result<Option<Answer>> {
    let found = paging::page(job, &Wished { query, now }, ask)?;
    Ok(found.map(|(page, _)| Answer::Deliveries(page)))
}

/// The dead letters.
pub fn dead(job: &Job<'_>) -> Result<Answer> {
    let snapshot = job.snapshot()?;
    let page = pages::dead_letters_back(&snapshot, None, Limits::rows(DEAD_ROWS), &|_| true)?;
    let rows = page.rows.into_iter().map(|(seq, d)| (seq, Arc::new(d))).collect();
    Ok(Answer::Dead { rows, total: snapshot.count(DEAD.name)? })
}

/// How many of the messages that wait pass.
pub fn waiting(job: &Job<'_>, query: Box<EventQuery>, now: Timestamp) -> Result<Answer> {
    let (mut found, mut looked) = (0, 0);
    job.snapshot()?.scan(&OUTBOX, "", "", &mut |_, row| {
        looked += 1;
        let message = &row.notification;
        let line = DeliveryRow::of(message, message.created_at, DeliveryState::Retrying, String::new());
        found += u64::from(query.matches_delivery(&line, now));
        looked < WAITING
    })?;
    Ok(Answer::Waiting { query, found, more: looked >= WAITING })
}

/// The newest delivery and failure of each connector, whichever engine made them, and the next attempt.
pub fn connectors(job: &Job<'_>) -> Result<Option<Answer>> {
    let found: std::cell::RefCell<BTreeMap<String, ConnectorLog>> = std::cell::RefCell::default();
    let (mut below, mut looked) = (None, 0);
    let whole = loop {
        let snapshot = job.snapshot()?;
        let page = pages::deliveries_back(&snapshot, below, Limits::rows(1), &|row| {
            note(found.borrow_mut().entry(row.connector.clone()).or_default(), row);
            false
        })?;
        drop(snapshot);
        looked += page.examined;
        match page.next {
            None => break true,
            Some(_) if looked >= LOG_ROWS => break false,
            next => below = next,
        }
        if job.stale() {
            return Ok(None);
        }
    };
    let mut found = found.into_inner();
    let mut rows = 0;
    job.snapshot()?.scan(&OUTBOX, "", "", &mut |_, row| {
        rows += 1;
        let log = found.entry(row.notification.connector).or_default();
        log.waiting += 1;
        if let Some(claim) = row.claim.filter(|c| c.attempts > 0) {
            log.next_attempt = Some(log.next_attempt.map_or(claim.next_at, |at| at.min(claim.next_at)));
        }
        rows < WAITING
    })?;
    for (connector, dead) in pages::dead_counts(&job.snapshot()?)? {
        found.entry(connector).or_default().dead = dead;
    }
    Ok(Some(Answer::Connectors { logs: found, whole }))
}

fn note(log: &mut ConnectorLog, row: &DeliveryRow) {
    match row.state {
        DeliveryState::Delivered => {
            log.delivered.get_or_insert(row.at);
        }
        DeliveryState::Dead | DeliveryState::Retrying => {
            log.failed.get_or_insert_with(|| (row.at, row.detail.clone()));
        }
        DeliveryState::Dropped => {}
    }
}
