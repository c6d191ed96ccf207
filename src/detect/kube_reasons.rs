//! Which detector speaks for a Kubernetes Event's reason.

use crate::event::{EventType, Kind};

/// The types that tell the same story as an Event of this reason; empty: nobody speaks for it.
pub fn spoken_for(_reason: &str) -> &'static [EventType] {
    &[]
}

/// How long the detector of a type waits before it tells; an Event waits as long for it.
pub fn threshold_secs(_event_type: EventType) -> u32 {
    0
}

/// The kind whose watch the detector of a type needs; `None`: the involved object's own.
pub fn judged_kind(_event_type: EventType) -> Option<Kind> {
    None
}
