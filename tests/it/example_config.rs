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
    // Nobody is shown a connector that does not exist.
    let kinds: Vec<&str> = barrelman::connector::CONNECTORS.iter().map(|d| d.kind).collect();
    let shown: Vec<&str> = resolved.settings.connectors.iter().map(|c| c.kind.as_str()).collect();
    assert!(!shown.is_empty() && shown.iter().all(|k| kinds.contains(k)), "{shown:?} of {kinds:?}");
}

/// Every kind of connector has an example, and every example of a known kind can be built.
#[test]
fn every_kind_of_connector_has_an_example_that_builds() {
    use barrelman::{config::secret::Resolver, connector};

    let resolved = resolve(&sources(&uncomment(&file(), "#: "))).unwrap();
    let env = |name: &str| {
        let url = name.ends_with("_URL");
        Some(
            if url {
                "https://hooks.example.com/services/T0/B0/abcdefghijkl"
            } else {
                "abcdefghijkl0123456789abcdef0123"
            }
            .to_owned(),
        )
    };
    let read = |_: &Path| Ok("from-a-file\n".to_owned());
    let resolver = Resolver { env: &env, read: &read, late: &[], vault: Err("there is no key") };
    let clients = crate::support::connectors::clients();
    for def in connector::CONNECTORS {
        let examples: Vec<_> = resolved.settings.connectors.iter().filter(|c| c.kind == def.kind).collect();
        assert!(!examples.is_empty(), "config.example.toml has no connector of type {}", def.kind);
        for spec in examples {
            let mut spec = spec.clone();
            let secrets: Vec<&str> = def.fields.iter().filter(|f| f.secret).map(|f| f.name).collect();
            spec.config = resolver.resolve(&spec.config, &secrets).unwrap();
            if let Err(problems) = connector::build(&spec, &clients) {
                panic!("{}: {problems:?}", spec.name);
            }
        }
    }
}
