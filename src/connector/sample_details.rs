//! The details of samples: exactly the keys that docs/events.md has for a type, each with a value of the right shape.
//! The keys are read from the document itself, so that a template is tried against what there is, and nothing else.

use serde_json::{Map, Value, json};

use crate::event::EventType;

const DOC: &str = include_str!("../../docs/events.md");
/// What the document writes as "pod details".
const OF_PODS: &[&str] = &["pod_name", "namespace", "restart_count"];

/// The kind of object that a type is about.
pub fn kind(event_type: EventType) -> &'static str {
    use EventType as T;
    match event_type {
        T::NodeScaledDown | T::NodeAdded | T::NodeCordoned | T::NodeUncordoned | T::NodeUnhealthy => "Node",
        T::ClusterUnhealthy => "Cluster",
        T::ConnectorFailed => "Connector",
        T::HpaMaxed => "HorizontalPodAutoscaler",
        T::ServiceUnavailable | T::EndpointsChanged | T::ServiceChanged => "Service",
        T::IngressChanged => "Ingress",
        T::RbacViolation | T::UnauthorizedAccess => "Role",
        T::ConfigChanged => "ConfigMap",
        T::HelmReleaseInstalled
        | T::HelmReleaseUpdated
        | T::HelmReleaseUninstalled
        | T::CertificateExpiring => "Secret",
        T::CostThresholdExceeded
        | T::CostReport
        | T::NamespaceCreated
        | T::NamespaceTerminating
        | T::NamespaceDeleted
        | T::NamespaceStuck => "Namespace",
        T::JobFailed => "Job",
        T::CronjobMissed => "CronJob",
        T::PvcPending | T::PvcUsageHigh => "PersistentVolumeClaim",
        T::PvFailed => "PersistentVolume",
        T::DeploymentScaled
        | T::WorkloadBlocked
        | T::WorkloadDegraded
        | T::RolloutStuck
        | T::RolloutStarted
        | T::RolloutCompleted
        | T::RolloutRolledBack
        | T::WorkloadCreated
        | T::WorkloadDeleted
        | T::WarningRateAnomaly
        | T::ImageChanged
        | T::HighCpu
        | T::IdleResourceDetected
        | T::HighImpactRecommendation
        | T::CostOptimizationAvailable
        | T::Http500
        | T::Http502
        | T::FailedPost
        | T::SecurityVulnerability => "Deployment",
        // Everything else is about a Pod.
        _ => "Pod",
    }
}

/// The details of a type's sample.
pub fn of(event_type: EventType) -> Map<String, Value> {
    let own = own(event_type);
    let Some(keys) = documented(event_type.name()) else {
        return own.as_object().cloned().unwrap_or_default();
    };
    let of_key = |key: &str| own.get(key).cloned().unwrap_or_else(|| value(key));
    keys.into_iter().map(|key| (key.to_owned(), of_key(key))).collect()
}

/// The keys of a type's row of the document; `None` where it has no row: no rule makes such events yet.
pub fn documented(name: &str) -> Option<Vec<&'static str>> {
    let of_row = |line: &'static str| {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        (cells.next()?.trim_matches('`') == name).then(|| cells.next()).flatten()
    };
    let cell = DOC.lines().find_map(of_row)?;
    let ticked = cell.split('`').skip(1).step_by(2);
    Some(ticked.flat_map(|key| if key == "pod details" { OF_PODS.to_vec() } else { vec![key] }).collect())
}

/// What a type says otherwise than others, and all of it for types without a rule.
fn own(event_type: EventType) -> Value {
    use EventType as T;
    match event_type {
        T::NodeUnhealthy => json!({"condition": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown",
            "message": "Kubelet stopped posting node status.", "pods": 12}),
        T::NodeScaledDown => json!({"reason": "cluster_autoscaler"}),
        T::ClusterUnhealthy => json!({"reason": "connection refused", "what": "api"}),
        T::ConnectorFailed => json!({"reason": "HTTP 403", "what": "delivery"}),
        T::DeploymentScaled => json!({"from": 3, "to": 5}),
        T::HpaMaxed => json!({"reason": "TooManyReplicas", "current": 10}),
        T::RolloutStuck | T::WorkloadBlocked | T::WorkloadDegraded => {
            json!({"reason": "ProgressDeadlineExceeded", "pods": ["my-app-123: not ready"],
                "message": "ReplicaSet \"my-app-6d4\" has timed out progressing."})
        }
        T::ImageChanged => json!({"from": "my-app:1.41.0", "to": "my-app:1.42.0"}),
        T::ServiceUnavailable => json!({"ready": 0, "pods": ["my-app-123: not ready"]}),
        T::PodStatusChanged => json!({"ready": true, "old_ready": false}),
        T::JobFailed => json!({"reason": "BackoffLimitExceeded", "message": "Job has reached the limit"}),
        T::PvcPending => json!({"reason": "ProvisioningFailed"}),
        T::PvFailed => {
            json!({"reason": "VolumeFailedDelete", "message": "still attached", "phase": "Failed"})
        }
        T::PvcUsageHigh => json!({"used_percent": 91, "capacity_bytes": 10_737_418_240_u64}),
        T::HighCpu | T::IdleResourceDetected | T::HighImpactRecommendation | T::CostOptimizationAvailable => {
            json!({"container": "app", "cpu_millis": 950, "cpu_limit_millis": 1000, "percent": 95, "samples": 288,
                "confidence": 0.9, "saving": 42.5})
        }
        T::Http500 | T::Http502 | T::FailedPost => {
            json!({"hits": 7, "window_secs": 60, "http_status": 500, "sample": "GET /cart 500"})
        }
        T::SecurityVulnerability => {
            json!({"cve": "CVE-2025-0001", "package": "openssl", "installed": "3.0.1",
            "fixed": "3.0.2", "new": 1})
        }
        T::RbacViolation | T::UnauthorizedAccess => {
            json!({"user": "system:anonymous", "verb": "get", "resource": "secrets", "code": 403})
        }
        T::CostThresholdExceeded | T::CostReport => {
            json!({"monthly_cost": 1234.5, "threshold": 1000, "currency": "USD"})
        }
        T::WarningRateAnomaly => json!({"count": 40, "usual": 2, "window_secs": 600}),
        _ => json!({}),
    }
}

const TEXTS: &[(&str, &str)] = &[
    ("pod_name", "my-app-123"),
    ("namespace", "default"),
    ("container", "app"),
    ("image", "my-app:1.42.0"),
    ("node", "node-1"),
    ("reason", "Error"),
    ("message", "Container failed to start"),
    ("last_error", "Container failed to start"),
    ("exit_meaning", "application error"),
    ("waiting", "CrashLoopBackOff"),
    ("field_manager", "helm"),
    ("schedule", "0 * * * *"),
    ("type", "Warning"),
    ("action", "changed"),
    ("phase", "Running"),
    ("status", "deployed"),
    ("release", "my-app"),
    ("workload", "Deployment/my-app"),
    ("target", "Deployment/my-app"),
    ("owner", "ReplicaSet/my-app-6d4"),
    ("kind", "Deployment"),
    ("selector", "app=my-app"),
    ("memory_limit", "64Mi"),
    ("memory_request", "64Mi"),
];
const NUMBERS: &str = "available backoff_limit count current days_left desired duration_secs exit_code failed grace_secs \
    max min pods pods_matching progress_deadline_secs ready ready_before replicas restart_count restarts \
    restarts_in_10_min signal succeeded total total_before unready_pods updated version wanted";
const FLAGS: &str = "cordoned drained init_container node_ready old_ready was_ready";
const LISTS: &str = "added blocking changed finalizers hosts images ingress_hosts modified names ports readers reasons \
    removed taints";
const TIMES: &str = "asked_at deleted_at deletion_asked_at finished_at first_seen last_schedule not_after not_before \
    scheduled_at started_at";

/// A value of the shape that a key has wherever it is documented.
fn value(key: &str) -> Value {
    let is = |keys: &str| keys.split(' ').any(|k| k == key);
    match key {
        "exit_code" => json!(1),
        "signal" => json!(0),
        "init_container" => json!(false),
        "changes" => json!({"type": {"from": "ClusterIP", "to": "LoadBalancer"}}),
        "involved_object" => json!({"kind": "Pod", "namespace": "default", "name": "my-app-123"}),
        _ if is(NUMBERS) => json!(5),
        _ if is(FLAGS) => json!(true),
        _ if is(LISTS) => json!(["my-app"]),
        _ if is(TIMES) => json!("2025-01-15T10:28:25Z"),
        _ => json!(TEXTS.iter().find(|(name, _)| *name == key).map_or(key, |(_, text)| text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::samples;

    #[test]
    fn a_sample_has_the_documented_keys_and_no_other() {
        let mut rows = 0;
        for def in EventType::all() {
            let Some(mut keys) = documented(def.name) else { continue };
            rows += 1;
            let event = samples::event(def.event_type);
            let mut shown: Vec<&str> = event.details.keys().map(String::as_str).collect();
            // It is there for every namespaced object, whatever the type.
            shown.retain(|key| *key != "namespace");
            keys.retain(|key| *key != "namespace");
            keys.sort_unstable();
            shown.sort_unstable();
            assert_eq!(shown, keys, "{}", def.name);
        }
        assert!(rows > 40, "{rows} rows of docs/events.md are read");
        assert_eq!(documented("high_cpu"), None);
    }
}
