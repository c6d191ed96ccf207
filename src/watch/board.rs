//! The state of all clusters and streams, for the screen, health and metrics.
//!
//! Written by the thread of the streams, read from anywhere. Locks are held for a copy, never over an await.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    event::Kind,
    status::{ClusterStatus, StreamStatus},
};

/// Shared between the streams and whoever shows them. Cloning shares.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<Vec<Entry>>>);

#[derive(Debug, Default)]
struct Entry {
    cluster: ClusterStatus,
    streams: BTreeMap<(Kind, String), StreamStatus>,
    requests: Arc<AtomicU64>,
}

impl Board {
    /// A copy of everything. `objects` is left at 0: the pipeline counts them.
    pub fn snapshot(&self) -> Vec<ClusterStatus> {
        self.lock().iter().map(Entry::snapshot).collect()
    }

    /// Begins anew with these clusters.
    pub(super) fn reset(&self, clusters: Vec<ClusterStatus>) {
        let entries = clusters.into_iter().map(|cluster| Entry { cluster, ..Entry::default() });
        *self.lock() = entries.collect();
    }

    /// The counter of a cluster's requests.
    pub(super) fn requests(&self, cluster: usize) -> Arc<AtomicU64> {
        self.lock().get(cluster).map(|e| Arc::clone(&e.requests)).unwrap_or_default()
    }

    /// Changes a cluster's line.
    pub(super) fn cluster(&self, cluster: usize, change: impl FnOnce(&mut ClusterStatus)) {
        if let Some(entry) = self.lock().get_mut(cluster) {
            change(&mut entry.cluster);
        }
    }

    /// Puts a stream's line.
    pub(super) fn put_stream(&self, cluster: usize, status: StreamStatus) {
        if let Some(entry) = self.lock().get_mut(cluster) {
            entry.streams.insert((status.kind, status.namespace.clone()), status);
        }
    }

    /// Changes a stream's line.
    pub(super) fn stream(
        &self,
        cluster: usize,
        (kind, namespace): (Kind, &str),
        change: impl FnOnce(&mut StreamStatus),
    ) {
        let mut entries = self.lock();
        let streams = entries.get_mut(cluster).map(|e| &mut e.streams);
        if let Some(status) = streams.and_then(|s| s.get_mut(&(kind, namespace.to_owned()))) {
            change(status);
        }
    }

    /// Takes a stream's line away.
    pub(super) fn drop_stream(&self, cluster: usize, kind: Kind, namespace: &str) {
        if let Some(entry) = self.lock().get_mut(cluster) {
            entry.streams.remove(&(kind, namespace.to_owned()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        // A panic while holding it leaves plain data behind: still good to show.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn snapshot(&self) -> ClusterStatus {
        ClusterStatus {
            requests: self.requests.load(Ordering::Relaxed),
            streams: self.streams.values().cloned().collect(),
            ..self.cluster.clone()
        }
    }
}
