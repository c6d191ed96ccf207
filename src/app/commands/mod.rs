//! The commands that print and end: one file each. `app::run` calls `run`; nothing here watches
//! a cluster or delivers (but tests of connectors). Histories are read beside a running engine; what changes
//! something goes through its socket, or, without one, through the store.

pub mod check;
mod check_parts;
pub mod check_store;
pub mod config;
pub mod connectors;
pub mod deliveries;
pub mod events;
mod follow;
pub mod incidents;
pub mod out;
pub mod rbac;
mod running;
pub mod shell;
pub mod store;
mod table;

use anyhow::Result;
use jiff::tz::TimeZone;

use crate::{
    app::configuration::{hopeless, look},
    cli::{Cli, Command, Exit},
    config::{Problems, Resolved, load},
    event::filter::Filter,
    server::attach,
    store::Error as StoreError,
};

use out::Console;

/// The command was misused; ends with the exit code for it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

pub(crate) fn usage(text: impl Into<String>) -> anyhow::Error {
    Usage(text.into()).into()
}

/// Runs a command on the standard streams; `None` for those that are not of this kind (forward, demo, dashboard).
///
/// # Errors
/// In words; `exit_of` has its exit code.
pub async fn run(cli: &Cli) -> Result<Option<Exit>> {
    match &cli.command {
        None | Some(Command::Forward(_) | Command::Demo(_)) => Ok(None),
        Some(command) => out::on_standard(async |console: &mut Console<'_>| one(cli, command, console).await)
            .await
            .map(Some),
    }
}

/// The same on any streams.
///
/// # Errors
/// In words; `exit_of` has its exit code.
pub async fn one(cli: &Cli, command: &Command, console: &mut Console<'_>) -> Result<Exit> {
    let loaded = |console: &mut Console<'_>| -> Result<Resolved> {
        let resolved = load(cli.flags())?;
        for warning in &resolved.warnings {
            console.note(format!("warning: {warning}"));
        }
        Ok(resolved)
    };
    let scope = |resolved: &Resolved| cli.global.scope(resolved.settings.clusters.name.as_deref());
    match command {
        Command::Events(args) if args.filter_help => events::filter_help(console),
        Command::Events(args) => {
            let resolved = loaded(console)?;
            events::run(args, (&resolved, &scope(&resolved)), console).await
        }
        Command::Incidents(args) => {
            let resolved = loaded(console)?;
            incidents::run(args, (&resolved, &scope(&resolved)), console)
        }
        Command::Connectors(args) => connectors::run(args, &loaded(console)?, console).await,
        Command::Deliveries(args) => deliveries::run(args, &loaded(console)?, console).await,
        // Its warnings are findings.
        Command::Check(args) => {
            let looked = look(&cli.flags());
            if !looked.problems.is_empty() {
                return Err(Problems(looked.mistakes()).into());
            }
            let hopeless = hopeless(&looked.resolved.settings);
            if !hopeless.is_empty() {
                return Err(Problems(hopeless).into());
            }
            check::run(args, &cli.flags(), &looked.resolved, console).await
        }
        Command::Rbac(args) => rbac::run(args, &loaded(console)?, console),
        Command::Config(args) => config::run(args, cli.flags(), console),
        Command::Store(args) => store::run(args, &loaded(console)?, console),
        Command::Completions(args) => shell::completions(args, console),
        Command::Man => shell::man(console),
        Command::Forward(_) | Command::Demo(_) => Err(usage("this command is not run here")),
    }
}

/// The exit code of an error.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if cause.is::<Usage>() || cause.is::<Problems>() {
            return Exit::Usage;
        }
        if matches!(cause.downcast_ref::<attach::Error>(), Some(attach::Error::Served(_))) {
            return Exit::Held;
        }
        match cause.downcast_ref::<StoreError>() {
            Some(StoreError::Held(_)) => return Exit::Held,
            Some(
                StoreError::Damaged { .. }
                | StoreError::Gone(_)
                | StoreError::Newer { .. }
                | StoreError::Io { .. }
                | StoreError::Row { .. },
            ) => {
                return Exit::Store;
            }
            _ => {}
        }
    }
    Exit::Failed
}

/// Words that are no filter to whoever types them first; in quotes they are text to search for.
const VERBS: [&str; 6] = ["show", "get", "list", "ls", "describe", "view"];

/// A filter of the command line, whose first word is no command that there is elsewhere.
fn filter_of(words: &[String], text: &str, instead: &str, tz: &TimeZone) -> Result<Filter> {
    match words.first().filter(|first| VERBS.contains(&first.as_str())) {
        Some(verb) => Err(usage(format!(
            "there is no \"{verb}\" here: {instead}. To search for the word, put it in quotes of its own: '\"{verb}\"'"
        ))),
        None => filter(text, tz),
    }
}

/// A filter of the command line.
fn filter(text: &str, tz: &TimeZone) -> Result<Filter> {
    let filter =
        Filter::parse(text, tz).map_err(|e| usage(format!("the filter cannot be used\n{}", e.render())))?;
    let now = crate::app::engine::now();
    match (filter.since(now), filter.until(now)) {
        (Some(since), Some(until)) if since > until => {
            // In the words that were written, and as the clock on the wall has it.
            let said = |key: &str, at: jiff::Timestamp| {
                let word = text.split_whitespace().rev().find_map(|w| w.strip_prefix(key)?.strip_prefix(':'));
                let at = at.to_zoned(tz.clone()).strftime("%Y-%m-%d %H:%M:%S");
                word.map_or_else(|| at.to_string(), |word| format!("{word} ({at})"))
            };
            let (since, until) = (said("since", since), said("until", until));
            Err(usage(format!("since {since} is after until {until}: nothing can pass")))
        }
        _ => Ok(filter),
    }
}

/// The word for a count of things.
fn older_left_out(limit: usize) -> String {
    format!("older ones are left out: these are the newest {limit}; --limit N prints more, --since less")
}

fn counted(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}
