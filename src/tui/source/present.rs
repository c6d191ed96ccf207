//! How one incident is at this moment: the trouble that speaks for it, what else is there, how many have it, and what
//! to look at. What it was opened with may be gone by now, and nobody can look at what is gone.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::incidents::object;
use crate::{
    event::{
        Event, EventType, Fingerprint, Kind, ObjectRef, Recommendation, Status,
        incident::{CLUSTER, Incident, IncidentStatus, Member},
        over,
    },
    object::{Body, Condition, Object},
    store::{
        FiringRow, INCIDENT_EVENTS, OBJECTS, Read, Result, keys,
        pages::{self, Limits, Now},
    },
    tui::{
        msg::Left,
        panes::{describe, shell},
        text,
    },
};

/// Cells of the column that tells what has it: a name that does not fit says nothing.
const COLUMN: usize = 11;
/// Pods that are looked at for the ones on a node.
const PODS: usize = 20_000;
/// The newest rows of an incident that are looked at for what happened last: an older one may have been counted up.
const NEWEST: usize = 100;
/// Rows of an incident that are counted.
const COUNTED: u64 = 100_000;

/// What an incident that is over took down with it and what fails on, by the worst of it.
pub(super) fn left(
    read: &impl Read,
    incident: &Incident,
    (members, now): (&[Member], &Now),
) -> Result<Option<Left>> {
    let worst = |(_, row): &(&Member, &FiringRow)| (row.severity, std::cmp::Reverse(row.since));
    let Some((member, row)) = now.left(incident, members).max_by_key(worst) else { return Ok(None) };
    let objects: BTreeSet<&ObjectRef> = now.left(incident, members).map(|(m, _)| &m.object).collect();
    let title = title_of(read, row)?.unwrap_or_else(|| member.title.clone());
    let place = match member.object.namespace.as_str() {
        "" => String::new(),
        namespace => format!(" in {namespace}"),
    };
    let more = if objects.len() > 1 { format!(" (+{})", objects.len() - 1) } else { String::new() };
    let (name, what) = (text::object(&member.object), text::without_object(&title, &member.object));
    let words = format!("{name}{place} {what}{more}");
    Ok(Some(Left { severity: row.severity, since: row.since, words }))
}

/// The trouble that speaks for an incident.
pub(super) struct Speaker {
    /// Its event, in the words of now.
    pub event: Event,
    /// Its object is not there any more.
    pub gone: bool,
}

/// Whether an object is known not to be there: only what was listed can be.
fn is_gone(read: &impl Read, incident: &Incident, reference: &ObjectRef) -> Result<bool> {
    let Some(kind) = Kind::parse(&reference.kind) else { return Ok(false) };
    let stored = object(read, &incident.cluster_uid, reference)?;
    let same = |o: &Object| reference.uid.is_empty() || *o.meta.uid == *reference.uid;
    Ok(!stored.as_ref().is_some_and(same) && pages::is_listed(read, &incident.cluster_uid, Some(kind))?)
}

/// A Pod of a node that is silent cannot change: of several as bad the one that can speaks.
fn is_on_silent_node(read: &impl Read, incident: &Incident, reference: &ObjectRef) -> Result<bool> {
    let pod = object(read, &incident.cluster_uid, reference)?;
    let Some(node) = pod.as_ref().and_then(Object::pod).map(|p| p.node.to_string()) else { return Ok(false) };
    let node = object(read, &incident.cluster_uid, &ObjectRef::new(Kind::Node, "", &node, ""))?;
    let ready = |o: &Object| match &o.body {
        Body::Node(node) => Condition::find(&node.conditions, "Ready").is_none_or(Condition::is_true),
        _ => true,
    };
    Ok(node.as_ref().is_some_and(|o| !ready(o)))
}

/// The trouble that is there in place of the one that gave the incident its name, which is over or was well before this
/// one began. What merely lasts longer than the worst says no more of it than that.
pub(super) fn instead<'a>(incident: &Incident, members: &[Member], now: &'a Now) -> Option<&'a FiringRow> {
    if incident.status != IncidentStatus::Open {
        return None;
    }
    // A moment is never over: it is what happened.
    let is_named_so = |m: &Member| !m.holds && !m.affected && m.severity == incident.severity;
    if members.iter().any(is_named_so) {
        return None;
    }
    let named = now.firing.values().find(|row| row.event == incident.worst_event);
    let well = named.map_or(Some(Timestamp::MIN), |row| row.healthy_since)?;
    let open = members.iter().filter(|m| m.holds && !m.affected && m.ended_at.is_none());
    let rows = open.filter_map(|m| now.firing.get(&m.fingerprint));
    rows.filter(|row| row.healthy_since.is_none() && row.since > well)
        .max_by_key(|row| (row.severity, std::cmp::Reverse(row.since)))
}

/// Its title, as it is now.
pub(super) fn title_of(read: &impl Read, row: &FiringRow) -> Result<Option<String>> {
    Ok(match &row.words {
        Some(words) => Some(words.title.clone()),
        None => pages::event(read, row.seq)?.map(|event| event.title),
    })
}

/// What is there now and as bad as the incident; else what it was opened with.
pub(super) fn speaker(
    read: &impl Read,
    incident: &Incident,
    (members, now): (&[Member], &Now),
) -> Result<Option<Speaker>> {
    let instead = instead(incident, members, now);
    let mut best: Option<((bool, bool, bool), &FiringRow)> = None;
    let open = members.iter().filter(|m| m.holds && !m.affected && m.ended_at.is_none());
    for member in open.filter(|m| m.severity == incident.severity) {
        let Some(row) = now.firing.get(&member.fingerprint) else { continue };
        let rank = (
            !is_gone(read, incident, &member.object)?,
            !is_on_silent_node(read, incident, &member.object)?,
            row.event == incident.worst_event,
        );
        if best.as_ref().is_none_or(|(least, _)| rank > *least) {
            best = Some((rank, row));
        }
    }
    let best = instead.or(best.map(|(_, row)| row));
    let told = match best {
        Some(row) => pages::event(read, row.seq)?,
        None => None,
    };
    let event = match (told, best) {
        (Some(mut event), Some(row)) => {
            if let Some(words) = &row.words {
                event.title.clone_from(&words.title);
                event.description.clone_from(&words.description);
                event.details.extend(words.details.clone());
            }
            event
        }
        _ => match at_last(read, incident)? {
            Some(event) if incident.status == IncidentStatus::Open => event,
            last => {
                let Some((_, mut event)) = pages::event_by_id(read, incident.worst_event.as_str())? else {
                    return Ok(None);
                };
                // What has ended keeps its name, and of the same trouble the last words.
                let same = last.filter(|e| e.event_type == event.event_type && !e.description.is_empty());
                if let Some(last) = same {
                    event.description = last.description;
                }
                event
            }
        },
    };
    let gone = is_gone(read, incident, &event.object)?;
    Ok(Some(Speaker { event, gone }))
}

/// The trouble that ended last, of those as bad as the incident, in its last words: the event that opened the incident
/// may tell of the first of many restarts. Where it is over, nothing is to be done about it.
fn at_last(read: &impl Read, incident: &Incident) -> Result<Option<Event>> {
    let rows = pages::events_of_incident(read, &incident.id, None, Limits::rows(NEWEST))?.rows;
    let began = incident.since();
    let ended = |e: &Event| {
        e.status == Status::Resolved
            && e.severity == incident.severity
            && e.timestamp >= began
            && e.incident.is_some()
    };
    let last = rows.into_iter().map(|(_, e)| e).filter(ended).max_by_key(|e| e.timestamp);
    Ok(last.map(|mut event| {
        event.title = over::trouble(&event.title).to_owned();
        event.description = over::described(&event.description).to_owned();
        event
    }))
}

/// What is there besides, the worst first, in words: `svc/web has no ready endpoint`. The same trouble of another object
/// is in the figures.
pub(super) fn also(
    members: &[Member],
    firing: &HashMap<Fingerprint, FiringRow>,
    speaker: Option<&Speaker>,
) -> Vec<String> {
    let there = |m: &&Member| {
        let row = firing.get(&m.fingerprint);
        let other = speaker.is_none_or(|s| s.event.event_type != m.event_type);
        other
            && m.holds
            && !m.affected
            && m.ended_at.is_none()
            && row.is_none_or(|r| r.healthy_since.is_none())
    };
    let mut others: Vec<(EventType, String, BTreeSet<String>)> = Vec::new();
    for member in members.iter().filter(there) {
        let key = member.object.key();
        if let Some((_, _, objects)) = others.iter_mut().find(|(of, ..)| *of == member.event_type) {
            objects.insert(key);
        } else {
            let words = text::without_object(&member.title, &member.object);
            let words = format!("{} {words}", text::object(&member.object));
            others.push((member.event_type, words, BTreeSet::from([key])));
        }
    }
    let more = |n: usize| if n > 1 { format!(" (+{})", n - 1) } else { String::new() };
    others.into_iter().map(|(_, words, objects)| format!("{words}{}", more(objects.len()))).collect()
}

/// Commands that look at what is there: the speaker's own, or where that is gone, at the subject.
pub(super) fn look(
    read: &impl Read,
    incident: &Incident,
    speaker: Option<&Speaker>,
) -> Result<Vec<Recommendation>> {
    if let Some(speaker) = speaker.filter(|s| !s.gone && !s.event.recommendations.is_empty()) {
        let of = &speaker.event;
        return of.recommendations.iter().map(|r| follow(read, incident, (of, r))).collect();
    }
    let subject = &incident.subject;
    let of = |action: &str, command: String| Recommendation { action: action.to_owned(), command };
    if is_gone(read, incident, subject)? {
        let home = ObjectRef::new(Kind::Namespace, "", &subject.namespace, "");
        if !subject.namespace.is_empty() && is_gone(read, incident, &home)? {
            // Kubernetes keeps its Events there, too.
            return Ok(Vec::new());
        }
        let (namespace, name) = (shell(&subject.namespace), shell(&subject.name));
        let place = if subject.namespace.is_empty() { String::new() } else { format!("-n {namespace} ") };
        let events = format!("kubectl {place}get events --field-selector involvedObject.name={name}");
        return Ok(vec![of("It is gone: read what Kubernetes said of it", events)]);
    }
    let mut look = Vec::new();
    if matches!(subject.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job") {
        let (kind, name) = (subject.kind.to_lowercase(), shell(&subject.name));
        let namespace = shell(&subject.namespace);
        let logs = format!("kubectl logs {kind}/{name} -n {namespace} --all-containers --tail=50");
        look.push(of("Read what its pods say now", logs));
    }
    look.push(of("Look at it", describe(subject)));
    Ok(look)
}

/// A command by the selector that its Service has now: what it had may have been the trouble.
fn follow(
    read: &impl Read,
    incident: &Incident,
    (event, recommendation): (&Event, &Recommendation),
) -> Result<Recommendation> {
    let mut out = recommendation.clone();
    if event.object.kind != Kind::Service.as_str() {
        return Ok(out);
    }
    let stored = object(read, &incident.cluster_uid, &event.object)?;
    let service = stored.as_ref().and_then(Object::service).filter(|s| !s.selector.is_empty());
    let old = out.command.split_once(" -l ").and_then(|(_, rest)| rest.split(' ').next());
    if let (Some(service), Some(old)) = (service, old.filter(|_| out.command.contains(" get pods "))) {
        let now: Vec<String> = service.selector.iter().map(|(k, v)| format!("{k}={v}")).collect();
        out.command = out.command.replacen(&format!(" -l {old}"), &format!(" -l {}", now.join(",")), 1);
    }
    Ok(out)
}

/// What happened last, repeats included, and how many rows there are.
pub(super) fn last(read: &impl Read, incident: &Incident) -> Result<(Option<Event>, u64)> {
    let newest = pages::events_of_incident(read, &incident.id, None, Limits::rows(NEWEST))?.rows;
    let last = newest.into_iter().max_by_key(|(seq, e)| (e.last_seen.max(e.timestamp), *seq));
    let prefix = keys::prefix(&[incident.id.as_str()]);
    let mut rows = 0;
    read.scan_back(&INCIDENT_EVENTS, &prefix, None, &mut |_, ()| {
        rows += 1;
        rows < COUNTED
    })?;
    Ok((last.map(|(_, event)| event), rows))
}

/// The pods of a node by namespace, as far as they are looked at.
fn pods_on(read: &impl Read, incident: &Incident) -> Result<BTreeMap<String, u64>> {
    let prefix = keys::prefix(&[incident.cluster_uid.as_str(), Kind::Pod.as_str()]);
    let mut looked = 0;
    let mut pods = BTreeMap::new();
    read.scan(&OBJECTS, &prefix, &prefix, &mut |_, object| {
        looked += 1;
        if matches!(&object.body, Body::Pod(p) if p.node.as_str() == incident.subject.name) {
            *pods.entry(object.meta.namespace.to_string()).or_default() += 1;
        }
        looked < PODS
    })?;
    Ok(pods)
}

/// How many have it, and where.
#[derive(Default)]
pub(super) struct Reach {
    /// For the column.
    pub affected: String,
    /// For the column once all have been well for a while; empty: the same.
    pub healed: String,
    /// The namespaces of what has it or is taken down with it.
    pub namespaces: BTreeSet<String>,
}

/// `2/6 pods` of a workload with a wanted count, `23 pods` of a node, else what and how many. While it is open those
/// count that have the trouble and are there, also those that are well at this moment: a crash loop would change the
/// figure with every restart.
pub(super) fn reach(read: &impl Read, incident: &Incident, members: &[Member]) -> Result<Reach> {
    let open = incident.status == IncidentStatus::Open;
    let there = |m: &&Member| !open || m.ended_at.is_none();
    let namespaces = members.iter().filter(there).map(|m| m.object.namespace.clone()).collect();
    let mut reach = Reach { namespaces, ..Reach::default() };
    if open && incident.subject.kind == Kind::Node.as_str() {
        let pods = pods_on(read, incident)?;
        let count: u64 = pods.values().sum();
        reach.namespaces.extend(pods.into_keys());
        if count > 0 {
            reach.affected = text::count(count, "pod");
            return Ok(reach);
        }
    }
    if open && incident.subject.kind == CLUSTER {
        let nodes = pages::nodes_failing(read, &incident.cluster_uid)?;
        let count = |down: bool| nodes.iter().filter(|n| !down || n.healthy_since.is_none()).count() as u64;
        if !nodes.is_empty() {
            reach.affected = text::count(count(false), "node");
            reach.healed = match count(true) {
                0 => "itself".to_owned(),
                some => text::count(some, "node"),
            };
            return Ok(reach);
        }
    }
    if let Some(was) = incident.reach.as_ref().filter(|_| !open) {
        reach.namespaces.extend(was.namespaces.iter().cloned());
        reach.affected = text::count(was.pods.into(), "pod");
        return Ok(reach);
    }
    let some = |affected: bool| {
        let all = || members.iter().filter(move |m| m.affected == affected).map(|m| &m.object);
        let now = members.iter().filter(|m| m.affected == affected && m.holds).filter(there);
        let now: BTreeSet<&ObjectRef> = now.map(|m| &m.object).collect();
        // Where nothing goes on, what it was stands.
        if now.is_empty() || !open { all().collect() } else { now }
    };
    let own: BTreeSet<&ObjectRef> = some(false);
    let workload = object(read, &incident.cluster_uid, &incident.subject)?;
    if let Some(workload) = workload.as_ref().and_then(Object::workload).filter(|w| open && w.replicas > 0) {
        let wanted = workload.replicas;
        let holds = |m: &&Member| m.holds && m.ended_at.is_none() && m.object.kind == "Pod";
        let failing = members.iter().filter(holds).map(|m| &m.object).collect::<BTreeSet<_>>().len() as u32;
        let missing = wanted.saturating_sub(workload.ready);
        let of_pods = members.iter().any(|m| m.object.kind == "Pod");
        if of_pods || missing > 0 {
            // In a rollout there are more than are wanted, and all of them can fail.
            reach.affected = match missing.max(failing) {
                more if more > wanted => text::count(more.into(), "pod"),
                some => format!("{some}/{wanted} pods"),
            };
            reach.healed = format!("{missing}/{wanted} pods");
            return Ok(reach);
        }
    }
    let taken = some(true);
    let taken_down = incident.affected;
    let objects = if taken.is_empty() { own } else { taken };
    let pods = objects.iter().filter(|o| o.kind == "Pod").count();
    // What it took down may be forgotten; that it did is not.
    let forgotten = taken_down > 0 && objects.iter().all(|o| o.key() == incident.subject.key());
    reach.affected = match objects.iter().collect::<Vec<_>>().as_slice() {
        _ if forgotten => text::count(taken_down.into(), "object"),
        [] => String::new(),
        _ if pods > 0 => text::count(pods as u64, "pod"),
        [one] if one.key() == incident.subject.key() => "itself".to_owned(),
        [one] if text::width(&text::object(one)) <= COLUMN => text::object(one),
        [one] => format!("1 {}", text::short_kind(&one.kind)),
        several => text::count(several.len() as u64, "object"),
    };
    Ok(reach)
}
