//! The embedded database: one redb file, one writer, durable group commits.
//!
//! Rows are JSON under string or number keys: legible in a crash, and a field can be added without a migration.
//! `Store` is the writer's handle, `Reader` looks on from another process. What is answered `Ok` by `write` is on disk.

mod caught;
mod error;
mod file;
pub mod keys;
pub mod maintain;
mod migrate;
pub mod pages;
pub mod retention;
mod rows;
#[cfg(test)]
mod sample;
mod schema;
mod snapshot;
mod tx;
pub mod verify;
mod whose;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};

use redb::ReadableDatabase;
use tokio::sync::{mpsc, oneshot};

pub use caught::{becomes_an_error, goes_on_after, unwound};
pub use error::{Error, Result};
pub use rows::*;
pub use schema::*;
pub use snapshot::Snapshot;
pub use tx::{Read, Tx, sizes};
pub use whose::{Whose, sign, whose};
pub use writer::Health;

use writer::{Job, Shared};

/// The store, open for writing. Cheap to clone; closed in order by `close`.
#[derive(Clone)]
pub struct Store {
    jobs: mpsc::Sender<Job>,
    shared: Shared,
    thread: Arc<std::sync::Mutex<Option<JoinHandle<()>>>>,
    began_empty: bool,
    identity: (u64, u64),
}

impl Store {
    /// Opens or makes the store in a data directory.
    ///
    /// # Errors
    /// Held by another writer, written by a newer version, damaged, or the disk says no.
    pub fn open(dir: &Path) -> Result<Self> {
        file::prepare(dir)?;
        let path = file::path_in(dir);
        let began_empty = file::is_empty(&path);
        let shared = Shared::new(path.clone(), file::open(&path)?);
        let (jobs, queue) = mpsc::channel(writer::QUEUE);
        let thread = writer::start(shared.clone(), queue)
            .map_err(|e| Error::Io { path, cause: format!("cannot start the writer: {e}") })?;
        let identity = file::identity(&shared.path).map_err(file::io(&shared.path))?;
        Ok(Self {
            jobs,
            shared,
            thread: Arc::new(std::sync::Mutex::new(Some(thread))),
            began_empty,
            identity,
        })
    }

    /// Runs a job in the next transaction. When this resolves to `Ok`, its rows are durable; when it resolves to
    /// an error, none of them exists. Dropping the future does not stop a job that was queued.
    pub async fn write<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (job, done, answer) = wrap(job);
        self.jobs.send(job).await.map_err(|_| Error::Closed)?;
        finish(done.await, &answer)
    }

    /// The same for threads that may block.
    pub fn write_blocking<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (job, done, answer) = wrap(job);
        self.jobs.blocking_send(job).map_err(|_| Error::Closed)?;
        finish(done.blocking_recv(), &answer)
    }

    /// The newest committed state.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let database = self.shared.database()?;
        let path = &self.shared.path;
        let txn = caught::caught(path, || database.begin_read().map_err(|e| tx::failed(path, e)))?;
        Ok(Snapshot::new(txn, path).of_engine(self.shared.broken.clone()))
    }

    /// Resolves when the file is found to be damaged, with the error to end with: no trying again mends it. Cancel safe.
    pub async fn broken(&self) -> Error {
        self.shared.broken.wait().await
    }

    /// Whether the file that is open still is the one in the data directory: what is written to another one is lost with
    /// the process, and nobody else sees it.
    ///
    /// # Errors
    /// It is not; `broken` resolves then.
    pub fn check_place(&self) -> Result<()> {
        match file::identity(&self.shared.path) {
            Ok(found) if found != self.identity => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            // A disk that cannot be read comes back.
            _ => return Ok(()),
        }
        let error = Error::Gone(self.shared.path.clone());
        self.shared.broken.tell(&error);
        Err(error)
    }

    /// The file was there when it was opened, with nothing in it: whatever it held is forgotten.
    pub const fn began_empty(&self) -> bool {
        self.began_empty
    }

    /// How commits go.
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Waits for the writer to finish what is queued, and closes the file. Every other clone must be gone, or its
    /// jobs are waited for.
    pub fn close(self) {
        let Self { jobs, shared, thread, .. } = self;
        drop(jobs);
        let thread = thread.lock().ok().and_then(|mut t| t.take());
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        shared.close();
    }
}

type Answer<T> = Arc<std::sync::Mutex<Option<T>>>;

fn wrap<T, F>(job: F) -> (Job, oneshot::Receiver<Result<()>>, Answer<T>)
where
    T: Send + 'static,
    F: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
{
    let answer: Answer<T> = Arc::default();
    let slot = Arc::clone(&answer);
    let (done, wait) = oneshot::channel();
    let run = Box::new(move |tx: &Tx<'_>| {
        let value = job(tx)?;
        if let Ok(mut slot) = slot.lock() {
            *slot = Some(value);
        }
        Ok(())
    });
    (Job { run, done }, wait, answer)
}

fn finish<T>(
    done: std::result::Result<Result<()>, oneshot::error::RecvError>,
    answer: &Answer<T>,
) -> Result<T> {
    done.map_err(|_| Error::Closed)??;
    answer.lock().ok().and_then(|mut slot| slot.take()).ok_or(Error::Closed)
}

/// The store, open for reading beside a writer of another process.
#[derive(Clone)]
pub struct Reader {
    database: Arc<redb::ReadOnlyDatabase>,
    path: PathBuf,
}

impl Reader {
    /// Opens the store of a data directory.
    ///
    /// # Errors
    /// There is none, it needs a writer first, or it was written by a newer version.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = file::path_in(dir);
        Ok(Self { database: Arc::new(file::open_reader(&path)?), path })
    }

    /// The newest committed state.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let begin = || self.database.begin_read().map_err(|e| tx::failed(&self.path, e));
        let txn = caught::caught(&self.path, begin)?;
        Ok(Snapshot::new(txn, &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_answered_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let seq = store
            .write(|tx| {
                tx.put(&META, "a", &1.into())?;
                tx.append(&AUDIT, &audit("create"))
            })
            .await
            .unwrap();
        assert!(matches!(Store::open(dir.path()), Err(Error::Held(_))));
        let beside = Reader::open(dir.path()).unwrap();
        assert_eq!(beside.snapshot().unwrap().get(&META, "a").unwrap(), Some(1.into()));
        drop(beside);
        store.close();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.snapshot().unwrap().entry(&AUDIT, seq).unwrap(), Some(audit("create")));
        let next = store.write(|tx| tx.append(&AUDIT, &audit("edit"))).await.unwrap();
        assert!(next > seq);
    }

    #[tokio::test]
    async fn a_failed_job_leaves_nothing_and_does_not_stop_others() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let failed: Result<()> = store
            .write(|tx| {
                tx.put(&META, "half", &1.into())?;
                Err(Error::Refused("no".into()))
            })
            .await;
        assert_eq!(failed, Err(Error::Refused("no".into())));
        store.write(|tx| tx.put(&META, "whole", &1.into())).await.unwrap();
        let snapshot = store.snapshot().unwrap();
        assert_eq!(snapshot.get(&META, "half").unwrap(), None);
        assert_eq!(snapshot.get(&META, "whole").unwrap(), Some(1.into()));
    }

    #[tokio::test]
    async fn scans_go_both_ways_and_keep_to_their_prefix() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store
            .write(|tx| {
                for k in ["a\0b", "p\x001", "p\x002", "p\x003", "q\x001"] {
                    tx.put(&META, k, &k.into())?;
                }
                Ok(())
            })
            .await
            .unwrap();
        let snapshot = store.snapshot().unwrap();
        let mut back = Vec::new();
        snapshot
            .scan_back(&META, "p\0", Some("p\x003"), &mut |k, _| {
                back.push(k.to_owned());
                true
            })
            .unwrap();
        assert_eq!(back, ["p\x002", "p\x001"]);
        assert_eq!(snapshot.all(&META, "p\0").unwrap().len(), 3);
        drop(snapshot);
        assert_eq!(store.write(|tx| tx.remove_all(&META, "p\0")).await.unwrap(), 3);
        assert_eq!(store.snapshot().unwrap().all(&META, "p\0").unwrap().len(), 0);
    }

    fn audit(action: &str) -> AuditRow {
        AuditRow {
            at: jiff::Timestamp::UNIX_EPOCH,
            action: action.into(),
            connector: "c".into(),
            outcome: "ok".into(),
        }
    }
}
