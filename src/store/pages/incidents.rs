//! Pages of incidents, and what belongs to one.

use serde::Deserialize;

use super::{Found, Limits, Page, ended};
use crate::{
    event::{
        IncidentId,
        incident::{Incident, IncidentStatus, Member},
    },
    store::{
        INCIDENTS, INCIDENTS_BY_TIME, MEMBERS,
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
