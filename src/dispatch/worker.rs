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
    answers::expired_text,
    ledger::{Claimed, Claiming, Ended, Ending, Logged},
    lines::{Asked, Found},
    news::Inbox,
    pace::{Pace, later},
    queue::{Queue, State, WINDOW},
    rows,
    told::Told,
};
use crate::{
    connector::{Outcome, Reason},
    status::ConnectorStatus,
    store::{self, OUTBOX_HEADS, OutboxRow, Read, keys},
};

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
    /// There is something to look at.
    pub wake: Notify,
    /// What.
    pub inbox: Inbox,
    /// How it is doing.
    pub status: Mutex<ConnectorStatus>,
    /// What it should do.
    pub control: watch::Sender<Control>,
}

impl Shared {
    /// There may be rows to read.
    pub fn look(&self) {
        self.inbox.read();
        self.wake.notify_one();
    }

    /// A change of the status.
    pub fn update(&self, change: impl FnOnce(&mut ConnectorStatus)) {
        // Plain values, whole at any time.
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

type ClaimWrite = BoxFuture<'static, (Arc<Vec<Claiming>>, store::Result<(Vec<Claimed>, Logged)>)>;
type EndWrite = BoxFuture<'static, (Arc<Vec<Ending>>, store::Result<Ended>)>;

/// Messages on the wire, and answers that are not on disk yet: what a sink may see again after a kill. Where commits
/// are slow, sending waits for them. A stream of single events needs room for what goes out while two commits wait
/// for a slow disk: 500 at 5,000/s.
const fn most_unwritten(folds: bool) -> usize {
    if folds { 64 } else { 1024 }
}

pub(super) struct Worker {
    pub name: String,
    pub destination: Destination,
    pub shared: Arc<Shared>,
    pub deps: Arc<Deps>,
    pub(super) control: watch::Receiver<Control>,
    pub(super) queue: Queue,
    pub(super) pace: Pace,
    /// How many messages the destination has taken.
    pub(super) taken: u64,
    /// From then on one more is claimed of a destination in trouble that has enough of them.
    pub(super) fresh_at: Option<Timestamp>,
    pub(super) flying: FuturesUnordered<BoxFuture<'static, (u64, Outcome, Duration)>>,
    /// Rows that wait a moment for the last lines of their container.
    pub(super) held: FuturesUnordered<BoxFuture<'static, (u64, Found)>>,
    /// Whose lines were asked for, by all workers.
    pub(super) asked: Arc<Asked>,
    /// Why lines were left out the last time.
    pub(super) no_lines: Option<Arc<str>>,
    /// The service has just asked for silence until then: written down with its answer.
    pub(super) silence: Option<Timestamp>,
    pub(super) endings: Vec<Ending>,
    /// Answers that are being written down.
    pub(super) writing: usize,
    pub(super) claim_write: Option<ClaimWrite>,
    pub(super) end_write: Option<EndWrite>,
    pub(super) store_wait: Option<Timestamp>,
    /// What the log said of the destination.
    pub(super) told: Told,
    /// How the store failed the last time, until a write succeeds.
    pub(super) store_trouble: Option<String>,
    swept_at: Timestamp,
    /// How many rows wait beyond the window, and when they were counted.
    pub(super) beyond: (Timestamp, u64),
    pub(super) stopping: bool,
}

impl Worker {
    pub fn new(
        name: String,
        destination: Destination,
        shared: Arc<Shared>,
        (deps, asked): (Arc<Deps>, Arc<Asked>),
    ) -> Self {
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
            taken: 0,
            fresh_at: None,
            flying: FuturesUnordered::new(),
            held: FuturesUnordered::new(),
            asked,
            no_lines: None,
            silence: None,
            endings: Vec::new(),
            writing: 0,
            claim_write: None,
            end_write: None,
            store_wait: None,
            told: Told::default(),
            store_trouble: None,
            swept_at: Timestamp::MIN,
            beyond: (Timestamp::MIN, 0),
            stopping: false,
        }
    }

    /// What an earlier process was asked for holds on.
    pub fn silent_until(mut self, until: Option<Timestamp>) -> Self {
        if let Some(until) = until {
            self.pace.pause(until);
        }
        self
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
                Some((seq, outcome, took)) = self.flying.next(), if !self.flying.is_empty() => {
                    self.answered(seq, outcome, took);
                    // Answers that arrived together are written together.
                    while let Some(Some((seq, outcome, took))) = self.flying.next().now_or_never() {
                        self.answered(seq, outcome, took);
                    }
                }
                Some((seq, found)) = self.held.next(), if !self.held.is_empty() => self.released(seq, found),
                (batch, result) = of(&mut self.end_write) => self.ended(&batch, result),
                (batch, result) = of(&mut self.claim_write) => self.claimed(&batch, result),
                changed = self.control.changed() => if changed.is_err() { self.stopping = true },
                () = shared.wake.notified() => self.take_news(),
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

    pub(super) fn can_send(&self) -> bool {
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
            self.count_beyond(now);
            self.start_end_write();
            if self.can_send() {
                self.start_claim(now);
            }
        }
        if self.can_send() {
            self.send(now);
        }
        self.show(now);
        self.say_changes(now);
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
        if !self.queue.more || self.queue.len() > WINDOW - self.batch() {
            return;
        }
        if let Err(error) = self.read_rows(now) {
            self.store_failed(now, &error);
        }
    }

    fn read_rows(&mut self, now: Timestamp) -> store::Result<()> {
        let snapshot = self.deps.store.snapshot()?;
        let room = WINDOW.saturating_sub(self.queue.len());
        let found = rows::read(&snapshot, &self.name, self.queue.read_to + 1, room)?;
        self.queue.more = found.more;
        self.set_aside(found.unreadable);
        let mut read = Vec::with_capacity(found.readable.len());
        for row in found.readable {
            // A row that waits may be the one that this row replaced: it must not hold it back.
            for earlier in self.queue.waiting_before(&row) {
                if snapshot.get(&OUTBOX_HEADS, &keys::outbox(&self.name, earlier))?.is_none() {
                    self.queue.remove(earlier);
                }
            }
            read.push(row.seq);
            self.queue.push(Arc::new(row));
        }
        self.queue.bind_answers();
        self.hold(&read, now);
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
            .filter(|(_, e)| matches!(e.state(), State::Waiting | State::Ready(_)) && expired(&e.row))
            .map(|(seq, _)| seq)
            .collect();
        for seq in given_up {
            self.dead(seq, now, (Reason::Expired, expired_text(horizon)), false);
        }
    }

    /// Puts claimed rows on the wire.
    fn send(&mut self, now: Timestamp) {
        let Some(connector) = self.destination.connector.clone() else { return };
        let unwritten = self.endings.len() + self.writing;
        let most =
            self.destination.in_flight.min(most_unwritten(self.destination.folds).saturating_sub(unwritten));
        if self.flying.len() >= most {
            return;
        }
        let ready = if self.pace.in_trouble() {
            // What was never tried says most: it may be the first that is taken.
            self.queue.least_tried(now).into_iter().collect()
        } else {
            self.queue.ready(now, most)
        };
        for seq in ready {
            if self.flying.len() >= most || !self.pace.may_send(now) {
                return;
            }
            let Some(message) =
                self.queue.get(seq).and_then(|e| e.row.claim.as_ref()).map(|c| c.message.clone())
            else {
                continue;
            };
            self.queue.set(seq, State::Flying);
            let connector = Arc::clone(&connector);
            self.flying.push(Box::pin(async move {
                let started = tokio::time::Instant::now();
                (seq, connector.deliver(&message).await, started.elapsed())
            }));
        }
    }

    pub(super) fn store_failed(&mut self, now: Timestamp, error: &store::Error) {
        let said = error.to_string();
        if self.store_trouble.as_ref() != Some(&said) {
            tracing::warn!(connector = %self.name, %error, "the store fails; deliveries wait, and it is tried again");
            self.store_trouble = Some(said);
        }
        self.store_wait = Some(later(now, STORE_PAUSE));
        if matches!(error, store::Error::Closed) {
            self.stopping = true;
        }
    }

    pub(super) fn show(&self, now: Timestamp) {
        let control = self.control.borrow().clone();
        let in_flight = (self.flying.len() + self.endings.len() + self.writing) as u64;
        let queued = (self.queue.len() as u64).saturating_sub(in_flight);
        let beyond = self.beyond.1;
        let fails = self.pace.failures() > 0 && self.can_send();
        let due = self.queue.first_due().filter(|_| fails);
        let next_attempt = due.map(|at| at.max(self.pace.opens_at().unwrap_or(at)));
        self.shared.update(|s| {
            show_switch(s, self.destination.incomplete.as_deref(), control);
            s.queued = queued + beyond;
            s.in_flight = in_flight;
            s.oldest = self.queue.oldest();
            s.paused_until = self.pace.paused_until(now);
            s.next_attempt = next_attempt;
        });
    }
}

/// What a person switched, or the worker itself.
pub(super) fn show_switch(status: &mut ConnectorStatus, incomplete: Option<&str>, control: Control) {
    status.enabled = control.enabled;
    let (state, why) = match (incomplete, control) {
        (Some(why), _) => ("incomplete", why.to_owned()),
        (None, Control { paused: Some((_, why)), .. }) => ("paused", why),
        (None, Control { enabled: true, .. }) => ("on", String::new()),
        (None, _) => ("off", String::new()),
    };
    state.clone_into(&mut status.state);
    status.why = why;
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
