//! The command line: clap types alone, one file per command. `main` parses, `app` acts; nothing here does.

mod check;
mod config;
mod connectors;
mod deliveries;
mod demo;
mod events;
mod exit;
mod forward;
mod global;
mod incidents;
mod shell;
mod store;

use clap::{Parser, Subcommand};

pub use check::{Check, Rbac, Scope};
pub use config::{ConfigArgs, ConfigCommand};
pub use connectors::{Add, Connectors, ConnectorsCommand, SecretsAs};
pub use deliveries::{Deliveries, DeliveriesCommand, Which};
pub use demo::Demo;
pub use events::{Events, List, Output};
pub use exit::Exit;
pub use forward::{Forward, LogFormat};
pub use global::Global;
pub use incidents::Incidents;
pub use shell::{Completions, write_man};
pub use store::{StoreArgs, StoreCommand};

use crate::config::Flags;

/// The lookout of a Kubernetes cluster: what broke, what changed just before, and who has been told
#[derive(Debug, Clone, Parser)]
#[command(
    name = "barrelman",
    version,
    about,
    long_about = "Watches Kubernetes clusters, turns changes into events and events into incidents, keeps them, and tells Slack,\n\
                  webhooks and PainChain. Without a command it opens the dashboard. It reads the cluster, and never\n\
                  changes it.",
    after_help = AFTER_HELP,
    max_term_width = 110,
    propagate_version = true
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    /// None opens the dashboard.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The exit codes stand in `exit`; a test compares.
const AFTER_HELP: &str = "Examples:
  barrelman                                   the dashboard, on the current context
  barrelman demo                              the dashboard, on a simulated cluster
  barrelman --context prod --context staging -n 'team-*'
  barrelman forward --listen :8080            without a screen: watch and deliver
  barrelman events 'type:trouble' --since 2h  what went wrong lately
  barrelman check                             what is missing, each with a next step

Flags win over the environment, the environment over the configuration file (`barrelman config init` writes one).

Exit codes:
  0    all is well
  1    a check failed, or something else went wrong
  2    bad usage, or a configuration that cannot be used
  3    another process writes to the data directory
  4    no cluster could be reached
  5    the database is damaged, its disk is full, or a newer version wrote it
  6    some connectors of an import were taken, and some were not
  130  asked to end a second time, by another ctrl-c or signal: what was under way may be cut short";

/// The command line of this process; ends it with help, version or a complaint where that is what was asked for.
pub fn parse() -> Cli {
    Cli::parse()
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    Forward(Forward),
    Events(Events),
    Incidents(Incidents),
    Connectors(Connectors),
    Deliveries(Deliveries),
    Check(Check),
    Rbac(Rbac),
    Demo(Demo),
    Config(ConfigArgs),
    Store(StoreArgs),
    Completions(Completions),
    /// Print the manual page
    Man,
}

impl Cli {
    /// What the command line says about the configuration.
    pub fn flags(&self) -> Flags {
        let mut flags = self.global.flags();
        if let Some(Command::Forward(forward)) = &self.command {
            flags.log_format = forward.log_format.map(|f| f.as_str().to_owned());
            flags.listen.clone_from(&forward.listen);
        }
        flags
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(args: &[&str]) -> Cli {
        Cli::try_parse_from(std::iter::once(&"barrelman").chain(args)).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn the_types_are_sound_and_the_help_lists_every_exit_code() {
        Cli::command().debug_assert();
        for exit in Exit::ALL {
            assert!(AFTER_HELP.contains(&format!("\n  {:<4} {}", exit.code(), exit.means())), "{exit:?}");
        }
    }

    #[test]
    fn every_example_of_the_help_parses() {
        let mut commands = vec![Cli::command()];
        let mut examples = 0;
        while let Some(command) = commands.pop() {
            commands.extend(command.get_subcommands().cloned());
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in help.lines().filter(|l| l.starts_with("  ")) {
                let Some(at) = line.find("barrelman") else { continue };
                let words = shell_words(line.get(at..).unwrap_or_default());
                Cli::try_parse_from(&words).unwrap_or_else(|e| panic!("{line}: {e}"));
                examples += 1;
            }
        }
        assert!(examples > 25, "{examples}");
    }

    /// Quotes, and the end of a command at `|`, `>` or two spaces (an explanation).
    fn shell_words(line: &str) -> Vec<String> {
        let line = line.split(" | ").next().unwrap().split(" > ").next().unwrap();
        let (mut words, mut word, mut quoted, mut spaces) = (Vec::new(), String::new(), false, 0);
        for c in line.chars() {
            spaces = if c == ' ' && !quoted { spaces + 1 } else { 0 };
            match c {
                _ if spaces == 2 => break,
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(std::mem::take(&mut word)),
                c => word.push(c),
            }
        }
        words.push(word);
        words.retain(|w| !w.is_empty());
        words
    }

    #[test]
    fn flags_reach_the_configuration_wherever_they_stand() {
        let cli = parse(&[
            "-n",
            "a",
            "forward",
            "-n",
            "b",
            "--context",
            "x",
            "-l",
            "app=api",
            "--listen",
            ":1",
            "--log-format",
            "json",
            "--watch-only",
        ]);
        let flags = cli.flags();
        assert_eq!((flags.contexts, flags.selector.as_deref()), (vec!["x".to_owned()], Some("app=api")));
        assert_eq!((flags.listen.as_deref(), flags.log_format.as_deref()), (Some(":1"), Some("json")));
        assert!(flags.watch_only);
        assert!(!flags.namespaces.is_empty());
        assert_eq!(parse(&[]).flags(), Flags::default());
    }

    #[test]
    fn words_and_times_are_one_filter() {
        let cli = parse(&["events", "ns:a", "!obj:canary-*", "--since", "2h", "-o", "jsonl"]);
        let Some(Command::Events(events)) = cli.command else { panic!() };
        assert_eq!(events.filter(), "ns:a !obj:canary-* since:2h");
        assert_eq!(events.list.output, Output::Jsonl);
        let cli = parse(&["events", "-o", "csv", "--", "-obj:canary-*"]);
        let Some(Command::Events(events)) = cli.command else { panic!() };
        assert_eq!(events.filter(), "-obj:canary-*");
    }

    #[test]
    fn options_of_a_new_connector_are_texts_or_json() {
        let add = |set: &[&str]| Add {
            name: "a".into(),
            kind: "slack".into(),
            set: set.iter().map(|s| (*s).to_owned()).collect(),
            enable: false,
        };
        let config = add(&["url=https://x/?a=b", "events:=[\"all\"]", "n:=3"]).config().unwrap();
        assert_eq!(
            serde_json::Value::from(config),
            serde_json::json!({"url": "https://x/?a=b", "events": ["all"], "n": 3})
        );
        for bad in [&["x"][..], &["x:=["], &["x=1", "x=2"]] {
            assert!(add(bad).config().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn completions_and_the_manual_name_every_command() {
        let mut script = Vec::new();
        Completions { shell: clap_complete::Shell::Bash }.write(&mut script);
        let mut man = Vec::new();
        write_man(&mut man).unwrap();
        let (script, man) = (String::from_utf8(script).unwrap(), String::from_utf8(man).unwrap());
        for command in Cli::command().get_subcommands() {
            assert!(script.contains(command.get_name()) && man.contains(command.get_name()));
        }
    }
}
