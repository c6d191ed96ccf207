//! The database as it was at one commit: the rows of `Read`, and raw rows for backup and verification.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::{
    caught::caught,
    error::{Error, Result},
    schema::{Keyed, Log},
    tx::{NumberTable, Read, Rows, TextTable, failed},
    writer::Broken,
};

/// The database as it was at one commit. Keep it for at most 100 ms: old pages are kept as long.
pub struct Snapshot {
    rows: Rows,
    /// Whom to tell that the file is damaged: the engine that runs on it.
    broken: Option<Broken>,
}

impl Snapshot {
    pub(super) fn new(txn: redb::ReadTransaction, path: &Path) -> Self {
        Self { rows: Rows { txn, path: path.to_owned() }, broken: None }
    }

    pub(super) fn of_engine(self, broken: Broken) -> Self {
        Self { broken: Some(broken), ..self }
    }

    fn caught<T>(&self, access: impl FnOnce() -> Result<T>) -> Result<T> {
        let result = caught(&self.rows.path, access);
        if let (Err(error @ Error::Damaged { .. }), Some(broken)) = (&result, &self.broken) {
            broken.tell(error);
        }
        result
    }

    fn failed(&self, error: impl Into<redb::Error>) -> Error {
        failed(&self.rows.path, error)
    }

    /// The names of the tables that are there.
    pub(super) fn tables(&self) -> Result<Vec<String>> {
        use redb::TableHandle;
        self.caught(|| {
            let tables = self.rows.txn.list_tables().map_err(|e| self.failed(e))?;
            Ok(tables.map(|t| t.name().to_owned()).collect())
        })
    }

    /// Every row of a table with text keys, as bytes.
    pub(super) fn raw(&self, table: &str, each: &mut dyn FnMut(&str, &[u8]) -> Result<()>) -> Result<()> {
        self.caught(|| {
            let open = match self.rows.txn.open_table(TextTable::new(table)) {
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
                open => open.map_err(|e| self.failed(e))?,
            };
            for row in open.range::<&str>(..).map_err(|e| self.failed(e))? {
                let (key, bytes) = row.map_err(|e| self.failed(e))?;
                each(key.value(), bytes.value())?;
            }
            Ok(())
        })
    }

    /// Every row of a log, as bytes.
    pub(super) fn raw_log(&self, table: &str, each: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        self.caught(|| {
            let open = match self.rows.txn.open_table(NumberTable::new(table)) {
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
                open => open.map_err(|e| self.failed(e))?,
            };
            for row in open.range::<u64>(..).map_err(|e| self.failed(e))? {
                let (seq, bytes) = row.map_err(|e| self.failed(e))?;
                each(seq.value(), bytes.value())?;
            }
            Ok(())
        })
    }
}

impl Read for Snapshot {
    fn get<V: DeserializeOwned>(&self, table: &Keyed<V>, key: &str) -> Result<Option<V>> {
        self.caught(|| self.rows.get(table, key))
    }

    fn entry<V: DeserializeOwned>(&self, table: &Log<V>, seq: u64) -> Result<Option<V>> {
        self.caught(|| self.rows.entry(table, seq))
    }

    fn scan<V: DeserializeOwned>(
        &self,
        table: &Keyed<V>,
        prefix: &str,
        from: &str,
        each: &mut dyn FnMut(&str, V) -> bool,
    ) -> Result<()> {
        self.caught(|| self.rows.scan(table, prefix, from, each))
    }

    fn scan_back<V: DeserializeOwned>(
        &self,
        table: &Keyed<V>,
        prefix: &str,
        below: Option<&str>,
        each: &mut dyn FnMut(&str, V) -> bool,
    ) -> Result<()> {
        self.caught(|| self.rows.scan_back(table, prefix, below, each))
    }

    fn read_log<V: DeserializeOwned>(
        &self,
        table: &Log<V>,
        from: u64,
        each: &mut dyn FnMut(u64, V) -> bool,
    ) -> Result<()> {
        self.caught(|| self.rows.read_log(table, from, each))
    }

    fn read_log_back<V: DeserializeOwned>(
        &self,
        table: &Log<V>,
        below: u64,
        each: &mut dyn FnMut(u64, V) -> bool,
    ) -> Result<()> {
        self.caught(|| self.rows.read_log_back(table, below, each))
    }

    fn count(&self, table: &str) -> Result<u64> {
        self.caught(|| self.rows.count(table))
    }
}
