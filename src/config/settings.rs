//! What the rest of the program is told: complete, validated, with every default filled in.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::event::{EventType, Kind, Severity, filter::Filter};

/// Everything.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Which clusters, and how to reach them.
    pub clusters: ClusterSettings,
    /// What to watch in them.
    pub watch: WatchSettings,
    /// How events become incidents, and incidents notifications.
    pub incidents: IncidentSettings,
    /// Overrides of single types.
    pub types: BTreeMap<EventType, TypeSettings>,
    /// What matches one of these is stored and shown, joins no incident and is told to nobody.
    pub ignore: Vec<Filter>,
    /// The database.
    pub store: StoreSettings,
    /// What holds for every connector.
    pub delivery: DeliverySettings,
    /// A dead-man's switch elsewhere.
    pub heartbeat: Option<HeartbeatSettings>,
    /// Health, metrics: `None` = off.
    pub listen: Option<SocketAddr>,
    /// Logs.
    pub log: LogSettings,
    /// Connectors of the file and the environment, in order.
    pub connectors: Vec<ConnectorSpec>,
    /// Stores events and incidents, writes no outbox rows, never delivers.
    pub watch_only: bool,
    /// The dashboard.
    pub ui: UiSettings,
}

/// The dashboard, in words: what they mean is its own business, and checked by `app` before it opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UiSettings {
    /// auto | dark | light | mono.
    pub theme: String,
    /// Name of an action → its keys, in place of the built-in ones; an empty list takes them away.
    pub keys: BTreeMap<String, Vec<String>>,
}

/// Which clusters, and how to reach them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterSettings {
    /// CONNECTOR_NAME: the payload's cluster name; with several contexts a prefix (`name/context`). `None`: the
    /// context's name, or `in-cluster`.
    pub name: Option<String>,
    /// KUBECONFIG; several paths as kubectl has them. Empty = the default place.
    pub kubeconfig: Vec<PathBuf>,
    /// Empty = the current one.
    pub contexts: Vec<String>,
    /// true: ignores kubeconfig. false: forbids in-cluster. `None`: kubeconfig, then in-cluster.
    pub in_cluster: Option<bool>,
}

/// What to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchSettings {
    /// Names and globs (`team-*`); empty = all namespaces.
    pub namespaces: Vec<String>,
    /// RESOURCE_FILTER: a label selector, applied by the server.
    pub selector: Option<String>,
    /// The kinds that are switched on.
    pub kinds: BTreeSet<Kind>,
    /// Of those that are in no namespace: the ones that somebody switched on by name. The others are taken where they
    /// are permitted, when only some namespaces are watched.
    pub insisted: BTreeSet<Kind>,
    /// POLL_INTERVAL_SECONDS: drives all work that is not a watch.
    pub poll_interval: Duration,
    /// Metrics, once a rule uses them.
    pub metrics_interval: Duration,
    /// How long one watch request lasts (± 15 s of jitter).
    pub watch_timeout: Duration,
}

/// How events become incidents, and incidents notifications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentSettings {
    /// Repeats of one fingerprint within this time of the first are folded.
    pub dedup_window: Duration,
    /// How long a notification waits for worse to come, by severity.
    pub settle: BTreeMap<Severity, Duration>,
    /// How long an end must hold. `None` = the type's own (60 s, crash loops 300 s).
    pub heal_for: Option<Duration>,
    /// Broken again within this time, it is the same incident.
    pub reopen_within: Duration,
    /// An incident of one-shots only ends quietly after this time.
    pub one_shot: Duration,
    /// A reminder while open.
    pub repeat_interval: Duration,
    /// After a silence, unclaimed rows older than this go out as one digest.
    pub stale_after: Duration,
    /// Read the last lines of the container that died (needs pods/log).
    pub logs: bool,
    /// URL template; variables as in a payload.
    pub runbook_url: Option<String>,
    /// URL template.
    pub dashboard_url: Option<String>,
}

/// Overrides of one type; `None` = the general setting.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct TypeSettings {
    pub dedup_window: Option<Duration>,
    pub settle: Option<Duration>,
    pub heal_for: Option<Duration>,
    pub reopen_within: Option<Duration>,
    pub one_shot: Option<Duration>,
    pub repeat_interval: Option<Duration>,
    /// Another severity than the catalogue's.
    pub severity: Option<Severity>,
}

impl Settings {
    /// For how long an event of any type may have repeats folded into it.
    pub fn longest_dedup_window(&self) -> Duration {
        let of_types = self.types.values().filter_map(|t| t.dedup_window);
        of_types.fold(self.incidents.dedup_window, Duration::max)
    }
}

impl IncidentSettings {
    /// How long a notification of this type and severity waits.
    pub fn settle(
        &self,
        types: &BTreeMap<EventType, TypeSettings>,
        event_type: EventType,
        severity: Severity,
    ) -> Duration {
        types
            .get(&event_type)
            .and_then(|t| t.settle)
            .unwrap_or_else(|| self.settle.get(&severity).copied().unwrap_or_default())
    }

    /// How long the end of this type must hold.
    pub fn heal_for(&self, types: &BTreeMap<EventType, TypeSettings>, event_type: EventType) -> Duration {
        let own = match event_type.def().ends {
            crate::event::Ends::After(secs) => Duration::from_secs(secs.into()),
            crate::event::Ends::Never => Duration::ZERO,
        };
        types.get(&event_type).and_then(|t| t.heal_for).or(self.heal_for).unwrap_or(own)
    }
}

/// The database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// The data directory.
    pub dir: PathBuf,
    /// Age limit.
    pub retention: Duration,
    /// Size limit.
    pub max_bytes: u64,
    /// At this size of the outbox reading stops.
    pub outbox_max_bytes: u64,
    /// Dead letters above this size go, the oldest first.
    pub dead_letters_max_bytes: u64,
}

/// What holds for every connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverySettings {
    /// After this time of trying, a row becomes a dead letter.
    pub horizon: Duration,
    /// For one request.
    pub timeout: Duration,
    /// Extra CA certificates, PEM.
    pub ca_file: Option<PathBuf>,
    /// Plain http to other hosts than loopback.
    pub allow_insecure_http: bool,
}

/// A dead-man's switch elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatSettings {
    /// A GET goes there while all is well.
    pub url: String,
    /// How often.
    pub interval: Duration,
}

/// Logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// debug | info | warn | error (also a tracing filter).
    pub level: String,
    /// JSON lines instead of text.
    pub json: bool,
}

/// Where a connector was defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// In the configuration file: read-only elsewhere.
    File,
    /// By PAINCHAIN_API_URL.
    Environment,
    /// Made in the terminal or on the command line; kept in the database.
    #[default]
    Store,
}

impl Origin {
    /// The word for people and machines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Origin::File => "file",
            Origin::Environment => "environment",
            Origin::Store => "store",
        }
    }
}

/// A connector as somebody wrote it: one of the guide's two shapes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectorSpec {
    /// Unique; part of notification ids.
    pub name: String,
    /// slack, webhook, painchain, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Defaults to false, as in the guide.
    #[serde(default)]
    pub enabled: bool,
    /// All options, common and own.
    #[serde(default)]
    pub config: serde_json::Map<String, serde_json::Value>,
    /// Not part of either shape.
    #[serde(skip)]
    pub origin: Origin,
}
