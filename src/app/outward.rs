//! What others reach of a running engine, or hear from it: the socket beside the store, health and metrics, the
//! heartbeat. The last two follow a reload.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::engine::{Running, now};
use crate::{
    config::Settings,
    connector::{self, HttpClients},
    server,
};

/// The tasks that a reload ends and starts anew.
pub const REPLACED: [&str; 2] = [SERVER, HEARTBEAT];
const SERVER: &str = "server";
const HEARTBEAT: &str = "heartbeat";

/// What ends them.
#[derive(Debug, Default)]
pub struct Outward {
    server: CancellationToken,
    heartbeat: CancellationToken,
}

/// All of it, as the settings have it.
///
/// # Errors
/// Another engine has the socket, the address is taken.
pub async fn serve(running: &mut Running, settings: &Settings) -> Result<()> {
    let engine = server::Engine {
        status: running.status.clone(),
        feed: running.feed.downgrade(),
        actions: running.requests.clone(),
    };
    // Whoever asks first hears of every connector.
    running.refresh.now().await;
    let socket = server::attach::bind(&settings.store.dir).await?;
    running.tasks.run("socket", server::attach::serve(socket, engine, running.stop_rest.clone()));
    let listener = bind(settings).await?;
    listen(running, listener);
    beat(running, settings)
}

/// Takes the address for health and metrics, where one is set.
///
/// # Errors
/// It is taken, or not ours.
pub async fn bind(settings: &Settings) -> Result<Option<TcpListener>> {
    let Some(address) = settings.listen else { return Ok(None) };
    server::bind(address).await.map(Some).map_err(|e| anyhow!(e))
}

/// Health and metrics answer here from now on, and nowhere else.
pub fn listen(running: &mut Running, listener: Option<TcpListener>) {
    let (status, stop) = (running.status.clone(), running.stop_rest.child_token());
    std::mem::replace(&mut running.outward.server, stop.clone()).cancel();
    if let Some(listener) = listener {
        running.tasks.start(SERVER, async move {
            server::serve(listener, status, stop).await.map_err(|e| e.to_string())
        });
    }
}

/// Signs of life go where the settings say from now on.
///
/// # Errors
/// The HTTP client cannot be made.
pub fn beat(running: &mut Running, settings: &Settings) -> Result<()> {
    let (status, stop) = (running.status.clone(), running.stop_rest.child_token());
    std::mem::replace(&mut running.outward.heartbeat, stop.clone()).cancel();
    if let Some(heartbeat) = &settings.heartbeat {
        let client = HttpClients::new(&settings.delivery, Arc::new(now))?.client(None)?;
        let (url, every) = (heartbeat.url.clone(), heartbeat.interval);
        running.tasks.run(HEARTBEAT, async move {
            server::heartbeat(every, status, stop, || connector::heartbeat(&client, &url)).await;
        });
    }
    Ok(())
}
