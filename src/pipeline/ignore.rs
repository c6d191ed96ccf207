//! What is told to nobody: global rules, and an annotation on an object, its owners or its namespace.

use jiff::Timestamp;

use super::engine::Engine;
use crate::{
    event::{Event, Kind, ObjectRef},
    object::{Object, World},
};

/// Comma-separated types, families or aliases, or `all`.
const ANNOTATION: &str = "barrelman.dev/ignore";

impl Engine {
    /// Why an event is ignored, if it is: it is stored and shown, joins no incident, and is told to nobody.
    pub(super) fn ignored(&self, event: &Event, now: Timestamp) -> Option<String> {
        if let Some(rule) = self.config.ignore.iter().find(|f| f.matches(event, now)) {
            return Some(format!("rule {}", rule.source()));
        }
        let world = &self.clusters.get(&event.cluster_uid)?.world;
        if let Some(text) = event.annotations.get(ANNOTATION)
            && names(text, event)
        {
            return Some(format!("annotation on {}", event.object.resource()));
        }
        // What is described may already be gone, but its owners and its namespace are known.
        let above = owners(world, event);
        let found = above.iter().find(|o| o.meta.annotation(ANNOTATION).is_some_and(|t| names(t, event)));
        found.map(|o| format!("annotation on {}/{}", o.kind, o.meta.name))
    }
}

fn owners<'a>(world: &'a World, event: &Event) -> Vec<&'a Object> {
    let mut found: Vec<&Object> = Vec::new();
    let mut next: Vec<ObjectRef> = event
        .owner_references
        .iter()
        .map(|o| ObjectRef {
            kind: o.kind.clone(),
            namespace: String::new(),
            name: o.name.clone(),
            uid: o.uid.clone(),
        })
        .collect();
    next.push(event.subject.clone());
    while let Some(reference) = next.pop() {
        if let Some(object) = world.by_uid(&reference.uid)
            && !found.iter().any(|f| f.meta.uid == object.meta.uid)
        {
            next.extend(world.owners(&object.meta));
            found.push(object);
        }
    }
    if let Some(namespace) = world.find(Kind::Namespace, "", &event.object.namespace) {
        found.push(namespace);
    }
    found
}

fn names(text: &str, event: &Event) -> bool {
    // A name that does not exist ignores nothing; the others of the same annotation still count.
    text.split(',').any(|name| {
        crate::event::TypeSet::parse(&[name]).is_ok_and(|set| set.contains(event.event_type, &event.details))
    })
}
