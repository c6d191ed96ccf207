//! What the engine is told.

use std::sync::Arc;

use crate::{
    event::{ClusterUid, Kind},
    object::{Object, ObjectKey, Str},
    status::{ClusterState, StreamState},
};

/// What goes over the channel at once: what one read from the network held.
pub type Batch = Vec<Message>;

/// One watch, and the scope of one baseline.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// The cluster's uid.
    pub cluster: Arc<str>,
    /// The kind.
    pub kind: Kind,
    /// Empty = all namespaces, or a kind without namespaces.
    pub namespace: Str,
    /// The label selector, where one applies to the kind.
    pub selector: Option<Str>,
}

impl StreamId {
    /// The cluster's uid, as the rest of the program has it.
    pub fn cluster_uid(&self) -> ClusterUid {
        ClusterUid(self.cluster.as_ref().to_owned())
    }
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.kind.plural())?;
        if !self.namespace.is_empty() {
            write!(f, " in {}", self.namespace)?;
        }
        Ok(())
    }
}

/// One thing that happened on the way from the API server.
#[derive(Debug, Clone)]
pub enum Message {
    /// A list begins, or begins anew: forget the marks of one that had not ended.
    ListStart {
        /// Of this stream.
        stream: Arc<StreamId>,
    },
    /// The state of an object in the list. Within one list an object may come twice; the later state is newer.
    Listed {
        /// Of this stream.
        stream: Arc<StreamId>,
        /// Its state.
        object: Object,
    },
    /// The object is in the list, or has changed, but could not be decoded: keep what is known of it.
    Unreadable {
        /// Of this stream.
        stream: Arc<StreamId>,
        /// Where it lives.
        key: ObjectKey,
    },
    /// The list is complete: what was not listed since `ListStart` is gone.
    ListEnd {
        /// Of this stream.
        stream: Arc<StreamId>,
        /// False: an object could not even be named, so nothing may be taken for gone.
        sweep: bool,
    },
    /// An object is new or has changed.
    Applied {
        /// Of this stream.
        stream: Arc<StreamId>,
        /// Its state.
        object: Object,
    },
    /// An object is gone.
    Deleted {
        /// Of this stream.
        stream: Arc<StreamId>,
        /// Its last state.
        object: Object,
    },
    /// An object still exists but no longer matches the selector: forget it silently.
    LeftScope {
        /// Of this stream.
        stream: Arc<StreamId>,
        /// Where it lives.
        key: ObjectKey,
    },
    /// A stream's state is another now.
    StreamState {
        /// The stream.
        stream: Arc<StreamId>,
        /// What it is doing.
        state: StreamState,
        /// Why, in words; empty where all is well.
        error: String,
    },
    /// The complete set of a cluster's streams, each time it changes. A stored scope that is not in it was left:
    /// forget its objects silently.
    Scope {
        /// The cluster's uid.
        cluster: Arc<str>,
        /// All of them; a kind that the server does not have is not among them.
        streams: Vec<Arc<StreamId>>,
    },
    /// The cluster was identified, or its API's state is another now.
    Cluster(ClusterNews),
}

/// What is known of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterNews {
    /// The configured name.
    pub name: String,
    /// The kubeconfig context; empty in a cluster. The key under which the uid is to be kept.
    pub context: String,
    /// Its uid; `None` as long as it was never reached.
    pub uid: Option<Arc<str>>,
    /// The server's URL.
    pub server: String,
    /// The server's version; empty until known.
    pub version: String,
    /// Connecting, live, or away since when and why.
    pub state: ClusterState,
}
