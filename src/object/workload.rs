//! Workloads: Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, CronJob; and the autoscaler.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Condition, ConfigRef, Shared, Str, StrMap};

/// Deployment, ReplicaSet, StatefulSet or DaemonSet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Workload {
    /// spec.replicas (1 where unset); for a DaemonSet status.desiredNumberScheduled.
    pub replicas: u32,
    /// status.observedGeneration
    #[serde(default)]
    pub observed_generation: i64,
    /// status.replicas; for a DaemonSet currentNumberScheduled.
    #[serde(default)]
    pub current: u32,
    /// status.updatedReplicas, updatedNumberScheduled
    #[serde(default)]
    pub updated: u32,
    /// status.readyReplicas, numberReady
    #[serde(default)]
    pub ready: u32,
    /// status.availableReplicas, numberAvailable
    #[serde(default)]
    pub available: u32,
    /// StatefulSet status.currentReplicas
    #[serde(default)]
    pub current_revision_replicas: u32,
    /// DaemonSet numberMisscheduled
    #[serde(default)]
    pub misscheduled: u32,
    /// spec.paused
    #[serde(default)]
    pub paused: bool,
    /// RollingUpdate, Recreate, OnDelete
    #[serde(default)]
    pub strategy: Str,
    /// spec.progressDeadlineSeconds; 600 where unset.
    #[serde(default)]
    pub progress_deadline_secs: u32,
    /// StatefulSet status.currentRevision
    #[serde(default)]
    pub current_revision: Str,
    /// StatefulSet status.updateRevision
    #[serde(default)]
    pub update_revision: Str,
    /// spec.selector.matchLabels
    #[serde(default)]
    pub selector: StrMap,
    /// status.conditions
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// spec.template
    #[serde(default)]
    pub template: Template,
}

impl Workload {
    /// A condition.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        Condition::find(&self.conditions, kind)
    }
}

/// A Pod template, as hashes of its parts: enough to say what changed, too little to leak a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Template {
    /// Over everything but the label pod-template-hash.
    #[serde(default)]
    pub hash: u64,
    /// Init containers, then containers.
    #[serde(default)]
    pub containers: Vec<TemplateContainer>,
    /// Of template labels.
    #[serde(default)]
    pub labels: u64,
    /// Of template annotations (`kubectl rollout restart` changes one).
    #[serde(default)]
    pub annotations: u64,
    /// Of volumes.
    #[serde(default)]
    pub volumes: u64,
    /// Of all other fields.
    #[serde(default)]
    pub rest: u64,
    /// ConfigMaps, Secrets and claims that it reads.
    #[serde(default)]
    pub refs: Shared<ConfigRef>,
}

/// One container of a template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct TemplateContainer {
    /// name
    pub name: Str,
    /// image
    pub image: Str,
    /// An init container.
    #[serde(default)]
    pub init: bool,
    /// Names of the environment variables, each with a keyed hash of its value or reference.
    #[serde(default)]
    pub env: Vec<(Str, u64)>,
    /// Of envFrom.
    #[serde(default)]
    pub env_from: u64,
    /// Of command and args.
    #[serde(default)]
    pub command: u64,
    /// limits and requests as text: `limits.memory=256Mi,requests.cpu=100m`.
    #[serde(default)]
    pub resources: Str,
    /// Of the probes.
    #[serde(default)]
    pub probes: u64,
    /// Of all other fields.
    #[serde(default)]
    pub rest: u64,
}

/// What is kept of a Job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Job {
    /// status.active
    #[serde(default)]
    pub active: u32,
    /// status.succeeded
    #[serde(default)]
    pub succeeded: u32,
    /// status.failed
    #[serde(default)]
    pub failed: u32,
    /// spec.parallelism; `None` where unset.
    #[serde(default)]
    pub parallelism: Option<u32>,
    /// spec.completions
    #[serde(default)]
    pub completions: Option<u32>,
    /// spec.backoffLimit
    #[serde(default)]
    pub backoff_limit: Option<u32>,
    /// spec.suspend
    #[serde(default)]
    pub suspended: bool,
    /// status.startTime
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// status.completionTime
    #[serde(default)]
    pub completed_at: Option<Timestamp>,
    /// status.conditions
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// spec.template
    #[serde(default)]
    pub template: Template,
}

impl Job {
    /// A condition.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        Condition::find(&self.conditions, kind)
    }
}

/// What is kept of a CronJob.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct CronJob {
    /// spec.schedule
    pub schedule: Str,
    /// spec.timeZone; empty = the controller manager's, which is UTC nearly everywhere.
    #[serde(default)]
    pub time_zone: Str,
    /// spec.suspend
    #[serde(default)]
    pub suspended: bool,
    /// Allow, Forbid, Replace
    #[serde(default)]
    pub concurrency: Str,
    /// spec.startingDeadlineSeconds
    #[serde(default)]
    pub starting_deadline_secs: Option<u32>,
    /// status.lastScheduleTime
    #[serde(default)]
    pub last_schedule_at: Option<Timestamp>,
    /// status.lastSuccessfulTime
    #[serde(default)]
    pub last_success_at: Option<Timestamp>,
    /// Names of the active Jobs.
    #[serde(default)]
    pub active: Vec<Str>,
    /// spec.jobTemplate.spec.template
    #[serde(default)]
    pub template: Template,
}

/// What is kept of a HorizontalPodAutoscaler (autoscaling/v2, or v1 where that is all there is).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Autoscaler {
    /// scaleTargetRef.kind
    pub target_kind: Str,
    /// scaleTargetRef.name
    pub target_name: Str,
    /// minReplicas; 1 where unset.
    pub min: u32,
    /// maxReplicas
    pub max: u32,
    /// status.currentReplicas
    #[serde(default)]
    pub current: u32,
    /// status.desiredReplicas
    #[serde(default)]
    pub desired: u32,
    /// status.lastScaleTime
    #[serde(default)]
    pub scaled_at: Option<Timestamp>,
    /// status.conditions; for v1 read from its annotation.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}
