//! Which engine writes to the store: written at its start, for whoever looks on while it does not speak.

use serde::{Deserialize, Serialize};

use super::{META, Result, Store, tx::Read};

/// Its row of `META`.
const ROW: &str = "engine";

/// The engine that wrote last. It may have ended: only its process number tells whether it is the one that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whose {
    /// Its process.
    pub pid: u32,
    /// It stores and never delivers.
    pub watch_only: bool,
}

/// Writes it down.
///
/// # Errors
/// The disk.
pub async fn sign(store: &Store, whose: Whose) -> Result<()> {
    let row = serde_json::json!(whose);
    store.write(move |tx| tx.put(&META, ROW, &row)).await
}

/// Who wrote it down last; `None` where an earlier version did.
///
/// # Errors
/// A row that cannot be read, or the disk.
pub fn whose(read: &impl Read) -> Result<Option<Whose>> {
    Ok(read.get(&META, ROW)?.and_then(|row| serde_json::from_value(row).ok()))
}
