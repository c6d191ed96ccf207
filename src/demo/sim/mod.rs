//! Controllers, scheduler and kubelets in small: what gives the simulated cluster its life.
//!
//! Driven by time that is passed in: `advance(now)` does everything that was due until then, in order, each at its
//! own time, so that the same seed and the same actions make the same objects whatever the ticks. Writes to the
//! cluster only through `Writer`, under the names that real controllers use. Never sleeps, never reads a clock.

mod actions;
mod autoscaler;
mod deployments;
mod jobs;
mod kube_events;
mod model;
mod nodes;
mod pod_shape;
mod pods;
mod services;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::cluster::{Cluster, Writer};
use super::rng::Rng;
use model::{App, Key, Node, Pod, Task};

pub use actions::ActionError;

/// The life of a cluster.
#[derive(Debug)]
pub struct Sim {
    cluster: Cluster,
    rng: Rng,
    now: Timestamp,
    /// Delays of controllers and kubelets are divided by this.
    speed: f64,
    queue: BTreeMap<(Timestamp, u64), Task>,
    queued: u64,
    apps: BTreeMap<Key, App>,
    pods: BTreeMap<Key, Pod>,
    nodes: BTreeMap<String, Node>,
    jobs: BTreeMap<Key, jobs::Job>,
    crons: BTreeMap<Key, jobs::Cron>,
    scalers: BTreeMap<Key, autoscaler::Scaler>,
    events: BTreeMap<String, kube_events::Seen>,
    dirty: BTreeSet<Key>,
    pods_made: u64,
}

impl Sim {
    /// An empty life; `speed` divides every delay (1 = as a real cluster).
    pub fn new(cluster: Cluster, start: Timestamp, speed: f64) -> Self {
        let rng = Rng::new(cluster.inner.options.seed);
        Sim {
            cluster,
            rng,
            now: start,
            speed: if speed.is_finite() && speed > 0.0 { speed } else { 1.0 },
            queue: BTreeMap::new(),
            queued: 0,
            apps: BTreeMap::new(),
            pods: BTreeMap::new(),
            nodes: BTreeMap::new(),
            jobs: BTreeMap::new(),
            crons: BTreeMap::new(),
            scalers: BTreeMap::new(),
            events: BTreeMap::new(),
            dirty: BTreeSet::new(),
            pods_made: 0,
        }
    }

    /// The cluster that it lives in.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// Does everything that is due until `now`. Time never goes back.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let ((at, _), task) = entry.remove_entry();
            self.now = self.now.max(at);
            self.perform(task);
            self.reconcile_dirty();
        }
        self.now = self.now.max(now);
    }

    fn perform(&mut self, task: Task) {
        match task {
            Task::Pod(key, step, what) => self.pod_step(&key, step, what),
            Task::Remove(key) => self.remove_pod(&key),
            Task::Reconcile(key) => {
                self.dirty.insert(key);
            }
            Task::EvictFrom(node) => self.evict_from(&node),
            Task::Scale(key) => self.rescale(&key),
            Task::JobPod(key) => self.job_pod(&key),
            Task::Cron(key) => self.run_cron(&key),
            Task::OutOfMemory(key, times) => self.out_of_memory(&key, times),
            Task::Forget => self.forget_events(),
        }
    }

    fn reconcile_dirty(&mut self) {
        while let Some(key) = self.dirty.pop_first() {
            self.reconcile(&key);
        }
    }

    /// Puts a task after a delay of a real cluster, in milliseconds.
    fn after(&mut self, millis: u64, task: Task) {
        self.at(self.now + self.lasting(millis), task);
    }

    /// How long a time of a real cluster, in milliseconds, takes here.
    fn lasting(&self, millis: u64) -> SignedDuration {
        SignedDuration::from_millis((millis as f64 / self.speed).max(1.0) as i64)
    }

    fn at(&mut self, at: Timestamp, task: Task) {
        self.queued += 1;
        self.queue.insert((at, self.queued), task);
    }

    fn writer<'a>(&'a self, manager: &'a str) -> Writer<'a> {
        self.cluster.writer(manager).at(self.now)
    }

    fn text_now(&self) -> String {
        super::managed::seconds(self.now)
    }
}
