//! The in-memory state of one cluster, with the indices that the rules ask by.
//!
//! Rebuilt from the store at start, changed by the pipeline alone. Reading it costs no API call: owners, nodes,
//! config references and endpoints are answered from here.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{ConfigRefKind, Meta, Object, ObjectKey, Pod, Service, Str, StrMap};
use crate::event::{Kind, ObjectRef, Owner};

/// Owners are followed this far: Pod → ReplicaSet → Deployment → an operator's own, with room for loops.
const MAX_OWNERS: usize = 6;

/// Every known object of one cluster.
#[derive(Debug, Default)]
pub struct World {
    /// Ordered by kind, namespace, name, so that a kind or a namespace is one range.
    objects: BTreeMap<ObjectKey, Arc<Object>>,
    by_uid: HashMap<Str, Arc<Object>>,
    children: HashMap<Str, BTreeSet<ObjectKey>>,
    pods_by_node: HashMap<Str, BTreeSet<ObjectKey>>,
}

impl World {
    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Puts an object in its place; answers what stood there.
    pub fn insert(&mut self, object: Arc<Object>) -> Option<Arc<Object>> {
        let key = object.key();
        let before = self.remove(&key);
        self.by_uid.insert(object.meta.uid.clone(), Arc::clone(&object));
        for owner in &object.meta.owners {
            self.children.entry(owner.uid.as_str().into()).or_default().insert(key.clone());
        }
        if let Some(node) = node_of(&object) {
            self.pods_by_node.entry(node.clone()).or_default().insert(key.clone());
        }
        self.objects.insert(key, object);
        before
    }

    /// Takes an object out.
    pub fn remove(&mut self, key: &ObjectKey) -> Option<Arc<Object>> {
        let object = self.objects.remove(key)?;
        if self.by_uid.get(&object.meta.uid).is_some_and(|held| Arc::ptr_eq(held, &object)) {
            self.by_uid.remove(&object.meta.uid);
        }
        for owner in &object.meta.owners {
            drop_from(&mut self.children, owner.uid.as_str(), key);
        }
        if let Some(node) = node_of(&object) {
            drop_from(&mut self.pods_by_node, node, key);
        }
        Some(object)
    }

    /// By place.
    pub fn get(&self, key: &ObjectKey) -> Option<&Arc<Object>> {
        self.objects.get(key)
    }

    /// By kind, namespace and name.
    pub fn find(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        self.get(&ObjectKey::new(kind, namespace, name))
    }

    fn by_uid(&self, uid: &str) -> Option<&Arc<Object>> {
        self.by_uid.get(uid)
    }

    /// What a reference names, if it is known and still the same one. A uid alone names nothing: whoever may write an
    /// owner reference or an Event in one namespace may write any uid there.
    pub fn resolve(&self, reference: &ObjectRef) -> Option<&Arc<Object>> {
        self.by_uid(&reference.uid).filter(|o| {
            o.kind.as_str() == reference.kind
                && o.meta.namespace == *reference.namespace
                && o.meta.name == *reference.name
        })
    }

    /// A reference as it was written by somebody: a uid that is known to be another object's is left out.
    pub fn claimed(&self, mut reference: ObjectRef) -> ObjectRef {
        if self.by_uid(&reference.uid).is_some() && self.resolve(&reference).is_none() {
            reference.uid.clear();
        }
        reference
    }

    /// Everything.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.objects.values()
    }

    /// All objects of a kind, by namespace and name.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Arc<Object>> {
        self.objects
            .range(ObjectKey::new(kind, "", "")..)
            .take_while(move |(k, _)| k.kind == kind)
            .map(|(_, o)| o)
    }

    /// All objects of a kind in a namespace, by name.
    pub fn in_namespace<'a>(&'a self, kind: Kind, namespace: &str) -> impl Iterator<Item = &'a Arc<Object>> {
        let start = ObjectKey::new(kind, namespace, "");
        let namespace = start.namespace.clone();
        self.objects
            .range(start..)
            .take_while(move |(k, _)| k.kind == kind && k.namespace == namespace)
            .map(|(_, o)| o)
    }

    /// Objects that name this uid as an owner, in the owner's namespace: nothing can be owned out of another. An owner
    /// without one may have them anywhere.
    pub fn children<'a>(&'a self, uid: &str, namespace: &'a str) -> impl Iterator<Item = &'a Arc<Object>> {
        let keys = self.children.get(uid).into_iter().flatten();
        keys.filter(move |key| namespace.is_empty() || key.namespace == *namespace)
            .filter_map(|key| self.objects.get(key))
    }

    /// Pods that are bound to a node.
    pub fn pods_on(&self, node: &str) -> impl Iterator<Item = &Arc<Object>> {
        self.pods_by_node.get(node).into_iter().flatten().filter_map(|key| self.objects.get(key))
    }

    /// The object's managing owners, the nearest first. The last may be of a kind that is not watched, or may be
    /// gone: then only its reference is known.
    ///
    /// The API server takes any owner reference. What it names is believed in its own namespace alone; of the kinds in
    /// no namespace a Node owns its static Pods' mirrors, and no other that is watched owns anything.
    pub fn owners(&self, meta: &Meta) -> Vec<ObjectRef> {
        let mut chain: Vec<ObjectRef> = Vec::new();
        let mut seen: Vec<String> = Vec::new();
        let mut next = meta.controller().cloned();
        while let Some(owner) = next {
            let kind = Kind::parse(&owner.kind);
            let namespaced = kind.is_none_or(Kind::namespaced);
            if chain.len() >= MAX_OWNERS
                || seen.contains(&owner.uid)
                || (!namespaced && kind != Some(Kind::Node))
            {
                break;
            }
            seen.push(owner.uid.clone());
            let above = self.deployment_by_name(meta, &owner);
            let reference = self.claimed(ObjectRef {
                kind: owner.kind,
                namespace: if namespaced { meta.namespace.to_string() } else { String::new() },
                name: owner.name,
                uid: owner.uid,
            });
            let known = self.resolve(&reference);
            let above = above.filter(|_| known.is_none());
            let last = known.or_else(|| self.resolve(above.as_ref()?));
            next = last.and_then(|o| o.meta.controller().cloned());
            chain.push(reference);
            chain.extend(above);
        }
        chain
    }

    /// The Deployment of a Pod whose ReplicaSet is not known: its watch may be behind, or it may be gone already. The
    /// deployment controller names ReplicaSets `{deployment}-{hash}` and labels their Pods `pod-template-hash`.
    fn deployment_by_name(&self, meta: &Meta, owner: &Owner) -> Option<ObjectRef> {
        if owner.kind != Kind::ReplicaSet.as_str() {
            return None;
        }
        let hash = meta.labels.get("pod-template-hash")?;
        let name = owner.name.strip_suffix(&**hash)?.strip_suffix('-')?;
        let known = self.find(Kind::Deployment, &meta.namespace, name);
        Some(known.map_or_else(
            || ObjectRef::new(Kind::Deployment, &meta.namespace, name, ""),
            |found| found.reference(),
        ))
    }

    /// What is broken when this object is: the top owning workload, else the object itself. A Node never stands
    /// for the static pods it owns.
    pub fn top_owner(&self, object: &Object) -> ObjectRef {
        let owners = self.owners(&object.meta);
        owners.into_iter().rev().find(|o| o.kind != Kind::Node.as_str()).unwrap_or_else(|| object.reference())
    }

    /// Every Pod below an object of a namespace, through any number of owners.
    pub fn pods_below(&self, uid: &str, namespace: &str) -> Vec<Arc<Object>> {
        let mut found = Vec::new();
        let mut open = vec![(Str::new(uid), 0)];
        while let Some((uid, depth)) = open.pop() {
            for child in self.children(&uid, namespace) {
                if child.kind == Kind::Pod {
                    found.push(Arc::clone(child));
                } else if depth < MAX_OWNERS {
                    open.push((child.meta.uid.clone(), depth + 1));
                }
            }
        }
        found
    }

    /// Pods in a namespace whose labels match.
    pub fn pods_matching<'a>(
        &'a self,
        namespace: &str,
        selector: &'a StrMap,
    ) -> impl Iterator<Item = &'a Arc<Object>> {
        self.in_namespace(Kind::Pod, namespace).filter(move |p| matches(selector, &p.meta.labels))
    }

    /// Services in a namespace that select these labels.
    pub fn services_selecting<'a>(
        &'a self,
        namespace: &str,
        labels: &'a StrMap,
    ) -> impl Iterator<Item = &'a Arc<Object>> {
        self.in_namespace(Kind::Service, namespace).filter(move |s| {
            s.service().is_some_and(|s| !s.selector.is_empty() && matches(&s.selector, labels))
        })
    }

    /// The one workload behind a Service: through the pods that it selects, else through the workloads whose
    /// template it would select, else through pods that have ended. `None` if there is none, or more than one.
    pub fn workload_behind(&self, namespace: &str, service: &Service) -> Option<ObjectRef> {
        if service.selector.is_empty() {
            return None;
        }
        let (ended, lives): (Vec<_>, Vec<_>) = self
            .pods_matching(namespace, &service.selector)
            .partition(|p| p.pod().is_some_and(Pod::is_finished));
        let owners = |pods: &[&Arc<Object>]| pods.iter().map(|pod| self.top_owner(pod)).collect();
        let mut found: BTreeSet<ObjectRef> = owners(&lives);
        if found.is_empty() {
            found = self.workloads_selected(namespace, service).map(|o| o.reference()).collect();
        }
        if found.is_empty() {
            found = owners(&ended);
        }
        if found.len() == 1 { found.pop_first() } else { None }
    }

    /// The workloads whose pods a Service would select.
    pub fn workloads_selected<'a>(
        &'a self,
        namespace: &'a str,
        service: &'a Service,
    ) -> impl Iterator<Item = &'a Arc<Object>> {
        [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet]
            .into_iter()
            .flat_map(move |kind| self.in_namespace(kind, namespace))
            .filter(|o| {
                o.workload()
                    .is_some_and(|w| !w.selector.is_empty() && matches(&service.selector, &w.selector))
            })
    }

    /// What wants a Pod, as far as can be seen: the topmost of its owners that is known itself, else the nearest that
    /// is named, else the Pod.
    pub fn wanted_by(&self, pod: &Object) -> ObjectRef {
        let mut owners = self.owners(&pod.meta);
        owners.retain(|o| o.kind != Kind::Node.as_str());
        let known = owners.iter().rposition(|o| self.resolve(o).is_some());
        if owners.is_empty() { pod.reference() } else { owners.swap_remove(known.unwrap_or(0)) }
    }

    /// The subject of an incident about this object: what a person would say is broken.
    pub fn subject(&self, object: &Object) -> ObjectRef {
        if let Some(service) = object.service() {
            return self
                .workload_behind(&object.meta.namespace, service)
                .unwrap_or_else(|| object.reference());
        }
        if let Some(hpa) = object.autoscaler() {
            let target = Kind::parse(&hpa.target_kind)
                .and_then(|kind| self.find(kind, &object.meta.namespace, &hpa.target_name));
            return target.map_or_else(|| object.reference(), |t| self.top_owner(t));
        }
        if object.claim().is_some() {
            // The one that waits for it, as its Pods do.
            let mut readers = self.readers(ConfigRefKind::Claim, &object.meta.namespace, &object.meta.name);
            return if readers.len() == 1 { readers.remove(0) } else { object.reference() };
        }
        self.top_owner(object)
    }

    /// Workloads and bare Pods in a namespace that read this ConfigMap, Secret or claim, top owners only.
    pub fn readers(&self, kind: ConfigRefKind, namespace: &str, name: &str) -> Vec<ObjectRef> {
        let mut found = BTreeSet::new();
        for pod in self.in_namespace(Kind::Pod, namespace) {
            if pod.pod().is_some_and(|p| p.refs.iter().any(|r| r.kind == kind && r.name == *name)) {
                found.insert(self.top_owner(pod));
            }
        }
        for workload_kind in [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::CronJob] {
            for object in self.in_namespace(workload_kind, namespace) {
                let template =
                    object.workload().map(|w| &w.template).or_else(|| object.cron_job().map(|c| &c.template));
                if template.is_some_and(|t| t.refs.iter().any(|r| r.kind == kind && r.name == *name)) {
                    found.insert(self.top_owner(object));
                }
            }
        }
        found.into_iter().collect()
    }
}

/// Whether the labels have every pair of the selector.
pub fn matches(selector: &StrMap, labels: &StrMap) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn node_of(object: &Object) -> Option<&Str> {
    object.pod().map(|p| &p.node).filter(|n| !n.is_empty())
}

fn drop_from(index: &mut HashMap<Str, BTreeSet<ObjectKey>>, at: &str, key: &ObjectKey) {
    if let Some(set) = index.get_mut(at) {
        set.remove(key);
        if set.is_empty() {
            index.remove(at);
        }
    }
}
