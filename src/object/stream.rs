//! What a watch says of a cluster: the language between `watch` and the pipeline.

use std::sync::Arc;

use super::{Object, ObjectKey, Str};
use crate::{
    event::{ClusterUid, Kind},
    status::StreamState,
};

/// One watch: a kind, in one namespace or in all, under one selector.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    /// The cluster's uid.
    pub cluster: ClusterUid,
    /// The kind.
    pub kind: Kind,
    /// Empty = all namespaces.
    pub namespace: Str,
    /// Empty = everything.
    pub selector: Str,
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind.plural())?;
        if self.namespace.is_empty() { Ok(()) } else { write!(f, " in {}", self.namespace) }
    }
}

/// One thing said. In order per stream.
#[derive(Debug, Clone)]
pub enum Said {
    /// A cluster was found: its uid and name. Comes before anything else of it.
    Cluster {
        /// Its uid.
        uid: ClusterUid,
        /// The name in payloads.
        name: Arc<str>,
        /// The kubeconfig context, empty in a cluster: what the uid is kept under.
        context: Arc<str>,
    },
    /// The streams that there are now (missing rights and absent kinds included). Objects of no stream are out of
    /// scope and are forgotten silently.
    Scope {
        /// The cluster.
        cluster: ClusterUid,
        /// All its streams.
        streams: Vec<StreamId>,
    },
    /// A list begins.
    ListStart(Arc<StreamId>),
    /// An object of the list.
    Listed(Arc<StreamId>, Box<Object>),
    /// An object is there, in a list or changed, but could not be decoded: what is known of it stays.
    Unreadable(Arc<StreamId>, ObjectKey),
    /// The list is complete: what was stored in its scope and not listed is gone.
    ListEnd(Arc<StreamId>),
    /// An object was created or changed.
    Applied(Arc<StreamId>, Box<Object>),
    /// An object was deleted; this is its last state.
    Deleted(Arc<StreamId>, Box<Object>),
    /// An object no longer matches the selector: it is forgotten silently.
    LeftScope(Arc<StreamId>, ObjectKey),
    /// What the stream is doing, when that changes.
    Stream(Arc<StreamId>, StreamState),
    /// How far the API server's clock is ahead of ours, when that changes; zero where it is not worth a word.
    Clock {
        /// The cluster.
        cluster: ClusterUid,
        /// Negative where it is behind.
        ahead: jiff::SignedDuration,
    },
    /// The API answers again.
    Live(ClusterUid),
    /// A cluster that was never reached does not answer. It has a uid for as long as that goes on, and nothing else is
    /// said under it but that it is over.
    Unreached {
        /// Who it is by its context.
        cluster: ClusterUid,
        /// The name in payloads.
        name: Arc<str>,
        /// Since when.
        since: jiff::Timestamp,
        /// In words.
        why: String,
    },
    /// The API does not answer.
    Away {
        /// The cluster.
        cluster: ClusterUid,
        /// Since when.
        since: jiff::Timestamp,
        /// In words.
        why: String,
    },
}
