//! What somebody asks of the engine, from a screen, the socket or the command line: done in one place.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use futures::{StreamExt, stream::FuturesUnordered};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::{
    connector_edits::{Edits, told},
    connectors::{self, Workshop},
    engine::{Control, InForce},
    status::Refresh,
};
use crate::{
    config::{ConnectorSpec, Settings},
    dispatch::Dispatcher,
    event::{ClusterUid, Kind},
    feed::{Action, Reply},
    object::ObjectKey,
    server::Request,
    store::Store,
};

/// Requests that wait; a person makes one at a time.
pub const REQUESTS: usize = 32;

/// Whether the status shows what an action does.
fn changes(action: &Action) -> bool {
    match action {
        Action::PutConnector { .. }
        | Action::EnableConnector { .. }
        | Action::RemoveConnector { .. }
        | Action::TestConnector { .. }
        | Action::RetryDead { .. }
        | Action::PurgeDead { .. } => true,
        Action::TestSpec { .. }
        | Action::Relist
        | Action::Reconnect { .. }
        | Action::Reload
        | Action::Manifest { .. } => false,
    }
}

/// Does what is asked.
pub struct Desk {
    pub store: Store,
    pub dispatcher: Dispatcher,
    pub workshop: Workshop,
    pub settings: InForce,
    pub control: Arc<Control>,
    pub refresh: Refresh,
    /// One change of connectors at a time.
    pub changing: Mutex<()>,
}

impl Desk {
    /// Answers requests until nobody can ask any more. Changes of connectors come one after the other; what waits for a
    /// service or a cluster keeps nobody else waiting.
    pub async fn run(self, mut requests: mpsc::Receiver<Request>) {
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some((action, answer)) = requests.recv(), if under_way.len() < REQUESTS => {
                    under_way.push(self.answer(action, answer));
                }
                Some(()) = under_way.next() => {}
                else => return,
            }
        }
    }

    async fn answer(&self, action: Action, answer: oneshot::Sender<Reply>) {
        let changes = changes(&action);
        let reply = match self.act(action).await {
            Ok(done) => Reply::Done(done),
            Err(error) => Reply::Failed(format!("{error:#}")),
        };
        if changes {
            // Who asks next, on whatever connection, sees what was done.
            self.refresh.now().await;
        }
        // Whoever asked may have gone.
        let _ = answer.send(reply);
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
                let built = self.workshop.build(&spec).map_err(|p| anyhow!(told(&p)))?;
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
            Action::Relist => {
                self.control.restart_watches();
                Ok("asked for: everything is listed anew and compared".to_owned())
            }
            Action::Reconnect { .. } => {
                self.control.restart_watches();
                Ok("asked for: the lines above say what comes of it".to_owned())
            }
            Action::Reload => match self.control.reload().await {
                Reply::Done(text) => Ok(text),
                Reply::Failed(why) => Err(anyhow!(why)),
            },
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

    /// What changes connectors, with the settings of this moment.
    fn edits<'a>(&'a self, settings: &'a Settings) -> Edits<'a> {
        Edits { store: &self.store, dispatcher: &self.dispatcher, workshop: &self.workshop, settings }
    }

    async fn put(&self, spec: ConnectorSpec) -> Result<String> {
        let _one = self.changing.lock().await;
        let settings = Arc::clone(&*self.settings.lock().await);
        let done = self.edits(&settings).put(spec).await?;
        self.apply().await?;
        Ok(done)
    }

    async fn enable(&self, name: &str, enabled: bool) -> Result<String> {
        let _one = self.changing.lock().await;
        let settings = Arc::clone(&*self.settings.lock().await);
        let done = self.edits(&settings).enable(name, enabled).await?;
        self.apply().await?;
        Ok(done)
    }

    async fn remove(&self, name: &str) -> Result<String> {
        let _one = self.changing.lock().await;
        let settings = Arc::clone(&*self.settings.lock().await);
        self.edits(&settings).remove(name, self.apply()).await
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
