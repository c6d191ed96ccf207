//! What the rules about Services and their endpoints have in common: several slices are one set.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    event::{Kind, ObjectRef},
    object::{EndpointSlice, Object, World},
};

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

/// Whether a reference's workload is there and wants no Pod at all.
pub fn wants_none(world: &World, workload: &ObjectRef) -> bool {
    let found = Kind::parse(&workload.kind).and_then(|k| world.find(k, &workload.namespace, &workload.name));
    found.and_then(|o| o.workload()).is_some_and(|w| w.replicas == 0)
}
