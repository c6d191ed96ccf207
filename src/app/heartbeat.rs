//! Tells a dead-man's switch elsewhere that we live: silence is the message.

use std::{future::Future, sync::Arc};

use anyhow::Result;
use tokio::sync::watch;

use crate::{
    config::{DeliverySettings, HeartbeatSettings},
    connector::{HttpClients, heartbeat},
    server::health,
    status::Status,
};

/// A GET every interval while every enabled stream is live, the store commits and no connector has paused itself.
pub fn run(
    settings: HeartbeatSettings,
    delivery: &DeliverySettings,
    status: watch::Receiver<Arc<Status>>,
) -> Result<impl Future<Output = ()> + use<>> {
    let clients = HttpClients::new(delivery, Arc::new(super::engine::now))?;
    let client = clients.client(None)?;
    Ok(async move {
        let mut quiet = false;
        loop {
            tokio::time::sleep(settings.interval).await;
            let why = health::silent(&status.borrow());
            if !why.is_empty() {
                if !quiet {
                    tracing::warn!(why = why.join("; "), "no heartbeat is sent until this is over");
                }
                quiet = true;
                continue;
            }
            match heartbeat(&client, &settings.url).await {
                Ok(()) => quiet = false,
                Err(error) if !quiet => {
                    quiet = true;
                    tracing::warn!(%error, "the heartbeat could not be sent");
                }
                Err(_) => {}
            }
        }
    })
}
