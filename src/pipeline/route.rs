//! From events and incidents to messages: who is told what, when, and what is left unsaid.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{engine::Engine, incidents::lasted, judge::later};
use crate::{
    connector::Notification,
    event::{
        Event, EventType, IncidentId, Kind, NotificationId, Role, Severity, Status,
        incident::{Incident, IncidentFacts, IncidentStatus, Member, MemberFact, Phase},
    },
    feed::Feed,
    store::{
        DELIVERIES, DELIVERIES_BY, DeliveryRow, DeliveryState, MEMBERS, OUTBOX, OutboxRow, Read, Result,
        TOLD, Told, Tx, keys,
    },
};

/// The second reopening within this time is told as flapping.
const FLAPPING: SignedDuration = SignedDuration::from_hours(1);
/// More members than this are counted, not named.
const NAMED: usize = 20;

/// What a connector is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deliver {
    /// A message when an incident opens, gets worse, ends; and the other types it names.
    Incidents,
    /// Every event that passes, once.
    Events,
    /// A PainChain post per change of an object.
    Posts,
}

/// A question about an event.
pub type Passes = Arc<dyn Fn(&Event, Timestamp) -> bool + Send + Sync>;
/// A question about a member of an incident.
pub type PassesType = Arc<dyn Fn(EventType, Severity) -> bool + Send + Sync>;

/// One enabled connector, as routing sees it.
#[derive(Clone)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// What it is sent.
    pub deliver: Deliver,
    /// A reminder while open.
    pub repeat: Duration,
    /// How long its messages wait for worse to come; `None` = by type and severity.
    pub settle: Option<Duration>,
    /// Its events, severity and conditions.
    pub passes: Passes,
    /// Its events and severity alone.
    pub passes_type: PassesType,
}

/// What an event is to its incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// The first.
    Opens,
    /// One more.
    Goes,
    /// The first after its end.
    Again,
}

/// What one connector knows of one incident, with its row's key.
struct Account<'a> {
    target: &'a Target,
    key: String,
    told: Told,
}

impl Engine {
    pub(super) fn targets(&self) -> Arc<[Target]> {
        if self.config.watch_only { Arc::new([]) } else { Arc::clone(&self.targets) }
    }

    /// An event outside incidents, or for connectors that take events.
    pub(super) fn route_event(&mut self, tx: &Tx<'_>, event: &Arc<Event>, now: Timestamp) -> Result<()> {
        if event.standing || event.ignored.is_some() {
            return Ok(());
        }
        for target in self.targets().iter() {
            let wanted = match target.deliver {
                Deliver::Events => true,
                Deliver::Incidents => event.role == Role::Context && event.status != Status::Resolved,
                Deliver::Posts => false,
            };
            if wanted && !is_about(event, target) && (target.passes)(event, now) {
                self.send_event(tx, target, event, now)?;
            }
        }
        Ok(())
    }

    fn send_event(&mut self, tx: &Tx<'_>, target: &Target, event: &Arc<Event>, now: Timestamp) -> Result<()> {
        let id = NotificationId::new(&target.name, event.id.as_str(), Phase::Event.as_str(), 0);
        let notification = Notification {
            id,
            connector: target.name.clone(),
            phase: Phase::Event,
            event: (**event).clone(),
            incident: None,
            digest: Vec::new(),
            post: None,
            created_at: now,
        };
        self.enqueue(tx, notification, now).map(|_| ())
    }

    /// Puts a message into the outbox.
    pub(super) fn enqueue(
        &mut self,
        tx: &Tx<'_>,
        notification: Notification,
        due_at: Timestamp,
    ) -> Result<u64> {
        let seq = tx.next_seq()?;
        let connector = notification.connector.clone();
        let row = OutboxRow { seq, notification, due_at, claim: None };
        tx.put(&OUTBOX, &keys::outbox(&connector, seq), &row)?;
        self.counts.routed += 1;
        self.wake.insert(connector);
        Ok(seq)
    }

    /// A folded repeat may make a connector's `min_count` true.
    pub(super) fn route_counted(
        &mut self,
        tx: &Tx<'_>,
        incident: Option<&Incident>,
        before: &Event,
        event: &Arc<Event>,
        now: Timestamp,
    ) -> Result<()> {
        if event.standing || event.ignored.is_some() {
            return Ok(());
        }
        for target in self.targets().iter() {
            if (target.passes)(before, now) || !(target.passes)(event, now) || is_about(event, target) {
                continue;
            }
            match (target.deliver, incident) {
                (Deliver::Incidents, Some(incident)) => {
                    self.tell_one(tx, target, incident, event, (News::Goes, now))?;
                }
                (Deliver::Events, _) => self.send_event(tx, target, event, now)?,
                (Deliver::Incidents, None) if event.role == Role::Context => {
                    self.send_event(tx, target, event, now)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// An event became part of an open incident.
    pub(super) fn route_incident(
        &mut self,
        tx: &Tx<'_>,
        incident: &Incident,
        event: &Arc<Event>,
        news: News,
        now: Timestamp,
    ) -> Result<()> {
        for target in self.targets().iter() {
            if target.deliver == Deliver::Incidents && !is_about(event, target) && (target.passes)(event, now)
            {
                self.tell_one(tx, target, incident, event, (news, now))?;
            }
        }
        Ok(())
    }

    fn account<'a>(&self, tx: &Tx<'_>, target: &'a Target, id: &IncidentId) -> Result<Account<'a>> {
        let key = keys::told(&target.name, id);
        let told = tx.get(&TOLD, &key)?.unwrap_or_default();
        Ok(Account { target, key, told })
    }

    /// The row of this incident that waits and may still be replaced: neither claimed nor past due.
    fn waiting(&self, tx: &Tx<'_>, account: &Account<'_>, now: Timestamp) -> Result<Option<OutboxRow>> {
        for seq in account.told.queued.iter().rev() {
            let row: Option<OutboxRow> = tx.get(&OUTBOX, &keys::outbox(&account.target.name, *seq))?;
            if let Some(row) = row {
                return Ok(Some(row).filter(|r| r.claim.is_none() && r.due_at > now));
            }
        }
        Ok(None)
    }

    fn tell_one(
        &mut self,
        tx: &Tx<'_>,
        target: &Target,
        incident: &Incident,
        event: &Arc<Event>,
        (news, now): (News, Timestamp),
    ) -> Result<()> {
        let mut account = self.account(tx, target, &incident.id)?;
        let waiting = self.waiting(tx, &account, now)?;
        let settled =
            later(now, self.config.incidents.settle(&self.config.types, event.event_type, event.severity));
        if account.told.ended {
            return self.tell_again(tx, account, incident, event, (settled, now));
        }
        let Some(worst) = account.told.severity else {
            self.say(tx, &mut account, Phase::Opened, incident, event, (settled, now))?;
            return self.remind(tx, &account, incident, now);
        };
        if event.severity > worst && !account.told.flapping {
            let (phase, due) = match &waiting {
                // What waits was never sent: what is worse takes its place, and need not wait longer than it.
                Some(row) => {
                    tx.remove(&OUTBOX, &keys::outbox(&target.name, row.seq))?;
                    (row.notification.phase, settled.min(row.due_at))
                }
                None => (Phase::Worse, settled),
            };
            self.say(tx, &mut account, phase, incident, event, (due, now))
        } else if let Some(mut row) = waiting {
            // The same message, with the newest counts.
            row.notification.incident = Some(self.facts(tx, target, incident, row.notification.phase)?);
            tx.put(&OUTBOX, &keys::outbox(&target.name, row.seq), &row)
        } else {
            let _ = news;
            Ok(())
        }
    }

    /// Broken again, after its end was routed.
    fn tell_again(
        &mut self,
        tx: &Tx<'_>,
        mut account: Account<'_>,
        incident: &Incident,
        event: &Arc<Event>,
        (settled, now): (Timestamp, Timestamp),
    ) -> Result<()> {
        account.told.ended = false;
        self.step_at(tx, &incident.id, &format!("flap:{}", account.target.name), None)?;
        if account.told.flapping {
            return tx.put(&TOLD, &account.key, &account.told);
        }
        // A resolve that nobody has seen yet is taken back, and nothing was said.
        for seq in account.told.queued.clone() {
            let key = keys::outbox(&account.target.name, seq);
            let row: Option<OutboxRow> = tx.get(&OUTBOX, &key)?;
            if row.is_some_and(|r| r.claim.is_none() && r.notification.phase == Phase::Resolved) {
                tx.remove(&OUTBOX, &key)?;
                return tx.put(&TOLD, &account.key, &account.told);
            }
        }
        account.told.reopened.retain(|at| now.duration_since(*at) < FLAPPING);
        account.told.reopened.push(now);
        account.told.told_at = None;
        account.told.resolved_at = None;
        let phase = if account.told.reopened.len() > 1 { Phase::Flapping } else { Phase::Reopened };
        account.told.flapping = phase == Phase::Flapping;
        self.say(tx, &mut account, phase, incident, event, (settled, now))?;
        self.remind(tx, &account, incident, now)
    }

    /// Makes a message about an incident, and keeps the account of it.
    fn say(
        &mut self,
        tx: &Tx<'_>,
        account: &mut Account<'_>,
        phase: Phase,
        incident: &Incident,
        event: &Arc<Event>,
        (due_at, now): (Timestamp, Timestamp),
    ) -> Result<()> {
        let target = account.target;
        let made = account.told.made.entry(phase).or_default();
        let id = NotificationId::new(&target.name, incident.id.as_str(), phase.as_str(), *made);
        *made += 1;
        if phase == Phase::Resolved {
            account.told.ended = true;
        } else {
            account.told.severity = account.told.severity.max(Some(event.severity));
        }
        let mut facts = self.facts(tx, target, incident, phase)?;
        facts.severity = account.told.severity.unwrap_or(incident.severity);
        let notification = Notification {
            id,
            connector: target.name.clone(),
            phase,
            event: (**event).clone(),
            incident: Some(facts),
            digest: Vec::new(),
            post: None,
            created_at: now,
        };
        let seq = self.enqueue(tx, notification, due_at)?;
        // Rows that are answered do not matter any more; a handful of the newest is all that is looked at.
        account.told.queued.push(seq);
        let excess = account.told.queued.len().saturating_sub(4);
        account.told.queued.drain(..excess);
        tx.put(&TOLD, &account.key, &account.told)
    }

    fn remind(
        &mut self,
        tx: &Tx<'_>,
        account: &Account<'_>,
        incident: &Incident,
        now: Timestamp,
    ) -> Result<()> {
        let types = self.config.types.get(&incident.event_type);
        let every = types.and_then(|t| t.repeat_interval).unwrap_or(account.target.repeat);
        if every.is_zero() {
            return Ok(());
        }
        let step = format!("repeat:{}", account.target.name);
        self.step_at(tx, &incident.id, &step, Some(later(now, every)))
    }

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
            let event = self.worst(tx, incident)?;
            if let Some(event) = event {
                self.say(tx, &mut account, Phase::Repeated, incident, &event, (now, now))?;
            }
        }
        self.remind(tx, &account, incident, now)
    }

    fn worst(&self, tx: &Tx<'_>, incident: &Incident) -> Result<Option<Arc<Event>>> {
        let Some(seq) = tx.get(&crate::store::EVENT_IDS, incident.worst_event.as_str())? else {
            return Ok(None);
        };
        Ok(tx.entry(&crate::store::EVENTS, seq)?.map(Arc::new))
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
            self.say(tx, &mut account, Phase::Resolved, incident, event, (now, now))?;
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
            format!("not told, healed in {}", lasted(incident.opened_at, now))
        } else {
            "not told, the incident ended first".to_owned()
        };
        self.dropped(tx, row, detail, now)?;
        if first {
            account.told.ended = row.notification.phase != Phase::Opened;
            if row.notification.phase == Phase::Opened {
                account.told.severity = None;
            }
            account.told.flapping = false;
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
        let delivery = DeliveryRow {
            at: now,
            connector: n.connector.clone(),
            notification: n.id.clone(),
            phase: n.phase,
            event: n.event.id.clone(),
            event_type: n.event.event_type,
            severity: n.severity(),
            title: n.event.title.clone(),
            incident: incident.clone(),
            state: DeliveryState::Dropped,
            attempts: 0,
            status: 0,
            latency_ms: now.duration_since(n.created_at).as_millis().max(0) as u64,
            detail,
        };
        let seq = tx.append(&DELIVERIES, &delivery)?;
        for key in keys::deliveries_by(incident.as_ref(), &n.event.id, seq) {
            tx.put(&DELIVERIES_BY, &key, &())?;
        }
        self.feed.push(Feed::Delivery { seq, delivery: Arc::new(delivery) });
        Ok(())
    }

    /// An incident of one-shots ended, or left the scope: nobody is told, reminders stop.
    pub(super) fn route_quiet(&mut self, tx: &Tx<'_>, incident: &Incident, _now: Timestamp) -> Result<()> {
        for target in self.targets().iter().filter(|t| t.deliver == Deliver::Incidents) {
            self.step_at(tx, &incident.id, &format!("repeat:{}", target.name), None)?;
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
        if incident.status != IncidentStatus::Resolved {
            return Ok(());
        }
        let mut account = self.account(tx, target, &incident.id)?;
        account.told.flapping = false;
        account.told.reopened.clear();
        match self.worst(tx, incident)? {
            Some(event) => self.say(tx, &mut account, Phase::Resolved, incident, &event, (now, now)),
            None => tx.put(&TOLD, &account.key, &account.told),
        }
    }

    /// The incident as this connector's filter sees it.
    fn facts(
        &self,
        tx: &Tx<'_>,
        target: &Target,
        incident: &Incident,
        phase: Phase,
    ) -> Result<IncidentFacts> {
        let mut members: Vec<Member> = Vec::new();
        tx.scan(&MEMBERS, &keys::prefix(&[incident.id.as_str()]), "", &mut |_, member: Member| {
            if member.affected || (target.passes_type)(member.event_type, member.severity) {
                members.push(member);
            }
            true
        })?;
        members.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.since.cmp(&b.since)));
        let (affected, members): (Vec<Member>, Vec<Member>) = members.into_iter().partition(|m| m.affected);
        let worst = members.first();
        Ok(IncidentFacts {
            id: incident.id.clone(),
            phase,
            status: incident.status,
            opened_at: incident.opened_at,
            resolved_at: incident.resolved_at,
            event_type: worst.map_or(incident.event_type, |m| m.event_type),
            severity: worst.map_or(incident.severity, |m| m.severity),
            subject: incident.subject.clone(),
            events: incident.events,
            member_count: members.len() as u32,
            members: members.iter().take(NAMED).map(fact).collect(),
            affected: affected.iter().take(NAMED).map(fact).collect(),
            suspects: incident.suspects.clone(),
            ready: self.ready(incident),
        })
    }

    fn ready(&self, incident: &Incident) -> Option<(u32, u32)> {
        let world = &self.clusters.get(&incident.cluster_uid)?.world;
        let kind = Kind::parse(&incident.subject.kind)?;
        let object = world.find(kind, &incident.subject.namespace, &incident.subject.name)?;
        object.workload().map(|w| (w.ready, w.replicas))
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

fn fact(member: &Member) -> MemberFact {
    MemberFact {
        resource: member.object.resource(),
        namespace: member.object.namespace.clone(),
        event_type: member.event_type,
        status: match (member.ended_at, member.holds) {
            (None, _) => Status::Firing,
            (Some(_), true) => Status::Resolved,
            (Some(_), false) => Status::Info,
        },
        since: member.since,
    }
}

/// A connector is never told that it failed itself.
fn is_about(event: &Event, target: &Target) -> bool {
    event.event_type == EventType::ConnectorFailed && event.object.name == target.name
}
