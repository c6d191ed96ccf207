//! A worker's claims: what goes next, its bytes, and whether they are on disk.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    digest,
    ledger::{self, Claimed, Claiming, Logged},
    lines,
    pace::{Room, later},
    queue::State,
    worker::Worker,
};
use crate::{
    connector::{Reason, Receipt},
    event::incident::Phase,
    store::{self, OUTBOX, OUTBOX_HEADS, OutboxRow, Read, keys},
};

/// Rows per claim: one commit pays for all of them.
const BATCH: usize = 64;
/// The same for a destination that takes single events: they are neither folded nor replaced, so freezing more of them
/// costs nothing. As many are claimed ahead, because on a slow disk a claim takes tens of milliseconds.
const BATCH_OF_EVENTS: usize = 1024;
/// Claimed rows of a destination in trouble: more would only be frozen early, and could not go as one digest when it
/// is back; fewer, and a handful of messages that it never takes would block the rest.
const fn most_claimed_in_trouble(folds: bool) -> usize {
    if folds { 8 } else { 64 }
}
/// One more than that is claimed so often: those that it has may be the very ones that it never takes.
const FRESH_EVERY: Duration = Duration::from_mins(10);
/// Batches that are claimed and not answered, of a destination that takes some messages and refuses others.
const MOST_BATCHES_CLAIMED: usize = 3;
/// Rows per digest.
const MAX_FOLDED: usize = 1000;

impl Worker {
    /// Rows per claim.
    pub(super) fn batch(&self) -> usize {
        if self.destination.folds { BATCH } else { BATCH_OF_EVENTS }
    }

    pub(super) fn start_claim(&mut self, now: Timestamp) {
        if self.claim_write.is_some() || self.stopping {
            return;
        }
        let enough = self.has_enough();
        if enough && self.fresh_at.is_some_and(|at| now < at) {
            return;
        }
        let batch = self.choose(now, enough);
        if batch.is_empty() {
            return;
        }
        if enough {
            self.fresh_at = Some(later(now, FRESH_EVERY));
        }
        for one in &batch {
            for seq in one.answers.iter().chain([&one.row.seq]) {
                self.queue.set(*seq, State::Claiming);
            }
        }
        self.pace.took(batch.len());
        let batch = Arc::new(batch);
        let (job, store) = (Arc::clone(&batch), self.deps.store.clone());
        self.claim_write = Some(Box::pin(async move {
            let result = store.write(move |tx| ledger::claim(tx, &job, now)).await;
            (batch, result)
        }));
    }

    /// Whether of a destination that refuses messages so many are claimed that no more should be.
    fn has_enough(&self) -> bool {
        let folds = self.destination.folds;
        let most = match self.pace.failures() {
            0 => return false,
            _ if self.pace.in_trouble() => most_claimed_in_trouble(folds),
            // One that is sent to slowly takes long to show that it is in trouble.
            _ if !self.destination.min_interval.is_zero() => most_claimed_in_trouble(folds),
            // Some of what it is sent is refused: what waits for its next attempt must not fill the window.
            _ => self.batch() * MOST_BATCHES_CLAIMED,
        };
        self.queue.claimed() >= most && self.queue.claimed_in_trouble() >= most
    }

    /// What to claim now, rendered: at most one, where it has enough.
    fn choose(&mut self, now: Timestamp, enough: bool) -> Vec<Claiming> {
        let batch = self.batch();
        let ahead = if self.destination.folds { self.destination.in_flight } else { batch };
        let wanted = match self.destination.min_interval {
            // A claimed row can neither be replaced nor folded: claim no more than can go now. What was refused before
            // keeps its own incident waiting, and no other.
            interval if !interval.is_zero() => {
                let free = self.queue.on_their_way() == 0 && self.pace.next_look(now).is_none();
                usize::from(free)
            }
            _ if enough => 1,
            _ if self.queue.is_ready(now, ahead + 1) => 0,
            _ => batch,
        };
        if wanted == 0 {
            return Vec::new();
        }
        let room = self.pace.room(now, wanted);
        if let Some(fold) = self.folding(now, room) {
            return fold;
        }
        let due = self.queue.due(now, room.any, room.resolves);
        let held = room.any < room.resolves
            && self.queue.due(now, room.any + 1, room.resolves + 1).len() > due.len();
        if held {
            // The next minute begins with a digest of what stays.
            self.pace.brake();
        }
        due.into_iter().filter_map(|seq| self.prepare(seq, now)).collect()
    }

    /// A digest: of what has waited too long, or of what the brake held back.
    fn folding(&mut self, now: Timestamp, room: Room) -> Option<Vec<Claiming>> {
        // A destination in trouble is probed with one message: what waits stays free to become one digest.
        if !self.destination.folds || room.any == 0 || self.pace.in_trouble() {
            return None;
        }
        let stale_before = now.checked_sub(SignedDuration::try_from(self.deps.stale_after()).ok()?).ok()?;
        let stale = self.queue.any_due(stale_before);
        let mut rows = if stale { self.stale(stale_before) } else { Vec::new() };
        if rows.len() < 2 && room.fold {
            rows = self.queue.foldable(now, false);
            self.pace.folded();
        }
        if rows.len() < 2 {
            return None;
        }
        let rows: Vec<Arc<OutboxRow>> = rows
            .iter()
            .take(MAX_FOLDED)
            .filter_map(|seq| Some(Arc::clone(&self.queue.get(*seq)?.row)))
            .collect();
        let connector = self.destination.connector.as_ref()?;
        match digest::claiming(&**connector, &rows, now) {
            Ok(claiming) => Some(vec![claiming]),
            Err(why) => {
                tracing::warn!(connector = %self.name, %why, "a digest could not be made; its messages go one by one");
                None
            }
        }
    }

    /// What has waited too long, without resolves of what was never told.
    fn stale(&self, before: Timestamp) -> Vec<u64> {
        let mut rows = self.queue.foldable(before, true);
        let mut mentioned = BTreeSet::new();
        rows.retain(|seq| {
            let Some(row) = self.queue.get(*seq).map(|e| &e.row) else { return false };
            let told = row.notification.phase != Phase::Resolved
                || mentioned.contains(row.notification.order_key())
                || digest::was_told(&self.deps.store, row);
            if told {
                mentioned.insert(row.notification.order_key().to_owned());
            }
            told
        });
        rows
    }

    /// Renders a row; one that cannot be rendered is a dead letter.
    fn prepare(&mut self, seq: u64, now: Timestamp) -> Option<Claiming> {
        let connector = self.destination.connector.clone()?;
        let (row, receipt) = match self.newest(seq) {
            Ok(Some(found)) => found,
            Ok(None) => {
                self.queue.remove(seq);
                return None;
            }
            Err(error) => {
                self.store_failed(now, &error);
                return None;
            }
        };
        let (row, note) = self.with_lines(seq, row);
        let rendered = connector.render(&row.notification, receipt.as_ref()).map_err(|e| e.to_string());
        let rendered = rendered.map(|message| lines::note(message, note));
        match rendered.and_then(|m| digest::with_claim(&row, m, Vec::new(), now)) {
            Ok(claiming) => Some(claiming),
            Err(why) => {
                self.dead(seq, now, (Reason::Render, why), false);
                None
            }
        }
    }

    /// A row about an incident may have newer counts in the store than when it was read; and what the service
    /// answered to the last message about it. `None`: the row was replaced.
    fn newest(&self, seq: u64) -> store::Result<Option<(Arc<OutboxRow>, Option<Receipt>)>> {
        let Some(row) = self.queue.get(seq).map(|e| Arc::clone(&e.row)) else { return Ok(None) };
        if row.notification.incident.is_none() {
            return Ok(Some((row, None)));
        }
        let newest = self.deps.store.snapshot()?.get(&OUTBOX, &keys::outbox(&self.name, seq))?;
        let Some(newest) = newest else { return Ok(None) };
        let receipt = digest::receipt(&self.deps.store, &newest)?;
        Ok(Some((Arc::new(newest), receipt)))
    }

    fn with_lines(&self, seq: u64, row: Arc<OutboxRow>) -> (Arc<OutboxRow>, Option<String>) {
        let found = self.queue.get(seq).and_then(|e| e.lines.as_ref());
        if found.is_none() {
            return (row, None);
        }
        let mut row = Arc::unwrap_or_clone(row);
        let note = lines::put(&mut row, found);
        (Arc::new(row), note)
    }

    pub(super) fn claimed(
        &mut self,
        batch: &Arc<Vec<Claiming>>,
        result: store::Result<(Vec<Claimed>, Logged)>,
    ) {
        let now = self.deps.now();
        let rows =
            |one: &Claiming| -> Vec<u64> { one.answers.iter().copied().chain([one.row.seq]).collect() };
        let (results, logged) = match result {
            Ok(done) => done,
            Err(error) => {
                self.store_failed(now, &error);
                batch.iter().flat_map(rows).for_each(|seq| self.queue.set(seq, State::Waiting));
                return;
            }
        };
        for (one, result) in batch.iter().zip(results) {
            match result {
                Claimed::Yes => self.claim_stands(one, now),
                // Of a digest only some rows may be gone: each is looked at again.
                Claimed::Gone if !one.answers.is_empty() => self.recheck(&rows(one)),
                Claimed::Gone | Claimed::NotTold => self.queue.remove(one.row.seq),
            }
        }
        self.tell(&logged);
    }

    fn claim_stands(&mut self, one: &Claiming, now: Timestamp) {
        for seq in &one.answers {
            self.queue.set(*seq, State::Answered);
        }
        if let Some(entry) = self.queue.get_mut(one.row.seq) {
            entry.row = Arc::clone(&one.claimed);
        }
        self.queue.set(one.row.seq, State::Ready(now));
    }

    fn recheck(&mut self, seqs: &[u64]) {
        let snapshot = self.deps.store.snapshot();
        for seq in seqs {
            let key = keys::outbox(&self.name, *seq);
            let gone = snapshot.as_ref().is_ok_and(|s| matches!(s.get(&OUTBOX_HEADS, &key), Ok(None)));
            if gone {
                self.queue.remove(*seq);
            } else {
                self.queue.set(*seq, State::Waiting);
            }
        }
    }
}
