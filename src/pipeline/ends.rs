//! The later messages of an incident: reminders, ends, and what is left unsaid because it healed or was overtaken.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    engine::Engine,
    firing::Over,
    healing::SubjectState,
    incidents::is_of_now,
    judge::later,
    route::{Account, Deliver},
    wording::{
        ending, lasted, outlasted, outlived, removed, removed_with_namespace, reworded, scaled_to_none,
    },
};
use crate::{
    event::{
        Event, Kind, Severity, Status,
        incident::{CLUSTER, Incident, IncidentStatus, Member, Phase},
        over,
    },
    feed::Feed,
    store::{
        DELIVERIES, DELIVERIES_BY, DeliveryRow, DeliveryState, MEMBERS, OUTBOX, OutboxRow, Read, Result,
        TOLD, Told, Tx, keys, pages,
    },
};

/// An incident that goes on for so long after what was told of it is over says so.
const OUTLASTED: Duration = Duration::from_mins(1);

impl Engine {
    /// Still open after `repeat_interval_secs`.
    pub(super) fn repeat(
        &mut self,
        tx: &Tx<'_>,
        incident: &Incident,
        connector: &str,
        now: Timestamp,
    ) -> Result<()> {
        let targets = self.targets();
        let Some(target) = targets.iter().find(|t| t.name == connector) else { return Ok(()) };
        if incident.status != IncidentStatus::Open {
            return Ok(());
        }
        let mut account = self.account(tx, target, &incident.id)?;
        if account.told.told_at.is_some() && !account.told.flapping && !account.told.ended {
            let event = match self.goes_on(tx, &account, incident)? {
                Some(event) => Some(event),
                None => self.worst(tx, incident)?,
            };
            if let Some(event) = event {
                self.say(tx, &mut account, Phase::Repeated, incident, &event, (now, now))?;
            }
        }
        self.remind(tx, &account, incident, now)
    }

    pub(super) fn worst(&self, tx: &Tx<'_>, incident: &Incident) -> Result<Option<Arc<Event>>> {
        let found = pages::event_by_id(tx, incident.worst_event.as_str())?;
        Ok(found.map(|(_, event)| Arc::new(event)))
    }

    /// The event that a connector was told of last, as its trouble is now.
    fn told_event(
        &self,
        tx: &Tx<'_>,
        account: &Account<'_>,
        incident: &Incident,
    ) -> Result<Option<Arc<Event>>> {
        let Some(id) = &account.told.event else { return Ok(None) };
        let found = pages::event_by_id(tx, id.as_str())?;
        Ok(found.map(|(_, event)| Arc::new(self.as_it_is(incident, event))))
    }

    /// What a reminder speaks of: what was told, or, where that is over, the worst of what is not.
    fn goes_on(&self, tx: &Tx<'_>, account: &Account<'_>, incident: &Incident) -> Result<Option<Arc<Event>>> {
        let told = self.told_event(tx, account, incident)?;
        let passes = &account.target.passes_type;
        let mut open: Vec<Member> = Vec::new();
        tx.scan(&MEMBERS, &keys::prefix(&[incident.id.as_str()]), "", &mut |_, member: Member| {
            if member.ended_at.is_none() && !member.affected && passes(member.event_type, member.severity) {
                open.push(member);
            }
            true
        })?;
        if let Some(told) = told
            && (open.is_empty() || open.iter().any(|m| m.fingerprint == told.fingerprint))
        {
            return Ok(Some(told));
        }
        let Some(worst) = open.iter().max_by_key(|m| (m.severity, std::cmp::Reverse(m.since))) else {
            return Ok(None);
        };
        let began = self.newest_of(tx, incident, Status::Firing, Some(&worst.fingerprint))?;
        Ok(began.map(|event| Arc::new(self.as_it_is(incident, (*event).clone()))))
    }

    /// With the newest words of the trouble that it told.
    pub(super) fn as_it_is(&self, incident: &Incident, event: Event) -> Event {
        let row = self.firing_in(&incident.cluster_uid).find(|f| f.fingerprint == event.fingerprint);
        reworded(event, row.and_then(|f| f.words.as_ref()))
    }

    /// The end of an incident in the words in which it was told: the whole incident's, whatever ended last.
    fn told_end(
        &self,
        tx: &Tx<'_>,
        account: &Account<'_>,
        incident: &Incident,
        (last, now): (&Arc<Event>, Timestamp),
    ) -> Result<Arc<Event>> {
        let told = match self.told_event(tx, account, incident)? {
            Some(told) => told,
            None if last.status != Status::Resolved => Arc::clone(last),
            // The event that was told is no longer kept.
            None => return Ok(Arc::clone(last)),
        };
        let own = self.newest_of(tx, incident, Status::Resolved, Some(&told.fingerprint))?;
        let at = incident.resolved_at.unwrap_or(now);
        let began = self.began(tx, incident, &told)?.min(at);
        // Its end says what it was like at last; but how long it lasted is that of all that had this trouble.
        let at_last = Event {
            details: own.as_ref().unwrap_or(&told).details.clone(),
            description: match &own {
                Some(own) => own.description.clone(),
                None => over::description(&told.description, false),
            },
            ..(*told).clone()
        };
        // What was told may have been over long before all that was wanted was there again.
        let over_at = self.over_before(tx, incident, &told, at)?.map(|over| over.max(began));
        let over = Over { at: over_at.unwrap_or(at), now, gone: false };
        let mut event = ending(at_last, &told.fingerprint, began, over);
        if over_at.is_some() {
            (event.timestamp, event.first_seen, event.last_seen) = (at, at, at);
            outlasted(&mut event, &incident.subject, &lasted(incident.since(), at));
        }
        let state = self.subject_state(incident);
        if state == SubjectState::WantsNone {
            scaled_to_none(&mut event, &incident.subject);
        }
        if state == SubjectState::Gone {
            event.subject = incident.subject.clone();
            if self.is_going(incident) {
                removed_with_namespace(&mut event);
            } else if self.outlives(incident, &told) {
                outlived(&mut event, &told);
            } else {
                removed(&mut event);
            }
        }
        event.id = own.as_ref().unwrap_or(last).id.clone();
        event.incident = Some(incident.id.clone());
        Ok(Arc::new(event))
    }

    /// When all of a trouble was over that was told, where its incident lasted longer for other reasons.
    fn over_before(
        &self,
        tx: &Tx<'_>,
        incident: &Incident,
        told: &Event,
        end: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let (mut over, mut open) = (None, false);
        tx.scan(&MEMBERS, &keys::prefix(&[incident.id.as_str()]), "", &mut |_, member: Member| {
            if member.holds && !member.affected && member.event_type == told.event_type {
                open |= member.ended_at.is_none();
                over = over.max(member.ended_at);
            }
            true
        })?;
        let before = |over: &Timestamp| later(*over, OUTLASTED) < end;
        Ok(over.filter(|over| !open && before(over)))
    }

    /// Since when an incident was what was told: from its beginning on, but where something else was there before.
    fn began(&self, tx: &Tx<'_>, incident: &Incident, told: &Event) -> Result<Timestamp> {
        let (mut of_told, mut of_others) = (None, None);
        tx.scan(&MEMBERS, &keys::prefix(&[incident.id.as_str()]), "", &mut |_, member: Member| {
            if member.holds && !member.affected && is_of_now(&member, incident.reopened_at) {
                // A cluster's troubles are all of one type.
                let same = member.event_type == told.event_type
                    && (incident.subject.kind != CLUSTER || member.fingerprint == told.fingerprint);
                let began = if same { &mut of_told } else { &mut of_others };
                *began = Some(began.map_or(member.since, |at: Timestamp| at.min(member.since)));
            }
            true
        })?;
        let later = of_told.filter(|told| of_others.is_some_and(|other| other < *told));
        Ok(later.unwrap_or(incident.since()))
    }

    /// Whether its namespace is being deleted: whatever goes on in it goes with it, in a moment.
    fn is_going(&self, incident: &Incident) -> bool {
        let namespace = &incident.subject.namespace;
        let cluster = self.clusters.get(&incident.cluster_uid).filter(|_| !namespace.is_empty());
        cluster
            .and_then(|c| c.world.find(Kind::Namespace, "", namespace))
            .is_some_and(|found| found.is_terminating())
    }

    /// Whether what was told goes on without the incident.
    fn outlives(&self, incident: &Incident, told: &Event) -> bool {
        self.firing_in(&incident.cluster_uid).any(|f| {
            f.fingerprint == told.fingerprint
                && f.incident.as_ref() != Some(&incident.id)
                && f.healthy_since.is_none()
        })
    }

    /// An incident is over: everybody who was told, or is about to be, is told.
    pub(super) fn route_resolved(
        &mut self,
        tx: &Tx<'_>,
        incident: &Incident,
        event: &Arc<Event>,
        now: Timestamp,
    ) -> Result<()> {
        for target in self.targets().iter().filter(|t| t.deliver == Deliver::Incidents) {
            let mut account = self.account(tx, target, &incident.id)?;
            if account.told.severity.is_none() || account.told.ended {
                continue;
            }
            self.step_at(tx, &incident.id, &format!("repeat:{}", target.name), None)?;
            let waiting = self.waiting(tx, &account, now)?;
            if let Some(row) = waiting
                && !self.unsaid(tx, &mut account, &row, incident, now)?
            {
                continue;
            }
            if account.told.flapping {
                account.told.ended = true;
                tx.put(&TOLD, &account.key, &account.told)?;
                let quiet_for = self.config.incidents.reopen_within;
                let step = format!("flap:{}", target.name);
                self.step_at(tx, &incident.id, &step, Some(later(now, quiet_for)))?;
                continue;
            }
            let event = self.told_end(tx, &account, incident, (event, now))?;
            self.say(tx, &mut account, Phase::Resolved, incident, &event, (now, now))?;
        }
        Ok(())
    }

    /// What heals while it waits is not told. Whether there is still an end to tell.
    fn unsaid(
        &mut self,
        tx: &Tx<'_>,
        account: &mut Account<'_>,
        row: &OutboxRow,
        incident: &Incident,
        now: Timestamp,
    ) -> Result<bool> {
        tx.remove(&OUTBOX, &keys::outbox(&account.target.name, row.seq))?;
        account.told.queued.retain(|seq| *seq != row.seq);
        let first = matches!(row.notification.phase, Phase::Opened | Phase::Reopened | Phase::Flapping);
        let detail = if first {
            let opened = row.notification.phase == Phase::Opened;
            let began = if opened { incident.opened_at } else { row.notification.event.timestamp };
            format!("not told, healed in {}", lasted(began, now))
        } else {
            "not told, the incident ended first".to_owned()
        };
        self.dropped(tx, row, detail, now)?;
        if first {
            account.told.ended = row.notification.phase != Phase::Opened;
            if row.notification.phase == Phase::Opened {
                account.told.severity = None;
                account.told.event = None;
            }
            account.told.flapping = false;
        } else if account.told.flapping && row.notification.phase == Phase::Worse {
            // Nobody heard how bad it was: the next time it is as bad, that is news. What was told before was at least
            // one step better.
            let heard = row.notification.severity();
            account.told.severity = Severity::ALL.into_iter().find(|s| *s < heard);
        }
        tx.put(&TOLD, &account.key, &account.told)?;
        Ok(!first)
    }

    /// A line in the log of deliveries for a message that was never sent.
    pub(super) fn dropped(
        &mut self,
        tx: &Tx<'_>,
        row: &OutboxRow,
        detail: String,
        now: Timestamp,
    ) -> Result<()> {
        let n = &row.notification;
        let incident = n.incident.as_ref().map(|i| i.id.clone());
        let delivery = DeliveryRow::of(n, now, DeliveryState::Dropped, detail);
        let seq = tx.append(&DELIVERIES, &delivery)?;
        for key in keys::deliveries_by(incident.as_ref(), &n.event.id, seq) {
            tx.put(&DELIVERIES_BY, &key, &())?;
        }
        self.feed.push(Feed::Delivery { seq, delivery: Arc::new(delivery) });
        Ok(())
    }

    /// An incident of one-shots ended, or left the scope: nobody is told, reminders stop. What breaks after it is told as
    /// broken again, whatever was told before.
    pub(super) fn route_quiet(&mut self, tx: &Tx<'_>, incident: &Incident) -> Result<()> {
        for target in self.targets().iter().filter(|t| t.deliver == Deliver::Incidents) {
            let mut account = self.account(tx, target, &incident.id)?;
            self.step_at(tx, &incident.id, &format!("repeat:{}", target.name), None)?;
            if account.told.severity.is_some() && !account.told.ended {
                account.told.ended = true;
                tx.put(&TOLD, &account.key, &account.told)?;
            }
        }
        Ok(())
    }

    /// A flapping incident has stayed resolved: its one resolve is sent.
    pub(super) fn flapped_out(
        &mut self,
        tx: &Tx<'_>,
        incident: &Incident,
        connector: &str,
        now: Timestamp,
    ) -> Result<()> {
        let targets = self.targets();
        let Some(target) = targets.iter().find(|t| t.name == connector) else { return Ok(()) };
        let mut incident = incident.clone();
        if incident.status == IncidentStatus::Open {
            if incident.held {
                return Ok(());
            }
            // Open by one-shots alone: no end of its own will be told.
            incident.status = IncidentStatus::Resolved;
            incident.resolved_at = Some(now);
        }
        let incident = &incident;
        let mut account = self.account(tx, target, &incident.id)?;
        account.told.flapping = false;
        account.told.reopened.clear();
        let event = match self.last_end(tx, incident)? {
            Some(event) => Some(event),
            None => self.worst(tx, incident)?,
        };
        match event {
            Some(event) => {
                let event = self.told_end(tx, &account, incident, (&event, now))?;
                self.say(tx, &mut account, Phase::Resolved, incident, &event, (now, now))
            }
            None => tx.put(&TOLD, &account.key, &account.told),
        }
    }

    /// Messages about these incidents that were not sent yet are not sent: a greater trouble tells it all.
    pub(super) fn overtaken(&mut self, tx: &Tx<'_>, incidents: &[Incident], now: Timestamp) -> Result<()> {
        let targets = self.targets();
        for (incident, target) in incidents.iter().flat_map(|i| targets.iter().map(move |t| (i, t))) {
            let account = self.account(tx, target, &incident.id)?;
            if let Some(row) = self.waiting(tx, &account, now)? {
                tx.remove(&OUTBOX, &keys::outbox(&target.name, row.seq))?;
                self.dropped(tx, &row, "not told, the cluster's own incident tells it".to_owned(), now)?;
                tx.put(&TOLD, &account.key, &Told { made: made(&account.told), ..Told::default() })?;
            }
        }
        Ok(())
    }
}

fn made(told: &Told) -> BTreeMap<Phase, u32> {
    told.made.clone()
}
