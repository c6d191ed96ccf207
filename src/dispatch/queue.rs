//! The head of one connector's outbox, in memory: which row is next, which waits for an earlier one.
//!
//! Rows beyond the window stay on disk until there is room, so a dead sink costs disk, not memory.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use jiff::Timestamp;

use crate::{event::incident::Phase, store::OutboxRow};

/// Rows held in memory per connector: at 3 kB each a few megabytes.
pub const WINDOW: usize = 1024;

/// Where a row is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not claimed.
    Waiting,
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
    /// Where it is.
    pub state: State,
    /// Answers in a row that may mean "never".
    pub doubtful: u32,
    /// How often its pause was cut short because the destination came back.
    pub hurried: u32,
}

/// The window.
#[derive(Debug, Default)]
pub struct Queue {
    entries: BTreeMap<u64, Entry>,
    keys: HashMap<String, BTreeSet<u64>>,
    /// Rows up to here were read.
    pub read_to: u64,
    /// There may be more rows in the store.
    pub more: bool,
}

/// Messages about the same thing are sent in order; a row without an object is ordered with nothing.
fn order_key(row: &OutboxRow) -> String {
    match row.notification.order_key() {
        "" => row.notification.event.object.key(),
        key => key.to_owned(),
    }
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
    pub fn push(&mut self, row: OutboxRow) {
        let seq = row.seq;
        self.read_to = self.read_to.max(seq);
        if self.entries.contains_key(&seq) {
            return;
        }
        let state = row.claim.as_ref().map_or(State::Waiting, |c| State::Ready(c.next_at));
        self.keys.entry(order_key(&row)).or_default().insert(seq);
        self.entries.insert(seq, Entry { row: Arc::new(row), state, doubtful: 0, hurried: 0 });
    }

    /// Unclaimed rows about the same thing as a row that was just read.
    pub fn waiting_before(&self, row: &OutboxRow) -> Vec<u64> {
        let Some(seqs) = self.keys.get(&order_key(row)) else { return Vec::new() };
        let waits =
            |seq: &&u64| **seq < row.seq && self.entries.get(seq).is_some_and(|e| e.state == State::Waiting);
        seqs.iter().filter(waits).copied().collect()
    }

    /// After reading: rows that a claimed digest answers are not sent by themselves.
    pub fn bind_answers(&mut self) {
        let answered: Vec<u64> = self
            .entries
            .values()
            .filter_map(|e| e.row.claim.as_ref())
            .flat_map(|c| c.answers.clone())
            .collect();
        for seq in answered {
            if let Some(entry) = self.entries.get_mut(&seq).filter(|e| e.state == State::Waiting) {
                entry.state = State::Answered;
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
        if let Some(entry) = self.entries.get_mut(&seq) {
            entry.state = state;
        }
    }

    /// The row is done with.
    pub fn remove(&mut self, seq: u64) {
        let Some(entry) = self.entries.remove(&seq) else { return };
        let key = order_key(&entry.row);
        if let Some(seqs) = self.keys.get_mut(&key) {
            seqs.remove(&seq);
            if seqs.is_empty() {
                self.keys.remove(&key);
            }
        }
    }

    /// Every row, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Entry)> {
        self.entries.iter().map(|(seq, entry)| (*seq, entry))
    }

    fn is_first(&self, seq: u64, entry: &Entry) -> bool {
        let key = order_key(&entry.row);
        self.keys.get(&key).and_then(BTreeSet::first).is_none_or(|first| *first == seq)
    }

    /// Unclaimed rows that are due and wait for no earlier one, at most `any`; of resolves at most `resolves` in all.
    pub fn due(&self, now: Timestamp, any: usize, resolves: usize) -> Vec<u64> {
        let (mut left, mut left_resolves) = (any, resolves);
        let mut due = Vec::new();
        for (seq, entry) in self.iter() {
            if left == 0 && left_resolves == 0 {
                break;
            }
            if entry.state != State::Waiting || entry.row.due_at > now {
                continue;
            }
            let resolve = entry.row.notification.phase == Phase::Resolved;
            let taken = if left > 0 { true } else { resolve && left_resolves > 0 };
            if taken && self.is_first(seq, entry) {
                left = left.saturating_sub(1);
                left_resolves = left_resolves.saturating_sub(1);
                due.push(seq);
            }
        }
        due
    }

    /// Unclaimed rows that were due at `before`, for one digest: each waits for nothing but rows of the same digest.
    /// Resolves are left out unless `resolves`.
    pub fn foldable(&self, before: Timestamp, resolves: bool) -> Vec<u64> {
        let mut blocked: BTreeSet<&str> = BTreeSet::new();
        let mut fold = Vec::new();
        for (seq, entry) in self.iter() {
            let key = entry.row.notification.order_key();
            let resolve = entry.row.notification.phase == Phase::Resolved;
            let fits = entry.state == State::Waiting && entry.row.due_at <= before && (resolves || !resolve);
            if fits && !blocked.contains(key) {
                fold.push(seq);
            } else {
                blocked.insert(key);
            }
        }
        fold
    }

    /// Claimed rows whose time has come, the earliest first.
    pub fn ready(&self, now: Timestamp) -> Vec<u64> {
        let mut ready: Vec<(Timestamp, u64)> = self
            .iter()
            .filter_map(|(seq, e)| match e.state {
                State::Ready(at) if at <= now => Some((at, seq)),
                _ => None,
            })
            .collect();
        ready.sort_unstable();
        ready.into_iter().map(|(_, seq)| seq).collect()
    }

    /// Rows that are claimed and not answered.
    pub fn claimed(&self) -> usize {
        self.entries
            .values()
            .filter(|e| matches!(e.state, State::Claiming | State::Ready(_) | State::Flying | State::Ending))
            .count()
    }

    /// When something happens by itself: a row becomes due or is to be tried again.
    pub fn next_look(&self, now: Timestamp) -> Option<Timestamp> {
        let times = self.entries.values().filter_map(|e| match e.state {
            State::Waiting => Some(e.row.due_at),
            State::Ready(at) => Some(at),
            _ => None,
        });
        times.filter(|at| *at > now).min()
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
        queue.push(row(1, "a", Phase::Opened, 10));
        queue.push(row(2, "a", Phase::Worse, 0));
        queue.push(row(3, "b", Phase::Opened, 0));
        assert_eq!(queue.due(at(5), 9, 9), [3]);
        assert_eq!(queue.due(at(10), 9, 9), [1, 3]);
        queue.set(1, State::Flying);
        assert_eq!(queue.due(at(10), 9, 9), [3]);
        queue.remove(1);
        assert_eq!(queue.due(at(10), 9, 9), [2, 3]);
        assert_eq!(queue.due(at(10), 1, 1), [2]);
        assert_eq!(queue.next_look(at(5)), None);
    }

    #[test]
    fn the_brake_lets_resolves_through() {
        let mut queue = Queue::new();
        queue.push(row(1, "a", Phase::Opened, 0));
        queue.push(row(2, "b", Phase::Resolved, 0));
        assert_eq!(queue.due(at(1), 0, 9), [2]);
    }

    #[test]
    fn a_digest_never_overtakes_and_leaves_what_must_wait() {
        let mut queue = Queue::new();
        queue.push(row(1, "a", Phase::Opened, 0));
        queue.push(row(2, "a", Phase::Worse, 0));
        queue.push(row(3, "b", Phase::Opened, 0));
        queue.push(row(4, "b", Phase::Resolved, 0));
        queue.push(row(5, "b", Phase::Reopened, 0));
        queue.set(1, State::Flying);
        assert_eq!(queue.foldable(at(1), false), [3]);
        assert_eq!(queue.foldable(at(1), true), [3, 4, 5]);
    }
}
