//! Workloads that a person or a tool made or removed; not what a controller makes for another workload.

use std::sync::Arc;

use super::{Change, Context, Draft, Moment, Output, workload_facts as facts};
use crate::{
    event::{EventType, Kind},
    object::Object,
};

/// See the module.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "workload_lifecycle"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::WorkloadCreated, EventType::WorkloadDeleted]
    }
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::ReplicaSet, Kind::Job, Kind::CronJob]
    }
    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        if let Some(gone) = change.deleted().filter(|o| is_own(o)) {
            out.tell(facts::at_deletion(draft(gone, EventType::WorkloadDeleted, "deleted"), cx.now));
        }
        if let Some(new) = change.created().filter(|o| is_own(o)) {
            let mut draft = draft(new, EventType::WorkloadCreated, "created");
            if !new.meta.spec_manager.is_empty() {
                draft = draft.detail("field_manager", new.meta.spec_manager.as_str());
            }
            out.tell(facts::at_creation(draft, cx.now));
        }
    }
}

/// A ReplicaSet of a Deployment and a Job of a CronJob are its business; an operator's workloads are told.
fn is_own(object: &Object) -> bool {
    let owner = object.meta.controller().map(|o| o.kind.as_str());
    match object.kind {
        Kind::ReplicaSet => owner.is_none(),
        Kind::Job => owner != Some("CronJob"),
        _ => true,
    }
}

fn draft(object: &Arc<Object>, event_type: EventType, action: &str) -> Draft {
    let template = object
        .workload()
        .map(|w| &w.template)
        .or_else(|| object.job().map(|j| &j.template))
        .or_else(|| object.cron_job().map(|c| &c.template));
    let images: Vec<String> =
        template.into_iter().flat_map(|t| &t.containers).map(|c| c.image.to_string()).collect();
    Draft::new(event_type, object, format!("{} {action}", facts::title_of(object)))
        .description(images.join(", "))
        .detail("kind", object.kind.as_str())
        .detail("replicas", object.workload().map(|w| w.replicas))
        .detail("schedule", object.cron_job().map(|c| c.schedule.to_string()))
        .detail("images", images)
}
