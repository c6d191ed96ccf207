//! What the rules about Services and their endpoints have in common: several slices are one set.

use std::{collections::BTreeSet, sync::Arc};

use super::Context;
use crate::{
    event::{Kind, ObjectRef},
    object::{EndpointSlice, Object, World},
};

/// So many Pods of a Service tell whose they are.
pub const SOME: usize = 20;

/// Every slice of a Service. Slices name it by label; their owner reference is the quicker way to them.
pub fn slices<'a>(world: &'a World, service: &'a Object) -> Vec<&'a EndpointSlice> {
    let of_it = |o: &&'a Arc<Object>| o.endpoint_slice().is_some_and(|s| s.service == service.meta.name);
    let mut found: Vec<_> =
        world.children(&service.meta.uid, &service.meta.namespace).filter(of_it).collect();
    if found.is_empty() {
        // Endpoints, and slices that a controller of somebody's own made, may have no owner.
        found = world.in_namespace(Kind::EndpointSlice, &service.meta.namespace).filter(of_it).collect();
    }
    found.into_iter().filter_map(|o| o.endpoint_slice()).collect()
}

/// Names of the ready endpoints, and how many there are in all.
pub fn ready<'a>(slices: &[&'a EndpointSlice]) -> (BTreeSet<&'a str>, usize) {
    let (mut ready, mut all) = (BTreeSet::new(), BTreeSet::new());
    for endpoint in slices.iter().flat_map(|s| &s.endpoints) {
        all.insert(endpoint.name.as_str());
        if endpoint.ready {
            ready.insert(endpoint.name.as_str());
        }
    }
    (ready, all.len())
}

/// Pods behind the first endpoints: enough to tell whose they are.
pub fn some_pods<'a>(
    world: &'a World,
    namespace: &'a str,
    names: impl IntoIterator<Item = &'a str>,
) -> impl Iterator<Item = &'a Arc<Object>> {
    names.into_iter().take(SOME).filter_map(move |name| world.find(Kind::Pod, namespace, name))
}

/// Whether anybody wants Pods behind a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// As far as is known.
    Yes,
    /// All that is there wants none: scaled to none, or done.
    No,
    /// What made its Pods is of a kind that is not seen.
    Unseen,
}

/// Goes by what wants the Pods, or wanted them last.
pub fn wanted<'a>(owners: impl IntoIterator<Item = &'a ObjectRef>, cx: &Context<'_>) -> Wanted {
    let (mut none, mut unseen) = (false, false);
    for owner in owners {
        let kind = Kind::parse(&owner.kind);
        match kind.and_then(|kind| cx.world.find(kind, &owner.namespace, &owner.name)) {
            Some(found) if wants_none(found) => none = true,
            Some(_) => return Wanted::Yes,
            // It was deleted, and left the Service.
            None if kind.is_some_and(|kind| cx.memory.is_live(kind, &owner.namespace)) => {}
            None => unseen = true,
        }
    }
    match (none, unseen) {
        // What the one that is not seen wants, its Pods say.
        (_, true) => Wanted::Unseen,
        (true, false) => Wanted::No,
        (false, false) => Wanted::Yes,
    }
}

/// A Job's Pods end, whether well or not, and what is wrong with them is the Job's to tell.
fn wants_none(owner: &Object) -> bool {
    match owner.kind {
        Kind::Job | Kind::CronJob => true,
        Kind::Pod => owner.pod().is_some_and(|p| p.phase == "Succeeded"),
        _ => owner.workload().is_some_and(|w| w.replicas == 0),
    }
}
