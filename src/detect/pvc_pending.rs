//! A claim that nobody binds, for another reason than that no Pod has asked for it yet.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Change, Condition, Context, Draft, Output, Verdict, workload_facts as facts};
use crate::{
    event::{EventType, Kind},
    object::{Claim, ConfigRefKind, Object, ObjectKey, StorageClass},
};

/// So long may a provisioner take.
const AFTER_SECS: u32 = 60;
/// The scheduler's mark that a Pod wants the claim on this node: from then on waiting is no excuse.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// See the module.
pub struct Rule;

impl Condition for Rule {
    fn name(&self) -> &'static str {
        "pvc_pending"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::PvcPending]
    }
    fn kind(&self) -> Kind {
        Kind::PersistentVolumeClaim
    }
    fn also_on(&self) -> &'static [Kind] {
        &[Kind::Event]
    }
    /// What its provisioner says may be all that is known, and a claim that nobody binds does not change by itself.
    fn also(&self, change: &Change, _cx: &Context<'_>) -> Vec<ObjectKey> {
        let event = change.after.as_ref().filter(|o| o.kube_event().is_some());
        let about = event.and_then(|o| Some(o.kube_event()?.about(&o.meta.namespace)));
        about
            .filter(|about| about.kind == Kind::PersistentVolumeClaim.as_str())
            .and_then(|about| ObjectKey::of(&about))
            .into_iter()
            .collect()
    }
    fn judge(&self, object: &Arc<Object>, cx: &Context<'_>, out: &mut Output) -> Verdict {
        let Some(claim) = object.claim() else { return Verdict::Unknown };
        if object.is_terminating() {
            return Verdict::Unknown;
        }
        let uid = object.meta.uid.as_str();
        if claim.phase != "Pending" {
            if cx.memory.recall(self.name(), uid).is_some() {
                out.forget(uid);
            }
            return Verdict::healthy();
        }
        match waits_for_a_pod(object, claim, cx) {
            Some(true) => Verdict::healthy(),
            None => Verdict::Unknown,
            Some(false) => Verdict::one(draft(object, claim, cx).at(self.since(object, cx, out)), AFTER_SECS),
        }
    }
}

impl Rule {
    /// Since its creation; where a Pod was waited for, since one came.
    fn since(&self, object: &Arc<Object>, cx: &Context<'_>, out: &mut Output) -> Timestamp {
        if object.meta.annotation(SELECTED_NODE).is_none() {
            return object.meta.created_at.unwrap_or(cx.now);
        }
        let uid = object.meta.uid.as_str();
        let known = cx.memory.recall(self.name(), uid).and_then(|v| v.as_str()?.parse().ok());
        known.unwrap_or_else(|| {
            out.remember(uid, cx.now.to_string());
            cx.now
        })
    }
}

/// Whether it is only waiting for its first consumer; `None`: its class cannot be seen, and nobody says.
fn waits_for_a_pod(object: &Arc<Object>, claim: &Claim, cx: &Context<'_>) -> Option<bool> {
    if object.meta.annotation(SELECTED_NODE).is_some() {
        return Some(false);
    }
    if claim.no_class {
        return Some(false);
    }
    if let Some(class) = class_of(claim, cx) {
        return Some(class.binding_mode == "WaitForFirstConsumer");
    }
    let said = facts::newest_event(cx.world, object, |_| true);
    match said.map(|e| e.reason.as_str()) {
        Some("WaitForFirstConsumer" | "WaitForPodScheduled") => Some(true),
        Some(_) => Some(false),
        // Every class is known, and this is none of them.
        None if cx.memory.is_live(Kind::StorageClass, "") => Some(false),
        None => None,
    }
}

fn class_of<'a>(claim: &Claim, cx: &Context<'a>) -> Option<&'a StorageClass> {
    if !claim.storage_class.is_empty() {
        return cx.world.find(Kind::StorageClass, "", &claim.storage_class)?.storage_class();
    }
    cx.world.of_kind(Kind::StorageClass).filter_map(|o| o.storage_class()).find(|c| c.is_default)
}

fn draft(object: &Arc<Object>, claim: &Claim, cx: &Context<'_>) -> Draft {
    let (name, namespace) = (&object.meta.name, &object.meta.namespace);
    let said = facts::newest_event(cx.world, object, |e| !e.message.is_empty());
    let unknown_class = !claim.storage_class.is_empty() && class_of(claim, cx).is_none();
    let why = match said {
        Some(event) => event.message.to_string(),
        None if unknown_class => {
            format!("The storage class {:?} is not known.", claim.storage_class.as_str())
        }
        None => "Nobody has said why.".to_owned(),
    };
    let readers = cx.world.readers(ConfigRefKind::Claim, namespace, name);
    let draft = Draft::new(EventType::PvcPending, object, format!("Claim {name} is not bound"))
        .description(why)
        .detail("reason", said.map(|e| e.reason.to_string()))
        .detail("message", said.map(|e| e.message.to_string()))
        .detail("storage_class", claim.storage_class.as_str())
        .detail("requested", claim.requested.as_str())
        .detail("volume", claim.volume.as_str())
        .detail("readers", facts::resources(&readers))
        .recommend("See why it is not bound", facts::kubectl("describe", object));
    if unknown_class {
        return draft.recommend("List the storage classes there are", "kubectl get storageclasses");
    }
    draft
}
