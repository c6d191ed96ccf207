//! node_uncordoned: a Node was made schedulable again.

use super::{Change, Context, Draft, Moment, Output, node_facts, workload_facts};
use crate::event::{EventType, Kind};

/// The rule.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "node_uncordoned"
    }

    fn types(&self) -> &'static [EventType] {
        &[EventType::NodeUncordoned]
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Node]
    }

    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        let Some((before, after)) = change.update() else { return };
        let (Some(was), Some(is)) = (before.node(), after.node()) else { return };
        if was.cordoned == is.cordoned || is.cordoned || after.is_terminating() {
            return;
        }
        let title = format!("Node {} was uncordoned", after.meta.name);
        let draft = Draft::new(EventType::NodeUncordoned, change.object(), title);
        let draft =
            workload_facts::spec_change(draft, before, cx.now).description("Pods are scheduled to it again");
        out.tell(node_facts::describe(draft, change.object(), cx));
    }
}
