//! Runs the questions of the screen on threads of its own, so that the screen's task never waits for the disk.
//!
//! Three lanes, so that a search over a million rows holds no page back. A newer question of a slot makes the older
//! one worthless: it is left where it is. Each answer is a message; a snapshot lives for one page or one slice.

mod deliveries;
mod events;
mod incidents;
mod paging;
mod present;
mod system;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
};

use tokio::sync::mpsc;

use super::{
    effect::{Lane, Query, Slot},
    msg::{Answer, Msg},
    options::Pages,
    priority::step_back,
};
use crate::store::{self, Result, Snapshot};

/// Questions that wait in a lane. The screen asks a few per key; more than this means that the disk hangs.
const WAITING: usize = 64;

/// What is said of a panic in an answer.
const FAULT: &str = "reading the store failed by an error of this program: see :logs, and please report it";

/// The newest ticket of each slot.
type Tickets = Arc<[AtomicU64; Slot::COUNT]>;

/// The lanes. Dropping it ends the threads.
pub struct Source {
    lanes: Vec<SyncSender<(Query, u64)>>,
    tickets: Tickets,
    /// Questions asked and not finished.
    open: Arc<AtomicUsize>,
}

impl Source {
    /// Starts the threads; answers go to `answers`.
    pub fn start(
        pages: &Arc<dyn Pages>,
        log_file: Option<&PathBuf>,
        answers: &mpsc::Sender<Msg>,
    ) -> std::io::Result<Self> {
        let tickets: Tickets = Arc::new(std::array::from_fn(|_| AtomicU64::new(0)));
        let open = Arc::new(AtomicUsize::new(0));
        let mut lanes = Vec::new();
        for (name, patient) in [("tui-pages", false), ("tui-events", false), ("tui-scan", true)] {
            let (lane, queue) = sync_channel(WAITING);
            let worker = Worker {
                pages: Arc::clone(pages),
                log_file: log_file.cloned(),
                answers: answers.clone(),
                tickets: Arc::clone(&tickets),
                open: Arc::clone(&open),
            };
            std::thread::Builder::new().name(name.into()).spawn(move || {
                if patient {
                    step_back();
                }
                worker.run(&queue);
            })?;
            lanes.push(lane);
        }
        Ok(Self { lanes, tickets, open })
    }

    /// Asks; a question for which its lane has no room comes back.
    pub fn ask(&self, query: Query) -> std::result::Result<(), Box<Query>> {
        let slot = query.slot();
        let lane = match query.lane() {
            Lane::Quick => 0,
            Lane::Events => 1,
            Lane::Scan => 2,
        };
        let Some((ticket, lane)) = self.tickets.get(slot as usize).zip(self.lanes.get(lane)) else {
            return Err(Box::new(query));
        };
        let ticket = ticket.fetch_add(1, Ordering::Relaxed) + 1;
        self.open.fetch_add(1, Ordering::SeqCst);
        lane.try_send((query, ticket)).map_err(|error| {
            self.open.fetch_sub(1, Ordering::SeqCst);
            let (TrySendError::Full((query, _)) | TrySendError::Disconnected((query, _))) = error;
            Box::new(query)
        })
    }

    /// Every question was answered, or left because a newer one came.
    pub fn is_idle(&self) -> bool {
        self.open.load(Ordering::SeqCst) == 0
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // Whatever runs is worthless now.
        for ticket in self.tickets.iter() {
            ticket.store(u64::MAX, Ordering::Relaxed);
        }
    }
}

struct Worker {
    pages: Arc<dyn Pages>,
    log_file: Option<PathBuf>,
    answers: mpsc::Sender<Msg>,
    tickets: Tickets,
    open: Arc<AtomicUsize>,
}

/// One question being answered.
pub(super) struct Job<'a> {
    worker: &'a Worker,
    slot: Slot,
    ticket: u64,
}

impl Job<'_> {
    /// A newer question has come, or nobody listens any more.
    fn stale(&self) -> bool {
        // Each question about who was told names other incidents: all of them count.
        let newest =
            self.worker.tickets.get(self.slot as usize).map_or(u64::MAX, |t| t.load(Ordering::Relaxed));
        newest == u64::MAX || self.slot != Slot::Told && newest != self.ticket
    }

    fn snapshot(&self) -> Result<Snapshot> {
        self.worker.pages.snapshot()
    }

    fn send(&self, answer: Answer) {
        if !self.stale() {
            // The screen has ended if it does not take it.
            let _ = self.worker.answers.blocking_send(Msg::Answer(answer));
        }
    }
}

impl Worker {
    fn run(&self, queue: &Receiver<(Query, u64)>) {
        while let Ok((query, ticket)) = queue.recv() {
            let job = Job { worker: self, slot: query.slot(), ticket };
            if !job.stale() {
                // A fault in one answer must not leave all later questions of the lane without one.
                let error = match store::unwound(|| self.answer(&job, query.clone())) {
                    Ok(Ok(Some(answer))) => {
                        job.send(answer);
                        None
                    }
                    Ok(Ok(None)) => None,
                    Ok(Err(error)) => Some(error.to_string()),
                    Err(_) => Some(FAULT.to_owned()),
                };
                if let Some(error) = error {
                    job.send(Answer::Failed { query: Box::new(query), error });
                }
            }
            self.open.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn answer(&self, job: &Job<'_>, query: Query) -> Result<Option<Answer>> {
        match query {
            Query::Incidents { ended_since, question } => {
                incidents::list(job, ended_since, question).map(Some)
            }
            Query::Told { ids, question } => {
                let beside = incidents::told(job, &ids)?;
                Ok(Some(Answer::Told { question, beside }))
            }
            Query::Incident { id, question } => {
                let detail = incidents::detail(job, &id)?.map(Box::new);
                Ok(Some(Answer::Incident { question, detail }))
            }
            Query::Events { query, ask, now } => events::page(job, &query, ask, now),
            Query::Count { query, now } => events::count(job, query, now),
            Query::Find { query, wanted, from, older, jump, now } => {
                events::find(job, (&query, &wanted), (from, older), jump, now)
            }
            Query::Event(seq) => events::detail(job, seq).map(Some),
            Query::Strip { scope, folded, now } => events::strip(job, &scope, folded, now),
            Query::Deliveries { query, ask, now } => deliveries::page(job, &query, ask, now),
            Query::Dead => deliveries::dead(job).map(Some),
            Query::Waiting { query, now } => deliveries::waiting(job, query, now).map(Some),
            Query::Connectors => deliveries::connectors(job),
            Query::Scopes(clusters) => system::scopes(job, &clusters).map(Some),
            Query::Totals => system::totals(job).map(Some),
            Query::Logs => Ok(Some(system::logs(self.log_file.as_deref()))),
        }
    }
}
