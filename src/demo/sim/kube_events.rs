//! Kubernetes Events, as kubelet, scheduler and controllers record them.
//!
//! The same Event again raises its count; after an hour without a repeat it is deleted, as by the server's TTL.

use jiff::Timestamp;
use serde_json::json;

use super::Sim;
use super::model::{Key, Task};
use crate::demo::managed::{micros, seconds};

/// An Event that exists.
#[derive(Debug)]
pub(super) struct Seen {
    key: Key,
    count: u64,
    last: Timestamp,
}

/// What an Event is about.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub api_version: &'static str,
    pub kind: &'static str,
    pub key: Key,
    pub uid: String,
    /// `spec.containers{app}`, or empty.
    pub field_path: &'static str,
    pub node: String,
}

impl About {
    pub fn new(api_version: &'static str, kind: &'static str, key: &Key, uid: &str) -> Self {
        About {
            api_version,
            kind,
            key: key.clone(),
            uid: uid.to_owned(),
            field_path: "",
            node: String::new(),
        }
    }
}

/// In milliseconds of a real cluster, as every other delay: a day that is played faster would heap them up.
const LIFETIME_MS: u64 = 60 * 60 * 1000;
const LOOK_EVERY_MS: u64 = 5 * 60 * 1000;

impl Sim {
    /// Records an Event; Warnings by their reason's nature are told by `warning`.
    pub(super) fn record(
        &mut self,
        about: &About,
        component: &str,
        (warning, reason): (bool, &str),
        message: &str,
    ) {
        let identity = format!("{}/{}/{reason}/{component}/{message}", about.uid, about.key.1);
        let now = self.now;
        if let Some(seen) = self.events.get_mut(&identity) {
            seen.count += 1;
            seen.last = now;
            let (key, count) = (seen.key.clone(), seen.count);
            let done = self.writer(component).update("events", &key.0, &key.1, |event| {
                if event.get("eventTime").is_some_and(|t| !t.is_null()) {
                    event["series"] = json!({"count": count, "lastObservedTime": micros(now)});
                } else {
                    event["count"] = json!(count);
                    event["lastTimestamp"] = json!(seconds(now));
                }
            });
            if done.is_ok() {
                return;
            }
        }
        let namespace = if about.key.0.is_empty() { "default" } else { &about.key.0 };
        let name = format!("{}.{:016x}", about.key.1, self.rng.next() >> 3);
        let modern = component == "default-scheduler";
        let mut event = json!({"apiVersion": "v1", "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {"apiVersion": about.api_version, "kind": about.kind, "name": about.key.1, "uid": about.uid},
            "reason": reason, "message": message, "type": if warning { "Warning" } else { "Normal" },
            "reportingComponent": component, "reportingInstance": about.node});
        if !about.key.0.is_empty() {
            event["involvedObject"]["namespace"] = json!(about.key.0);
        }
        if !about.field_path.is_empty() {
            event["involvedObject"]["fieldPath"] = json!(about.field_path);
        }
        if modern {
            // The scheduler speaks events.k8s.io/v1: no count, no lastTimestamp.
            event["eventTime"] = json!(micros(now));
            event["action"] = json!("Binding");
            event["source"] = json!({});
            event["reportingInstance"] = json!("default-scheduler-control-plane");
        } else {
            event["eventTime"] = json!(null);
            event["firstTimestamp"] = json!(seconds(now));
            event["lastTimestamp"] = json!(seconds(now));
            event["count"] = json!(1);
            event["source"] = json!({"component": component});
            if !about.node.is_empty() {
                event["source"]["host"] = json!(about.node);
            }
        }
        if self.writer(component).create(event).is_ok() {
            let key = (namespace.to_owned(), name);
            self.events.insert(identity, Seen { key, count: 1, last: now });
        }
    }

    /// Deletes Events that nobody repeated for an hour.
    pub(super) fn forget_events(&mut self) {
        let oldest = self.now - self.lasting(LIFETIME_MS);
        let old: Vec<Key> = self.events.values().filter(|s| s.last < oldest).map(|s| s.key.clone()).collect();
        self.events.retain(|_, seen| seen.last >= oldest);
        for key in old {
            let _ = self.writer("kube-apiserver").delete("events", &key.0, &key.1);
        }
        self.after(LOOK_EVERY_MS, Task::Forget);
    }
}
