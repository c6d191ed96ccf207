//! `barrelman incidents`

use clap::Args;

use super::events::List;

/// Print incidents: what is broken now, and what ended
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  barrelman incidents --open
  barrelman incidents 'severity>=high ns:payments' --since 24h
  barrelman incidents --id 1a2b3c -o json")]
pub struct Incidents {
    /// Filter over an incident's worst event; several words are one filter
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
    #[command(flatten)]
    pub list: List,
    /// Only those that are open
    #[arg(long)]
    pub open: bool,
    /// One incident with its members, events, suspects and messages, by its id or the beginning of it
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
}

impl Incidents {
    /// The words, and `--since` and `--until`, as one filter.
    pub fn filter(&self) -> String {
        self.list.filter(&self.filter)
    }
}
