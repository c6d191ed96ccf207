//! A CronJob did not start at its time. It ends when its next Job starts.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::{Condition, Context, Draft, Output, Verdict, cron::Schedule, workload_facts as facts};
use crate::{
    event::{EventType, Kind},
    object::{CronJob, Object},
};

/// How late a Job may be, where its CronJob gives no longer deadline.
const GRACE_SECS: u32 = 60;
/// So long after an outage of the API its controllers may take to make good what fell into it.
const CATCH_UP_SECS: i64 = 180;
/// Remembered while a running Job keeps the next from starting (`concurrencyPolicy: Forbid`); then the time it ended.
const BLOCKED: &str = "blocked";

/// See the module.
pub struct Rule;

impl Condition for Rule {
    fn name(&self) -> &'static str {
        "cronjob_missed"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::CronjobMissed]
    }
    fn kind(&self) -> Kind {
        Kind::CronJob
    }
    fn judge(&self, object: &Arc<Object>, cx: &Context<'_>, out: &mut Output) -> Verdict {
        let Some(cron) = object.cron_job() else { return Verdict::Unknown };
        if object.is_terminating() {
            return Verdict::Unknown;
        }
        if cron.suspended {
            return Verdict::healthy();
        }
        let (Some(schedule), Some(zone)) = (Schedule::parse(&cron.schedule), zone(cron)) else {
            return Verdict::Unknown;
        };
        let from = self.from(object, cron, cx, out);
        let Some(due) = schedule.next_after(from, &zone) else { return Verdict::healthy() };
        let grace = cron.starting_deadline_secs.unwrap_or(0).max(GRACE_SECS);
        let mut late = due + SignedDuration::from_secs(i64::from(grace));
        if let Some((_, back)) = cx.memory.unseen().filter(|(from, back)| late > *from && due <= *back) {
            // Nobody could start it, or nobody was there to see it.
            late = late.max(back + SignedDuration::from_secs(CATCH_UP_SECS));
        }
        if cx.now < late {
            out.look_again.push(late);
            return Verdict::healthy();
        }
        let busy = cron.concurrency == "Forbid" && !cron.active.is_empty();
        let started = cx
            .world
            .children(&object.meta.uid, &object.meta.namespace)
            .any(|o| o.kind == Kind::Job && o.meta.created_at >= Some(due));
        if busy || started {
            return Verdict::healthy();
        }
        Verdict::one(
            draft(object, cron, cx)
                .at(due)
                .detail("scheduled_at", due.to_string())
                .detail("grace_secs", grace),
            0,
        )
    }
}

impl Rule {
    /// The newest time after which the schedule counts: the last start; the creation; a change of the spec (of the
    /// schedule, or its resumption); the end of a Job that kept the next from starting.
    fn from(&self, object: &Object, cron: &CronJob, cx: &Context<'_>, out: &mut Output) -> Timestamp {
        let uid = object.meta.uid.as_str();
        let recalled = cx.memory.recall(self.name(), uid);
        let blocked = cron.concurrency == "Forbid" && !cron.active.is_empty();
        let was_blocked = recalled.as_ref().is_some_and(|v| v == BLOCKED);
        let mut freed = recalled.as_ref().and_then(|v| v.as_str()?.parse().ok());
        if blocked && !was_blocked {
            out.remember(uid, BLOCKED);
        } else if !blocked && was_blocked {
            out.remember(uid, cx.now.to_string());
            freed = Some(cx.now);
        }
        let times = [cron.last_schedule_at, object.meta.created_at, object.meta.spec_managed_at, freed];
        times.into_iter().flatten().max().unwrap_or(cx.now)
    }
}

/// The schedule's zone; UTC is what controller managers run in nearly everywhere.
fn zone(cron: &CronJob) -> Option<TimeZone> {
    match cron.time_zone.as_str() {
        "" => Some(TimeZone::UTC),
        name => TimeZone::get(name).ok(),
    }
}

fn draft(object: &Arc<Object>, cron: &CronJob, cx: &Context<'_>) -> Draft {
    let (name, namespace) = (&object.meta.name, &object.meta.namespace);
    let said = facts::newest_event(cx.world, object, |e| e.warning);
    let description = match said {
        Some(event) => format!("No Job was started for {}: {}", cron.schedule, event.message),
        None => format!("No Job was started for {}, and nobody says why.", cron.schedule),
    };
    Draft::new(EventType::CronjobMissed, object, format!("CronJob {name} did not start at its time"))
        .description(description)
        .detail("schedule", cron.schedule.as_str())
        .detail("time_zone", cron.time_zone.as_str())
        .detail("concurrency", cron.concurrency.as_str())
        .detail("last_schedule", cron.last_schedule_at.map(|t| t.to_string()))
        .detail("reason", said.map(|e| e.reason.to_string()))
        .recommend("See what its controller says", facts::kubectl("describe", object))
        .recommend(
            "List its jobs, the newest last",
            format!("kubectl get jobs -n {namespace} --sort-by=.metadata.creationTimestamp"),
        )
}
