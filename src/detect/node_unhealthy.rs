//! node_unhealthy: a Node is not Ready, or under memory, disk, PID or network trouble.

use std::sync::Arc;

use super::{Condition, Context, Draft, Finding, Output, Verdict, node_facts};
use crate::{
    event::{EventType, Kind, Severity},
    object::{self, Object},
};

/// Conditions that are trouble when True. `Ready` is the other way round.
const PRESSURES: &[&str] = &["MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"];

/// The rule.
pub struct Rule;

impl Condition for Rule {
    fn name(&self) -> &'static str {
        "node_unhealthy"
    }

    fn types(&self) -> &'static [EventType] {
        &[EventType::NodeUnhealthy]
    }

    fn kind(&self) -> Kind {
        Kind::Node
    }

    fn judge(&self, object: &Arc<Object>, cx: &Context<'_>, _out: &mut Output) -> Verdict {
        let Some(node) = object.node() else { return Verdict::healthy() };
        if object.is_terminating() {
            return Verdict::Unknown;
        }
        let troubles = node.conditions.iter().filter(|c| is_trouble(c));
        Verdict::Known(troubles.map(|c| finding(object, c, cx)).collect())
    }
}

fn is_trouble(condition: &object::Condition) -> bool {
    if condition.kind == "Ready" {
        return !condition.is_true();
    }
    condition.is_true() && PRESSURES.contains(&condition.kind.as_str())
}

fn finding(object: &Arc<Object>, condition: &object::Condition, cx: &Context<'_>) -> Finding {
    let node = object.node();
    // A node that is just starting, or that is being taken away on purpose, is nobody's alarm until it takes
    // too long.
    let of_a_start = matches!(condition.kind.as_str(), "Ready" | "NetworkUnavailable");
    let expected = of_a_start && node_facts::since_registration(object, condition.since)
        || node.and_then(node_facts::removed_by).is_some();
    Finding {
        draft: draft(object, condition, cx),
        after_secs: if expected { node_facts::START_SECS } else { 0 },
    }
}

fn draft(object: &Arc<Object>, condition: &object::Condition, cx: &Context<'_>) -> Draft {
    let name = object.meta.name.as_str();
    let kind = condition.kind.as_str();
    let (title, why) = match (kind, condition.status.as_str()) {
        ("Ready", "Unknown") => {
            (format!("Node {name} does not answer"), "The kubelet stopped reporting its status")
        }
        ("Ready", _) => (format!("Node {name} is not ready"), "The kubelet reports that it is not ready"),
        ("NetworkUnavailable", _) => {
            (format!("Node {name} has no network"), "The network of the node is not set up")
        }
        ("MemoryPressure", _) => {
            (format!("Node {name} is short of memory"), "The kubelet may evict pods to free memory")
        }
        ("DiskPressure", _) => {
            (format!("Node {name} is short of disk space"), "The kubelet may evict pods to free disk space")
        }
        _ => {
            (format!("Node {name} is short of process ids"), "The kubelet may evict pods to free process ids")
        }
    };
    let said = condition.message.as_str();
    let description = if said.is_empty() { why.to_owned() } else { format!("{why}: {said}") };
    let severity = if kind == "Ready" { Severity::Critical } else { Severity::High };
    let draft = Draft::new(EventType::NodeUnhealthy, object, title)
        .at_or(condition.since, cx.now)
        .severity(severity)
        .discriminator(kind)
        .description(description)
        .detail("condition", kind)
        .detail("status", condition.status.as_str())
        .detail("reason", condition.reason.as_str())
        .detail("message", said);
    let draft = match object.node() {
        Some(node) => {
            draft.detail("cordoned", node.cordoned).detail("removed_by", node_facts::removed_by(node))
        }
        None => draft,
    };
    let draft = node_facts::describe(draft, object, cx);
    node_facts::look_at_pods(node_facts::look(draft, name), name).recommend(
        "See what the cluster says of it",
        format!("kubectl get events -A --field-selector involvedObject.kind=Node,involvedObject.name={name}"),
    )
}
