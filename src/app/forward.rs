//! `barrelman forward`: the engine without a screen.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    configuration,
    engine::{Command, Running, now},
};
use crate::{
    cli::Exit,
    config::{Flags, Settings},
    connector::{self, HttpClients},
    server,
};

/// Runs until SIGTERM or SIGINT.
pub async fn run(settings: Settings, flags: Flags) -> Result<Exit> {
    let mut running = Running::start(settings.clone(), "forward").await?;
    serve(&mut running, &settings).await?;
    tracing::info!(store = %running.store.path().display(), watch_only = settings.watch_only, "watching");
    let exit = supervise(&mut running, &flags).await;
    let stop = running.stop();
    tokio::pin!(stop);
    let mut again = signal(SignalKind::interrupt())?;
    tokio::select! {
        () = &mut stop => exit,
        _ = again.recv() => Ok(Exit::Interrupted),
    }
}

/// The socket beside the store, health and metrics, the heartbeat.
pub async fn serve(running: &mut Running, settings: &Settings) -> Result<()> {
    let engine = server::Engine {
        status: running.status.clone(),
        feed: running.feed.downgrade(),
        actions: running.requests.clone(),
    };
    let socket = server::attach::bind(&settings.store.dir).await?;
    running.tasks.run("socket", server::attach::serve(socket, engine, running.stop_rest.clone()));
    if let Some(address) = settings.listen {
        let listener = server::bind(address).await.map_err(|e| anyhow!(e))?;
        let (status, stop) = (running.status.clone(), running.stop_rest.clone());
        running.tasks.start("server", async move {
            server::serve(listener, status, stop).await.map_err(|e| e.to_string())
        });
    }
    if let Some(heartbeat) = &settings.heartbeat {
        let client = HttpClients::new(&settings.delivery, Arc::new(now))?.client(None)?;
        let (url, every) = (heartbeat.url.clone(), heartbeat.interval);
        let (status, stop) = (running.status.clone(), running.stop_rest.clone());
        running.tasks.run("heartbeat", async move {
            server::heartbeat(every, status, stop, || connector::heartbeat(&client, &url)).await;
        });
    }
    Ok(())
}

async fn supervise(running: &mut Running, flags: &Flags) -> Result<Exit> {
    let (mut term, mut int, mut hup) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?);
    loop {
        let command = tokio::select! {
            _ = term.recv() => {
                tracing::info!("asked to end: finishing what is on its way");
                return Ok(Exit::Ok);
            }
            _ = int.recv() => return Ok(Exit::Ok),
            _ = hup.recv() => Command::Reload,
            command = running.next() => command?,
        };
        match command {
            Command::RestartWatches => running.restart_watches().await?,
            Command::Reload => reload(running, flags).await,
        }
    }
}

/// Reads the configuration again; if anything is wrong with it, that is told, and the old one stays.
pub async fn reload(running: &mut Running, flags: &Flags) {
    let old = running.settings().await;
    let status = Arc::clone(&running.status.borrow());
    let Some(settings) = configuration::again(flags, &old, &status) else { return };
    match running.reconfigure(settings).await {
        Ok(later) if later.is_empty() => tracing::info!("the new configuration is in force"),
        Ok(later) => tracing::warn!(
            needs_restart = later.join(", "),
            "the new configuration is in force, but for what needs a restart"
        ),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the new configuration could not be taken over");
        }
    }
}
