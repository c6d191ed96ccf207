//! `barrelman store`

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The database: copy, verify, make smaller
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  barrelman store backup /backup/barrelman.redb
  barrelman store verify
  barrelman store compact

The file of secrets' keys (secret.key in the data directory) is not part of a backup: keep it elsewhere.")]
pub struct StoreArgs {
    #[command(subcommand)]
    pub command: StoreCommand,
}

/// What to do with it.
#[derive(Debug, Clone, Subcommand)]
pub enum StoreCommand {
    /// Write a consistent copy; also while another process runs
    Backup {
        /// The copy's file; must not exist
        to: PathBuf,
    },
    /// Read everything, and tell what cannot be read
    Verify,
    /// Give free space back to the disk; nothing else may run
    Compact,
}
