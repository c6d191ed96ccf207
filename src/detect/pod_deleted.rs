//! pod_deleted: a Pod is gone.

use super::{Change, Context, Moment, Output, pod_facts};
use crate::event::{EventType, Kind};

/// The rule.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "pod_deleted"
    }

    fn types(&self) -> &'static [EventType] {
        &[EventType::PodDeleted]
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Pod]
    }

    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        let Some(object) = change.deleted() else { return };
        let Some(pod) = object.pod() else { return };
        let mut draft =
            pod_facts::draft(EventType::PodDeleted, object, format!("Pod {} was deleted", object.meta.name))
                .detail("phase", pod.phase.as_str())
                .detail("owner", object.meta.controller().map(|o| format!("{}/{}", o.kind, o.name)))
                .detail("deletion_asked_at", pod_facts::time(object.meta.deleted_at));
        // The cluster does not say when an object went; whoever wrote to it last did so before.
        draft.at = cx.now;
        let why = pod.condition("DisruptionTarget").filter(|c| c.is_true());
        let description = match why {
            Some(c) if c.message.is_empty() => format!("Its last phase was {}, {}", pod.phase, c.reason),
            Some(c) => format!("Its last phase was {}, {}: {}", pod.phase, c.reason, c.message),
            None => format!("Its last phase was {}", pod.phase),
        };
        draft = draft.description(description).detail("disruption", why.map(|c| c.reason.to_string()));
        out.tell(draft);
    }
}
