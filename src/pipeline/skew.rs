//! Clocks that disagree: the cluster's times in ours.
//!
//! What began when is said by the cluster (its API server, its nodes), how long that has held is judged by our clock.
//! Where the server's clock is known to be another, its times are read as ours; a node's clock of its own can be
//! ahead of both, and then what it says began when we first saw it.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::engine::Engine;
use crate::{
    detect::{Draft, Finding},
    event::{ClusterUid, EventType},
};

/// A finding of a rule on an object: the rule's due key, type and discriminator.
type Place = (String, EventType, String);

/// What the clocks of one cluster are like.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    /// How far the server's is ahead of ours; zero where that is not worth a word.
    pub ahead: SignedDuration,
    /// What began later than now, as told, and when we first saw it.
    early: HashMap<Place, (Timestamp, Timestamp)>,
}

impl Clocks {
    /// A time of the cluster in ours.
    pub fn ours(&self, at: Timestamp) -> Timestamp {
        at.checked_sub(self.ahead).unwrap_or(at)
    }

    /// When a finding began, in our time, and never later than it was first seen.
    fn held_since(&mut self, due: &str, draft: &Draft, now: Timestamp) -> Timestamp {
        let at = self.ours(draft.at);
        if at <= now && self.early.is_empty() {
            return at;
        }
        let place = (due.to_owned(), draft.event_type, draft.discriminator.clone());
        match self.early.get(&place) {
            Some((told, seen)) if *told == draft.at => at.min(*seen),
            _ if at > now => {
                self.early.insert(place, (draft.at, now));
                now
            }
            _ => at,
        }
    }

    /// Of what is not found any more, nothing is remembered.
    fn keep(&mut self, due: &str, findings: &[Finding]) {
        if !self.early.is_empty() {
            let of = |t: EventType, disc: &str| {
                findings.iter().any(|f| f.draft.event_type == t && f.draft.discriminator == disc)
            };
            self.early.retain(|(place, event_type, disc), _| place != due || of(*event_type, disc));
        }
    }
}

impl Engine {
    /// A time of the cluster in ours.
    pub(super) fn ours(&self, uid: &ClusterUid, at: Timestamp) -> Timestamp {
        self.clusters.get(uid).map_or(at, |c| c.clocks.ours(at))
    }

    /// When each of these findings began, in our time.
    pub(super) fn held_since(
        &mut self,
        uid: &ClusterUid,
        due: &str,
        findings: &[Finding],
        now: Timestamp,
    ) -> Vec<Timestamp> {
        let Some(cluster) = self.clusters.get_mut(uid) else {
            return findings.iter().map(|f| f.draft.at).collect();
        };
        cluster.clocks.keep(due, findings);
        findings.iter().map(|f| cluster.clocks.held_since(due, &f.draft, now)).collect()
    }
}
