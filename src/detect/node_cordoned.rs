//! node_cordoned: a Node was made unschedulable.

use super::{Change, Context, Draft, Moment, Output, node_facts, workload_facts};
use crate::event::{EventType, Kind};

/// The rule.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "node_cordoned"
    }

    fn types(&self) -> &'static [EventType] {
        &[EventType::NodeCordoned]
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Node]
    }

    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        let Some((before, after)) = change.update() else { return };
        let (Some(was), Some(is)) = (before.node(), after.node()) else { return };
        if was.cordoned == is.cordoned || !is.cordoned || after.is_terminating() {
            return;
        }
        let title = format!("Node {} was cordoned", after.meta.name);
        let draft = Draft::new(EventType::NodeCordoned, change.object(), title);
        let draft =
            workload_facts::spec_change(draft, before, cx.now).description("No new pods are scheduled to it");
        out.tell(node_facts::describe(draft, change.object(), cx));
    }
}
