//! Every Pod runs the new template. That a rollout is under way is remembered, so that a status that flickers later
//! is none.

use jiff::Timestamp;

use super::{Change, Context, Draft, Moment, Output, workload_facts as facts};
use crate::{
    event::{EventType, Kind},
    object::Object,
};

/// See the module.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "rollout_completed"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::RolloutCompleted]
    }
    fn kinds(&self) -> &'static [Kind] {
        facts::ROLLS_OUT
    }
    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        let known = |o: &Object| cx.memory.recall(self.name(), &o.meta.uid);
        if let Some(gone) = change.deleted() {
            if known(gone).is_some() {
                out.forget(gone.meta.uid.as_str());
            }
            return;
        }
        let (Some((before, after)), Some(object)) = (change.update(), &change.after) else { return };
        let (Some(was), Some(is)) = (before.workload(), after.workload()) else { return };
        let started = if was.template.hash == is.template.hash {
            known(object).and_then(|v| v.as_str()?.parse::<Timestamp>().ok())
        } else {
            let told = after.meta.spec_managed_at.filter(|at| Some(*at) > before.meta.spec_managed_at);
            let at = told.unwrap_or(cx.now);
            out.remember(object.meta.uid.as_str(), at.to_string());
            Some(at)
        };
        let Some(started) = started.filter(|_| facts::is_complete(object)) else { return };
        out.forget(object.meta.uid.as_str());
        let draft = Draft::new(
            EventType::RolloutCompleted,
            object,
            format!("Rollout of {} is complete", facts::title_of(object)),
        )
        .at_or(None, cx.now);
        let secs = draft.at.duration_since(started).as_secs().max(0);
        let images: Vec<&str> = is.template.containers.iter().map(|c| c.image.as_str()).collect();
        let revision = object.meta.annotation(facts::REVISION).unwrap_or(&is.update_revision);
        let pods =
            if is.replicas == 1 { "1 pod runs".to_owned() } else { format!("{} pods run", is.replicas) };
        out.tell(
            draft
                .description(format!("{pods} the new template, after {secs} s."))
                .detail("replicas", is.replicas)
                .detail("duration_secs", secs)
                .detail("started_at", started.to_string())
                .detail("revision", revision)
                .detail("images", images),
        );
    }
}
