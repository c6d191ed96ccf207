//! The set of one cluster's streams: started and ended as the scope and the server's kinds want it.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use super::{cx::Cx, discovery, resources::is_selected, stream::Stream};
use crate::{
    event::Kind,
    object::{Said, Str, StreamId},
    status::{StreamState, StreamStatus},
};

/// A deleted namespace's streams may still have deletions to tell.
pub(super) const LINGER: Duration = Duration::from_secs(30);

/// A running stream.
struct Running {
    id: Arc<StreamId>,
    abort: AbortHandle,
    /// Its namespace is gone since then.
    gone: Option<Instant>,
}

/// The streams of one cluster.
pub(super) struct Streams {
    cx: Rc<Cx>,
    running: BTreeMap<(Kind, Str), Running>,
    /// The scope as the engine knows it.
    told: Option<BTreeSet<(Kind, Str)>>,
    /// Ends only when one panics.
    pub(super) tasks: JoinSet<()>,
}

impl Streams {
    /// None yet.
    pub(super) fn new(cx: Rc<Cx>) -> Self {
        Self { cx, running: BTreeMap::new(), told: None, tasks: JoinSet::new() }
    }

    /// The namespaces of the scope; `None` = not known yet. One empty name = all.
    fn namespaces(&self) -> Option<Vec<Str>> {
        let scope = &self.cx.scope;
        if scope.is_all() {
            return Some(vec![Str::default()]);
        }
        let mut namespaces: Vec<Str> = scope.names().to_vec();
        if !scope.globs().is_empty() {
            let known = self.cx.namespaces.all()?;
            namespaces.extend(known.into_iter().filter(|n| scope.has(n) && !scope.names().contains(n)));
        }
        Some(namespaces)
    }

    /// The streams of a kind that the scope wants now.
    fn wanted(&self, kind: Kind) -> Vec<(Kind, Str)> {
        if !kind.namespaced() {
            return vec![(kind, Str::default())];
        }
        // While the namespaces of globs are not known, the named ones are watched.
        let namespaces = self.namespaces().unwrap_or_else(|| self.cx.scope.names().to_vec());
        namespaces.into_iter().map(|namespace| (kind, namespace)).collect()
    }

    /// Starts what is wanted and not there, and marks what is there and no longer wanted.
    pub(super) async fn reconcile(&mut self) {
        let wanted: BTreeSet<(Kind, Str)> =
            self.cx.resources.borrow().keys().flat_map(|k| self.wanted(*k)).collect();
        for key in &wanted {
            if let Some(running) = self.running.get_mut(key) {
                running.gone = None;
            } else {
                self.start(key);
            }
        }
        for (key, running) in &mut self.running {
            if !wanted.contains(key) && running.gone.is_none() {
                running.gone = Some(Instant::now());
            }
        }
        // Those of another connection may have been others.
        let is_absent = |kind: Kind| !self.cx.resources.borrow().contains_key(&kind);
        self.cx.board.keep_streams(self.cx.index, |kind, namespace| {
            self.running.contains_key(&(kind, namespace.into())) || namespace.is_empty() && is_absent(kind)
        });
        self.show_absent();
        self.tell_scope().await;
    }

    fn id(&self, (kind, namespace): &(Kind, Str)) -> StreamId {
        let selector =
            self.cx.settings.selector.as_deref().filter(|_| is_selected(*kind)).unwrap_or_default();
        StreamId {
            cluster: self.cx.uid.clone(),
            kind: *kind,
            namespace: namespace.clone(),
            selector: Str::new(selector),
        }
    }

    fn start(&mut self, key: &(Kind, Str)) {
        let Some(resource) = self.cx.resources.borrow().get(&key.0).copied() else { return };
        let id = Arc::new(self.id(key));
        let stream = Stream::new(Rc::clone(&self.cx), Arc::clone(&id), resource);
        let abort = self.tasks.spawn_local(stream.run());
        self.running.insert(key.clone(), Running { id, abort, gone: None });
    }

    /// Ends the streams of namespaces that are gone for a while. Nothing is left in them: an empty list says so.
    pub(super) async fn tidy(&mut self) {
        let over: Vec<(Kind, Str)> = self
            .running
            .iter()
            .filter(|(_, r)| r.gone.is_some_and(|at| at.elapsed() >= LINGER))
            .map(|(key, _)| key.clone())
            .collect();
        if over.is_empty() {
            return;
        }
        for key in over {
            let Some(running) = self.running.remove(&key) else { continue };
            running.abort.abort();
            self.cx.board.drop_stream(self.cx.index, key.0, &key.1);
            let id = running.id;
            if self.cx.settings.kinds.contains(&key.0) {
                self.cx.send(vec![Said::ListStart(Arc::clone(&id)), Said::ListEnd(id)]).await;
            }
        }
        self.tell_scope().await;
    }

    /// Looks for kinds that the server did not have.
    pub(super) async fn rediscover(&mut self) {
        let mut missing = self.cx.settings.kinds.clone();
        missing.retain(|kind| !self.cx.resources.borrow().contains_key(kind));
        if missing.is_empty() {
            return;
        }
        if let Ok(found) = discovery::resources(&self.cx.api, &missing).await {
            self.cx.resources.borrow_mut().extend(found);
            self.reconcile().await;
        }
    }

    /// Ends all of them: the cluster is reached in another way now.
    pub(super) fn leave(self) {
        self.cx.board.lose_streams(self.cx.index);
    }

    fn show_absent(&self) {
        for kind in self.cx.settings.kinds.iter().filter(|k| !self.cx.resources.borrow().contains_key(k)) {
            self.cx.board.put_stream(
                self.cx.index,
                StreamStatus {
                    kind: *kind,
                    namespace: String::new(),
                    state: StreamState::Absent,
                    last_activity: None,
                    synced: (0, 0),
                    undecodable: 0,
                    relists: 0,
                    last_error: String::new(),
                },
            );
        }
    }

    /// Tells the complete scope, each time it may be another. Kinds that the server lacks are in it: what is stored
    /// of them is not out of scope because a server was asked at a bad moment.
    async fn tell_scope(&mut self) {
        if self.namespaces().is_none() {
            return;
        }
        let kinds = &self.cx.settings.kinds;
        let mut keys: BTreeSet<(Kind, Str)> = self.running.keys().cloned().collect();
        keys.extend(kinds.iter().flat_map(|kind| self.wanted(*kind)));
        keys.retain(|(kind, _)| kinds.contains(kind));
        if self.told.as_ref() == Some(&keys) {
            return;
        }
        let gone = self.gone_since(&keys);
        if !gone.is_empty() {
            // Still in scope: what is deleted has an end, what is out of scope has none.
            self.tell_streams(keys.iter().chain(&gone)).await;
            let empty = gone.iter().map(|key| Arc::new(self.id(key)));
            self.cx
                .send(empty.flat_map(|id| [Said::ListStart(Arc::clone(&id)), Said::ListEnd(id)]).collect())
                .await;
        }
        self.tell_streams(keys.iter()).await;
        self.told = Some(keys);
    }

    async fn tell_streams(&self, keys: impl Iterator<Item = &(Kind, Str)>) {
        let streams = keys.map(|key| self.id(key)).collect();
        self.cx.tell(Said::Scope { cluster: self.cx.uid.clone(), streams }).await;
    }

    /// What is stored of namespaces that a glob matches and that are not there any more: they were deleted while nobody
    /// watched. Asked when the namespaces were first listed; afterwards `tidy` sees them go.
    fn gone_since(&self, keys: &BTreeSet<(Kind, Str)>) -> BTreeSet<(Kind, Str)> {
        let scope = &self.cx.scope;
        let Some(stored) =
            self.cx.stored.as_ref().filter(|_| self.told.is_none() && !scope.globs().is_empty())
        else {
            return BTreeSet::new();
        };
        let kinds = self.cx.settings.kinds.iter().filter(|kind| kind.namespaced());
        kinds
            .flat_map(|kind| stored(&self.id(&(*kind, Str::default()))))
            .map(|(key, _)| (key.kind, key.namespace))
            .filter(|key| scope.has(&key.1) && !keys.contains(key))
            .collect()
    }
}
