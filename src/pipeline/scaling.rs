//! An autoscaler at its maximum, when it is all that is left of an outage: it may stand there for days, and is no reason
//! to call the outage unfinished. It goes on as an incident of its own, which is told like any other.

use jiff::Timestamp;

use super::{engine::Engine, incidents::is_of_now, judge::later};
use crate::{
    event::{
        ClusterUid, EventType, IncidentId, Kind,
        incident::{Incident, IncidentStatus, Member},
    },
    store::{
        EVENTS, EVENTS_BY_OBJECT, FiringRow, HEAL, INCIDENT_EVENTS, INCIDENTS, MEMBERS, Read, Result, Tx,
        keys,
    },
};

/// The autoscalers that alone hold an incident open which began with something else.
pub(super) struct Scaling {
    members: Vec<(String, Member)>,
    /// Something else held it open, and does not any more: else it was opened by what holds nothing.
    pub after_trouble: bool,
}

impl Engine {
    /// `None`: something else holds it open too, or it was opened by the autoscaler itself.
    pub(super) fn only_scaling(&self, tx: &Tx<'_>, incident: &Incident) -> Result<Option<Scaling>> {
        let began_so = incident.opened_by.is_none_or(|by| by == EventType::HpaMaxed);
        let no = began_so || incident.status != IncidentStatus::Open || incident.holding == 0;
        if no || !self.may_only_scale(&incident.cluster_uid, &incident.id, incident.holding) {
            return Ok(None);
        }
        let all: Vec<(String, Member)> = tx.all(&MEMBERS, &keys::prefix(&[incident.id.as_str()]))?;
        let holding = |m: &Member| m.holds && !m.affected;
        let after_trouble = all.iter().any(|(_, m)| {
            holding(m) && m.ended_at.is_some() && !is_scaling(m) && is_of_now(m, incident.reopened_at)
        });
        let members: Vec<(String, Member)> =
            all.into_iter().filter(|(_, m)| holding(m) && m.ended_at.is_none()).collect();
        let only = !members.is_empty() && members.iter().all(|(_, m)| is_scaling(m));
        Ok(only.then_some(Scaling { members, after_trouble }))
    }

    /// The same in memory, for who asks often: whether nothing but autoscalers can hold it open.
    pub(super) fn may_only_scale(&self, uid: &ClusterUid, id: &IncidentId, holding: u32) -> bool {
        let Some(cluster) = self.clusters.get(uid) else { return false };
        let scalers = cluster.world.of_kind(Kind::HorizontalPodAutoscaler);
        let rows = scalers.filter_map(|o| cluster.firings.get(&o.key())).flatten();
        let of_it = |f: &&FiringRow| f.event_type == EventType::HpaMaxed && f.incident.as_ref() == Some(id);
        rows.filter(of_it).count() >= holding as usize
    }

    /// Whether one of them is about to be well: then the incident waits for that, and is looked at again.
    pub(super) fn scaling_ends(
        &mut self,
        tx: &Tx<'_>,
        incident: &Incident,
        scaling: &Scaling,
        now: Timestamp,
    ) -> Result<bool> {
        let of_it = |f: &&FiringRow| scaling.members.iter().any(|(_, m)| m.fingerprint == f.fingerprint);
        let Some(well) = self.firing_in(&incident.cluster_uid).filter(of_it).find_map(|f| f.healthy_since)
        else {
            return Ok(false);
        };
        let hold = self.config.incidents.heal_for(&self.config.types, EventType::HpaMaxed);
        let again = later(well, hold).max(later(now, std::time::Duration::from_secs(1)));
        self.step_at(tx, &incident.id, HEAL, Some(again))?;
        Ok(true)
    }

    /// Takes them out of an incident that is about to end. Answers what fires on, for `scale_alone`.
    pub(super) fn part_scaling(
        &mut self,
        tx: &Tx<'_>,
        incident: &mut Incident,
        scaling: Scaling,
    ) -> Result<Vec<FiringRow>> {
        let mut rows = Vec::new();
        for (key, member) in scaling.members {
            tx.remove(&MEMBERS, &key)?;
            incident.members = incident.members.saturating_sub(1);
            incident.holding = incident.holding.saturating_sub(1);
            let row =
                self.firing_in(&incident.cluster_uid).find(|f| f.fingerprint == member.fingerprint).cloned();
            let Some(mut row) = row else { continue };
            if tx.remove(&INCIDENT_EVENTS, &keys::incident_event(&incident.id, row.seq))? {
                incident.events = incident.events.saturating_sub(member.count.max(1));
            }
            row.incident = None;
            self.put_firing(tx, &incident.cluster_uid, row.clone())?;
            rows.push(row);
        }
        Ok(rows)
    }

    /// Each is a trouble of the autoscaler itself from now on: what it scales is well, and what breaks there later is
    /// told by itself.
    pub(super) fn scale_alone(
        &mut self,
        tx: &Tx<'_>,
        ended: &Incident,
        rows: Vec<FiringRow>,
        now: Timestamp,
    ) -> Result<()> {
        for mut row in rows {
            let Some(told) = tx.entry(&EVENTS, row.seq)? else { continue };
            for key in keys::events_by_object(&told, row.seq) {
                tx.remove(&EVENTS_BY_OBJECT, &key)?;
            }
            let mut event = self.as_it_is(ended, told);
            event.subject = event.object.clone();
            for key in keys::events_by_object(&event, row.seq) {
                tx.put(&EVENTS_BY_OBJECT, &key, &())?;
            }
            let seq = row.seq;
            let place = self.member_of(tx, &event, now)?;
            row.incident = place.incident().cloned();
            self.put_firing(tx, &ended.cluster_uid, row)?;
            self.place_later(tx, place, seq, event, now)?;
        }
        Ok(())
    }

    /// An incident of one-shots has had its time. Whatever else holds it open meanwhile has a name of its own by then,
    /// but an autoscaler, which is as bad as they are, was not told.
    pub(super) fn quiet(&mut self, tx: &Tx<'_>, mut incident: Incident, now: Timestamp) -> Result<()> {
        if !incident.held {
            return self.resolve(tx, incident, None, (now, now));
        }
        match self.only_scaling(tx, &incident)? {
            Some(scaling) if !scaling.after_trouble => {
                let rows = self.part_scaling(tx, &mut incident, scaling)?;
                let ended = incident.clone();
                self.resolve(tx, incident, None, (now, now))?;
                self.scale_alone(tx, &ended, rows, now)
            }
            _ => Ok(()),
        }
    }

    /// The open incident of an object that changed, if the change may end it.
    pub(super) fn may_end(
        &self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        subject: &str,
        gone: bool,
    ) -> Result<Option<Incident>> {
        let Some(open) = self.clusters.get(uid).and_then(|c| c.open.get(subject)) else { return Ok(None) };
        if open.holding == 0 || gone || self.may_only_scale(uid, &open.id, open.holding) {
            return tx.get(&INCIDENTS, open.id.as_str());
        }
        Ok(None)
    }
}

fn is_scaling(member: &Member) -> bool {
    member.event_type == EventType::HpaMaxed
}
