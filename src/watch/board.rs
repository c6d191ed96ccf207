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
    status::{ClusterState, ClusterStatus, StreamStatus},
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

    /// Begins anew with these clusters. What is known of one that was there before stays: an outage does not become
    /// younger because somebody asked for a new list, and requests are counted since the start.
    pub(super) fn reset(&self, clusters: Vec<ClusterStatus>) {
        let mut entries = self.lock();
        let before = std::mem::take(&mut *entries);
        let entry = |mut cluster: ClusterStatus| {
            let same = |e: &&Entry| e.cluster.name == cluster.name && e.cluster.context == cluster.context;
            let Some(known) = before.iter().find(same) else {
                return Entry { cluster, ..Entry::default() };
            };
            cluster.server.clone_from(&known.cluster.server);
            cluster.version.clone_from(&known.cluster.version);
            cluster.uid.clone_from(&known.cluster.uid);
            if let ClusterState::Away { .. } = &known.cluster.state {
                cluster.state = known.cluster.state.clone();
            }
            Entry { cluster, requests: Arc::clone(&known.requests), ..Entry::default() }
        };
        *entries = clusters.into_iter().map(entry).collect();
    }

    /// How a cluster is shown.
    pub(super) fn state(&self, cluster: usize) -> ClusterState {
        self.lock().get(cluster).map(|e| e.cluster.state.clone()).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_new_list_makes_no_outage_younger_and_forgets_no_request() {
        let named = |name: &str| ClusterStatus { name: name.into(), ..ClusterStatus::default() };
        let board = Board::default();
        board.reset(vec![named("a"), named("b")]);
        let away = ClusterState::Away { since: Timestamp::UNIX_EPOCH, why: "refused".into(), retry_at: None };
        board.cluster(0, |c| c.state = away.clone());
        board.cluster(1, |c| (c.state, c.version) = (ClusterState::Live, "v1.33.1".into()));
        board.requests(1).fetch_add(7, Ordering::Relaxed);
        board.reset(vec![named("b"), named("a"), named("c")]);
        let now = board.snapshot();
        assert_eq!(
            (&now[0].state, now[0].version.as_str(), now[0].requests),
            (&ClusterState::Connecting, "v1.33.1", 7)
        );
        assert_eq!((&now[1].state, &board.state(1)), (&away, &away));
        assert_eq!((&now[2].state, now[2].requests), (&ClusterState::Connecting, 0));
    }
}
