//! Every rule, a line each.

use super::{Condition, Moment};
// pods and nodes
use super::{
    image_pull_failed, node_added, node_cordoned, node_scaled_down, node_uncordoned, node_unhealthy,
    pod_crash_loop, pod_created, pod_deleted, pod_evicted, pod_failed, pod_oom_restart, pod_restarted,
    pod_start_failed, pod_status_changed, pod_stuck_terminating, pod_unready, pod_unschedulable,
};

/// Rules about states.
pub const CONDITIONS: &[&dyn Condition] = &[
    // pods and nodes
    &image_pull_failed::Rule,
    &node_unhealthy::Rule,
    &pod_crash_loop::Rule,
    &pod_start_failed::Rule,
    &pod_stuck_terminating::Rule,
    &pod_unready::Rule,
    &pod_unschedulable::Rule,
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
];
