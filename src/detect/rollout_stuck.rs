//! A rollout that passed its deadline. It ends when the rollout completes, not when it moves again.

use std::sync::Arc;

use super::{Condition, Context, Draft, Output, Verdict, workload_facts as facts};
use crate::{
    event::{EventType, Kind},
    object::{self, Condition as Row, Object, Workload},
};

/// See the module.
pub struct Rule;

impl Condition for Rule {
    fn name(&self) -> &'static str {
        "rollout_stuck"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::RolloutStuck]
    }
    fn kind(&self) -> Kind {
        Kind::Deployment
    }
    fn judge(&self, object: &Arc<Object>, cx: &Context<'_>, _out: &mut Output) -> Verdict {
        let Some(w) = object.workload() else { return Verdict::Unknown };
        if object.is_terminating() {
            return Verdict::Unknown;
        }
        if w.replicas == 0 || facts::is_complete(object) {
            return Verdict::healthy();
        }
        let stuck = w
            .condition("Progressing")
            .filter(|c| c.status == "False" && c.reason == "ProgressDeadlineExceeded");
        match stuck {
            Some(c) => Verdict::one(draft(object, w, c, cx), 0),
            // It moves, but is not there yet: what fires goes on.
            None if cx
                .memory
                .firing(&object.key())
                .iter()
                .any(|f| f.event_type == EventType::RolloutStuck) =>
            {
                Verdict::Unknown
            }
            None => Verdict::healthy(),
        }
    }
}

fn draft(object: &Arc<Object>, w: &Workload, stuck: &Row, cx: &Context<'_>) -> Draft {
    let images: Vec<&str> = w.template.containers.iter().map(|c| c.image.as_str()).collect();
    let waiting = why_pods_wait(object, cx);
    let description = match waiting.first() {
        Some(first) => format!("{} {first}", stuck.message),
        None => stuck.message.to_string(),
    };
    let title = format!("Rollout of {} is stuck", facts::title_of(object));
    let ready = new_ready(object, w, cx);
    // Where all are ready, something else is missing, and their number would say that nothing is.
    let title = if ready < w.replicas {
        format!("{title}: {ready} of {} updated pods ready", w.replicas)
    } else {
        title
    };
    Draft::new(EventType::RolloutStuck, object, title)
        .at_or(stuck.since, cx.now)
        .description(description)
        .detail("reason", stuck.reason.as_str())
        .detail("message", stuck.message.as_str())
        .detail("wanted", w.replicas)
        .detail("updated", w.updated)
        .detail("available", w.available)
        .detail("progress_deadline_secs", w.progress_deadline_secs)
        .detail("revision", object.meta.annotation(facts::REVISION).unwrap_or_default())
        .detail("images", images)
        .detail("waiting", (!waiting.is_empty()).then_some(waiting))
        .recommend("See the state of the rollout", facts::kubectl("describe", object))
        .recommend("Look at the pods that do not become ready", facts::kubectl_pods(object, w))
        .recommend("See what to go back to", facts::kubectl("rollout history", object))
}

/// Ready pods of the current template: those of the ReplicaSet whose template is the Deployment's.
fn new_ready(object: &Arc<Object>, w: &Workload, cx: &Context<'_>) -> u32 {
    cx.world
        .children(&object.meta.uid, &object.meta.namespace)
        .filter_map(|o| o.workload())
        .find(|set| set.template.hash == w.template.hash)
        .map_or(0, |set| set.ready)
}

/// `web-1: ImagePullBackOff`, for up to five pods that are not ready.
fn why_pods_wait(object: &Arc<Object>, cx: &Context<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for pod in cx.world.pods_below(&object.meta.uid, &object.meta.namespace) {
        let Some(body) = pod.pod().filter(|p| !p.is_ready() && !pod.is_terminating()) else { continue };
        let reason = body.containers.iter().map(object::Container::waiting_reason).find(|r| !r.is_empty());
        let not_ready = || body.condition("Ready").map_or("", |c| c.reason.as_str());
        found.push(format!("{}: {}", pod.meta.name, reason.unwrap_or_else(not_ready)));
    }
    found.sort();
    found.truncate(5);
    found
}
