//! Where an event belongs: it opens an incident, joins one, is another's doing, or stands alone.

use std::{collections::HashSet, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{cause::Cause, engine::Engine, judge::later, route::News};
use crate::{
    detect::kube_reasons,
    event::{
        ClusterUid, Event, EventType, IncidentId, Kind, ObjectRef, Role,
        incident::{Incident, IncidentStatus, Member},
    },
    feed::Feed,
    store::{
        Due, EVENTS, INCIDENT_EVENTS, INCIDENT_OF, INCIDENTS, INCIDENTS_BY_TIME, MEMBERS, Read, Result, Tx,
        keys,
    },
};

/// How long a critical trouble waits for its node to be found failing.
const PERHAPS: Duration = Duration::from_secs(1);

/// An event's place.
pub(super) enum Place {
    /// Outside incidents.
    Alone,
    /// A Kubernetes Event whose story a detector will tell, if there is one: these types.
    Pending(Vec<EventType>),
    /// It waits for its cause.
    Held,
    /// It belongs to an open incident's story, without being a trouble of its own.
    Joins(IncidentId),
    /// It is the doing of another subject's incident.
    Affected(IncidentId),
    /// It says how the incident's subject went, which has just ended it: it opens nothing again.
    After(IncidentId),
    /// A trouble of an incident, which it perhaps opens (again).
    Member { incident: Box<Incident>, news: News },
}

impl Place {
    pub fn incident(&self) -> Option<&IncidentId> {
        match self {
            Place::Alone | Place::Pending(_) | Place::Held => None,
            Place::Joins(id) | Place::Affected(id) | Place::After(id) => Some(id),
            Place::Member { incident, .. } => Some(&incident.id),
        }
    }
}

impl Engine {
    pub(super) fn find_place(&self, tx: &Tx<'_>, event: &Event, now: Timestamp) -> Result<Place> {
        if event.ignored.is_some() {
            return Ok(Place::Alone);
        }
        if let Some(flood) = self.flood_of(event) {
            return Ok(Place::Joins(flood));
        }
        match event.role {
            Role::Context => Ok(Place::Alone),
            Role::Joins => {
                let open =
                    self.clusters.get(&event.cluster_uid).and_then(|c| c.open.get(&event.subject.key()));
                let reason = event.details.get("reason").and_then(|r| r.as_str()).unwrap_or_default();
                Ok(match open {
                    Some(open) => Place::Joins(open.id.clone()),
                    None => Place::Pending(kube_reasons::spoken_for(reason).to_vec()),
                })
            }
            Role::Opens | Role::OneShot => match self.cause(event, now) {
                Cause::Of(id) => Ok(Place::Affected(id)),
                Cause::Perhaps if !event.standing => Ok(Place::Held),
                Cause::Own | Cause::Perhaps => self.member_of(tx, event, now),
            },
        }
    }

    pub(super) fn member_of(&self, tx: &Tx<'_>, event: &Event, now: Timestamp) -> Result<Place> {
        let newest = tx.get(&INCIDENT_OF, &keys::incident_of(&event.cluster_uid, &event.subject))?;
        let newest: Option<Incident> = match newest {
            Some(id) => tx.get(&INCIDENTS, &id)?,
            None => None,
        };
        if let Some(incident) = newest {
            if incident.status == IncidentStatus::Open {
                return Ok(Place::Member { incident: Box::new(incident), news: News::Goes });
            }
            if self.is_last_of(&incident, event, now) {
                return Ok(Place::After(incident.id));
            }
            let types = self.config.types.get(&event.event_type);
            let within = types.and_then(|t| t.reopen_within).unwrap_or(self.config.incidents.reopen_within);
            if incident.resolved_at.is_some_and(|at| later(at, within) >= now) {
                return Ok(Place::Member { incident: Box::new(incident), news: News::Again });
            }
        }
        let incident = Incident {
            id: IncidentId::new(&event.cluster_uid, &event.subject.key(), event.timestamp),
            cluster: event.cluster.clone(),
            cluster_uid: event.cluster_uid.clone(),
            subject: event.subject.clone(),
            status: IncidentStatus::Open,
            opened_at: event.timestamp,
            last_at: event.timestamp,
            resolved_at: None,
            event_type: event.event_type,
            opened_by: Some(event.event_type),
            severity: event.severity,
            title: event.title.clone(),
            description: event.description.clone(),
            worst_event: event.id.clone(),
            events: 0,
            holding: 0,
            held: false,
            members: 0,
            affected: 0,
            reach: None,
            standing: event.standing,
            reopened: 0,
            reopened_at: None,
            refired_at: None,
            suspects: self.suspects(&event.cluster_uid, &event.subject, event.timestamp),
        };
        Ok(Place::Member { incident: Box::new(incident), news: News::Opens })
    }

    /// Puts a stored event into its place, and makes the messages.
    pub(super) fn enter(
        &mut self,
        tx: &Tx<'_>,
        place: Place,
        seq: u64,
        event: &Arc<Event>,
        now: Timestamp,
    ) -> Result<()> {
        match place {
            Place::Alone => {}
            Place::Pending(types) => {
                let wait = types.iter().map(|t| kube_reasons::threshold_secs(*t)).max().unwrap_or(0) + 5;
                let key = format!("join\0{seq}");
                let at = later(now, Duration::from_secs(wait.into()));
                let uid = event.cluster_uid.0.clone();
                self.dues.set(tx, &key, Some(at), || (uid, Due::PendingJoin { seq, types }))?;
            }
            Place::Held => {
                let key = format!("hold\0{seq}");
                let what = || (event.cluster_uid.0.clone(), Due::Held { seq });
                self.dues.set(tx, &key, Some(later(now, PERHAPS)), what)?;
            }
            Place::Joins(id) => {
                if let Some(mut incident) = tx.get(&INCIDENTS, id.as_str())? {
                    self.link(tx, &mut incident, seq, event)?;
                    self.save(tx, &incident)?;
                }
            }
            Place::Affected(id) => self.affect(tx, &id, seq, event)?,
            Place::After(id) => self.add_last(tx, &id, (seq, event), now)?,
            Place::Member { incident, news } => self.admit(tx, *incident, news, (seq, event), now)?,
        }
        self.route_event(tx, event, now)
    }

    pub(super) fn link(
        &mut self,
        tx: &Tx<'_>,
        incident: &mut Incident,
        seq: u64,
        event: &Event,
    ) -> Result<()> {
        incident.events += event.count.max(1);
        incident.last_at = incident.last_at.max(event.timestamp);
        tx.put(&INCIDENT_EVENTS, &keys::incident_event(&incident.id, seq), &())
    }

    /// Stores an incident's newest state.
    pub(super) fn save(&mut self, tx: &Tx<'_>, incident: &Incident) -> Result<()> {
        tx.put(&INCIDENTS, incident.id.as_str(), incident)?;
        if incident.status == IncidentStatus::Open {
            self.note_open(incident);
        } else if let Some(cluster) = self.clusters.get_mut(&incident.cluster_uid) {
            cluster.open.remove(&incident.subject.key());
            cluster.affected_by.remove(&incident.id);
        }
        self.feed.push(Feed::Incident { incident: Arc::new(incident.clone()) });
        Ok(())
    }

    fn admit(
        &mut self,
        tx: &Tx<'_>,
        mut incident: Incident,
        news: News,
        (seq, event): (u64, &Arc<Event>),
        now: Timestamp,
    ) -> Result<()> {
        if news == News::Opens {
            let of = keys::incident_of(&incident.cluster_uid, &incident.subject);
            tx.put(&INCIDENT_OF, &of, &incident.id.0)?;
            tx.put(&INCIDENTS_BY_TIME, &keys::incident_by_time(incident.opened_at, &incident.id), &())?;
        }
        if news == News::Again {
            incident.status = IncidentStatus::Open;
            // What began earlier was no trouble of it while it was well.
            incident.reopened_at = Some(event.timestamp).max(incident.resolved_at.take());
            incident.reopened += 1;
            incident.refired_at = None;
            incident.opened_by = Some(event.event_type);
            incident.standing = event.standing;
            // What held it before is over: a one-shot alone ends quietly, as in an incident of its own.
            incident.holding = 0;
            incident.held = false;
            incident.suspects = self.suspects(&event.cluster_uid, &event.subject, incident.since());
        }
        if news == News::Goes && event.role == Role::Opens {
            self.refire(tx, &mut incident, event.timestamp)?;
        }
        // What gave it its name is over: as bad a trouble that comes now does.
        let unnamed = incident.held && incident.holding == 0 && event.severity == incident.severity;
        self.join(tx, &mut incident, event)?;
        let before = incident.severity;
        let worse = event.severity > incident.severity || news != News::Goes || unnamed;
        if worse {
            incident.severity = event.severity;
            incident.event_type = event.event_type;
            incident.title.clone_from(&event.title);
            incident.description.clone_from(&event.description);
            incident.worst_event = event.id.clone();
        }
        self.link(tx, &mut incident, seq, event)?;
        self.save(tx, &incident)?;
        if event.role == Role::OneShot && !incident.held {
            let secs = self.config.types.get(&event.event_type).and_then(|t| t.one_shot);
            let at = later(now, secs.unwrap_or(self.config.incidents.one_shot));
            self.step_at(tx, &incident.id, "quiet", Some(at))?;
        }
        // What stood at the first sight is told only when it gets worse.
        let silent = event.standing || (incident.standing && event.severity <= before && news == News::Goes);
        if silent { Ok(()) } else { self.route_incident(tx, &incident, event, now) }
    }

    /// Makes the event's object a member, or a member again.
    pub(super) fn join(&mut self, tx: &Tx<'_>, incident: &mut Incident, event: &Event) -> Result<()> {
        let key = keys::member(&incident.id, &event.fingerprint);
        let holds = event.role == Role::Opens;
        let begins = event.timestamp.max(incident.reopened_at.unwrap_or(event.timestamp));
        let mut member = if let Some(member) = tx.get(&MEMBERS, &key)? {
            member
        } else {
            incident.members += 1;
            Member { since: begins, ..member(event, false) }
        };
        let held = member.holds && member.ended_at.is_none() && member.count > 0;
        if holds && !held {
            incident.holding += 1;
            incident.held = true;
        }
        if !held && (holds || !is_of_now(&member, incident.reopened_at)) {
            member.since = begins;
        }
        member.holds = holds;
        member.ended_at = (!holds).then_some(event.timestamp);
        member.count += event.count.max(1);
        member.severity = member.severity.max(event.severity);
        member.title.clone_from(&event.title);
        tx.put(&MEMBERS, &key, &member)
    }

    /// Whether an object is affected for the first time: one that has several troubles counts once.
    fn is_newly_affected(&mut self, tx: &Tx<'_>, incident: &Incident, event: &Event) -> Result<bool> {
        let Some(cluster) = self.clusters.get_mut(&incident.cluster_uid) else { return Ok(true) };
        let name = |object: &ObjectRef| (object.key(), object.uid.clone());
        if !cluster.affected_by.contains_key(&incident.id) {
            let mut objects = HashSet::new();
            tx.scan(&MEMBERS, &keys::prefix(&[incident.id.as_str()]), "", &mut |_, member: Member| {
                if member.affected {
                    objects.insert(name(&member.object));
                }
                true
            })?;
            cluster.affected_by.insert(incident.id.clone(), objects);
        }
        let objects = cluster.affected_by.entry(incident.id.clone()).or_default();
        Ok(objects.insert(name(&event.object)))
    }

    fn affect(&mut self, tx: &Tx<'_>, id: &IncidentId, seq: u64, event: &Event) -> Result<()> {
        let Some(mut incident) = tx.get(&INCIDENTS, id.as_str())? else { return Ok(()) };
        let key = keys::member(id, &event.fingerprint);
        if tx.get(&MEMBERS, &key)?.is_none() {
            incident.affected += u32::from(self.is_newly_affected(tx, &incident, event)?);
        }
        let mut member = member(event, true);
        member.ended_at = (event.role != Role::Opens).then_some(event.timestamp);
        member.count = 1;
        tx.put(&MEMBERS, &key, &member)?;
        self.link(tx, &mut incident, seq, event)?;
        self.save(tx, &incident)
    }

    /// A folded repeat: counts, and connectors that waited for more of it.
    pub(super) fn counted(
        &mut self,
        tx: &Tx<'_>,
        (_, before, event): (u64, &Event, &Event),
        now: Timestamp,
    ) -> Result<()> {
        let event = Arc::new(event.clone());
        let Some(id) = &event.incident else { return self.route_counted(tx, None, before, &event, now) };
        let Some(mut incident) = tx.get(&INCIDENTS, id.as_str())? else { return Ok(()) };
        incident.events += event.count - before.count;
        incident.last_at = incident.last_at.max(event.last_seen);
        let key = keys::member(id, &event.fingerprint);
        if let Some(mut member) = tx.get(&MEMBERS, &key)? {
            member.count += event.count - before.count;
            tx.put(&MEMBERS, &key, &member)?;
        }
        self.save(tx, &incident)?;
        if incident.status == IncidentStatus::Open && !incident.standing {
            self.route_counted(tx, Some(&incident), before, &event, now)?;
        }
        Ok(())
    }

    /// The detector that speaks for a Kubernetes Event has had its time: the Event joins what was opened, or, where
    /// that detector cannot see, leads.
    pub(super) fn join_or_lead(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        seq: u64,
        types: &[EventType],
        now: Timestamp,
    ) -> Result<()> {
        let Some(mut event) = tx.entry(&EVENTS, seq)? else { return Ok(()) };
        if event.incident.is_some() {
            return Ok(());
        }
        let Some(cluster) = self.clusters.get(uid) else { return Ok(()) };
        // It left what is watched meanwhile, with everything that could speak for it.
        if cluster.is_shut(Kind::Event, &event.object.namespace) {
            return Ok(());
        }
        let open = cluster.open.get(&event.subject.key()).map(|o| o.id.clone());
        let own = Kind::parse(&event.object.kind);
        let is_shut = |kind: Kind| cluster.is_shut(kind, &event.object.namespace);
        // Pods that are seen tell themselves that they are not ready, all of a workload as one, and in their own time.
        let of_node = types == [EventType::NodeUnhealthy] && own == Some(Kind::Pod) && !is_shut(Kind::Pod);
        let blind =
            !of_node && types.iter().all(|t| kube_reasons::judged_kind(*t).or(own).is_none_or(is_shut));
        let place = match open {
            Some(id) => Place::Joins(id),
            None if blind => {
                event.role = Role::OneShot;
                self.gather(&mut event);
                self.name_context(&mut event);
                self.find_place(tx, &event, now)?
            }
            None => return Ok(()),
        };
        self.place_later(tx, place, seq, event, now)
    }

    /// An event that was stored without a place finds it now.
    pub(super) fn place_later(
        &mut self,
        tx: &Tx<'_>,
        place: Place,
        seq: u64,
        mut event: Event,
        now: Timestamp,
    ) -> Result<()> {
        event.incident = place.incident().cloned();
        tx.put_entry(&EVENTS, seq, &event)?;
        let event = Arc::new(event);
        self.feed.push(Feed::Event { seq, event: Arc::clone(&event) });
        match place {
            Place::Joins(id) => {
                if let Some(mut incident) = tx.get(&INCIDENTS, id.as_str())? {
                    self.link(tx, &mut incident, seq, &event)?;
                    self.save(tx, &incident)?;
                }
                Ok(())
            }
            Place::Affected(id) => self.affect(tx, &id, seq, &event),
            Place::After(id) => self.add_last(tx, &id, (seq, &event), now),
            Place::Member { incident, news } => self.admit(tx, *incident, news, (seq, &event), now),
            Place::Alone | Place::Pending(_) | Place::Held => Ok(()),
        }
    }

    /// The node had its moment: an event that was held opens its own incident, or is the node's doing.
    pub(super) fn held(&mut self, tx: &Tx<'_>, uid: &ClusterUid, seq: u64, now: Timestamp) -> Result<()> {
        let Some(event) = tx.entry(&EVENTS, seq)? else { return Ok(()) };
        let row = self.firing_in(uid).find(|f| f.event == event.id).cloned();
        // It healed within the second. A one-shot has no such row.
        if row.is_none() && event.role != Role::OneShot {
            return Ok(());
        }
        let place = match self.cause(&event, now) {
            Cause::Of(id) => Place::Affected(id),
            Cause::Own | Cause::Perhaps => self.member_of(tx, &event, now)?,
        };
        if let Some(mut row) = row {
            row.incident = place.incident().cloned();
            self.put_firing(tx, uid, row)?;
        }
        self.place_later(tx, place, seq, event, now)
    }

    /// Sets, moves or removes a step of an incident's life.
    pub(super) fn step_at(
        &mut self,
        tx: &Tx<'_>,
        id: &IncidentId,
        step: &str,
        at: Option<Timestamp>,
    ) -> Result<()> {
        let key = keys::step_due(id, step);
        let what = || (String::new(), Due::Incident { id: id.clone(), step: step.to_owned() });
        self.dues.set(tx, &key, at, what)
    }
}

/// Whether a member's trouble is of the time since the incident was broken again, if it was.
pub(super) fn is_of_now(member: &Member, reopened_at: Option<Timestamp>) -> bool {
    let Some(since) = reopened_at else { return true };
    member.since >= since || member.ended_at.is_none_or(|at| at > since)
}

fn member(event: &Event, affected: bool) -> Member {
    Member {
        fingerprint: event.fingerprint.clone(),
        object: event.object.clone(),
        event_type: event.event_type,
        severity: event.severity,
        title: event.title.clone(),
        since: event.timestamp,
        ended_at: None,
        holds: event.role == Role::Opens,
        affected,
        count: 0,
    }
}
