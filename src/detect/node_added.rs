//! node_added: a Node joined the cluster.

use super::{Change, Context, Draft, Moment, Output, node_facts};
use crate::event::{EventType, Kind};

/// The rule.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "node_added"
    }

    fn types(&self) -> &'static [EventType] {
        &[EventType::NodeAdded]
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Node]
    }

    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        let Some(object) = change.created() else { return };
        let Some(node) = object.node() else { return };
        let name = object.meta.name.as_str();
        let label = |key: &str| object.meta.label(key).map(str::to_owned);
        let size = |value: &str| if value.is_empty() { "unknown".to_owned() } else { value.to_owned() };
        let draft = Draft::new(EventType::NodeAdded, object, format!("Node {name} joined"))
            .at_or(object.meta.created_at, cx.now)
            .description(format!("CPU {}, memory {}", size(&node.cpu), size(&node.memory)))
            .detail("cpu", node.cpu.as_str())
            .detail("memory", node.memory.as_str())
            .detail("instance_type", label("node.kubernetes.io/instance-type"))
            .detail("zone", label("topology.kubernetes.io/zone"));
        out.tell(node_facts::describe(draft, object, cx));
    }
}
