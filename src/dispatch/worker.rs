//! One connector's loop: read the queue, claim, send, write the answers. It owns no other connector's fate.
//!
//! Everything that must survive is written before it counts: bytes before their first POST, an answer before its row
//! is forgotten. Between two writes the loop only keeps what it can read again.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{
    Deps, Destination,
    ledger::{self, Claimed, Claiming, Ended, Ending, Logged, Verdict},
    pace::{Pace, back_off, later},
    queue::{Queue, State, WINDOW},
};
use crate::{
    connector::{Outcome, Reason},
    status::ConnectorStatus,
    store::{self, OUTBOX, OUTBOX_HEADS, OutboxRow, Read, keys},
};

/// Rows per claim: one commit pays for all of them.
const BATCH: usize = 64;
/// Claimed rows of a destination in trouble: more would only be frozen early.
const MAX_CLAIMED_IN_TROUBLE: usize = 64;
/// A `bad_request` that may be tried again is given up after so many attempts.
const MAX_DOUBTFUL: u32 = 12;
/// How often a row's pause may be cut short.
const MAX_HURRIED: u32 = 3;
/// How long sends in flight may take when the program ends.
const GRACE: Duration = Duration::from_secs(5);
/// How often rows are looked through for their horizon.
const SWEEP: Duration = Duration::from_secs(30);
/// After a failed write.
const STORE_PAUSE: Duration = Duration::from_millis(500);

/// What can be changed while the worker runs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Control {
    /// Switched on.
    pub enabled: bool,
    /// It paused itself: since when and why.
    pub paused: Option<(Timestamp, String)>,
}

/// What the worker shares with the dispatcher's handle.
#[derive(Debug)]
pub struct Shared {
    /// New rows were committed.
    pub wake: Notify,
    /// How it is doing.
    pub status: Mutex<ConnectorStatus>,
    /// What it should do.
    pub control: watch::Sender<Control>,
}

impl Shared {
    /// A change of the status.
    pub fn update(&self, change: impl FnOnce(&mut ConnectorStatus)) {
        // Plain values, whole at any time.
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

type ClaimWrite = BoxFuture<'static, (Arc<Vec<Claiming>>, store::Result<(Vec<Claimed>, Logged)>)>;
type EndWrite = BoxFuture<'static, (Arc<Vec<Ending>>, store::Result<Ended>)>;

pub(super) struct Worker {
    pub name: String,
    pub destination: Destination,
    pub shared: Arc<Shared>,
    pub deps: Arc<Deps>,
    control: watch::Receiver<Control>,
    queue: Queue,
    pace: Pace,
    flying: FuturesUnordered<BoxFuture<'static, (u64, Outcome)>>,
    endings: Vec<Ending>,
    claim_write: Option<ClaimWrite>,
    end_write: Option<EndWrite>,
    store_wait: Option<Timestamp>,
    swept_at: Timestamp,
    stopping: bool,
}

impl Worker {
    pub fn new(name: String, destination: Destination, shared: Arc<Shared>, deps: Arc<Deps>) -> Self {
        let pace = Pace::new(destination.max_per_minute, destination.min_interval);
        let control = shared.control.subscribe();
        Self {
            name,
            destination,
            shared,
            deps,
            control,
            queue: Queue::new(),
            pace,
            flying: FuturesUnordered::new(),
            endings: Vec::new(),
            claim_write: None,
            end_write: None,
            store_wait: None,
            swept_at: Timestamp::MIN,
            stopping: false,
        }
    }

    /// Runs until `stop`, then finishes what is on the wire, at most 5 s.
    pub async fn run(mut self, stop: CancellationToken) {
        let shared = Arc::clone(&self.shared);
        let mut grace = Box::pin(futures::future::pending().left_future());
        loop {
            let next = self.step();
            if self.stopping && self.idle() {
                return;
            }
            let sleep = tokio::time::sleep(next);
            tokio::select! {
                biased;
                () = stop.cancelled(), if !self.stopping => {
                    self.stopping = true;
                    grace = Box::pin(tokio::time::sleep(GRACE).right_future());
                }
                () = &mut grace, if self.stopping => return,
                Some((seq, outcome)) = self.flying.next(), if !self.flying.is_empty() => {
                    self.answered(seq, outcome);
                    // Answers that arrived together are written together.
                    while let Some(Some((seq, outcome))) = self.flying.next().now_or_never() {
                        self.answered(seq, outcome);
                    }
                }
                (batch, result) = of(&mut self.end_write) => self.ended(&batch, result),
                (batch, result) = of(&mut self.claim_write) => self.claimed(&batch, result),
                changed = self.control.changed() => if changed.is_err() { self.stopping = true },
                () = shared.wake.notified() => self.queue.more = true,
                () = sleep => {}
            }
        }
    }

    fn idle(&self) -> bool {
        self.flying.is_empty()
            && self.endings.is_empty()
            && self.claim_write.is_none()
            && self.end_write.is_none()
    }

    fn can_send(&self) -> bool {
        let control = self.control.borrow();
        !self.stopping && control.enabled && control.paused.is_none() && self.destination.connector.is_some()
    }

    /// Everything that can be done now; how long to sleep if nothing happens.
    fn step(&mut self) -> Duration {
        let now = self.deps.now();
        if self.store_wait.is_some_and(|until| now >= until) {
            self.store_wait = None;
        }
        if self.store_wait.is_none() {
            self.fill(now);
            self.sweep(now);
            self.start_end_write();
            if self.can_send() {
                self.start_claim(now);
            }
        }
        if self.can_send() {
            self.send(now);
        }
        self.show(now);
        let looks = [
            self.queue.next_look(now),
            self.pace.next_look(now),
            self.pace.braked_until(now),
            self.store_wait,
            Some(later(now, SWEEP)),
        ];
        let next = looks.into_iter().flatten().min().unwrap_or(now);
        Duration::try_from(next.duration_since(now)).unwrap_or_default().max(Duration::from_millis(1))
    }

    /// Reads rows into the window.
    fn fill(&mut self, now: Timestamp) {
        // Reading in pieces of some size, rather than a row for each that goes.
        if !self.queue.more || self.queue.len() > WINDOW - BATCH {
            return;
        }
        if let Err(error) = self.read_rows() {
            tracing::warn!(connector = %self.name, %error, "the outbox cannot be read; trying again");
            self.store_wait = Some(later(now, STORE_PAUSE));
        }
    }

    fn read_rows(&mut self) -> store::Result<()> {
        let snapshot = self.deps.store.snapshot()?;
        let from = keys::outbox(&self.name, self.queue.read_to + 1);
        let room = WINDOW.saturating_sub(self.queue.len());
        let mut rows: Vec<OutboxRow> = Vec::new();
        self.queue.more = false;
        let mut full = false;
        snapshot.scan(&OUTBOX, &keys::prefix(&[&self.name]), &from, &mut |_, row| {
            full = rows.len() == room;
            if !full {
                rows.push(row);
            }
            !full
        })?;
        self.queue.more = full;
        for row in rows {
            // A row that waits may be the one that this row replaced: it must not hold it back.
            for earlier in self.queue.waiting_before(&row) {
                if snapshot.get(&OUTBOX_HEADS, &keys::outbox(&self.name, earlier))?.is_none() {
                    self.queue.remove(earlier);
                }
            }
            self.queue.push(row);
        }
        self.queue.bind_answers();
        Ok(())
    }

    /// Gives up rows whose horizon has passed, also of a connector that is off or paused.
    fn sweep(&mut self, now: Timestamp) {
        if now < later(self.swept_at, SWEEP) {
            return;
        }
        self.swept_at = now;
        let stuck = !self.can_send() || self.pace.failures() > 0;
        if !stuck || self.stopping {
            return;
        }
        let horizon = self.deps.horizon;
        let expired = |row: &OutboxRow| later(row.claim.as_ref().map_or(row.due_at, |c| c.at), horizon) < now;
        let given_up: Vec<u64> = self
            .queue
            .iter()
            .filter(|(_, e)| matches!(e.state, State::Waiting | State::Ready(_)) && expired(&e.row))
            .map(|(seq, _)| seq)
            .collect();
        for seq in given_up {
            self.dead(seq, now, (Reason::Expired, expired_text(horizon)), false);
        }
    }

    fn dead(&mut self, seq: u64, now: Timestamp, why: (Reason, String), pause: bool) {
        let pause = pause.then(|| self.destination.settings_hash.clone());
        let (reason, detail) = why;
        self.shared.update(|s| s.last_error = Some((now, detail.clone())));
        self.end(seq, now, Verdict::Dead { reason, detail, pause });
    }

    fn end(&mut self, seq: u64, at: Timestamp, verdict: Verdict) {
        let Some(entry) = self.queue.get(seq) else { return };
        let row = Arc::clone(&entry.row);
        let answers = row.claim.as_ref().map(|c| c.answers.clone()).unwrap_or_default();
        let answered = answers.iter().filter_map(|s| Some(Arc::clone(&self.queue.get(*s)?.row))).collect();
        self.queue.set(seq, State::Ending);
        self.endings.push(Ending { row, answered, verdict, at });
    }

    /// Puts claimed rows on the wire.
    fn send(&mut self, now: Timestamp) {
        let Some(connector) = self.destination.connector.clone() else { return };
        if self.flying.len() >= self.destination.in_flight {
            return;
        }
        for seq in self.queue.ready(now) {
            if self.flying.len() >= self.destination.in_flight || !self.pace.may_send(now) {
                return;
            }
            let Some(message) =
                self.queue.get(seq).and_then(|e| e.row.claim.as_ref()).map(|c| c.message.clone())
            else {
                continue;
            };
            self.queue.set(seq, State::Flying);
            let connector = Arc::clone(&connector);
            self.flying.push(Box::pin(async move { (seq, connector.deliver(&message).await) }));
        }
    }

    /// An attempt has an answer.
    fn answered(&mut self, seq: u64, outcome: Outcome) {
        let now = self.deps.now();
        let Some(entry) = self.queue.get_mut(seq) else { return };
        if let Some(claim) = Arc::make_mut(&mut entry.row).claim.as_mut() {
            claim.attempts += 1;
        }
        match outcome {
            Outcome::Delivered { receipt, status, answer } => {
                entry.doubtful = 0;
                if self.pace.succeeded() > 1 {
                    self.hurry(now);
                }
                self.end(seq, now, Verdict::Delivered { status, answer, receipt });
            }
            Outcome::Reject { reason, detail, pause } => {
                if pause {
                    let why = (now, detail.clone());
                    // At once: nothing more goes out while this is being written.
                    self.shared.control.send_modify(|c| c.paused = Some(why));
                }
                self.shared.update(|s| s.failed += 1);
                self.dead(seq, now, (reason, detail), pause);
            }
            Outcome::Retry { reason, detail, after } => {
                self.shared.update(|s| {
                    s.failed += 1;
                    s.last_error = Some((now, detail.clone()));
                });
                self.retry(seq, now, reason, (detail, after));
            }
        }
    }

    fn retry(&mut self, seq: u64, now: Timestamp, reason: Reason, words: (String, Option<Duration>)) {
        let (detail, after) = words;
        let Some(entry) = self.queue.get_mut(seq) else { return };
        if reason == Reason::BadRequest {
            entry.doubtful += 1;
            if entry.doubtful >= MAX_DOUBTFUL {
                let detail = format!("given up after {MAX_DOUBTFUL} attempts: {detail}");
                return self.dead(seq, now, (reason, detail), false);
            }
        } else {
            self.pace.failed(now, self.deps.chance());
        }
        if let Some(after) = after {
            self.pace.pause(later(now, after));
        }
        let Some(claim) = Arc::make_mut(&mut entry.row).claim.as_mut() else { return };
        if later(claim.at, self.deps.horizon) < now {
            let detail = format!("{}; the last answer: {detail}", expired_text(self.deps.horizon));
            return self.dead(seq, now, (Reason::Expired, detail), false);
        }
        let pause = back_off(claim.attempts, self.deps.chance()).max(after.unwrap_or_default());
        claim.next_at = later(now, pause);
        claim.last.clone_from(&detail);
        let row = Box::new((*entry.row).clone());
        self.end(seq, now, Verdict::Retry { row, detail });
    }

    /// The destination is back: what waits for its next attempt goes now, in order.
    fn hurry(&mut self, now: Timestamp) {
        let waiting: Vec<u64> = self
            .queue
            .iter()
            .filter(|(_, e)| matches!(e.state, State::Ready(at) if at > now) && e.hurried < MAX_HURRIED)
            .map(|(seq, _)| seq)
            .collect();
        for seq in waiting {
            if let Some(entry) = self.queue.get_mut(seq) {
                entry.hurried += 1;
                entry.state = State::Ready(now);
            }
        }
    }

    fn start_end_write(&mut self) {
        if self.end_write.is_some() || self.endings.is_empty() {
            return;
        }
        let batch = Arc::new(std::mem::take(&mut self.endings));
        let (job, store) = (Arc::clone(&batch), self.deps.store.clone());
        self.end_write = Some(Box::pin(async move {
            let result = store.write(move |tx| ledger::end(tx, &job)).await;
            (batch, result)
        }));
    }

    fn ended(&mut self, batch: &Arc<Vec<Ending>>, result: store::Result<Ended>) {
        let now = self.deps.now();
        let ended = match result {
            Ok(ended) => ended,
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
                Verdict::Dead { pause, .. } => {
                    paused |= pause.is_some();
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
        let Some(entry) = self.queue.get_mut(seq) else { return };
        if let Some(claim) = Arc::make_mut(&mut entry.row).claim.as_mut() {
            claim.log = log;
            entry.state = State::Ready(claim.next_at);
        }
    }

    fn forget(&mut self, ending: &Ending) {
        self.queue.remove(ending.row.seq);
        for row in &ending.answered {
            self.queue.remove(row.seq);
        }
    }

    fn tell(&self, logged: &Logged) {
        for (seq, row) in logged {
            self.deps.observer.delivery(*seq, row);
        }
    }

    fn changed(&self) {
        let status = self.shared.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.deps.observer.state_changed(&status);
    }

    fn store_failed(&mut self, now: Timestamp, error: &store::Error) {
        tracing::warn!(connector = %self.name, %error, "deliveries cannot be written; trying again");
        self.store_wait = Some(later(now, STORE_PAUSE));
        if matches!(error, store::Error::Closed) {
            self.stopping = true;
        }
    }

    fn start_claim(&mut self, now: Timestamp) {
        if self.claim_write.is_some() || self.stopping {
            return;
        }
        let batch = self.choose(now);
        if batch.is_empty() {
            return;
        }
        for one in &batch {
            for seq in one.answers.iter().chain([&one.row.seq]) {
                self.queue.set(*seq, State::Claiming);
            }
        }
        self.pace.took(now, batch.len(), self.deps.chance());
        let batch = Arc::new(batch);
        let (job, store) = (Arc::clone(&batch), self.deps.store.clone());
        self.claim_write = Some(Box::pin(async move {
            let result = store.write(move |tx| ledger::claim(tx, &job, now)).await;
            (batch, result)
        }));
    }

    /// What to claim now, rendered.
    fn choose(&mut self, now: Timestamp) -> Vec<Claiming> {
        let claimed = self.queue.claimed();
        let wanted = match self.destination.min_interval {
            // A claimed row can neither be replaced nor folded: claim no more than can go now.
            interval if !interval.is_zero() && (claimed > 0 || self.pace.next_look(now).is_some()) => 0,
            interval if !interval.is_zero() => 1,
            _ if self.pace.failures() > 0 && claimed >= MAX_CLAIMED_IN_TROUBLE => 0,
            _ if self.queue.ready(now).len() > self.destination.in_flight => 0,
            _ => BATCH,
        };
        if wanted == 0 {
            return Vec::new();
        }
        let room = self.pace.room(now, wanted);
        if let Some(fold) = self.to_fold(now, room) {
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
    fn to_fold(&mut self, now: Timestamp, room: super::pace::Room) -> Option<Vec<Claiming>> {
        if !self.destination.folds || room.any == 0 {
            return None;
        }
        let stale_before =
            now.checked_sub(jiff::SignedDuration::try_from(self.deps.stale_after).ok()?).ok()?;
        let mut rows = self.queue.foldable(stale_before, true);
        if rows.len() < 2 && room.fold {
            rows = self.queue.foldable(now, false);
            self.pace.folded();
        }
        if rows.len() < 2 {
            return None;
        }
        let rows: Vec<Arc<OutboxRow>> =
            rows.iter().take(WINDOW).filter_map(|seq| Some(Arc::clone(&self.queue.get(*seq)?.row))).collect();
        let connector = self.destination.connector.as_ref()?;
        match super::digest::claiming(&**connector, &rows, now) {
            Ok(claiming) => Some(vec![claiming]),
            Err(why) => {
                tracing::warn!(connector = %self.name, %why, "a digest could not be made; its messages go one by one");
                None
            }
        }
    }

    /// Renders a row; one that cannot be rendered is a dead letter.
    fn prepare(&mut self, seq: u64, now: Timestamp) -> Option<Claiming> {
        let row = Arc::clone(&self.queue.get(seq)?.row);
        let connector = self.destination.connector.clone()?;
        let receipt = match super::digest::receipt(&self.deps.store, &row) {
            Ok(receipt) => receipt,
            Err(error) => {
                self.store_failed(now, &error);
                return None;
            }
        };
        let rendered = connector.render(&row.notification, receipt.as_ref());
        match rendered
            .map_err(|e| e.to_string())
            .and_then(|m| super::digest::with_claim(&row, m, Vec::new(), now))
        {
            Ok(claiming) => Some(claiming),
            Err(why) => {
                self.dead(seq, now, (Reason::Render, why), false);
                None
            }
        }
    }

    fn claimed(&mut self, batch: &Arc<Vec<Claiming>>, result: store::Result<(Vec<Claimed>, Logged)>) {
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
        let Ok(row) = serde_json::from_str::<OutboxRow>(one.text.get()) else { return };
        if let Some(entry) = self.queue.get_mut(one.row.seq) {
            entry.row = Arc::new(row);
            entry.state = State::Ready(now);
        }
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

    fn show(&self, now: Timestamp) {
        let control = self.control.borrow().clone();
        let in_flight = self.queue.claimed() as u64;
        let queued = self.queue.len() as u64;
        self.shared.update(|s| {
            s.enabled = control.enabled;
            s.queued = queued;
            s.in_flight = in_flight;
            s.oldest = self.queue.oldest();
            s.paused_until = self.pace.paused_until(now);
            let (state, why) = match (&self.destination.incomplete, control) {
                (Some(why), _) => ("incomplete", why.clone()),
                (None, Control { paused: Some((_, why)), .. }) => ("paused", why),
                (None, Control { enabled: true, .. }) => ("on", String::new()),
                (None, _) => ("off", String::new()),
            };
            state.clone_into(&mut s.state);
            s.why = why;
        });
    }
}

fn expired_text(horizon: Duration) -> String {
    format!("not taken within {} s", horizon.as_secs())
}

/// The output of a write under way; never, where there is none. It is taken away when it is done.
fn of<'a, T>(slot: &'a mut Option<BoxFuture<'static, T>>) -> impl Future<Output = T> + use<'a, T> {
    std::future::poll_fn(move |cx| {
        let Some(write) = slot.as_mut() else { return std::task::Poll::Pending };
        Pin::new(write).poll(cx).map(|output| {
            *slot = None;
            output
        })
    })
}
