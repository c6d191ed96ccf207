//! Warnings that nobody speaks for, about very many things of one namespace: whoever may create Events there may make
//! as many as they like. The first few are incidents of their own; the others are stored and shown in one incident of
//! the namespace, which is told once.

use super::engine::Engine;
use crate::event::{Event, EventType, IncidentId, ObjectRef, Recommendation, Role};

/// So many things of one namespace have an incident of their own because of a Warning, at any one time.
const APART: usize = 20;
/// The kind of a subject that is all the others.
const WARNINGS: &str = "Warnings";
/// Where Kubernetes has the Events about what lives in no namespace.
const DEFAULT: &str = "default";

fn namespace(of: &str) -> &str {
    if of.is_empty() { DEFAULT } else { of }
}

/// Whether an incident about this subject was opened by a Warning about it alone.
pub(super) fn is_apart(event_type: EventType, subject: &ObjectRef) -> bool {
    event_type == EventType::KubernetesEvent && subject.kind != WARNINGS
}

impl Engine {
    /// A Warning that leads, and is one too many, becomes one of its namespace's.
    pub(super) fn gather(&self, event: &mut Event) {
        let leads = event.event_type == EventType::KubernetesEvent && event.role == Role::OneShot;
        if !leads || event.standing || event.ignored.is_some() {
            return;
        }
        let Some(cluster) = self.clusters.get(&event.cluster_uid) else { return };
        if cluster.open.contains_key(&event.subject.key()) {
            return;
        }
        let namespace = namespace(&event.object.namespace).to_owned();
        let all = ObjectRef {
            kind: WARNINGS.to_owned(),
            namespace: namespace.clone(),
            name: namespace.clone(),
            uid: String::new(),
        };
        if !cluster.open.contains_key(&all.key()) {
            let here = |key: &str| self::namespace(key.split('/').nth(1).unwrap_or_default()) == namespace;
            let apart = cluster.open.iter().filter(|(key, open)| open.warned && here(key)).count();
            if apart < APART {
                return;
            }
            event.title = format!(
                "Warnings about more than {APART} things in namespace {namespace}, now {}",
                event.title
            );
            event.description = format!(
                "Further ones are stored and shown with this, and not told. It says: {}",
                event.description
            );
            event.recommendations = vec![Recommendation {
                action: "See what is said in the namespace".to_owned(),
                command: format!("kubectl events -n {namespace} --types=Warning"),
            }];
        }
        event.subject = all;
    }

    /// The open flood of which it is one more: it is counted and shown there, without being a member.
    pub(super) fn flood_of(&self, event: &Event) -> Option<IncidentId> {
        if event.subject.kind != WARNINGS {
            return None;
        }
        let cluster = self.clusters.get(&event.cluster_uid)?;
        cluster.open.get(&event.subject.key()).map(|open| open.id.clone())
    }
}
