//! The life of an incident after its opening: ends, quiet ends, leftovers, reminders.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    engine::Engine, firing::Over, gone::LEFT, healing::SubjectState, incidents::Place, judge::later,
    wording::ending_of,
};
use crate::{
    detect::Change,
    event::{
        ClusterUid, Event, EventType, Fingerprint, IncidentId, Kind, Status,
        incident::{CLUSTER, Incident, IncidentStatus, LEFTOVER, Member},
    },
    feed::Feed,
    store::{
        EVENT_IDS, EVENTS, FOLDS, FiringRow, HEAL, INCIDENT_EVENTS, INCIDENTS, MEMBERS, Read, Result, Tx,
        keys,
    },
};

/// Nodes for which a cluster's incident spoke need no time to come to: what fails then is not told by anything.
const NODE_LEFT: Duration = Duration::from_secs(10);

impl Engine {
    /// Stores the end of a trouble as an event, and takes it out of its incident.
    pub(super) fn resolved(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        row: &FiringRow,
        over: Over,
    ) -> Result<()> {
        tx.remove(&FOLDS, &keys::fold(uid, &row.object.key(), &row.fingerprint))?;
        // The cluster's clock may run ahead of ours: nothing ends before it began.
        let mut over = Over { at: over.at.max(row.since), ..over };
        let Some(began) = tx.entry(&EVENTS, row.seq)? else {
            // Its beginning is older than what is kept; its incident still has to end.
            return self.end_member(tx, row, None, over);
        };
        let mut event = ending_of(began.clone(), row, over);
        while tx.get(&EVENT_IDS, event.id.as_str())?.is_some() {
            // Began and ended twice within a moment.
            over.at = later(over.at, std::time::Duration::from_millis(1));
            event = ending_of(began.clone(), row, over);
        }
        let event = Event { incident: row.incident.clone(), standing: row.standing, ..event };
        let seq = self.keep(tx, &event)?;
        if let Some(id) = &event.incident {
            tx.put(&INCIDENT_EVENTS, &keys::incident_event(id, seq), &())?;
        }
        let event = Arc::new(event);
        self.feed.push(Feed::Event { seq, event: Arc::clone(&event) });
        self.route_event(tx, &event, over.now)?;
        self.end_member(tx, row, Some(&event), over)?;
        if row.event_type == EventType::NodeUnhealthy {
            self.nodes_changed(tx, uid, (over.at, over.now))?;
        }
        Ok(())
    }

    fn end_member(
        &mut self,
        tx: &Tx<'_>,
        row: &FiringRow,
        event: Option<&Arc<Event>>,
        over: Over,
    ) -> Result<()> {
        let Some(id) = &row.incident else { return Ok(()) };
        let key = keys::member(id, &row.fingerprint);
        let Some(mut member) = tx.get(&MEMBERS, &key)? else { return Ok(()) };
        let held = member.holds && !member.affected && member.ended_at.is_none();
        member.ended_at = Some(over.at);
        tx.put(&MEMBERS, &key, &member)?;
        let Some(mut incident) = tx.get(&INCIDENTS, id.as_str())? else { return Ok(()) };
        incident.events += u64::from(event.is_some());
        incident.last_at = incident.last_at.max(over.at);
        if held {
            incident.holding = incident.holding.saturating_sub(1);
            if over.gone {
                self.member_gone(tx, &incident, row.event_type, over.at)?;
            }
            let named = incident.holding > 0 && incident.worst_event == row.event;
            // Of what is gone with all that it owns, one after the other, it need not be called after what is still left.
            if named && self.subject_state(&incident) != SubjectState::Gone {
                self.rename(tx, &mut incident)?;
            }
            self.let_go(tx, &mut incident, over.now)?;
        }
        self.save(tx, &incident)?;
        self.try_resolve(tx, incident, event, (over.at, over.now))
    }

    /// What gave an incident its name is over: another trouble that is as bad, and goes on, does from now on.
    fn rename(&self, tx: &Tx<'_>, incident: &mut Incident) -> Result<()> {
        let mut newest: Option<Member> = None;
        // What ends although an autoscaler goes on does not end under its name.
        let may_name =
            |m: &Member| m.event_type != EventType::HpaMaxed || incident.opened_by == Some(m.event_type);
        tx.scan(&MEMBERS, &keys::prefix(&[incident.id.as_str()]), "", &mut |_, member: Member| {
            let open = member.holds && !member.affected && member.ended_at.is_none();
            let as_bad = member.severity == incident.severity;
            if open && as_bad && may_name(&member) && newest.as_ref().is_none_or(|n| n.since < member.since) {
                newest = Some(member);
            }
            true
        })?;
        let Some(member) = newest else { return Ok(()) };
        if let Some(event) = self.newest_of(tx, incident, Status::Firing, Some(&member.fingerprint))? {
            let event = self.as_it_is(incident, (*event).clone());
            incident.event_type = event.event_type;
            incident.title = event.title;
            incident.description = event.description;
            incident.worst_event = event.id;
        }
        Ok(())
    }

    /// A trouble left what is watched: its incident does not wait for it, and nobody is told that it ended.
    pub(super) fn leave(
        &mut self,
        tx: &Tx<'_>,
        _uid: &ClusterUid,
        row: &FiringRow,
        now: Timestamp,
    ) -> Result<()> {
        let Some(id) = &row.incident else { return Ok(()) };
        let key = keys::member(id, &row.fingerprint);
        let Some(mut member) = tx.get(&MEMBERS, &key)? else { return Ok(()) };
        let held = member.holds && !member.affected && member.ended_at.is_none();
        member.ended_at = Some(now);
        tx.put(&MEMBERS, &key, &member)?;
        let Some(mut incident) = tx.get(&INCIDENTS, id.as_str())? else { return Ok(()) };
        if held {
            incident.holding = incident.holding.saturating_sub(1);
        }
        if incident.holding == 0 && incident.status == IncidentStatus::Open {
            incident.description = "left what is watched".into();
            return self.resolve(tx, incident, None, (now, now));
        }
        self.save(tx, &incident)
    }

    /// Ends an incident that nothing holds open, if its subject is well or gone.
    fn try_resolve(
        &mut self,
        tx: &Tx<'_>,
        mut incident: Incident,
        event: Option<&Arc<Event>>,
        (at, now): (Timestamp, Timestamp),
    ) -> Result<()> {
        let scaling = self.only_scaling(tx, &incident)?.filter(|s| s.after_trouble);
        if incident.status != IncidentStatus::Open || (incident.holding > 0 && scaling.is_none()) {
            return Ok(());
        }
        let state = self.subject_state(&incident);
        let at = match state {
            SubjectState::Gone | SubjectState::Succeeded => at,
            SubjectState::WantsNone if incident.held => at,
            _ if incident.held => match self.well_since(tx, &incident, state, (at, now))? {
                Some(since) => since,
                None => return Ok(()),
            },
            _ => return Ok(()),
        };
        if !incident.held {
            return self.resolve(tx, incident, None, (at, now));
        }
        let mut last = match event {
            Some(event) => Some(Arc::clone(event)),
            None => self.last_end(tx, &incident)?,
        };
        if last.is_none() {
            // All that held it open goes on without its subject, or so much was said since that the end is not found.
            last = self.worst(tx, &incident)?;
        }
        let Some(scaling) = scaling else { return self.resolve(tx, incident, last.as_ref(), (at, now)) };
        if self.scaling_ends(tx, &incident, &scaling, now)? {
            return Ok(());
        }
        let rows = self.part_scaling(tx, &mut incident, scaling)?;
        let ended = incident.clone();
        self.resolve(tx, incident, last.as_ref(), (at, now))?;
        self.scale_alone(tx, &ended, rows, now)
    }

    /// The event that ended the last of an incident's troubles.
    pub(super) fn last_end(&self, tx: &Tx<'_>, incident: &Incident) -> Result<Option<Arc<Event>>> {
        self.newest_of(tx, incident, Status::Resolved, None)
    }

    /// The newest beginning or end, of any or of one of an incident's troubles.
    pub(super) fn newest_of(
        &self,
        tx: &Tx<'_>,
        incident: &Incident,
        status: Status,
        fingerprint: Option<&Fingerprint>,
    ) -> Result<Option<Arc<Event>>> {
        let mut found = None;
        let mut seqs = Vec::new();
        tx.scan_back(&INCIDENT_EVENTS, &keys::prefix(&[incident.id.as_str()]), None, &mut |key, ()| {
            seqs.extend(keys::last_seq(key));
            seqs.len() < 200
        })?;
        for seq in seqs {
            let event: Option<Event> = tx.entry(&EVENTS, seq)?;
            if let Some(event) =
                event.filter(|e| e.status == status && fingerprint.is_none_or(|f| *f == e.fingerprint))
            {
                found = Some(Arc::new(event));
                break;
            }
        }
        Ok(found)
    }

    /// With an event: everybody who was told is told. Without: quietly.
    pub(super) fn resolve(
        &mut self,
        tx: &Tx<'_>,
        mut incident: Incident,
        event: Option<&Arc<Event>>,
        (at, now): (Timestamp, Timestamp),
    ) -> Result<()> {
        let mut at = at.max(incident.since());
        tx.scan(&MEMBERS, &keys::prefix(&[incident.id.as_str()]), "", &mut |_, member: Member| {
            at = at.max(member.ended_at.filter(|_| member.holds).unwrap_or(at));
            true
        })?;
        incident.status = IncidentStatus::Resolved;
        incident.resolved_at = Some(at);
        incident.reach = self.reach(&incident);
        self.healed(tx, &incident)?;
        self.step_at(tx, &incident.id, "quiet", None)?;
        // A cluster's incident may have kept those of its nodes from being told.
        if incident.affected > 0 || incident.subject.kind == CLUSTER {
            let wait = if incident.subject.kind == CLUSTER { NODE_LEFT } else { LEFTOVER };
            self.step_at(tx, &incident.id, "affected", Some(later(now, wait)))?;
        }
        self.save(tx, &incident)?;
        match event {
            Some(event) => self.route_resolved(tx, &incident, event, now),
            None => self.route_quiet(tx, &incident),
        }
    }

    /// The subject of an open incident changed: it may have what it wanted.
    pub(super) fn subject_changed(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        change: &Change,
        now: Timestamp,
    ) -> Result<()> {
        if self.clusters.get(uid).is_none_or(|cluster| cluster.open.is_empty()) {
            return Ok(());
        }
        let subject = format!("{}/{}/{}", change.key.kind, change.key.namespace, change.key.name);
        let gone = change.after.is_none();
        let Some(mut incident) = self.may_end(tx, uid, &subject, gone)? else { return Ok(()) };
        if gone && self.let_go(tx, &mut incident, now)? {
            self.save(tx, &incident)?;
        }
        self.try_resolve(tx, incident, None, (now, now))
    }

    /// A step of an incident's life is due.
    pub(super) fn step(&mut self, tx: &Tx<'_>, id: &IncidentId, step: &str, now: Timestamp) -> Result<()> {
        let Some(incident) = tx.get(&INCIDENTS, id.as_str())? else { return Ok(()) };
        match step.split_once(':') {
            Some(("repeat", connector)) => self.repeat(tx, &incident, connector, now),
            Some(("flap", connector)) => self.flapped_out(tx, &incident, connector, now),
            _ if step == "quiet" && incident.status == IncidentStatus::Open => self.quiet(tx, incident, now),
            _ if step == HEAL => self.try_resolve(tx, incident, None, (now, now)),
            _ if step == LEFT => self.left_behind(tx, &incident, now),
            _ if step == "affected" && incident.status == IncidentStatus::Resolved => {
                self.leftovers(tx, &incident, now)
            }
            _ => Ok(()),
        }
    }

    /// The cause is gone for a while, and these still fail: each is an incident of its own now.
    fn leftovers(&mut self, tx: &Tx<'_>, incident: &Incident, now: Timestamp) -> Result<()> {
        let mut members: Vec<(String, Member)> = tx.all(&MEMBERS, &keys::prefix(&[incident.id.as_str()]))?;
        let is_node = |member: &Member| member.event_type == EventType::NodeUnhealthy;
        // A node that fails on is the cause of what fails on it. It needs no time to come to; what ran on it does.
        members.sort_by_key(|(_, member)| !is_node(member));
        let early = incident.resolved_at.is_some_and(|at| later(at, LEFTOVER) > now);
        let mut waits = false;
        for (_, member) in members {
            if !member.affected || member.ended_at.is_some() {
                continue;
            }
            if early && !is_node(&member) {
                waits = true;
                continue;
            }
            // One that was taken over already belongs elsewhere.
            let row = self
                .firing_in(&incident.cluster_uid)
                .find(|f| f.fingerprint == member.fingerprint)
                .filter(|f| f.incident.as_ref() == Some(&incident.id))
                .cloned();
            let Some(mut row) = row else { continue };
            if row.healthy_since.is_some() {
                waits = true;
                continue;
            }
            let Some(event) = tx.entry(&EVENTS, row.seq)? else { continue };
            let place = self.find_place(tx, &event, now)?;
            // Its node may be found failing in a moment: it is looked at again.
            waits |= matches!(place, Place::Held);
            if let Place::Member { .. } | Place::Affected(_) = &place {
                row.incident = place.incident().cloned();
                let seq = row.seq;
                self.put_firing(tx, &incident.cluster_uid, row)?;
                self.place_later(tx, place, seq, event, now)?;
            }
        }
        if incident.subject.kind == CLUSTER {
            waits |= self.untold_nodes(tx, incident, now)?;
        }
        // What is about to be well is told only if it does not stay so.
        self.step_at(tx, &incident.id, "affected", waits.then(|| later(now, NODE_LEFT)))
    }

    /// Nodes that the cluster's incident spoke for, and that are still failing without it, are told now. Answers whether
    /// some are only about to be well.
    fn untold_nodes(&mut self, tx: &Tx<'_>, incident: &Incident, now: Timestamp) -> Result<bool> {
        let Some(cluster) = self.clusters.get(&incident.cluster_uid) else { return Ok(false) };
        let nodes = cluster.world.of_kind(Kind::Node).filter_map(|n| cluster.open.get(&n.reference().key()));
        let ids: Vec<IncidentId> = nodes.filter(|o| !o.standing).map(|o| o.id.clone()).collect();
        let mut waits = false;
        for id in ids {
            let fails = |f: &FiringRow| f.incident.as_ref() == Some(&id) && f.healthy_since.is_none();
            if !self.firing_in(&incident.cluster_uid).any(fails) {
                waits = true;
                continue;
            }
            if let Some(node) = tx.get(&INCIDENTS, id.as_str())?
                && let Some(event) = self.worst(tx, &node)?
            {
                self.route_incident(tx, &node, &event, now)?;
            }
        }
        Ok(waits)
    }
}
