//! A deleted Namespace that does not go away, with what holds it.

use std::sync::Arc;

use super::{Condition, Context, Draft, Output, Verdict};
use crate::{
    event::{EventType, Kind},
    object::{Namespace, Object},
};

/// So long may a Namespace take to be emptied.
const AFTER_SECS: u32 = 600;

/// Conditions that say what is in the way, when they are True.
const BLOCKERS: &[&str] = &[
    "NamespaceFinalizersRemaining",
    "NamespaceContentRemaining",
    "NamespaceDeletionContentFailure",
    "NamespaceDeletionDiscoveryFailure",
    "NamespaceDeletionGroupVersionParsingFailure",
];

/// See the module.
pub struct Rule;

impl Condition for Rule {
    fn name(&self) -> &'static str {
        "namespace_stuck"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::NamespaceStuck]
    }
    fn kind(&self) -> Kind {
        Kind::Namespace
    }
    fn judge(&self, object: &Arc<Object>, _cx: &Context<'_>, _out: &mut Output) -> Verdict {
        let Some(body) = object.namespace() else { return Verdict::Unknown };
        match object.meta.deleted_at {
            Some(at) => Verdict::one(draft(object, body).at(at), AFTER_SECS),
            None => Verdict::healthy(),
        }
    }
}

fn draft(object: &Arc<Object>, body: &Namespace) -> Draft {
    let name = object.meta.name.as_str();
    let blockers: Vec<_> = BLOCKERS
        .iter()
        .filter_map(|kind| body.conditions.iter().find(|c| c.kind == **kind && c.is_true()))
        .collect();
    let messages: Vec<&str> = blockers.iter().map(|c| c.message.as_str()).collect();
    let description = match messages.first() {
        Some(_) => messages.join(" "),
        None => "Nothing says what holds it.".to_owned(),
    };
    let finalizers: Vec<&str> =
        object.meta.finalizers.iter().chain(&body.finalizers).map(AsRef::as_ref).collect();
    let reasons: Vec<&str> = blockers.iter().map(|c| c.reason.as_str()).collect();
    Draft::new(
        EventType::NamespaceStuck,
        object,
        format!("Namespace {name} does not go away"),
    )
    .description(description)
    .detail("finalizers", finalizers)
    .detail("reasons", reasons)
    .detail("blocking", messages)
    .recommend(
        "See what is left",
        format!("kubectl get namespace {name} -o jsonpath='{{range .status.conditions[?(@.status==\"True\")]}}{{.message}}{{\"\\n\"}}{{end}}'"),
    )
    .recommend(
        "List what is left in it",
        format!("kubectl get all,configmaps,secrets,serviceaccounts,persistentvolumeclaims,ingresses -n {name}"),
    )
}
