//! Pages of incidents, and what belongs to one.

use jiff::Timestamp;
use serde::Deserialize;

use super::{Found, Limits, Page, ended};
use crate::{
    event::{
        IncidentId,
        incident::{Incident, IncidentStatus, Member},
    },
    object::ObjectKey,
    store::{
        DUES, FIRINGS, FiringRow, INCIDENTS, INCIDENTS_BY_TIME, MEMBERS,
        error::Result,
        keys,
        schema::{Keyed, keyed},
        tx::Read,
    },
};

/// As much of an incident as is needed to pass over ended ones quickly.
#[derive(Deserialize)]
struct Glance {
    status: IncidentStatus,
}

const GLANCE: Keyed<Glance> = keyed(INCIDENTS.name);

/// All open incidents: the worst first, among equals the oldest.
///
/// # Errors
/// A row that cannot be read, or the disk.
pub fn open_incidents(read: &impl Read) -> Result<Vec<Incident>> {
    let mut ids = Vec::new();
    read.scan(&GLANCE, "", "", &mut |id, glance| {
        if glance.status == IncidentStatus::Open {
            ids.push(id.to_owned());
        }
        true
    })?;
    let mut open: Vec<Incident> = Vec::with_capacity(ids.len());
    for id in ids {
        open.extend(read.get(&INCIDENTS, &id)?);
    }
    open.sort_by(|a, b| {
        b.severity.cmp(&a.severity).then(a.opened_at.cmp(&b.opened_at)).then_with(|| a.id.cmp(&b.id))
    });
    Ok(open)
}

/// Ended incidents, by the time of their opening, newest first; the cursor is opaque.
///
/// # Errors
/// As `open_incidents`.
pub fn ended_incidents(
    read: &impl Read,
    before: Option<&str>,
    limits: Limits,
    wanted: &dyn Fn(&Incident) -> bool,
) -> Result<Page<Incident, String>> {
    incidents_back(read, before, limits, &|i| i.status == IncidentStatus::Resolved && wanted(i))
}

/// All incidents, open and ended, by the time of their opening, newest first; the cursor is opaque.
///
/// # Errors
/// As `open_incidents`.
pub fn incidents_back(
    read: &impl Read,
    before: Option<&str>,
    limits: Limits,
    wanted: &dyn Fn(&Incident) -> bool,
) -> Result<Page<Incident, String>> {
    let mut page = Page::new();
    let mut failed = None;
    read.scan_back(&INCIDENTS_BY_TIME, "", before, &mut |key, ()| {
        page.examined += 1;
        page.next = Some(key.to_owned());
        match read.get(&INCIDENTS, keys::parts(key).last().unwrap_or_default()) {
            Ok(incident) => page.rows.extend(incident.filter(|i| wanted(i))),
            Err(error) => failed = Some(error),
        }
        failed.is_none() && page.rows.len() < limits.rows && page.examined < limits.examine
    })?;
    failed.map_or_else(|| Ok(ended(page, limits)), Err)
}

/// One incident.
///
/// # Errors
/// As `open_incidents`.
pub fn incident(read: &impl Read, id: &IncidentId) -> Result<Option<Incident>> {
    read.get(&INCIDENTS, id.as_str())
}

/// One incident by the beginning of its id.
///
/// # Errors
/// As `open_incidents`.
pub fn find_incident(read: &impl Read, id: &str) -> Result<Found<Incident>> {
    let mut found: Vec<Incident> = Vec::new();
    read.scan(&INCIDENTS, id, id, &mut |_, incident| {
        found.push(incident);
        found.len() < 10
    })?;
    Ok(match found.len() {
        0 => Found::Nothing,
        1 => found.pop().map_or(Found::Nothing, Found::One),
        _ => Found::Several(found.into_iter().map(|i| i.id.0).collect()),
    })
}

/// The members of an incident and what it takes down with it (`affected`): what fires first, then the worst, then
/// the oldest; at most `limit`.
///
/// # Errors
/// As `open_incidents`.
pub fn members(read: &impl Read, id: &IncidentId, limit: usize) -> Result<Vec<Member>> {
    let mut members: Vec<Member> =
        read.all(&MEMBERS, &keys::prefix(&[id.as_str()]))?.into_iter().map(|(_, m)| m).collect();
    members.sort_by(|a, b| {
        (a.affected, a.ended_at.is_some())
            .cmp(&(b.affected, b.ended_at.is_some()))
            .then(b.severity.cmp(&a.severity))
            .then(a.since.cmp(&b.since))
            .then_with(|| a.fingerprint.cmp(&b.fingerprint))
    });
    members.truncate(limit);
    Ok(members)
}

/// An open incident whose troubles are over for now: it ends when they have stayed away for long enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// Since when none of its troubles is there.
    pub since: Timestamp,
    /// When it ends if it stays so; `None` where it waits for its subject to have what it wants.
    pub closes: Option<Timestamp>,
}

/// What the engine remembers of a member that holds its incident.
fn firing(read: &impl Read, incident: &Incident, member: &Member) -> Result<Option<FiringRow>> {
    let Some(key) = ObjectKey::of(&member.object) else { return Ok(None) };
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

/// Whether an open incident is about to end, from its members (the ones that fire first, as `members` answers them).
///
/// # Errors
/// As `open_incidents`.
pub fn recovery(read: &impl Read, incident: &Incident, members: &[Member]) -> Result<Option<Recovery>> {
    if incident.status != IncidentStatus::Open || !incident.held {
        return Ok(None);
    }
    let mut over = members.iter().filter(|m| m.holds && !m.affected).filter_map(|m| m.ended_at).max();
    let holding: Vec<&Member> =
        members.iter().filter(|m| m.holds && !m.affected && m.ended_at.is_none()).collect();
    // Some may not be among the members that were read.
    if holding.len() < incident.holding as usize {
        return Ok(None);
    }
    let mut closes = None;
    for member in holding {
        let Some(key) = ObjectKey::of(&member.object) else { return Ok(None) };
        let uid = &incident.cluster_uid;
        let Some(firing) = firing(read, incident, member)? else { return Ok(None) };
        let Some(since) = firing.healthy_since else { return Ok(None) };
        over = over.max(Some(since));
        closes = closes.max(read.get(&DUES, &keys::judge_due(uid, &firing.rule, &key))?.map(|due| due.at));
    }
    Ok(over.map(|since| Recovery { since, closes }))
}
