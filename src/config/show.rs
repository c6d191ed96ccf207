//! `config show`: what is in force and from where, as TOML that can be read again; secrets are masked.

use std::fmt::Write as _;

use super::{
    layer::Sourced,
    options::Opt,
    resolve::Resolved,
    secret::{is_secret_url, mask, masked},
    settings::Origin,
    value::Value,
};

/// The whole configuration. `secrets` names the secret options of a connector's type.
pub fn show(resolved: &Resolved, secrets: &dyn Fn(&str) -> Vec<&'static str>) -> String {
    let mut out = String::new();
    let mut section = "";
    for (path, sourced) in &resolved.shown {
        let Some(option) = Opt::find(path) else { continue };
        if option.section() != section {
            section = option.section();
            _ = writeln!(out, "\n[{section}]");
        }
        let value = value(option, sourced);
        _ = writeln!(out, "{} = {value}  # {}", option.key(), sourced.origin);
    }
    _ = writeln!(out, "\n# data directory: {}", resolved.settings.store.dir.display());
    kinds_and_types(resolved, &mut out);
    for spec in &resolved.settings.connectors {
        let origin = match spec.origin {
            Origin::File => "file",
            Origin::Environment => "environment",
            Origin::Store => "database",
        };
        _ = writeln!(
            out,
            "\n[[connectors]]  # {origin}\nname = {}\ntype = {}\nenabled = {}",
            text(&spec.name),
            text(&spec.kind),
            spec.enabled
        );
        let config = masked(&spec.config, &secrets(&spec.kind));
        if let Ok(inline) = toml::Value::try_from(config) {
            _ = writeln!(out, "config = {inline}");
        }
    }
    out
}

fn kinds_and_types(resolved: &Resolved, out: &mut String) {
    let off: Vec<_> =
        crate::event::Kind::ALL.iter().filter(|k| !resolved.settings.watch.kinds.contains(k)).collect();
    let insisted = &resolved.settings.watch.insisted;
    if !off.is_empty() || !insisted.is_empty() {
        out.push_str("\n[watch.kinds]\n");
        for kind in off {
            _ = writeln!(out, "{} = false", kind.plural());
        }
        for kind in insisted {
            _ = writeln!(out, "{} = true", kind.plural());
        }
    }
    if !resolved.settings.ui.keys.is_empty() {
        out.push_str("\n[ui.keys]\n");
    }
    for (action, keys) in &resolved.settings.ui.keys {
        let keys: Vec<String> = keys.iter().map(|k| text(k)).collect();
        _ = writeln!(out, "{} = [{}]", text(action), keys.join(", "));
    }
    for (event_type, t) in &resolved.settings.types {
        _ = writeln!(out, "\n[types.{event_type}]");
        if let Some(severity) = t.severity {
            _ = writeln!(out, "severity = \"{severity}\"");
        }
        for (key, value) in [
            ("dedup_window_secs", t.dedup_window),
            ("settle_secs", t.settle),
            ("heal_for_secs", t.heal_for),
            ("reopen_within_secs", t.reopen_within),
            ("one_shot_secs", t.one_shot),
            ("repeat_interval_secs", t.repeat_interval),
        ] {
            if let Some(value) = value {
                _ = writeln!(out, "{key} = {}", value.as_secs());
            }
        }
    }
}

fn value(option: &Opt, sourced: &Sourced) -> String {
    match &sourced.value {
        Value::Unset => "\"\"".into(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => n.to_string(),
        // A heartbeat's URL is all that its receiver asks for: a secret.
        Value::Text(url) if option.path == "heartbeat.url" || is_secret_url(url) => text(&mask(url)),
        Value::Text(plain) => text(plain),
        Value::List(items) => format!("[{}]", items.iter().map(|i| text(i)).collect::<Vec<_>>().join(", ")),
    }
}

fn text(plain: &str) -> String {
    toml::Value::from(plain).to_string()
}
