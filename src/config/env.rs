//! The environment: the names of the PainChain document, their aliases, and `BARRELMAN_<PATH>` for every option.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::{
    file::{FileParts, Switch},
    layer::Layers,
    options::{OPTIONS, Opt, TYPE_OPTIONS},
    settings::{ConnectorSpec, Origin},
    value::{Raw, Type, Value},
};
use crate::event::{EventType, Kind, nearest};

/// A copy of the environment.
pub type Env = BTreeMap<String, String>;

/// Names that others read: `load`, the vault, the PainChain connector below.
const OTHERS: [&str; 2] = ["BARRELMAN_CONFIG", "BARRELMAN_KEY"];

/// Lays the environment over what is there.
pub(super) fn apply(env: &Env, layers: &mut Layers, parts: &mut FileParts) {
    for option in OPTIONS {
        one(option, env, layers);
    }
    for kind in Kind::ALL {
        let name = kind_name(*kind);
        let Some(value) = env.get(&name) else { continue };
        match Switch::of(*kind, &Raw::Text(value.clone())) {
            // As with every option: an empty variable is none.
            Ok(_) if value.trim().is_empty() => {}
            Ok(switch) => drop(parts.kinds.insert(*kind, switch)),
            Err(message) => {
                layers.problem(
                    &format!("environment {name}"),
                    &format!("watch.kinds.{}", kind.plural()),
                    message,
                );
            }
        }
    }
    for (event_type, option, name) in type_names() {
        let Some(value) = env.get(&name) else { continue };
        match option.takes.check(&Raw::Text(value.clone()), None) {
            Ok(Value::Unset) => {}
            Ok(value) => drop(parts.types.entry(event_type).or_default().insert(option.path, value)),
            Err(message) => {
                let path = format!("types.{event_type}.{}", option.path);
                layers.problem(&format!("environment {name}"), &path, message);
            }
        }
    }
    unknown(env, layers);
    nearly_painchain(env, layers);
}

/// What looks like a slip in one of PainChain's names. Others of theirs may mean something to somebody else (a Service
/// called painchain-api puts names into the pods beside it).
fn nearly_painchain(env: &Env, layers: &mut Layers) {
    const KNOWN: [&str; 6] = [
        "PAINCHAIN_API_URL",
        "PAINCHAIN_TOKEN",
        "PAINCHAIN_TENANT_ID",
        "PAINCHAIN_INTEGRATION_ID",
        "PAINCHAIN_CA_FILE",
        "PAINCHAIN_ALLOW_HTTP",
    ];
    for name in env.keys().filter(|n| n.starts_with("PAINCHAIN_") && !KNOWN.contains(&n.as_str())) {
        let service = name.contains("_SERVICE_") || name.contains("_PORT");
        if let Some(near) = nearest(name, KNOWN).filter(|_| !service) {
            layers.warn(format!("environment {name} is not read, did you mean {near}?"));
        }
    }
}

/// `BARRELMAN_WATCH_KINDS_SECRETS`
fn kind_name(kind: Kind) -> String {
    format!("BARRELMAN_WATCH_KINDS_{}", kind.plural().to_uppercase())
}

/// `BARRELMAN_TYPES_POD_CRASH_LOOP_SEVERITY`, for every type of the catalogue and each of its options.
fn type_names() -> impl Iterator<Item = (EventType, &'static Opt, String)> {
    EventType::all().iter().flat_map(|def| {
        TYPE_OPTIONS.iter().map(move |option| {
            let name = format!("BARRELMAN_TYPES_{}_{}", def.name, option.path).to_uppercase();
            (def.event_type, option, name)
        })
    })
}

/// Every name that is read, beside those of single connectors.
pub(super) fn names() -> Vec<String> {
    let options = OPTIONS.iter().flat_map(Opt::env_names).chain(OTHERS.iter().map(|n| (*n).to_owned()));
    let kinds = Kind::ALL.iter().map(|k| kind_name(*k));
    options.chain(kinds).chain(type_names().map(|(_, _, name)| name)).collect()
}

fn one(option: &'static Opt, env: &Env, layers: &mut Layers) {
    let set: Vec<_> =
        option.env_names().filter_map(|name| env.get(&name).map(|value| (name, value))).collect();
    let mut said = set.iter().filter(|(_, value)| !value.trim().is_empty());
    // An empty variable is none, as charts and compose files set them; but the PainChain document has an empty
    // WATCH_NAMESPACES mean all.
    let all = || set.first().filter(|_| matches!(option.takes, Type::Namespaces));
    let Some((name, value)) = said.next().or_else(all) else { return };
    for (other, _) in said.filter(|(_, v)| v != value) {
        layers.warn(format!("{other} is ignored, because {name} says otherwise"));
    }
    let separator = match option.takes {
        Type::Paths => Some(if cfg!(windows) { ';' } else { ':' }),
        Type::Filters => Some('\n'),
        _ => Some(','),
    };
    layers.set(option, &Raw::Text((*value).clone()), separator, &format!("environment {name}"));
}

/// A `BARRELMAN_*` that nobody reads is a slip. Not an error: a Service called barrelman puts names of its own into
/// every pod beside it (`BARRELMAN_SERVICE_HOST`, `BARRELMAN_PORT_8080_TCP`).
fn unknown(env: &Env, layers: &mut Layers) {
    let ours: Vec<&String> = env.keys().filter(|n| n.starts_with("BARRELMAN_")).collect();
    let known = if ours.is_empty() { Vec::new() } else { names() };
    for name in ours.into_iter().filter(|n| !known.contains(n)) {
        let service =
            name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || name.contains("_PORT");
        // The tests of the project itself are steered by names like these.
        if service || name == "BARRELMAN_REQUIRE_CONTROLPLANE" || name.starts_with("BARRELMAN_TEST_") {
            continue;
        }
        let near = nearest(name, known.iter().map(String::as_str))
            .map_or_else(String::new, |n| format!(", did you mean {n}?"));
        layers.warn(format!("environment {name}: no option has this name{near}"));
    }
}

/// The first name that is set and not empty.
fn first<'a>(env: &'a Env, names: &[&'a str]) -> Option<(&'a str, &'a str)> {
    names.iter().find_map(|n| env.get(*n).map(|v| (*n, v.trim())).filter(|(_, v)| !v.is_empty()))
}

/// `PAINCHAIN_API_URL` alone makes an enabled painchain connector, named by `CONNECTOR_NAME`. One of the file with
/// the same name and type, or to the same address, is overridden instead.
pub(super) fn painchain(env: &Env, layers: &mut Layers, connectors: &mut Vec<ConnectorSpec>) {
    const OPTIONAL: [(&str, &str); 4] = [
        ("PAINCHAIN_TOKEN", "token"),
        ("PAINCHAIN_TENANT_ID", "tenant_id"),
        ("PAINCHAIN_INTEGRATION_ID", "integration_id"),
        ("PAINCHAIN_CA_FILE", "ca_file"),
    ];
    let Some((name, url)) = first(env, &["PAINCHAIN_API_URL", "BACKEND_API_URL"]) else {
        let lonely = OPTIONAL.iter().map(|(n, _)| *n).chain(["PAINCHAIN_ALLOW_HTTP"]);
        for name in lonely.filter(|n| first(env, &[n]).is_some()) {
            layers.warn(format!("environment {name} has no effect without PAINCHAIN_API_URL"));
        }
        return;
    };
    let (variable, origin) = (name, format!("environment {name}"));
    if let Err(message) = Type::Url.check(&Raw::Text(url.to_owned()), None) {
        layers.problem(&origin, "", message);
    }
    let mut config = Map::new();
    // A reference, not the value: what is secret stays in the environment until the connector is built.
    config.insert("api_url".into(), Json::from(url));
    for (variable, option) in OPTIONAL {
        if let Some((_, value)) = first(env, &[variable]) {
            let secret = option == "token";
            config
                .insert(option.into(), if secret { format!("${{{variable}}}").into() } else { value.into() });
        }
    }
    if let Some((variable, value)) = first(env, &["PAINCHAIN_ALLOW_HTTP"]) {
        match Type::Bool.check(&Raw::Text(value.to_owned()), None) {
            Ok(Value::Bool(allow)) => {
                config.insert("allow_insecure_http".into(), allow.into());
            }
            Ok(_) => {}
            Err(message) => layers.problem(&format!("environment {variable}"), "", message),
        }
    }
    let mut name = layers.text("clusters.name").unwrap_or_else(|| "painchain".to_owned());
    if !connectors.iter().any(|c| c.name == name) {
        let theirs: Vec<&ConnectorSpec> = connectors.iter().filter(|c| c.kind == "painchain").collect();
        // Beside it, a second one would post every change twice.
        if let Some(same) = theirs.iter().find(|c| addresses(c, variable, url)) {
            name.clone_from(&same.name);
        } else if let Some(other) = theirs.first() {
            layers.warn(format!(
                "{origin} makes a connector {name:?} beside {:?} of the file: every change is posted to both; leave one \
                 out, or give both one name",
                other.name
            ));
        }
    }
    match connectors.iter_mut().find(|c| c.name == name) {
        Some(spec) if spec.kind == "painchain" => {
            spec.config.extend(config);
            spec.enabled = true;
        }
        Some(spec) => {
            let message = format!(
                "makes a painchain connector named {name:?}, but the file has one of type {} with that name",
                spec.kind
            );
            layers.problem(&origin, "", message);
        }
        None => connectors.push(ConnectorSpec {
            name,
            kind: "painchain".into(),
            enabled: true,
            config,
            origin: Origin::Environment,
        }),
    }
}

/// Whether a connector posts to this address, written out or as the variable that holds it.
fn addresses(spec: &ConnectorSpec, variable: &str, url: &str) -> bool {
    let theirs = spec.config.get("api_url").and_then(Json::as_str);
    theirs.is_some_and(|theirs| {
        theirs.trim_end_matches('/') == url.trim_end_matches('/') || theirs == format!("${{{variable}}}")
    })
}
