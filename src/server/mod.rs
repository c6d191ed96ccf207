//! What others ask of a running engine: health and metrics over HTTP, and the local attach API on a Unix socket.
//!
//! `app` binds first (so that a wrong address or a second engine is told at start), then runs the futures that are
//! returned here among its own tasks. Nothing here spawns, writes to the store, or knows how actions are done:
//! they go to the engine through a bounded channel. No object's name is ever a metric label.

#[cfg(unix)]
pub mod attach;
mod guard;
pub mod health;
mod heartbeat;
mod http;
mod metrics;

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::{
    feed::{Action, Feed, Reply},
    status::Status,
};

pub use health::{silent, unready};
pub use heartbeat::heartbeat;
pub use http::{bind, serve};
pub use metrics::metrics;

/// An action on its way to the engine, and where its answer goes.
pub type Request = (Action, oneshot::Sender<Reply>);

/// The engine's side of the seam.
#[derive(Debug)]
pub struct Engine {
    /// How things are; the newest at any time.
    pub status: watch::Receiver<Arc<Status>>,
    /// What is committed. Each client gets a receiver of its own; one that nobody reads would hold the newest
    /// thousands of events in memory.
    pub feed: broadcast::WeakSender<Feed>,
    /// What clients ask for.
    pub actions: mpsc::Sender<Request>,
}
