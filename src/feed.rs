//! What an engine tells those who look on, and what they may ask of it: the seam between the engine and every
//! screen, whether in the same process or behind the local socket.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    config::ConnectorSpec,
    event::{Event, incident::Incident},
    status::Status,
    store::{DeliveryRow, GapRow},
};

/// How many items a slow reader may fall behind before it is told that it lagged, and reloads from the store.
pub const FEED_CAPACITY: usize = 4096;

/// Something that was committed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Feed {
    /// A new event, or one whose count grew (then with its old `seq`).
    Event {
        /// Its row.
        seq: u64,
        /// The event.
        event: Arc<Event>,
    },
    /// An incident was opened or changed.
    Incident {
        /// Its newest state.
        incident: Arc<Incident>,
    },
    /// A delivery was made, failed for good or was dropped.
    Delivery {
        /// Its row.
        seq: u64,
        /// The delivery.
        delivery: Arc<DeliveryRow>,
    },
    /// Time was not watched.
    Gap {
        /// Which.
        gap: GapRow,
    },
    /// How things are; at most once a second, when something changed.
    Status {
        /// All of it.
        status: Arc<Status>,
    },
    /// Beside a running engine only: it has gone, or is there again. Never sent by an engine itself.
    Engine {
        /// Which engine; `None` = gone.
        label: Option<String>,
    },
    /// Beside a running engine only: it holds the store, and says nothing. Never sent by an engine itself.
    Silent {
        /// Its process, where the system tells.
        pid: Option<u32>,
    },
    /// The reader was too slow: items were left out; reload from the store.
    Lagged {
        /// How many.
        missed: u64,
    },
}

/// What somebody asks of the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub enum Action {
    /// Makes a connector, or replaces the one of that name. Refused for connectors of the file.
    PutConnector {
        /// With its secrets in clear: the socket is 0600 and local.
        spec: ConnectorSpec,
    },
    /// Switches a connector on or off.
    EnableConnector {
        /// Which.
        name: String,
        /// On or off.
        enabled: bool,
    },
    /// Removes it and drops its waiting rows, with an audit row.
    RemoveConnector {
        /// Which.
        name: String,
    },
    /// Sends a message that is marked as a test.
    TestConnector {
        /// Which.
        name: String,
    },
    /// The same for settings that are not saved (a form).
    TestSpec {
        /// The form's content.
        spec: ConnectorSpec,
    },
    /// Puts dead letters back into the queue.
    RetryDead {
        /// Of one connector only.
        connector: Option<String>,
        /// Only these; empty = all.
        seqs: Vec<u64>,
    },
    /// Throws dead letters away.
    PurgeDead {
        /// Of one connector only.
        connector: Option<String>,
        /// Only these; empty = all.
        seqs: Vec<u64>,
    },
    /// Lists everything again.
    Relist,
    /// Tries a cluster again now, instead of at the end of its pause.
    Reconnect {
        /// The cluster's name.
        cluster: String,
    },
    /// Reads the configuration again, as SIGHUP does.
    Reload,
    /// One object's manifest, fetched now, values masked.
    Manifest {
        /// The cluster's name.
        cluster: String,
        /// Kind.
        kind: String,
        /// Empty for cluster-scoped kinds.
        namespace: String,
        /// Name.
        name: String,
    },
}

/// The engine's answer to an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Done; one line to show, or a manifest.
    Done(String),
    /// Not done; why, and what to do.
    Failed(String),
}
