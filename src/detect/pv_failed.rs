//! A volume that failed, or a claim that lost its volume.

use std::sync::Arc;

use super::{Condition, Context, Draft, Output, Verdict, workload_facts as facts};
use crate::{
    event::{EventType, Kind},
    object::Object,
};

/// Judges volumes and claims: registered once for each kind.
pub struct Rule(pub Kind);

impl Condition for Rule {
    fn name(&self) -> &'static str {
        "pv_failed"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::PvFailed]
    }
    fn kind(&self) -> Kind {
        self.0
    }
    fn judge(&self, object: &Arc<Object>, cx: &Context<'_>, _out: &mut Output) -> Verdict {
        if object.is_terminating() {
            return Verdict::Unknown;
        }
        if let Some(volume) = object.volume() {
            if volume.phase != "Failed" {
                return Verdict::healthy();
            }
            let why = [volume.reason.as_str(), volume.message.as_str()];
            let why: Vec<&str> = why.into_iter().filter(|s| !s.is_empty()).collect();
            let draft =
                Draft::new(EventType::PvFailed, object, format!("Volume {} failed", object.meta.name))
                    .description(why.join(": "))
                    .detail("phase", volume.phase.as_str())
                    .detail("reason", volume.reason.as_str())
                    .detail("message", volume.message.as_str())
                    .detail("claim", volume.claim.as_str())
                    .detail("capacity", volume.capacity.as_str())
                    .detail("storage_class", volume.storage_class.as_str())
                    .detail("reclaim_policy", volume.reclaim_policy.as_str());
            return told(draft, object, cx);
        }
        let Some(claim) = object.claim() else { return Verdict::Unknown };
        if claim.phase != "Lost" {
            return Verdict::healthy();
        }
        let readers =
            cx.world.readers(crate::object::ConfigRefKind::Claim, &object.meta.namespace, &object.meta.name);
        let draft =
            Draft::new(EventType::PvFailed, object, format!("Claim {} lost its volume", object.meta.name))
                .description(format!(
                    "The volume {} that it was bound to does not exist any more.",
                    claim.volume
                ))
                .detail("phase", claim.phase.as_str())
                .detail("volume", claim.volume.as_str())
                .detail("storage_class", claim.storage_class.as_str())
                .detail("readers", facts::resources(&readers));
        told(draft, object, cx)
    }
}

fn told(draft: Draft, object: &Arc<Object>, cx: &Context<'_>) -> Verdict {
    let draft = draft.at_or(None, cx.now);
    Verdict::one(draft.recommend("See what happened to it", facts::kubectl("describe", object)), 0)
}
