//! What the streams of one cluster share.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

use super::{
    Batch, Clock, Stored, api::Api, board::Board, error::Error, projection::Decoder, refusal::Server,
    resources::Resource, scope::Scope,
};
use crate::{
    config::WatchSettings,
    event::{ClusterUid, Kind},
    object::{Said, Str},
    status::StreamState,
};

/// One cluster, as its streams see it.
pub struct Cx {
    /// Its place on the board.
    pub index: usize,
    /// Its uid.
    pub uid: ClusterUid,
    /// Sends requests.
    pub api: Api,
    /// What is watched.
    pub settings: Rc<WatchSettings>,
    /// Namespaces in scope.
    pub scope: Scope,
    /// Makes records.
    pub decoder: Decoder,
    /// To the engine.
    pub out: mpsc::Sender<Batch>,
    /// For the screen.
    pub board: Board,
    /// The clock.
    pub clock: Clock,
    /// What the store has of a stream's scope.
    pub stored: Option<Stored>,
    /// The server takes streaming lists, as far as is known.
    pub streaming: Cell<bool>,
    /// The last time the server said anything.
    pub heard: Cell<Instant>,
    /// A stream met a failure that may mean the API is away.
    pub trouble: RefCell<Option<Error>>,
    /// When the credentials have to be made anew, where only we do that.
    pub renew_at: Cell<Option<Instant>>,
    /// The server is to be asked whether it is ready: set with `trouble`, and where a refusal is in doubt.
    pub troubled: Notify,
    /// What the server says of itself.
    pub server: Cell<Server>,
    /// The API came back: streams that wait try at once.
    pub back: Notify,
    /// How each kind is read; kinds that the server does not have are missing.
    pub resources: RefCell<BTreeMap<Kind, Resource>>,
    /// What the watch of namespaces knows.
    pub namespaces: Namespaces,
}

impl Cx {
    /// Now.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Sends to the engine, waiting while it is busy. If the engine is gone there is nobody to tell.
    pub async fn send(&self, batch: Batch) {
        if !batch.is_empty() {
            let _ = self.out.send(batch).await;
        }
    }

    /// Sends one message.
    pub async fn tell(&self, said: Said) {
        self.send(vec![said]).await;
    }

    /// A state with the time of the next try.
    pub fn retrying(&self, after: Duration) -> StreamState {
        StreamState::Retrying { retry_at: self.now() + after }
    }
}

/// The namespaces of the cluster, as their watch has them. Only kept where globs need it.
#[derive(Default)]
pub struct Namespaces {
    known: RefCell<BTreeSet<Str>>,
    listing: RefCell<BTreeSet<Str>>,
    listed: Cell<bool>,
    /// The set is another.
    pub changed: Notify,
}

impl Namespaces {
    /// A list begins.
    pub fn start(&self) {
        self.listing.borrow_mut().clear();
    }

    /// It is in the list.
    pub fn see(&self, name: &Str) {
        self.listing.borrow_mut().insert(name.clone());
    }

    /// The list is complete.
    pub fn end(&self) {
        self.known.replace(self.listing.take());
        self.listed.set(true);
        self.changed.notify_one();
    }

    /// It exists.
    pub fn add(&self, name: &Str) {
        if self.known.borrow_mut().insert(name.clone()) {
            self.changed.notify_one();
        }
    }

    /// It is gone.
    pub fn remove(&self, name: &Str) {
        if self.known.borrow_mut().remove(name) {
            self.changed.notify_one();
        }
    }

    /// All of them, once they were listed.
    pub fn all(&self) -> Option<Vec<Str>> {
        self.listed.get().then(|| self.known.borrow().iter().cloned().collect())
    }
}
