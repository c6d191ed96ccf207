//! Every command of our own that a message, an error or a next step tells somebody to type is one that exists.

use std::{collections::BTreeSet, fs, path::Path};

use barrelman::cli::Cli;
use clap::{CommandFactory, Parser};

fn texts(dir: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
            found.push((path.display().to_string(), code));
        }
    }
}

/// What stands behind `barrelman ` in a line, up to where a sentence or the text goes on.
fn commands(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in code.lines().filter(|l| !l.trim_start().starts_with("//")) {
        for (at, _) in line.match_indices("barrelman ") {
            let before = line[..at].chars().last();
            let rest = &line[at + "barrelman ".len()..];
            let (end, told) = match before {
                Some('`') => (rest.find('`'), true),
                // A placeholder in a help text, or a sentence that goes on, ends it.
                _ => (rest.find(['"', '`', ')', ';', ',', '|', '>']).min_some(rest.find(": ")), false),
            };
            let command = rest[..end.unwrap_or(rest.len())].split("  ").next().unwrap_or_default();
            let command = command.split('|').next().unwrap_or_default().trim();
            let word = command.split(' ').next().unwrap_or_default();
            // A sentence about the program, not a command.
            let known = Cli::command().get_subcommands().any(|c| c.get_name() == word);
            if known || (told && !word.is_empty()) {
                found.push(command.replace("{name}", "x").replace("{}", "x").replace('\'', ""));
            }
        }
    }
    found
}

trait MinSome {
    fn min_some(self, other: Self) -> Self;
}

impl MinSome for Option<usize> {
    fn min_some(self, other: Self) -> Self {
        self.into_iter().chain(other).min()
    }
}

#[test]
fn every_command_that_is_told_can_be_parsed() {
    let mut files = Vec::new();
    texts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut parsed = BTreeSet::new();
    for (path, code) in files {
        for command in commands(&code) {
            let words: Vec<&str> = command.split_whitespace().collect();
            // A command that only names its family ("connectors add, import") needs no arguments here.
            let tried = Cli::try_parse_from(["barrelman"].into_iter().chain(words.iter().copied()));
            let unfinished = tried.as_ref().is_err_and(|e| {
                use clap::error::ErrorKind::{
                    DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, MissingRequiredArgument,
                    MissingSubcommand,
                };
                matches!(
                    e.kind(),
                    DisplayHelp
                        | DisplayHelpOnMissingArgumentOrSubcommand
                        | MissingRequiredArgument
                        | MissingSubcommand
                )
            });
            assert!(
                tried.is_ok() || unfinished,
                "{path} tells `barrelman {command}`: {}",
                tried.unwrap_err()
            );
            parsed.insert(command);
        }
    }
    assert!(parsed.contains("deliveries list --dead"), "{parsed:?}");
    assert!(parsed.len() > 15, "{parsed:?}");
}
