//! A deleted or replaced member proves nothing of its subject: the incident ends when the subject has been well for as
//! long as the trouble's own end would have had to hold.

use jiff::Timestamp;

use super::{engine::Engine, judge::later};
use crate::{
    detect::workload_facts,
    event::{EventType, incident::Incident},
    object::{self, ObjectKey},
    store::{HEAL, Healing, MEMORY, Read, Result, Tx, keys},
};

/// How the subject of an incident is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SubjectState {
    /// It has what it wants, or has no count.
    Well,
    /// It wants no Pod.
    WantsNone,
    /// It has what it wants, but what is new of it is not there yet.
    Changing,
    /// Fewer than wanted are ready.
    Short,
    /// It ran to its end.
    Succeeded,
    /// It does not exist any more.
    Gone,
}

fn place(incident: &Incident) -> String {
    keys::healing(&incident.cluster_uid, &incident.id)
}

impl Engine {
    fn healing(&self, tx: &Tx<'_>, incident: &Incident) -> Result<Option<Healing>> {
        Ok(tx.get(&MEMORY, &place(incident))?.and_then(|row| serde_json::from_value(row).ok()))
    }

    /// A member went with its object: `well` is since when it was not failing.
    pub(super) fn member_gone(
        &mut self,
        tx: &Tx<'_>,
        incident: &Incident,
        event_type: EventType,
        well: Timestamp,
    ) -> Result<()> {
        let hold = self.config.incidents.heal_for(&self.config.types, event_type).as_secs();
        if hold == 0 {
            return Ok(());
        }
        let before = self.healing(tx, incident)?.unwrap_or_default();
        let healing = Healing { hold_secs: hold.max(before.hold_secs), since: before.since.max(Some(well)) };
        tx.put(&MEMORY, &place(incident), &serde_json::to_value(healing).unwrap_or_default())
    }

    /// Since when the subject of an incident without members is well; `None`: not for long enough. Then it is looked
    /// at again.
    pub(super) fn well_since(
        &mut self,
        tx: &Tx<'_>,
        incident: &Incident,
        state: SubjectState,
        (at, now): (Timestamp, Timestamp),
    ) -> Result<Option<Timestamp>> {
        let known = self.healing(tx, incident)?;
        let before = match known {
            Some(before) => before,
            None if state != SubjectState::Short => return Ok(Some(at)),
            // Its troubles are over, and it still lacks Pods: when they are there, that has to hold as for one of them.
            None => {
                let hold = self.config.incidents.heal_for(&self.config.types, EventType::PodUnready);
                Healing { hold_secs: hold.as_secs(), since: None }
            }
        };
        let well = matches!(state, SubjectState::Well);
        let healing = Healing { since: well.then(|| before.since.unwrap_or(now)), ..before };
        if Some(&healing) != known.as_ref() {
            tx.put(&MEMORY, &place(incident), &serde_json::to_value(healing).unwrap_or_default())?;
        }
        let due = healing.since.map(|s| later(s, std::time::Duration::from_secs(healing.hold_secs)));
        let waits = due.filter(|at| *at > now);
        self.step_at(tx, &incident.id, HEAL, waits)?;
        Ok(healing.since.filter(|_| waits.is_none()))
    }

    /// It is over, whatever was waited for.
    pub(super) fn healed(&mut self, tx: &Tx<'_>, incident: &Incident) -> Result<()> {
        tx.remove(&MEMORY, &place(incident))?;
        self.step_at(tx, &incident.id, HEAL, None)
    }

    pub(super) fn subject_state(&self, incident: &Incident) -> SubjectState {
        let subject = &incident.subject;
        let Some(key) = ObjectKey::of(subject) else { return SubjectState::Well };
        let Some(cluster) = self.clusters.get(&incident.cluster_uid) else { return SubjectState::Well };
        let Some(object) = cluster.world.get(&key) else {
            // A kind that may not be watched is known by reference alone: its absence proves nothing.
            let blind = cluster.is_shut(key.kind, &key.namespace);
            return if blind { SubjectState::Well } else { SubjectState::Gone };
        };
        if let Some(workload) = object.workload() {
            return match workload {
                w if w.replicas == 0 => SubjectState::WantsNone,
                w if w.ready < w.replicas => SubjectState::Short,
                // The old Pods are ready, or the status is of an older spec.
                _ if workload_facts::is_behind(object) => SubjectState::Changing,
                _ => SubjectState::Well,
            };
        }
        if let Some(job) = object.job() {
            let done = job.condition("Complete").is_some_and(object::Condition::is_true);
            return if done { SubjectState::Succeeded } else { SubjectState::Well };
        }
        match object.pod() {
            Some(pod) if pod.phase == "Succeeded" => SubjectState::Succeeded,
            Some(pod) if !pod.is_ready() && pod.phase != "Failed" => SubjectState::Short,
            _ => SubjectState::Well,
        }
    }
}
