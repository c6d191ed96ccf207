//! From events and incidents to messages: who is told what, when, and what is left unsaid.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{engine::Engine, incidents::is_of_now, judge::later};
use crate::{
    connector::Notification,
    event::{
        Event, EventType, IncidentId, Kind, NotificationId, Role, Severity, Status,
        incident::{Incident, IncidentFacts, Member, MemberFact, Phase},
    },
    store::{MEMBERS, OUTBOX, OutboxRow, Read, Result, TOLD, Told, Tx, keys},
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
pub(super) struct Account<'a> {
    pub target: &'a Target,
    pub key: String,
    pub told: Told,
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
        mut notification: Notification,
        due_at: Timestamp,
    ) -> Result<u64> {
        self.config.pages.fill(&mut notification);
        let seq = tx.next_seq()?;
        let connector = notification.connector.clone();
        let row = OutboxRow { seq, notification, due_at, claim: None };
        tx.put(&OUTBOX, &keys::outbox(&connector, seq), &row)?;
        self.counts.routed += 1;
        let routed = self.routed.entry(connector).or_insert_with(|| Some(Vec::new()));
        match routed {
            Some(rows) if row.notification.phase == Phase::Event => rows.push(Arc::new(row)),
            _ => *routed = None,
        }
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
                    self.tell_one(tx, target, incident, event, now)?;
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
        now: Timestamp,
    ) -> Result<()> {
        for target in self.targets().iter() {
            if target.deliver == Deliver::Incidents && !is_about(event, target) && (target.passes)(event, now)
            {
                self.tell_one(tx, target, incident, event, now)?;
            }
        }
        Ok(())
    }

    pub(super) fn account<'a>(
        &self,
        tx: &Tx<'_>,
        target: &'a Target,
        id: &IncidentId,
    ) -> Result<Account<'a>> {
        let key = keys::told(&target.name, id);
        let told = tx.get(&TOLD, &key)?.unwrap_or_default();
        Ok(Account { target, key, told })
    }

    /// The row of this incident that waits and may still be replaced: neither claimed nor past due.
    pub(super) fn waiting(
        &self,
        tx: &Tx<'_>,
        account: &Account<'_>,
        now: Timestamp,
    ) -> Result<Option<OutboxRow>> {
        for seq in account.told.queued.iter().rev() {
            let row: Option<OutboxRow> = tx.get(&OUTBOX, &keys::outbox(&account.target.name, *seq))?;
            if let Some(row) = row {
                return Ok(Some(row).filter(|r| r.claim.is_none() && r.due_at >= now));
            }
        }
        Ok(None)
    }

    pub(super) fn tell_one(
        &mut self,
        tx: &Tx<'_>,
        target: &Target,
        incident: &Incident,
        event: &Arc<Event>,
        now: Timestamp,
    ) -> Result<()> {
        let mut account = self.account(tx, target, &incident.id)?;
        let waiting = self.waiting(tx, &account, now)?;
        // A connector's own wait is for all that it is told.
        let settle = target.settle.unwrap_or_else(|| {
            self.config.incidents.settle(&self.config.types, event.event_type, event.severity)
        });
        let settled = later(now, settle);
        if account.told.ended {
            return self.tell_again(tx, account, incident, event, (settled, now));
        }
        let other = is_first_of_api(&mut account.told, event);
        let Some(worst) = account.told.severity else {
            self.say(tx, &mut account, Phase::Opened, incident, event, (settled, now))?;
            return self.remind(tx, &account, incident, now);
        };
        // Flapping keeps repeats quiet, not what is worse than all that was told.
        if event.severity > worst || other {
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
        // What holds nothing open ends without a word: the end that is still to be told has to be told.
        let holds = event.role == Role::Opens;
        account.told.ended = account.told.flapping && !holds;
        let quiet = later(now, self.config.incidents.reopen_within);
        let flap = format!("flap:{}", account.target.name);
        self.step_at(tx, &incident.id, &flap, account.told.ended.then_some(quiet))?;
        if account.told.flapping {
            if is_first_of_api(&mut account.told, event) || Some(event.severity) > account.told.severity {
                return self.say(tx, &mut account, Phase::Worse, incident, event, (settled, now));
            }
            return tx.put(&TOLD, &account.key, &account.told);
        }
        let resolve = self.resolve_waiting(tx, &account)?;
        if let Some(key) = resolve.as_ref().filter(|_| holds) {
            // A resolve that nobody has seen yet is taken back: to them it has gone on, and may be worse now.
            tx.remove(&OUTBOX, key)?;
            if is_first_of_api(&mut account.told, event) || Some(event.severity) > account.told.severity {
                self.say(tx, &mut account, Phase::Worse, incident, event, (settled, now))?;
            } else {
                tx.put(&TOLD, &account.key, &account.told)?;
            }
            return self.remind(tx, &account, incident, now);
        }
        account.told.reopened.retain(|at| now.duration_since(*at) < FLAPPING);
        account.told.reopened.push(now);
        if resolve.is_none() {
            // Otherwise they say whether the end that waits has to go out.
            account.told.told_at = None;
            account.told.resolved_at = None;
        }
        // How bad it was before is past: what gets worse in this life is told.
        account.told.severity = None;
        account.told.api = is_of_api(event);
        let phase = if account.told.reopened.len() > 1 { Phase::Flapping } else { Phase::Reopened };
        account.told.flapping = phase == Phase::Flapping;
        self.say(tx, &mut account, phase, incident, event, (settled, now))?;
        self.remind(tx, &account, incident, now)
    }

    /// The row of an end that was not claimed yet.
    pub(super) fn resolve_waiting(&self, tx: &Tx<'_>, account: &Account<'_>) -> Result<Option<String>> {
        for seq in &account.told.queued {
            let key = keys::outbox(&account.target.name, *seq);
            let row: Option<OutboxRow> = tx.get(&OUTBOX, &key)?;
            if row.is_some_and(|r| r.claim.is_none() && r.notification.phase == Phase::Resolved) {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// Makes a message about an incident, and keeps the account of it.
    pub(super) fn say(
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
            account.told.event = Some(event.id.clone());
        }
        let mut facts = self.facts(tx, target, incident, phase)?;
        facts.severity = account.told.severity.unwrap_or(incident.severity);
        // What it is called is what people were told, of several that are as bad.
        if event.severity >= facts.severity || phase == Phase::Resolved {
            facts.event_type = event.event_type;
        }
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

    pub(super) fn remind(
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
            let passes = member.affected || (target.passes_type)(member.event_type, member.severity);
            if passes && is_of_now(&member, incident.reopened_at) {
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
            reopened_at: incident.reopened_at,
            refired_at: incident.refired_at,
            resolved_at: incident.resolved_at,
            event_type: worst.map_or(incident.event_type, |m| m.event_type),
            severity: worst.map_or(incident.severity, |m| m.severity),
            subject: incident.subject.clone(),
            events: members.iter().map(events_of).sum(),
            member_count: members.len() as u32,
            objects: members.iter().map(|m| m.object.key()).collect::<BTreeSet<_>>().len() as u32,
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
}

/// Every occurrence, and the end.
fn events_of(member: &Member) -> u64 {
    member.count.max(1) + u64::from(member.holds && member.ended_at.is_some())
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

fn is_of_api(event: &Event) -> bool {
    event.event_type == EventType::ClusterUnhealthy
        && event.details.get("what").is_some_and(|what| what == "api")
}

/// That a cluster's API does not answer is news beside nodes that are lost, as bad as they are: whether it was not told
/// yet; from now on it is. Not the other way round: after an outage nodes are found silent for a moment.
fn is_first_of_api(told: &mut Told, event: &Event) -> bool {
    is_of_api(event) && !std::mem::replace(&mut told.api, true)
}

/// A connector is never told that it failed itself.
pub(super) fn is_about(event: &Event, target: &Target) -> bool {
    event.event_type == EventType::ConnectorFailed && event.object.name == target.name
}
