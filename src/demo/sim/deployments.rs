//! The workload controllers: ReplicaSets of a Deployment, rolling updates, pods of every workload, their status.
//!
//! One pass looks at one workload and does the next step, as a real controller does; it is called whenever a pod
//! of it changed.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::Sim;
use super::kube_events::About;
use super::model::{App, AppKind, Key, Owner, Pod, Set, State, Task};
use super::pod_shape;
use super::pods::NewPod;
use crate::demo::managed::seconds;

const CONTROLLER: &str = "kube-controller-manager";
/// Old ReplicaSets that are kept for a rollback.
const HISTORY: usize = 4;

/// How many pods of a set there are.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    all: u32,
    ready: u32,
}

impl Sim {
    /// One pass over a workload.
    pub(super) fn reconcile(&mut self, key: &Key) {
        let Some(mut app) = self.apps.remove(key) else { return };
        if app.kind == AppKind::Deployment {
            self.roll(&mut app);
        } else if let Some(set) = app.sets.first_mut() {
            set.desired = app.replicas;
        }
        for index in 0..app.sets.len() {
            self.fill_set(&app, index);
        }
        self.judge_progress(&mut app);
        self.write_sets(&app);
        self.write_app(&app);
        self.write_service(&app);
        self.apps.insert(key.clone(), app);
    }

    fn pods_of(&self, app: &Key, hash: &str) -> Vec<Key> {
        let mine = |owner: &Owner| matches!(owner, Owner::App(of, set) if of == app && set == hash);
        let mut keys: Vec<(bool, u64, Key)> = self
            .pods
            .values()
            .filter(|p| !p.terminating && mine(&p.owner))
            .map(|p| (!p.ready, p.number, p.key.clone()))
            .collect();
        keys.sort();
        keys.into_iter().map(|(_, _, key)| key).collect()
    }

    fn count(&self, app: &Key, hash: &str) -> Count {
        let pods = self.pods_of(app, hash);
        let ready = pods.iter().filter(|k| self.pods.get(*k).is_some_and(|p| p.ready)).count();
        Count { all: pods.len() as u32, ready: ready as u32 }
    }

    /// Moves the wanted numbers of a Deployment's sets one step on, within maxSurge and maxUnavailable of 25 %.
    fn roll(&mut self, app: &mut App) {
        let hash = app.template.hash();
        self.ensure_set(app, &hash);
        let surge = app.replicas.div_ceil(4);
        let floor = app.replicas - app.replicas / 4;
        let total: u32 = app.sets.iter().map(|s| s.desired).sum();
        let room = (app.replicas + surge).saturating_sub(total);
        let about = About::new("apps/v1", "Deployment", &app.key, &app.uid);
        let name = app.key.1.clone();
        if let Some(set) = app.sets.iter_mut().find(|s| s.hash == hash) {
            let wanted = app.replicas.min(set.desired + room);
            let from = set.desired;
            if app.replicas < from || wanted > from {
                set.desired = if app.replicas < from { app.replicas } else { wanted };
                let (to, word) = (set.desired, if set.desired > from { "up" } else { "down" });
                app.progress_at = self.now;
                self.record(
                    &about,
                    "deployment-controller",
                    (false, "ScalingReplicaSet"),
                    &format!("Scaled {word} replica set {name}-{hash} from {from} to {to}"),
                );
            }
        }
        let counts: Vec<Count> = app.sets.iter().map(|s| self.count(&app.key, &s.hash)).collect();
        let mut spare = counts.iter().map(|c| c.ready).sum::<u32>().saturating_sub(floor);
        for (set, count) in app.sets.iter_mut().zip(counts) {
            if set.hash == hash || set.desired == 0 {
                continue;
            }
            let unhealthy = count.all.saturating_sub(count.ready).min(set.desired);
            let healthy = (set.desired - unhealthy).min(spare);
            spare -= healthy;
            let (from, to) = (set.desired, set.desired - unhealthy - healthy);
            if to < from {
                set.desired = to;
                app.progress_at = self.now;
                self.record(
                    &about,
                    "deployment-controller",
                    (false, "ScalingReplicaSet"),
                    &format!("Scaled down replica set {name}-{} from {from} to {to}", set.hash),
                );
            }
        }
    }

    /// Makes the ReplicaSet of the wanted template the newest, and lets the oldest go.
    fn ensure_set(&mut self, app: &mut App, hash: &str) {
        match app.sets.iter().position(|s| s.hash == hash) {
            Some(index) if app.sets.len() == index + 1 => return,
            Some(index) => {
                let mut set = app.sets.remove(index);
                app.revision += 1;
                set.revision = app.revision;
                set.template = app.template.clone();
                app.sets.push(set);
            }
            None => {
                app.revision += 1;
                app.sets.push(Set {
                    hash: hash.to_owned(),
                    uid: self.cluster.next_uid(),
                    template: app.template.clone(),
                    desired: 0,
                    revision: app.revision,
                });
            }
        }
        app.rolling = true;
        app.stuck = false;
        app.progress_at = self.now;
        if app.sets.len() > HISTORY
            && let Some(index) = app.sets.iter().position(|s| s.desired == 0 && s.hash != hash)
        {
            let old = app.sets.remove(index);
            let _ = self.writer(CONTROLLER).delete(
                "replicasets",
                &app.key.0,
                &format!("{}-{}", app.key.1, old.hash),
            );
        }
        let wait = (f64::from(app.deadline_secs) * 1000.0) as u64 + 1_000;
        self.after(wait, Task::Reconcile(app.key.clone()));
    }

    /// Makes and deletes pods until a set has what it wants.
    fn fill_set(&mut self, app: &App, index: usize) {
        let Some(set) = app.sets.get(index).cloned() else { return };
        if app.kind == AppKind::Deployment {
            // The owner first: a watcher must be able to look it up.
            self.write_set(app, &set);
        }
        let pods = self.pods_of(&app.key, &set.hash);
        let (about, component) = if app.kind == AppKind::Deployment {
            let key = (app.key.0.clone(), format!("{}-{}", app.key.1, set.hash));
            (About::new("apps/v1", "ReplicaSet", &key, &set.uid), "replicaset-controller")
        } else {
            (About::new("apps/v1", app.kind.name(), &app.key, &app.uid), "workload-controller")
        };
        let wanted = set.desired as usize;
        for n in pods.len()..wanted {
            let Some(name) = self.pod_name(app, &set, n) else { continue };
            let node = if app.kind == AppKind::DaemonSet { self.node_without(&app.key) } else { None };
            let reference = json!({"apiVersion": "apps/v1", "kind": about.kind, "name": about.key.1, "uid": about.uid,
                "controller": true, "blockOwnerDeletion": true});
            let owner = Owner::App(app.key.clone(), set.hash.clone());
            let text = format!("Created pod: {name}");
            self.make_pod(
                &app.key.0,
                NewPod { name, owner, reference, template: set.template.clone(), node },
            );
            self.record(&about, component, (false, "SuccessfulCreate"), &text);
        }
        for key in pods.iter().skip(wanted) {
            self.record(&about, component, (false, "SuccessfulDelete"), &format!("Deleted pod: {}", key.1));
            self.terminate(key, CONTROLLER);
        }
    }

    /// A name for the n-th pod; `None` while a StatefulSet's old pod of that number is still going.
    fn pod_name(&mut self, app: &App, set: &Set, n: usize) -> Option<String> {
        match app.kind {
            AppKind::Deployment => Some(format!("{}-{}-{}", app.key.1, set.hash, self.rng.suffix(5))),
            AppKind::DaemonSet => Some(format!("{}-{}", app.key.1, self.rng.suffix(5))),
            AppKind::StatefulSet => {
                let name = |i: usize| format!("{}-{i}", app.key.1);
                let free = |i: &usize| !self.pods.contains_key(&(app.key.0.clone(), name(*i)));
                (0..=n.max(app.replicas as usize - 1)).find(free).map(name)
            }
        }
    }

    fn node_without(&self, app: &Key) -> Option<String> {
        let has = |node: &str| {
            self.pods.values().any(|p| {
                p.node.as_deref() == Some(node) && matches!(&p.owner, Owner::App(of, _) if of == app)
            })
        };
        self.nodes.keys().find(|n| !has(n)).cloned()
    }

    fn judge_progress(&mut self, app: &mut App) {
        let total: Count = self.total(app);
        let newest = app.sets.last().map_or(Count::default(), |s| self.count(&app.key, &s.hash));
        if newest.ready == app.replicas && total.all == app.replicas {
            app.rolling = false;
            app.stuck = false;
        }
        let limit = SignedDuration::from_secs((f64::from(app.deadline_secs) / self.speed).max(1.0) as i64);
        if app.rolling && !app.stuck && self.now.duration_since(app.progress_at) >= limit {
            app.stuck = true;
        }
        let enough = total.ready >= app.replicas - app.replicas / 4;
        if enough && app.available_since.is_none() {
            app.available_since = Some(self.now);
            app.unavailable_since = None;
        } else if !enough && app.unavailable_since.is_none() {
            app.unavailable_since = Some(self.now);
            app.available_since = None;
        }
    }

    fn total(&self, app: &App) -> Count {
        app.sets
            .iter()
            .map(|s| self.count(&app.key, &s.hash))
            .fold(Count::default(), |a, b| Count { all: a.all + b.all, ready: a.ready + b.ready })
    }

    fn write_sets(&mut self, app: &App) {
        if app.kind == AppKind::Deployment {
            for set in &app.sets {
                self.write_set(app, set);
            }
        }
    }

    fn write_set(&mut self, app: &App, set: &Set) {
        let name = format!("{}-{}", app.key.1, set.hash);
        let labels = json!({"app.kubernetes.io/name": set.template.app, "pod-template-hash": set.hash});
        if self.cluster.get("replicasets", &app.key.0, &name).is_none() {
            let object = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
                "metadata": {"name": name, "namespace": app.key.0, "uid": set.uid, "labels": labels,
                    "annotations": {"deployment.kubernetes.io/revision": set.revision.to_string(),
                        "deployment.kubernetes.io/desired-replicas": app.replicas.to_string()},
                    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": app.key.1, "uid": app.uid,
                        "controller": true, "blockOwnerDeletion": true}]},
                "spec": {"replicas": set.desired, "selector": {"matchLabels": labels},
                    "template": pod_shape::template(&set.template, Some(&set.hash))},
                "status": {"replicas": 0}});
            let _ = self.writer(CONTROLLER).create(object);
            return;
        }
        let count = self.count(&app.key, &set.hash);
        let writer = self.writer(CONTROLLER);
        let _ = writer.update("replicasets", &app.key.0, &name, |object| {
            object["spec"]["replicas"] = json!(set.desired);
            let notes = &mut object["metadata"]["annotations"];
            notes["deployment.kubernetes.io/revision"] = json!(set.revision.to_string());
            notes["deployment.kubernetes.io/desired-replicas"] = json!(app.replicas.to_string());
        });
        let _ = writer.status().update("replicasets", &app.key.0, &name, |object| {
            let generation = object["metadata"]["generation"].clone();
            let mut status = json!({"replicas": count.all, "observedGeneration": generation});
            if count.all > 0 {
                status["fullyLabeledReplicas"] = json!(count.all);
            }
            if count.ready > 0 {
                status["readyReplicas"] = json!(count.ready);
                status["availableReplicas"] = json!(count.ready);
            }
            object["status"] = status;
        });
    }

    fn write_app(&mut self, app: &App) {
        let (plural, key) = (app.kind.plural(), &app.key);
        let newest = app.sets.last().map_or(Count::default(), |s| self.count(key, &s.hash));
        let total = self.total(app);
        if app.kind == AppKind::Deployment {
            let revision = json!(app.revision.to_string());
            let _ = self.writer(CONTROLLER).update(plural, &key.0, &key.1, |object| {
                object["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = revision;
            });
        }
        let conditions = self.app_conditions(app);
        let hash = app.sets.last().map_or_else(String::new, |s| s.hash.clone());
        let _ = self.writer(CONTROLLER).status().update(plural, &key.0, &key.1, |object| {
            let generation = object["metadata"]["generation"].clone();
            let before = object["status"]["conditions"].take();
            object["status"] = app_status(app, total, newest, &hash);
            object["status"]["observedGeneration"] = generation;
            if app.kind == AppKind::Deployment {
                object["status"]["conditions"] = keep_times(conditions, &before);
            }
        });
    }

    fn app_conditions(&self, app: &App) -> Vec<Value> {
        let now = seconds(self.now);
        let set = format!("{}-{}", app.key.1, app.sets.last().map_or("", |s| &s.hash));
        let condition = |kind: &str, yes: bool, reason: &str, message: &str| {
            json!({"type": kind, "status": if yes { "True" } else { "False" }, "reason": reason, "message": message,
                "lastUpdateTime": now, "lastTransitionTime": now})
        };
        let available = if app.available_since.is_some() {
            condition("Available", true, "MinimumReplicasAvailable", "Deployment has minimum availability.")
        } else {
            condition(
                "Available",
                false,
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.",
            )
        };
        let progressing = match (app.stuck, app.rolling) {
            (true, _) => condition(
                "Progressing",
                false,
                "ProgressDeadlineExceeded",
                &format!("ReplicaSet \"{set}\" has timed out progressing."),
            ),
            (_, true) => condition(
                "Progressing",
                true,
                "ReplicaSetUpdated",
                &format!("ReplicaSet \"{set}\" is progressing."),
            ),
            _ => condition(
                "Progressing",
                true,
                "NewReplicaSetAvailable",
                &format!("ReplicaSet \"{set}\" has successfully progressed."),
            ),
        };
        vec![available, progressing]
    }

    /// Those of a workload that run, as far as anybody knows.
    pub(super) fn running_pods(&self, app: &Key) -> Vec<Key> {
        let silent = |p: &Pod| p.node.as_ref().is_some_and(|n| self.nodes.get(n).is_some_and(|n| !n.ready));
        let mine = |owner: &Owner| matches!(owner, Owner::App(of, _) if of == app);
        let up = |state: &State| matches!(state, State::Running(_));
        self.pods
            .values()
            .filter(|p| mine(&p.owner) && up(&p.state) && !p.terminating && !silent(p))
            .map(|p| p.key.clone())
            .collect()
    }
}

fn app_status(app: &App, total: Count, newest: Count, hash: &str) -> Value {
    let missing = app.replicas.saturating_sub(total.ready);
    match app.kind {
        AppKind::DaemonSet => {
            json!({"currentNumberScheduled": total.all, "desiredNumberScheduled": app.replicas,
            "numberMisscheduled": 0, "numberReady": total.ready, "numberAvailable": total.ready,
            "numberUnavailable": missing, "updatedNumberScheduled": newest.all})
        }
        AppKind::StatefulSet => {
            json!({"replicas": total.all, "readyReplicas": total.ready, "availableReplicas": total.ready,
            "currentReplicas": newest.all, "updatedReplicas": newest.all, "currentRevision": format!("{}-{hash}", app.key.1),
            "updateRevision": format!("{}-{hash}", app.key.1), "collisionCount": 0})
        }
        AppKind::Deployment => {
            let mut status = json!({"replicas": total.all, "updatedReplicas": newest.all});
            if total.ready > 0 {
                status["readyReplicas"] = json!(total.ready);
                status["availableReplicas"] = json!(total.ready);
            }
            if missing > 0 {
                status["unavailableReplicas"] = json!(missing);
            }
            status
        }
    }
}

/// New conditions with the old times where they say the same.
fn keep_times(mut conditions: Vec<Value>, before: &Value) -> Value {
    for condition in &mut conditions {
        let Some(old) = before.as_array().and_then(|b| b.iter().find(|c| c["type"] == condition["type"]))
        else {
            continue;
        };
        if old["status"] == condition["status"] {
            condition["lastTransitionTime"] = old["lastTransitionTime"].clone();
            if old["reason"] == condition["reason"] && old["message"] == condition["message"] {
                condition["lastUpdateTime"] = old["lastUpdateTime"].clone();
            }
        }
    }
    Value::Array(conditions)
}
