//! Many objects and many changes at once, for measurements of memory and throughput.
//!
//! Pods are made as text of about 10 KB, as those of a real cluster with probes, volumes and managedFields; a
//! churn restarts them, or repeats Kubernetes Events, thousands of times a second. All from a seed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cluster::{Cluster, uid};
use super::managed::seconds;
use super::object::Stored;
use super::rng::Rng;

/// What a pod of the bulk is like at one moment.
struct Snapshot {
    number: usize,
    namespaces: usize,
    restarts: u32,
    seed: u64,
    now: String,
}

impl Snapshot {
    fn namespace(&self) -> String {
        format!("team-{:02}", self.number % self.namespaces.max(1))
    }

    fn name(&self) -> String {
        format!("svc-{:04}-7d9c5b8f6d-{:05x}", self.number / 10, self.number)
    }
}

/// A bulk of pods and their changes; made by `Cluster::bulk`.
#[derive(Debug)]
pub struct Bulk {
    cluster: Cluster,
    pods: usize,
    namespaces: usize,
    restarts: Vec<u32>,
    events: u64,
    rng: Rng,
}

impl Cluster {
    /// Fills the cluster with `pods` running pods of about 10 KB each, spread over `namespaces` namespaces and a
    /// node per 50 pods.
    pub fn bulk(&self, pods: usize, namespaces: usize) -> Bulk {
        let seed = self.inner.options.seed;
        let bulk = Bulk {
            cluster: self.clone(),
            pods,
            namespaces: namespaces.max(1),
            restarts: vec![0; pods],
            events: 0,
            rng: Rng::new(seed),
        };
        for number in 0..bulk.namespaces.min(pods.max(1)) {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": format!("team-{number:02}")}, "status": {"phase": "Active"}});
            // Taken names are those of an earlier bulk.
            let _ = self.create(namespace);
        }
        let now = self.now();
        for number in 0..pods {
            bulk.write_pod(number, now);
        }
        bulk
    }
}

impl Bulk {
    /// Restarts `count` containers, one change each: restartCount, lastState and times move.
    pub fn restart_pods(&mut self, count: usize) {
        let now = self.cluster.now();
        for _ in 0..count {
            let number = self.rng.below(self.pods as u64) as usize;
            if let Some(restarts) = self.restarts.get_mut(number) {
                *restarts += 1;
                self.write_pod(number, now);
            }
        }
    }

    /// Creates `count` Kubernetes Events (`BackOff` Warnings) about pods of the bulk, each one new.
    pub fn emit_events(&mut self, count: usize) {
        let now = self.cluster.now();
        for _ in 0..count {
            self.events += 1;
            let number = self.rng.below(self.pods as u64) as usize;
            let snapshot = self.snapshot(number, now);
            let event = kube_event(&snapshot, self.events);
            self.cluster.writer("kubelet").at(now).create(event).expect("names are numbered");
        }
    }

    /// Creates `count` Kubernetes Events of pods being started, each one new: another pod or another reason than every
    /// one before. `note` is the end of each message; the number of the Event stands before it, in brackets.
    pub fn roll_out(&mut self, count: usize, note: &str) {
        let now = self.cluster.now();
        let mut storage = self.cluster.storage();
        let mut revision = storage.revision();
        for _ in 0..count {
            let snapshot = self.snapshot(self.events as usize % self.pods.max(1), now);
            revision = storage.next_revision();
            let stored =
                start_event(&snapshot, (self.events, self.events / self.pods.max(1) as u64), revision, note);
            storage.put("events", Arc::new(stored));
            self.events += 1;
        }
        drop(storage);
        self.cluster.announce("events", revision);
    }

    /// How many Events were made.
    pub fn events(&self) -> u64 {
        self.events
    }

    fn snapshot(&self, number: usize, now: Timestamp) -> Snapshot {
        Snapshot {
            number,
            namespaces: self.namespaces,
            restarts: self.restarts.get(number).copied().unwrap_or(0),
            seed: self.cluster.inner.options.seed,
            now: seconds(now),
        }
    }

    fn write_pod(&self, number: usize, now: Timestamp) {
        let snapshot = self.snapshot(number, now);
        let mut storage = self.cluster.storage();
        let revision = storage.next_revision();
        storage.put("pods", Arc::new(stored(&snapshot, revision)));
        drop(storage);
        self.cluster.announce("pods", revision);
    }
}

fn stored(of: &Snapshot, revision: u64) -> Stored {
    let app = format!("svc-{:04}", of.number / 10);
    let labels = BTreeMap::from([
        ("app.kubernetes.io/name".to_owned(), app),
        ("pod-template-hash".to_owned(), "7d9c5b8f6d".to_owned()),
    ]);
    let body = pod_value(of, revision, &labels).to_string();
    Stored::from_text(revision, (of.namespace(), of.name()), labels, body)
}

fn pod_value(of: &Snapshot, revision: u64, labels: &BTreeMap<String, String>) -> Value {
    let pod_uid = uid(of.seed, 1_000_000 + of.number as u64);
    let app = labels.get("app.kubernetes.io/name").map_or("svc", String::as_str);
    let last = if of.restarts == 0 {
        json!({})
    } else {
        json!({"terminated": {"exitCode": 1, "reason": "Error", "startedAt": "2026-01-01T00:00:00Z",
            "finishedAt": of.now, "containerID": container_id(of)}})
    };
    let conditions: Vec<Value> = [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    ]
    .iter()
    .map(|kind| json!({"type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": of.now}))
    .collect();
    json!({
        "metadata": {"name": of.name(), "generateName": format!("{app}-7d9c5b8f6d-"), "namespace": of.namespace(),
            "uid": pod_uid, "resourceVersion": revision.to_string(), "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": labels, "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{app}-7d9c5b8f6d"),
                "uid": uid(of.seed, 2_000_000 + of.number as u64 / 10), "controller": true, "blockOwnerDeletion": true}],
            "managedFields": managed_fields(of)},
        "spec": {"nodeName": format!("node-{:03}", of.number / 50), "restartPolicy": "Always", "serviceAccountName": app,
            "containers": [container(app)], "volumes": volumes(), "priority": 0, "enableServiceLinks": true,
            "schedulerName": "default-scheduler", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "tolerations": [
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]},
        "status": {"phase": "Running", "qosClass": "Burstable", "hostIP": "10.0.0.7", "podIP": "10.1.2.3",
            "startTime": "2026-01-01T00:00:00Z", "conditions": conditions,
            "containerStatuses": [{"name": "app", "image": "registry.example.com/team/app:1.4.2", "ready": true, "started": true,
                "imageID": format!("registry.example.com/team/app@sha256:{}", "ab".repeat(32)),
                "containerID": container_id(of), "restartCount": of.restarts, "lastState": last,
                "state": {"running": {"startedAt": of.now}}}]},
    })
}

fn container_id(of: &Snapshot) -> String {
    format!(
        "containerd://{:064x}",
        u128::from(of.seed) << 32 | (of.number as u128) << 8 | u128::from(of.restarts)
    )
}

fn container(app: &str) -> Value {
    let env: Vec<Value> = (0..32)
        .map(|n| {
            json!({"name": format!("APP_SETTING_{n:02}"),
                "valueFrom": {"configMapKeyRef": {"name": format!("{app}-settings"), "key": format!("setting-{n:02}")}}})
        })
        .collect();
    let probe = json!({"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10,
        "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3});
    json!({"name": "app", "image": "registry.example.com/team/app:1.4.2", "imagePullPolicy": "IfNotPresent",
        "args": ["serve", "--listen=:8080", "--log-format=json"], "env": env, "livenessProbe": probe, "readinessProbe": probe,
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        "volumeMounts": [{"name": "settings", "mountPath": "/etc/app", "readOnly": true}]})
}

fn volumes() -> Value {
    json!([{"name": "settings", "configMap": {"name": "app-settings", "defaultMode": 420}},
        {"name": "kube-api-access", "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}]}}])
}

fn managed_fields(of: &Snapshot) -> Value {
    let mut env = String::new();
    for n in 0..32 {
        let _ = write!(
            env,
            "\"k:{{\\\"name\\\":\\\"APP_SETTING_{n:02}\\\"}}\":{{\".\":{{}},\"f:name\":{{}},\"f:valueFrom\":{{}}}},"
        );
    }
    let fields = format!(
        "{{\"f:spec\":{{\"f:containers\":{{\"k:{{\\\"name\\\":\\\"app\\\"}}\":{{{env}\"f:image\":{{}},\"f:livenessProbe\":{{}}}}}}}}}}"
    );
    let fields: Value = serde_json::from_str(&fields).unwrap_or_default();
    json!([
        {"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1", "fieldsV1": fields},
        {"manager": "kubelet", "operation": "Update", "apiVersion": "v1", "time": of.now, "fieldsType": "FieldsV1",
            "fieldsV1": {"f:status": {"f:conditions": {}, "f:containerStatuses": {}, "f:phase": {}, "f:podIP": {}}},
            "subresource": "status"}])
}

fn kube_event(of: &Snapshot, number: u64) -> Value {
    json!({"apiVersion": "v1", "kind": "Event",
        "metadata": {"name": format!("{}.{number:016x}", of.name()), "namespace": of.namespace()},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": of.namespace(), "name": of.name(),
            "uid": uid(of.seed, 1_000_000 + of.number as u64), "fieldPath": "spec.containers{app}"},
        "reason": "BackOff", "type": "Warning", "count": 1, "firstTimestamp": of.now, "lastTimestamp": of.now,
        "message": format!("Back-off restarting failed container app in pod {} ({number})", of.name()),
        "source": {"component": "kubelet", "host": format!("node-{:03}", of.number / 50)},
        "reportingComponent": "kubelet", "reportingInstance": format!("node-{:03}", of.number / 50)})
}

/// What the scheduler and the kubelet say while a pod starts.
const STARTING: &[&str] = &[
    "Scheduled",
    "SuccessfulAttachVolume",
    "AddedInterface",
    "Pulling",
    "Pulled",
    "Created",
    "Started",
    "SuccessfulMountVolume",
];

fn start_event(of: &Snapshot, (number, round): (u64, u64), revision: u64, note: &str) -> Stored {
    let starts = STARTING.len() as u64;
    let reason = STARTING[(round % starts) as usize];
    let component = match round / starts {
        0 => "kubelet".to_owned(),
        again => format!("kubelet-{again}"),
    };
    let (name, host) = (format!("{}.{number:016x}", of.name()), format!("node-{:03}", of.number / 50));
    let body = json!({
        "metadata": {"name": name, "namespace": of.namespace(), "uid": uid(of.seed, 3_000_000_000 + number),
            "resourceVersion": revision.to_string(), "creationTimestamp": of.now,
            "managedFields": [{"manager": "kubelet", "operation": "Update", "apiVersion": "v1", "time": of.now,
                "fieldsType": "FieldsV1", "fieldsV1": {"f:count": {}, "f:firstTimestamp": {}, "f:involvedObject": {},
                "f:lastTimestamp": {}, "f:message": {}, "f:reason": {}, "f:source": {}, "f:type": {}}}]},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": of.namespace(), "name": of.name(),
            "uid": uid(of.seed, 1_000_000 + of.number as u64), "fieldPath": "spec.containers{app}"},
        "reason": reason, "type": "Normal", "count": 1, "firstTimestamp": of.now, "lastTimestamp": of.now,
        "message": format!("{reason}: container app of pod {} ({number}) {note}", of.name()),
        "source": {"component": component, "host": host},
        "reportingComponent": component, "reportingInstance": host});
    Stored::from_text(revision, (of.namespace(), name), BTreeMap::new(), body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::Options;
    use crate::event::Kind;

    #[test]
    fn bulk_pods_are_about_ten_kilobytes_and_restart_one_change_each() {
        let cluster = Cluster::new(Options::new(7, Arc::new(|| Timestamp::UNIX_EPOCH)));
        let mut bulk = cluster.bulk(50, 3);
        let size = cluster.storage().all("pods", None).iter().map(|p| p.body().len()).sum::<usize>() / 50;
        assert!((8_000..12_500).contains(&size), "{size}");
        let before = cluster.revision();
        bulk.restart_pods(20);
        assert_eq!(cluster.revision(), before + 20);
        let restarts: u64 = cluster
            .list(Kind::Pod)
            .iter()
            .filter_map(|p| p.pointer("/status/containerStatuses/0/restartCount")?.as_u64())
            .sum();
        assert_eq!(restarts, 20);
        bulk.emit_events(30);
        assert_eq!(cluster.count(Kind::Event), 30);
        bulk.roll_out(120, "now");
        assert_eq!((cluster.count(Kind::Event), cluster.revision()), (150, before + 170));
    }
}
