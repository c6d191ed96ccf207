//! `barrelman events`

use clap::{Args, ValueEnum};

/// Print stored events; with --follow, also those to come
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  barrelman events
  barrelman events -n payments --since 30m
  barrelman events 'type:trouble ns:payments|checkout' --since 2h
  barrelman events -o jsonl --since yesterday --until today > events.jsonl
  barrelman events --follow 'severity>=high -obj:canary-*'

The filter is the same as on the screen and in connectors; `barrelman events --filter-help` explains it.")]
pub struct Events {
    /// Filter; several words are one. One that begins with - goes after --, or begins with ! instead
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
    #[command(flatten)]
    pub list: List,
    /// Stay, and print what is committed from now on
    #[arg(long, short)]
    pub follow: bool,
    /// Explain the filter language and end
    #[arg(long)]
    pub filter_help: bool,
}

/// What lists of stored things take.
#[derive(Debug, Clone, Args)]
// A subcommand has the name already.
#[group(skip)]
pub struct List {
    /// Not before: 1h30m, 2d, 09:30, today, 2026-11-22
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Not after
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// How to print
    #[arg(long, short, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Output,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value = "1000", value_parser = at_least_one)]
    pub limit: usize,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a number from 1 on is expected".to_owned()),
        Ok(limit) => Ok(limit),
    }
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// Columns, for people.
    #[default]
    Table,
    /// One JSON array.
    Json,
    /// One JSON object per line.
    Jsonl,
    /// With a header line.
    Csv,
}

impl Events {
    /// The words, and `--since` and `--until`, as one filter.
    pub fn filter(&self) -> String {
        self.list.filter(&self.filter)
    }
}

impl List {
    /// One filter of the words and the times.
    pub fn filter(&self, words: &[String]) -> String {
        let times = [("since", &self.since), ("until", &self.until)];
        let times = times.into_iter().filter_map(|(key, time)| time.as_ref().map(|t| format!("{key}:{t}")));
        words.iter().cloned().chain(times).collect::<Vec<_>>().join(" ")
    }
}
