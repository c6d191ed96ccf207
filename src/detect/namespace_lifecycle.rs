//! Namespaces that come, are being emptied, and go.

use super::{Change, Context, Draft, Moment, Output, workload_facts as facts};
use crate::event::{EventType, Kind};

/// See the module.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "namespace_lifecycle"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::NamespaceCreated, EventType::NamespaceTerminating, EventType::NamespaceDeleted]
    }
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Namespace]
    }
    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        let name = change.key.name.as_str();
        if let Some(gone) = change.deleted() {
            let title = format!("Namespace {name} deleted");
            // It is gone now; the deletion was asked for long before.
            let draft = Draft::new(EventType::NamespaceDeleted, gone, title)
                .description("It is gone, with everything that was in it.")
                .detail("asked_at", gone.meta.deleted_at.map(|t| t.to_string()));
            out.tell(facts::observed(draft, cx.now));
        }
        if let Some(new) = change.created() {
            let mut draft = Draft::new(EventType::NamespaceCreated, new, format!("Namespace {name} created"));
            if !new.meta.spec_manager.is_empty() {
                draft = draft.detail("field_manager", new.meta.spec_manager.as_str());
            }
            out.tell(facts::at_creation(draft, cx.now));
        }
        let (Some((before, after)), Some(object)) = (change.update(), &change.after) else { return };
        if !before.is_terminating() && after.is_terminating() {
            let title = format!("Namespace {name} is being deleted");
            let finalizers: Vec<&str> = after.meta.finalizers.iter().map(AsRef::as_ref).collect();
            let draft = Draft::new(EventType::NamespaceTerminating, object, title)
                .description("Everything in it is being removed.")
                .detail("finalizers", (!finalizers.is_empty()).then_some(finalizers));
            out.tell(facts::at_deletion(draft, cx.now));
        }
    }
}
