//! The wanted number of replicas changed: by a person, a tool or an autoscaler. A rollout's ReplicaSets are not told.

use super::{Change, Context, Draft, Moment, Output, workload_facts as facts};
use crate::{
    event::{EventType, Kind},
    object::Object,
};

/// See the module.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "deployment_scaled"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::DeploymentScaled]
    }
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Deployment, Kind::StatefulSet, Kind::ReplicaSet, Kind::DaemonSet]
    }
    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        let (Some((before, after)), Some(object)) = (change.update(), &change.after) else { return };
        let (Some(was), Some(is)) = (before.workload(), after.workload()) else { return };
        let by_deployment = object.kind == Kind::ReplicaSet && facts::is_owned(object);
        if was.replicas == is.replicas || by_deployment || object.is_terminating() {
            return;
        }
        let (from, to) = (was.replicas, is.replicas);
        let title = format!("{} scaled {from} → {to}", facts::title_of(object));
        let draft =
            Draft::new(EventType::DeploymentScaled, object, title).detail("from", from).detail("to", to);
        if object.kind == Kind::DaemonSet {
            // What the controller counts when it looks for the first time is no change.
            if was.observed_generation > 0 {
                let why = "The number of nodes that it should run on changed.";
                out.tell(draft.at_or(None, cx.now).description(why));
            }
            return;
        }
        // Whoever wrote replicas by way of /scale last still owns them; later writes of other fields say nothing.
        let draft = match object.meta.scale_manager.as_str() {
            "" => facts::spec_change(draft, before, cx.now),
            manager => facts::observed(draft, cx.now).detail("field_manager", manager),
        };
        let manager =
            draft.details.get("field_manager").and_then(|m| m.as_str()).unwrap_or_default().to_owned();
        let by = autoscaler(object, to, cx);
        let description = match (&by, manager.as_str()) {
            (Some(name), _) => format!("By the autoscaler {name}."),
            (None, "") => String::new(),
            (None, manager) => format!("By {manager}."),
        };
        out.tell(draft.description(description).detail("autoscaler", by));
    }
}

/// The autoscaler that targets the object and wants just this many.
fn autoscaler(object: &Object, wants: u32, cx: &Context<'_>) -> Option<String> {
    cx.world
        .in_namespace(Kind::HorizontalPodAutoscaler, &object.meta.namespace)
        .filter_map(|o| o.autoscaler().map(|a| (o, a)))
        .find(|(_, a)| {
            a.target_kind == *object.kind.as_str() && a.target_name == object.meta.name && a.desired == wants
        })
        .map(|(o, _)| o.meta.name.to_string())
}
