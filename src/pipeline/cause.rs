//! Causes go up: what fails because its node does is no incident of its own.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::{cluster::Cluster, engine::Engine};
use crate::{
    event::{Event, EventType, IncidentId, Kind, ObjectRef, Severity, incident::CLUSTER},
    object::Object,
};

/// Node and Pod come by different watches, and the node's controller writes both within a second or so.
const SLACK: SignedDuration = SignedDuration::from_secs(2);

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
    pub(super) fn cause(&self, event: &Event) -> Cause {
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
        let nodes = failing_nodes(cluster, event);
        if nodes.is_empty() {
            return Cause::Own;
        }
        let incidents: Vec<_> = nodes.iter().map(|node| cluster.open.get(&node_key(node))).collect();
        if let Some(Some(first)) = incidents.first()
            && incidents.iter().all(|i| i.is_some_and(|i| i.since <= event.timestamp + SLACK))
        {
            return Cause::Of(first.id.clone());
        }
        let suspicious = |node: &String| {
            cluster.open.contains_key(&node_key(node))
                || cluster.world.find(Kind::Node, "", node).is_none_or(|n| may_fail(cluster, n))
        };
        if event.severity == Severity::Critical && nodes.iter().all(suspicious) {
            return Cause::Perhaps;
        }
        Cause::Own
    }
}

fn node_key(name: &str) -> String {
    ObjectRef::new(Kind::Node, "", name, "").key()
}

/// The nodes under all failing pods of the event's workload.
fn failing_nodes(cluster: &Cluster, event: &Event) -> BTreeSet<String> {
    let world = &cluster.world;
    let mut nodes = BTreeSet::new();
    if let Some(node) = event.details.get("node").and_then(|n| n.as_str()) {
        nodes.insert(node.to_owned());
    }
    let mut pods = world.pods_below(&event.subject.uid, &event.subject.namespace);
    pods.extend(world.resolve(&event.subject).filter(|o| o.kind == Kind::Pod).cloned());
    for pod in pods {
        let Some(p) = pod.pod() else { continue };
        if p.is_ready() || p.phase == "Succeeded" {
            continue;
        }
        // A failing pod that no node has yet is nobody's doing: then the whole is not the nodes' doing either.
        if p.node.is_empty() {
            return BTreeSet::new();
        }
        nodes.insert(p.node.to_string());
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
