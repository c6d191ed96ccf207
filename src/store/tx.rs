//! Rows in and out: the same typed calls within a write (`Tx`) and in a read (`Snapshot`).

use std::{
    cell::{Cell, OnceCell, Ref, RefCell, RefMut},
    collections::BTreeMap,
    io::ErrorKind,
    ops::Bound,
    path::Path,
};

use redb::{ReadableTable, TableDefinition};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    error::{Error, Result},
    schema::{Keyed, Log, META, TABLES, is_log},
    snapshot::Snapshot,
};

pub(super) type TextTable<'a> = TableDefinition<'a, &'static str, &'static [u8]>;
pub(super) type NumberTable<'a> = TableDefinition<'a, u64, &'static [u8]>;

/// The row of META that holds the last number given to a row of any log.
pub(super) const LAST_SEQ: &str = "last_seq";
/// The row of META that holds the bytes of keys and values, by table.
const SIZES: &str = "sizes";

/// Bytes of keys and values by table, META left out; kept by every write, so that limits cost nothing to check.
///
/// # Errors
/// A row that cannot be read, or the disk.
pub fn sizes(read: &impl Read) -> Result<BTreeMap<String, u64>> {
    let row = read.get(&META, SIZES)?.unwrap_or_default();
    Ok(serde_json::from_value(row).unwrap_or_default())
}

/// A number as a key takes so many bytes.
const SEQ_BYTES: usize = size_of::<u64>();

/// Reading, within a write or on a snapshot.
pub trait Read {
    /// The row under a key.
    fn get<V: DeserializeOwned>(&self, table: &Keyed<V>, key: &str) -> Result<Option<V>>;
    /// The row with a number.
    fn entry<V: DeserializeOwned>(&self, table: &Log<V>, seq: u64) -> Result<Option<V>>;
    /// Calls `each` for the rows from `from` on, in the order of keys, while it answers true and keys begin with `prefix`.
    fn scan<V: DeserializeOwned>(
        &self,
        table: &Keyed<V>,
        prefix: &str,
        from: &str,
        each: &mut dyn FnMut(&str, V) -> bool,
    ) -> Result<()>;
    /// The same backwards, from the last key below `below` (`None`: the last with the prefix).
    fn scan_back<V: DeserializeOwned>(
        &self,
        table: &Keyed<V>,
        prefix: &str,
        below: Option<&str>,
        each: &mut dyn FnMut(&str, V) -> bool,
    ) -> Result<()>;
    /// Calls `each` for the rows of a log with `seq ≥ from`, oldest first, while it answers true.
    fn read_log<V: DeserializeOwned>(
        &self,
        table: &Log<V>,
        from: u64,
        each: &mut dyn FnMut(u64, V) -> bool,
    ) -> Result<()>;
    /// Calls `each` for the rows of a log with `seq < below`, newest first, while it answers true.
    fn read_log_back<V: DeserializeOwned>(
        &self,
        table: &Log<V>,
        below: u64,
        each: &mut dyn FnMut(u64, V) -> bool,
    ) -> Result<()>;
    /// How many rows a table has.
    fn count(&self, table: &str) -> Result<u64>;

    /// All rows whose key begins with `prefix`.
    fn all<V: DeserializeOwned>(&self, table: &Keyed<V>, prefix: &str) -> Result<Vec<(String, V)>> {
        let mut rows = Vec::new();
        self.scan(table, prefix, prefix, &mut |key, row| {
            rows.push((key.to_owned(), row));
            true
        })?;
        Ok(rows)
    }
}

type OpenText<'a> = redb::Table<'a, &'static str, &'static [u8]>;
type OpenNumber<'a> = redb::Table<'a, u64, &'static [u8]>;

/// A table that stays open until the write ends: opening one costs as much as a row.
enum Open<'a> {
    Text(OpenText<'a>),
    Number(OpenNumber<'a>),
}

/// A write under way. Everything in it becomes durable at once, or not at all.
pub struct Tx<'a> {
    txn: &'a redb::WriteTransaction,
    path: &'a Path,
    /// In the order of `TABLES`; a table that nobody uses is not opened.
    open: [OnceCell<RefCell<Open<'a>>>; TABLES.len()],
    seq: Cell<Option<u64>>,
    rows_read: Cell<u64>,
    grown: RefCell<BTreeMap<&'static str, i64>>,
}

pub(super) fn failed(path: &Path, error: impl Into<redb::Error>) -> Error {
    let path = path.to_owned();
    match error.into() {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Error::Held(path),
        redb::Error::RepairAborted => Error::NeedsWriter(path),
        redb::Error::Corrupted(cause) => Error::Damaged { path, cause },
        redb::Error::Io(e) if matches!(e.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
            Error::Damaged { path, cause: e.to_string() }
        }
        redb::Error::DatabaseClosed => Error::Closed,
        other => Error::Io { path, cause: other.to_string() },
    }
}

fn wrong_keys(name: &str) -> Error {
    Error::Refused(format!("the table {name} has other keys"))
}

fn decode<V: DeserializeOwned>(table: &'static str, key: impl std::fmt::Display, bytes: &[u8]) -> Result<V> {
    serde_json::from_slice(bytes).map_err(|e| Error::Row {
        table,
        key: key.to_string(),
        cause: e.to_string(),
    })
}

fn encode<V: Serialize>(table: &'static str, key: impl std::fmt::Display, row: &V) -> Result<Vec<u8>> {
    serde_json::to_vec(row).map_err(|e| Error::Row { table, key: key.to_string(), cause: e.to_string() })
}

/// The body of `Read` is the same for both transactions but for how a table is opened (in a write a missing table is
/// made, in a read it is empty), and for what is done about damage (`caught`).
macro_rules! read {
    ($ty:ty, $open:ident) => {
        impl $ty {
            fn decoded<V: DeserializeOwned>(
                &self,
                table: &'static str,
                key: impl std::fmt::Display,
                bytes: &[u8],
            ) -> Result<V> {
                self.note_read();
                decode(table, key, bytes)
            }
        }

        impl Read for $ty {
            fn get<V: DeserializeOwned>(&self, table: &Keyed<V>, key: &str) -> Result<Option<V>> {
                self.caught(|| {
                    let open = $open!(self, text, table.name, Ok(None));
                    match open.get(key).map_err(|e| self.failed(e))? {
                        Some(bytes) => self.decoded(table.name, key, bytes.value()).map(Some),
                        None => Ok(None),
                    }
                })
            }

            fn entry<V: DeserializeOwned>(&self, table: &Log<V>, seq: u64) -> Result<Option<V>> {
                self.caught(|| {
                    let open = $open!(self, number, table.name, Ok(None));
                    match open.get(seq).map_err(|e| self.failed(e))? {
                        Some(bytes) => self.decoded(table.name, seq, bytes.value()).map(Some),
                        None => Ok(None),
                    }
                })
            }

            fn scan<V: DeserializeOwned>(
                &self,
                table: &Keyed<V>,
                prefix: &str,
                from: &str,
                each: &mut dyn FnMut(&str, V) -> bool,
            ) -> Result<()> {
                self.caught(|| {
                    let open = $open!(self, text, table.name, Ok(()));
                    for row in open.range(from.max(prefix)..).map_err(|e| self.failed(e))? {
                        let (key, bytes) = row.map_err(|e| self.failed(e))?;
                        let key = key.value();
                        if !key.starts_with(prefix)
                            || !each(key, self.decoded(table.name, key, bytes.value())?)
                        {
                            break;
                        }
                    }
                    Ok(())
                })
            }

            fn scan_back<V: DeserializeOwned>(
                &self,
                table: &Keyed<V>,
                prefix: &str,
                below: Option<&str>,
                each: &mut dyn FnMut(&str, V) -> bool,
            ) -> Result<()> {
                self.caught(|| {
                    let open = $open!(self, text, table.name, Ok(()));
                    // No key holds this character, so it bounds all keys with the prefix.
                    let end = below.map_or_else(|| format!("{prefix}\u{10ffff}"), str::to_owned);
                    if end.as_str() <= prefix {
                        return Ok(());
                    }
                    let range = (Bound::Included(prefix), Bound::Excluded(end.as_str()));
                    for row in open.range::<&str>(range).map_err(|e| self.failed(e))?.rev() {
                        let (key, bytes) = row.map_err(|e| self.failed(e))?;
                        let key = key.value();
                        if !key.starts_with(prefix)
                            || !each(key, self.decoded(table.name, key, bytes.value())?)
                        {
                            break;
                        }
                    }
                    Ok(())
                })
            }

            fn read_log<V: DeserializeOwned>(
                &self,
                table: &Log<V>,
                from: u64,
                each: &mut dyn FnMut(u64, V) -> bool,
            ) -> Result<()> {
                self.caught(|| {
                    let open = $open!(self, number, table.name, Ok(()));
                    for row in open.range(from..).map_err(|e| self.failed(e))? {
                        let (seq, bytes) = row.map_err(|e| self.failed(e))?;
                        let seq = seq.value();
                        if !each(seq, self.decoded(table.name, seq, bytes.value())?) {
                            break;
                        }
                    }
                    Ok(())
                })
            }

            fn read_log_back<V: DeserializeOwned>(
                &self,
                table: &Log<V>,
                below: u64,
                each: &mut dyn FnMut(u64, V) -> bool,
            ) -> Result<()> {
                self.caught(|| {
                    let open = $open!(self, number, table.name, Ok(()));
                    for row in open.range(..below).map_err(|e| self.failed(e))?.rev() {
                        let (seq, bytes) = row.map_err(|e| self.failed(e))?;
                        let seq = seq.value();
                        if !each(seq, self.decoded(table.name, seq, bytes.value())?) {
                            break;
                        }
                    }
                    Ok(())
                })
            }

            fn count(&self, table: &str) -> Result<u64> {
                self.caught(|| {
                    use redb::ReadableTableMetadata;
                    if is_log(table) {
                        let open = $open!(self, number, table, Ok(0));
                        open.len().map_err(|e| self.failed(e))
                    } else {
                        let open = $open!(self, text, table, Ok(0));
                        open.len().map_err(|e| self.failed(e))
                    }
                })
            }
        }
    };
}

macro_rules! open_write {
    ($self:ident, $keys:ident, $name:expr, $empty:expr) => {
        $self.$keys($name)?
    };
}

macro_rules! definition {
    (text, $name:expr) => {
        TextTable::new($name)
    };
    (number, $name:expr) => {
        NumberTable::new($name)
    };
}

macro_rules! open_read {
    ($self:ident, $keys:ident, $name:expr, $empty:expr) => {
        match $self.txn.open_table(definition!($keys, $name)) {
            Ok(open) => open,
            Err(redb::TableError::TableDoesNotExist(_)) => return $empty,
            Err(e) => return Err($self.failed(e)),
        }
    };
}

read!(Tx<'_>, open_write);
read!(Snapshot, open_read);
pub(super) use {definition, open_read};

impl Tx<'_> {
    fn note_read(&self) {
        self.rows_read.set(self.rows_read.get() + 1);
    }

    /// How many rows were read in it so far: what a change costs the one writer.
    pub fn rows_read(&self) -> u64 {
        self.rows_read.get()
    }
}

impl<'a> Tx<'a> {
    pub(super) fn new(txn: &'a redb::WriteTransaction, path: &'a Path) -> Self {
        let open = std::array::from_fn(|_| OnceCell::new());
        Self { txn, path, open, seq: Cell::new(None), rows_read: Cell::new(0), grown: RefCell::default() }
    }

    pub(super) fn path(&self) -> &Path {
        self.path
    }

    /// A job is watched for damage as a whole (`writer::guarded`).
    fn caught<T>(&self, access: impl FnOnce() -> Result<T>) -> Result<T> {
        access()
    }

    /// A table, opened on its first use. A callback of a scan may use any table but the one that is scanned.
    fn table(&self, name: &str) -> Result<&RefCell<Open<'a>>> {
        let unknown = || Error::Refused(format!("there is no table {name}"));
        let place = TABLES.iter().position(|table| *table == name).ok_or_else(unknown)?;
        let cell = self.open.get(place).ok_or_else(unknown)?;
        if let Some(open) = cell.get() {
            return Ok(open);
        }
        let open = if is_log(name) {
            Open::Number(self.txn.open_table(NumberTable::new(name)).map_err(|e| self.failed(e))?)
        } else {
            Open::Text(self.txn.open_table(TextTable::new(name)).map_err(|e| self.failed(e))?)
        };
        Ok(cell.get_or_init(|| RefCell::new(open)))
    }

    fn text(&self, name: &str) -> Result<Ref<'_, OpenText<'a>>> {
        let open = Ref::filter_map(self.table(name)?.borrow(), |open| match open {
            Open::Text(table) => Some(table),
            Open::Number(_) => None,
        });
        open.map_err(|_| wrong_keys(name))
    }

    fn number(&self, name: &str) -> Result<Ref<'_, OpenNumber<'a>>> {
        let open = Ref::filter_map(self.table(name)?.borrow(), |open| match open {
            Open::Number(table) => Some(table),
            Open::Text(_) => None,
        });
        open.map_err(|_| wrong_keys(name))
    }

    fn text_mut(&self, name: &str) -> Result<RefMut<'_, OpenText<'a>>> {
        let open = RefMut::filter_map(self.table(name)?.borrow_mut(), |open| match open {
            Open::Text(table) => Some(table),
            Open::Number(_) => None,
        });
        open.map_err(|_| wrong_keys(name))
    }

    fn number_mut(&self, name: &str) -> Result<RefMut<'_, OpenNumber<'a>>> {
        let open = RefMut::filter_map(self.table(name)?.borrow_mut(), |open| match open {
            Open::Number(table) => Some(table),
            Open::Text(_) => None,
        });
        open.map_err(|_| wrong_keys(name))
    }

    fn grow(&self, table: &'static str, by: i64) {
        if table != META.name {
            *self.grown.borrow_mut().entry(table).or_default() += by;
        }
    }

    fn failed(&self, error: impl Into<redb::Error>) -> Error {
        failed(self.path, error)
    }

    /// By how much this write has made the data larger so far: not yet in `sizes`.
    pub(super) fn grown_total(&self) -> i64 {
        self.grown.borrow().values().sum()
    }

    /// Writes a row under a key.
    pub fn put<V: Serialize>(&self, table: &Keyed<V>, key: &str, row: &V) -> Result<()> {
        let bytes = encode(table.name, key, row)?;
        let mut open = self.text_mut(table.name)?;
        let old = open.insert(key, bytes.as_slice()).map_err(|e| self.failed(e))?;
        let before = old.map_or(0, |old| key.len() + old.value().len());
        self.grow(table.name, (key.len() + bytes.len()) as i64 - before as i64);
        Ok(())
    }

    /// Removes a row; whether there was one.
    pub fn remove<V>(&self, table: &Keyed<V>, key: &str) -> Result<bool> {
        let mut open = self.text_mut(table.name)?;
        let old = open.remove(key).map_err(|e| self.failed(e))?;
        let freed = old.map(|old| key.len() + old.value().len());
        self.grow(table.name, -(freed.unwrap_or(0) as i64));
        Ok(freed.is_some())
    }

    /// Removes every row whose key begins with `prefix`; how many.
    pub fn remove_all<V: DeserializeOwned>(&self, table: &Keyed<V>, prefix: &str) -> Result<u64> {
        let mut open = self.text_mut(table.name)?;
        let end = format!("{prefix}\u{10ffff}");
        let (mut removed, mut freed) = (0, 0);
        open.retain_in(prefix..end.as_str(), |key, row| {
            removed += 1;
            freed += key.len() + row.len();
            false
        })
        .map_err(|e| self.failed(e))?;
        self.grow(table.name, -(freed as i64));
        Ok(removed)
    }

    /// Takes away a table of text keys that an older schema had; answers its rows.
    pub(super) fn take_former<V: DeserializeOwned>(&self, name: &'static str) -> Result<Vec<(String, V)>> {
        let mut rows = Vec::new();
        let mut freed = 0;
        let table = self.txn.open_table(TextTable::new(name)).map_err(|e| self.failed(e))?;
        for row in table.range::<&str>(..).map_err(|e| self.failed(e))? {
            let (key, bytes) = row.map_err(|e| self.failed(e))?;
            freed += key.value().len() + bytes.value().len();
            rows.push((key.value().to_owned(), decode(name, key.value(), bytes.value())?));
        }
        self.txn.delete_table(table).map_err(|e| self.failed(e))?;
        self.grow(name, -(freed as i64));
        Ok(rows)
    }

    /// The next number, larger than every number given before, over all logs and restarts.
    pub fn next_seq(&self) -> Result<u64> {
        let last = match self.seq.get() {
            Some(last) => last,
            None => self.get(&META, LAST_SEQ)?.and_then(|v| v.as_u64()).unwrap_or(0),
        };
        self.seq.set(Some(last + 1));
        Ok(last + 1)
    }

    /// Adds a row at the end of a log; answers its number.
    pub fn append<V: Serialize>(&self, table: &Log<V>, row: &V) -> Result<u64> {
        let seq = self.next_seq()?;
        self.put_entry(table, seq, row)?;
        Ok(seq)
    }

    /// Writes a row of a log again.
    pub fn put_entry<V: Serialize>(&self, table: &Log<V>, seq: u64, row: &V) -> Result<()> {
        let bytes = encode(table.name, seq, row)?;
        let mut open = self.number_mut(table.name)?;
        let old = open.insert(seq, bytes.as_slice()).map_err(|e| self.failed(e))?;
        let before = old.map_or(0, |old| SEQ_BYTES + old.value().len());
        self.grow(table.name, (SEQ_BYTES + bytes.len()) as i64 - before as i64);
        Ok(())
    }

    /// Removes a row of a log; whether there was one.
    pub fn remove_entry<V>(&self, table: &Log<V>, seq: u64) -> Result<bool> {
        let mut open = self.number_mut(table.name)?;
        let old = open.remove(seq).map_err(|e| self.failed(e))?;
        let freed = old.map(|old| SEQ_BYTES + old.value().len());
        self.grow(table.name, -(freed.unwrap_or(0) as i64));
        Ok(freed.is_some())
    }

    /// Called by the writer before it commits: keeps the last number given, and how much there is.
    pub(super) fn finish(&self) -> Result<()> {
        if let Some(last) = self.seq.get() {
            self.put(&META, LAST_SEQ, &last.into())?;
        }
        let grown = self.grown.take();
        if grown.is_empty() {
            return Ok(());
        }
        let mut sizes = sizes(self)?;
        for (table, by) in grown {
            let size = sizes.entry(table.to_owned()).or_default();
            *size = size.saturating_add_signed(by);
        }
        self.put(&META, SIZES, &serde_json::json!(sizes))
    }
}
