//! The list of incidents, what stands beside each, and everything about one.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;

use super::{
    Job,
    present::{self, Reach},
};
use crate::{
    event::{
        ClusterUid, Event, EventType, IncidentId, Kind, ObjectRef,
        incident::{CLUSTER, CONNECTOR, Incident},
    },
    object::{Body, Condition, Object, ObjectKey},
    store::{
        OBJECTS, OUTBOX, Read, Result, keys,
        pages::{self, Limits},
    },
    tui::{
        msg::{Answer, Beside, IncidentDetail, OwnerLine, ToldMark, ToldState},
        panes::told_state,
    },
};

/// Ended incidents that are listed.
const ENDED: usize = 500;
/// Members that are shown of one incident.
const MEMBERS: usize = 50;
/// Deliveries that are read of one incident.
const DELIVERIES: usize = 50;
/// Waiting messages that are looked at for marks.
const WAITING: usize = 2_000;
/// Troubles of containers that are started again.
const CRASHES: [EventType; 3] = [EventType::PodCrashLoop, EventType::PodOomRestart, EventType::PodRestarted];
/// The longest owner chain.
const DEPTH: usize = 6;

/// Open ones, and those that ended since then.
pub fn list(job: &Job<'_>, ended_since: Timestamp, question: u64) -> Result<Answer> {
    let snapshot = job.snapshot()?;
    let mut rows = pages::open_incidents(&snapshot)?;
    let since = |i: &Incident| i.resolved_at.is_none_or(|at| at >= ended_since);
    let page = pages::ended_incidents(&snapshot, None, Limits::rows(ENDED), &since)?;
    let more = page.next.is_some();
    rows.extend(page.rows);
    let waiting = waiting(&snapshot)?;
    let mut with = Vec::with_capacity(rows.len());
    for incident in &rows {
        with.push((incident.id.clone(), beside(&snapshot, incident, &waiting)?));
    }
    let rows = rows.into_iter().map(Arc::new).collect();
    Ok(Answer::Incidents { question, rows, beside: with, more })
}

/// What stands beside these.
pub fn told(job: &Job<'_>, ids: &[IncidentId]) -> Result<Vec<(IncidentId, Beside)>> {
    let snapshot = job.snapshot()?;
    let waiting = waiting(&snapshot)?;
    let mut with = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some(incident) = pages::incident(&snapshot, id)? {
            with.push((id.clone(), beside(&snapshot, &incident, &waiting)?));
        }
    }
    Ok(with)
}

type Waiting = HashMap<IncidentId, Vec<ToldMark>>;

fn waiting(read: &impl Read) -> Result<Waiting> {
    let mut marks = Waiting::new();
    let mut looked = 0;
    read.scan(&OUTBOX, "", "", &mut |_, row| {
        looked += 1;
        if let Some(incident) = &row.notification.incident {
            let claim = row.claim.as_ref().filter(|c| c.attempts > 0);
            marks.entry(incident.id.clone()).or_default().push(ToldMark {
                connector: row.notification.connector.clone(),
                phase: row.notification.phase,
                state: if claim.is_some() { ToldState::Retrying } else { ToldState::Waiting },
                at: claim.map_or(row.due_at, |c| c.next_at),
                next_at: claim.map(|c| c.next_at),
                detail: claim.map(|c| c.last.clone()).unwrap_or_default(),
            });
        }
        looked < WAITING
    })?;
    Ok(marks)
}

/// The newest delivery of each connector and phase about an incident or event, by connector, in the order of time.
pub fn marks(read: &impl Read, about: &str) -> Result<Vec<ToldMark>> {
    let page = pages::deliveries_about(read, about, None, Limits::rows(DELIVERIES))?;
    let mut marks: Vec<ToldMark> = Vec::new();
    for (_, row) in page.rows {
        if marks.iter().any(|m| m.connector == row.connector && m.phase == row.phase) {
            continue;
        }
        marks.push(ToldMark {
            connector: row.connector,
            phase: row.phase,
            state: told_state(row.state),
            at: row.at,
            next_at: row.next_at,
            detail: row.detail,
        });
    }
    marks.sort_by(|a, b| a.connector.cmp(&b.connector).then(a.at.cmp(&b.at)));
    Ok(marks)
}

fn all_marks(read: &impl Read, incident: &Incident, waiting: &Waiting) -> Result<Vec<ToldMark>> {
    let mut marks = marks(read, incident.id.as_str())?;
    for mark in waiting.get(&incident.id).into_iter().flatten() {
        match marks.iter_mut().find(|m| m.connector == mark.connector && m.phase == mark.phase) {
            // What was told stays said, while more is on its way; what failed is replaced by what is tried now.
            Some(old) if old.state != ToldState::Delivered => *old = mark.clone(),
            Some(_) => {}
            None => marks.push(mark.clone()),
        }
    }
    marks.sort_by(|a, b| a.connector.cmp(&b.connector).then(a.at.cmp(&b.at)));
    Ok(marks)
}

fn beside(read: &impl Read, incident: &Incident, waiting: &Waiting) -> Result<Beside> {
    let members = pages::members(read, &incident.id, usize::MAX)?;
    let Reach { affected, healed, namespaces } = present::reach(read, incident, &members)?;
    let now = pages::now(read, incident, &members)?;
    let instead = present::instead(incident, &members, &now);
    Ok(Beside {
        instead: instead.map(|row| present::title_of(read, row)).transpose()?.flatten(),
        affected,
        healed,
        namespaces,
        told: all_marks(read, incident, waiting)?,
        runs: members.iter().any(|m| !m.affected && CRASHES.contains(&m.event_type)),
        left: present::left(read, incident, (&members, &now))?,
        recovery: now.recovery,
    })
}

/// Everything about one.
pub fn detail(job: &Job<'_>, id: &IncidentId) -> Result<Option<IncidentDetail>> {
    let snapshot = job.snapshot()?;
    let Some(incident) = pages::incident(&snapshot, id)? else { return Ok(None) };
    let mut members = pages::members(&snapshot, id, usize::MAX)?;
    let now = pages::now(&snapshot, &incident, &members)?;
    let speaker = present::speaker(&snapshot, &incident, (&members, &now))?;
    let look = present::look(&snapshot, &incident, speaker.as_ref())?;
    let left = present::left(&snapshot, &incident, (&members, &now))?;
    let also = present::also(&members, &now.firing, speaker.as_ref());
    let (last, rows) = present::last(&snapshot, &incident)?;
    let owners = match &speaker {
        Some(speaker) => owners(&snapshot, &speaker.event)?,
        None => Vec::new(),
    };
    let told = all_marks(&snapshot, &incident, &waiting(&snapshot)?)?;
    let well = now.firing.into_iter().filter_map(|(of, row)| Some((of, row.healthy_since?))).collect();
    members.truncate(MEMBERS);
    let (gone, speaks) = speaker.map_or((false, None), |s| (s.gone, Some(s.event)));
    Ok(Some(IncidentDetail {
        id: id.clone(),
        recovery: now.recovery,
        left,
        members,
        well,
        speaks,
        gone,
        also,
        last,
        rows,
        owners,
        told,
        look,
    }))
}

pub(super) fn object(
    read: &impl Read,
    cluster: &ClusterUid,
    reference: &ObjectRef,
) -> Result<Option<Object>> {
    match ObjectKey::of(reference) {
        Some(key) => read.get(&OBJECTS, &keys::object(cluster, &key)),
        None => Ok(None),
    }
}

/// From the top owner down to the event's object, with what we know of each.
pub fn owners(read: &impl Read, event: &Event) -> Result<Vec<OwnerLine>> {
    if [CLUSTER, CONNECTOR].contains(&event.object.kind.as_str()) {
        // No object: nothing can own it, and there is nothing to look up.
        return Ok(Vec::new());
    }
    let mut chain = Vec::new();
    let mut at = Some(event.object.clone());
    let mut from_event =
        event.owner_references.iter().find(|o| o.controller).or(event.owner_references.first());
    while let Some(reference) = at.take().filter(|_| chain.len() < DEPTH) {
        let stored = object(read, &event.cluster_uid, &reference)?;
        let state = match &stored {
            Some(object) => state(object),
            None => match Kind::parse(&reference.kind) {
                // Only what was listed can be known to be gone.
                Some(kind) if pages::is_listed(read, &event.cluster_uid, Some(kind))? => "gone".to_owned(),
                Some(_) => "not watched".to_owned(),
                None => String::new(),
            },
        };
        // Owners live in the namespace of what they own, or in none.
        let owner = stored.as_ref().and_then(|o| o.meta.controller()).or(from_event.take());
        at = owner.map(|o| {
            let namespaced = Kind::parse(&o.kind).is_none_or(Kind::namespaced);
            ObjectRef {
                kind: o.kind.clone(),
                namespace: if namespaced { reference.namespace.clone() } else { String::new() },
                name: o.name.clone(),
                uid: o.uid.clone(),
            }
        });
        chain.push(OwnerLine { object: reference, state });
    }
    let ends_at_subject =
        chain.iter().any(|o| o.object.kind == event.subject.kind && o.object.name == event.subject.name);
    if !ends_at_subject && !event.subject.name.is_empty() && crate::tui::text::is_owned(&event.object.kind) {
        let state = object(read, &event.cluster_uid, &event.subject)?.map(|o| state(&o)).unwrap_or_default();
        chain.push(OwnerLine { object: event.subject.clone(), state });
    }
    chain.reverse();
    Ok(chain)
}

/// An object's state in a few words.
fn state(object: &Object) -> String {
    match &object.body {
        Body::Pod(pod) => {
            let restarts: u32 = pod.containers.iter().map(|c| c.restarts).sum();
            let node = if pod.node.as_str().is_empty() {
                String::new()
            } else {
                format!(" on {}", pod.node.as_str())
            };
            let restarts = if restarts > 0 { format!(", {restarts} restarts") } else { String::new() };
            format!("{}{node}{restarts}", pod.phase.as_str())
        }
        Body::Workload(w) => format!("{}/{} ready", w.ready, w.replicas),
        Body::Job(job) => format!("{} active, {} failed", job.active, job.failed),
        Body::Node(node) => match Condition::find(&node.conditions, "Ready") {
            Some(ready) if ready.is_true() => "ready".to_owned(),
            Some(ready) => format!("not ready: {}", ready.reason.as_str()),
            None => String::new(),
        },
        _ => String::new(),
    }
}
