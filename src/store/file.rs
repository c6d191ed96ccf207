//! Opening the file: permissions, locks, the schema's version.

use std::path::{Path, PathBuf};

use redb::ReadableDatabase;

use super::{
    caught::caught,
    error::{Error, Result},
    schema::{META, SCHEMA_VERSION},
    snapshot::Snapshot,
    tx::{Read, Tx, failed},
};

/// The file's name in the data directory.
pub(super) const NAME: &str = "barrelman.redb";
/// redb's own default is 1 GiB; resident 72 MiB more with 64 MiB. Half of it holds what a write has changed: a group of
/// a thousand events fits, and is not written and read back before its commit.
const CACHE_BYTES: usize = 8 << 20;

/// The file in a data directory.
pub(super) fn path_in(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

pub(super) fn io(path: &Path) -> impl Fn(std::io::Error) -> Error + '_ {
    move |e| Error::Io { path: path.to_owned(), cause: e.to_string() }
}

/// Makes the data directory (0700) where it is missing.
pub(super) fn prepare(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(dir).map_err(io(dir))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).map_err(io(dir))?;
    }
    Ok(())
}

/// Opens for writing, beside any number of readers of other processes.
pub(super) fn open(path: &Path) -> Result<redb::Database> {
    caught(path, || {
        look(path)?;
        let file = options().open(path).map_err(io(path))?;
        drop(file);
        let database = builder().create(path).map_err(|e| failed(path, e))?;
        check_version(path, &database)?;
        Ok(database)
    })
}

/// The file is there, with nothing in it: what it held is gone, as after a full disk or a slip of the shell.
pub(super) fn is_empty(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() == 0)
}

/// Which file it is, whatever its name. It stays the same while the file is open.
#[cfg(unix)]
pub(super) fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map(|m| (m.dev(), m.ino()))
}

/// Elsewhere a file that is open is not moved.
#[cfg(not(unix))]
pub(super) fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    std::fs::metadata(path).map(|_| (0, 0))
}

/// A file for those who make none: it is there, and there is something in it.
pub(super) fn something(path: &Path) -> Result<()> {
    if !path.is_file() {
        return Err(Error::Missing(path.to_owned()));
    }
    if is_empty(path) {
        let cause = "it has 0 bytes: whatever it held is gone".to_owned();
        return Err(Error::Damaged { path: path.to_owned(), cause });
    }
    Ok(())
}

/// Looks at what is there before it is opened for writing, which changes the file: one that is newer or damaged is
/// left as it is.
fn look(path: &Path) -> Result<()> {
    if std::fs::metadata(path).map_or(0, |m| m.len()) == 0 {
        return Ok(());
    }
    match builder().open_read_only(path) {
        Ok(database) => {
            let txn = database.begin_read().map_err(|e| failed(path, e))?;
            let snapshot = Snapshot::new(txn, path);
            let found = version(&snapshot)?;
            if found.is_none() && !snapshot.tables()?.is_empty() {
                let cause = "it is the database of another program".to_owned();
                return Err(Error::Damaged { path: path.to_owned(), cause });
            }
            known(path, found)
        }
        Err(e) => match failed(path, e) {
            // After a crash only a writer can read; the version is checked once it has repaired the file.
            Error::NeedsWriter(_) => Ok(()),
            error => Err(error),
        },
    }
}

/// A new file for a copy, with nothing in it.
pub(super) fn create_new(path: &Path) -> Result<redb::Database> {
    drop(options().create_new(true).open(path).map_err(io(path))?);
    builder().create(path).map_err(|e| failed(path, e))
}

/// The file is made by us, so that it is readable by its owner alone from its first byte.
fn options() -> std::fs::OpenOptions {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // A link that somebody else made must not lead our data elsewhere.
        options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    }
    options
}

/// Opens for reading, beside a writer of another process.
pub(super) fn open_reader(path: &Path) -> Result<redb::ReadOnlyDatabase> {
    caught(path, || read_only(path))
}

fn read_only(path: &Path) -> Result<redb::ReadOnlyDatabase> {
    something(path)?;
    let read = || builder().open_read_only(path).map_err(|e| failed(path, e));
    let database = match read() {
        // A writer was killed: nobody can read before the file was opened for writing once, as the next start would.
        Err(Error::NeedsWriter(path)) => match open(&path) {
            Ok(_) => read()?,
            // That next start is under way.
            Err(Error::Held(path)) => return Err(Error::NeedsWriter(path)),
            Err(error) => return Err(error),
        },
        other => other?,
    };
    let snapshot = Snapshot::new(database.begin_read().map_err(|e| failed(path, e))?, path);
    known(path, version(&snapshot)?)?;
    Ok(database)
}

fn builder() -> redb::Builder {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_concurrency_mode(redb::ConcurrencyMode::SingleWriter);
    builder
}

fn version(read: &impl Read) -> Result<Option<u32>> {
    Ok(read.get(&META, "schema")?.and_then(|v| v.as_u64()).map(|v| v as u32))
}

fn known(path: &Path, found: Option<u32>) -> Result<()> {
    match found {
        Some(found) if found > SCHEMA_VERSION => {
            Err(Error::Newer { path: path.to_owned(), found, known: SCHEMA_VERSION })
        }
        _ => Ok(()),
    }
}

/// Refuses a newer file before anything in it is touched; gives a new one its version and its keys.
fn check_version(path: &Path, database: &redb::Database) -> Result<()> {
    let snapshot = Snapshot::new(database.begin_read().map_err(|e| failed(path, e))?, path);
    let found = version(&snapshot)?;
    drop(snapshot);
    known(path, found)?;
    if found == Some(SCHEMA_VERSION) {
        return Ok(());
    }
    let txn = database.begin_write().map_err(|e| failed(path, e))?;
    let tx = Tx::new(&txn, path);
    super::migrate::migrate(&tx, found.unwrap_or(0))?;
    tx.put(&META, "schema", &SCHEMA_VERSION.into())?;
    tx.finish()?;
    drop(tx);
    txn.commit().map_err(|e| failed(path, e))
}
