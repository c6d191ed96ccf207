//! One cluster: connects, identifies it, keeps its streams as the scope wants them, and knows whether its API is
//! there.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::Notify,
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use super::{
    Shared,
    api::Api,
    backoff::Backoff,
    connect::{self, Access, Target},
    cx::{Cx, Namespaces},
    discovery::{self, Version},
    error::{Error, Fault, Result},
    message::{ClusterNews, Message, StreamId},
    projection::Decoder,
    resources::{Resource, is_selected},
    scope::Scope,
    stream::Stream,
};
use crate::{
    event::{ClusterUid, Kind},
    object::Str,
    status::{ClusterState, StreamState, StreamStatus},
};

/// With no word from the server for this long, it is asked whether it is ready.
const PROBE_AFTER: Duration = Duration::from_secs(10);
/// How long it may take to answer.
const PROBE_WITHIN: Duration = Duration::from_secs(5);
/// Failed probes in a row that make the API away.
const PROBES: u32 = 2;
/// The pause between failed probes, while they are few.
const PROBE_AGAIN: Duration = Duration::from_secs(2);
/// A deleted namespace's streams may still have deletions to tell.
const LINGER: Duration = Duration::from_secs(30);

/// The supervisor of one cluster.
pub(super) struct Cluster {
    index: usize,
    shared: Rc<Shared>,
    target: Target,
    news: ClusterNews,
}

/// A running stream.
struct Running {
    id: Arc<StreamId>,
    abort: AbortHandle,
    /// Its namespace is gone since then.
    gone: Option<Instant>,
}

impl Cluster {
    /// The supervisor of a configured cluster.
    pub(super) fn new(index: usize, shared: Rc<Shared>, target: Target) -> Self {
        let uid = shared.known_uids.get(&target.context).map(|uid| Arc::from(uid.as_str()));
        let news = ClusterNews {
            name: target.name.clone(),
            context: target.context.clone(),
            uid,
            server: String::new(),
            version: String::new(),
            state: ClusterState::Connecting,
        };
        Self { index, shared, target, news }
    }

    /// Runs until it is dropped. Ends by itself only when a stream panicked.
    pub(super) async fn run(mut self) -> Died {
        self.tell().await;
        let mut backoff = Backoff::default();
        let (cx, resources) = loop {
            match self.begin().await {
                Ok(begun) => break begun,
                Err(error) => {
                    let wait = backoff.next(error.retry_after, rand::random());
                    self.away(&error, wait).await;
                    tokio::time::sleep(wait).await;
                }
            }
        };
        self.set_state(ClusterState::Live).await;
        self.supervise(cx, resources).await
    }

    async fn supervise(mut self, cx: Rc<Cx>, resources: BTreeMap<Kind, Resource>) -> Died {
        let mut streams = Streams { cx: Rc::clone(&cx), resources, running: BTreeMap::new(), tasks: JoinSet::new() };
        streams.reconcile().await;
        let mut probe = Probe::default();
        let mut look_again = tokio::time::interval(self.shared.watch.poll_interval.max(Duration::from_secs(1)));
        look_again.tick().await;
        let mut tidy = tokio::time::interval(LINGER / 2);
        loop {
            tokio::select! {
                Some(ended) = streams.tasks.join_next() => {
                    if let Err(error) = ended && error.is_panic() {
                        return Died(format!("a watch of {}: {error}", self.target.name));
                    }
                }
                () = cx.namespaces.changed.notified() => streams.reconcile().await,
                _ = tidy.tick() => streams.tidy().await,
                _ = look_again.tick() => streams.rediscover().await,
                () = probe.wait(&cx) => self.probe(&cx, &mut probe).await,
            }
        }
    }

    /// Connects and identifies the cluster.
    async fn begin(&mut self) -> Result<(Rc<Cx>, BTreeMap<Kind, Resource>)> {
        let access = connect::connect(&self.shared.clusters, &self.target).await?;
        self.news.server.clone_from(&access.server);
        let api = Api::new(access.client.clone(), self.shared.board.requests(self.index));
        let now = self.shared.now();
        let told = |e| connect::explain(e, &access, now);
        let Version { git, minor } = discovery::version(&api).await.map_err(told)?;
        let uid = self.identify(&api, &access).await.map_err(told)?;
        self.claim(&uid)?;
        let mut kinds = self.shared.watch.kinds.clone();
        let scope = Scope::new(&self.shared.watch.namespaces);
        if !scope.globs().is_empty() {
            kinds.insert(Kind::Namespace);
        }
        let resources = discovery::resources(&api, &kinds).await.map_err(told)?;
        self.news.uid = Some(Arc::clone(&uid));
        self.news.version.clone_from(&git);
        let cx = Cx {
            index: self.index,
            uid,
            api,
            settings: Rc::clone(&self.shared.watch),
            scope,
            decoder: Decoder::new(self.shared.hash_key),
            out: self.shared.out.clone(),
            board: self.shared.board.clone(),
            clock: self.shared.clock,
            streaming: Cell::new(Version { git, minor }.may_stream_lists()),
            heard: Cell::new(Instant::now()),
            trouble: RefCell::new(None),
            troubled: Notify::new(),
            back: Notify::new(),
            namespaces: Namespaces::default(),
        };
        let cx = Rc::new(cx);
        self.shared.live.borrow_mut().insert(Arc::clone(&cx.uid), Rc::clone(&cx));
        Ok((cx, resources))
    }

    /// The cluster's uid: the one that is stored for the context, else that of kube-system, else a hash.
    async fn identify(&self, api: &Api, access: &Access) -> Result<Arc<str>> {
        if let Some(uid) = &self.news.uid {
            return Ok(Arc::clone(uid));
        }
        match api.get(&Resource::newest(Kind::Namespace).object_path("", "kube-system")).await {
            Ok(json) => {
                let shape = Resource::newest(Kind::Namespace).shape;
                let namespace = Decoder::new([0; 32]).object(Kind::Namespace, shape, &json);
                let namespace = namespace
                    .map_err(|e| Error::new(Fault::Nonsense, format!("the namespace kube-system cannot be read: {e}")))?;
                Ok(Arc::from(namespace.meta.uid.as_str()))
            }
            Err(e) if matches!(e.fault, Fault::Forbidden | Fault::NotFound) => {
                Ok(Arc::from(ClusterUid::from_server(&access.server, &access.ca).as_str()))
            }
            Err(e) => Err(e),
        }
    }

    /// Two contexts may lead to one cluster: it is watched once.
    fn claim(&self, uid: &Arc<str>) -> Result<()> {
        let mut owners = self.shared.owners.borrow_mut();
        let owner = owners.entry(Arc::clone(uid)).or_insert(self.index);
        if *owner == self.index {
            return Ok(());
        }
        let other = self.shared.names.get(*owner).cloned().unwrap_or_default();
        Err(Error::new(Fault::Twice, format!("{} is the same cluster as {other}, which is watched", self.target.name)))
    }

    /// Asks the server whether it is there, and draws the conclusions.
    async fn probe(&mut self, cx: &Cx, probe: &mut Probe) {
        let suspect = cx.trouble.take();
        if suspect.as_ref().is_some_and(|e| matches!(e.fault, Fault::Unauthorized | Fault::Expired)) {
            self.renew(cx).await;
        }
        match ready(cx).await {
            Ok(()) => {
                let was_away = !matches!(self.news.state, ClusterState::Live);
                probe.failed(0);
                cx.heard.set(Instant::now());
                self.set_state(ClusterState::Live).await;
                if was_away {
                    cx.back.notify_waiters();
                }
            }
            Err(error) => {
                probe.failed(probe.failures + 1);
                if error.fault == Fault::Unauthorized {
                    self.renew(cx).await;
                }
                if probe.failures >= PROBES {
                    let error = suspect.filter(|s| s.fault == Fault::Expired).unwrap_or(error);
                    self.away(&error, probe.pause()).await;
                }
            }
        }
    }

    /// Reads the credentials anew: a login or a rotated token is found without a restart.
    async fn renew(&self, cx: &Cx) {
        match connect::connect(&self.shared.clusters, &self.target).await {
            Ok(access) => cx.api.replace(access.client),
            Err(error) => tracing::debug!(cluster = %self.target.name, %error, "no new credentials"),
        }
    }

    async fn away(&mut self, error: &Error, wait: Duration) {
        let now = self.shared.now();
        let since = match self.news.state {
            ClusterState::Away { since, .. } => since,
            _ => now,
        };
        let why = error.to_string();
        self.set_state(ClusterState::Away { since, why, retry_at: Some(now + wait) }).await;
    }

    async fn set_state(&mut self, state: ClusterState) {
        let told = same_news(&self.news.state, &state);
        self.news.state = state;
        self.show();
        if !told {
            self.tell().await;
        }
    }

    fn show(&self) {
        let news = &self.news;
        self.shared.board.cluster(self.index, |status| {
            status.state = news.state.clone();
            status.server.clone_from(&news.server);
            status.version.clone_from(&news.version);
            status.uid = news.uid.as_deref().unwrap_or_default().to_owned();
        });
    }

    async fn tell(&self) {
        match &self.news.state {
            ClusterState::Live => tracing::info!(cluster = %self.news.name, version = %self.news.version, "live"),
            ClusterState::Away { why, .. } => tracing::warn!(cluster = %self.news.name, %why, "away"),
            ClusterState::Connecting => tracing::debug!(cluster = %self.news.name, "connecting"),
        }
        let _ = self.shared.out.send(vec![Message::Cluster(self.news.clone())]).await;
    }
}

/// Whether a state is no news: only the time of the next try differs.
fn same_news(a: &ClusterState, b: &ClusterState) -> bool {
    match (a, b) {
        (ClusterState::Away { why: a, .. }, ClusterState::Away { why: b, .. }) => a == b,
        (a, b) => a == b,
    }
}

/// `/readyz`. A server that refuses the question is there.
async fn ready(cx: &Cx) -> Result<()> {
    let answer = tokio::time::timeout(PROBE_WITHIN, cx.api.get("/readyz")).await;
    match answer.unwrap_or_else(|_| Err(Error::timed_out("/readyz", PROBE_WITHIN))) {
        Err(e) if matches!(e.fault, Fault::Forbidden | Fault::NotFound | Fault::Throttled) => Ok(()),
        answer => answer.map(drop),
    }
}

/// When to ask next.
#[derive(Default)]
struct Probe {
    failures: u32,
    last: Option<Instant>,
}

impl Probe {
    fn failed(&mut self, failures: u32) {
        self.failures = failures;
        self.last = Some(Instant::now());
    }

    fn pause(&self) -> Duration {
        PROBE_AGAIN.saturating_mul(self.failures.max(1)).min(PROBE_AFTER)
    }

    /// Until the next probe is due: after a failure, after silence, or at once when a stream met trouble.
    async fn wait(&self, cx: &Cx) {
        let earliest = self.last.map(|at| at + PROBE_AGAIN);
        if self.failures > 0 {
            return tokio::time::sleep_until(self.last.unwrap_or_else(Instant::now) + self.pause()).await;
        }
        loop {
            let silent = cx.heard.get().max(self.last.unwrap_or(cx.heard.get())) + PROBE_AFTER;
            tokio::select! {
                () = cx.troubled.notified() => {
                    if let Some(at) = earliest {
                        tokio::time::sleep_until(at).await;
                    }
                    return;
                }
                () = tokio::time::sleep_until(silent) => {
                    if cx.heard.get() + PROBE_AFTER <= Instant::now() {
                        return;
                    }
                }
            }
        }
    }
}

/// A task ended that never should.
#[derive(Debug)]
pub(super) struct Died(pub(super) String);

/// The streams of one cluster.
struct Streams {
    cx: Rc<Cx>,
    resources: BTreeMap<Kind, Resource>,
    running: BTreeMap<(Kind, Str), Running>,
    tasks: JoinSet<()>,
}

impl Streams {
    /// The streams that the scope wants now. `None` of the namespaces: they are not known yet.
    fn wanted(&self) -> Vec<(Kind, Str)> {
        let scope = &self.cx.scope;
        let mut namespaces: Vec<Str> = scope.names().to_vec();
        if !scope.globs().is_empty() {
            let known = self.cx.namespaces.all().unwrap_or_default();
            namespaces.extend(known.into_iter().filter(|n| scope.has(n) && !scope.names().contains(n)));
        }
        let mut wanted = Vec::new();
        for kind in self.resources.keys() {
            if scope.is_all() || !kind.namespaced() {
                wanted.push((*kind, Str::default()));
            } else {
                wanted.extend(namespaces.iter().map(|n| (*kind, n.clone())));
            }
        }
        wanted
    }

    /// Starts what is wanted and not there, and marks what is there and no longer wanted.
    async fn reconcile(&mut self) {
        let wanted = self.wanted();
        let mut changed = false;
        for key in &wanted {
            if let Some(running) = self.running.get_mut(key) {
                running.gone = None;
            } else {
                changed |= self.start(key);
            }
        }
        for (key, running) in &mut self.running {
            if !wanted.contains(key) && running.gone.is_none() {
                running.gone = Some(Instant::now());
            }
        }
        self.show_absent();
        if changed {
            self.tell_scope().await;
        }
    }

    fn start(&mut self, (kind, namespace): &(Kind, Str)) -> bool {
        let Some(resource) = self.resources.get(kind) else { return false };
        let selector = self.cx.settings.selector.as_deref().filter(|_| is_selected(*kind)).map(Str::new);
        let id = Arc::new(StreamId {
            cluster: Arc::clone(&self.cx.uid),
            kind: *kind,
            namespace: namespace.clone(),
            selector,
        });
        let stream = Stream::new(Rc::clone(&self.cx), Arc::clone(&id), *resource);
        let abort = self.tasks.spawn_local(stream.run());
        self.running.insert((*kind, namespace.clone()), Running { id, abort, gone: None });
        true
    }

    /// Ends the streams of namespaces that are gone for a while. Nothing is left in them: an empty list says so.
    async fn tidy(&mut self) {
        let over: Vec<(Kind, Str)> = self.running.iter().filter(|(_, r)| r.gone.is_some_and(|at| at.elapsed() >= LINGER)).map(|(key, _)| key.clone()).collect();
        if over.is_empty() {
            return;
        }
        for key in over {
            let Some(running) = self.running.remove(&key) else { continue };
            running.abort.abort();
            self.cx.board.drop_stream(self.cx.index, key.0, &key.1);
            let (start, end) = (Arc::clone(&running.id), running.id);
            self.cx
                .send(vec![Message::ListStart { stream: start }, Message::ListEnd { stream: end, sweep: true }])
                .await;
        }
        self.tell_scope().await;
    }

    /// Looks for kinds that the server did not have.
    async fn rediscover(&mut self) {
        let mut missing = self.cx.settings.kinds.clone();
        missing.retain(|kind| !self.resources.contains_key(kind));
        if missing.is_empty() {
            return;
        }
        if let Ok(found) = discovery::resources(&self.cx.api, &missing).await {
            self.resources.extend(found);
            self.reconcile().await;
        }
    }

    fn show_absent(&self) {
        for kind in self.cx.settings.kinds.iter().filter(|k| !self.resources.contains_key(k)) {
            self.cx.board.put_stream(self.cx.index, StreamStatus {
                kind: *kind,
                namespace: String::new(),
                state: StreamState::Absent,
                last_activity: None,
                synced: (0, 0),
                undecodable: 0,
                relists: 0,
                last_error: String::new(),
            });
        }
    }

    async fn tell_scope(&self) {
        let told = |id: &&Arc<StreamId>| self.cx.settings.kinds.contains(&id.kind);
        let streams = self.running.values().map(|r| &r.id).filter(told).cloned().collect();
        self.cx.tell(Message::Scope { cluster: Arc::clone(&self.cx.uid), streams }).await;
    }
}
