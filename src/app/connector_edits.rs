//! Changes of connectors: what may be saved, how secrets are sealed, what the audit log says. Called by the engine's
//! desk and, where no engine runs, by the command line; both leave the same rows behind.

use anyhow::{Result, anyhow, bail};

use super::{
    connectors::{Workshop, secret_options},
    engine::now,
    never,
};
use crate::{
    config::{ConnectorSpec, Origin, Settings},
    connector::Problem,
    dispatch::Dispatcher,
    store::{AUDIT, AuditRow, CONNECTOR_STATES, CONNECTORS, ConnectorRow, ConnectorState, Read, Store},
};

/// What a change works with.
pub struct Edits<'a> {
    /// Where connectors of the terminal and the command line are kept.
    pub store: &'a Store,
    /// Drops what waits for a connector that is deleted.
    pub dispatcher: &'a Dispatcher,
    /// Builds connectors, to find out whether they can be used.
    pub workshop: &'a Workshop,
    /// The connectors of file and environment, which are not changed here.
    pub settings: &'a Settings,
}

impl Edits<'_> {
    /// Saves a connector, its secrets sealed: a new one, or in place of the one of that name. Answers what is still
    /// missing, in words, where it cannot send yet.
    ///
    /// # Errors
    /// It belongs to file or environment, is wrong (not merely incomplete), or the store.
    pub async fn put(&self, spec: ConnectorSpec) -> Result<String> {
        self.refuse_fixed(&spec.name, "change")?;
        if spec.name.trim().is_empty() {
            bail!("a connector needs a name");
        }
        let missing = savable(self.workshop, &spec)?;
        let built = self.workshop.build(&spec).ok();
        let never = built.and_then(|b| never::of(&b.common, &self.settings.watch)).map(|(text, _)| text);
        let mut sealed = ConnectorSpec { origin: Origin::Store, ..spec };
        let vault = self.workshop.vault()?;
        vault.seal_config(&mut sealed.config, &secret_options(&sealed.kind))?;
        let (name, enabled) = (sealed.name.clone(), sealed.enabled);
        let at = now();
        self.store
            .write(move |tx| {
                let old = tx.get(&CONNECTORS, &sealed.name)?;
                let action = if old.is_some() { "edit" } else { "create" };
                let created_at = old.map_or(at, |o: ConnectorRow| o.created_at);
                let row = ConnectorRow { created_at, updated_at: at, spec: sealed };
                let connector = row.spec.name.clone();
                tx.put(&CONNECTORS, &connector, &row)?;
                let audit = AuditRow { at, action: action.into(), connector, outcome: "ok".into() };
                tx.append(&AUDIT, &audit).map(drop)
            })
            .await?;
        let never = never.map(|text| format!("; {text}")).unwrap_or_default();
        let off = if enabled {
            String::new()
        } else {
            format!("; it is off: barrelman connectors enable '{name}'")
        };
        Ok(match missing {
            None => format!("{name} is saved{never}{off}"),
            Some(missing) => format!("{name} is saved, and cannot send yet: {missing}{never}{off}"),
        })
    }

    /// Switches a connector on or off, wherever it was defined; dispatch must know it (`Dispatcher::apply`).
    ///
    /// # Errors
    /// There is none of that name, or the store.
    pub async fn enable(&self, name: &str, enabled: bool) -> Result<String> {
        let paused = self.dispatcher.set_enabled(name, enabled).await?;
        // Whether it stays on, the next answer of its service decides.
        let on = if paused { "goes on: what waits for it is tried again" } else { "is on" };
        let mut said = vec![format!("{name} {on}")];
        if !enabled {
            // Nothing is routed to it; what was routed before waits in its queue.
            said = vec![
                format!(
                    "{name} is off: what begins or ends meanwhile is not told to it later, unless more comes of it"
                ),
                "what waits for it stays".to_owned(),
            ];
        }
        let fixed = self.settings.connectors.iter().find(|s| s.name == name && s.enabled != enabled);
        if let Some(fixed) = fixed {
            let (place, says) = (place(fixed.origin), fixed.enabled);
            let back = if enabled {
                format!("barrelman connectors disable '{name}'")
            } else {
                format!("barrelman connectors enable '{name}'")
            };
            said.push(format!("{place} says enabled = {says}, which this overrides until: {back}"));
        }
        Ok(said.join("; "))
    }

    /// Deletes a connector, then lets `follow` take it out of routing, then drops what waits for it: in this order,
    /// nothing is routed to it after its queue was emptied.
    ///
    /// # Errors
    /// It belongs to file or environment, there is none of that name, or the store.
    pub async fn remove(&self, name: &str, follow: impl Future<Output = Result<()>>) -> Result<String> {
        self.refuse_fixed(name, "delete")?;
        let key = name.to_owned();
        let removed = self.store.write(move |tx| {
            let removed = tx.remove(&CONNECTORS, &key)?;
            if removed {
                // Where we are killed before its queue is empty, the next start goes on.
                let state = tx.get(&CONNECTOR_STATES, &key)?.unwrap_or_default();
                tx.put(&CONNECTOR_STATES, &key, &ConnectorState { removing: true, ..state })?;
            }
            Ok(removed)
        });
        if !removed.await? {
            bail!("there is no connector {name:?}");
        }
        follow.await?;
        let dropped = self.dispatcher.remove(name).await?;
        Ok(format!("{name} is deleted, with {dropped} waiting messages"))
    }

    fn refuse_fixed(&self, name: &str, what: &str) -> Result<()> {
        match self.settings.connectors.iter().find(|s| s.name == name) {
            Some(fixed) => bail!("{name} is written in {}: {what} it there", place(fixed.origin)),
            None => Ok(()),
        }
    }
}

/// Whether a connector may be saved; what is still missing, if anything is. Placeholders and secrets that are not
/// there yet may be filled in later; what is wrong may not be saved.
///
/// # Errors
/// Every problem, in words.
pub fn savable(workshop: &Workshop, spec: &ConnectorSpec) -> Result<Option<String>> {
    match workshop.build(spec) {
        Ok(_) => Ok(None),
        Err(problems) if problems.iter().all(|p| p.incomplete) => Ok(Some(told(&problems))),
        Err(problems) => Err(anyhow!(told(&problems))),
    }
}

/// All problems on one line.
pub fn told(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn place(origin: Origin) -> &'static str {
    match origin {
        Origin::File => "the configuration file",
        Origin::Environment => "the environment",
        Origin::Store => "the database",
    }
}
