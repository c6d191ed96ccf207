//! `config.example.toml` is what the code makes of its own table: every option, commented at its default.

use std::path::Path;

use barrelman::config::{
    Flags, Sources,
    example::{example, uncomment},
    options::{OPTIONS, TYPE_OPTIONS},
    resolve,
};

fn file() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml")).unwrap()
}

fn sources(text: &str) -> Sources {
    Sources {
        file: Some(("config.example.toml".into(), text.into())),
        flags: Flags::default(),
        default_data_dir: "/data".into(),
        ..Sources::default()
    }
}

#[test]
fn the_file_is_what_config_init_writes() {
    assert_eq!(file(), example(), "run `just example` to write it anew");
}

#[test]
fn its_options_are_exactly_the_defaults() {
    let defaults = resolve(&Sources { default_data_dir: "/data".into(), ..Sources::default() }).unwrap();
    let untouched = resolve(&sources(&file())).unwrap();
    assert_eq!(untouched.settings, defaults.settings);
    let text = uncomment(&file(), "# ");
    let uncommented = resolve(&sources(&text)).unwrap_or_else(|p| panic!("{p}\n{text}"));
    assert_eq!(uncommented.settings, defaults.settings);
    assert!(uncommented.warnings.is_empty());
}

#[test]
fn every_option_occurs_once() {
    let text = uncomment(&file(), "# ");
    let mut section = String::new();
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = format!("{name}.");
        } else if let Some((key, _)) = line.split_once(" = ") {
            found.push(format!("{section}{key}"));
        }
    }
    let types = TYPE_OPTIONS.iter().map(|o| format!("types.pod_crash_loop.{}", o.path));
    let kinds = barrelman::event::Kind::ALL.iter().map(|k| format!("watch.kinds.{}", k.plural()));
    let mut expected: Vec<String> =
        OPTIONS.iter().map(|o| o.path.to_owned()).chain(types).chain(kinds).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn its_examples_can_be_used() {
    let text = uncomment(&file(), "#: ");
    let resolved = resolve(&sources(&text)).unwrap_or_else(|p| panic!("{p}\n{text}"));
    assert_eq!(resolved.settings.types.len(), 1);
    assert!(resolved.settings.connectors.len() >= 9);
}
