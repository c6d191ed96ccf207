//! The engine that runs on the data directory, if one does: asked over its local socket. Without one, changes are
//! made here, with the store opened for writing and the same code.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Result, anyhow, bail};

use crate::{
    app::{
        connector_edits::{Edits, told},
        connectors::{self, Workshop},
        engine::now,
    },
    config::Settings,
    dispatch::{Deps, Dispatcher, Nobody},
    feed::Action,
    status::Status,
    store::{Error as StoreError, Reader, Store},
};

/// An engine answers within this time: a test waits for a service's own time-out.
#[cfg(unix)]
const WITHIN: Duration = Duration::from_secs(70);
/// The first status comes at once.
#[cfg(unix)]
const STATUS_WITHIN: Duration = Duration::from_secs(5);

/// Does it: through the running engine, else here.
///
/// # Errors
/// What the engine, or the store, says.
pub async fn act(settings: &Settings, action: Action) -> Result<String> {
    if let Some(done) = ask(&settings.store.dir, action.clone()).await? {
        return Ok(done);
    }
    known(settings, &action)?;
    let alone = Alone::open(settings).await?;
    let done = alone.act(action).await;
    alone.close().await;
    done
}

/// A slip in a name, or in a directory, makes no store.
fn known(settings: &Settings, action: &Action) -> Result<()> {
    let (Action::EnableConnector { name, .. }
    | Action::RemoveConnector { name }
    | Action::TestConnector { name }) = action
    else {
        return Ok(());
    };
    if settings.connectors.iter().any(|c| c.name == *name) {
        return Ok(());
    }
    match Reader::open(&settings.store.dir) {
        Err(error @ StoreError::Missing(_)) => Err(super::usage(format!(
            "there is no connector {name:?} in the configuration, and {error}; `barrelman connectors list` names \
             what there is"
        ))),
        // What else is wrong is said when it is opened for writing.
        _ => Ok(()),
    }
}

/// Asks the running engine; `None` if none runs.
///
/// # Errors
/// It refuses, or does not answer.
#[cfg(unix)]
pub async fn ask(dir: &Path, action: Action) -> Result<Option<String>> {
    use crate::{feed::Reply, server::attach};
    match attach::call(dir, action, WITHIN).await {
        Ok(Reply::Done(done)) => Ok(Some(done)),
        Ok(Reply::Failed(why)) => bail!(why),
        Err(attach::Error::NotRunning(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// How the running engine is; `None` if none runs.
///
/// # Errors
/// It does not answer.
#[cfg(unix)]
pub async fn status(dir: &Path) -> Result<Option<Arc<Status>>> {
    use crate::server::attach::{self, Attached};
    let Attached { client: _client, feed: _feed, mut status, driver } = match attach::connect(dir).await {
        Ok(attached) => attached,
        Err(attach::Error::NotRunning(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    tokio::select! {
        biased;
        changed = tokio::time::timeout(STATUS_WITHIN, status.changed()) => {
            changed.map_err(|_| attach::Error::Timeout(STATUS_WITHIN.as_secs()))??;
            let newest = Arc::clone(&status.borrow());
            Ok(Some(newest))
        }
        error = driver => Err(error.into()),
    }
}

/// There is no socket on this platform.
#[cfg(not(unix))]
pub async fn ask(_dir: &Path, _action: Action) -> Result<Option<String>> {
    Ok(None)
}

/// There is no socket on this platform.
#[cfg(not(unix))]
pub async fn status(_dir: &Path) -> Result<Option<Arc<Status>>> {
    Ok(None)
}

/// The store, and dispatch without workers: nothing is sent but tests.
pub struct Alone<'a> {
    settings: &'a Settings,
    store: Store,
    workshop: Workshop,
    dispatcher: Dispatcher,
}

impl<'a> Alone<'a> {
    /// Opens the store for writing.
    ///
    /// # Errors
    /// Held by another process, damaged, no right.
    pub async fn open(settings: &'a Settings) -> Result<Self> {
        let store = Store::open(&settings.store.dir)?;
        let workshop = Workshop::new(settings)?;
        let (dispatcher, task) = Dispatcher::new(Deps {
            store: store.clone(),
            clock: Arc::new(now),
            horizon: settings.delivery.horizon,
            stale_after: settings.incidents.stale_after.into(),
            observer: Arc::new(Nobody),
            lines: None,
            watch_only: settings.watch_only,
        });
        // Workers are made known, and never run.
        drop(task);
        let alone = Self { settings, store, workshop, dispatcher };
        alone.follow().await?;
        Ok(alone)
    }

    async fn follow(&self) -> Result<()> {
        let wired = connectors::wire(self.settings, &self.store, &self.workshop)?;
        Ok(self.dispatcher.apply(wired.definitions).await?)
    }

    /// Does what an engine would do.
    ///
    /// # Errors
    /// What is wrong, or the store.
    pub async fn act(&self, action: Action) -> Result<String> {
        let edits = Edits {
            store: &self.store,
            dispatcher: &self.dispatcher,
            workshop: &self.workshop,
            settings: self.settings,
        };
        match action {
            Action::PutConnector { spec } => {
                let done = edits.put(spec).await?;
                self.follow().await?;
                Ok(done)
            }
            Action::EnableConnector { name, enabled } => edits.enable(&name, enabled).await,
            Action::RemoveConnector { name } => edits.remove(&name, self.follow()).await,
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
            Action::Relist | Action::Reconnect { .. } | Action::Reload | Action::Manifest { .. } => {
                bail!("no barrelman is running on {}", self.settings.store.dir.display())
            }
        }
    }

    /// Closes the store in order.
    pub async fn close(self) {
        let Self { store, dispatcher, .. } = self;
        drop(dispatcher);
        // A thread that panicked has nothing left to close.
        let _ = tokio::task::spawn_blocking(move || store.close()).await;
    }
}
