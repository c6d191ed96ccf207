//! What is not watched: a cluster that is away, one that is coming back, and the times that the store tells of. A time
//! that is written down when the first watch is back goes on until the last one is.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::model::Shared;
use crate::{
    status::{ClusterState, ClusterStatus, Status, StreamState},
    store::GapRow,
};

/// The server has a bookmark for each watch every minute: one that was lost was heard so long before at most.
const HEARD: SignedDuration = SignedDuration::from_secs(75);

/// What is not watched, as it was put together last. Each frame asks for it more than once, and what it is made of
/// changes once a second at most.
#[derive(Debug)]
pub struct Unwatched {
    /// What it was made of: held, so that nothing else can take its place in memory.
    of: (Option<Arc<Status>>, Arc<[GapRow]>, bool),
    rows: Arc<[GapRow]>,
    count: usize,
}

impl Unwatched {
    fn is_of(&self, shared: &Shared) -> bool {
        let (status, gaps, watched) = &self.of;
        let same = match (status, &shared.status) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        };
        same && Arc::ptr_eq(gaps, &shared.totals.gaps) && *watched == shared.is_watched()
    }
}

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
    pub fn unwatched(&self) -> Arc<[GapRow]> {
        self.put_together().0
    }

    /// How many there are: what overlaps is one.
    pub fn gaps(&self) -> usize {
        self.put_together().1
    }

    fn put_together(&self) -> (Arc<[GapRow]>, usize) {
        let mut known = self.unwatched.borrow_mut();
        let new = || {
            let rows: Arc<[GapRow]> = self.find_unwatched().into();
            let of = (self.status.clone(), Arc::clone(&self.totals.gaps), self.is_watched());
            Unwatched { of, count: apart(&rows), rows }
        };
        let made = known.take_if(|u| u.is_of(self)).unwrap_or_else(new);
        let answer = (Arc::clone(&made.rows), made.count);
        *known = Some(made);
        answer
    }

    fn find_unwatched(&self) -> Vec<GapRow> {
        let mut gaps = self.totals.gaps.to_vec();
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
}

/// How many of them are apart: what overlaps is one.
fn apart(gaps: &[GapRow]) -> usize {
    // One that is open has no end yet: whatever begins later is within it.
    let mut gaps: Vec<_> =
        gaps.iter().map(|g| (&g.cluster, g.from, g.to.unwrap_or(Timestamp::MAX))).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::{
        keymap::Keymap,
        model::Model,
        options::Options,
        theme::{DARK, Theme},
    };

    #[test]
    fn what_is_not_watched_is_put_together_once_per_change() {
        let at = |secs| Timestamp::from_second(secs).unwrap();
        let keymap = Keymap::new(&std::collections::BTreeMap::new()).unwrap();
        let theme: Theme = DARK;
        let mut shared = Model::new(&Options::default(), keymap, theme, at(1_000)).shared;
        let gap = |from, to: Option<i64>| GapRow {
            cluster: "a".into(),
            from: at(from),
            to: to.map(at),
            why: "away".into(),
        };
        let first = shared.unwatched();
        assert!(first.is_empty() && Arc::ptr_eq(&first, &shared.unwatched()));
        shared.totals.gaps = vec![gap(900, None), gap(500, Some(600)), gap(550, Some(700))].into();
        let second = shared.unwatched();
        assert_eq!((second.len(), shared.gaps()), (3, 2));
        shared.now = at(2_000);
        assert!(Arc::ptr_eq(&second, &shared.unwatched()));
        shared.totals.gaps = vec![gap(900, Some(950)), gap(1_960, None), gap(500, Some(700))].into();
        assert_eq!((shared.unwatched().len(), shared.gaps()), (3, 3));
        shared.status = Some(Arc::default());
        let told = shared.unwatched();
        assert!(Arc::ptr_eq(&told, &shared.unwatched()));
        shared.gone = Some(at(2_000));
        assert!(!Arc::ptr_eq(&told, &shared.unwatched()));
    }
}
