//! What the README says can be done: its commands parse, its exit codes and names of the environment are the code's.

use std::path::Path;

use barrelman::{
    cli::{Cli, Exit},
    config::options::OPTIONS,
    connector::samples,
    event::{EventType, incident::Phase},
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

#[test]
fn it_names_every_variable_of_a_template() {
    let config = serde_json::json!({"url": "http://127.0.0.1:9/"});
    let hook = crate::support::connectors::built("webhook", &config).connector;
    let sample = samples::notification(EventType::PodCrashLoop, Phase::Opened, "hook");
    let body: serde_json::Value = serde_json::from_str(&hook.render(&sample, None).unwrap().body).unwrap();
    let text = readme();
    let beside = ["notification_id", "phase", "connector", "digest", "test"];
    for name in body.as_object().unwrap().keys().map(String::as_str).chain(beside) {
        assert!(text.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn it_quotes_what_the_program_says() {
    let held = barrelman::store::Error::Held("/data".into()).to_string();
    let quoted = "another barrelman holds the store";
    assert!(readme().contains(&format!("**\"{quoted}\".**")) && held.starts_with(quoted), "{held}");
}

/// The manifest and the rights stand in one namespace, under one account.
#[test]
fn its_manifest_fits_the_rights_that_it_says_to_apply_first() {
    let manifest =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/kubernetes.yaml"))
            .unwrap();
    let documents: Vec<serde_json::Value> =
        manifest.split("\n---\n").map(|d| serde_saphyr::from_str(d).unwrap()).collect();
    for document in &documents {
        assert_eq!(document["metadata"]["namespace"], "barrelman");
    }
    let deployment = documents.iter().find(|d| d["kind"] == "Deployment").unwrap();
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "barrelman");
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let container = &pod["containers"][0];
    for (path, value) in [
        ("/securityContext/readOnlyRootFilesystem", serde_json::json!(true)),
        ("/securityContext/allowPrivilegeEscalation", serde_json::json!(false)),
        ("/securityContext/capabilities/drop/0", serde_json::json!("ALL")),
        ("/livenessProbe/httpGet/path", serde_json::json!("/healthz")),
        ("/readinessProbe/httpGet/path", serde_json::json!("/readyz")),
    ] {
        assert_eq!(container.pointer(path), Some(&value), "{path}");
    }
    assert!(container.pointer("/resources/limits/memory").is_some());
    // Its configuration is one that can be used.
    let config =
        documents.iter().find(|d| d["kind"] == "ConfigMap").unwrap()["data"]["config.toml"].as_str().unwrap();
    let sources = barrelman::config::Sources {
        file: Some(("config.toml".to_owned(), config.to_owned())),
        ..barrelman::config::Sources::default()
    };
    let settings = barrelman::config::resolve(&sources).unwrap_or_else(|p| panic!("{p}")).settings;
    assert_eq!(settings.listen.unwrap().port(), 8080);
}
