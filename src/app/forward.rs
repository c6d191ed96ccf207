//! `barrelman forward`: the engine without a screen.

use std::sync::Arc;

use anyhow::Result;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

use super::{
    configuration::{self, called},
    engine::{Command, Running},
    outward,
};
use crate::{
    cli::Exit,
    config::{Flags, Settings},
    feed::Reply,
};

/// Runs until SIGTERM or SIGINT.
pub async fn run(settings: Settings, flags: Flags, mut asked: Asked) -> Result<Exit> {
    let mut running = Running::start(settings.clone(), "forward", called(&flags, &settings.watch)).await?;
    outward::serve(&mut running, &settings).await?;
    tracing::info!(store = %running.store.path().display(), watch_only = settings.watch_only, "watching");
    warn_if_nobody_is_told(&running);
    let exit = supervise(&mut running, &mut asked, &flags).await;
    let stop = running.stop();
    tokio::pin!(stop);
    tokio::select! {
        () = &mut stop => exit,
        () = asked.end() => Ok(Exit::Interrupted),
    }
}

/// What is asked by signals: from its making on they do not end the process.
pub struct Asked {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Asked {
    /// Listens from now on.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> std::io::Result<Self> {
        let (term, int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { term, int, hup: signal(SignalKind::hangup())? })
    }

    async fn end(&mut self) {
        tokio::select! { _ = self.term.recv() => {}, _ = self.int.recv() => {} }
    }
}

async fn supervise(running: &mut Running, asked: &mut Asked, flags: &Flags) -> Result<Exit> {
    loop {
        let command = tokio::select! {
            _ = asked.term.recv() => {
                tracing::info!("asked to end: finishing what is on its way");
                return Ok(Exit::Ok);
            }
            _ = asked.int.recv() => return Ok(Exit::Ok),
            _ = asked.hup.recv() => Command::Reload(None),
            command = running.next() => command?,
        };
        match command {
            Command::RestartWatches => running.restart_watches().await?,
            Command::Reload(asked) => reload(running, flags, asked).await,
        }
    }
}

/// A connector is off until it is switched on: a forwarder that tells nobody must not look like one that has nothing to
/// tell.
fn warn_if_nobody_is_told(running: &Running) {
    let status = running.status.borrow();
    if status.watch_only || status.connectors.iter().any(|c| c.enabled) {
        return;
    }
    let off: Vec<&str> = status.connectors.iter().map(|c| c.name.as_str()).collect();
    let off = if off.is_empty() { "none is configured".to_owned() } else { off.join(", ") };
    tracing::warn!(off, "no connector is on: what breaks is stored, and nobody is told of it");
}

/// Reads the configuration again; if anything is wrong with it, that is told, and the old one stays.
pub async fn reload(running: &mut Running, flags: &Flags, asked: Option<oneshot::Sender<Reply>>) {
    let reply = read_again(running, flags).await;
    if let Some(asked) = asked {
        // Whoever asked may have gone.
        let _ = asked.send(reply);
    }
}

async fn read_again(running: &mut Running, flags: &Flags) -> Reply {
    let old = running.settings().await;
    let status = Arc::clone(&running.status.borrow());
    let settings = match configuration::again(flags, &old, &status) {
        Ok(settings) => settings,
        Err(problems) => {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            let more = problems.len().saturating_sub(1);
            let more = if more > 0 { format!(" (and {more} more, see the log)") } else { String::new() };
            return Reply::Failed(format!("refused, the old configuration stays in force: {first}{more}"));
        }
    };
    match running.reconfigure(settings).await {
        Ok(later) if later.is_empty() => {
            tracing::info!("the new configuration is in force");
            warn_if_nobody_is_told(running);
            Reply::Done("the new configuration is in force".to_owned())
        }
        Ok(later) => {
            let needs_restart = later.join(", ");
            tracing::warn!(needs_restart, "the new configuration is in force, but for what needs a restart");
            Reply::Done(format!(
                "the new configuration is in force, but a restart is needed for {needs_restart}"
            ))
        }
        Err(error) => {
            let error = format!("{error:#}");
            tracing::error!(error, "the new configuration could not be taken over");
            Reply::Failed(format!("the new configuration could not be taken over: {error}"))
        }
    }
}
