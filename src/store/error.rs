//! What can go wrong with the database, in words that say what to do.

use std::path::PathBuf;

/// Cloneable, because one failed commit is the answer to everybody whose rows were in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another process has the store open for writing.
    #[error(
        "another barrelman holds the store {0}: stop it, or choose another place with --data-dir; \
         to look at its data, `barrelman events` and the dashboard read beside it"
    )]
    Held(PathBuf),
    /// There is no store yet (readers only).
    #[error(
        "there is no store at {0} yet: start `barrelman forward` or `barrelman` first, or name it with --data-dir"
    )]
    Missing(PathBuf),
    /// The last writer crashed; a reader cannot repair.
    #[error(
        "the store {0} was not closed in order, or is damaged: `barrelman store verify` mends the one, and tells of the \
         other; so does the next start"
    )]
    NeedsWriter(PathBuf),
    /// The file's schema is newer than this program.
    #[error(
        "the store {path} was written by a newer barrelman (schema {found}, this one knows {known}): upgrade, or choose another --data-dir"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// No room, no right, a failing disk. The engine tries again by itself.
    #[error("cannot write the store {path}: {cause}; {}", advice(cause))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's words.
        cause: String,
    },
    /// The file is no redb file, or its pages do not fit together.
    #[error(
        "the store {path} is damaged: {cause}; restore a backup (`barrelman store backup` makes them), or move the file away to start anew"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        cause: String,
    },
    /// The file that is open is not the one in the data directory any more.
    #[error(
        "the store {0} was moved, removed or replaced while it was open: put it back, and start again; until now \
         everything is in the file that was open"
    )]
    Gone(PathBuf),
    /// A row could not be read: written by another version, or damaged.
    #[error(
        "row {} of table {table} cannot be read: {cause}; `barrelman store verify` tells what else is damaged; restore \
         a backup, or move the file away to start anew", key.escape_debug().to_string().replace("\\0", " ")
    )]
    Row {
        /// The table.
        table: &'static str,
        /// The row's key.
        key: String,
        /// Why.
        cause: String,
    },
    /// The writer has stopped.
    #[error("the store is closed")]
    Closed,
    /// A job in the same commit failed, and took this one along: repeat it.
    #[error("the commit was undone because of another write in it: {0}")]
    Undone(String),
    /// A write job panicked, and not for what is in the file.
    #[error("a write panicked, a fault of barrelman: {0}")]
    Panicked(String),
    /// What a write job refused for its own reasons.
    #[error("{0}")]
    Refused(String),
}

/// What helps against what the system says, which comes as a text through redb.
fn advice(cause: &str) -> &'static str {
    let said = |part: &str| cause.contains(part);
    if said("symbolic links") {
        "a link is not followed: name the real directory with --data-dir"
    } else if said("Is a directory") {
        "a directory stands in its place: move it away"
    } else if said("Read-only file system") {
        "choose a --data-dir that can be written to"
    } else {
        "free space, or mend the directory's permissions"
    }
}

impl Error {
    /// Whether it says that the store cannot commit, rather than what was wrong with one job.
    pub(super) const fn is_of_the_store(&self) -> bool {
        !matches!(self, Error::Refused(_) | Error::Undone(_))
    }

    /// Whether trying again later may help without anybody doing anything else.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Error::Io { .. } | Error::Undone(_))
    }
}

/// With this module's error.
pub type Result<T> = std::result::Result<T, Error>;
