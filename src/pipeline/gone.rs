//! The subject of an incident is gone: what is said last of it, and what it leaves behind.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    engine::Engine,
    healing::SubjectState,
    judge::later,
    route::{Deliver, is_about},
};
use crate::{
    detect::{CONDITIONS, Origin},
    event::{
        ClusterUid, Event, IncidentId, Role,
        incident::{Incident, IncidentStatus, Member},
    },
    object::ObjectKey,
    store::{FIRINGS, INCIDENTS, MEMBERS, Read, Result, Tx, keys},
};

/// The step of an ended incident's life at which those it left behind are judged for themselves.
pub(super) const LEFT: &str = "left";
/// What a workload leaves behind is mostly removed right after it: so long it may take.
const LEFT_SECS: Duration = Duration::from_mins(1);

impl Engine {
    /// Whether a one-shot tells how the subject went, and the incident ended by just that.
    pub(super) fn is_last_of(&self, incident: &Incident, event: &Event, now: Timestamp) -> bool {
        event.role == Role::OneShot
            && event.object.key() == incident.subject.key()
            && incident.resolved_at.is_some_and(|at| at >= now)
            && self.subject_state(incident) == SubjectState::Gone
    }

    /// It belongs to the story. Who is told of the end needs no second message; who is not, because that trouble does
    /// not pass, or healed unsaid, is told this.
    pub(super) fn add_last(
        &mut self,
        tx: &Tx<'_>,
        id: &IncidentId,
        (seq, event): (u64, &Arc<Event>),
        now: Timestamp,
    ) -> Result<()> {
        let Some(mut incident) = tx.get(&INCIDENTS, id.as_str())? else { return Ok(()) };
        self.join(tx, &mut incident, event)?;
        self.link(tx, &mut incident, seq, event)?;
        self.save(tx, &incident)?;
        // Like one that it opens, which ends without a word.
        let open = Incident { status: IncidentStatus::Open, resolved_at: None, ..incident.clone() };
        for target in self.targets().iter().filter(|t| t.deliver == Deliver::Incidents) {
            if is_about(event, target) || !(target.passes)(event, now) {
                continue;
            }
            let account = self.account(tx, target, id)?;
            let told = account.told.ended
                && (account.told.flapping || self.resolve_waiting(tx, &account)?.is_some());
            if !told {
                self.tell_one(tx, target, &open, event, now)?;
            }
        }
        self.route_quiet(tx, &incident)
    }

    /// Lets go of what goes on although the subject of its incident is gone, once nothing that belonged to the subject
    /// holds that incident open: a Service without its Deployment. Whether there was any such.
    pub(super) fn let_go(&mut self, tx: &Tx<'_>, incident: &mut Incident, now: Timestamp) -> Result<bool> {
        if incident.status != IncidentStatus::Open || self.subject_state(incident) != SubjectState::Gone {
            return Ok(false);
        }
        let mut holding: Vec<(String, Member)> = Vec::new();
        let mut owned = false;
        // Asked at the end of each of very many: the first that it owned is answer enough.
        tx.scan(&MEMBERS, &keys::prefix(&[incident.id.as_str()]), "", &mut |key, member: Member| {
            if member.holds && !member.affected && member.ended_at.is_none() {
                owned = self.is_owned_by_subject(incident, &member);
                holding.push((key.to_owned(), member));
            }
            !owned
        })?;
        // What it owned goes with it, a moment later.
        if owned || holding.is_empty() {
            return Ok(false);
        }
        for (key, mut member) in holding {
            let mut firing = self.firing_in(&incident.cluster_uid);
            let row = firing.find(|f| f.fingerprint == member.fingerprint).cloned();
            drop(firing);
            if let Some(mut row) = row {
                row.incident = None;
                self.put_firing(tx, &incident.cluster_uid.clone(), row)?;
            }
            member.ended_at = Some(now);
            tx.put(&MEMBERS, &key, &member)?;
            incident.holding = incident.holding.saturating_sub(1);
        }
        self.step_at(tx, &incident.id, LEFT, Some(later(now, LEFT_SECS)))?;
        Ok(true)
    }

    fn is_owned_by_subject(&self, incident: &Incident, member: &Member) -> bool {
        let Some(cluster) = self.clusters.get(&incident.cluster_uid) else { return true };
        let object = ObjectKey::of(&member.object).and_then(|key| cluster.world.get(&key));
        // One that is gone itself ends in its own time.
        object.is_none_or(|object| cluster.world.top_owner(object).key() == incident.subject.key())
    }

    /// What is still failing a while after the subject of its incident went is judged anew, as a trouble of its own.
    pub(super) fn left_behind(&mut self, tx: &Tx<'_>, incident: &Incident, now: Timestamp) -> Result<()> {
        let uid = &incident.cluster_uid;
        let members: Vec<(String, Member)> = tx.all(&MEMBERS, &keys::prefix(&[incident.id.as_str()]))?;
        let mut waits = false;
        for (_, member) in members.iter().filter(|(_, m)| m.holds && !m.affected) {
            let row = self
                .firing_in(uid)
                .find(|f| f.fingerprint == member.fingerprint && f.incident.is_none())
                .cloned();
            let Some(row) = row else { continue };
            // It may be about to end; or the last of what the subject owned is still there, and it is known by that.
            if row.healthy_since.is_some() || self.subject_of(uid, &row.key) == Some(incident.subject.key()) {
                waits = true;
                continue;
            }
            let rule = CONDITIONS.iter().find(|c| c.name() == row.rule && c.kind() == row.key.kind);
            let Some(rule) = rule else { continue };
            let place = keys::firing(uid, &row.key, &row.rule, row.event_type.name(), &row.discriminator);
            tx.remove(&FIRINGS, &place)?;
            if let Some(cluster) = self.clusters.get_mut(uid) {
                cluster.drop_firing(&row);
            }
            self.judge(tx, uid, *rule, &row.key, Origin::Live, now)?;
        }
        self.step_at(tx, &incident.id, LEFT, waits.then(|| later(now, LEFT_SECS)))
    }

    pub(super) fn subject_of(&self, uid: &ClusterUid, key: &ObjectKey) -> Option<String> {
        let world = &self.clusters.get(uid)?.world;
        Some(world.subject(world.get(key)?).key())
    }
}
