//! A worker's answers: what an outcome means for its row and for the destination, and writing it down.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    blame::Fault,
    ledger::{self, Ended, Ending, Logged, Verdict},
    pace::{back_off, later},
    queue::State,
    worker::Worker,
};
use crate::{
    connector::{Outcome, Reason},
    store,
};

/// A `bad_request` that may be tried again is given up after so many attempts between which others were taken: while
/// nothing is taken, it is the destination that is down.
const MAX_DOUBTFUL: u32 = 12;
/// How often a row's pause may be cut short.
const MAX_HURRIED: u32 = 3;
/// How many pauses one good answer may cut short: more could not be on the wire soon anyway.
const HURRIED_AT_ONCE: usize = 64;

impl Worker {
    /// An attempt has an answer.
    pub(super) fn answered(&mut self, seq: u64, outcome: Outcome, took: Duration) {
        let now = self.deps.now();
        let Some(entry) = self.queue.get_mut(seq) else { return };
        (entry.took, entry.status) = (took, status_of(&outcome));
        if let Some(claim) = Arc::make_mut(&mut entry.row).claim.as_mut() {
            claim.attempts += 1;
        }
        match outcome {
            Outcome::Delivered { receipt, answer, .. } => {
                self.told.delivered(now);
                self.taken += 1;
                if self.pace.succeeded() > 0 {
                    self.hurry(now);
                }
                self.end(seq, now, Verdict::Delivered { answer, receipt });
            }
            // Another said so first, and the connector has paused itself: this one waits like those that were not sent.
            Outcome::Reject { reason, detail, pause: true, .. } if self.control.borrow().paused.is_some() => {
                self.count_failure(reason);
                self.put_back(seq, now, detail);
            }
            Outcome::Reject { reason, detail, pause, status } => {
                if !pause && (400..500).contains(&status) && self.pace.refused() > 0 {
                    self.hurry(now);
                }
                if pause {
                    let why = (now, detail.clone());
                    // At once: nothing more goes out while this is being written.
                    self.shared.control.send_modify(|c| c.paused = Some(why));
                }
                self.count_failure(reason);
                self.dead(seq, now, (reason, detail), pause);
            }
            Outcome::Retry { reason, detail, after, .. } => {
                self.say_failed(now, reason, &detail);
                self.count_failure(reason);
                self.shared.update(|s| s.last_error = Some((now, detail.clone())));
                self.retry(seq, now, reason, (detail, after));
            }
        }
    }

    fn retry(&mut self, seq: u64, now: Timestamp, reason: Reason, words: (String, Option<Duration>)) {
        let (detail, after) = words;
        // A destination that asks for a year's silence would never be heard of again.
        // One that asks for none at all (a date that is past) says nothing of when.
        let after = after.filter(|after| !after.is_zero()).map(|after| after.min(self.deps.horizon));
        let Some(entry) = self.queue.get_mut(seq) else { return };
        let fault = entry.blame.failed(self.taken);
        let Some(claim) = Arc::make_mut(&mut entry.row).claim.as_mut() else { return };
        let doubtful = reason == Reason::BadRequest;
        if doubtful && fault == Fault::Message {
            claim.doubtful += 1;
            if claim.doubtful >= MAX_DOUBTFUL {
                let detail =
                    format!("given up after {MAX_DOUBTFUL} attempts while others were taken: {detail}");
                return self.dead(seq, now, (reason, detail), false);
            }
        }
        if fault == Fault::Destination {
            self.pace.failed(now, self.deps.chance());
        }
        let chance = self.deps.chance();
        let held = match after {
            Some(after) => {
                let until = later(now, after);
                self.pace.asked(until);
                self.silence = Some(until);
                Some(after)
            }
            None => (reason == Reason::RateLimited).then(|| self.pace.throttled(now, chance)),
        };
        let Some(entry) = self.queue.get_mut(seq) else { return };
        let Some(claim) = Arc::make_mut(&mut entry.row).claim.as_mut() else { return };
        if later(claim.at, self.deps.horizon) < now {
            let detail = format!("{}; the last answer: {detail}", expired_text(self.deps.horizon));
            return self.dead(seq, now, (Reason::Expired, detail), false);
        }
        // What is given up after a dozen attempts must have time to be the destination's fault after all.
        let pause = match held {
            _ if doubtful => back_off(claim.attempts, chance).max(held.unwrap_or_default()),
            // What the service says counts in place of our own back-off.
            Some(held) => held,
            None => self.pace.pause_after(claim.attempts, chance),
        };
        claim.next_at = later(now, pause);
        claim.last.clone_from(&detail);
        let row = Box::new((*entry.row).clone());
        self.end(seq, now, Verdict::Retry { row, detail });
    }

    /// It goes again when the connector goes on.
    fn put_back(&mut self, seq: u64, now: Timestamp, detail: String) {
        let Some(entry) = self.queue.get_mut(seq) else { return };
        let Some(claim) = Arc::make_mut(&mut entry.row).claim.as_mut() else { return };
        claim.next_at = now;
        claim.last.clone_from(&detail);
        let row = Box::new((*entry.row).clone());
        self.end(seq, now, Verdict::Retry { row, detail });
    }

    /// The destination takes messages again: what waits for its next attempt goes now, in order.
    fn hurry(&mut self, now: Timestamp) {
        for seq in self.queue.pausing(now, HURRIED_AT_ONCE) {
            let Some(entry) = self.queue.get_mut(seq).filter(|e| e.hurried < MAX_HURRIED) else { continue };
            entry.hurried += 1;
            self.queue.set(seq, State::Ready(now));
        }
    }

    fn count_failure(&self, reason: Reason) {
        self.shared.update(|s| {
            s.failed += 1;
            *s.failures.entry(reason.as_str().to_owned()).or_default() += 1;
        });
    }

    pub(super) fn dead(&mut self, seq: u64, now: Timestamp, why: (Reason, String), pause: bool) {
        let pause = pause.then(|| self.destination.settings_hash.clone());
        let (reason, detail) = why;
        if matches!(reason, Reason::Render | Reason::Expired) {
            self.count_failure(reason);
        }
        self.shared.update(|s| s.last_error = Some((now, detail.clone())));
        self.end(seq, now, Verdict::Dead { reason, detail, pause });
    }

    fn end(&mut self, seq: u64, at: Timestamp, verdict: Verdict) {
        let Some(entry) = self.queue.get(seq) else { return };
        let (row, took, status) = (Arc::clone(&entry.row), entry.took, entry.status);
        let answers = row.claim.as_ref().map(|c| c.answers.clone()).unwrap_or_default();
        let answered = answers.iter().filter_map(|s| Some(Arc::clone(&self.queue.get(*s)?.row))).collect();
        self.queue.set(seq, State::Ending);
        let silence = self.silence.take().map(|until| (until, self.destination.settings_hash.clone()));
        self.endings.push(Ending { row, answered, verdict, at, took, status, silence });
    }

    pub(super) fn start_end_write(&mut self) {
        if self.end_write.is_some() || self.endings.is_empty() {
            return;
        }
        let batch = Arc::new(std::mem::take(&mut self.endings));
        self.writing = batch.len();
        let (job, store) = (Arc::clone(&batch), self.deps.store.clone());
        self.end_write = Some(Box::pin(async move {
            let result = store.write(move |tx| ledger::end(tx, &job)).await;
            (batch, result)
        }));
    }

    pub(super) fn ended(&mut self, batch: &Arc<Vec<Ending>>, result: store::Result<Ended>) {
        let now = self.deps.now();
        self.writing = 0;
        let ended = match result {
            Ok(ended) => {
                self.store_trouble = None;
                ended
            }
            Err(error) => {
                // The answers are kept, and written again: forgetting one would send its message twice.
                self.store_failed(now, &error);
                self.endings.extend(batch.iter().cloned());
                return;
            }
        };
        let mut paused = false;
        for (ending, log) in batch.iter().zip(ended.retrying) {
            let seq = ending.row.seq;
            match &ending.verdict {
                Verdict::Retry { .. } => self.ready_again(seq, log),
                Verdict::Delivered { .. } => {
                    self.shared.update(|s| {
                        s.delivered += 1 + ending.answered.len() as u64;
                        s.last_delivered = Some(ending.at);
                    });
                    self.forget(ending);
                }
                Verdict::Dead { pause, reason, detail } => {
                    paused |= pause.is_some();
                    self.say_dead(now, 1 + ending.answered.len() as u64, *reason, detail);
                    self.shared.update(|s| s.dead += 1 + ending.answered.len() as u64);
                    self.forget(ending);
                }
            }
        }
        self.tell(&ended.logged);
        self.show(now);
        if paused {
            self.changed();
        }
    }

    fn ready_again(&mut self, seq: u64, log: Option<u64>) {
        let claim = self.queue.get_mut(seq).and_then(|e| Arc::make_mut(&mut e.row).claim.as_mut());
        let Some(claim) = claim else { return };
        claim.log = log;
        let at = claim.next_at;
        self.queue.set(seq, State::Ready(at));
    }

    fn forget(&mut self, ending: &Ending) {
        self.queue.remove(ending.row.seq);
        for row in &ending.answered {
            self.queue.remove(row.seq);
        }
    }

    pub(super) fn tell(&self, logged: &Logged) {
        for (seq, row) in logged {
            self.deps.observer.delivery(*seq, row);
        }
    }

    fn say_failed(&mut self, now: Timestamp, reason: Reason, detail: &str) {
        if self.told.failed(now) {
            tracing::warn!(
                connector = %self.name, reason = reason.as_str(), error = detail,
                "deliveries fail; they are tried again"
            );
        }
    }

    fn say_dead(&mut self, now: Timestamp, letters: u64, reason: Reason, detail: &str) {
        if let Some(letters) = self.told.gave_up(now, letters) {
            self.say_letters(letters, reason.as_str(), detail);
        }
    }

    fn say_letters(&self, letters: u64, reason: &str, error: &str) {
        tracing::error!(
            connector = %self.name, letters, reason, error,
            "messages were given up: barrelman deliveries list --dead, then deliveries retry"
        );
    }

    /// What else has changed since it was told: called again and again.
    pub(super) fn say_changes(&mut self, now: Timestamp) {
        if let Some(recovered) = self.told.recovered(now) {
            tracing::info!(
                connector = %self.name, failed_attempts = recovered.attempts, after_secs = recovered.after.as_secs(),
                "deliveries succeed again"
            );
        }
        if let Some(letters) = self.told.unsaid(now) {
            self.say_letters(letters, "several", "more since it was told");
        }
        let control = self.control.borrow().clone();
        let (on, paused) = (control.enabled, control.paused);
        match (self.told.paused(on && paused.is_some()), paused) {
            (Some(true), Some((since, why))) => tracing::error!(
                connector = %self.name, %since, %why,
                "the connector has paused itself, nothing is sent to it: mend it, then `barrelman connectors enable`"
            ),
            (Some(false), _) if on => tracing::info!(connector = %self.name, "the connector goes on"),
            _ => {}
        }
    }

    fn changed(&self) {
        let status = self.shared.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.deps.observer.state_changed(&status);
    }
}

const fn status_of(outcome: &Outcome) -> u16 {
    match outcome {
        Outcome::Delivered { status, .. }
        | Outcome::Retry { status, .. }
        | Outcome::Reject { status, .. } => *status,
    }
}

/// Why a row was given up.
pub(super) fn expired_text(horizon: Duration) -> String {
    format!("not taken within {} s", horizon.as_secs())
}
