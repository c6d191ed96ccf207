//! Workloads, Jobs, CronJobs and autoscalers.

use super::{
    de::{Count, Pairs, Short, Time, slim, strs},
    meta::{ConditionIn, MetaIn, all},
    refs::NameIn,
    template::TemplateIn,
};
use crate::{
    event::Kind,
    object::{Autoscaler, CronJob, Job, Workload},
};

slim! {
    struct WorkloadIn {
        metadata: MetaIn,
        spec: SpecIn,
        status: StatusIn,
    }

    struct SpecIn {
        replicas: Option<Count>,
        paused: bool,
        strategy: StrategyIn,
        update_strategy: StrategyIn,
        progress_deadline_seconds: Option<Count>,
        selector: SelectorIn,
        template: TemplateIn,
    }

    struct StrategyIn {
        #[serde(rename = "type")]
        kind: Short,
    }

    struct SelectorIn {
        match_labels: Pairs,
    }

    struct StatusIn {
        observed_generation: i64,
        replicas: Count,
        current_number_scheduled: Count,
        desired_number_scheduled: Count,
        updated_replicas: Count,
        updated_number_scheduled: Count,
        ready_replicas: Count,
        number_ready: Count,
        available_replicas: Count,
        number_available: Count,
        current_replicas: Count,
        number_misscheduled: Count,
        current_revision: Short,
        update_revision: Short,
        conditions: Vec<ConditionIn>,
    }

    struct JobIn {
        metadata: MetaIn,
        spec: JobSpecIn,
        status: JobStatusIn,
    }

    struct JobSpecIn {
        parallelism: Option<Count>,
        completions: Option<Count>,
        backoff_limit: Option<Count>,
        suspend: bool,
        template: TemplateIn,
    }

    struct JobStatusIn {
        active: Count,
        succeeded: Count,
        failed: Count,
        start_time: Time,
        completion_time: Time,
        conditions: Vec<ConditionIn>,
    }

    struct CronJobIn {
        metadata: MetaIn,
        spec: CronJobSpecIn,
        status: CronJobStatusIn,
    }

    struct CronJobSpecIn {
        schedule: Short,
        time_zone: Short,
        suspend: bool,
        concurrency_policy: Short,
        starting_deadline_seconds: Option<Count>,
        job_template: JobTemplateIn,
    }

    struct JobTemplateIn {
        spec: JobSpecIn,
    }

    struct CronJobStatusIn {
        last_schedule_time: Time,
        last_successful_time: Time,
        active: Vec<NameIn>,
    }

    struct AutoscalerIn {
        metadata: MetaIn,
        spec: AutoscalerSpecIn,
        status: AutoscalerStatusIn,
    }

    struct AutoscalerSpecIn {
        scale_target_ref: TargetIn,
        min_replicas: Option<Count>,
        max_replicas: Count,
    }

    struct TargetIn {
        kind: Short,
        name: Short,
    }

    struct AutoscalerStatusIn {
        current_replicas: Count,
        desired_replicas: Count,
        last_scale_time: Time,
        conditions: Vec<ConditionIn>,
    }
}

/// What the API server fills in where a Deployment does not say.
const DEFAULT_PROGRESS_DEADLINE_SECS: u32 = 600;

/// The record of one of the four kinds.
pub(super) fn workload(kind: Kind, spec: SpecIn, status: StatusIn) -> Workload {
    let daemon = kind == Kind::DaemonSet;
    let pick = |of_daemon: Count, of_others: Count| if daemon { of_daemon.0 } else { of_others.0 };
    let deadline = spec.progress_deadline_seconds.map_or(DEFAULT_PROGRESS_DEADLINE_SECS, |s| s.0);
    let strategy = if spec.strategy.kind.0.is_empty() { spec.update_strategy } else { spec.strategy };
    Workload {
        replicas: pick(status.desired_number_scheduled, spec.replicas.unwrap_or(Count(1))),
        observed_generation: status.observed_generation,
        current: pick(status.current_number_scheduled, status.replicas),
        updated: pick(status.updated_number_scheduled, status.updated_replicas),
        ready: pick(status.number_ready, status.ready_replicas),
        available: pick(status.number_available, status.available_replicas),
        current_revision_replicas: status.current_replicas.0,
        misscheduled: status.number_misscheduled.0,
        paused: spec.paused,
        strategy: strategy.kind.0,
        progress_deadline_secs: deadline,
        current_revision: status.current_revision.0,
        update_revision: status.update_revision.0,
        selector: spec.selector.match_labels.0,
        conditions: all(status.conditions),
        template: spec.template.into(),
    }
}

impl From<(JobSpecIn, JobStatusIn)> for Job {
    fn from((spec, status): (JobSpecIn, JobStatusIn)) -> Job {
        Job {
            active: status.active.0,
            succeeded: status.succeeded.0,
            failed: status.failed.0,
            parallelism: spec.parallelism.map(|c| c.0),
            completions: spec.completions.map(|c| c.0),
            backoff_limit: spec.backoff_limit.map(|c| c.0),
            suspended: spec.suspend,
            started_at: status.start_time.0,
            completed_at: status.completion_time.0,
            conditions: all(status.conditions),
            template: spec.template.into(),
        }
    }
}

impl From<(CronJobSpecIn, CronJobStatusIn)> for CronJob {
    fn from((spec, status): (CronJobSpecIn, CronJobStatusIn)) -> CronJob {
        CronJob {
            schedule: spec.schedule.0,
            time_zone: spec.time_zone.0,
            suspended: spec.suspend,
            concurrency: spec.concurrency_policy.0,
            starting_deadline_secs: spec.starting_deadline_seconds.map(|c| c.0),
            last_schedule_at: status.last_schedule_time.0,
            last_success_at: status.last_successful_time.0,
            active: strs(status.active.into_iter().map(|r| r.name).collect()),
            template: spec.job_template.spec.template.into(),
        }
    }
}

/// The record of an autoscaler. autoscaling/v1 has its conditions as JSON in an annotation.
pub(super) fn autoscaler(
    spec: AutoscalerSpecIn,
    status: AutoscalerStatusIn,
    annotation: Option<&str>,
) -> Autoscaler {
    let mut conditions = status.conditions;
    if conditions.is_empty() {
        conditions = annotation.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    }
    Autoscaler {
        target_kind: spec.scale_target_ref.kind.0,
        target_name: spec.scale_target_ref.name.0,
        min: spec.min_replicas.map_or(1, |c| c.0),
        max: spec.max_replicas.0,
        current: status.current_replicas.0,
        desired: status.desired_replicas.0,
        scaled_at: status.last_scale_time.0,
        conditions: all(conditions),
    }
}
