//! What somebody asks of the engine, from a screen, the socket or the command line: done in one place.

use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use tokio::sync::{Mutex, mpsc};

use super::{
    connectors::{self, Workshop},
    engine::{Control, now},
};
use crate::{
    config::{ConnectorSpec, Origin, Settings},
    connector::Problem,
    dispatch::Dispatcher,
    event::{ClusterUid, Kind},
    feed::{Action, Reply},
    object::ObjectKey,
    server::Request,
    store::{AUDIT, AuditRow, CONNECTORS, ConnectorRow, Read, Store},
};

/// Requests that wait; a person makes one at a time.
pub const REQUESTS: usize = 32;

/// Does what is asked.
pub struct Desk {
    pub store: Store,
    pub dispatcher: Dispatcher,
    pub workshop: Workshop,
    pub settings: Arc<Mutex<Arc<Settings>>>,
    pub control: Arc<Control>,
}

impl Desk {
    /// Answers requests, one after the other, until nobody can ask any more.
    pub async fn run(self, mut requests: mpsc::Receiver<Request>) {
        while let Some((action, answer)) = requests.recv().await {
            let reply = match self.act(action).await {
                Ok(done) => Reply::Done(done),
                Err(error) => Reply::Failed(format!("{error:#}")),
            };
            // Whoever asked may have gone.
            let _ = answer.send(reply);
        }
    }

    async fn act(&self, action: Action) -> Result<String> {
        match action {
            Action::PutConnector { spec } => self.put(spec).await,
            Action::EnableConnector { name, enabled } => self.enable(&name, enabled).await,
            Action::RemoveConnector { name } => self.remove(&name).await,
            Action::TestConnector { name } => {
                let report = self.dispatcher.test(&name).await.map_err(|e| anyhow!(e))?;
                report.line().map_err(|e| anyhow!(e))
            }
            Action::TestSpec { spec } => {
                let built = self.workshop.build(&spec).map_err(told)?;
                let report = self.dispatcher.test_built(&built).await.map_err(|e| anyhow!(e))?;
                report.line().map_err(|e| anyhow!(e))
            }
            Action::RetryDead { connector, seqs } => {
                let n = self.dispatcher.retry_dead(connector.as_deref(), &seqs).await?;
                Ok(format!("{n} put back into the queue"))
            }
            Action::PurgeDead { connector, seqs } => {
                let n = self.dispatcher.purge_dead(connector.as_deref(), &seqs).await?;
                Ok(format!("{n} thrown away"))
            }
            Action::Relist | Action::Reconnect { .. } => {
                self.control.restart_watches();
                Ok("everything is listed again".to_owned())
            }
            Action::Reload => {
                self.control.reload();
                Ok("the configuration is read again; the log tells what came of it".to_owned())
            }
            Action::Manifest { cluster, kind, namespace, name } => {
                self.manifest(&cluster, &kind, &namespace, &name).await
            }
        }
    }

    async fn manifest(&self, cluster: &str, kind: &str, namespace: &str, name: &str) -> Result<String> {
        let kind = Kind::parse(kind).ok_or_else(|| anyhow!("{kind} is not a kind that is watched"))?;
        let status = self.control.status();
        let known = status.clusters.iter().find(|c| c.name == cluster);
        let uid = known.map(|c| c.uid.clone()).ok_or_else(|| anyhow!("no cluster {cluster} is watched"))?;
        let ask = self.control.ask();
        let json = ask.manifest(&ClusterUid(uid), &ObjectKey::new(kind, namespace, name)).await?;
        Ok(serde_json::to_string_pretty(&json)?)
    }

    async fn put(&self, spec: ConnectorSpec) -> Result<String> {
        let settings = Arc::clone(&*self.settings.lock().await);
        if let Some(fixed) = settings.connectors.iter().find(|s| s.name == spec.name) {
            bail!("{} is written in {}: change it there", fixed.name, place(fixed.origin));
        }
        if spec.name.trim().is_empty() {
            bail!("a connector needs a name");
        }
        // Placeholders may be saved and filled in later; what is wrong may not.
        if let Err(problems) = self.workshop.build(&spec)
            && problems.iter().any(|p| !p.incomplete)
        {
            return Err(told(problems));
        }
        let mut sealed = spec.clone();
        let vault = self.workshop.vault()?;
        vault.seal_config(&mut sealed.config, &connectors::secret_options(&spec.kind))?;
        let name = spec.name.clone();
        let at = now();
        self.store
            .write(move |tx| {
                let old = tx.get(&CONNECTORS, &sealed.name)?;
                let action = if old.is_some() { "edit" } else { "create" };
                let row = ConnectorRow {
                    created_at: old.map_or(at, |o: ConnectorRow| o.created_at),
                    updated_at: at,
                    spec: sealed,
                };
                let connector = row.spec.name.clone();
                tx.put(&CONNECTORS, &connector, &row)?;
                let audit = AuditRow { at, action: action.into(), connector, outcome: "ok".into() };
                tx.append(&AUDIT, &audit).map(drop)
            })
            .await?;
        self.apply().await?;
        Ok(format!("{name} is saved"))
    }

    async fn enable(&self, name: &str, enabled: bool) -> Result<String> {
        self.dispatcher.set_enabled(name, enabled).await?;
        self.apply().await?;
        Ok(format!("{name} is {}", if enabled { "on" } else { "off" }))
    }

    async fn remove(&self, name: &str) -> Result<String> {
        let settings = Arc::clone(&*self.settings.lock().await);
        if let Some(fixed) = settings.connectors.iter().find(|s| s.name == name) {
            bail!("{name} is written in {}: delete it there", place(fixed.origin));
        }
        let dropped = self.dispatcher.remove(name).await?;
        self.apply().await?;
        Ok(format!("{name} is deleted, with {dropped} waiting messages"))
    }

    /// After a change of connectors: dispatch and routing follow.
    async fn apply(&self) -> Result<()> {
        let settings = Arc::clone(&*self.settings.lock().await);
        let wired = connectors::wire(&settings, &self.store, &self.workshop)?;
        self.control.configure(&settings, wired.targets);
        self.dispatcher.apply(wired.definitions).await?;
        Ok(())
    }
}

fn told(problems: Vec<Problem>) -> anyhow::Error {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    anyhow!(lines.join("; "))
}

fn place(origin: Origin) -> &'static str {
    match origin {
        Origin::File => "the configuration file",
        Origin::Environment => "the environment",
        Origin::Store => "the database",
    }
}
