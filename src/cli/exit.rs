//! The exit codes, in one place: `main` returns them, the help and the README print them.

use std::process::ExitCode;

/// How the process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Ok,
    /// A check failed, or something else went wrong.
    Failed,
    /// Bad usage, or a configuration that cannot be used.
    Usage,
    /// Another process writes to the data directory.
    Held,
    /// No cluster could be reached.
    Unreachable,
    /// The database is damaged, its disk is full, or it was written by a newer version.
    Store,
    /// Some of it was done, and some was not: an import.
    Partly,
    /// Asked to end a second time, before everything was stopped in order.
    Interrupted,
}

impl Exit {
    /// All of them, in the order of the help.
    pub const ALL: [Exit; 8] = [
        Exit::Ok,
        Exit::Failed,
        Exit::Usage,
        Exit::Held,
        Exit::Unreachable,
        Exit::Store,
        Exit::Partly,
        Exit::Interrupted,
    ];

    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Held => 3,
            Exit::Unreachable => 4,
            Exit::Store => 5,
            Exit::Partly => 6,
            // As shells have it: 128 and the signal's number.
            Exit::Interrupted => 130,
        }
    }

    /// What it means.
    pub const fn means(self) -> &'static str {
        match self {
            Exit::Ok => "all is well",
            Exit::Failed => "a check failed, or something else went wrong",
            Exit::Usage => "bad usage, or a configuration that cannot be used",
            Exit::Held => "another process writes to the data directory",
            Exit::Unreachable => "no cluster could be reached",
            Exit::Store => "the database is damaged, its disk is full, or a newer version wrote it",
            Exit::Partly => "some connectors of an import were taken, and some were not",
            Exit::Interrupted => {
                "asked to end a second time, by another ctrl-c or signal: what was under way may be cut short"
            }
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}
