//! Looking after the file: its status, backups while it runs, verification, compaction.
//!
//! `status` feeds the screen and metrics; the rest is for `barrelman store …`. Nothing here changes a row.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};

use super::{
    Reader, Snapshot, Store,
    caught::caught,
    error::{Error, Result},
    file, pages, retention, schema,
    tx::{NumberTable, Read, TextTable, failed},
};
use crate::status::StoreStatus;

/// How the store is; reads no more than a few rows. `full` is the outbox at its cap.
///
/// # Errors
/// The disk; the status that is answered by `unreadable` then says so.
pub fn status(store: &Store, full: bool, now: Timestamp) -> Result<StoreStatus> {
    store.check_place()?;
    let read = store.snapshot()?;
    let health = store.health();
    let age = |at: std::time::Instant| SignedDuration::try_from(at.elapsed()).unwrap_or_default();
    let mut rows = BTreeMap::new();
    for table in schema::TABLES {
        let count = read.count(table)?;
        if count > 0 {
            rows.insert((*table).to_owned(), count);
        }
    }
    Ok(StoreStatus {
        path: store.path().display().to_string(),
        bytes: std::fs::metadata(store.path()).map_or(0, |m| m.len()),
        rows,
        oldest_event: pages::oldest_event(&read)?.map(|(_, at)| at),
        evicted: retention::evicted(&read)?,
        commits: health.commits,
        last_commit: health.last_commit.and_then(|at| now.checked_sub(age(at)).ok()),
        error: health.error.as_ref().map(while_running),
        full,
    })
}

/// Why commits fail now, if they do: nothing is read for it.
pub fn trouble(store: &Store) -> Option<String> {
    store.health().error.as_ref().map(while_running)
}

/// What is known while the disk is away: the last status, with the reason.
pub fn unreadable(last: &StoreStatus, store: &Store, error: &Error) -> StoreStatus {
    let health = store.health();
    let error = health.error.as_ref().unwrap_or(error);
    StoreStatus { commits: health.commits, error: Some(while_running(error)), ..last.clone() }
}

/// An engine that runs goes on once the disk does.
fn while_running(error: &Error) -> String {
    let hope = if matches!(error, Error::Io { .. }) { "; it goes on by itself then" } else { "" };
    format!("{error}{hope}")
}

/// Rows that are copied in one commit of a backup.
const COPY_ROWS: usize = 20_000;

/// Writes a consistent copy of the store to a new file, 0600, while it is written to. Answers its size in bytes.
///
/// The snapshot is held all the time (about a second per 100 MB); the store's file may grow meanwhile.
///
/// # Errors
/// `to` exists, or the disk says no; then nothing is left behind.
pub fn backup(snapshot: &Snapshot, to: &Path) -> Result<u64> {
    if to.exists() {
        return Err(Error::Refused(format!(
            "{} exists already: choose another name for the backup",
            to.display()
        )));
    }
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let result = copy(snapshot, &part).and_then(|()| {
        std::fs::rename(&part, to).map_err(file::io(to))?;
        sync_parent(to)?;
        std::fs::metadata(to).map(|m| m.len()).map_err(file::io(to))
    });
    if result.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    result
}

fn copy(snapshot: &Snapshot, to: &Path) -> Result<()> {
    let _ = std::fs::remove_file(to);
    let database = file::create_new(to)?;
    for table in snapshot.tables()? {
        if schema::is_log(&table) {
            let mut copy = Copy { database: &database, to, rows: Vec::new() };
            snapshot.raw_log(&table, &mut |seq, row| {
                copy.rows.push((seq, row.to_owned()));
                copy.when_full(COPY_ROWS, |txn, rows| insert_log(txn, &table, rows, to))
            })?;
            copy.when_full(0, |txn, rows| insert_log(txn, &table, rows, to))?;
        } else {
            let mut copy = Copy { database: &database, to, rows: Vec::new() };
            snapshot.raw(&table, &mut |key, row| {
                copy.rows.push((key.to_owned(), row.to_owned()));
                copy.when_full(COPY_ROWS, |txn, rows| insert_text(txn, &table, rows, to))
            })?;
            copy.when_full(0, |txn, rows| insert_text(txn, &table, rows, to))?;
        }
    }
    drop(database);
    std::fs::File::open(to).and_then(|f| f.sync_all()).map_err(file::io(to))
}

struct Copy<'a, K> {
    database: &'a redb::Database,
    to: &'a Path,
    rows: Vec<(K, Vec<u8>)>,
}

impl<K> Copy<'_, K> {
    fn when_full(
        &mut self,
        limit: usize,
        insert: impl FnOnce(&redb::WriteTransaction, &[(K, Vec<u8>)]) -> Result<()>,
    ) -> Result<()> {
        if self.rows.len() < limit.max(1) {
            return Ok(());
        }
        let txn = self.database.begin_write().map_err(|e| failed(self.to, e))?;
        insert(&txn, &self.rows)?;
        txn.commit().map_err(|e| failed(self.to, e))?;
        self.rows.clear();
        Ok(())
    }
}

fn insert_log(txn: &redb::WriteTransaction, table: &str, rows: &[(u64, Vec<u8>)], to: &Path) -> Result<()> {
    let mut open = txn.open_table(NumberTable::new(table)).map_err(|e| failed(to, e))?;
    for (seq, row) in rows {
        open.insert(seq, row.as_slice()).map_err(|e| failed(to, e))?;
    }
    Ok(())
}

fn insert_text(
    txn: &redb::WriteTransaction,
    table: &str,
    rows: &[(String, Vec<u8>)],
    to: &Path,
) -> Result<()> {
    let mut open = txn.open_table(TextTable::new(table)).map_err(|e| failed(to, e))?;
    for (key, row) in rows {
        open.insert(key.as_str(), row.as_slice()).map_err(|e| failed(to, e))?;
    }
    Ok(())
}

/// A rename is durable when its directory is.
fn sync_parent(to: &Path) -> Result<()> {
    let parent = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(parent).and_then(|d| d.sync_all()).map_err(file::io(parent))
}

/// The store's file in a data directory, whether it is there or not.
pub fn file_of(dir: &Path) -> PathBuf {
    file::path_in(dir)
}

/// Gives free pages back to the file system. Needs the store for itself. Answers the file's size before and after.
///
/// # Errors
/// Held by another process, or the disk.
pub fn compact(dir: &Path) -> Result<(u64, u64)> {
    let path = file::path_in(dir);
    file::something(&path)?;
    let size = || std::fs::metadata(&path).map(|m| m.len()).map_err(file::io(&path));
    let before = size()?;
    caught(&path, || {
        let mut database = file::open(&path)?;
        // What is damaged must not be moved about: it would look like new.
        if !database.check_integrity().map_err(|e| failed(&path, e))? {
            let cause =
                "its pages did not fit together, and were repaired: see `barrelman store verify`".to_owned();
            return Err(Error::Damaged { path: path.clone(), cause });
        }
        // Each round frees what the one before has moved.
        while database.compact().map_err(|e| failed(&path, e))? {}
        Ok(())
    })?;
    Ok((before, size()?))
}

/// Checks every page of the file against its checksum. Needs the store for itself; `verify` does not.
/// Answers false if something was amiss and could be repaired.
///
/// # Errors
/// Held by another process, damaged beyond repair, or the disk.
pub fn check_pages(dir: &Path) -> Result<bool> {
    let path = file::path_in(dir);
    file::something(&path)?;
    caught(&path, || file::open(&path)?.check_integrity().map_err(|e| failed(&path, e)))
}

/// Opens the store of a directory beside its writer, or alone where a crash left it to be repaired, and verifies it.
///
/// # Errors
/// It cannot be opened.
pub fn verify_dir(dir: &Path) -> Result<super::verify::Report> {
    match Reader::open(dir) {
        Ok(reader) => super::verify::verify(&reader.snapshot()?),
        Err(Error::NeedsWriter(_)) => {
            drop(file::open(&file::path_in(dir))?);
            super::verify::verify(&Reader::open(dir)?.snapshot()?)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sample::*, *};

    #[test]
    fn a_backup_is_a_whole_store_made_while_others_write() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.write_blocking(|tx| (0..300).try_for_each(|n| put_event(tx, &event(n, 5)).map(drop))).unwrap();
        let snapshot = store.snapshot().unwrap();
        store.write_blocking(|tx| put_event(tx, &event(1000, 5))).unwrap();
        let copy = dir.path().join("copy");
        std::fs::create_dir(&copy).unwrap();
        let to = file::path_in(&copy);
        assert!(backup(&snapshot, &to).unwrap() > 0);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let again = backup(&snapshot, &to);
        assert!(matches!(&again, Err(Error::Refused(why)) if why.contains("exists already")), "{again:?}");
        assert_eq!(std::fs::read_dir(&copy).unwrap().count(), 1, "no half file is left");
        let report = verify_dir(&copy).unwrap();
        assert_eq!((report.problems.as_slice(), report.rows["events"]), (&[][..], 300));
        let restored = Store::open(&copy).unwrap();
        let seq = restored.write_blocking(|tx| put_event(tx, &event(2000, 5))).unwrap();
        assert!(seq > 300, "numbers go on in the copy");
    }

    #[test]
    fn compacting_needs_the_store_for_itself_and_makes_the_file_smaller() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(compact(dir.path()), Err(Error::Missing(_))));
        let store = Store::open(dir.path()).unwrap();
        let fill = |tx: &super::super::Tx<'_>| {
            (0..3000).try_for_each(|n| tx.append(&schema::EVENTS, &event(n, 5)).map(drop))
        };
        store.write_blocking(fill).unwrap();
        store
            .write_blocking(|tx| {
                (1..2900).try_for_each(|seq| tx.remove_entry(&schema::EVENTS, seq).map(drop))
            })
            .unwrap();
        assert!(matches!(compact(dir.path()), Err(Error::Held(_))));
        store.close();
        let (before, after) = compact(dir.path()).unwrap();
        assert!(after < before, "{after} < {before}");
        assert!(check_pages(dir.path()).unwrap());
        assert_eq!(Store::open(dir.path()).unwrap().snapshot().unwrap().count("events").unwrap(), 101);
    }

    #[test]
    fn the_status_tells_rows_size_and_age() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.write_blocking(|tx| put_event(tx, &event(1, 77)).map(drop)).unwrap();
        let status = status(&store, true, at(1000)).unwrap();
        assert_eq!((status.rows["events"], status.rows["event_ids"]), (1, 1));
        assert_eq!(status.oldest_event, Some(at(77)));
        assert_eq!((status.commits, status.full, status.error.as_deref()), (1, true, None));
        assert!(status.bytes > 0 && status.last_commit.unwrap() <= at(1000));
        let away = unreadable(&status, &store, &Error::Closed);
        assert_eq!(away.error.as_deref(), Some("the store is closed"));
        assert_eq!(away.rows, status.rows);
    }
}
