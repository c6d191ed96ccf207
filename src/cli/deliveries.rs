//! `barrelman deliveries`

use clap::{Args, Subcommand};

use super::events::List;

/// What was sent, what waits, what nobody took
#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  barrelman deliveries --limit 20
  barrelman deliveries list --dead --connector slack-oncall
  barrelman deliveries retry --connector slack-oncall
  barrelman deliveries purge --connector old-hook --yes"
)]
pub struct Deliveries {
    /// Without a command: list
    #[command(subcommand)]
    pub command: Option<DeliveriesCommand>,
    /// Only of this connector
    #[arg(long, value_name = "NAME")]
    pub connector: Option<String>,
    /// Only dead letters
    #[arg(long)]
    pub dead: bool,
    #[command(flatten)]
    pub list: List,
}

/// What to do with them.
#[derive(Debug, Clone, Subcommand)]
pub enum DeliveriesCommand {
    /// Print the log of deliveries
    List {
        #[command(flatten)]
        which: Which,
        /// Only dead letters
        #[arg(long)]
        dead: bool,
        #[command(flatten)]
        list: List,
    },
    /// Put dead letters back into the queue
    Retry {
        #[command(flatten)]
        which: Which,
    },
    /// Delete dead letters
    Purge {
        #[command(flatten)]
        which: Which,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Which of them; nothing = all.
#[derive(Debug, Clone, Default, Args)]
pub struct Which {
    /// Only of this connector
    #[arg(long, value_name = "NAME")]
    pub connector: Option<String>,
    /// Only these, by the number that list shows
    #[arg(value_name = "NUMBER")]
    pub numbers: Vec<u64>,
}
