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
    status::{ClusterState, ClusterStatus, StreamState, StreamStatus},
};

/// Shared between the streams and whoever shows them. Cloning shares.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<Vec<Entry>>>);

#[derive(Debug, Default)]
struct Entry {
    cluster: ClusterStatus,
    streams: BTreeMap<(Kind, String), StreamStatus>,
    requests: Arc<AtomicU64>,
    away_since: Option<jiff::Timestamp>,
}

impl Board {
    /// A copy of everything. `objects` is left at 0: the pipeline counts them.
    pub fn snapshot(&self) -> Vec<ClusterStatus> {
        self.lock().iter().map(Entry::snapshot).collect()
    }

    /// Begins anew with these clusters. What counts since the start of the program goes on counting, and what was
    /// known of a cluster is known until it is found to be otherwise.
    pub(super) fn reset(&self, clusters: Vec<ClusterStatus>) {
        let mut entries = self.lock();
        let mut old = std::mem::take(&mut *entries);
        *entries = clusters
            .into_iter()
            .map(|cluster| {
                let same = |e: &Entry| e.cluster.name == cluster.name && e.cluster.context == cluster.context;
                match old.iter().position(same).map(|i| old.swap_remove(i)) {
                    Some(mut known) => {
                        known.lose_streams();
                        let ClusterStatus { server, version, uid, .. } = std::mem::take(&mut known.cluster);
                        Entry { cluster: ClusterStatus { server, version, uid, ..cluster }, ..known }
                    }
                    None => Entry { cluster, ..Entry::default() },
                }
            })
            .collect();
    }

    /// The server and version of a cluster, as last known.
    pub(super) fn known(&self, cluster: usize) -> (String, String) {
        let known = |e: &Entry| (e.cluster.server.clone(), e.cluster.version.clone());
        self.lock().get(cluster).map(known).unwrap_or_default()
    }

    /// Since when a cluster has been away, over restarts of the watches.
    pub(super) fn away_since(&self, cluster: usize) -> Option<jiff::Timestamp> {
        self.lock().get(cluster).and_then(|e| e.away_since)
    }

    /// The counter of a cluster's requests.
    pub(super) fn requests(&self, cluster: usize) -> Arc<AtomicU64> {
        self.lock().get(cluster).map(|e| Arc::clone(&e.requests)).unwrap_or_default()
    }

    /// Changes a cluster's line.
    pub(super) fn cluster(&self, cluster: usize, change: impl FnOnce(&mut ClusterStatus)) {
        if let Some(entry) = self.lock().get_mut(cluster) {
            change(&mut entry.cluster);
            match entry.cluster.state {
                ClusterState::Away { since, .. } => entry.away_since = Some(since),
                ClusterState::Live => entry.away_since = None,
                ClusterState::Connecting => {}
            }
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

    /// The streams of a cluster have ended, and begin anew when it is reached: until then they are lost, not gone.
    pub(super) fn lose_streams(&self, cluster: usize) {
        if let Some(entry) = self.lock().get_mut(cluster) {
            entry.lose_streams();
        }
    }

    /// Takes the lines away of streams that are not watched any more.
    pub(super) fn keep_streams(&self, cluster: usize, is_kept: impl Fn(Kind, &str) -> bool) {
        if let Some(entry) = self.lock().get_mut(cluster) {
            entry.streams.retain(|(kind, namespace), _| is_kept(*kind, namespace));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        // A panic while holding it leaves plain data behind: still good to show.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn lose_streams(&mut self) {
        let watched = |s: &&mut StreamStatus| matches!(s.state, StreamState::Live | StreamState::Syncing);
        for stream in self.streams.values_mut().filter(watched) {
            // It is tried with its cluster: no time of its own is waited for.
            stream.state = StreamState::Retrying { retry_at: jiff::Timestamp::UNIX_EPOCH };
        }
    }

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
    use super::*;

    #[test]
    fn the_streams_of_a_cluster_that_is_reached_anew_are_lost_until_then_and_not_gone() {
        let board = Board::default();
        let cluster = || ClusterStatus { name: "c".into(), ..ClusterStatus::default() };
        board.reset(vec![cluster()]);
        let states = |board: &Board| -> Vec<StreamState> {
            board.snapshot()[0].streams.iter().map(|s| s.state.clone()).collect()
        };
        let stream = |kind, state| StreamStatus {
            kind,
            namespace: String::new(),
            state,
            last_activity: None,
            synced: (0, 0),
            undecodable: 0,
            relists: 0,
            last_error: String::new(),
        };
        board.put_stream(0, stream(Kind::Pod, StreamState::Live));
        board.put_stream(0, stream(Kind::Node, StreamState::Absent));
        let lost = StreamState::Retrying { retry_at: jiff::Timestamp::UNIX_EPOCH };
        for anew in [
            |board: &Board| board.lose_streams(0),
            |board: &Board| {
                board.reset(vec![ClusterStatus { name: "c".into(), ..ClusterStatus::default() }]);
            },
        ] {
            board.put_stream(0, stream(Kind::Pod, StreamState::Live));
            anew(&board);
            assert_eq!(states(&board), [lost.clone(), StreamState::Absent]);
        }
        board.keep_streams(0, |kind, _| kind == Kind::Pod);
        assert_eq!(states(&board), [lost]);
    }

    #[test]
    fn beginning_anew_keeps_the_age_of_an_outage_and_the_count_of_requests() {
        let board = Board::default();
        let cluster = || ClusterStatus { name: "c".into(), ..ClusterStatus::default() };
        board.reset(vec![cluster()]);
        board.requests(0).fetch_add(7, Ordering::Relaxed);
        let since = jiff::Timestamp::UNIX_EPOCH;
        board.cluster(0, |c| {
            c.version = "v1".into();
            c.state = ClusterState::Away { since, why: String::new(), retry_at: None };
        });
        board.reset(vec![ClusterStatus { name: "new".into(), ..ClusterStatus::default() }, cluster()]);
        assert_eq!((board.away_since(0), board.away_since(1)), (None, Some(since)));
        let shown = board.snapshot();
        assert_eq!((shown[1].requests, shown[1].version.as_str()), (7, "v1"));
        assert_eq!(shown[1].state, ClusterState::Connecting);
        assert!(shown[0].streams.is_empty() && shown[1].streams.is_empty());
        board.cluster(1, |c| c.state = ClusterState::Live);
        assert_eq!(board.away_since(1), None);
    }
}
