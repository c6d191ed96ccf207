//! How an open incident is at this moment: which of its troubles are there, and when it ends if none comes back.
//!
//! It says what the engine goes by, from the rows that the engine keeps, and decides nothing itself.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::{
    event::{
        EventType, Fingerprint,
        incident::{Incident, IncidentStatus, Member},
    },
    object::{Object, ObjectKey},
    store::{DUES, FIRINGS, FiringRow, HEAL, Healing, MEMORY, OBJECTS, error::Result, keys, tx::Read},
};

/// What keeps an incident open of which no trouble is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// That it stays so until then.
    Until(Timestamp),
    /// Its subject: so many Pods of it are ready, of so many wanted.
    Ready(u32, u32),
    /// Its subject: what is new of it is not there yet.
    Change,
}

/// An open incident whose troubles are over for now: it ends when they have stayed away for long enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// Since when none of its troubles is there.
    pub since: Timestamp,
    /// What it waits for.
    pub waits: Waits,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Now {
    /// What the engine knows of the troubles that are not over.
    pub firing: HashMap<Fingerprint, FiringRow>,
    /// None of them is there at this moment.
    pub recovery: Option<Recovery>,
}

impl Now {
    /// What an incident that is over took down with it, and what fails on: for a while it belongs to no other.
    pub fn left<'a>(
        &'a self,
        incident: &'a Incident,
        members: &'a [Member],
    ) -> impl Iterator<Item = (&'a Member, &'a FiringRow)> {
        let over = incident.status == IncidentStatus::Resolved;
        let affected = members.iter().filter(move |m| over && m.affected && m.ended_at.is_none());
        affected
            .filter_map(|m| Some((m, self.firing.get(&m.fingerprint)?)))
            .filter(|(_, row)| row.incident.as_ref() == Some(&incident.id) && row.healthy_since.is_none())
    }
}

/// How an incident is, from all its members.
///
/// # Errors
/// A row that cannot be read, or the disk.
pub fn now(read: &impl Read, incident: &Incident, members: &[Member]) -> Result<Now> {
    let mut now = Now::default();
    for member in members.iter().filter(|m| m.ended_at.is_none()) {
        if let Some(row) = firing(read, incident, member)? {
            now.firing.insert(member.fingerprint.clone(), row);
        }
    }
    now.recovery = recovery(read, incident, members, &now.firing)?;
    Ok(now)
}

/// What the engine remembers of a member that is not over.
fn firing(read: &impl Read, incident: &Incident, member: &Member) -> Result<Option<FiringRow>> {
    let Some(key) = ObjectKey::of(&member.object) else { return own(read, incident, member) };
    let prefix = keys::prefix(&[incident.cluster_uid.as_str(), &key.to_string()]);
    let mut firing: Option<FiringRow> = None;
    read.scan(&FIRINGS, &prefix, &prefix, &mut |_, row| {
        if row.fingerprint == member.fingerprint {
            firing = Some(row);
        }
        firing.is_none()
    })?;
    Ok(firing)
}

/// The same of a trouble of our own sight, whose subject is no object of the cluster.
fn own(read: &impl Read, incident: &Incident, member: &Member) -> Result<Option<FiringRow>> {
    let prefix = keys::prefix(&[incident.cluster_uid.as_str(), member.event_type.name()]);
    let rows =
        read.all(&MEMORY, &prefix)?.into_iter().filter_map(|(_, row)| serde_json::from_value(row).ok());
    Ok(rows.into_iter().find(|row: &FiringRow| row.fingerprint == member.fingerprint))
}

/// When a trouble that is well for now is over if it stays so.
fn over_at(read: &impl Read, incident: &Incident, row: &FiringRow) -> Result<Option<Timestamp>> {
    let uid = &incident.cluster_uid;
    let due = |key: String| Ok(read.get(&DUES, &key)?.map(|due| due.at));
    if row.event_type != EventType::ClusterUnhealthy {
        return due(keys::judge_due(uid, &row.rule, &row.key));
    }
    if let Some(at) = due(keys::api_due(uid, false))?.filter(|_| row.discriminator == "api") {
        return Ok(Some(at));
    }
    // Many nodes were not ready: it goes with theirs.
    let mut last = None;
    for node in super::nodes_failing(read, uid)? {
        last = last.max(due(keys::judge_due(uid, &node.rule, &node.key))?);
    }
    Ok(last)
}

fn recovery(
    read: &impl Read,
    incident: &Incident,
    members: &[Member],
    firing: &HashMap<Fingerprint, FiringRow>,
) -> Result<Option<Recovery>> {
    if incident.status != IncidentStatus::Open || !incident.held {
        return Ok(None);
    }
    let own = || members.iter().filter(|m| m.holds && !m.affected);
    let holding: Vec<&Member> = own().filter(|m| m.ended_at.is_none()).collect();
    let mut since = own().filter_map(|m| m.ended_at).max();
    let mut closes = None;
    for member in &holding {
        let Some(row) = firing.get(&member.fingerprint) else { return Ok(None) };
        let Some(well) = row.healthy_since else { return Ok(None) };
        since = since.max(Some(well));
        closes = closes.max(over_at(read, incident, row)?);
    }
    let healing: Option<Healing> = read
        .get(&MEMORY, &keys::healing(&incident.cluster_uid, &incident.id))?
        .and_then(|row| serde_json::from_value(row).ok());
    // A pod that went while all was well may have left fewer than are wanted, for a while.
    since = since.max(healing.as_ref().and_then(|h| h.since));
    let Some(since) = since else { return Ok(None) };
    if holding.is_empty() {
        closes = read.get(&DUES, &keys::step_due(&incident.id, HEAL))?.map(|due| due.at);
    } else if let Some(healing) = &healing {
        closes = closes.max(held_until(healing, closes.unwrap_or(since)));
    }
    let waits = match (closes, short(read, incident)?) {
        (_, Some((ready, wanted))) => Waits::Ready(ready, wanted),
        (None, None) if holding.is_empty() && healing.is_some() => Waits::Change,
        (closes, None) => Waits::Until(closes.unwrap_or(since)),
    };
    Ok(Some(Recovery { since, waits }))
}

/// Its subject has to be well until then; where it is not yet, from the time at which the last trouble is over.
fn held_until(healing: &Healing, last: Timestamp) -> Option<Timestamp> {
    let hold = SignedDuration::from_secs(i64::try_from(healing.hold_secs).ok()?);
    healing.since.unwrap_or(last).checked_add(hold).ok()
}

/// How many of the subject's Pods are ready, of how many, where that is fewer than it wants.
fn short(read: &impl Read, incident: &Incident) -> Result<Option<(u32, u32)>> {
    let Some(key) = ObjectKey::of(&incident.subject) else { return Ok(None) };
    let subject: Option<Object> = read.get(&OBJECTS, &keys::object(&incident.cluster_uid, &key))?;
    let Some(subject) = subject else { return Ok(None) };
    if let Some(workload) = subject.workload() {
        return Ok((workload.ready < workload.replicas).then_some((workload.ready, workload.replicas)));
    }
    let pod = subject.pod().filter(|p| !p.is_ready() && !p.is_finished());
    Ok(pod.map(|_| (0, 1)))
}
