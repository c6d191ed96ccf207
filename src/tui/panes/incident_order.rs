//! In which order the incidents stand: the worst first, and among equals what is broken above what heals, without rows
//! that jump about. Used by `incidents`; pure.

use std::{cmp::Ordering, collections::HashMap};

use jiff::{SignedDuration, Timestamp};

use crate::{
    event::{IncidentId, Severity, incident::Incident},
    store::pages::Recovery,
};

/// A container that runs between two crashes is no recovery: what is well for so long, and for longer than it was before
/// it last broke anew, is called one. Until then its row says for how long it has been well.
const WELL_FOR: SignedDuration = SignedDuration::from_secs(30);
/// What is well for so long stands below what is broken. A restart that takes a moment moves nothing.
const CALM_FOR: SignedDuration = SignedDuration::from_secs(10);
/// What broke again while it healed, so lately, alternates: it keeps its place until it recovers, for with every turn
/// its row would jump down and up again. For so long it is remembered for how long it had been well.
const ALTERNATES: SignedDuration = SignedDuration::from_mins(10);

/// How the list is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The worst first, then the oldest.
    #[default]
    Worst,
    /// The newest first.
    Newest,
    /// By the subject's name.
    Subject,
}

impl Order {
    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Order::Worst => "worst first",
            Order::Newest => "newest first",
            Order::Subject => "by subject",
        }
    }
}

/// How far an open incident is on its way back, as far as its place goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Way {
    /// Broken, or well for a moment only.
    #[default]
    Broken,
    /// Well for a short time.
    Healing,
    /// Well for a while.
    Recovering,
}

/// What the place of one that is broken goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// How far it is on its way back.
    pub way: Way,
    /// How bad it is: of one that is over, how bad is what it left behind.
    pub severity: Severity,
}

/// It was well for a while, and broke again.
struct Relapse {
    at: Timestamp,
    was_well: SignedDuration,
}

/// What is remembered of each incident of which something is broken, so that its row keeps calm.
#[derive(Default)]
pub struct Ways {
    at: HashMap<IncidentId, Place>,
    well: HashMap<IncidentId, Timestamp>,
    again: HashMap<IncidentId, Vec<Relapse>>,
}

impl Ways {
    /// The way that an incident was on when the list was arranged.
    pub fn of(&self, id: &IncidentId) -> Way {
        self.at.get(id).map_or(Way::default(), |place| place.way)
    }

    /// What its place went by when the list was arranged; none: nothing of it was broken.
    pub fn place(&self, id: &IncidentId) -> Option<Place> {
        self.at.get(id).copied()
    }

    /// Takes note of how an incident is now: one that was well and is not any more has broken again.
    pub fn note(&mut self, id: &IncidentId, recovery: Option<&Recovery>, known_to: Timestamp) {
        let was = match recovery {
            Some(recovery) => self.well.insert(id.clone(), recovery.since),
            None => self.well.remove(id),
        };
        // Another beginning is a relapse too: it was too short to be seen.
        let ended = recovery.map_or(known_to, |r| r.since);
        let Some(was) = was.filter(|was| recovery.is_none() || *was != ended) else { return };
        let again = self.again.entry(id.clone()).or_default();
        again.retain(|relapse| is_remembered(relapse, known_to));
        again.push(Relapse { at: known_to, was_well: ended.duration_since(was) });
    }

    /// The way it is on now.
    pub fn now(&self, id: &IncidentId, recovery: Option<&Recovery>, known_to: Timestamp) -> Way {
        let Some(recovery) = recovery else { return Way::Broken };
        let well = known_to.duration_since(recovery.since);
        let again = self.again.get(id).into_iter().flatten().filter(|r| is_remembered(r, known_to));
        match again.map(|relapse| relapse.was_well).max() {
            Some(before) if well <= before => Way::Broken,
            _ if well >= WELL_FOR => Way::Recovering,
            None if well >= CALM_FOR => Way::Healing,
            _ => Way::Broken,
        }
    }

    /// The list is arranged by these; what is not among them is forgotten.
    pub fn arranged(&mut self, places: HashMap<IncidentId, Place>) {
        self.well.retain(|id, _| places.contains_key(id));
        self.again.retain(|id, _| places.contains_key(id));
        self.at = places;
    }

    /// Which of two incidents stands first.
    pub fn compare(&self, a: &Incident, b: &Incident, (order, reverse): (Order, bool)) -> Ordering {
        let by = match (order, self.place(&a.id), self.place(&b.id)) {
            (_, None, Some(_)) => return Ordering::Greater,
            (_, Some(_), None) => return Ordering::Less,
            (Order::Subject, ..) => a.subject.cmp(&b.subject),
            (Order::Worst, Some(of_a), Some(of_b)) => {
                let heals = (of_a.way != Way::Broken).cmp(&(of_b.way != Way::Broken));
                heals.then(of_b.severity.cmp(&of_a.severity)).then(a.since().cmp(&b.since()))
            }
            (_, Some(_), Some(_)) => b.since().cmp(&a.since()),
            (_, None, None) => b.resolved_at.cmp(&a.resolved_at),
        };
        (if reverse { by.reverse() } else { by }).then_with(|| a.id.cmp(&b.id))
    }
}

fn is_remembered(relapse: &Relapse, known_to: Timestamp) -> bool {
    known_to.duration_since(relapse.at) < ALTERNATES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::pages::Waits;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + secs).unwrap()
    }

    fn well(since: i64) -> Recovery {
        Recovery { since: at(since), waits: Waits::Until(at(since + 60)) }
    }

    #[test]
    fn what_heals_goes_below_what_is_broken_after_a_moment() {
        let (mut ways, id) = (Ways::default(), IncidentId::from("a"));
        ways.note(&id, None, at(0));
        let now = |ways: &Ways, secs| ways.now(&id, Some(&well(10)), at(secs));
        ways.note(&id, Some(&well(10)), at(11));
        assert_eq!(now(&ways, 11), Way::Broken);
        assert_eq!(now(&ways, 19), Way::Broken);
        assert_eq!(now(&ways, 20), Way::Healing);
        assert_eq!(now(&ways, 40), Way::Recovering);
        assert_eq!(ways.now(&id, None, at(41)), Way::Broken);
    }

    #[test]
    fn a_crash_loop_keeps_its_place_until_it_recovers() {
        let (mut ways, id) = (Ways::default(), IncidentId::from("a"));
        let mut moved = 0;
        let mut last = Way::Broken;
        // Twelve seconds well, eight broken, ten times over: it may move once, not with every turn.
        for secs in 0..200 {
            let since = secs / 20 * 20;
            let recovery = (secs % 20 < 12).then(|| well(since));
            ways.note(&id, recovery.as_ref(), at(secs));
            let way = ways.now(&id, recovery.as_ref(), at(secs));
            moved += u32::from(way != last);
            last = way;
        }
        assert_eq!(moved, 2, "once down, once up");
        // When it stays well, it recovers like everything else; minutes later nothing is held against it.
        ways.note(&id, Some(&well(200)), at(200));
        assert_eq!(ways.now(&id, Some(&well(200)), at(229)), Way::Broken);
        assert_eq!(ways.now(&id, Some(&well(200)), at(230)), Way::Recovering);
        assert_eq!(ways.now(&id, Some(&well(900)), at(911)), Way::Healing);
    }

    #[test]
    fn what_runs_for_longer_than_a_while_recovers_when_it_outlives_its_last_runs() {
        let (mut ways, id) = (Ways::default(), IncidentId::from("a"));
        let mut recovered = Vec::new();
        // Forty seconds well, twenty broken, and once fifty and ten. Of the first run nobody knows yet what it is.
        for secs in 0..540 {
            let (turn, part) = (secs / 60, secs % 60);
            let recovery = (part < if turn == 4 { 50 } else { 40 }).then(|| well(turn * 60));
            ways.note(&id, recovery.as_ref(), at(secs));
            let way = ways.now(&id, recovery.as_ref(), at(secs));
            assert!(turn == 0 || way != Way::Healing, "{secs}");
            if way == Way::Recovering && recovered.last() != Some(&turn) {
                recovered.push(turn);
            }
        }
        assert_eq!(recovered, [0, 4], "only a run without a longer one before it");
        // The longest of all that are remembered counts, not the last; in the end it does recover.
        ways.note(&id, Some(&well(540)), at(540));
        assert_eq!(ways.now(&id, Some(&well(540)), at(590)), Way::Broken);
        assert_eq!(ways.now(&id, Some(&well(540)), at(591)), Way::Recovering);
    }

    #[test]
    fn a_relapse_between_two_looks_is_one() {
        let (mut ways, id) = (Ways::default(), IncidentId::from("a"));
        ways.note(&id, Some(&well(10)), at(11));
        ways.note(&id, Some(&well(20)), at(21));
        assert_eq!(ways.now(&id, Some(&well(20)), at(28)), Way::Broken);
    }
}
