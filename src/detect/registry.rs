//! Every rule, a line each.

use super::{Condition, Moment};
// pods and nodes
use super::{
    image_pull_failed, node_added, node_cordoned, node_scaled_down, node_uncordoned, node_unhealthy,
    pod_crash_loop, pod_created, pod_deleted, pod_evicted, pod_failed, pod_oom_restart, pod_restarted,
    pod_start_failed, pod_status_changed, pod_stuck_terminating, pod_unready, pod_unschedulable,
};

// workloads, config, network, storage, kubernetes events
use super::{
    certificate_expiring, config_changed, cronjob_missed, deployment_scaled, endpoints_changed, helm_release,
    hpa_maxed, image_changed, ingress_changed, job_failed, kubernetes_event, namespace_lifecycle,
    namespace_stuck, pv_failed, pvc_pending, rollout_completed, rollout_started, rollout_stuck,
    service_changed, service_unavailable, workload_blocked, workload_degraded, workload_lifecycle,
};
use crate::event::Kind;

/// Rules about states. One that judges several kinds stands once for each.
pub const CONDITIONS: &[&dyn Condition] = &[
    // pods and nodes
    &image_pull_failed::Rule,
    &node_unhealthy::Rule,
    &pod_crash_loop::Rule,
    &pod_start_failed::Rule,
    &pod_stuck_terminating::Rule,
    &pod_unready::Rule,
    &pod_unschedulable::Rule,
    // workloads, config, network, storage, kubernetes events
    &hpa_maxed::Rule,
    &workload_blocked::Rule(Kind::ReplicaSet),
    &workload_blocked::Rule(Kind::StatefulSet),
    &workload_blocked::Rule(Kind::DaemonSet),
    &workload_blocked::Rule(Kind::Job),
    &workload_degraded::Rule(Kind::Deployment),
    &workload_degraded::Rule(Kind::StatefulSet),
    &workload_degraded::Rule(Kind::DaemonSet),
    &workload_degraded::Rule(Kind::ReplicaSet),
    &service_unavailable::Rule,
    &rollout_stuck::Rule,
    &namespace_stuck::Rule,
    &job_failed::Rule,
    &cronjob_missed::Rule,
    &pvc_pending::Rule,
    &pv_failed::Rule(Kind::PersistentVolume),
    &pv_failed::Rule(Kind::PersistentVolumeClaim),
    &certificate_expiring::Rule,
];

/// Rules about changes.
pub const MOMENTS: &[&dyn Moment] = &[
    // pods and nodes
    &node_added::Rule,
    &node_cordoned::Rule,
    &node_scaled_down::Rule,
    &node_uncordoned::Rule,
    &pod_created::Rule,
    &pod_deleted::Rule,
    &pod_evicted::Rule,
    &pod_failed::Rule,
    &pod_oom_restart::Rule,
    &pod_restarted::Rule,
    &pod_status_changed::Rule,
    // workloads, config, network, storage, kubernetes events
    &config_changed::Rule,
    &deployment_scaled::Rule,
    &endpoints_changed::Rule,
    &helm_release::Rule,
    &image_changed::Rule,
    &ingress_changed::Rule,
    &kubernetes_event::Rule,
    &namespace_lifecycle::Rule,
    &rollout_completed::Rule,
    &rollout_started::Rule,
    &service_changed::Rule,
    &workload_lifecycle::Rule,
];
