//! New rows, handed from the commit to a worker: a busy one need not read back from the disk what was just written.
//!
//! Only an order that is whole may be handed over. Whoever else writes rows (dead letters that are tried again) says so
//! with an `Unhanded` while it writes; then, and whenever a worker has more to read anyway, rows are read in order.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use super::{Dispatcher, queue::WINDOW, worker::Worker};
use crate::store::{FreshRows, OutboxRow};

/// What a worker has to look at.
#[derive(Debug, Default)]
pub struct News {
    rows: Vec<Arc<OutboxRow>>,
    more: bool,
}

/// The box that a worker empties when it is woken.
#[derive(Debug, Default)]
pub struct Inbox(Mutex<News>);

impl Inbox {
    /// There are rows to read.
    pub fn read(&self) {
        self.put(None);
    }

    fn put(&self, rows: FreshRows) {
        // Plain values, whole at any time.
        let mut news = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match rows {
            Some(rows) if !news.more && news.rows.len() + rows.len() <= WINDOW => news.rows.extend(rows),
            _ => *news = News { rows: Vec::new(), more: true },
        }
    }

    fn take(&self) -> News {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// While it lives, somebody else writes rows: nothing is handed over. Afterwards everybody reads.
pub(super) struct Unhanded<'a>(&'a Dispatcher);

impl Drop for Unhanded<'_> {
    fn drop(&mut self) {
        self.0.wake_all();
        self.0.writers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How many write rows beside the pipeline.
pub(super) type Writers = Arc<AtomicUsize>;

impl Dispatcher {
    pub(super) fn unhanded(&self) -> Unhanded<'_> {
        self.writers.fetch_add(1, Ordering::SeqCst);
        Unhanded(self)
    }

    /// After a commit with new rows for this connector: all that the commit has for it, or `None`.
    pub fn hand(&self, name: &str, rows: FreshRows) {
        let Some(shared) = self.shared(name) else { return };
        shared.inbox.put(rows.filter(|_| self.writers.load(Ordering::SeqCst) == 0));
        shared.wake.notify_one();
    }
}

impl Worker {
    pub(super) fn take_news(&mut self) {
        let News { rows, more } = self.shared.inbox.take();
        if more || self.queue.more || self.queue.len() + rows.len() > WINDOW {
            self.queue.more = true;
            return;
        }
        let read_to = self.queue.read_to;
        for row in rows.into_iter().filter(|row| row.seq > read_to) {
            self.queue.push(row);
        }
    }
}
