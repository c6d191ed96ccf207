//! Causes go up: what fails because its node does is no incident of its own.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    cluster::Cluster,
    engine::Engine,
    firing::{Over, is_of},
};
use crate::{
    detect::{Finding, Origin},
    event::{ClusterUid, Event, EventType, IncidentId, Kind, ObjectRef, Severity, Status, incident::CLUSTER},
    object::{Object, ObjectKey},
    store::{MEMBERS, Read, Result, Tx, keys},
};

/// Node and Pod come by different watches, and the node's controller writes both within a second or so.
const SLACK: SignedDuration = SignedDuration::from_secs(2);

/// So long may a pod take that was made since the trouble began, in place of a lost one: it does not fail yet.
const STARTS: SignedDuration = SignedDuration::from_mins(1);

/// Whether a trouble is another's doing.
pub(super) enum Cause {
    /// It is its own.
    Own,
    /// It belongs to this incident, as affected.
    Of(IncidentId),
    /// Its node may be about to be found failing: wait a moment before telling.
    Perhaps,
}

/// The reference under which a cluster itself is a subject.
pub(super) fn cluster_ref(cluster: &Cluster) -> ObjectRef {
    ObjectRef {
        kind: CLUSTER.into(),
        namespace: String::new(),
        name: cluster.name.to_string(),
        uid: cluster.uid.0.clone(),
    }
}

impl Engine {
    pub(super) fn cause(&self, event: &Event, now: Timestamp) -> Cause {
        let Some(cluster) = self.clusters.get(&event.cluster_uid) else { return Cause::Own };
        if event.event_type == EventType::NodeUnhealthy {
            // Of a cluster's trouble that stood at the first sight nobody was told.
            let open =
                cluster.open.get(&cluster_ref(cluster).key()).filter(|o| !o.standing || event.standing);
            return open.map_or(Cause::Own, |o| Cause::Of(o.id.clone()));
        }
        let goes_up = matches!(
            event.event_type,
            EventType::PodUnready
                | EventType::PodStuckTerminating
                | EventType::PodEvicted
                | EventType::PodFailed
                | EventType::WorkloadDegraded
                | EventType::ServiceUnavailable
        );
        if !goes_up {
            return Cause::Own;
        }
        let nodes = failing_nodes(cluster, event, now);
        let troubles: BTreeMap<&String, Trouble<'_>> = nodes
            .iter()
            .filter_map(|(node, since)| Some((node, node_trouble(cluster, node)?.covering(*since)?)))
            .collect();
        let suspicious = |node: &String| {
            troubles.contains_key(node)
                || cluster.world.find(Kind::Node, "", node).is_none_or(|n| may_fail(cluster, n))
        };
        let all_suspicious = !nodes.is_empty() && nodes.keys().all(suspicious);
        let Some(first) = troubles.values().min_by_key(|t| t.since) else {
            return if all_suspicious && event.severity == Severity::Critical {
                Cause::Perhaps
            } else {
                Cause::Own
            };
        };
        let explained = |(node, since): (&String, &Timestamp)| {
            let until = *since.max(&event.timestamp) + SLACK;
            troubles.get(node).is_some_and(|t| t.since <= until)
        };
        if first.since <= event.timestamp + SLACK && nodes.iter().all(explained) {
            return Cause::Of(first.incident.clone());
        }
        // The others' nodes may be found failing in a moment, also after an outage, when all of it comes at once.
        if all_suspicious { Cause::Perhaps } else { Cause::Own }
    }

    /// What a node took down was well, and fails again when the node is well too: that is another trouble, and not the
    /// node's doing. Ends what is remembered of the first; whether there was any.
    pub(super) fn parts(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        rule: &str,
        (key, findings): (&ObjectKey, &[Finding]),
        now: Timestamp,
    ) -> Result<bool> {
        let rows = self.clusters.get(uid).map(|c| c.firings_of(key, rule)).unwrap_or_default();
        let mut parted = false;
        for row in rows {
            let (Some(well), Some(incident)) = (row.healthy_since, &row.incident) else { continue };
            let again = findings.iter().find(|f| is_of(&row, &f.draft));
            let Some(again) = again else { continue };
            if !tx.get(&MEMBERS, &keys::member(incident, &row.fingerprint))?.is_some_and(|m| m.affected) {
                continue;
            }
            let event = self.build(uid, again.draft.clone().at(now), (Status::Firing, Origin::Live), now);
            if matches!(self.cause(&event, now), Cause::Own) {
                self.end(tx, uid, &row, Over { at: well, now, gone: false })?;
                parted = true;
            }
        }
        Ok(parted)
    }
}

/// A node that is in trouble, or was until lately.
struct Trouble<'a> {
    /// The open incident that tells of it, its own or its cluster's.
    incident: &'a IncidentId,
    since: Timestamp,
    /// It is well again since then, and has only to stay so.
    well: Option<Timestamp>,
}

impl Trouble<'_> {
    /// What begins to fail when the node is well again is not its doing.
    fn covering(self, since: Timestamp) -> Option<Self> {
        let is_after = self.well.is_some_and(|well| since > well + SLACK);
        (!is_after).then_some(self)
    }
}

fn node_trouble<'a>(cluster: &'a Cluster, node: &str) -> Option<Trouble<'a>> {
    let rows = || {
        let rows = cluster.firings.get(&ObjectKey::new(Kind::Node, "", node)).into_iter().flatten();
        rows.filter(|f| f.event_type == EventType::NodeUnhealthy)
    };
    // Of several troubles of a node the last to end counts.
    let well = rows().map(|f| f.healthy_since).min().flatten();
    let well = well.and(rows().filter_map(|f| f.healthy_since).max());
    if let Some(own) = cluster.open.get(&ObjectRef::new(Kind::Node, "", node, "").key()) {
        return Some(Trouble { incident: &own.id, since: own.since, well });
    }
    let whole = cluster.open.get(&cluster_ref(cluster).key())?;
    let since = rows().filter(|f| f.incident.as_ref() == Some(&whole.id)).map(|f| f.since).min()?;
    Some(Trouble { incident: &whole.id, since, well })
}

/// The nodes under all failing pods of the event's workload, with the time since when the first of those there fails.
fn failing_nodes(cluster: &Cluster, event: &Event, now: Timestamp) -> BTreeMap<String, Timestamp> {
    let world = &cluster.world;
    let mut nodes = BTreeMap::new();
    if let Some(node) = event.details.get("node").and_then(|n| n.as_str()) {
        nodes.insert(node.to_owned(), event.timestamp);
    }
    let mut pods = world.pods_below(&event.subject.uid, &event.subject.namespace);
    pods.extend(world.resolve(&event.subject).filter(|o| o.kind == Kind::Pod).cloned());
    for pod in pods {
        let Some(p) = pod.pod() else { continue };
        let starts = |at: Timestamp| at > event.timestamp && now.duration_since(at) < STARTS;
        if p.is_ready() || p.phase == "Succeeded" || pod.meta.created_at.is_some_and(starts) {
            continue;
        }
        // A failing pod that no node has yet is nobody's doing: then the whole is not the nodes' doing either.
        if p.node.is_empty() {
            return BTreeMap::new();
        }
        let since = p.condition("Ready").and_then(|c| c.since).unwrap_or(event.timestamp);
        let first = nodes.entry(p.node.to_string()).or_insert(since);
        *first = since.min(*first);
    }
    nodes
}

/// The node is not Ready, or all its pods lost their readiness while their containers run on: its kubelet is silent.
fn may_fail(cluster: &Cluster, node: &Object) -> bool {
    if node.node().is_some_and(|n| !n.is_ready()) {
        return true;
    }
    let mut pods =
        cluster.world.pods_on(&node.meta.name).filter_map(|p| p.pod()).filter(|p| !p.is_finished());
    let running = |p: &crate::object::Pod| {
        p.containers.iter().all(|c| matches!(c.state, Some(crate::object::ContainerState::Running { .. })))
    };
    pods.all(|p| !p.is_ready() && running(p))
}
