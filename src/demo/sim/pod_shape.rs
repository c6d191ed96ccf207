//! A pod of the simulation as the JSON that kubelet and controllers write.

use serde_json::{Value, json};

use super::model::{Ended, Owner, Pod, State, Template};
use crate::demo::managed::seconds;

/// spec.template of a workload.
pub(super) fn template(of: &Template, hash: Option<&str>) -> Value {
    let mut labels = json!({"app.kubernetes.io/name": of.app});
    if let Some(hash) = hash {
        labels["pod-template-hash"] = json!(hash);
    }
    let mut meta = json!({"labels": labels});
    if let Some(at) = &of.restarted_at {
        meta["annotations"] = json!({"kubectl.kubernetes.io/restartedAt": at});
    }
    let mut spec = pod_spec(of);
    spec["restartPolicy"] = json!("Always");
    json!({"metadata": meta, "spec": spec})
}

/// spec of a pod, without what the scheduler adds.
pub(super) fn pod_spec(of: &Template) -> Value {
    let mut container = json!({
        "name": "app", "image": of.image, "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": of.cpu, "memory": of.memory}, "limits": {"memory": of.memory}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 5,
            "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3},
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "FallbackToLogsOnError"});
    if let Some(config) = &of.config {
        container["envFrom"] = json!([{"configMapRef": {"name": config}}]);
    }
    json!({"containers": [container], "serviceAccountName": of.app, "dnsPolicy": "ClusterFirst",
        "terminationGracePeriodSeconds": 30, "schedulerName": "default-scheduler", "securityContext": {}})
}

/// A new pod, before anybody has seen it. `owner` is its ownerReference.
pub(super) fn created(pod: &Pod, owner: &Value, generate_name: &str) -> Value {
    let mut spec = pod_spec(&pod.template);
    let mut labels = json!({"app.kubernetes.io/name": pod.template.app});
    match &pod.owner {
        Owner::App(_, hash) => {
            labels["pod-template-hash"] = json!(hash);
            spec["restartPolicy"] = json!("Always");
        }
        Owner::Job(key) => {
            labels["batch.kubernetes.io/job-name"] = json!(key.1);
            spec["restartPolicy"] = json!("Never");
        }
    }
    spec["enableServiceLinks"] = json!(true);
    spec["priority"] = json!(0);
    spec["tolerations"] = json!([
        {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
        {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]);
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": pod.key.1, "namespace": pod.key.0, "uid": pod.uid, "labels": labels,
            "generateName": generate_name, "ownerReferences": [owner]},
        "spec": spec, "status": {"phase": "Pending", "qosClass": "Burstable"}})
}

/// status of a pod.
pub(super) fn status(pod: &Pod) -> Value {
    let conditions: Vec<Value> = pod
        .conditions
        .iter()
        .map(|c| {
            let mut out = json!({"type": c.kind, "status": c.status, "lastProbeTime": null,
                "lastTransitionTime": seconds(c.since)});
            if !c.reason.is_empty() {
                out["reason"] = json!(c.reason);
            }
            if !c.message.is_empty() {
                out["message"] = json!(c.message);
            }
            out
        })
        .collect();
    let mut status = json!({"phase": pod.phase, "qosClass": "Burstable", "conditions": conditions});
    if let Some(at) = pod.start_time {
        status["startTime"] = json!(seconds(at));
        status["hostIP"] = json!("10.0.0.1");
        status["podIP"] = json!(pod.ip());
        status["podIPs"] = json!([{"ip": pod.ip()}]);
    }
    if pod.state != State::Unknown {
        status["containerStatuses"] = json!([container_status(pod)]);
    }
    status
}

fn container_status(pod: &Pod) -> Value {
    let id = container_id(pod, pod.restarts);
    let (state, started) = match &pod.state {
        State::Unknown => (json!({}), false),
        State::Waiting(reason, message) if message.is_empty() => {
            (json!({"waiting": {"reason": reason}}), false)
        }
        State::Waiting(reason, message) => {
            (json!({"waiting": {"reason": reason, "message": message}}), false)
        }
        State::Running(since) => (json!({"running": {"startedAt": seconds(*since)}}), true),
        State::Terminated(ended) => (terminated(ended, &id), false),
    };
    let last = pod
        .last
        .as_ref()
        .map_or(json!({}), |e| terminated(e, &container_id(pod, pod.restarts.saturating_sub(1))));
    let pulled = started || pod.last.is_some() || matches!(pod.state, State::Terminated(_));
    let image_id = if pulled {
        let digest = blake3::hash(pod.template.image.as_bytes()).to_hex();
        format!("{}@sha256:{digest}", pod.template.image.split(':').next().unwrap_or_default())
    } else {
        String::new()
    };
    let mut out = json!({"name": "app", "image": pod.template.image, "imageID": image_id, "ready": pod.container_ready(),
        "started": started, "restartCount": pod.restarts, "state": state, "lastState": last});
    if pulled {
        out["containerID"] = json!(id);
    }
    out
}

fn terminated(ended: &Ended, id: &str) -> Value {
    let mut out = json!({"exitCode": ended.exit, "reason": ended.reason, "startedAt": seconds(ended.started),
        "finishedAt": seconds(ended.finished), "containerID": id});
    if !ended.message.is_empty() {
        out["message"] = json!(ended.message);
    }
    json!({"terminated": out})
}

fn container_id(pod: &Pod, restart: u32) -> String {
    format!("containerd://{}", blake3::hash(format!("{}/{restart}", pod.uid).as_bytes()).to_hex())
}
