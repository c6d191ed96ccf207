//! Everything between the API server and compact records.
//!
//! Owns connections, lists, watches, decoding and what they need: kubeconfig, discovery, rights. Called by `app`,
//! which runs `run` on a thread of its own, and by `cli` for `check` and `rbac`. Only this module speaks to `kube`.
//! It must never decide what a change means, keep objects, or write to a cluster.

mod api;
mod ask;
mod backoff;
mod board;
mod cluster;
mod connect;
mod cx;
mod diagnose;
mod discovery;
mod error;
mod events;
mod follow;
mod hidden;
mod lines;
mod list;
mod plugin;
mod probe;
mod projection;
mod refusal;
mod resources;
mod rights;
mod scope;
mod stream;
mod streams;

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use futures::future::join_all;
use jiff::Timestamp;
use tokio::{
    sync::mpsc,
    task::{JoinSet, LocalSet},
};
use tokio_util::sync::CancellationToken;

pub use ask::{Handle, Questions, handle};
pub use board::Board;
pub use connect::hopeless;
pub use diagnose::{Diagnosis, diagnose};
pub use error::{Error, Fault};
pub use rights::{Account, Extras, Gap, Rule, gaps, manifest as rbac, needed as rights, optional};
pub use scope::is_glob;

use crate::{
    config::{ClusterSettings, WatchSettings},
    event::ClusterUid,
    object::{ObjectKey, Said, Str, StreamId},
    status::ClusterStatus,
};

/// What goes over the channel at once: what one read from the network held.
pub type Batch = Vec<Said>;

/// The clock; only `app` reads a real one.
pub type Clock = fn() -> Timestamp;

/// Capacity of the channel to the engine, in batches of at most 256 messages: enough to keep both sides busy, small
/// enough that a slow engine stops the reading before it costs memory.
pub const CHANNEL: usize = 16;

/// Place and uid of each object that the store has in a stream's scope. Asked once per stream, under a selector: what
/// is missing from the first list may have left the selector, which is no deletion. And of a stream that is refused
/// before it was ever live: where something is stored, the right was there.
pub type Stored = Arc<dyn Fn(&StreamId) -> Vec<(ObjectKey, Str)> + Send + Sync>;

/// What to watch, and as whom.
#[derive(Clone)]
pub struct Options {
    /// Which clusters.
    pub clusters: ClusterSettings,
    /// What in them.
    pub watch: WatchSettings,
    /// The store's random key for hashes of values.
    pub hash_key: [u8; 32],
    /// Uids that are stored, by kubeconfig context (empty in a cluster); they win over what is read.
    pub known_uids: BTreeMap<String, ClusterUid>,
    /// The clock.
    pub clock: Clock,
    /// What the store has of a stream's scope. `None`: nothing is known of the time before this run.
    pub stored: Option<Stored>,
}

/// The ends of the channels.
#[derive(Debug)]
pub struct Links {
    /// To the engine.
    pub out: mpsc::Sender<Batch>,
    /// For screen, health and metrics.
    pub board: Board,
    /// Questions about single objects.
    pub questions: Questions,
    /// Ends everything.
    pub cancel: CancellationToken,
}

/// For each configured cluster, whether it was asked who it is.
type AskedSender = tokio::sync::watch::Sender<Vec<bool>>;

/// Tells that the clusters are to be looked for again.
type Again = tokio::sync::watch::Receiver<()>;

/// What the clusters of one run share.
struct Shared {
    clusters: ClusterSettings,
    watch: Rc<WatchSettings>,
    hash_key: [u8; 32],
    known_uids: BTreeMap<String, ClusterUid>,
    clock: Clock,
    stored: Option<Stored>,
    out: mpsc::Sender<Batch>,
    board: Board,
    targets: Vec<connect::Target>,
    /// Their servers, as far as the kubeconfig names them.
    addresses: Vec<Option<String>>,
    /// Which configured cluster has a uid.
    owners: RefCell<HashMap<ClusterUid, usize>>,
    /// Whatever came of it.
    asked: AskedSender,
    /// From whoever has the handle.
    again: Again,
    /// Clusters that were identified.
    live: RefCell<HashMap<ClusterUid, Rc<cx::Cx>>>,
}

impl Shared {
    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Of several contexts of one cluster the first watches it, in every run: it goes by that one's name. Waits until
    /// all that are listed before were asked, and may be this one: they have its server's address, or were it before.
    async fn those_before(&self, index: usize, uid: &ClusterUid) {
        let own = self.addresses.get(index).cloned().flatten();
        let may_be = |i: usize| {
            let is_known = self.targets.get(i).is_some_and(|t| self.known_uids.get(&t.context) == Some(uid));
            is_known || (own.is_some() && self.addresses.get(i).cloned().flatten() == own)
        };
        let others: Vec<usize> = (0..index).filter(|i| may_be(*i)).collect();
        let mut asked = self.asked.subscribe();
        let all = asked.wait_for(|asked| others.iter().all(|i| asked.get(*i).is_none_or(|asked| *asked)));
        // One that does not answer at all keeps nobody.
        let _ = tokio::time::timeout(BEFORE, all).await;
    }
}

/// So long a cluster waits for those that are listed before it and may be the same.
const BEFORE: Duration = Duration::from_secs(5);

/// Why a run ended otherwise than by its token.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No runtime could be made.
    #[error("the runtime of the watches cannot be made: {0}")]
    Runtime(#[source] std::io::Error),
    /// A task panicked.
    #[error("{0}")]
    Died(String),
}

/// One object of the newest API version, read as the streams read it: for tests and benches.
///
/// # Errors
/// What is no JSON, or has no name.
pub fn decode(
    kind: crate::event::Kind,
    json: &[u8],
    hash_key: [u8; 32],
) -> serde_json::Result<crate::object::Object> {
    projection::Decoder::new(hash_key).object(kind, resources::Shape::Usual, json)
}

/// Watches until the token is cancelled. Blocks: to be called on a thread of its own, because hops between threads
/// cost more than decoding. Unreachable clusters are tried for ever.
///
/// # Errors
/// A task panicked, or there is no runtime.
pub fn run(options: Options, links: Links) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(RunError::Runtime)?;
    let outcome = LocalSet::new().block_on(&runtime, serve(options, links));
    // A credential plugin that hangs must not keep us.
    runtime.shutdown_background();
    outcome
}

/// `run`, on a `LocalSet` that is there already.
///
/// # Errors
/// A task panicked.
pub async fn serve(options: Options, links: Links) -> Result<(), RunError> {
    let targets = connect::targets(&options.clusters);
    let statuses = targets.iter().map(|t| ClusterStatus {
        name: t.name.clone(),
        context: t.context.clone(),
        optional: rights::optional(&options.watch).into_iter().collect(),
        ..ClusterStatus::default()
    });
    links.board.reset(statuses.collect());
    let addresses = join_all(targets.iter().map(|t| connect::address(&options.clusters, t))).await;
    let shared = Rc::new(Shared {
        addresses,
        clusters: options.clusters,
        watch: Rc::new(options.watch),
        hash_key: options.hash_key,
        known_uids: options.known_uids,
        clock: options.clock,
        stored: options.stored,
        out: links.out,
        board: links.board,
        targets: targets.clone(),
        owners: RefCell::default(),
        asked: AskedSender::new(vec![false; targets.len()]),
        again: links.questions.again(),
        live: RefCell::default(),
    });
    let mut tasks = JoinSet::new();
    for (index, target) in targets.into_iter().enumerate() {
        tasks.spawn_local(cluster::Cluster::new(index, Rc::clone(&shared), target).run());
    }
    tokio::select! {
        () = links.cancel.cancelled() => Ok(()),
        () = links.questions.answer(Rc::clone(&shared)) => Ok(()),
        Some(ended) = tasks.join_next() => Err(RunError::Died(match ended {
            Ok(cluster::Died(cause)) => cause,
            Err(error) => format!("the supervisor of a cluster: {error}"),
        })),
    }
}
