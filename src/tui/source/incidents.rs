//! The list of incidents, what stands beside each, and everything about one.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;

use super::Job;
use crate::{
    event::{
        ClusterUid, Event, IncidentId, Kind, ObjectRef, Recommendation,
        incident::{Incident, IncidentStatus, Member},
    },
    object::{Body, Condition, Object, ObjectKey},
    store::{
        BASELINES, OBJECTS, OUTBOX, Read, Result, keys,
        pages::{self, Limits},
    },
    tui::{
        msg::{Answer, Beside, IncidentDetail, OwnerLine, ToldMark, ToldState},
        panes::{describe, told_state},
        text,
    },
};

/// Ended incidents that are listed.
const ENDED: usize = 500;
/// Members that are read of one incident.
const MEMBERS: usize = 50;
/// Deliveries that are read of one incident.
const DELIVERIES: usize = 50;
/// Waiting messages that are looked at for marks.
const WAITING: usize = 2_000;
/// Pods that are looked at for the ones on a node.
const PODS: usize = 20_000;
/// The longest owner chain.
const DEPTH: usize = 6;

/// Open ones, and those that ended since then.
pub fn list(job: &Job<'_>, ended_since: Timestamp) -> Result<Answer> {
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
    Ok(Answer::Incidents { rows: rows.into_iter().map(Arc::new).collect(), beside: with, more })
}

/// What stands beside these.
pub fn told(job: &Job<'_>, ids: &[IncidentId]) -> Result<Answer> {
    let snapshot = job.snapshot()?;
    let waiting = waiting(&snapshot)?;
    let mut with = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some(incident) = pages::incident(&snapshot, id)? {
            with.push((id.clone(), beside(&snapshot, &incident, &waiting)?));
        }
    }
    Ok(Answer::Told(with))
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
    let members = pages::members(read, &incident.id, MEMBERS)?;
    Ok(Beside {
        affected: affected(read, incident, &members)?,
        told: all_marks(read, incident, waiting)?,
        recovery: pages::recovery(read, incident, &members)?,
    })
}

/// How many pods a node has, at least: more than the limit are not counted.
fn pods_on(read: &impl Read, incident: &Incident) -> Result<u64> {
    let prefix = keys::prefix(&[incident.cluster_uid.as_str(), Kind::Pod.as_str()]);
    let (mut looked, mut pods) = (0, 0);
    read.scan(&OBJECTS, &prefix, &prefix, &mut |_, object| {
        looked += 1;
        pods += u64::from(matches!(&object.body, Body::Pod(p) if p.node.as_str() == incident.subject.name));
        looked < PODS
    })?;
    Ok(pods)
}

/// `2/6 pods` of a workload with a wanted count, `23 pods` of a node, else how many members of which kind. All
/// members count, also those that are well at this moment: a crash loop would change the figure with every restart.
fn affected(read: &impl Read, incident: &Incident, members: &[Member]) -> Result<String> {
    if incident.subject.kind == Kind::Node.as_str()
        && incident.status == IncidentStatus::Open
        && let pods @ 1.. = pods_on(read, incident)?
    {
        return Ok(text::count(pods, "pod"));
    }
    if incident.affected > 0 {
        return Ok(format!("{} affected", incident.affected));
    }
    let mut objects: Vec<&ObjectRef> = members.iter().filter(|m| !m.affected).map(|m| &m.object).collect();
    objects.sort();
    objects.dedup();
    let pods = objects.iter().filter(|o| o.kind == "Pod").count();
    let open = incident.status == IncidentStatus::Open;
    if let Some(workload) =
        object(read, &incident.cluster_uid, &incident.subject)?.as_ref().and_then(Object::workload)
        && open
        && workload.replicas > 0
    {
        let firing =
            |o: &&&ObjectRef| members.iter().any(|m| m.object == ***o && m.holds && m.ended_at.is_none());
        let failing = objects.iter().filter(|o| o.kind == "Pod").filter(firing).count() as u32;
        let missing = workload.replicas.saturating_sub(workload.ready).max(failing).min(workload.replicas);
        if missing > 0 {
            return Ok(format!("{missing}/{} pods", workload.replicas));
        }
    }
    Ok(match objects.as_slice() {
        [] => String::new(),
        _ if pods > 0 => text::count(pods as u64, "pod"),
        [one] if one.key() == incident.subject.key() => "itself".to_owned(),
        _ => text::count(objects.len() as u64, "object"),
    })
}

/// Everything about one.
pub fn detail(job: &Job<'_>, id: &IncidentId) -> Result<Answer> {
    let snapshot = job.snapshot()?;
    let Some(incident) = pages::incident(&snapshot, id)? else { return Ok(Answer::Incident(None)) };
    let members = pages::members(&snapshot, id, MEMBERS)?;
    let worst = pages::event_by_id(&snapshot, incident.worst_event.as_str())?.map(|(_, e)| e);
    let last = pages::events_of_incident(&snapshot, id, None, Limits::rows(1))?
        .rows
        .into_iter()
        .next()
        .map(|(_, e)| e);
    let owners = match &worst {
        Some(event) => owners(&snapshot, event)?,
        None => Vec::new(),
    };
    let told = all_marks(&snapshot, &incident, &waiting(&snapshot)?)?;
    let mut look = worst.as_ref().map(|e| e.recommendations.clone()).unwrap_or_default();
    if look.is_empty() {
        look.push(Recommendation { action: "Look at it".into(), command: describe(&incident.subject) });
    }
    let recovery = pages::recovery(&snapshot, &incident, &members)?;
    Ok(Answer::Incident(Some(Box::new(IncidentDetail {
        id: id.clone(),
        recovery,
        members,
        worst,
        last,
        owners,
        told,
        look,
    }))))
}

fn object(read: &impl Read, cluster: &ClusterUid, reference: &ObjectRef) -> Result<Option<Object>> {
    match ObjectKey::of(reference) {
        Some(key) => read.get(&OBJECTS, &keys::object(cluster, &key)),
        None => Ok(None),
    }
}

/// From the top owner down to the event's object, with what we know of each.
pub fn owners(read: &impl Read, event: &Event) -> Result<Vec<OwnerLine>> {
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
                Some(kind) if listed(read, &event.cluster_uid, kind)? => "gone".to_owned(),
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
    if !ends_at_subject && !event.subject.name.is_empty() {
        let state = object(read, &event.cluster_uid, &event.subject)?.map(|o| state(&o)).unwrap_or_default();
        chain.push(OwnerLine { object: event.subject.clone(), state });
    }
    chain.reverse();
    Ok(chain)
}

/// Whether the kind was listed, anywhere in its cluster.
fn listed(read: &impl Read, cluster: &ClusterUid, kind: Kind) -> Result<bool> {
    let prefix = keys::prefix(&[cluster.as_str(), kind.as_str()]);
    let mut any = false;
    read.scan(&BASELINES, &prefix, &prefix, &mut |_, _| {
        any = true;
        false
    })?;
    Ok(any)
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
