//! A Job that failed for good. It ends when the Job is gone or a later Job of its CronJob succeeds.

use std::sync::Arc;

use super::{Change, Condition, Context, Draft, Output, Verdict, workload_facts as facts};
use crate::{
    event::{EventType, Kind, ObjectRef, Owner},
    object::{Condition as Row, Job, Object, ObjectKey},
};

/// See the module.
pub struct Rule;

impl Condition for Rule {
    fn name(&self) -> &'static str {
        "job_failed"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::JobFailed]
    }
    fn kind(&self) -> Kind {
        Kind::Job
    }
    fn also_on(&self) -> &'static [Kind] {
        &[Kind::Job, Kind::CronJob]
    }
    fn also(&self, change: &Change, cx: &Context<'_>) -> Vec<ObjectKey> {
        let Some(after) = &change.after else { return Vec::new() };
        let cron = match after.kind {
            // A success may be the end of an earlier failure.
            Kind::Job if is_complete(after) => cron_job(after).map(|o| o.uid.clone()),
            Kind::CronJob => Some(after.meta.uid.to_string()),
            _ => None,
        };
        let of =
            |uid: String| cx.world.children(&uid, &after.meta.namespace).map(Arc::clone).collect::<Vec<_>>();
        let siblings = cron.into_iter().flat_map(of);
        siblings.filter(|o| failure(o).is_some() && o.key() != change.key).map(|o| o.key()).collect()
    }
    fn judge(&self, object: &Arc<Object>, cx: &Context<'_>, _out: &mut Output) -> Verdict {
        let Some(job) = object.job() else { return Verdict::Unknown };
        if object.is_terminating() {
            return Verdict::Unknown;
        }
        match failure(object) {
            Some(failed) if !succeeded_since(object, failed, cx) => {
                Verdict::one(draft(object, job, failed, cx), 0)
            }
            _ => Verdict::healthy(),
        }
    }
}

fn failure(object: &Arc<Object>) -> Option<&Row> {
    object.job()?.condition("Failed").filter(|c| c.is_true())
}

fn is_complete(object: &Arc<Object>) -> bool {
    object.job().and_then(|j| j.condition("Complete")).is_some_and(Row::is_true)
}

fn cron_job(object: &Arc<Object>) -> Option<&Owner> {
    object.meta.controller().filter(|o| o.kind == "CronJob")
}

/// A later Job of the same CronJob has succeeded. The CronJob itself remembers it when its Jobs are cleaned up.
fn succeeded_since(object: &Arc<Object>, failed: &Row, cx: &Context<'_>) -> bool {
    let Some(owner) = cron_job(object) else { return false };
    let later = |o: &&Arc<Object>| is_complete(o) && o.meta.created_at > object.meta.created_at;
    let namespace = object.meta.namespace.as_str();
    let cron = ObjectRef::new(Kind::CronJob, namespace, &owner.name, &owner.uid);
    let by_cron = cx.world.resolve(&cron).and_then(|o| o.cron_job()).and_then(|c| c.last_success_at);
    cx.world.children(&owner.uid, namespace).any(|o| later(&o))
        || (failed.since.is_some() && by_cron > failed.since)
}

fn draft(object: &Arc<Object>, job: &Job, failed: &Row, cx: &Context<'_>) -> Draft {
    let (name, namespace) = (&object.meta.name, &object.meta.namespace);
    let title = match cron_job(object) {
        Some(cron) => format!("Job {name} of CronJob {} failed", cron.name),
        None => format!("Job {name} failed"),
    };
    let mut draft = Draft::new(EventType::JobFailed, object, title)
        .at_or(failed.since, cx.now)
        .detail("reason", failed.reason.as_str())
        .detail("message", failed.message.as_str())
        .detail("failed", job.failed)
        .detail("succeeded", job.succeeded)
        .detail("backoff_limit", job.backoff_limit)
        .detail("cron_job", cron_job(object).map(|o| o.name.clone()));
    let mut description = failed.message.to_string();
    if let Some((pod, end)) = last_end(object, cx) {
        description = format!("{description}: {pod} ended with exit code {} ({})", end.exit_code, end.reason);
        draft = draft
            .detail("pod", pod)
            .detail("exit_code", end.exit_code)
            .detail("exit_reason", end.reason.as_str())
            .detail("last_error", end.message.as_str());
    }
    draft
        .description(description)
        .recommend("Read what the job said last", format!("kubectl logs job/{name} -n {namespace} --tail=50"))
        .recommend("See why it failed", facts::kubectl("describe", object))
}

/// How the last of its pods ended, where that pod is still known.
fn last_end(object: &Arc<Object>, cx: &Context<'_>) -> Option<(String, crate::object::Terminated)> {
    let ends = cx.world.children(&object.meta.uid, &object.meta.namespace).flat_map(|pod| {
        let containers = pod.pod().map(|p| p.containers.as_slice()).unwrap_or_default();
        let failed = containers.iter().filter_map(|c| c.newest_end()).filter(|t| t.exit_code != 0);
        failed.map(|t| (pod.meta.name.to_string(), t.clone())).collect::<Vec<_>>()
    });
    ends.max_by_key(|(_, t)| t.finished_at)
}
