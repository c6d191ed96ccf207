//! The database as it was at one commit: its rows (`Read`, in `tx`), and raw rows for backup and verification.

use std::path::{Path, PathBuf};

use super::{
    caught::caught,
    error::{Error, Result},
    tx::{NumberTable, TextTable, definition, failed, open_read},
    writer::Broken,
};

/// The database as it was at one commit. Keep it for at most 100 ms: old pages are kept as long.
pub struct Snapshot {
    pub(super) txn: redb::ReadTransaction,
    path: PathBuf,
    /// Whom to tell that the file is damaged: the engine that runs on it.
    broken: Option<Broken>,
}

impl Snapshot {
    pub(super) fn new(txn: redb::ReadTransaction, path: &Path) -> Self {
        Self { txn, path: path.to_owned(), broken: None }
    }

    pub(super) fn of_engine(self, broken: Broken) -> Self {
        Self { broken: Some(broken), ..self }
    }

    pub(super) fn caught<T>(&self, access: impl FnOnce() -> Result<T>) -> Result<T> {
        let result = caught(&self.path, access);
        if let (Err(error @ Error::Damaged { .. }), Some(broken)) = (&result, &self.broken) {
            broken.tell(error);
        }
        result
    }

    /// Who only reads holds up nobody: not counted.
    #[allow(clippy::unused_self)]
    pub(super) fn note_read(&self) {}

    pub(super) fn failed(&self, error: impl Into<redb::Error>) -> Error {
        failed(&self.path, error)
    }

    /// The names of the tables that are there.
    pub(super) fn tables(&self) -> Result<Vec<String>> {
        use redb::TableHandle;
        self.caught(|| {
            let tables = self.txn.list_tables().map_err(|e| self.failed(e))?;
            Ok(tables.map(|t| t.name().to_owned()).collect())
        })
    }

    /// Every row of a table with text keys, as bytes.
    pub(super) fn raw(&self, table: &str, each: &mut dyn FnMut(&str, &[u8]) -> Result<()>) -> Result<()> {
        self.caught(|| {
            let open = open_read!(self, text, table, Ok(()));
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
            let open = open_read!(self, number, table, Ok(()));
            for row in open.range::<u64>(..).map_err(|e| self.failed(e))? {
                let (seq, bytes) = row.map_err(|e| self.failed(e))?;
                each(seq.value(), bytes.value())?;
            }
            Ok(())
        })
    }
}
