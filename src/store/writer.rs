//! The one writer: a thread that takes jobs, runs them in one transaction and commits it durably.
//!
//! A group holds what is queued when the thread gets to it, at most for 25 ms. A busy writer commits at an even pace, so
//! that groups grow with the load instead of their number. Answers go out after the commit.
//!
//! When the disk fails, everything in the group fails, the database is closed and opened again with growing pauses, and
//! jobs wait meanwhile: the engine goes on by itself when the disk is back. When the file is damaged nothing is tried
//! again: `Broken` tells the engine, which ends with that.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot, watch};

use super::{
    caught::{caught, unwound},
    error::{Error, Result},
    file,
    tx::{Tx, failed},
};

/// Jobs that wait; senders wait when there are more. A job is a batch already, so this is plenty.
pub(super) const QUEUE: usize = 256;
/// The longest time for which a group collects jobs.
const GROUP_FOR: Duration = Duration::from_millis(25);
/// Between commits of a busy writer. A commit costs as much as some dozens of rows, and waits for the disk twice.
const PACE: Duration = Duration::from_millis(20);
/// As many commits go at once before the pace holds: a single change is committed, claimed and answered without a wait.
const BURST: u32 = 8;
/// After a failed job, this many jobs are committed one by one, so that one bad job cannot fail others again.
const ALONE_AFTER_FAILURE: u32 = 64;
/// Pauses between attempts to open a database whose disk failed.
const REOPEN: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(5)];

/// The store is well again when commits have succeeded for so long. A full disk still takes small commits while a large
/// one fails again and again; whoever waits with that one tries it at least this often.
const SURE: Duration = Duration::from_secs(15);

/// What a job does in a transaction.
type Run = Box<dyn FnOnce(&Tx<'_>) -> Result<()> + Send>;
/// Who waits for the commit.
type Done = oneshot::Sender<Result<()>>;

/// Work to be done in a transaction, and whom to tell.
pub(super) struct Job {
    pub run: Run,
    pub done: Done,
}

type Handle = Option<Arc<redb::Database>>;

/// The open database, shared by the writer and the snapshots; `None` while a failed disk is waited for.
#[derive(Clone)]
pub(super) struct Shared {
    pub path: PathBuf,
    database: Arc<Mutex<Handle>>,
    health: Arc<Mutex<Health>>,
    pub broken: Broken,
}

/// Tells that the file is damaged.
#[derive(Debug, Clone)]
pub(super) struct Broken(Arc<watch::Sender<Option<Error>>>);

impl Broken {
    pub fn tell(&self, error: &Error) {
        self.0.send_if_modified(|told| {
            let first = told.is_none();
            if first {
                tracing::error!(%error, "the store cannot be used any more");
                *told = Some(error.clone());
            }
            first
        });
    }

    pub async fn wait(&self) -> Error {
        let mut told = self.0.subscribe();
        match told.wait_for(Option::is_some).await {
            Ok(error) => error.clone().unwrap_or(Error::Closed),
            Err(_) => Error::Closed,
        }
    }
}

/// How the writer is doing.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Commits so far.
    pub commits: u64,
    /// The last commit, for its age.
    pub last_commit: Option<Instant>,
    /// Why commits fail now; it stands until they have succeeded for a while.
    pub error: Option<Error>,
    /// The last failure, and the first of those since the store was well.
    failed: Option<(Instant, Instant)>,
    /// The first commit after that failure.
    well: Option<Instant>,
    /// How long the last trouble took.
    pub lasted: Option<Duration>,
}

impl Health {
    fn note(&mut self, result: &Result<()>, now: Instant) {
        match result {
            Ok(()) => {
                self.commits += 1;
                self.last_commit = Some(now);
                let well = *self.well.get_or_insert(now);
                let sure = |(last, _): &(Instant, Instant)| now.duration_since(*last) >= SURE;
                if let Some((_, first)) = self.failed.filter(sure) {
                    self.works_again(well.duration_since(first));
                }
            }
            Err(error) if error.is_of_the_store() => {
                if self.error.is_none() {
                    tracing::warn!(%error, "the store cannot commit");
                }
                let first = self.failed.map_or(now, |(_, first)| first);
                (self.error, self.failed, self.well) = (Some(error.clone()), Some((now, first)), None);
            }
            // It tells of a job: whoever asked for it is told.
            Err(_) => {}
        }
    }

    /// `after`: from the first failure to the first commit after the last one.
    fn works_again(&mut self, after: Duration) {
        tracing::info!(after_secs = after.as_secs(), "the store works again");
        (self.error, self.failed) = (None, None);
        self.lasted = Some(after);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Both mutexes hold plain values that are whole at any time, so a panic elsewhere does not spoil them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub fn new(path: PathBuf, database: redb::Database) -> Self {
        let database = Arc::new(Mutex::new(Some(Arc::new(database))));
        Self { path, database, health: Arc::default(), broken: Broken(Arc::new(watch::Sender::new(None))) }
    }

    pub fn database(&self) -> Result<Arc<redb::Database>> {
        lock(&self.database).clone().ok_or_else(|| self.health().error.unwrap_or(Error::Closed))
    }

    pub fn health(&self) -> Health {
        lock(&self.health).clone()
    }

    /// Drops the writer's handle; the file is closed when the last snapshot is gone.
    pub fn close(&self) {
        lock(&self.database).take();
    }

    fn note(&self, result: &Result<()>) {
        lock(&self.health).note(result, Instant::now());
        if let Err(error @ Error::Damaged { .. }) = result {
            self.broken.tell(error);
        }
    }

    /// Closes a damaged file without another look at it: what is in memory may not fit together any more.
    fn abandon(&self) {
        if let Some(database) = lock(&self.database).take() {
            std::mem::forget(database);
        }
    }
}

/// Starts the thread; it ends when every sender is gone.
pub(super) fn start(shared: Shared, jobs: mpsc::Receiver<Job>) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("store".into()).spawn(move || {
        run(&shared, jobs);
        shared.close();
    })
}

/// Commits that may go now, and since when they are counted.
struct Pace {
    left: u32,
    since: Instant,
}

impl Pace {
    /// How long the next commit has to wait.
    fn take(&mut self, now: Instant) -> Duration {
        let earned = now.saturating_duration_since(self.since).as_nanos() / PACE.as_nanos();
        let earned = u32::try_from(earned).unwrap_or(BURST);
        self.since += PACE * earned.min(BURST);
        if self.left + earned >= BURST {
            (self.left, self.since) = (BURST, now);
        } else {
            self.left += earned;
        }
        if self.left > 0 {
            self.left -= 1;
            return Duration::ZERO;
        }
        self.since += PACE;
        self.since.saturating_duration_since(now)
    }
}

fn run(shared: &Shared, mut jobs: mpsc::Receiver<Job>) {
    let mut alone = 0_u32;
    let mut pace = Pace { left: BURST, since: Instant::now() };
    while let Some(first) = jobs.blocking_recv() {
        std::thread::sleep(pace.take(Instant::now()));
        let database = match shared.database() {
            Ok(database) => database,
            Err(error) => {
                // Nobody's job is lost silently: each is told, and repeats what it needs.
                let _ = first.done.send(Err(error));
                if !reopen(shared, &mut jobs) {
                    return refuse(shared, jobs);
                }
                continue;
            }
        };
        let mut queue = Queue { jobs: &mut jobs, together: alone == 0, waiting: Vec::new() };
        let result = caught(&shared.path, || group(&shared.path, &database, first, &mut queue));
        let waiting = queue.waiting;
        drop(database);
        shared.note(&result);
        match &result {
            Ok(()) => alone = alone.saturating_sub(1),
            Err(error) => {
                alone = ALONE_AFTER_FAILURE;
                match error {
                    Error::Io { .. } => shared.close(),
                    Error::Damaged { .. } => shared.abandon(),
                    _ => {}
                }
            }
        }
        for done in waiting {
            let _ = done.send(result.clone());
        }
        if matches!(result, Err(Error::Damaged { .. })) || !reopen(shared, &mut jobs) {
            return refuse(shared, jobs);
        }
    }
}

/// The file is damaged: until the engine ends, everybody is told.
fn refuse(shared: &Shared, mut jobs: mpsc::Receiver<Job>) {
    while let Some(job) = jobs.blocking_recv() {
        let _ = job.done.send(Err(shared.health().error.unwrap_or(Error::Closed)));
    }
}

/// Jobs that may join a group, and those who wait for its commit.
struct Queue<'a> {
    jobs: &'a mut mpsc::Receiver<Job>,
    together: bool,
    waiting: Vec<Done>,
}

/// One transaction over as many jobs as are there.
fn group(path: &Path, database: &redb::Database, first: Job, queue: &mut Queue<'_>) -> Result<()> {
    let started = Instant::now();
    let mut txn = match database.begin_write() {
        Ok(txn) => txn,
        Err(e) => {
            queue.waiting.push(first.done);
            return Err(failed(path, e));
        }
    };
    // A reopening after a crash then takes milliseconds whatever the file's size.
    txn.set_quick_repair(true);
    let tx = Tx::new(&txn, path);
    let mut next = Some(first);
    while let Some(job) = next {
        queue.waiting.push(job.done);
        if let Err(error) = guarded(job.run, &tx) {
            // Dropping the transaction undoes the whole group; those who did nothing wrong repeat.
            return if queue.waiting.len() == 1 || matches!(error, Error::Io { .. } | Error::Damaged { .. }) {
                Err(error)
            } else {
                Err(Error::Undone(error.to_string()))
            };
        }
        let more = queue.together && started.elapsed() < GROUP_FOR;
        next = more.then(|| queue.jobs.try_recv().ok()).flatten();
    }
    tx.finish()?;
    drop(tx);
    txn.commit().map_err(|e| failed(path, e))
}

/// A job that panics is a job that failed: the others' writes must go on.
fn guarded(run: Run, tx: &Tx<'_>) -> Result<()> {
    // Nothing of the transaction outlives a failed job, so no half-made state is seen. What is damage is told as such.
    match unwound(|| caught(tx.path(), || run(tx))) {
        Ok(result) => result,
        Err(cause) => {
            let text = cause.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| cause.downcast_ref::<String>().cloned()).unwrap_or_default();
            Err(Error::Panicked(text))
        }
    }
}

/// Opens the database, where it is closed, until it works or nobody is left who would write; false where it is damaged.
fn reopen(shared: &Shared, jobs: &mut mpsc::Receiver<Job>) -> bool {
    let mut attempt = 0;
    while lock(&shared.database).is_none() && (!jobs.is_closed() || !jobs.is_empty()) {
        std::thread::sleep(REOPEN[attempt.min(REOPEN.len() - 1)]);
        attempt += 1;
        match file::open(&shared.path) {
            Ok(database) => {
                // That it can be opened does not say that it takes a commit: the next one tells.
                *lock(&shared.database) = Some(Arc::new(database));
                return true;
            }
            Err(error) => {
                let damaged = matches!(error, Error::Damaged { .. });
                shared.note(&Err(error));
                if damaged {
                    return false;
                }
            }
        }
        // Senders learn that the disk is still away, rather than wait for it without a word.
        while let Ok(job) = jobs.try_recv() {
            let error = shared.health().error.unwrap_or(Error::Closed);
            let _ = job.done.send(Err(error));
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_well_again_when_commits_have_succeeded_for_a_while() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let full = || Err(Error::Io { path: "/x".into(), cause: "no space".into() });
        let mut health = Health::default();
        health.note(&Ok(()), at(0));
        health.note(&full(), at(10));
        // Small commits still fit, and the large one is tried again meanwhile.
        for (secs, result) in [(11, Ok(())), (16, full()), (17, Ok(())), (22, full()), (36, Ok(()))] {
            health.note(&result, at(secs));
            assert!(health.error.is_some(), "at {secs}");
        }
        health.note(&Ok(()), at(37));
        assert_eq!((health.error.clone(), health.commits), (None, 5));
        // From the first failure at 10 to the first commit after the last one, at 36.
        assert_eq!(health.lasted, Some(Duration::from_secs(26)));
        // What is wrong with one job says nothing about the store.
        health.note(&Err(Error::Refused("no".into())), at(38));
        assert_eq!(health.error, None);
    }

    #[test]
    fn a_burst_goes_at_once_and_then_the_pace_holds() {
        let start = Instant::now();
        let mut pace = Pace { left: BURST, since: start };
        let mut now = start;
        let waits: Vec<Duration> = (0..BURST + 3)
            .map(|_| {
                let wait = pace.take(now);
                now += wait;
                wait
            })
            .collect();
        assert_eq!(waits, [vec![Duration::ZERO; BURST as usize], vec![PACE; 3]].concat());
        // What was not used is saved, but never more than a burst.
        now += PACE * 3;
        assert_eq!((0..4).map(|_| pace.take(now)).filter(Duration::is_zero).count(), 3);
        now += Duration::from_mins(1);
        assert_eq!((0..BURST + 4).map(|_| pace.take(now)).filter(Duration::is_zero).count(), BURST as usize);
    }
}
