//! `check`: configuration, clusters, rights, connectors and store, a line each with the next step.

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::{check_parts, out::Console, table::one_line};
use crate::{
    cli::{Check, Exit},
    config::{Flags, Resolved},
};

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Nothing is wrong, but it is good to know.
    Note,
    /// It works, but somebody should know.
    Warn,
    /// It does not work.
    Fail,
}

/// Which exit code a failure asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// File, environment, flags.
    Config,
    /// A cluster's API cannot be used at all.
    Reach,
    /// Rights and what the configuration names in a cluster.
    Cluster,
    /// A connector.
    Connector,
    /// The database.
    Store,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it is.
    pub level: Level,
    /// Of what kind.
    pub area: Area,
    /// What was looked at: `cluster prod`
    pub what: String,
    /// In words.
    pub text: String,
    /// What to do; empty where nothing is to be done.
    pub next: String,
}

impl Finding {
    /// All is well.
    pub fn ok(area: Area, what: impl Into<String>, text: impl Into<String>) -> Self {
        Self { level: Level::Ok, area, what: what.into(), text: text.into(), next: String::new() }
    }

    /// Good to know.
    pub fn note(
        area: Area,
        what: impl Into<String>,
        text: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self { level: Level::Note, ..Self::warn(area, what, text, next) }
    }

    /// Somebody should know.
    pub fn warn(
        area: Area,
        what: impl Into<String>,
        text: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self { level: Level::Warn, area, what: what.into(), text: text.into(), next: next.into() }
    }

    /// It does not work.
    pub fn fail(
        area: Area,
        what: impl Into<String>,
        text: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self { level: Level::Fail, ..Self::warn(area, what, text, next) }
    }
}

/// Looks at everything and prints what was found.
///
/// # Errors
/// The output; what is wrong with the rest is a finding.
pub async fn run(
    args: &Check,
    flags: &Flags,
    resolved: &Resolved,
    console: &mut Console<'_>,
) -> Result<Exit> {
    let settings = &resolved.settings;
    let mut findings: Vec<Finding> = resolved
        .warnings
        .iter()
        .map(|w| Finding::warn(Area::Config, "configuration", w.to_string(), "barrelman config show"))
        .collect();
    if findings.is_empty() {
        findings.push(Finding::ok(Area::Config, "configuration", "can be used"));
    }
    if settings.watch_only {
        let next = "take watch_only away to deliver";
        findings.push(Finding::warn(Area::Config, "configuration", "watch_only: nothing is delivered", next));
    }
    findings.extend(check_parts::store(settings, console.clock).await);
    let (reached, asked) = if args.offline {
        (0, 0)
    } else {
        let (found, reached, asked) = check_parts::clusters(settings, flags, console.clock).await;
        findings.extend(found);
        (reached, asked)
    };
    findings.extend(check_parts::connectors(settings, args.offline).await);
    let exit = exit_of(&findings, asked > 0 && reached == 0);
    if args.json {
        console.json(&json!({"ok": exit == Exit::Ok, "exit": exit.code(), "findings": findings}))?;
    } else {
        print(&findings, args.offline, console)?;
    }
    Ok(exit)
}

/// The gravest first: without a store nothing works, without a cluster nothing is seen.
fn exit_of(findings: &[Finding], unreachable: bool) -> Exit {
    let failed = |area| findings.iter().any(|f| f.level == Level::Fail && f.area == area);
    if failed(Area::Store) {
        Exit::Store
    } else if unreachable {
        Exit::Unreachable
    } else if findings.iter().any(|f| f.level == Level::Fail) {
        Exit::Failed
    } else {
        Exit::Ok
    }
}

fn print(findings: &[Finding], offline: bool, console: &mut Console<'_>) -> Result<()> {
    for finding in findings {
        let mark = match finding.level {
            Level::Ok => "✓",
            Level::Note => "·",
            Level::Warn => "!",
            Level::Fail => "✖",
        };
        console.line(format!("{mark} {}: {}", one_line(&finding.what), one_line(&finding.text)))?;
        if !finding.next.is_empty() {
            console.line(format!("    → {}", one_line(&finding.next)))?;
        }
    }
    let count = |level| findings.iter().filter(|f| f.level == level).count() as u64;
    let skipped = if offline { "; clusters and services were not asked (--offline)" } else { "" };
    console.line(format!(
        "\n{}, {}, {} well{skipped}",
        super::counted(count(Level::Fail), "failure"),
        super::counted(count(Level::Warn), "warning"),
        count(Level::Ok)
    ))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_failure_chooses_the_exit_code() {
        let fail = |area| Finding::fail(area, "x", "y", "z");
        let warn = Finding::warn(Area::Store, "x", "y", "z");
        for (findings, unreachable, exit) in [
            (vec![warn.clone()], false, Exit::Ok),
            (vec![fail(Area::Connector), warn], false, Exit::Failed),
            (vec![fail(Area::Cluster)], false, Exit::Failed),
            (vec![fail(Area::Reach)], false, Exit::Failed),
            (vec![fail(Area::Reach)], true, Exit::Unreachable),
            (vec![fail(Area::Reach), fail(Area::Store)], true, Exit::Store),
        ] {
            assert_eq!(exit_of(&findings, unreachable), exit, "{findings:?}");
        }
    }
}
