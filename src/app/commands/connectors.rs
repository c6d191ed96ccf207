//! `connectors list | add | enable | disable | test | remove | import | export`. No secret is ever printed.

use std::io::Read as _;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use super::{
    counted,
    out::{Console, Listed, View},
    running, usage,
};
use crate::{
    app::{
        connector_edits::{savable, told},
        connectors::{Workshop, all_specs, secret_options, unknown_options},
    },
    cli::{Add, Connectors, ConnectorsCommand, Exit, SecretsAs},
    config::{ConnectorSpec, ExportSecrets, Origin, Resolved, Settings, export_connectors, read_connectors},
    event::nearest,
    feed::Action,
    status::ConnectorStatus,
    store::{
        CONNECTOR_STATES, ConnectorState, DeliveryState, Error as StoreError, Read, Reader, Snapshot,
        pages::{self, Limits},
    },
};

/// Waiting rows are counted up to here.
const COUNTED: u64 = 100_000;
/// A file of connectors is not larger.
const MAX_IMPORT: u64 = 4 << 20;

/// Lists or changes connectors.
///
/// # Errors
/// What is wrong with one, another process that holds the store, the disk.
pub async fn run(args: &Connectors, resolved: &Resolved, console: &mut Console<'_>) -> Result<Exit> {
    let settings = &resolved.settings;
    if let ConnectorsCommand::Enable { name }
    | ConnectorsCommand::Disable { name }
    | ConnectorsCommand::Test { name }
    | ConnectorsCommand::Remove { name, .. } = &args.command
    {
        known(name, settings).await?;
    }
    let action = match &args.command {
        ConnectorsCommand::List { output } => {
            let rows = statuses(settings).await?;
            console.list(*output, &rows)?;
            if rows.is_empty() {
                console.note("there is none: barrelman connectors add, import, or the configuration file");
            }
            return Ok(Exit::Ok);
        }
        ConnectorsCommand::Export { names, secrets } => return export(names, *secrets, settings, console),
        ConnectorsCommand::Import { file, replace } => {
            let text = read(file, console)?;
            return import(&text, *replace, settings, console).await;
        }
        ConnectorsCommand::Add(add) => added(add, settings)?,
        ConnectorsCommand::Enable { name } => Action::EnableConnector { name: name.clone(), enabled: true },
        ConnectorsCommand::Disable { name } => Action::EnableConnector { name: name.clone(), enabled: false },
        ConnectorsCommand::Test { name } => Action::TestConnector { name: name.clone() },
        ConnectorsCommand::Remove { name, yes } => {
            if !yes && !console.confirm(&format!("Delete the connector {name}, and what waits for it?"))? {
                console.line("nothing was deleted")?;
                return Ok(Exit::Ok);
            }
            Action::RemoveConnector { name: name.clone() }
        }
    };
    console.line(running::act(settings, action).await?)?;
    Ok(Exit::Ok)
}

fn added(add: &Add, settings: &Settings) -> Result<Action> {
    let config = add.config().map_err(usage)?;
    if specs(settings)?.iter().any(|s| s.name == add.name) {
        let there =
            format!("there is a connector {} already: remove it first, or import with --replace", add.name);
        return Err(usage(there));
    }
    let (name, kind, enabled) = (add.name.clone(), add.kind.clone(), add.enable);
    let spec = ConnectorSpec { name, kind, enabled, config, origin: Origin::Store };
    savable(&Workshop::new(settings)?, &spec).map_err(|error| usage(format!("{error:#}")))?;
    Ok(Action::PutConnector { spec })
}

/// A slip in a name is bad usage, and what was meant is told. Where there is no store, or it cannot be read beside its
/// writer, whoever acts says what is wrong; a running engine may have a configuration of its own.
async fn known(name: &str, settings: &Settings) -> Result<()> {
    let Ok(snapshot) = Reader::open(&settings.store.dir).and_then(|reader| reader.snapshot()) else {
        return Ok(());
    };
    let mut names: Vec<String> = all_specs(settings, &snapshot)?.into_iter().map(|s| s.name).collect();
    if !names.iter().any(|n| n == name)
        && let Some(status) = running::status(&settings.store.dir).await?
    {
        names.extend(status.connectors.iter().map(|c| c.name.clone()));
    }
    if names.iter().any(|n| n == name) {
        return Ok(());
    }
    let near = nearest(name, names.iter().map(String::as_str));
    let near = near.map_or_else(String::new, |near| format!(", did you mean {near}?"));
    Err(usage(format!("there is no connector {name:?}{near} (`barrelman connectors list` names them)")))
}

/// All connectors, with the switch that is in force; beside a running engine.
fn specs(settings: &Settings) -> Result<Vec<ConnectorSpec>> {
    let snapshot = match Reader::open(&settings.store.dir) {
        Ok(reader) => reader.snapshot()?,
        Err(StoreError::Missing(_)) => return Ok(settings.connectors.clone()),
        Err(error) => return Err(error.into()),
    };
    let mut specs = all_specs(settings, &snapshot)?;
    for spec in specs.iter_mut().filter(|s| s.origin != Origin::Store) {
        let state: ConnectorState = snapshot.get(&CONNECTOR_STATES, &spec.name)?.unwrap_or_default();
        spec.enabled = state.enabled.unwrap_or(spec.enabled);
    }
    Ok(specs)
}

fn read(file: &std::path::Path, console: &mut Console<'_>) -> Result<String> {
    let mut text = String::new();
    if file.as_os_str() == "-" {
        (&mut *console.input).take(MAX_IMPORT).read_to_string(&mut text)?;
    } else {
        let opened = std::fs::File::open(file);
        let read = opened.and_then(|f| f.take(MAX_IMPORT).read_to_string(&mut text));
        read.with_context(|| format!("{} cannot be read", file.display()))?;
    }
    Ok(text)
}

/// What can be taken of a file; what cannot is named, with why.
async fn import(text: &str, replace: bool, settings: &Settings, console: &mut Console<'_>) -> Result<Exit> {
    let read = read_connectors(text)?;
    let known = specs(settings)?;
    let workshop = Workshop::new(settings)?;
    let total = read.total as u64;
    let (mut done, mut failed) = (0, read.wrong);
    for spec in read.specs {
        let name = spec.name.clone();
        let taken = match refusal(&spec, replace, &known, &workshop) {
            Some(why) => Err(anyhow!(why)),
            None => running::act(settings, Action::PutConnector { spec }).await,
        };
        match taken {
            Ok(line) => {
                console.line(line)?;
                done += 1;
            }
            // Nothing further can be stored either.
            Err(error) if error.chain().any(<dyn std::error::Error>::is::<StoreError>) => return Err(error),
            Err(error) => failed.push(format!("{name}: {error:#}")),
        }
    }
    if failed.is_empty() {
        return Ok(Exit::Ok);
    }
    if done == 0 {
        bail!("nothing was imported\n  {}", failed.join("\n  "));
    }
    let total = counted(total, "connector");
    console.note(format!("{done} of {total} imported; these were not:\n  {}", failed.join("\n  ")));
    Ok(Exit::Partly)
}

/// Why a connector of an import is not taken.
fn refusal(
    spec: &ConnectorSpec,
    replace: bool,
    known: &[ConnectorSpec],
    workshop: &Workshop,
) -> Option<String> {
    match known.iter().find(|k| k.name == spec.name) {
        Some(fixed) if fixed.origin != Origin::Store => {
            return Some("is written in file or environment, change it there".into());
        }
        Some(_) if !replace => return Some("is there already, --replace replaces it".into()),
        _ => {}
    }
    savable(workshop, spec).err().map(|error| format!("{error:#}"))
}

fn export(
    names: &[String],
    secrets: SecretsAs,
    settings: &Settings,
    console: &mut Console<'_>,
) -> Result<Exit> {
    let mut specs = specs(settings)?;
    if let Some(unknown) = names.iter().find(|n| !specs.iter().any(|s| s.name == **n)) {
        return Err(usage(format!(
            "there is no connector {unknown:?}: `barrelman connectors list` names them"
        )));
    }
    specs.retain(|s| names.is_empty() || names.contains(&s.name));
    for spec in &mut specs {
        for option in unknown_options(spec) {
            spec.config.remove(&option);
            console.note(format!("{}: {option} is left out, {} has no such option", spec.name, spec.kind));
        }
    }
    let style = match secrets {
        SecretsAs::Placeholders => ExportSecrets::Placeholders,
        SecretsAs::Cut => ExportSecrets::Cut,
    };
    console.line(export_connectors(&specs, style, &secret_options))?;
    Ok(Exit::Ok)
}

/// From the running engine, else from the configuration and the store.
async fn statuses(settings: &Settings) -> Result<Vec<ConnectorStatus>> {
    if let Some(status) = running::status(&settings.store.dir).await? {
        return Ok(status.connectors.clone());
    }
    let specs = specs(settings)?;
    let snapshot = match Reader::open(&settings.store.dir) {
        Ok(reader) => Some(reader.snapshot()?),
        Err(StoreError::Missing(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let workshop = Workshop::new(settings)?;
    let mut rows: Vec<ConnectorStatus> = Vec::new();
    for spec in specs {
        rows.push(resting(&spec, &workshop, snapshot.as_ref())?);
    }
    if let Some(snapshot) = &snapshot {
        fill_in(&mut rows, snapshot)?;
    }
    Ok(rows)
}

/// How a connector is while nothing runs.
fn resting(spec: &ConnectorSpec, workshop: &Workshop, read: Option<&Snapshot>) -> Result<ConnectorStatus> {
    let state = read.map(|r| r.get(&CONNECTOR_STATES, &spec.name)).transpose()?.flatten();
    let state: ConnectorState = state.unwrap_or_default();
    let (word, why) = match (workshop.build(spec), state.paused) {
        (Err(problems), _) => ("incomplete", told(&problems)),
        (Ok(_), _) if !spec.enabled => ("off", String::new()),
        (Ok(_), Some((_, why))) => ("paused", why),
        (Ok(_), None) => ("on", String::new()),
    };
    Ok(ConnectorStatus {
        name: spec.name.clone(),
        kind: spec.kind.clone(),
        origin: spec.origin.as_str().into(),
        enabled: spec.enabled,
        state: word.into(),
        why,
        ..ConnectorStatus::default()
    })
}

/// Queues, dead letters, the last deliveries that the newest rows of the log tell of.
fn fill_in(rows: &mut [ConnectorStatus], snapshot: &Snapshot) -> Result<()> {
    let waiting = pages::outbox_counts(snapshot, COUNTED)?;
    let dead = pages::dead_counts(snapshot)?;
    let log = pages::deliveries_back(snapshot, None, Limits::rows(Limits::EXAMINE), &|_| true)?;
    for row in rows {
        if let Some(count) = waiting.get(&row.name) {
            (row.queued, row.in_flight, row.oldest) = (count.queued, count.claimed, count.oldest);
        }
        row.dead = dead.get(&row.name).copied().unwrap_or(0);
        let mut ours = log.rows.iter().map(|(_, d)| d).filter(|d| d.connector == row.name);
        row.last_delivered = ours.clone().find(|d| d.state == DeliveryState::Delivered).map(|d| d.at);
        let failed = ours.find(|d| matches!(d.state, DeliveryState::Dead | DeliveryState::Retrying));
        row.last_error = failed.map(|d| (d.at, d.detail.clone()));
    }
    Ok(())
}

impl Listed for ConnectorStatus {
    const TITLES: &'static [&'static str] =
        &["NAME", "TYPE", "FROM", "STATE", "WAITING", "DEAD", "LAST DELIVERY", "LAST ERROR"];
    const CSV: &'static [&'static str] = &[
        "name",
        "type",
        "origin",
        "enabled",
        "state",
        "why",
        "queued",
        "in_flight",
        "dead",
        "last_delivered",
        "last_error_at",
        "last_error",
    ];

    fn cells(&self, view: &View) -> Vec<String> {
        let error = match (&self.why, &self.last_error) {
            (why, _) if !why.is_empty() => why.clone(),
            (_, Some((at, error))) => format!("{error} ({} ago)", view.ago(*at)),
            (_, None) => String::new(),
        };
        vec![
            self.name.clone(),
            self.kind.clone(),
            self.origin.clone(),
            self.state.clone(),
            (self.queued + self.in_flight).to_string(),
            self.dead.to_string(),
            self.last_delivered.map(|at| format!("{} ago", view.ago(at))).unwrap_or_default(),
            error,
        ]
    }

    fn record(&self) -> Vec<String> {
        let (at, error) = match &self.last_error {
            Some((at, error)) => (at.to_string(), error.clone()),
            None => (String::new(), String::new()),
        };
        vec![
            self.name.clone(),
            self.kind.clone(),
            self.origin.clone(),
            self.enabled.to_string(),
            self.state.clone(),
            self.why.clone(),
            self.queued.to_string(),
            self.in_flight.to_string(),
            self.dead.to_string(),
            self.last_delivered.map(|at| at.to_string()).unwrap_or_default(),
            at,
            error,
        ]
    }

    fn json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}
