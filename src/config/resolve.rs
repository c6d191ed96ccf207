//! Defaults, file, environment and flags become `Settings`: pure, so that every combination can be tested.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::tz::TimeZone;

use super::{
    env::{self, Env},
    file::{self, FileParts, Switch},
    flags::Flags,
    layer::{Layers, Sourced},
    options::OPTIONS,
    problem::{Place, Problem, Problems, Warning},
    settings::{
        ClusterSettings, DeliverySettings, HeartbeatSettings, IncidentSettings, LogSettings, Settings,
        StoreSettings, TypeSettings, UiSettings, WatchSettings,
    },
    value::Value,
};
use crate::event::{EventType, Kind, Severity, filter::Filter};

/// All that a configuration is made of.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file's name as shown in messages, and its text.
    pub file: Option<(String, String)>,
    /// The environment.
    pub env: Env,
    /// The command line.
    pub flags: Flags,
    /// Where data goes when nothing says otherwise.
    pub default_data_dir: PathBuf,
}

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// For the rest of the program.
    pub settings: Settings,
    /// To be said once.
    pub warnings: Vec<Warning>,
    /// Every option in the order of the table, with where it came from: for `config show`.
    pub shown: Vec<(&'static str, Sourced)>,
    /// Where connectors were written: the first ones of `settings.connectors`, in their order.
    pub places: Vec<Place>,
    /// Where the dashboard's keys were written, by action.
    pub key_places: BTreeMap<String, String>,
}

impl Resolved {
    /// Where a connector was written.
    pub fn place(&self, index: usize) -> Place {
        let outside = || Place { origin: "environment PAINCHAIN_API_URL".into(), ..Place::default() };
        self.places.get(index).cloned().unwrap_or_else(outside)
    }
}

/// A configuration with all that is wrong: what cannot be used is at its default.
#[derive(Debug, Clone)]
pub struct Examined {
    /// As far as it can be used.
    pub resolved: Resolved,
    /// Empty = all of it.
    pub problems: Vec<Problem>,
}

impl Examined {
    /// The configuration, if nothing is wrong with it.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn usable(self) -> Result<Resolved, Problems> {
        if self.problems.is_empty() { Ok(self.resolved) } else { Err(Problems(self.problems)) }
    }
}

/// Flags win over the environment, the environment over the file, the file over the defaults.
///
/// # Errors
/// Every problem at once, each with its place, the key and what was expected.
pub fn resolve(sources: &Sources) -> Result<Resolved, Problems> {
    examine(sources).usable()
}

/// The same, with what can be used beside what is wrong: so that connectors can be looked at too.
pub fn examine(sources: &Sources) -> Examined {
    let mut layers = Layers::defaults();
    let mut parts = match &sources.file {
        Some((name, text)) => file::read(name, text, &mut layers),
        None => FileParts::default(),
    };
    env::apply(&sources.env, &mut layers, &mut parts);
    sources.flags.apply(&mut layers);
    unique_names(&parts, &mut layers);
    env::painchain(&sources.env, &mut layers, &mut parts.connectors);
    cross_checks(&parts, &mut layers);
    let places = std::mem::take(&mut parts.places);
    let key_places = std::mem::take(&mut parts.key_places);
    let settings = settings(&layers, parts, &sources.default_data_dir);
    let shown = OPTIONS.iter().filter_map(|o| Some((o.path, layers.get(o.path)?.clone()))).collect();
    let Layers { problems, warnings, .. } = layers;
    Examined { resolved: Resolved { settings, warnings, shown, places, key_places }, problems }
}

fn unique_names(parts: &FileParts, layers: &mut Layers) {
    let specs = &parts.connectors;
    for (i, (spec, place)) in specs.iter().zip(&parts.places).enumerate() {
        if !spec.name.is_empty() && specs.iter().take(i).any(|c| c.name == spec.name) {
            let message = format!("the name {:?} is taken by an earlier connector", spec.name);
            layers.problem(&place.origin, &format!("{}.name", place.path), message);
        }
    }
}

/// What single options cannot know of each other.
fn cross_checks(parts: &FileParts, layers: &mut Layers) {
    if layers.flag("clusters.in_cluster") == Some(true) && !layers.list("clusters.contexts").is_empty() {
        layers.warn("clusters.contexts is ignored, because in_cluster = true");
    }
    if layers.number("store.outbox_max_bytes") > layers.number("store.max_bytes") {
        layers.warn(
            "store.outbox_max_bytes is above store.max_bytes: undelivered messages may take all the room",
        );
    }
    if !Kind::ALL.iter().any(|k| parts.kinds.get(k) != Some(&Switch::Off)) {
        layers.problem("file", "watch.kinds", "every kind is switched off: leave at least one on");
    }
    if let Some((twice, origin)) = named_twice(layers) {
        let message = format!("{twice:?} is named twice");
        layers.problem(&origin, "clusters.contexts", message);
    }
    let dedup = layers.number("incidents.dedup_window_secs");
    let repeat = layers.number("incidents.repeat_interval_secs");
    if repeat != 0 && repeat < 60 {
        layers.problem(
            "incidents",
            "incidents.repeat_interval_secs",
            "expected at least 60 seconds, or 0 for no reminders",
        );
    }
    if dedup == 0 {
        layers.warn("incidents.dedup_window_secs = 0: every repeat of a trouble is an event of its own");
    }
}

/// A context that would be watched, and told, twice.
fn named_twice(layers: &Layers) -> Option<(String, String)> {
    let contexts = layers.list("clusters.contexts");
    let twice = contexts.iter().enumerate().find(|(i, name)| contexts.iter().take(*i).any(|c| c == *name))?;
    Some((twice.1.clone(), layers.get("clusters.contexts")?.origin.clone()))
}

fn settings(layers: &Layers, parts: FileParts, default_dir: &Path) -> Settings {
    Settings {
        clusters: ClusterSettings {
            name: layers.text("clusters.name"),
            kubeconfig: layers.list("clusters.kubeconfig").iter().map(PathBuf::from).collect(),
            contexts: layers.list("clusters.contexts"),
            in_cluster: layers.flag("clusters.in_cluster"),
        },
        watch: WatchSettings {
            namespaces: layers.list("watch.namespaces"),
            selector: layers.text("watch.selector"),
            kinds: kinds(|k| parts.kinds.get(&k) != Some(&Switch::Off)),
            insisted: kinds(|k| !k.namespaced() && parts.kinds.get(&k) == Some(&Switch::On)),
            poll_interval: secs(layers, "watch.poll_interval_secs"),
            metrics_interval: secs(layers, "watch.metrics_interval_secs"),
            watch_timeout: secs(layers, "watch.watch_timeout_secs"),
        },
        incidents: incidents(layers),
        types: parts
            .types
            .into_iter()
            .map(|(t, values)| (t, type_settings(&values)))
            .collect::<BTreeMap<EventType, _>>(),
        ignore: ignore(layers),
        store: StoreSettings {
            dir: layers.text("store.dir").map_or_else(|| default_dir.to_owned(), PathBuf::from),
            retention: Duration::from_secs(layers.number("store.retention_days") * 86_400),
            max_bytes: layers.number("store.max_bytes"),
            outbox_max_bytes: layers.number("store.outbox_max_bytes"),
            dead_letters_max_bytes: layers.number("store.dead_letters_max_bytes"),
        },
        delivery: DeliverySettings {
            horizon: secs(layers, "delivery.horizon_secs"),
            timeout: secs(layers, "delivery.timeout_secs"),
            ca_file: layers.text("delivery.ca_file").map(PathBuf::from),
            allow_insecure_http: layers.flag("delivery.allow_insecure_http").unwrap_or_default(),
        },
        heartbeat: layers
            .text("heartbeat.url")
            .map(|url| HeartbeatSettings { url, interval: secs(layers, "heartbeat.interval_secs") }),
        // The check of the type left nothing but addresses.
        listen: layers.text("server.listen").and_then(|text| text.parse().ok()),
        log: LogSettings {
            level: layers.text("log.level").unwrap_or_else(|| "info".into()),
            json: layers.text("log.format").is_some_and(|f| f == "json"),
        },
        connectors: parts.connectors,
        watch_only: layers.flag("watch_only").unwrap_or_default(),
        ui: UiSettings { theme: layers.text("ui.theme").unwrap_or_else(|| "auto".into()), keys: parts.keys },
    }
}

fn kinds(wanted: impl Fn(Kind) -> bool) -> BTreeSet<Kind> {
    Kind::ALL.iter().copied().filter(|k| wanted(*k)).collect()
}

fn secs(layers: &Layers, path: &str) -> Duration {
    Duration::from_secs(layers.number(path))
}

fn incidents(layers: &Layers) -> IncidentSettings {
    IncidentSettings {
        dedup_window: secs(layers, "incidents.dedup_window_secs"),
        settle: Severity::ALL
            .into_iter()
            .map(|s| (s, secs(layers, &format!("incidents.settle_secs.{s}"))))
            .collect(),
        heal_for: layers.maybe_number("incidents.heal_for_secs").map(Duration::from_secs),
        reopen_within: secs(layers, "incidents.reopen_within_secs"),
        one_shot: secs(layers, "incidents.one_shot_secs"),
        repeat_interval: secs(layers, "incidents.repeat_interval_secs"),
        stale_after: secs(layers, "incidents.stale_after_secs"),
        logs: layers.flag("incidents.logs").unwrap_or_default(),
        runbook_url: layers.text("incidents.runbook_url"),
        dashboard_url: layers.text("incidents.dashboard_url"),
    }
}

fn type_settings(values: &BTreeMap<&'static str, Value>) -> TypeSettings {
    let secs = |key: &str| match values.get(key) {
        Some(Value::Number(n)) => Some(Duration::from_secs(*n)),
        _ => None,
    };
    let severity = match values.get("severity") {
        Some(Value::Text(text)) => text.parse().ok(),
        _ => None,
    };
    TypeSettings {
        dedup_window: secs("dedup_window_secs"),
        settle: secs("settle_secs"),
        heal_for: secs("heal_for_secs"),
        reopen_within: secs("reopen_within_secs"),
        one_shot: secs("one_shot_secs"),
        repeat_interval: secs("repeat_interval_secs"),
        severity,
    }
}

/// The rules have no times, so the zone does not matter; the check of the type left nothing but filters.
fn ignore(layers: &Layers) -> Vec<Filter> {
    layers.list("ignore").iter().filter_map(|text| Filter::parse(text, &TimeZone::UTC).ok()).collect()
}
