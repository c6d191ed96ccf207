//! One cluster: connects, identifies it, keeps its streams as the scope wants them, and knows whether its API is
//! there.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use jiff::SignedDuration;
use tokio::{sync::Notify, time::Instant};

use super::{
    Again, Shared,
    api::Api,
    backoff::Backoff,
    connect::{self, Access, Place, Target},
    cx::{Cx, Namespaces},
    diagnose,
    discovery::{self, Version},
    error::{Error, Fault, Result},
    probe::{PROBES, Probe, ready},
    projection::Decoder,
    refusal::Server,
    resources::Resource,
    scope::Scope,
    streams::{LINGER, Streams},
};
use crate::{
    event::{ClusterUid, Kind},
    object::Said,
    status::ClusterState,
};

/// Credentials of a plugin are renewed so long before their end, and tried again after as long as this.
const RENEW_BEFORE: Duration = Duration::from_mins(1);
const RENEW_AGAIN: Duration = Duration::from_secs(30);

/// How long the question may take, as whom the server knows us.
const WHO_WITHIN: Duration = Duration::from_secs(2);
/// The clocks have moved against each other, and not only the measure of it.
const CLOCK_MOVED: SignedDuration = SignedDuration::from_secs(3);

/// The supervisor of one cluster.
pub(super) struct Cluster {
    index: usize,
    shared: Rc<Shared>,
    target: Target,
    uid: Option<ClusterUid>,
    server: String,
    version: String,
    /// Where it was reached.
    place: Option<Place>,
    /// Somebody wants it to be looked for again, now.
    again: Again,
    state: ClusterState,
    /// Another context watches it.
    twice: bool,
    /// How far its clock is ahead of ours, as was told.
    ahead: SignedDuration,
}

impl Cluster {
    /// The supervisor of a configured cluster.
    pub(super) fn new(index: usize, shared: Rc<Shared>, target: Target) -> Self {
        // The first of several contexts speaks for their cluster.
        let known = |target: &Target| shared.known_uids.get(&target.context);
        let of_another = |uid: &&ClusterUid| shared.targets.iter().take(index).any(|t| known(t) == Some(uid));
        let uid = known(&target).filter(|uid| !of_another(uid)).cloned();
        let (server, version) = shared.board.known(index);
        let again = shared.again.clone();
        let state = ClusterState::Connecting;
        Self {
            index,
            shared,
            target,
            uid,
            server,
            version,
            place: None,
            again,
            state,
            twice: false,
            ahead: SignedDuration::ZERO,
        }
    }

    /// Runs until it is dropped. Ends by itself only when a stream panicked.
    pub(super) async fn run(mut self) -> Died {
        // A cluster that is stored is known before it is reached: its absence can be told.
        self.introduce().await;
        loop {
            let cx = self.reach().await;
            if let Some(died) = self.supervise(cx).await {
                return died;
            }
            tracing::info!(cluster = %self.target.name, "its configuration leads elsewhere now: connecting anew");
            if self.state == ClusterState::Live {
                self.set_state(ClusterState::Connecting).await;
            }
        }
    }

    /// Connects, however long that takes.
    async fn reach(&mut self) -> Rc<Cx> {
        let mut backoff = Backoff::default();
        let cx = loop {
            let begun = self.begin().await;
            self.shared
                .asked
                .send_modify(|asked| asked.iter_mut().skip(self.index).take(1).for_each(|a| *a = true));
            match begun {
                Ok(cx) => {
                    // Reached in the end, it may have only just started.
                    let back = matches!(self.state, ClusterState::Away { .. }).then(Instant::now);
                    cx.server.set(Server { back, ..Server::default() });
                    // Whether a first refusal is to be believed. What is amiss is found by the streams.
                    let _ = ready(&cx).await;
                    self.ask_who(&cx).await;
                    break cx;
                }
                Err(error) => {
                    let wait = backoff.next(error.retry_after, rand::random());
                    self.away(&error, wait).await;
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        Ok(()) = self.again.changed() => backoff.reset(),
                    }
                }
            }
        };
        self.introduce().await;
        self.say(Said::Live(self.unreached())).await;
        self.ahead = SignedDuration::ZERO;
        self.compare_clocks(&cx).await;
        self.set_state(ClusterState::Live).await;
        cx
    }

    /// Until the configuration leads elsewhere, or a stream panicked.
    async fn supervise(&mut self, cx: Rc<Cx>) -> Option<Died> {
        let mut streams = Streams::new(Rc::clone(&cx));
        streams.reconcile().await;
        let mut probe = Probe::default();
        let mut look_again =
            tokio::time::interval(self.shared.watch.poll_interval.max(Duration::from_secs(1)));
        look_again.tick().await;
        let mut tidy = tokio::time::interval(LINGER / 2);
        loop {
            tokio::select! {
                Some(ended) = streams.tasks.join_next() => {
                    if let Err(error) = ended && error.is_panic() {
                        return Some(Died(format!("a watch of {}: {error}", self.target.name)));
                    }
                }
                () = cx.namespaces.changed.notified() => streams.reconcile().await,
                _ = tidy.tick() => streams.tidy().await,
                _ = look_again.tick() => {
                    self.compare_clocks(&cx).await;
                    streams.rediscover().await;
                }
                () = probe.wait(&cx) => if self.probe(&cx, &mut probe).await { break },
                () = at(cx.renew_at.get()) => if self.renew(&cx).await { break },
                Ok(()) = self.again.changed() => if self.look_again(&cx, &mut probe).await { break },
            }
        }
        streams.leave();
        None
    }

    /// Connects and identifies the cluster.
    async fn begin(&mut self) -> Result<Rc<Cx>> {
        let mut access = connect::connect(&self.shared.clusters, &self.target).await?;
        self.server.clone_from(&access.server);
        self.place = Some(access.place.clone());
        let api = Api::new(
            access.client.clone(),
            std::mem::take(&mut access.hidden),
            self.shared.board.requests(self.index),
            self.shared.clock,
        );
        let now = self.shared.now();
        let told = |e| connect::explain(e, &access, now);
        let Version { git, minor } = discovery::version(&api).await.map_err(told)?;
        let uid = self.identify(&api, &access).await.map_err(told)?;
        self.shared.those_before(self.index, &uid).await;
        self.claim(&uid)?;
        let mut kinds = self.shared.watch.kinds.clone();
        let scope = Scope::new(&self.shared.watch.namespaces);
        if !scope.globs().is_empty() {
            kinds.insert(Kind::Namespace);
        }
        let resources = discovery::resources(&api, &kinds).await.map_err(told)?;
        if let Some(old) = self.uid.replace(uid.clone()).filter(|old| *old != uid) {
            self.replaced(old).await;
        }
        self.version.clone_from(&git);
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
            stored: self.shared.stored.clone(),
            streaming: Cell::new(Version { git, minor }.may_stream_lists()),
            heard: Cell::new(Instant::now()),
            trouble: RefCell::new(None),
            troubled: Notify::new(),
            server: Cell::default(),
            back: Notify::new(),
            resources: RefCell::new(resources),
            namespaces: Namespaces::default(),
            renew_at: Cell::new(self.renewal(&access)),
        };
        let cx = Rc::new(cx);
        self.shared.live.borrow_mut().insert(cx.uid.clone(), Rc::clone(&cx));
        Ok(cx)
    }

    /// The cluster's uid: that of kube-system, else the one that is stored for the context, else a hash. A stored hash
    /// stays while it fits, so that a right that comes later does not make it another cluster; a stored uid does not,
    /// where kube-system has another: the context leads to another cluster now.
    async fn identify(&self, api: &Api, access: &Access) -> Result<ClusterUid> {
        let hash = ClusterUid::from_server(&access.server, &access.ca);
        if self.uid.as_ref() == Some(&hash) {
            return Ok(hash);
        }
        match api.get(&Resource::newest(Kind::Namespace).object_path("", "kube-system")).await {
            Ok(json) => {
                let shape = Resource::newest(Kind::Namespace).shape;
                let namespace = Decoder::new([0; 32]).object(Kind::Namespace, shape, &json);
                let namespace = namespace.map_err(|e| {
                    Error::new(Fault::Nonsense, format!("the namespace kube-system cannot be read: {e}"))
                })?;
                Ok(ClusterUid::from(namespace.meta.uid.as_str()))
            }
            Err(e) if matches!(e.fault, Fault::Forbidden | Fault::NotFound) => {
                if let Some(stored) = &self.uid {
                    return Ok(stored.clone());
                }
                tracing::info!(
                    cluster = %self.target.name,
                    "the namespace kube-system may not be read: the cluster is known by its address and CA instead"
                );
                Ok(hash)
            }
            Err(e) => Err(e),
        }
    }

    /// The context leads to another cluster than before: what is stored of the old one is out of scope, which is no
    /// end of anything.
    async fn replaced(&self, old: ClusterUid) {
        tracing::warn!(cluster = %self.target.name, "this is another cluster than before: it begins anew");
        self.shared.owners.borrow_mut().remove(&old);
        self.shared.live.borrow_mut().remove(&old);
        self.say(Said::Live(old.clone())).await;
        self.say(Said::Scope { cluster: old, streams: Vec::new() }).await;
    }

    /// Two contexts may lead to one cluster: it is watched once.
    fn claim(&self, uid: &ClusterUid) -> Result<()> {
        let mut owners = self.shared.owners.borrow_mut();
        let owner = owners.entry(uid.clone()).or_insert(self.index);
        if *owner == self.index {
            return Ok(());
        }
        let other = self.shared.targets.get(*owner).map(|t| t.name.clone()).unwrap_or_default();
        Err(Error::new(
            Fault::Twice,
            format!("{} is the same cluster as {other}, which is watched", self.target.name),
        ))
    }

    /// Asks the server whether it is there, and draws the conclusions. Answers whether it is to be found elsewhere.
    async fn probe(&mut self, cx: &Cx, probe: &mut Probe) -> bool {
        let suspect = cx.trouble.take();
        let refused =
            suspect.as_ref().is_some_and(|e| matches!(e.fault, Fault::Unauthorized | Fault::Expired));
        if refused && self.renew(cx).await {
            return true;
        }
        match ready(cx).await {
            Ok(()) => {
                let was_away = self.state != ClusterState::Live;
                probe.failed(0);
                cx.heard.set(Instant::now());
                self.compare_clocks(cx).await;
                self.set_state(ClusterState::Live).await;
                if was_away {
                    cx.back.notify_waiters();
                }
            }
            Err(error) => {
                probe.failed(probe.failures + 1);
                if self.has_moved().await || (error.fault == Fault::Unauthorized && self.renew(cx).await) {
                    return true;
                }
                if probe.failures >= PROBES {
                    let error = suspect.filter(|s| s.fault == Fault::Expired).unwrap_or(error);
                    self.away(&error, probe.pause()).await;
                }
            }
        }
        false
    }

    /// Whether the files lead to another server by now, or to the same in another way: a local cluster that was started
    /// again has another port, and a new CA may be what was missing.
    async fn has_moved(&self) -> bool {
        let place = connect::place(&self.shared.clusters, &self.target).await;
        place.is_ok_and(|place| self.place.as_ref() != Some(&place))
    }

    /// Somebody asked for it: whatever may have changed is read, and a server that was away is asked at once.
    async fn look_again(&mut self, cx: &Cx, probe: &mut Probe) -> bool {
        if self.state == ClusterState::Live {
            return self.has_moved().await;
        }
        self.renew(cx).await || self.probe(cx, probe).await
    }

    /// Reads the credentials anew: a login or a rotated token is found without a restart. Answers whether they are for
    /// another place: streams must not go on there as if nothing were, it may be another cluster.
    async fn renew(&self, cx: &Cx) -> bool {
        if self.has_moved().await {
            return true;
        }
        match connect::connect(&self.shared.clusters, &self.target).await {
            Ok(access) => {
                cx.renew_at.set(self.renewal(&access));
                cx.api.replace(access.client, access.hidden);
            }
            Err(error) => {
                if cx.renew_at.get().is_some() {
                    cx.renew_at.set(Some(Instant::now() + RENEW_AGAIN));
                }
                tracing::debug!(cluster = %self.target.name, %error, "no new credentials");
            }
        }
        false
    }

    /// As whom the server knows us: nothing depends on it but what is said of missing rights.
    async fn ask_who(&self, cx: &Cx) {
        let user = tokio::time::timeout(WHO_WITHIN, diagnose::user(&cx.api)).await.ok().flatten();
        self.shared.board.cluster(self.index, |status| status.user = user);
    }

    /// Tells how far the server's clock is from ours, where that has changed.
    async fn compare_clocks(&mut self, cx: &Cx) {
        let ahead = cx.api.ahead();
        if (ahead - self.ahead).abs() < CLOCK_MOVED {
            return;
        }
        self.ahead = ahead;
        let secs = ahead.as_secs();
        self.shared.board.cluster(self.index, |status| status.clock_ahead_secs = secs);
        let cluster = &self.target.name;
        if secs == 0 {
            tracing::info!(%cluster, "its clock and ours agree again");
        } else {
            tracing::warn!(
                %cluster,
                secs,
                "the API server's clock is not ours: its times are read as ours; have both follow NTP"
            );
        }
        self.say(Said::Clock { cluster: cx.uid.clone(), ahead }).await;
    }

    /// When a plugin has to run again: a minute before the end of what it gave.
    fn renewal(&self, access: &Access) -> Option<Instant> {
        let end = access.expires_at.filter(|_| access.of_plugin)?;
        let left = Duration::try_from(end.duration_since(self.shared.now())).unwrap_or_default();
        Some(Instant::now() + left.saturating_sub(RENEW_BEFORE).max(RENEW_AGAIN))
    }

    async fn away(&mut self, error: &Error, wait: Duration) {
        let now = self.shared.now();
        let since = match self.state {
            ClusterState::Away { since, .. } => since,
            // The watches may have been begun anew during the outage.
            _ => self.shared.board.away_since(self.index).unwrap_or(now),
        };
        let why = error.to_string();
        self.twice = error.fault == Fault::Twice;
        self.set_state(ClusterState::Away { since, why, retry_at: Some(now + wait) }).await;
    }

    async fn set_state(&mut self, state: ClusterState) {
        let told = same_news(&self.state, &state);
        self.state = state;
        self.show();
        if !told {
            self.tell().await;
        }
    }

    fn show(&self) {
        self.shared.board.cluster(self.index, |status| {
            status.state = self.state.clone();
            status.server.clone_from(&self.server);
            status.version.clone_from(&self.version);
            status.uid = self.uid.as_ref().map(ToString::to_string).unwrap_or_default();
        });
    }

    async fn introduce(&self) {
        let Some(uid) = self.uid.clone() else { return };
        let (name, context) = (self.target.name.as_str().into(), self.target.context.as_str().into());
        self.say(Said::Cluster { uid, name, context }).await;
    }

    async fn tell(&self) {
        let name = &self.target.name;
        let said = match (&self.state, self.uid.clone()) {
            (ClusterState::Live, Some(uid)) => {
                tracing::info!(cluster = %name, version = %self.version, "live");
                Said::Live(uid)
            }
            (ClusterState::Away { since, why, .. }, uid) => {
                tracing::warn!(cluster = %name, %why, "away");
                let watched = |uid: &ClusterUid| {
                    self.shared.owners.borrow().get(uid).is_some_and(|owner| *owner != self.index)
                };
                let (since, why) = (*since, why.clone());
                match uid {
                    // What another context watches is not away.
                    _ if self.twice => Said::Live(self.unreached()),
                    Some(uid) if watched(&uid) => return,
                    Some(cluster) => Said::Away { cluster, since, why },
                    None => {
                        let (cluster, name) = (self.unreached(), name.as_str().into());
                        Said::Unreached { cluster, name, since, why }
                    }
                }
            }
            _ => return,
        };
        self.say(said).await;
    }

    /// Who it is as long as it has not said so itself.
    fn unreached(&self) -> ClusterUid {
        ClusterUid::unreached(&self.target.context, &self.target.name)
    }

    async fn say(&self, said: Said) {
        let _ = self.shared.out.send(vec![said]).await;
    }
}

/// At that time, or never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Whether a state is no news: only the time of the next try differs.
fn same_news(a: &ClusterState, b: &ClusterState) -> bool {
    match (a, b) {
        (ClusterState::Away { why: a, .. }, ClusterState::Away { why: b, .. }) => a == b,
        (a, b) => a == b,
    }
}

/// A task ended that never should.
#[derive(Debug)]
pub(super) struct Died(pub(super) String);
