//! The TOML file: every unknown key and bad value at once, with its line.

use std::{collections::BTreeMap, ops::Range};

use serde_json::{Map, Value as Json};
use toml::de::{DeTable, DeValue};

use super::{
    connectors::{Found, spec},
    layer::Layers,
    options::{OPTIONS, Opt, TYPE_OPTIONS},
    problem::Place,
    settings::{ConnectorSpec, Origin},
    value::{Raw, Type, Value},
};
use crate::event::{EventType, Kind, nearest, type_names};

/// What the file says beside plain options.
#[derive(Debug, Default)]
pub struct FileParts {
    /// `[watch.kinds]`
    pub kinds: BTreeMap<Kind, Switch>,
    /// `[types.<type>]`: key → value.
    pub types: BTreeMap<EventType, BTreeMap<&'static str, Value>>,
    /// `[ui.keys]`: action → keys.
    pub keys: BTreeMap<String, Vec<String>>,
    /// Where each of them was written.
    pub key_places: BTreeMap<String, String>,
    /// `[[connectors]]`, as far as they can be read.
    pub connectors: Vec<ConnectorSpec>,
    /// Where each of them was written.
    pub places: Vec<Place>,
}

/// The switch of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// Watched; of kinds that are in no namespace: by name.
    On,
    /// Not watched.
    Off,
    /// Watched; when only some namespaces are, where it is permitted.
    Auto,
}

impl Switch {
    /// The same of a kind: only those that are in no namespace may be refused where single ones are watched.
    ///
    /// # Errors
    /// What was expected.
    pub fn of(kind: Kind, raw: &Raw) -> Result<Self, String> {
        let said = matches!(raw, Raw::Text(text) if !text.trim().is_empty());
        match Self::parse(raw)
            .map_err(|e| if kind.namespaced() { e.replace(", false or \"auto\"", " or false") } else { e })?
        {
            Self::Auto if said && kind.namespaced() => {
                Err("expected true or false: only kinds that are in no namespace may be \"auto\"".into())
            }
            switch => Ok(switch),
        }
    }

    /// What a value means.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Text(text) if text.trim().is_empty() || text.trim().eq_ignore_ascii_case("auto") => {
                Ok(Self::Auto)
            }
            raw => match Type::Bool.check(raw, None) {
                Ok(Value::Bool(true)) => Ok(Self::On),
                Ok(Value::Bool(false)) => Ok(Self::Off),
                Ok(_) => Ok(Self::Auto),
                Err(message) => Err(message.replace("true or false", "true, false or \"auto\"")),
            },
        }
    }
}

/// Reads the text into the layers.
pub fn read(name: &str, text: &str, layers: &mut Layers) -> FileParts {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { name, text, layers, parts: FileParts::default() };
    let mut broken = Vec::new();
    for error in errors {
        let origin = reader.origin(error.span().unwrap_or_default());
        broken.push(origin.clone());
        reader.layers.problem(&origin, "", format!("not TOML: {}", error.message()));
    }
    let syntax = reader.layers.problems.len();
    reader.table("", table.get_ref());
    // What was made of a line that is no TOML says nothing of what was meant.
    let mut at = 0;
    reader.layers.problems.retain(|p| {
        at += 1;
        at <= syntax || !broken.contains(&p.origin)
    });
    let parts = reader.parts;
    // Keys come in the order of the alphabet; people read from the top.
    layers
        .problems
        .sort_by_key(|p| p.origin.rsplit_once(':').and_then(|(_, line)| line.parse::<usize>().ok()));
    parts
}

/// A literal of the table of options.
pub(super) fn literal(toml: &str) -> Raw {
    DeValue::parse(toml).map_or(Raw::Other("invalid literal"), |v| raw(v.get_ref()))
}

struct Reader<'a> {
    name: &'a str,
    text: &'a str,
    layers: &'a mut Layers,
    parts: FileParts,
}

impl Reader<'_> {
    /// `config.toml:12`
    fn origin(&self, span: Range<usize>) -> String {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        format!("{}:{}", self.name, before.matches('\n').count() + 1)
    }

    fn table(&mut self, path: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let full = join(path, key.get_ref());
            let origin = self.origin(key.span());
            match (full.as_str(), value.get_ref()) {
                ("connectors", DeValue::Array(items)) => {
                    for (i, item) in items.iter().enumerate() {
                        self.connector(i, item.get_ref(), self.origin(item.span()));
                    }
                }
                ("connectors", _) => {
                    self.layers.problem(&origin, &full, "expected [[connectors]], a table per connector");
                }
                ("types", DeValue::Table(types)) => self.types(types),
                ("watch.kinds", DeValue::Table(kinds)) => self.kinds(kinds),
                ("ui.keys", DeValue::Table(keys)) => self.keys(keys),
                (_, DeValue::Table(inner)) if is_section(&full) => self.table(&full, inner),
                _ if is_section(&full) || matches!(full.as_str(), "types" | "watch.kinds" | "ui.keys") => {
                    self.layers.problem(&origin, &full, format!("expected a section, [{full}]"));
                }
                (_, value) => match (Opt::find(&full), value) {
                    (Some(option), DeValue::Array(items)) if option.takes.is_list() => {
                        self.empty_contexts(option, items);
                        let items = items.iter().map(|i| (raw(i.get_ref()), self.origin(i.span()))).collect();
                        self.layers.set_items(option, items, &origin);
                    }
                    (Some(option), value) => self.layers.set(option, &raw(value), None, &origin),
                    (None, _) => self.layers.problem(&origin, &full, unknown_key(path, key.get_ref())),
                },
            }
        }
    }

    /// An empty name in the list would go unnoticed, with a cluster that is not watched.
    fn empty_contexts(&mut self, option: &Opt, items: &[toml::Spanned<DeValue<'_>>]) {
        let empty = |i: &&toml::Spanned<DeValue<'_>>| matches!(i.get_ref(), DeValue::String(s) if s.trim().is_empty());
        let Some(item) = items.iter().find(empty).filter(|_| option.path == "clusters.contexts") else {
            return;
        };
        let origin = self.origin(item.span());
        self.layers.problem(&origin, option.path, "expected the name of a context, not \"\"");
    }

    fn kinds(&mut self, kinds: &DeTable<'_>) {
        for (key, value) in kinds {
            let (name, origin) = (key.get_ref().as_ref(), self.origin(key.span()));
            let path = join("watch.kinds", name);
            let known = Kind::ALL.iter().find(|k| k.plural() == name);
            match (known, known.map_or(Ok(Switch::Auto), |kind| Switch::of(*kind, &raw(value.get_ref())))) {
                (Some(kind), Ok(switch)) => {
                    self.parts.kinds.insert(*kind, switch);
                }
                (Some(_), Err(message)) => self.layers.problem(&origin, &path, message),
                (None, _) => {
                    let near = Kind::parse(name)
                        .map(Kind::plural)
                        .or_else(|| nearest(name, Kind::ALL.iter().map(|k| k.plural())));
                    self.layers.problem(&origin, &path, format!("unknown kind{}", did_you_mean(near)));
                }
            }
        }
    }

    /// Only the shape: which actions and keys there are is known to the dashboard.
    fn keys(&mut self, keys: &DeTable<'_>) {
        for (key, value) in keys {
            let (name, origin) = (key.get_ref().as_ref(), self.origin(key.span()));
            match Type::List.check(&raw(value.get_ref()), None) {
                Ok(Value::List(keys)) => {
                    self.parts.key_places.insert(name.to_owned(), origin);
                    self.parts.keys.insert(name.to_owned(), keys);
                }
                _ => self.layers.problem(
                    &origin,
                    &join("ui.keys", name),
                    "expected a key or a list of keys, as in \"x\" or [\"x\", \"ctrl-x\"]",
                ),
            }
        }
    }

    fn types(&mut self, types: &DeTable<'_>) {
        for (key, value) in types {
            let (name, origin) = (key.get_ref().as_ref(), self.origin(key.span()));
            let path = join("types", name);
            let Some(event_type) = EventType::parse(name) else {
                let near = did_you_mean(nearest(name, type_names()));
                self.layers.problem(&origin, &path, format!("unknown event type{near}"));
                continue;
            };
            let DeValue::Table(inner) = value.get_ref() else {
                self.layers.problem(&origin, &path, format!("expected a section, [{path}]"));
                continue;
            };
            for (key, value) in inner {
                let (name, origin) = (key.get_ref().as_ref(), self.origin(key.span()));
                let path = join(&path, name);
                let Some(option) = TYPE_OPTIONS.iter().find(|o| o.path == name) else {
                    let near = did_you_mean(nearest(name, TYPE_OPTIONS.iter().map(|o| o.path)));
                    self.layers.problem(&origin, &path, format!("unknown key{near}"));
                    continue;
                };
                match option.takes.check(&raw(value.get_ref()), None) {
                    Ok(Value::Unset) => {}
                    Ok(value) => {
                        self.parts.types.entry(event_type).or_default().insert(option.path, value);
                    }
                    Err(message) => self.layers.problem(&origin, &path, message),
                }
            }
        }
    }

    fn connector(&mut self, index: usize, value: &DeValue<'_>, origin: String) {
        let path = format!("connectors[{index}]");
        let (spec, found) = spec(&json(value), &path);
        let mut keys = BTreeMap::new();
        self.origins("", value, &mut keys);
        for Found { path: at, message } in found {
            let key = at.strip_prefix(&path).unwrap_or_default().trim_start_matches('.');
            self.layers.problem(keys.get(key).unwrap_or(&origin), &at, message);
        }
        // What is wrong with its options is told together with what is wrong here.
        if let Some(mut spec) = spec {
            spec.origin = Origin::File;
            self.parts.connectors.push(spec);
            let option = |(key, at): (&String, &String)| match key.strip_prefix("config.") {
                Some(option) => Some((option.to_owned(), at.clone())),
                None => matches!(key.as_str(), "type" | "name").then(|| (key.clone(), at.clone())),
            };
            let options = keys.iter().filter_map(option).collect();
            self.parts.places.push(Place { origin, path, options });
        }
    }

    /// The line of every key below a table.
    fn origins(&self, path: &str, value: &DeValue<'_>, found: &mut BTreeMap<String, String>) {
        let DeValue::Table(table) = value else { return };
        for (key, value) in table {
            let path = join(path, key.get_ref());
            found.insert(path.clone(), self.origin(key.span()));
            self.origins(&path, value.get_ref(), found);
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Some option lies below it.
fn is_section(path: &str) -> bool {
    OPTIONS.iter().any(|o| o.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

fn did_you_mean(near: Option<&str>) -> String {
    near.map_or_else(String::new, |n| format!(", did you mean {n}?"))
}

/// The nearest key of the same section, else the same key in another one, else the nearest section.
fn unknown_key(section: &str, key: &str) -> String {
    let siblings = OPTIONS.iter().filter(|o| o.section() == section).map(Opt::key);
    let depth = if section.is_empty() { 0 } else { section.split('.').count() };
    let sections = OPTIONS
        .iter()
        .filter(|o| section.is_empty() || o.path.strip_prefix(section).is_some_and(|r| r.starts_with('.')))
        .filter_map(|o| o.section().split('.').nth(depth))
        .chain(if section.is_empty() { &["types", "connectors"][..] } else { &[] }.iter().copied());
    if let Some(near) = nearest(key, siblings.chain(sections)) {
        return format!("unknown key, did you mean {near}?");
    }
    match OPTIONS.iter().find(|o| o.key() == key) {
        Some(option) if option.section().is_empty() => {
            format!("unknown key here: {key} belongs to the top of the file")
        }
        Some(option) => format!("unknown key here: {key} belongs to [{}]", option.section()),
        None => "unknown key".into(),
    }
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Boolean(b) => Raw::Bool(*b),
        DeValue::Integer(n) => {
            i64::from_str_radix(n.as_str(), n.radix()).map_or(Raw::Other("number out of range"), Raw::Int)
        }
        DeValue::Array(items) => Raw::List(items.iter().map(|i| raw(i.get_ref())).collect()),
        other => Raw::Other(other.type_str()),
    }
}

/// A connector's table: everything that JSON has; dates become texts.
pub(super) fn json(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => Json::from(text.to_string()),
        DeValue::Boolean(b) => Json::from(*b),
        DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix()).map_or(Json::Null, Json::from),
        DeValue::Float(n) => n.as_str().parse::<f64>().map_or(Json::Null, Json::from),
        DeValue::Datetime(at) => Json::from(at.to_string()),
        DeValue::Array(items) => items.iter().map(|i| json(i.get_ref())).collect(),
        DeValue::Table(table) => table
            .iter()
            .map(|(k, v)| (k.get_ref().to_string(), json(v.get_ref())))
            .collect::<Map<_, _>>()
            .into(),
    }
}
