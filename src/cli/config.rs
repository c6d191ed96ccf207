//! `barrelman config`

use clap::{Args, Subcommand};

/// The configuration: write the example, check it, show what is in force
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  barrelman config init
  barrelman config check
  WATCH_NAMESPACES=payments barrelman config show")]
pub struct ConfigArgs {
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What to do with it.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Write the example, every option commented at its default, to --config or the platform's place
    Init {
        /// Print it instead
        #[arg(long)]
        print: bool,
        /// Replace a file that is there
        #[arg(long)]
        force: bool,
    },
    /// Tell every mistake in file, environment, flags and connectors at once; 2 if there is one
    Check,
    /// Print what is in force, and from where; secrets are masked
    Show,
}
