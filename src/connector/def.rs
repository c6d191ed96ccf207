//! What a kind of connector is: its form, its documentation, its defaults and how it is built.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    CONNECTORS, Connector,
    common::{COMMON, Common, Deliver},
    http::HttpClients,
    options::{Options, Problem},
};
use crate::{
    config::{ConnectorSpec, secret::LATE},
    event::nearest,
};

/// One kind: forms, docs and the example configuration come from here.
#[derive(Debug)]
pub struct ConnectorDef {
    /// The configuration's `type`.
    pub kind: &'static str,
    /// For people.
    pub title: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// Its own options, the required ones first.
    pub fields: &'static [Field],
    /// The default of `deliver`.
    pub deliver: Deliver,
    /// The default of `max_per_minute`; `None` = no brake.
    pub max_per_minute: Option<u32>,
    /// At least so long between two messages, whatever the settings: the service's own limit.
    pub min_interval: Duration,
    /// How many messages may be on the wire at once.
    pub in_flight: usize,
    /// From options whose secrets are resolved.
    pub build: Build,
}

/// Makes a connector.
pub type Build = fn(&Common, &mut Options<'_>, &HttpClients) -> Option<Box<dyn Connector>>;

/// One option of a kind.
#[derive(Debug)]
pub struct Field {
    /// The key in `config`.
    pub name: &'static str,
    /// In a form.
    pub label: &'static str,
    /// One line.
    pub help: &'static str,
    /// How it is entered.
    pub shape: Shape,
    /// Must be there.
    pub required: bool,
    /// Sealed in the database, masked on the screen.
    pub secret: bool,
    /// What comes of it is stored: its variables are put in when a message goes out.
    pub late: bool,
    /// What holds when it is missing, for people; empty = nothing.
    pub default: &'static str,
}

/// How a value is entered and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One line.
    Text,
    /// Several lines.
    Lines,
    /// true or false.
    Flag,
    /// A whole number.
    Number,
    /// Texts, with commas.
    List,
    /// Names and texts.
    Table,
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl Field {
    /// An optional line.
    pub const fn text(name: &'static str, label: &'static str, help: &'static str) -> Self {
        Self {
            name,
            label,
            help,
            shape: Shape::Text,
            required: false,
            secret: false,
            late: false,
            default: "",
        }
    }
    /// Must be there.
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }
    /// Never shown.
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
    /// With variables that are put in late.
    pub const fn late(mut self) -> Self {
        self.late = true;
        self
    }
    /// Entered otherwise.
    pub const fn shaped(mut self, shape: Shape) -> Self {
        self.shape = shape;
        self
    }
    /// What holds when it is missing.
    pub const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }
}

/// The options that every kind has, as fields: forms show them after the kind's own.
pub const COMMON_FIELDS: &[Field] = &[
    Field::text(
        "events",
        "Events",
        "Types, families, aliases or all; empty = what opens or joins an incident",
    )
    .shaped(Shape::List),
    Field::text("severity", "Minimum severity", "What is less severe is not sent")
        .shaped(Shape::Choice(&["info", "low", "medium", "high", "critical"]))
        .default("info"),
    Field::text(
        "conditions",
        "Conditions",
        "namespace, cluster, labels, severity, min_count, within_secs, cost_threshold, filter: all must hold",
    )
    .shaped(Shape::Table),
    Field::text("deliver", "Deliver", "One message per incident, or one per event")
        .shaped(Shape::Choice(&["incidents", "events"])),
    Field::text("repeat_interval_secs", "Remind every (s)", "While an incident is open; 0 = never")
        .shaped(Shape::Number)
        .default("14400"),
    Field::text("max_per_minute", "At most per minute", "More is folded into one summary; 0 = no limit")
        .shaped(Shape::Number),
    Field::text(
        "settle_secs",
        "Settle (s)",
        "How long a message waits for worse to come; empty = by severity",
    )
    .shaped(Shape::Number),
    Field::text("ca_file", "CA file", "Extra certificates of authorities for this destination, PEM"),
    Field::text("allow_insecure_http", "Allow plain http", "Also to hosts other than this one")
        .shaped(Shape::Flag)
        .default("false"),
];

/// A connector that can send.
pub struct Built {
    /// Its kind.
    pub def: &'static ConnectorDef,
    /// What it is told.
    pub common: Common,
    /// The service.
    pub connector: Box<dyn Connector>,
    /// A hash of all its settings, secrets included: a change restarts it, and resumes one that paused itself.
    pub settings_hash: String,
}

impl std::fmt::Debug for Built {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Built")
            .field("kind", &self.def.kind)
            .field("common", &self.common)
            .finish_non_exhaustive()
    }
}

/// Kinds of the guide that this version does not have: no typing errors.
const NOT_HERE: &[&str] = &["discord", "email", "github", "opsgenie", "pagerduty", "teams"];

fn names() -> String {
    CONNECTORS.iter().map(|d| d.kind).collect::<Vec<_>>().join(", ")
}

/// A kind by its name.
///
/// # Errors
/// An unknown name, with the nearest one.
pub fn def(kind: &str) -> Result<&'static ConnectorDef, Problem> {
    CONNECTORS.iter().copied().find(|d| d.kind == kind).ok_or_else(|| {
        if NOT_HERE.contains(&kind) {
            let text = format!("{kind} is not in this version");
            return Problem::invalid("type", format!("{text} (there are {})", names()));
        }
        let kinds: Vec<&str> = CONNECTORS.iter().map(|d| d.kind).collect();
        let hint = nearest(kind, kinds.iter().copied())
            .map(|n| format!(", did you mean {n:?}?"))
            .unwrap_or_default();
        Problem::invalid("type", format!("unknown type {kind:?}{hint} (there are {})", names()))
    })
}

/// Builds a connector from its specification, whose secrets (`${ENV}`, files, sealed values) are resolved.
///
/// # Errors
/// Every problem at once; where all of them are placeholders, the connector is incomplete rather than wrong.
pub fn build(spec: &ConnectorSpec, clients: &HttpClients) -> Result<Built, Vec<Problem>> {
    let def = def(&spec.kind).map_err(|p| vec![p])?;
    let (common, mut problems) = Common::parse(&spec.name, &spec.config, (def.deliver, def.max_per_minute));
    let mut options = Options::new(&spec.config);
    let fields = def.fields.iter().map(|f| f.name);
    let known: Vec<&str> = COMMON.iter().copied().chain(fields).chain([LATE]).collect();
    options.refuse_unknown(&known);
    let connector = (def.build)(&common, &mut options, clients);
    problems.append(&mut options.problems);
    match connector {
        Some(connector) if problems.is_empty() => {
            Ok(Built { def, common, connector, settings_hash: settings_hash(spec) })
        }
        _ if problems.is_empty() => Err(vec![Problem::invalid("config", "could not be used")]),
        _ => Err(problems),
    }
}

/// A hash of kind and settings; what it was made of cannot be read back.
pub fn settings_hash(spec: &ConnectorSpec) -> String {
    let config = Value::Object(sorted(&spec.config)).to_string();
    crate::event::digest("settings", &[&spec.kind, &config])
}

/// `serde_json` may keep the order of insertion; the order in which options were written is no change.
fn sorted(map: &Map<String, Value>) -> Map<String, Value> {
    let mut entries: Vec<_> = map.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries.into_iter().collect()
}
