//! The handle of a simulated cluster: objects are created, changed and deleted here.
//!
//! Used by the simulation, the scenario player and tests; the HTTP side reads through it. Every write gets a
//! resourceVersion, a generation where its kind has one, and managedFields, as from a real API server. Time comes
//! from the clock in `Options` or from `Writer::at`.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::access::Access;
use super::api::{Resource, Surface};
use super::failure::Failure;
use super::faults::Faults;
use super::managed;
use super::net::Gate;
use super::object::{Stored, text};
use super::storage::Storage;
use crate::event::Kind;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What a simulated cluster is like.
#[derive(Clone)]
pub struct Options {
    /// Everything random follows from it.
    pub seed: u64,
    /// Times of objects that are written without `Writer::at`.
    pub clock: Clock,
    /// Name of context and cluster in the kubeconfig.
    pub name: String,
    /// What is served.
    pub surface: Surface,
    /// Changes that are kept per resource; older versions answer 410. Default 10,000.
    pub history: usize,
    /// Whether `sendInitialEvents` works; otherwise 422, as before Kubernetes 1.32.
    pub streaming_lists: bool,
    /// How often a quiet watch gets a bookmark. Default 60 s, as a real server.
    pub bookmark_every: Duration,
    /// Whether answers have the clock's time as their date; else that of the machine.
    pub dates: bool,
    /// A version that is too old for a watch: 410 in the stream after 200 (as a real server), or as the reply.
    pub gone_in_band: bool,
}

impl Options {
    /// A server of today with the given seed.
    pub fn new(seed: u64, clock: Clock) -> Self {
        Options {
            seed,
            clock,
            name: "demo".to_owned(),
            surface: Surface::modern(),
            history: 10_000,
            streaming_lists: true,
            bookmark_every: Duration::from_mins(1),
            dates: false,
            gone_in_band: true,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("seed", &self.seed).field("name", &self.name).finish_non_exhaustive()
    }
}

pub(super) struct Inner {
    pub options: Options,
    pub faults: Faults,
    pub gate: Arc<Gate>,
    storage: Mutex<Storage>,
    access: Mutex<Access>,
    changed: Mutex<HashMap<String, watch::Sender<u64>>>,
    logs: Mutex<HashMap<String, Log>>,
    uids: Mutex<u64>,
}

/// Lines that are kept of a pod's log.
const LOG_LINES: usize = 1_000;

#[derive(Default)]
struct Log {
    dropped: u64,
    lines: VecDeque<(Timestamp, String)>,
}

/// Under which a log tells that it grew; no resource has such a name.
pub(super) fn log_channel(namespace: &str, pod: &str) -> String {
    format!("log/{namespace}/{pod}")
}

/// A simulated cluster; clones are handles of the same.
#[derive(Clone)]
pub struct Cluster {
    pub(super) inner: Arc<Inner>,
}

/// What a simulated etcd held at one time.
#[derive(Debug)]
pub struct Backup(Storage);

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cluster {
    /// An empty cluster but for the namespaces that every cluster has.
    pub fn new(options: Options) -> Self {
        let inner = Inner {
            faults: Faults::new(),
            gate: Arc::new(Gate::new()),
            storage: Mutex::new(Storage::new(options.history.max(1))),
            access: Mutex::default(),
            changed: Mutex::default(),
            logs: Mutex::default(),
            uids: Mutex::new(0),
            options,
        };
        let cluster = Cluster { inner: Arc::new(inner) };
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
                "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
            cluster.writer("kube-apiserver").create(namespace).expect("the cluster is empty");
        }
        cluster
    }

    /// Faults and counters.
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// Connections: stall, break, refuse, TLS.
    pub fn gate(&self) -> &Gate {
        &self.inner.gate
    }

    /// The rights of the client from now on.
    pub fn set_access(&self, access: Access) {
        *lock(&self.inner.access) = access;
    }

    /// The rights of the client.
    pub fn access(&self) -> Access {
        lock(&self.inner.access).clone()
    }

    /// The clock's time.
    pub fn now(&self) -> Timestamp {
        (self.inner.options.clock)()
    }

    /// The newest resourceVersion.
    pub fn revision(&self) -> u64 {
        lock(&self.inner.storage).revision()
    }

    /// Forgets history, as etcd's compaction does: versions before now answer 410. Open watches go on.
    pub fn compact(&self) {
        lock(&self.inner.storage).compact();
    }

    /// All that etcd has, to be put back later.
    pub fn backup(&self) -> Backup {
        Backup(lock(&self.inner.storage).clone())
    }

    /// Sets everything back, revisions too, as a restore of etcd does. That stops a real server before: the caller
    /// breaks the connections.
    pub fn restore(&self, backup: &Backup) {
        *lock(&self.inner.storage) = backup.0.clone();
    }

    /// Writes as this field manager, at the clock's time.
    pub fn writer<'a>(&'a self, manager: &'a str) -> Writer<'a> {
        Writer { cluster: self, manager, now: self.now(), status: false }
    }

    /// Creates an object (as kubectl); see `Writer::create`.
    pub fn create(&self, object: Value) -> Result<u64, Failure> {
        self.writer("kubectl").create(object)
    }

    /// Changes an object (as kubectl); see `Writer::update`.
    pub fn update(
        &self,
        kind: impl Into<Plural>,
        namespace: &str,
        name: &str,
        patch: impl FnOnce(&mut Value),
    ) -> Result<u64, Failure> {
        self.writer("kubectl").update(kind, namespace, name, patch)
    }

    /// Deletes an object at once.
    pub fn delete(&self, kind: impl Into<Plural>, namespace: &str, name: &str) -> Result<u64, Failure> {
        self.writer("kubectl").delete(kind, namespace, name)
    }

    /// An object as it is now, without apiVersion and kind.
    pub fn get(&self, kind: impl Into<Plural>, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let key = (namespace.to_owned(), name.to_owned());
        let stored = lock(&self.inner.storage).get(kind.into().0.as_ref(), &key)?;
        Some(stored.value())
    }

    /// All objects of a kind, in order of namespace and name.
    pub fn list(&self, kind: impl Into<Plural>) -> Vec<Arc<Value>> {
        let all = lock(&self.inner.storage).all(kind.into().0.as_ref(), None);
        all.iter().map(|o| o.value()).collect()
    }

    /// How many objects of a kind there are.
    pub fn count(&self, kind: impl Into<Plural>) -> usize {
        lock(&self.inner.storage).count(kind.into().0.as_ref())
    }

    /// Appends a line to a pod's log, of which the last 1,000 are kept.
    pub fn log(&self, namespace: &str, pod: &str, line: &str) {
        let channel = log_channel(namespace, pod);
        let number = {
            let mut logs = lock(&self.inner.logs);
            let log = logs.entry(channel.clone()).or_default();
            log.lines.push_back((self.now(), line.to_owned()));
            if log.lines.len() > LOG_LINES {
                log.lines.pop_front();
                log.dropped += 1;
            }
            log.dropped + log.lines.len() as u64
        };
        self.announce(&channel, number);
    }

    /// Lines of a pod's log from the n-th on, and the number of the next.
    pub(super) fn log_lines(&self, namespace: &str, pod: &str, from: u64) -> (Vec<(Timestamp, String)>, u64) {
        let logs = lock(&self.inner.logs);
        let Some(log) = logs.get(&log_channel(namespace, pod)) else { return (Vec::new(), 0) };
        let skip = from.saturating_sub(log.dropped) as usize;
        (log.lines.iter().skip(skip).cloned().collect(), log.dropped + log.lines.len() as u64)
    }

    pub(super) fn storage(&self) -> MutexGuard<'_, Storage> {
        lock(&self.inner.storage)
    }

    /// Tells the newest revision of a resource.
    pub(super) fn subscribe(&self, plural: &str) -> watch::Receiver<u64> {
        lock(&self.inner.changed)
            .entry(plural.to_owned())
            .or_insert_with(|| watch::Sender::new(0))
            .subscribe()
    }

    pub(super) fn announce(&self, plural: &str, revision: u64) {
        if let Some(sender) = lock(&self.inner.changed).get(plural) {
            sender.send_replace(revision);
        }
    }

    /// A new uid, the n-th of the seed.
    pub(super) fn next_uid(&self) -> String {
        let n = {
            let mut uids = lock(&self.inner.uids);
            *uids += 1;
            *uids
        };
        uid(self.inner.options.seed, n)
    }

    fn api_version(&self, plural: &str) -> String {
        let mut served = self.inner.options.surface.resources().iter();
        served.find(|r| r.plural == plural).map_or_else(|| "v1".to_owned(), Resource::api_version)
    }

    /// The resource that an object says it is.
    fn resource_of(&self, object: &Value) -> Result<Resource, Failure> {
        let kind = text(object, "/kind");
        let known = self.inner.options.surface.resources().iter().find(|r| r.kind == kind).cloned();
        // Kinds that an old server does not serve can still be written: nobody can ask for them.
        let known =
            known.or_else(|| Kind::ALL.iter().find(|k| k.as_str() == kind).map(|k| Resource::from(*k)));
        known.ok_or_else(|| Failure::bad_request(format!("no resource holds objects of kind {kind:?}")))
    }
}

/// A uid that follows from a seed and a number, in the form of a version 4 UUID.
pub(super) fn uid(seed: u64, n: u64) -> String {
    let hash = blake3::hash(format!("{seed}/{n}").as_bytes()).to_hex().to_string();
    let part = |from: usize, to: usize| hash.get(from..to).unwrap_or_default();
    format!("{}-{}-4{}-8{}-{}", part(0, 8), part(8, 12), part(12, 15), part(15, 18), part(18, 30))
}

/// The plural name of a resource, from a `Kind` or as text.
#[derive(Debug, Clone)]
pub struct Plural(std::borrow::Cow<'static, str>);

impl From<Kind> for Plural {
    fn from(kind: Kind) -> Self {
        Plural(kind.plural().into())
    }
}

impl From<&str> for Plural {
    fn from(plural: &str) -> Self {
        Plural(plural.to_owned().into())
    }
}

/// Writes to the cluster under the name of a field manager.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    cluster: &'a Cluster,
    manager: &'a str,
    now: Timestamp,
    status: bool,
}

const WITH_GENERATION: [&str; 8] =
    ["deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs", "ingresses", "pods"];

impl Writer<'_> {
    /// The same at another time.
    pub fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// The same through the status subresource, as controllers and kubelets write.
    pub fn status(mut self) -> Self {
        self.status = true;
        self
    }

    /// Creates an object; needs `apiVersion`, `kind` and metadata.name. uid and creationTimestamp are filled in
    /// where absent. Answers the resourceVersion.
    ///
    /// # Errors
    /// 409 where the name is taken, 400 for a kind that no resource holds.
    pub fn create(&self, mut object: Value) -> Result<u64, Failure> {
        let resource = self.cluster.resource_of(&object)?;
        let plural = resource.plural;
        if resource.namespaced && text(&object, "/metadata/namespace").is_empty() {
            object["metadata"]["namespace"] = json!("default");
        }
        let key =
            (text(&object, "/metadata/namespace").to_owned(), text(&object, "/metadata/name").to_owned());
        if key.1.is_empty() {
            return Err(Failure::new(422, "Invalid", "metadata.name: Required value: name is required"));
        }
        if object.pointer("/metadata/uid").is_none() {
            object["metadata"]["uid"] = json!(self.cluster.next_uid());
        }
        if object.pointer("/metadata/creationTimestamp").is_none() {
            object["metadata"]["creationTimestamp"] = json!(managed::seconds(self.now));
        }
        if WITH_GENERATION.contains(&plural) {
            object["metadata"]["generation"] = json!(1);
        }
        managed::stamp(&mut object, &resource.api_version(), self.manager, false, self.now);
        let mut storage = self.cluster.storage();
        if storage.get(plural, &key).is_some() {
            return Err(Failure::exists(&resource.qualified(), &key.1));
        }
        let revision = storage.next_revision();
        object["metadata"]["resourceVersion"] = json!(revision.to_string());
        storage.put(plural, Arc::new(Stored::new(revision, object)));
        drop(storage);
        self.cluster.announce(plural, revision);
        Ok(revision)
    }

    /// Changes an object through a closure. A patch that changes nothing makes no new version. Answers the
    /// resourceVersion.
    ///
    /// # Errors
    /// 404 where it does not exist.
    pub fn update(
        &self,
        kind: impl Into<Plural>,
        namespace: &str,
        name: &str,
        patch: impl FnOnce(&mut Value),
    ) -> Result<u64, Failure> {
        let plural = kind.into().0;
        let key = (namespace.to_owned(), name.to_owned());
        let mut storage = self.cluster.storage();
        let old = storage.get(&plural, &key).ok_or_else(|| Failure::not_found(&plural, name))?;
        let before = old.value();
        let mut value = Value::clone(&before);
        patch(&mut value);
        if value == *before {
            return Ok(old.revision);
        }
        if WITH_GENERATION.contains(&plural.as_ref()) && value.get("spec") != before.get("spec") {
            let generation = before.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(1);
            value["metadata"]["generation"] = json!(generation + 1);
        }
        managed::stamp(&mut value, &self.cluster.api_version(&plural), self.manager, self.status, self.now);
        let revision = storage.next_revision();
        value["metadata"]["resourceVersion"] = json!(revision.to_string());
        storage.put(&plural, Arc::new(Stored::new(revision, value)));
        drop(storage);
        self.cluster.announce(&plural, revision);
        Ok(revision)
    }

    /// Takes an object away at once. Answers the revision of the deletion.
    ///
    /// # Errors
    /// 404 where it does not exist.
    pub fn delete(&self, kind: impl Into<Plural>, namespace: &str, name: &str) -> Result<u64, Failure> {
        let plural = kind.into().0;
        let key = (namespace.to_owned(), name.to_owned());
        let mut storage = self.cluster.storage();
        let old = storage.get(&plural, &key).ok_or_else(|| Failure::not_found(&plural, name))?;
        let revision = storage.next_revision();
        let mut value = Value::clone(&old.value());
        value["metadata"]["resourceVersion"] = json!(revision.to_string());
        storage.remove(&plural, Arc::new(Stored::new(revision, value)));
        drop(storage);
        if plural == "pods" {
            let channel = log_channel(namespace, name);
            lock(&self.cluster.inner.logs).remove(&channel);
            // Whoever follows the log learns that it is over.
            lock(&self.cluster.inner.changed).remove(&channel);
        }
        self.cluster.announce(&plural, revision);
        Ok(revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Cluster {
        Cluster::new(Options::new(1, Arc::new(|| Timestamp::UNIX_EPOCH)))
    }

    #[test]
    fn a_write_that_changes_nothing_makes_no_version() {
        let cluster = cluster();
        let made = cluster
            .create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}))
            .expect("created");
        let same =
            cluster.update(Kind::ConfigMap, "default", "a", |o| o["data"]["k"] = json!("v")).expect("there");
        assert_eq!(made, same);
        let other =
            cluster.update(Kind::ConfigMap, "default", "a", |o| o["data"]["k"] = json!("w")).expect("there");
        assert!(other > made);
    }

    #[test]
    fn the_generation_grows_with_the_spec_and_not_with_the_status() {
        let cluster = cluster();
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
            "spec": {"replicas": 1}});
        cluster.create(object).expect("created");
        let generation = || {
            cluster.get(Kind::Deployment, "default", "a").expect("there")["metadata"]["generation"].clone()
        };
        let status = cluster.writer("kube-controller-manager").status();
        status
            .update(Kind::Deployment, "default", "a", |o| o["status"] = json!({"replicas": 1}))
            .expect("there");
        assert_eq!(generation(), 1);
        cluster
            .update(Kind::Deployment, "default", "a", |o| o["spec"]["replicas"] = json!(2))
            .expect("there");
        assert_eq!(generation(), 2);
        let managers =
            cluster.get(Kind::Deployment, "default", "a").expect("there")["metadata"]["managedFields"]
                .clone();
        assert_eq!(managers[1]["manager"], "kube-controller-manager");
        assert_eq!(managers[1]["subresource"], "status");
    }

    #[test]
    fn the_same_seed_makes_the_same_uids() {
        let of = |c: &Cluster| {
            c.get(Kind::Namespace, "", "kube-system").expect("there")["metadata"]["uid"].clone()
        };
        assert_eq!(of(&cluster()), of(&cluster()));
    }
}
