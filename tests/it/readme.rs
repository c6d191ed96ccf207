//! What the README says can be done: its commands parse, its exit codes and names of the environment are the code's.

use std::path::Path;

use barrelman::{
    cli::{Cli, Exit},
    config::options::OPTIONS,
};
use clap::{CommandFactory, Parser};

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// The lines of its shell blocks that call us, without comments and pipes.
fn commands(text: &str) -> Vec<Vec<String>> {
    let blocks = text.split("```sh\n").skip(1).filter_map(|b| b.split("```").next());
    blocks
        .flat_map(str::lines)
        .filter_map(|line| line.trim().strip_prefix("barrelman"))
        .map(|rest| {
            let rest =
                rest.split(" #").next().unwrap().split(" | ").next().unwrap().split(" > ").next().unwrap();
            let words = rest.split('\'').enumerate().flat_map(|(i, part)| {
                if i % 2 == 1 {
                    vec![part.to_owned()]
                } else {
                    part.split_whitespace().map(str::to_owned).collect()
                }
            });
            std::iter::once("barrelman".to_owned()).chain(words).collect()
        })
        .collect()
}

#[test]
fn its_commands_parse() {
    let commands = commands(&readme());
    assert!(commands.len() >= 8, "{commands:?}");
    for words in commands {
        Cli::try_parse_from(&words).unwrap_or_else(|e| panic!("{words:?}: {e}"));
    }
}

#[test]
fn it_names_every_command_and_exit_code() {
    let text = readme();
    for command in Cli::command().get_subcommands() {
        assert!(text.contains(&format!("`{}`", command.get_name())), "{}", command.get_name());
    }
    for exit in Exit::ALL {
        assert!(text.contains(&format!("| {} | {} |", exit.code(), exit.means())), "{exit:?}");
    }
}

#[test]
fn its_first_commands_are_the_demo_and_the_tests() {
    let text = readme();
    let first = text.split("```sh\n").nth(1).unwrap();
    assert!(first.starts_with("cargo run --release -- demo"), "{first}");
    assert!(first.lines().nth(1).unwrap().starts_with("cargo test"), "{first}");
}

#[test]
fn it_names_the_painchain_environment() {
    let text = readme();
    for name in OPTIONS.iter().flat_map(|o| o.env).filter(|n| !n.starts_with("BARRELMAN_")) {
        assert!(text.contains(name), "{name}");
    }
}
