//! Which detector speaks for a Kubernetes Event's reason, and which Warnings belong to a healthy life.
//!
//! The reasons are those of the controllers, the scheduler and the kubelet of Kubernetes
//! (`pkg/kubelet/events/event.go` and the `Eventf` calls of `pkg/controller`), and of the cluster autoscaler.

use crate::{
    event::{EventType as T, Kind},
    object::KubeEvent,
};

/// A row: reasons, and the types that tell the same story.
type Row = (&'static [&'static str], &'static [T]);

const TABLE: &[Row] = &[
    // kubelet: containers
    (&["BackOff"], &[T::PodCrashLoop, T::ImagePullFailed]),
    (&["Failed"], &[T::ImagePullFailed, T::PodStartFailed, T::PodCrashLoop]),
    (
        &[
            "ErrImagePull",
            "ImagePullBackOff",
            "ErrImageNeverPull",
            "InspectFailed",
            "FailedToRetrieveImagePullSecret",
        ],
        &[T::ImagePullFailed],
    ),
    (&["Unhealthy", "ProbeWarning"], &[T::PodUnready, T::PodCrashLoop, T::PodRestarted]),
    (&["FailedPostStartHook"], &[T::PodCrashLoop, T::PodRestarted]),
    (&["FailedPreStopHook", "ExceededGracePeriod", "FailedKillPod"], &[T::PodStuckTerminating]),
    (
        &[
            "FailedMount",
            "FailedAttachVolume",
            "FailedMapVolume",
            "FailedCreatePodSandBox",
            "FailedCreatePodContainer",
            "FailedPodSandBoxStatus",
            "FailedPrepareDynamicResources",
            "FailedSync",
            "NetworkNotReady",
            "InvalidImageName",
            "VolumePermissionChangeInProgress",
        ],
        &[T::PodStartFailed],
    ),
    (&["FailedDetachVolume", "FailedUnmount"], &[T::PodStuckTerminating]),
    (&["OOMKilling", "SystemOOM"], &[T::PodOomRestart]),
    (&["Evicted"], &[T::PodEvicted]),
    (
        &[
            "OutOfcpu",
            "OutOfmemory",
            "OutOfpods",
            "NodeAffinity",
            "UnexpectedAdmissionError",
            "PodFailed",
            "FailedDaemonPod",
            "RecreatingFailedPod",
            "RecreatingTerminatedPod",
            "DeadlineExceeded",
        ],
        &[T::PodFailed, T::PodEvicted, T::JobFailed],
    ),
    // scheduler
    (&["FailedScheduling"], &[T::PodUnschedulable]),
    // controllers
    (&["FailedCreate"], &[T::WorkloadBlocked, T::CronjobMissed]),
    (&["FailedDelete"], &[T::PodStuckTerminating]),
    (&["BackoffLimitExceeded", "PodFailurePolicy"], &[T::JobFailed]),
    (&["ProgressDeadlineExceeded"], &[T::RolloutStuck]),
    (
        &[
            "MissSchedule",
            "TooManyMissedTimes",
            "FailedNeedsStart",
            "UnknownTimeZone",
            "UnParseableCronJobSchedule",
        ],
        &[T::CronjobMissed],
    ),
    (
        &[
            "FailedGetResourceMetric",
            "FailedGetContainerResourceMetric",
            "FailedGetPodsMetric",
            "FailedGetObjectMetric",
            "FailedGetExternalMetric",
            "FailedComputeMetricsReplicas",
            "FailedGetScale",
            "FailedRescale",
        ],
        &[T::HpaMaxed],
    ),
    // nodes
    (
        &[
            "NodeNotReady",
            "NodeNotSchedulable",
            "Rebooted",
            "EvictionThresholdMet",
            "FreeDiskSpaceFailed",
            "ImageGCFailed",
            "ContainerGCFailed",
            "FailedNodeAllocatableEnforcement",
            "ContainerRuntimeUnhealthy",
            "KubeletUnhealthy",
        ],
        &[T::NodeUnhealthy],
    ),
    (&["RemovingNode", "DeletingNode", "SpotInterrupted", "TerminatingOnInterruption"], &[T::NodeScaledDown]),
    // volumes
    (&["FailedBinding", "ProvisioningFailed"], &[T::PvcPending, T::PodUnschedulable]),
    (
        &[
            "ClaimLost",
            "ClaimMisbound",
            "VolumeMismatch",
            "VolumeFailedDelete",
            "VolumeFailedRecycle",
            "VolumeDelete",
        ],
        &[T::PvFailed, T::PvcPending],
    ),
];

/// Warnings that come with ordinary work: conflicts that are tried again, set-up hints, controllers catching up.
const NOISE: &[&str] = &[
    "FailedToUpdateEndpointSlices",
    "FailedToCreateEndpoint",
    "FailedToUpdateEndpoint",
    "TopologyAwareHintsDisabled",
    "FailedUpdateStatus",
    "InvalidDiskCapacity",
    "PossibleMemoryBackedVolumesOnDisk",
    "CgroupV1",
    "DNSConfigForming",
    "MissingClusterDNS",
    "CheckLimitsForResolvConf",
    "HostNetworkNotSupported",
    "UnexpectedJob",
    "TaintManagerEviction",
    "UnmanagedPods",
    "NoPods",
    "NoControllers",
    "CalculateExpectedPodCountFailed",
    "ExternalExpanding",
    "FileSystemResizeRequired",
    "ClusterIPNotAllocated",
    "PortNotAllocated",
    "FailedPlacement",
    "NodeShutdown",
    // Karpenter's way of taking a node out of service, pod by pod.
    "FailedDraining",
    "AwaitingVolumeDetachment",
    "InstanceTerminating",
];

/// Words in a message that say that the next try will do: a lost race, or an end that everybody knows of.
const PASSING: &[&str] = &[
    "the object has been modified; please apply your changes to the latest version",
    "because it is being terminated",
    "object is being deleted",
];

/// The types that tell the same story as an Event of this reason; empty: nobody speaks for it.
pub fn spoken_for(reason: &str) -> &'static [T] {
    TABLE.iter().find(|(reasons, _)| reasons.contains(&reason)).map_or(&[], |(_, types)| types)
}

/// Whether a Warning belongs to a healthy life: kept as context, no reason to wake anybody.
pub fn is_noise(event: &KubeEvent) -> bool {
    NOISE.contains(&event.reason.as_str()) || PASSING.iter().any(|words| event.message.contains(words))
}

/// How long the detector of a type waits before it tells; an Event that it speaks for waits as long for it.
pub fn threshold_secs(event_type: T) -> u32 {
    match event_type {
        T::PodUnschedulable => 20,
        T::PodStartFailed | T::PvcPending | T::CronjobMissed => 60,
        T::PodStuckTerminating => 90,
        T::PodUnready | T::ServiceUnavailable => 120,
        T::WorkloadDegraded => 300,
        T::NamespaceStuck => 600,
        _ => 5,
    }
}

/// The kind whose watch the detector of a type needs; `None`: that of the involved object itself.
pub fn judged_kind(event_type: T) -> Option<Kind> {
    match event_type {
        T::PodCrashLoop
        | T::PodRestarted
        | T::PodOomRestart
        | T::PodStartFailed
        | T::PodUnready
        | T::PodStuckTerminating
        | T::PodUnschedulable
        | T::PodFailed
        | T::PodEvicted
        | T::ImagePullFailed => Some(Kind::Pod),
        T::NodeUnhealthy | T::NodeScaledDown => Some(Kind::Node),
        T::HpaMaxed => Some(Kind::HorizontalPodAutoscaler),
        T::JobFailed => Some(Kind::Job),
        T::CronjobMissed => Some(Kind::CronJob),
        T::PvcPending => Some(Kind::PersistentVolumeClaim),
        T::PvFailed => Some(Kind::PersistentVolume),
        T::RolloutStuck => Some(Kind::Deployment),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_reason_stands_once_and_is_spoken_for_or_noise_not_both() {
        let mut seen = BTreeSet::new();
        for reason in TABLE.iter().flat_map(|(reasons, _)| *reasons).chain(NOISE) {
            assert!(seen.insert(reason), "{reason} stands twice");
        }
    }

    #[test]
    fn who_speaks_for_a_reason_can_be_in_an_incident() {
        use crate::event::Role;
        for (reasons, types) in TABLE {
            assert!(types.iter().all(|t| t.def().role != Role::Context), "{reasons:?}");
        }
    }

    #[test]
    fn a_lost_race_is_noise_and_a_refused_webhook_is_not() {
        let event = |reason: &str, message: &str| KubeEvent {
            warning: true,
            reason: reason.into(),
            message: message.into(),
            ..KubeEvent::default()
        };
        let race = "Operation cannot be fulfilled on deployments.apps \"web\": the object has been modified; please \
                    apply your changes to the latest version and try again";
        assert!(is_noise(&event("ReconcileError", race)));
        assert!(!is_noise(&event("ReconcileError", "admission webhook denied the request")));
        assert!(spoken_for("ReconcileError").is_empty());
    }
}
