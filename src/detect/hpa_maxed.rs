//! An autoscaler wants more replicas than its maximum allows.

use std::sync::Arc;

use super::{Condition, Context, Draft, Output, Verdict, workload_facts as facts};
use crate::{
    event::{EventType, Kind},
    object::{Autoscaler, Condition as Row, Object},
};

/// See the module.
pub struct Rule;

impl Condition for Rule {
    fn name(&self) -> &'static str {
        "hpa_maxed"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::HpaMaxed]
    }
    fn kind(&self) -> Kind {
        Kind::HorizontalPodAutoscaler
    }
    fn judge(&self, object: &Arc<Object>, cx: &Context<'_>, _out: &mut Output) -> Verdict {
        let Some(hpa) = object.autoscaler() else { return Verdict::Unknown };
        if object.is_terminating() {
            return Verdict::Unknown;
        }
        let limited = Row::find(&hpa.conditions, "ScalingLimited")
            .filter(|c| c.is_true() && c.reason == "TooManyReplicas")
            .filter(|_| hpa.current == hpa.max && hpa.max > hpa.min);
        limited.map_or_else(Verdict::healthy, |c| Verdict::one(draft(object, hpa, c, cx), 0))
    }
}

fn draft(object: &Arc<Object>, hpa: &Autoscaler, limited: &Row, cx: &Context<'_>) -> Draft {
    let name = &object.meta.name;
    let target = format!("{}/{}", hpa.target_kind, hpa.target_name);
    Draft::new(
        EventType::HpaMaxed,
        object,
        format!("Autoscaler {name} is at its maximum of {} replicas", hpa.max),
    )
    // It may have been limited before by how fast it may grow: its condition was true then already. It is at its maximum
    // since it scaled for the last time.
    .at_or(limited.since.max(hpa.scaled_at.filter(|at| *at <= cx.now)), cx.now)
    .description(format!("{target}: {}", limited.message))
    .detail("target", target)
    .detail("current", hpa.current)
    .detail("desired", hpa.desired)
    .detail("min", hpa.min)
    .detail("max", hpa.max)
    .detail("reason", limited.reason.as_str())
    .recommend("See what drives the autoscaler", facts::kubectl("describe", object))
}
