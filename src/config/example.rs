//! The example file, made from the table of options: every option, commented at its default.
//!
//! `## ` begins an explanation, `# ` an option at its default, `#: ` an example that is not a default. The file in
//! the repository is this text; tests uncomment both kinds and read them.

use std::fmt::Write as _;

use super::options::{OPTIONS, Opt, TYPE_OPTIONS};
use crate::event::Kind;

const HEAD: &str = r"## Barrelman's configuration.
##
## Lines with # are options at their defaults: take the # away and change the value. An empty text means unset.
## Flags win over the environment, the environment over this file. Every option but [ui.keys] and [[connectors]] has a
## name in the environment, BARRELMAN_<SECTION>_<KEY> (BARRELMAN_WATCH_KINDS_SECRETS); others are given beside it.
## `barrelman config check` finds mistakes, `barrelman config show` prints what is in force, and from where.
";

/// What is no default, but shows how: connectors of every type, overrides of a type.
const CONNECTORS: &str = include_str!("example_connectors.toml");

/// Keys have no default to show here: the built-in ones stand in the dashboard's help.
const KEYS: &str = r#"
## Other keys in the dashboard: an action, as its help (?) and palette (:) name it, and a key or a list of keys in
## place of the built-in ones; an empty list takes them away.
#: [ui.keys]
#: warnings-only = "!"
#: page-down = ["pgdn", "ctrl-f"]
"#;

/// The whole file.
pub fn example() -> String {
    let mut out = HEAD.to_owned();
    let mut section = "";
    for option in OPTIONS {
        if option.section() != section {
            if section == "watch" {
                kinds(&mut out);
            }
            section = option.section();
            _ = writeln!(out, "\n[{section}]");
        } else if option.section().is_empty() {
            out.push('\n');
        }
        push(&mut out, option);
    }
    out.push_str(KEYS);
    out.push_str("\n## Overrides of one type; `[types.<type>]` with any type of the catalogue.\n[types.pod_crash_loop]\n");
    for option in TYPE_OPTIONS {
        push(&mut out, option);
    }
    out.push_str("#: [types.job_failed]\n#: severity = \"medium\"\n#: settle_secs = 60\n\n");
    out.push_str(CONNECTORS);
    out
}

fn push(out: &mut String, option: &Opt) {
    let mut help = option.help.to_owned();
    let mut names = option.env.to_vec();
    if !option.flag.is_empty() {
        names.push(option.flag);
    }
    if !names.is_empty() {
        help = format!("{help} ({})", names.join(", "));
    }
    for line in wrap(&help) {
        _ = writeln!(out, "## {line}");
    }
    _ = writeln!(out, "# {} = {}", option.key(), option.default);
}

fn kinds(out: &mut String) {
    out.push_str(
        "\n## Kinds that are watched: true or false. Those that are in no namespace may be \"auto\": as true, but while\n\
         ## watch.namespaces names some they are taken only where they are permitted, and not missed otherwise.\n\
         [watch.kinds]\n",
    );
    for kind in Kind::ALL {
        let default = if kind.namespaced() { "true" } else { "\"auto\"" };
        _ = writeln!(out, "# {} = {default}", kind.plural());
    }
}

/// Lines of at most 110 characters.
fn wrap(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < 106 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The text with the options at their defaults taken out of their comments (`"# "`), or the examples (`"#: "`).
pub fn uncomment(text: &str, marker: &str) -> String {
    text.lines()
        .filter_map(|line| if line.starts_with('[') { Some(line) } else { line.strip_prefix(marker) })
        .fold(String::new(), |all, line| all + line + "\n")
}
