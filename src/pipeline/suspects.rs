//! What changed just before: correlation, not proof.
//!
//! Score = how the change is tied to the incident × what kind of change it was × how close it was, raised when the
//! failing pods run the new revision and the healthy ones do not.

use jiff::Timestamp;

use super::{cluster::ChangeNote, engine::Engine};
use crate::{
    event::{ClusterUid, EventType, Kind, ObjectRef, incident::Suspect},
    object::{ConfigRefKind, Object, World},
};

/// Older changes have faded: six half-lives.
const WINDOW_SECS: i64 = 1800;
/// Closeness halves every five minutes.
const HALF_LIFE_SECS: f64 = 300.0;
/// A message has room for no more.
pub(super) const MOST: usize = 5;
/// Below this a change is not worth naming.
const LEAST: f64 = 0.02;

/// How much a kind of change weighs; 0 = it is no suspect.
pub(super) fn weight(event_type: EventType) -> f64 {
    match event_type {
        EventType::ImageChanged | EventType::RolloutStarted | EventType::RolloutRolledBack => 1.0,
        EventType::WorkloadCreated
        | EventType::WorkloadDeleted
        | EventType::ConfigChanged
        | EventType::HelmReleaseInstalled
        | EventType::HelmReleaseUpdated
        | EventType::HelmReleaseUninstalled
        | EventType::ServiceChanged
        | EventType::IngressChanged => 0.9,
        EventType::NodeUnhealthy | EventType::NodeScaledDown => 0.6,
        EventType::DeploymentScaled | EventType::NodeCordoned => 0.4,
        _ => 0.0,
    }
}

/// What the subject stands on, to tell how a change is tied to it.
struct Ties<'a> {
    subject: &'a ObjectRef,
    configs: Vec<(Kind, String)>,
    nodes: Vec<String>,
}

impl Ties<'_> {
    fn of(&self, change: &ChangeNote) -> Option<(&'static str, f64)> {
        let object = &change.object;
        let itself = object.key() == self.subject.key();
        if itself || change.subject.key() == self.subject.key() {
            // A trouble of the subject is the incident, or was an earlier one: never what it comes from.
            if change.trouble {
                return None;
            }
            // What leads to it does not run it: new, it breaks nothing; changed, it may lead elsewhere.
            let in_front = matches!(Kind::parse(&object.kind), Some(Kind::Service | Kind::Ingress));
            if in_front && !itself {
                return (!change.created).then_some(("service", 0.6));
            }
            return Some(("owner", 1.0));
        }
        let named = |kind: Kind, name: &str| self.configs.iter().any(|(k, n)| *k == kind && n == name);
        let config = Kind::parse(&object.kind).is_some_and(|kind| named(kind, &object.name));
        if config && object.namespace == self.subject.namespace {
            return Some(("config", 0.9));
        }
        if object.kind == Kind::Node.as_str() && self.nodes.contains(&object.name) {
            return Some(("node", 0.6));
        }
        // What is new in a namespace, and what nobody who fails has to do with, breaks nothing by being there.
        let same =
            !change.created && !object.namespace.is_empty() && object.namespace == self.subject.namespace;
        same.then_some(("namespace", 0.3))
    }
}

impl Engine {
    /// The likeliest causes among the changes before `at`, best first.
    pub(super) fn suspects(&self, uid: &ClusterUid, subject: &ObjectRef, at: Timestamp) -> Vec<Suspect> {
        let Some(cluster) = self.clusters.get(uid) else { return Vec::new() };
        let ties = ties(&cluster.world, subject);
        let lifted = shares_new_revision(&cluster.world, subject);
        let mut found: Vec<Suspect> = Vec::new();
        for change in cluster.changes.iter().rev() {
            // Most times in a cluster are whole seconds: within the same one nobody knows which was first.
            let before = at.as_second() - change.at.as_second();
            if !(0..=WINDOW_SECS).contains(&before) {
                continue;
            }
            let Some((link, tie)) = ties.of(change) else { continue };
            let closeness = 0.5_f64.powf(before as f64 / HALF_LIFE_SECS);
            let mut score = tie * weight(change.event_type) * closeness;
            if link == "owner" && lifted && weight(change.event_type) >= 1.0 {
                score = (score * 1.25).min(1.0);
            }
            // One rollout is told as started and as image changed: the more telling of the two stays.
            let twin =
                found.iter_mut().find(|s| s.object.key() == change.object.key() && s.at == change.at.min(at));
            match twin {
                Some(twin) if change.event_type == EventType::ImageChanged => {
                    *twin = suspect(change, link, score, at);
                }
                None if score >= LEAST => found.push(suspect(change, link, score, at)),
                Some(_) | None => {}
            }
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.at.cmp(&a.at)));
        found.truncate(MOST);
        found
    }
}

fn suspect(change: &ChangeNote, link: &str, score: f64, opened: Timestamp) -> Suspect {
    Suspect {
        event: change.event.clone(),
        event_type: change.event_type,
        object: change.object.clone(),
        at: change.at.min(opened),
        title: change.title.clone(),
        manager: change.manager.clone(),
        link: link.to_owned(),
        score: (score * 1000.0).round() / 1000.0,
    }
}

fn ties<'a>(world: &World, subject: &'a ObjectRef) -> Ties<'a> {
    let mut configs = Vec::new();
    let mut nodes = Vec::new();
    let top = world.resolve(subject);
    let mut read = |object: &Object| {
        let refs = object
            .pod()
            .map(|p| &p.refs)
            .or_else(|| object.workload().map(|w| &w.template.refs))
            .or_else(|| object.cron_job().map(|c| &c.template.refs))
            .or_else(|| object.job().map(|j| &j.template.refs));
        for r in refs.into_iter().flatten() {
            let kind = match r.kind {
                ConfigRefKind::ConfigMap => Kind::ConfigMap,
                ConfigRefKind::Secret => Kind::Secret,
                ConfigRefKind::Claim => Kind::PersistentVolumeClaim,
            };
            configs.push((kind, r.name.to_string()));
        }
    };
    if let Some(top) = top {
        read(top);
        for pod in world.pods_below(&top.meta.uid, &top.meta.namespace).iter().chain(std::iter::once(top)) {
            if let Some(p) = pod.pod() {
                read(pod);
                nodes.push(p.node.to_string());
            }
        }
    }
    Ties { subject, configs, nodes }
}

/// Whether every failing pod of a Deployment runs its newest revision, and a healthy one an older.
fn shares_new_revision(world: &World, subject: &ObjectRef) -> bool {
    let revision = |o: &Object| {
        o.meta
            .annotation("deployment.kubernetes.io/revision")
            .and_then(|r| r.parse::<u64>().ok())
            .unwrap_or(0)
    };
    let sets: Vec<_> =
        world.children(&subject.uid, &subject.namespace).filter(|o| o.kind == Kind::ReplicaSet).collect();
    let Some(newest) = sets.iter().max_by_key(|o| revision(o)) else { return false };
    let ready = |o: &Object| o.pod().is_some_and(crate::object::Pod::is_ready);
    let (mut old_healthy, mut any_failing) = (false, false);
    for set in &sets {
        for pod in world.children(&set.meta.uid, &set.meta.namespace).filter(|p| !p.is_terminating()) {
            match (set.meta.uid == newest.meta.uid, ready(pod)) {
                (true, true) | (false, false) => return false,
                (true, false) => any_failing = true,
                (false, true) => old_healthy = true,
            }
        }
    }
    old_healthy && any_failing
}
