//! pod_created: a Pod was created. Told when it is first seen, also while it is pending.

use super::{Change, Context, Moment, Output, pod_facts};
use crate::event::{EventType, Kind};

/// The rule.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "pod_created"
    }

    fn types(&self) -> &'static [EventType] {
        &[EventType::PodCreated]
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Pod]
    }

    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        let Some(object) = change.created() else { return };
        let Some(pod) = object.pod() else { return };
        let owner = object.meta.controller().map(|o| format!("{}/{}", o.kind, o.name));
        let images: Vec<&str> = pod.containers.iter().map(|c| c.image.as_str()).collect();
        let by = owner.as_deref().map_or(String::new(), |owner| format!(" by {owner}"));
        out.tell(
            pod_facts::draft(EventType::PodCreated, object, format!("Pod {} was created", object.meta.name))
                .at_or(object.meta.created_at, cx.now)
                .description(format!("Created{by}, image {}", images.join(", ")))
                .detail("phase", pod.phase.as_str())
                .detail("owner", owner)
                .detail("images", images),
        );
    }
}
