//! Whom a node takes down with it. While its incident is open that can be read off the objects; when it is over, Pods
//! move on, and only what is written down then is known of it later.

use super::engine::Engine;
use crate::event::{
    Kind,
    incident::{Incident, Reach},
};

impl Engine {
    /// The Pods of an incident's node, as they are now; `None` for other subjects and for a node without any.
    pub(super) fn reach(&self, incident: &Incident) -> Option<Reach> {
        let cluster = self.clusters.get(&incident.cluster_uid)?;
        let mut reach = Reach::default();
        if incident.subject.kind == Kind::Node.as_str() {
            for pod in cluster.world.pods_on(&incident.subject.name) {
                reach.pods += 1;
                reach.namespaces.insert(pod.meta.namespace.to_string());
            }
        }
        (reach.pods > 0).then_some(reach)
    }
}
