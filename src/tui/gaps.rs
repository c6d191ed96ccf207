//! What is not watched: a cluster that is away, one that is coming back, and the times that the store tells of. A time
//! that is written down when the first watch is back goes on until the last one is.

use jiff::{SignedDuration, Timestamp};

use super::model::Shared;
use crate::{
    status::{ClusterState, ClusterStatus, StreamState},
    store::GapRow,
};

/// The server has a bookmark for each watch every minute: one that was lost was heard so long before at most.
const HEARD: SignedDuration = SignedDuration::from_secs(75);

impl Shared {
    /// Clusters whose API is not said to be there.
    pub fn away(&self) -> impl Iterator<Item = &ClusterStatus> {
        self.status.iter().flat_map(|s| &s.clusters).filter(|c| matches!(c.state, ClusterState::Away { .. }))
    }

    /// Those of them of which most is not watched.
    pub fn disconnected(&self) -> impl Iterator<Item = &ClusterStatus> {
        self.away().filter(|c| self.coming_back(c).is_none())
    }

    /// A cluster that was away and answers most watches again, though it does not call itself ready yet: how many
    /// streams of how many are still lost.
    pub fn coming_back(&self, cluster: &ClusterStatus) -> Option<(usize, usize)> {
        cluster.coming_back(self.status.as_ref()?.at)
    }

    /// What was not watched, and is not: the newest first.
    pub fn unwatched(&self) -> Vec<GapRow> {
        let mut gaps = self.totals.gaps.clone();
        if !self.is_watched() {
            return gaps;
        }
        for cluster in self.status.iter().flat_map(|s| &s.clusters) {
            // All of it is watched, whatever its API says of itself.
            if self.coming_back(cluster).is_some_and(|(lost, _)| lost == 0) {
                continue;
            }
            let newest = gaps.iter_mut().filter(|g| g.cluster == cluster.name).max_by_key(|g| g.from);
            match (newest, &cluster.state) {
                (Some(gap), _) if goes_on(gap, cluster) => gap.to = None,
                (_, ClusterState::Away { since, .. }) => {
                    let why = "the API server does not answer".to_owned();
                    gaps.insert(0, GapRow { cluster: cluster.name.clone(), from: *since, to: None, why });
                }
                _ => {}
            }
        }
        gaps
    }

    /// How many there are: what overlaps is one.
    pub fn gaps(&self) -> usize {
        let gaps = self.unwatched();
        let mut gaps: Vec<_> = gaps.iter().map(|g| (&g.cluster, g.from, g.to.unwrap_or(self.now))).collect();
        gaps.sort();
        let mut count = 0;
        let mut last: Option<(&String, Timestamp)> = None;
        for (cluster, from, to) in gaps {
            match &mut last {
                Some((c, end)) if *c == cluster && from <= *end => *end = (*end).max(to),
                _ => {
                    count += 1;
                    last = Some((cluster, to));
                }
            }
        }
        count
    }
}

/// A gap that was written down with the return of the first watch: others, or the API, are not back yet.
fn goes_on(gap: &GapRow, cluster: &ClusterStatus) -> bool {
    let Some(to) = gap.to else { return true };
    if let ClusterState::Away { since, .. } = cluster.state
        && since <= to
    {
        return true;
    }
    let lost_with_it = |heard: Timestamp| heard < to && gap.from.duration_since(heard) <= HEARD;
    let lost = cluster.streams.iter().filter(|s| matches!(s.state, StreamState::Retrying { .. }));
    lost.filter_map(|s| s.last_activity).any(lost_with_it)
}
