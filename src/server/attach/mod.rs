//! The local attach API: a Unix socket in the data directory, readable by its owner alone.
//!
//! Newline-delimited JSON. The server says `Hello`, then the status, then everything that is committed, as it
//! comes; a client sends an action with a number of its choice and gets one reply with that number. Pages of
//! history are not here: a client reads them from the store beside the writer.

mod client;
mod serve;
mod socket;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::feed::{Action, Feed, Reply};

pub use client::{Attached, Client, Knock, call, connect, knock};
pub use serve::serve;
pub use socket::{Socket, bind, nobody, path_in};

/// Raised when an older program could not understand the lines.
const PROTOCOL: u32 = 1;
/// The longest line that a client may send: a connector's settings with its templates.
const MAX_ASKED: usize = 1 << 20;
/// The longest line that a client reads: a manifest may have 1.5 MiB, more in JSON.
const MAX_TOLD: usize = 8 << 20;

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Ask {
    id: u64,
    #[serde(flatten)]
    action: Action,
}

/// What the server sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Tell {
    Hello {
        protocol: u32,
        version: String,
    },
    Feed(Feed),
    Reply {
        id: u64,
        reply: Reply,
    },
    /// The connection ends after it.
    Refused(String),
}

/// Why there is no (further) connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nobody serves the data directory.
    #[error(
        "no barrelman is running on {0}: start `barrelman forward` or `barrelman`, or name its --data-dir"
    )]
    NotRunning(PathBuf),
    /// Another engine serves the data directory.
    #[error("another barrelman is running on {0}: stop it, or choose another place with --data-dir")]
    Served(PathBuf),
    /// The socket's path is longer than the system allows.
    #[error("the path of the socket {0} is too long for the system: choose a shorter --data-dir")]
    TooLong(PathBuf),
    /// The system refuses.
    #[error("cannot use the socket {path}: {cause}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// The system's words.
        cause: String,
    },
    /// The other side speaks another version.
    #[error("the running barrelman is version {0}, which speaks differently: use the same version for both")]
    Version(String),
    /// The other side refused, in its words.
    #[error("the running barrelman refused: {0}")]
    Refused(String),
    /// The connection ended.
    #[error("the running barrelman has ended, or closed the connection")]
    Gone,
    /// No answer in time; it may be done all the same.
    #[error(
        "no answer from the running barrelman within {0} s; look whether it was done before trying again"
    )]
    Timeout(u64),
    /// It took the connection and never greeted.
    #[error("{} hangs: not a word within {secs} s; look at it, end it if need be, and start it again", named(*.pid))]
    Silent {
        /// So long it was waited for.
        secs: u64,
        /// The process, where the system tells.
        pid: Option<u32>,
    },
}

fn named(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "the running barrelman".to_owned(),
        |pid| format!("the running barrelman (process {pid})"),
    )
}

#[cfg(test)]
mod tests;
