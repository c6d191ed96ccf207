//! The head of one connector's outbox, in memory: which row is next, which waits for an earlier one.
//!
//! Rows beyond the window stay on disk until there is room, so a dead sink costs disk, not memory.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use super::{blame::Blame, lines::Found};
use crate::{event::incident::Phase, store::OutboxRow};

/// Rows held in memory per connector: a claim that is sent, one that is written, and as many answers; at some kB each
/// a dozen megabytes.
pub const WINDOW: usize = 3072;

/// Where a row is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not claimed.
    Waiting,
    /// Not claimed, and held back a moment for the last lines of its container.
    Held,
    /// Its claim is being written, or it is answered by a digest that is.
    Claiming,
    /// Claimed, its bytes are fixed; to be sent at the time.
    Ready(Timestamp),
    /// On the wire.
    Flying,
    /// Another row's message answers it.
    Answered,
    /// Answered; that is being written.
    Ending,
}

/// One row.
#[derive(Debug, Clone)]
pub struct Entry {
    /// As it is in the store.
    pub row: Arc<OutboxRow>,
    /// How long the last attempt took.
    pub took: Duration,
    /// The status of its answer; 0 where there was none.
    pub status: u16,
    /// What its container said last, once that was asked.
    pub lines: Option<Found>,
    /// How often its pause was cut short because the destination came back.
    pub hurried: u32,
    /// Whose fault its failures were.
    pub blame: Blame,
    state: State,
    key: Arc<str>,
}

impl Entry {
    /// Where it is.
    pub fn state(&self) -> State {
        self.state
    }
}

/// The window, with what is looked for most in order.
#[derive(Debug, Default)]
pub struct Queue {
    entries: BTreeMap<u64, Entry>,
    keys: HashMap<Arc<str>, BTreeSet<u64>>,
    /// Unclaimed rows that wait for no earlier one, by the time at which they are due.
    open: BTreeSet<(Timestamp, u64)>,
    /// Claimed rows by the time of their next attempt.
    ready: BTreeSet<(Timestamp, u64)>,
    claimed: usize,
    /// Rows up to here were read.
    pub read_to: u64,
    /// There may be more rows in the store.
    pub more: bool,
}

/// Messages about the same thing are sent in order; a row without an object's uid goes by its name.
fn order_key(row: &OutboxRow) -> Arc<str> {
    match row.notification.order_key() {
        "" => row.notification.event.object.key().into(),
        key => key.into(),
    }
}

const fn is_claimed(state: State) -> bool {
    matches!(state, State::Claiming | State::Ready(_) | State::Flying | State::Ending)
}

fn tries(entry: &Entry) -> u32 {
    entry.row.claim.as_ref().map_or(0, |c| c.attempts)
}

impl Queue {
    /// Nothing is known of the store yet.
    pub fn new() -> Self {
        Self { more: true, ..Self::default() }
    }

    /// Rows in the window.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds a row that was read; one with a claim is ready at its next attempt.
    pub fn push(&mut self, row: Arc<OutboxRow>) {
        let seq = row.seq;
        self.read_to = self.read_to.max(seq);
        if self.entries.contains_key(&seq) {
            return;
        }
        let state = row.claim.as_ref().map_or(State::Waiting, |c| State::Ready(c.next_at));
        let key = order_key(&row);
        self.keys.entry(Arc::clone(&key)).or_default().insert(seq);
        let entry = Entry {
            row,
            state,
            took: Duration::ZERO,
            status: 0,
            lines: None,
            hurried: 0,
            blame: Blame::default(),
            key,
        };
        self.entries.insert(seq, entry);
        self.claimed += usize::from(is_claimed(state));
        self.index(seq);
    }

    /// Unclaimed rows about the same thing as a row that was just read.
    pub fn waiting_before(&self, row: &OutboxRow) -> Vec<u64> {
        let Some(seqs) = self.keys.get(&order_key(row)) else { return Vec::new() };
        let waits = |seq: &&u64| {
            **seq < row.seq
                && self.get(**seq).is_some_and(|e| matches!(e.state, State::Waiting | State::Held))
        };
        seqs.iter().filter(waits).copied().collect()
    }

    /// After reading: rows that a claimed digest answers are not sent by themselves.
    pub fn bind_answers(&mut self) {
        let claims = self.ready.iter().filter_map(|(_, seq)| self.get(*seq)?.row.claim.as_ref());
        let answered: Vec<u64> = claims.flat_map(|c| c.answers.iter().copied()).collect();
        for seq in answered {
            if self.get(seq).is_some_and(|e| e.state == State::Waiting) {
                self.set(seq, State::Answered);
            }
        }
    }

    /// One row.
    pub fn get(&self, seq: u64) -> Option<&Entry> {
        self.entries.get(&seq)
    }

    /// One row.
    pub fn get_mut(&mut self, seq: u64) -> Option<&mut Entry> {
        self.entries.get_mut(&seq)
    }

    /// Sets a row's state.
    pub fn set(&mut self, seq: u64, state: State) {
        self.unindex(seq);
        if let Some(entry) = self.entries.get_mut(&seq) {
            self.claimed += usize::from(is_claimed(state));
            self.claimed -= usize::from(is_claimed(entry.state));
            entry.state = state;
            self.index(seq);
        }
    }

    /// The row is done with; the next one about the same thing may go.
    pub fn remove(&mut self, seq: u64) {
        self.unindex(seq);
        let Some(entry) = self.entries.remove(&seq) else { return };
        self.claimed -= usize::from(is_claimed(entry.state));
        let Some(seqs) = self.keys.get_mut(&entry.key) else { return };
        seqs.remove(&seq);
        match seqs.first().copied() {
            Some(next) => self.index(next),
            None => drop(self.keys.remove(&entry.key)),
        }
    }

    fn index(&mut self, seq: u64) {
        let Some(entry) = self.entries.get(&seq) else { return };
        match entry.state {
            State::Ready(at) => drop(self.ready.insert((at, seq))),
            State::Waiting if self.keys.get(&entry.key).and_then(BTreeSet::first) == Some(&seq) => {
                self.open.insert((entry.row.due_at, seq));
            }
            _ => {}
        }
    }

    fn unindex(&mut self, seq: u64) {
        let Some(entry) = self.entries.get(&seq) else { return };
        match entry.state {
            State::Ready(at) => drop(self.ready.remove(&(at, seq))),
            State::Waiting => drop(self.open.remove(&(entry.row.due_at, seq))),
            _ => {}
        }
    }

    /// Every row, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Entry)> {
        self.entries.iter().map(|(seq, entry)| (*seq, entry))
    }

    /// Unclaimed rows that are due and wait for no earlier one, at most `any`; of resolves at most `resolves` in all.
    pub fn due(&self, now: Timestamp, any: usize, resolves: usize) -> Vec<u64> {
        let (mut left, mut left_resolves) = (any, resolves);
        let mut due = Vec::new();
        for (_, seq) in self.open.range(..=(now, u64::MAX)) {
            if left == 0 && left_resolves == 0 {
                break;
            }
            let resolve = self.get(*seq).is_some_and(|e| e.row.notification.phase == Phase::Resolved);
            if left > 0 || (resolve && left_resolves > 0) {
                left = left.saturating_sub(1);
                left_resolves = left_resolves.saturating_sub(1);
                due.push(*seq);
            }
        }
        due
    }

    /// Whether a row that could go now was due at `before`.
    pub fn any_due(&self, before: Timestamp) -> bool {
        self.open.first().is_some_and(|(at, _)| *at <= before)
    }

    /// Unclaimed rows that were due at `before`, for one digest: each waits for nothing but rows of the same digest.
    /// Resolves are left out unless `resolves`.
    pub fn foldable(&self, before: Timestamp, resolves: bool) -> Vec<u64> {
        let mut blocked: BTreeSet<&str> = BTreeSet::new();
        let mut fold = Vec::new();
        for (seq, entry) in self.iter() {
            let resolve = entry.row.notification.phase == Phase::Resolved;
            let fits = entry.state == State::Waiting && entry.row.due_at <= before && (resolves || !resolve);
            if fits && !blocked.contains(&*entry.key) {
                fold.push(seq);
            } else {
                blocked.insert(&entry.key);
            }
        }
        fold
    }

    /// Claimed rows whose time has come, the earliest first.
    pub fn ready(&self, now: Timestamp, most: usize) -> Vec<u64> {
        self.ready.range(..=(now, u64::MAX)).take(most).map(|(_, seq)| *seq).collect()
    }

    /// Claimed rows that wait for their next attempt, the earliest first.
    pub fn pausing(&self, now: Timestamp, most: usize) -> Vec<u64> {
        self.ready.range((now, u64::MAX)..).take(most).map(|(_, seq)| *seq).collect()
    }

    /// Whether at least so many claimed rows could go now.
    pub fn is_ready(&self, now: Timestamp, most: usize) -> bool {
        self.ready.len() >= most && self.ready.range(..=(now, u64::MAX)).nth(most - 1).is_some()
    }

    /// Rows that are claimed and not answered.
    pub fn claimed(&self) -> usize {
        self.claimed
    }

    /// The same, without those that have failed before: they wait, and keep nobody from going.
    pub fn on_their_way(&self) -> usize {
        self.claimed - self.failed(|_| true)
    }

    /// The same, without those that failed while others were taken: they say nothing of the destination.
    pub fn claimed_in_trouble(&self) -> usize {
        self.claimed - self.failed(|e| e.blame.own)
    }

    /// Rows that failed before and wait, or are due, for their next attempt.
    fn failed(&self, which: impl Fn(&Entry) -> bool) -> usize {
        let waits = |seq| self.get(seq).is_some_and(|e| tries(e) > 0 && which(e));
        self.ready.iter().filter(|(_, seq)| waits(*seq)).count()
    }

    /// Of the claimed rows whose time has come, the one that was tried least.
    pub fn least_tried(&self, now: Timestamp) -> Option<u64> {
        let due = self.ready.range(..=(now, u64::MAX)).map(|(_, seq)| *seq);
        due.min_by_key(|seq| self.get(*seq).map_or(0, tries))
    }

    /// When something happens by itself: a row becomes due or is to be tried again.
    pub fn next_look(&self, now: Timestamp) -> Option<Timestamp> {
        let next = |set: &BTreeSet<(Timestamp, u64)>| set.range((now, u64::MAX)..).next().map(|(at, _)| *at);
        [next(&self.open), next(&self.ready)].into_iter().flatten().min()
    }

    /// When the first row that waits for nothing but its time is due.
    pub fn first_due(&self) -> Option<Timestamp> {
        let first = |set: &BTreeSet<(Timestamp, u64)>| set.first().map(|(at, _)| *at);
        [first(&self.open), first(&self.ready)].into_iter().flatten().min()
    }

    /// When the oldest row was made.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.entries.values().next().map(|e| e.row.notification.created_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        connector::samples,
        event::{EventType, IncidentId},
    };

    fn row(seq: u64, incident: &str, phase: Phase, due: i64) -> OutboxRow {
        let mut notification = samples::notification(EventType::PodCrashLoop, phase, "c");
        notification.incident.as_mut().unwrap().id = IncidentId::from(incident);
        OutboxRow { seq, notification, due_at: Timestamp::from_second(due).unwrap(), claim: None }
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(secs).unwrap()
    }

    #[test]
    fn a_later_row_of_an_incident_waits_for_the_earlier_one() {
        let mut queue = Queue::new();
        queue.push(Arc::new(row(1, "a", Phase::Opened, 10)));
        queue.push(Arc::new(row(2, "a", Phase::Worse, 0)));
        queue.push(Arc::new(row(3, "b", Phase::Opened, 0)));
        assert_eq!(queue.due(at(5), 9, 9), [3]);
        assert_eq!(queue.due(at(10), 9, 9), [3, 1]);
        queue.set(1, State::Flying);
        assert_eq!(queue.due(at(10), 9, 9), [3]);
        queue.remove(1);
        assert_eq!(queue.due(at(10), 9, 9), [2, 3]);
        assert_eq!(queue.due(at(10), 1, 1), [2]);
        assert_eq!((queue.next_look(at(5)), queue.claimed()), (None, 0));
    }

    #[test]
    fn the_brake_lets_resolves_through() {
        let mut queue = Queue::new();
        queue.push(Arc::new(row(1, "a", Phase::Opened, 0)));
        queue.push(Arc::new(row(2, "b", Phase::Resolved, 0)));
        assert_eq!(queue.due(at(1), 0, 9), [2]);
    }

    #[test]
    fn a_digest_never_overtakes_and_leaves_what_must_wait() {
        let mut queue = Queue::new();
        queue.push(Arc::new(row(1, "a", Phase::Opened, 0)));
        queue.push(Arc::new(row(2, "a", Phase::Worse, 0)));
        queue.push(Arc::new(row(3, "b", Phase::Opened, 0)));
        queue.push(Arc::new(row(4, "b", Phase::Resolved, 0)));
        queue.push(Arc::new(row(5, "b", Phase::Reopened, 0)));
        queue.set(1, State::Flying);
        assert_eq!(queue.foldable(at(1), false), [3]);
        assert_eq!(queue.foldable(at(1), true), [3, 4, 5]);
    }
}
