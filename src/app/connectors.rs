//! Connectors from where they are written (file, environment, store) to what dispatch runs and the pipeline routes to.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Result, anyhow};
use jiff::Timestamp;

use crate::{
    config::{
        ConnectorSpec, Origin, Settings, Vault,
        secret::{Resolver, SecretError},
    },
    connector::{self, Built, Common, Deliver, HttpClients, Pages, Problem},
    dispatch::Definition,
    event::{Event, EventType, Role, Severity},
    pipeline::{self, Target},
    store::{CONNECTOR_STATES, CONNECTORS, ConnectorState, Read, Store},
};

/// The environment variable with the key that seals secrets.
pub const KEY_VARIABLE: &str = "BARRELMAN_KEY";

/// Everything that is needed to build connectors.
#[derive(Clone)]
pub struct Workshop {
    /// HTTP clients, shared.
    pub clients: HttpClients,
    /// The data directory, for the key.
    pub data_dir: std::path::PathBuf,
    /// What the log says is wrong with connectors, by name: each time it is something else.
    told: Arc<Mutex<BTreeMap<String, String>>>,
}

/// The names of a kind's secret options.
pub fn secret_options(kind: &str) -> Vec<&'static str> {
    connector::def(kind)
        .map(|d| d.fields.iter().filter(|f| f.secret).map(|f| f.name).collect())
        .unwrap_or_default()
}

/// The names of a kind's options whose variables are put in when a message goes out.
fn late_options(kind: &str) -> Vec<&'static str> {
    connector::def(kind)
        .map(|d| d.fields.iter().filter(|f| f.late).map(|f| f.name).collect())
        .unwrap_or_default()
}

/// The options of a connector that its kind does not have. A secret under a mistyped name is among them: they are
/// never shown.
pub fn unknown_options(spec: &ConnectorSpec) -> Vec<String> {
    let fields = connector::def(&spec.kind).map(|d| d.fields).unwrap_or_default();
    let known = |key: &str| {
        let file_of = key.strip_suffix("_file").unwrap_or_default();
        connector::COMMON.contains(&key)
            || fields.iter().any(|f| f.name == key || (f.secret && f.name == file_of))
    };
    spec.config.keys().filter(|k| !known(k)).cloned().collect()
}

/// For people: what stands under a mistyped name may be a secret, and is not shown.
pub fn hide_unknown(specs: &mut [ConnectorSpec]) {
    for spec in specs {
        for option in unknown_options(spec) {
            spec.config.insert(option, "•••• (no such option)".into());
        }
    }
}

impl Workshop {
    /// With the settings that hold for all connectors.
    pub fn new(settings: &Settings) -> Result<Self> {
        let clients = HttpClients::new(&settings.delivery, Arc::new(super::engine::now))?;
        Ok(Self { clients, data_dir: settings.store.dir.clone(), told: Arc::default() })
    }

    /// The key that seals secrets, made on demand.
    pub fn vault(&self) -> Result<Vault> {
        let key = std::env::var(KEY_VARIABLE).ok();
        Ok(Vault::open(key.as_deref(), &self.data_dir)?)
    }

    /// Logs what is wrong with a connector, once: all of them are built at every change of one.
    fn tell(&self, spec: &ConnectorSpec, problems: Option<&Vec<Problem>>) {
        let said = problems.map(|p| super::connector_edits::told(p));
        // A map of texts: whole at any time.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match &said {
            Some(said) => told.insert(spec.name.clone(), said.clone()),
            None => told.remove(&spec.name),
        };
        match said {
            Some(said) if before.as_ref() != Some(&said) => {
                tracing::warn!(connector = spec.name, problems = said, "a connector cannot be used");
            }
            None if before.is_some() => {
                tracing::info!(connector = spec.name, "the connector can be used now");
            }
            _ => {}
        }
    }

    /// Why what is sealed in a connector's options cannot be opened: not for want of a right key, but of a usable one.
    pub fn key_trouble(&self, spec: &ConnectorSpec) -> Option<String> {
        let sealed = spec.config.values().any(contains_sealed);
        sealed.then(|| self.vault().err().map(|e| format!("{e:#}"))).flatten()
    }

    /// Builds one; what is missing or wrong is told, never sent.
    pub fn build(&self, spec: &ConnectorSpec) -> Result<Built, Vec<Problem>> {
        let sealed = spec.config.values().any(contains_sealed);
        // Only where it is needed: a key is made on demand.
        let vault = sealed.then(|| self.vault().map_err(|e| format!("{e:#}")));
        let resolver = Resolver {
            env: &|name| std::env::var(name).ok(),
            read: &|path: &Path| std::fs::read_to_string(path),
            late: &late_options(&spec.kind),
            vault: match &vault {
                Some(Ok(vault)) => Ok(vault),
                Some(Err(why)) => Err(why),
                None => Err("nothing was sealed"),
            },
        };
        let secrets = secret_options(&spec.kind);
        let (config, errors) = resolver.resolve_what_can_be(&spec.config, &secrets);
        let built = connector::build(&ConnectorSpec { config, ..spec.clone() }, &self.clients);
        let built = built.map_err(|problems| in_its_words(spec.origin, problems));
        if errors.is_empty() {
            return built;
        }
        // The variable or file may come: nothing is wrong with the settings themselves. What else is wrong with them
        // is told too, but not what follows from the missing value.
        let root = |option: &str| {
            let root = option.split('.').next().unwrap_or_default();
            root.strip_suffix("_file").unwrap_or(root).to_owned()
        };
        let mut problems: Vec<Problem> = built.err().unwrap_or_default();
        problems.retain(|p| !errors.iter().any(|e| root(&e.option) == root(&p.option)));
        let missing = |e: SecretError| Problem { option: e.option, message: e.message, incomplete: true };
        Err(errors.into_iter().map(missing).chain(problems).collect())
    }
}

/// Who has the environment alone cannot set an option.
fn in_its_words(origin: Origin, mut problems: Vec<Problem>) -> Vec<Problem> {
    if origin == Origin::Environment {
        for problem in &mut problems {
            problem.message =
                problem.message.replace("allow_insecure_http = true", "PAINCHAIN_ALLOW_HTTP=true");
        }
    }
    problems
}

fn contains_sealed(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => crate::config::secret::is_sealed(text),
        serde_json::Value::Object(map) => map.values().any(contains_sealed),
        serde_json::Value::Array(items) => items.iter().any(contains_sealed),
        _ => false,
    }
}

/// Every connector there is: of the file and the environment first, then those of the store whose name is free.
pub fn all_specs(settings: &Settings, store: &impl Read) -> Result<Vec<ConnectorSpec>> {
    let mut specs = settings.connectors.clone();
    for (name, row) in store.all(&CONNECTORS, "")? {
        if !specs.iter().any(|s| s.name == name) {
            specs.push(ConnectorSpec { origin: Origin::Store, ..row.spec });
        }
    }
    Ok(specs)
}

/// Whether the links to runbook and dashboard can be made.
///
/// # Errors
/// Every template that is wrong, with its option.
pub fn check_pages(settings: &Settings) -> Result<()> {
    let told = |problems: Vec<Problem>| anyhow!(super::connector_edits::told(&problems));
    Pages::new(&settings.incidents).map(drop).map_err(told)
}

/// What dispatch runs, and what the pipeline routes to.
pub struct Wired {
    /// For `Dispatcher::apply`.
    pub definitions: Vec<Definition>,
    /// For the engine: enabled and complete connectors only.
    pub targets: Arc<[Target]>,
}

/// Whether a connector is switched on: what a person switched counts more than what a file says.
pub fn is_enabled(spec: &ConnectorSpec, store: &impl Read) -> Result<bool> {
    let state: ConnectorState = store.get(&CONNECTOR_STATES, &spec.name)?.unwrap_or_default();
    Ok(if spec.origin == Origin::Store { spec.enabled } else { state.enabled.unwrap_or(spec.enabled) })
}

/// Builds all connectors.
pub fn wire(settings: &Settings, store: &Store, workshop: &Workshop) -> Result<Wired> {
    let snapshot = store.snapshot()?;
    let mut wired = (Vec::new(), Vec::new());
    for spec in all_specs(settings, &snapshot)? {
        let enabled = is_enabled(&spec, &snapshot)?;
        let built = workshop.build(&spec);
        workshop.tell(&spec, built.as_ref().err());
        if let (Ok(built), true) = (&built, enabled) {
            wired.1.push(target(&spec, &built.common, settings));
        }
        wired.0.push(Definition { spec, built });
    }
    Ok(Wired { definitions: wired.0, targets: wired.1.into() })
}

/// One connector as routing sees it.
pub fn target(spec: &ConnectorSpec, common: &Common, settings: &Settings) -> Target {
    let deliver = match common.deliver {
        Deliver::Incidents => pipeline::Deliver::Incidents,
        Deliver::Events if spec.kind == "painchain" => pipeline::Deliver::Posts,
        Deliver::Events => pipeline::Deliver::Events,
    };
    let common = Arc::new(common.clone());
    let by_type = Arc::clone(&common);
    Target {
        name: spec.name.clone(),
        deliver,
        repeat: common.repeat_interval.unwrap_or(settings.incidents.repeat_interval),
        settle: common.settle,
        passes: {
            let common = Arc::clone(&common);
            Arc::new(move |event: &Event, now: Timestamp| common.passes(event, now))
        },
        passes_type: Arc::new(move |event_type: EventType, severity: Severity| {
            let selected = match &by_type.events {
                Some(set) => set.types().contains(&event_type),
                None => event_type.def().role != Role::Context,
            };
            selected && by_type.severity.is_none_or(|min| severity >= min)
        }),
    }
}
