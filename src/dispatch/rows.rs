//! Reading one connector's rows from the outbox, past those that cannot be read.
//!
//! A row that this version cannot read (written by a newer one, or damaged) stays where it is: a newer version may send
//! it. It is told loudly, and holds nothing up.

use std::time::Duration;

use jiff::Timestamp;

use super::{pace::later, worker::Worker};
use crate::store::{self, OUTBOX, OUTBOX_HEADS, OutboxRow, Read, Tx, keys};

/// How often what waits beyond the window is counted.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// Rows in order.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Those that can be read.
    pub readable: Vec<OutboxRow>,
    /// Key and fault of the others.
    pub unreadable: Vec<(String, String)>,
    /// There are more.
    pub more: bool,
}

/// At most `most` rows of a connector, from a number on.
///
/// # Errors
/// The store, but not a row that cannot be read.
pub(super) fn read(read: &impl Read, connector: &str, from: u64, most: usize) -> store::Result<Rows> {
    let mut found = Rows::default();
    let prefix = keys::prefix(&[connector]);
    let mut from = keys::outbox(connector, from);
    loop {
        let scanned = read.scan(&OUTBOX, &prefix, &from, &mut |_, row| {
            found.more = found.readable.len() == most;
            if !found.more {
                found.readable.push(row);
            }
            !found.more
        });
        match scanned {
            Ok(()) => return Ok(found),
            Err(store::Error::Row { key, cause, .. }) if key.starts_with(&prefix) => {
                // The next key that there could be.
                from = format!("{key}\0");
                found.unreadable.push((key, cause));
            }
            Err(error) => return Err(error),
        }
    }
}

/// How many rows a connector has from a number on, counted up to `most`.
///
/// # Errors
/// The store.
pub(super) fn count(read: &impl Read, connector: &str, from: u64, most: u64) -> store::Result<u64> {
    let mut count = 0;
    read.scan(&OUTBOX_HEADS, &keys::prefix(&[connector]), &keys::outbox(connector, from), &mut |_, _| {
        count += 1;
        count < most
    })?;
    Ok(count)
}

impl Worker {
    /// Counts what waits beyond the window, now and then: a queue that grows must be seen growing.
    pub(super) fn count_beyond(&mut self, now: Timestamp) {
        if !self.queue.more {
            self.beyond.1 = 0;
        } else if now >= later(self.beyond.0, COUNT_EVERY) {
            let snapshot = self.deps.store.snapshot();
            let counted =
                snapshot.and_then(|s| count(&s, &self.name, self.queue.read_to + 1, super::COUNTED));
            // The store says itself where it cannot be read.
            self.beyond = (now, counted.unwrap_or(self.beyond.1));
        }
    }

    pub(super) fn set_aside(&mut self, unreadable: Vec<(String, String)>) {
        for (key, cause) in unreadable {
            let seq = key.rsplit('\0').next().and_then(|seq| seq.parse().ok());
            self.queue.read_to = self.queue.read_to.max(seq.unwrap_or(0));
            tracing::error!(
                connector = %self.name, row = seq, cause,
                "a waiting message cannot be read by this version and is not sent; a newer version may read it"
            );
            let detail = format!("a waiting message cannot be read: {cause}");
            let now = self.deps.now();
            self.shared.update(|s| {
                s.unreadable += 1;
                s.last_error = Some((now, detail));
            });
        }
    }
}

/// Takes up to `most` rows of a connector out of the outbox: those that can be read, and how many could not.
///
/// # Errors
/// The store.
pub(super) fn take(tx: &Tx<'_>, connector: &str, most: usize) -> store::Result<(Vec<OutboxRow>, u64)> {
    let found = read(tx, connector, 0, most)?;
    for row in &found.readable {
        tx.remove(&OUTBOX, &keys::outbox(connector, row.seq))?;
    }
    for (key, _) in &found.unreadable {
        tx.remove(&OUTBOX, key)?;
    }
    Ok((found.readable, found.unreadable.len() as u64))
}
