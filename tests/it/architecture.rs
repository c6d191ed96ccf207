//! Reads `src/` and keeps the house in order: who may import whom, where a crate lives, how long a file is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// A module of the first level and those it may import from the crate, beside itself.
///
/// Plain data lies at the bottom; `app` is the composition root; `cli` knows the configuration's flags alone.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("event", &[]),
    ("status", &["event"]),
    ("object", &["event", "status"]),
    ("config", &["event", "status"]),
    ("feed", &["event", "status", "object", "config", "store", "connector"]),
    ("detect", &["event", "status", "object", "config"]),
    ("connector", &["event", "status", "config"]),
    // Outbox rows hold notifications and receipts.
    ("store", &["event", "status", "object", "config", "connector"]),
    ("watch", &["event", "status", "object", "config", "detect"]),
    ("pipeline", &["event", "status", "object", "config", "detect", "store", "connector", "feed"]),
    ("dispatch", &["event", "status", "config", "connector", "store", "feed"]),
    // A form needs a connector's fields, a filter's preview the store.
    ("tui", &["event", "status", "object", "config", "connector", "store", "feed"]),
    ("server", &["event", "status", "config", "store", "feed"]),
    ("demo", &["event"]),
    ("cli", &["config"]),
    (
        "app",
        &[
            "event",
            "status",
            "object",
            "config",
            "detect",
            "connector",
            "store",
            "watch",
            "pipeline",
            "dispatch",
            "tui",
            "server",
            "demo",
            "cli",
            "feed",
        ],
    ),
    ("main", &["app", "cli"]),
    ("lib", &[]),
];

/// A crate and the only modules that may name it.
const HOMES: &[(&str, &[&str])] = &[
    ("kube", &["watch"]),
    ("k8s_openapi", &["watch", "detect"]),
    ("redb", &["store"]),
    ("reqwest", &["connector"]),
    ("ratatui", &["tui"]),
    ("crossterm", &["tui"]),
    ("axum", &["server", "demo"]),
    ("clap", &["cli"]),
    ("anyhow", &["app", "main"]),
    ("toml", &["config", "demo"]),
    ("chacha20poly1305", &["config"]),
];

const LONGEST: usize = 500;
const AIM_MEDIAN: usize = 150;
const AIM_P90: usize = 350;

struct Source {
    path: PathBuf,
    /// The module of the first level.
    module: String,
    /// Without comments, strings, and test modules.
    code: String,
    /// Lines that are not in test modules.
    lines: usize,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let relative = path.strip_prefix(&root).expect("it was found there");
            let first = relative.components().next().expect("a file has a name");
            let module = Path::new(first.as_os_str()).with_extension("").to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).expect("sources are readable text");
            let is_test = relative.file_name().is_some_and(|n| n == "tests.rs");
            let kept = if is_test { String::new() } else { without_tests(&text) };
            Source { path: relative.to_owned(), module, lines: kept.lines().count(), code: stripped(&kept) }
        })
        .collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("src is readable") {
        let path = entry.expect("src is readable").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// Cuts everything below a `#[cfg(test)]` that is an item of its own: our test modules stand at the end.
fn without_tests(text: &str) -> String {
    text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned()
}

/// Cuts line comments and the contents of plain strings, so that words in them count for nothing.
fn stripped(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut in_string = false;
        let mut previous = ' ';
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            if !in_string && c == '/' && chars.peek() == Some(&'/') {
                break;
            }
            if c == '"' && previous != '\\' && previous != '\'' {
                in_string = !in_string;
            }
            if !in_string {
                out.push(c);
            }
            previous = if previous == '\\' && c == '\\' { ' ' } else { c };
        }
        out.push('\n');
    }
    out
}

/// The names after `crate::` (and, in `main`, after `barrelman::`), groups of a `use` included.
fn imported(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for prefix in ["crate::", "barrelman::"] {
        for (at, _) in code.match_indices(prefix) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
                continue;
            }
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                None => found.extend(word(rest)),
                Some(group) => found.extend(group_heads(group)),
            }
        }
    }
    found
}

fn word(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// `event::{Kind, Severity}, store::Tx}` → event, store
fn group_heads(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let (mut depth, mut start) = (0usize, true);
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            c if start && depth == 0 && !c.is_whitespace() => {
                heads.extend(word(&group[i..]));
                start = false;
            }
            _ => {}
        }
    }
    heads
}

#[test]
fn the_scanner_sees_groups_paths_and_no_comments() {
    let code = stripped(
        "use crate::{\n  event::{Kind, Severity},\n  store,\n};\n// crate::tui\nlet x = crate::watch::y(\"crate::cli\");\n$crate::app;",
    );
    let expected = ["event", "store", "watch"].map(str::to_owned);
    assert_eq!(imported(&code), expected.into());
    assert_eq!(without_tests("a\n#[cfg(test)]\nmod tests {\n}\n"), "a");
}

#[test]
fn modules_import_along_the_arrows_alone() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(may) = allowed.get(source.module.as_str()) else {
            wrong.push(format!(
                "{}: the module {} has no line in MAY_IMPORT",
                source.path.display(),
                source.module
            ));
            continue;
        };
        for target in imported(&source.code) {
            // Names of the crate's root that are no modules (macros) are nobody's business.
            let is_module = allowed.contains_key(target.as_str());
            if is_module && target != source.module && !may.contains(&target.as_str()) {
                wrong.push(format!("{}: {} must not import {target}", source.path.display(), source.module));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_arrow_closes_a_circle() {
    let arrows: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    for (start, _) in MAY_IMPORT {
        let mut open = vec![*start];
        let mut seen = BTreeSet::new();
        while let Some(module) = open.pop() {
            for next in arrows.get(module).copied().unwrap_or_default() {
                assert_ne!(next, start, "{start} reaches itself through {module}");
                if seen.insert(*next) {
                    open.push(next);
                }
            }
        }
    }
}

#[test]
fn a_crate_has_one_home() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, homes) in HOMES {
            if !homes.contains(&source.module.as_str()) && names_crate(&source.code, name) {
                wrong.push(format!("{}: {name} lives in {}", source.path.display(), homes.join(" and ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `name::` as a path of its own, or `use name;`.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = &code[at + name.len()..];
        let own = before.is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '_' | ':' | '.')));
        own && (after.starts_with("::") || (after.starts_with(';') && code[..at].ends_with("use ")))
    })
}

#[test]
fn every_dependency_is_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: toml::Table =
        fs::read_to_string(root.join("Cargo.toml")).expect("it is there").parse().expect("it is TOML");
    let mut files = Vec::new();
    for dir in ["src", "tests", "benches"] {
        collect(&root.join(dir), &mut files);
    }
    let texts: Vec<String> = files.iter().map(|f| fs::read_to_string(f).expect("text")).collect();
    let sections =
        ["dependencies", "dev-dependencies"].map(|name| manifest[name].as_table().expect("a table"));
    let unused: Vec<&String> = sections
        .into_iter()
        .flat_map(toml::Table::keys)
        .filter(|name| {
            let name = name.replace('-', "_");
            !texts.iter().any(|text| names_crate(text, &name))
        })
        .collect();
    assert!(unused.is_empty(), "{unused:?} are in Cargo.toml, and nothing names them");
}

#[test]
fn files_are_short() {
    let sources = sources();
    let mut sizes: Vec<usize> = sources.iter().map(|s| s.lines).filter(|n| *n > 0).collect();
    sizes.sort_unstable();
    let at = |share: usize| sizes[(sizes.len() - 1) * share / 100];
    println!("{} files; median {} (aim {AIM_MEDIAN}), p90 {} (aim {AIM_P90})", sizes.len(), at(50), at(90));
    let limit = |s: &Source| match s.path.to_string_lossy().as_ref() {
        "main.rs" => 60,
        "lib.rs" => 80,
        _ => LONGEST,
    };
    let long: Vec<String> = sources
        .iter()
        .filter(|s| s.lines > limit(s))
        .map(|s| format!("{}: {} lines, at most {}", s.path.display(), s.lines, limit(s)))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn every_module_says_what_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let silent: Vec<String> = sources()
        .iter()
        .filter(|s| s.module != "main" && s.path.file_name().is_some_and(|n| n != "tests.rs"))
        .filter(|s| !fs::read_to_string(root.join(&s.path)).is_ok_and(|text| text.starts_with("//!")))
        .map(|s| s.path.display().to_string())
        .collect();
    assert!(silent.is_empty(), "without a doc of their own: {}", silent.join(", "));
}
