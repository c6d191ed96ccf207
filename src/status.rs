//! Plain structs about how we are doing: what the screen, `check`, health and metrics read.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::event::{Kind, shell_word};

/// Of a cluster that answers something is heard so often, even where hardly anything happens.
const HEARD_LATELY: SignedDuration = SignedDuration::from_secs(30);

/// Everything, at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Status {
    /// When it was taken.
    pub at: Timestamp,
    /// When this engine started.
    pub started_at: Timestamp,
    /// The process that runs it.
    pub pid: u32,
    /// `forward`, `dashboard`, `demo`
    pub mode: String,
    /// Never delivers.
    pub watch_only: bool,
    /// A line per cluster.
    pub clusters: Vec<ClusterStatus>,
    /// A line per connector.
    pub connectors: Vec<ConnectorStatus>,
    /// The database.
    pub store: StoreStatus,
    /// Counters since the start.
    pub pipeline: PipelineStatus,
    /// What is wrong with this very process, each with a next step.
    pub warnings: Vec<String>,
    /// How this process was called.
    #[serde(default)]
    pub called: Called,
    /// Its resident memory in bytes; `None` where the system does not say, or a version of before.
    #[serde(default)]
    pub memory: Option<u64>,
    /// For how long it folds repeats of an event into the first, at most.
    #[serde(default)]
    pub dedup_window_secs: u64,
}

/// How a process was called, so that the commands that it names do what it needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Called {
    /// The flags that tell `barrelman rbac` what is watched; begins with a space.
    pub scope: String,
    /// The flag that leads kubectl to the same clusters; begins with a space.
    pub kubeconfig: String,
    /// Contexts were named.
    pub contexts: bool,
}

impl Called {
    /// How to give a missing right to whom the server knows us as.
    pub fn grant(&self, user: Option<&str>, context: &str) -> String {
        let mut rbac = format!("barrelman rbac{}", self.scope);
        let mut kubectl = "kubectl".to_owned();
        match user.and_then(|u| u.strip_prefix("system:serviceaccount:")).and_then(|u| u.split_once(':')) {
            Some((namespace, name)) => {
                rbac.extend([
                    " --account ",
                    &shell_word(name),
                    " --install-namespace ",
                    &shell_word(namespace),
                ]);
            }
            None if user.is_some() => {
                let user = user.unwrap_or_default();
                return format!("grant that to {user}; {rbac} prints all of it, for a ServiceAccount");
            }
            // It may be an administrator's; that of a ServiceAccount is not.
            None => {
                kubectl.push_str(&self.kubeconfig);
                if self.contexts {
                    kubectl.extend([" --context ", &shell_word(context)]);
                }
            }
        }
        format!("as somebody who may: {rbac} | {kubectl} apply -f -")
    }
}

/// One cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ClusterStatus {
    /// The configured name.
    pub name: String,
    /// The kubeconfig context; empty in a cluster.
    pub context: String,
    /// The API server's URL.
    pub server: String,
    /// The server's version, once known.
    pub version: String,
    /// The cluster's uid, once known.
    pub uid: String,
    /// Connecting, live, or away since when and why.
    pub state: ClusterState,
    /// As whom the server knows us, if it says so.
    #[serde(default)]
    pub user: Option<String>,
    /// Requests to the API server since the start, watches and lists included.
    pub requests: u64,
    /// How many seconds the server's clock is ahead of ours; negative where it is behind, zero where it is not worth a
    /// word.
    #[serde(default)]
    pub clock_ahead_secs: i64,
    /// Objects held.
    pub objects: u64,
    /// A line per stream.
    pub streams: Vec<StreamStatus>,
    /// Kinds that are watched only where that is permitted: they are not missed where it is not.
    #[serde(default)]
    pub optional: Vec<Kind>,
}

/// What there is to say of a server's clock that is so many seconds ahead of ours, with words for a span of seconds.
pub fn clock_ahead(secs: i64, span: impl Fn(i64) -> String) -> Option<String> {
    let way = if secs > 0 { "ahead of" } else { "behind" };
    (secs != 0).then(|| format!("the API server's clock is {} {way} ours", span(secs.saturating_abs())))
}

impl ClusterStatus {
    /// It was found away, and most of what is to be watched has been heard since: how many streams of how many are
    /// lost. A watch that nobody has cut yet is no sign, nor is one that was heard a while ago.
    pub fn coming_back(&self, now: Timestamp) -> Option<(usize, usize)> {
        let ClusterState::Away { since, .. } = self.state else { return None };
        let shut = |s: &&StreamStatus| matches!(s.state, StreamState::Forbidden { .. } | StreamState::Absent);
        let wanted = self.streams.iter().filter(|s| !shut(s)).count();
        let live = self.streams.iter().filter(|s| s.state == StreamState::Live);
        let heard: Vec<Timestamp> = live.filter_map(|s| s.last_activity).filter(|at| *at > since).collect();
        let lately = heard.iter().any(|at| now.duration_since(*at) <= HEARD_LATELY);
        (lately && heard.len() * 2 > wanted).then_some((wanted - heard.len(), wanted))
    }
}

/// How a cluster's API is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum ClusterState {
    /// Not reached yet.
    #[default]
    Connecting,
    /// It answers.
    Live,
    /// It does not.
    Away {
        /// Since when.
        since: Timestamp,
        /// In words, with a next step.
        why: String,
        /// When it is tried again.
        retry_at: Option<Timestamp>,
    },
}

/// One watch: a kind in a namespace (or in all).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamStatus {
    /// The kind.
    pub kind: Kind,
    /// Empty = all namespaces.
    pub namespace: String,
    /// What it is doing.
    pub state: StreamState,
    /// The last time the server said anything on it (bookmarks count).
    pub last_activity: Option<Timestamp>,
    /// Objects seen so far by the list under way, and how many the server expects (0 = it did not say).
    pub synced: (u64, u64),
    /// Objects that could not be decoded, since the start.
    pub undecodable: u64,
    /// Times it was listed again.
    pub relists: u64,
    /// The last error, in words.
    pub last_error: String,
}

/// What a stream is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum StreamState {
    /// The first list is under way.
    Syncing,
    /// Listed, and watching.
    Live,
    /// Lost; tried again at `retry_at`.
    Retrying {
        /// When.
        retry_at: Timestamp,
    },
    /// The right is missing; tried again slowly.
    Forbidden {
        /// The rule that is missing, as it would stand in a Role: `list,watch pods in namespace prod`.
        missing: String,
    },
    /// The server does not have the kind.
    Absent,
}

/// One connector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ConnectorStatus {
    /// Its name.
    pub name: String,
    /// slack, webhook, …
    pub kind: String,
    /// file, environment or store.
    pub origin: String,
    /// Switched on.
    pub enabled: bool,
    /// on, off, paused, incomplete; `not used`: it would be on, but nothing is sent (`watch_only`)
    pub state: String,
    /// Why it is not on, and what to do.
    pub why: String,
    /// Rows waiting.
    pub queued: u64,
    /// On the wire, or answered and not written down yet.
    pub in_flight: u64,
    /// When the oldest waiting row was made.
    pub oldest: Option<Timestamp>,
    /// Delivered since the start.
    pub delivered: u64,
    /// Attempts that failed since the start.
    pub failed: u64,
    /// The same by reason, and what was given up without an attempt.
    #[serde(default)]
    pub failures: BTreeMap<String, u64>,
    /// Rows that this version cannot read: they stay where they are, and hold nothing up.
    #[serde(default)]
    pub unreadable: u64,
    /// Dead letters in the store.
    pub dead: u64,
    /// The newest delivery.
    pub last_delivered: Option<Timestamp>,
    /// The newest failure's time and reason.
    pub last_error: Option<(Timestamp, String)>,
    /// The destination asked for silence until then.
    pub paused_until: Option<Timestamp>,
    /// A destination that fails is tried again then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<Timestamp>,
}

impl ConnectorStatus {
    /// It is on, and the newest attempt whose answer is known failed.
    pub fn fails(&self) -> bool {
        self.state == "on" && self.last_error.as_ref().map(|(at, _)| *at) > self.last_delivered
    }
}

/// The database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct StoreStatus {
    /// Its file.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Rows per table.
    pub rows: BTreeMap<String, u64>,
    /// The oldest event kept.
    pub oldest_event: Option<Timestamp>,
    /// Evicted since the file was made, by table.
    pub evicted: BTreeMap<String, u64>,
    /// Commits since the start.
    pub commits: u64,
    /// The last commit.
    pub last_commit: Option<Timestamp>,
    /// Why commits fail now, if they do.
    pub error: Option<String>,
    /// The outbox is at its cap: reading has stopped.
    pub full: bool,
}

/// Counters of the pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct PipelineStatus {
    /// Changes taken.
    pub changes: u64,
    /// Events stored.
    pub events: u64,
    /// Events folded into earlier ones.
    pub folded: u64,
    /// Notifications routed.
    pub routed: u64,
    /// Incidents open now.
    pub open_incidents: u64,
    /// Rules that panicked or drafts that were refused: faults of ours.
    pub faults: u64,
    /// Events per second, over the last 10 s.
    pub rate: f64,
}
