//! pod_unschedulable: no node can take a Pod.

use std::sync::Arc;

use super::{Condition, Context, Output, Verdict, pod_facts};
use crate::{
    event::{EventType, Kind},
    object::{ConfigRefKind, Object, Pod},
};

/// The scheduler tries again in between; what it solves this fast is no trouble.
const AFTER_SECS: u32 = 20;

/// The rule.
pub struct Rule;

impl Condition for Rule {
    fn name(&self) -> &'static str {
        "pod_unschedulable"
    }

    fn types(&self) -> &'static [EventType] {
        &[EventType::PodUnschedulable]
    }

    fn kind(&self) -> Kind {
        Kind::Pod
    }

    fn judge(&self, object: &Arc<Object>, cx: &Context<'_>, _out: &mut Output) -> Verdict {
        let Some(pod) = object.pod() else { return Verdict::healthy() };
        if object.is_terminating() {
            return Verdict::Unknown;
        }
        let scheduled = pod.condition("PodScheduled");
        let Some(condition) = scheduled.filter(|c| c.status == "False" && c.reason == "Unschedulable") else {
            return Verdict::healthy();
        };
        if pod.is_finished() || !pod.node.is_empty() {
            return Verdict::healthy();
        }
        let meta = &object.meta;
        let message = condition.message.as_str();
        let description = if message.is_empty() { "No node can take the pod" } else { message };
        let image = pod.containers.iter().find(|c| !c.init).map(|c| c.image.to_string());
        let draft = pod_facts::draft(
            EventType::PodUnschedulable,
            object,
            format!("Pod {} cannot be scheduled", meta.name),
        )
        .at_or(condition.since, cx.now)
        .description(description)
        .detail("reason", condition.reason.as_str())
        .detail("message", message)
        .detail("last_error", message)
        .detail("image", image)
        .detail("requests", requests(pod));
        let draft = pod_facts::look(draft);
        let draft = match claims(pod) {
            // As the scheduler has it: `pod has unbound immediate PersistentVolumeClaims`.
            claims if message.contains("PersistentVolumeClaim") && !claims.is_empty() => draft.recommend(
                "See why its claim is not bound",
                format!("kubectl describe pvc -n {} {}", meta.namespace, claims.join(" ")),
            ),
            _ => {
                draft.recommend("Compare with what the nodes have free", "kubectl describe nodes".to_owned())
            }
        };
        Verdict::one(draft, AFTER_SECS)
    }
}

/// The claims that it mounts.
fn claims(pod: &Pod) -> Vec<&str> {
    let claims = pod.refs.iter().filter(|r| r.kind == ConfigRefKind::Claim);
    claims.map(|r| r.name.as_str()).collect()
}

/// `app: cpu 500m, memory 1Gi; …`
fn requests(pod: &Pod) -> String {
    let of = |c: &crate::object::Container| {
        let parts = [("cpu", &c.cpu_request), ("memory", &c.memory_request)];
        let parts: Vec<String> =
            parts.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| format!("{k} {v}")).collect();
        (!parts.is_empty()).then(|| format!("{}: {}", c.name, parts.join(", ")))
    };
    pod.containers.iter().filter_map(of).collect::<Vec<_>>().join("; ")
}
