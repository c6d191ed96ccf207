//! The model everybody speaks: events, incidents, their types, ids and the filter language.
//!
//! Plain data, no I/O, no clock. Everything here is what the store keeps, the connectors send and the
//! screen shows; `incident` holds the second of the three ideas (event, incident, notification).

mod catalogue;
pub mod filter;
mod ids;
pub mod incident;
mod kinds;
mod model;
mod nearest;
pub mod over;
pub mod sanitize;
mod severity;
mod shell;

pub use catalogue::{
    Ends, EventType, Family, Role, TypeDef, TypeNameError, TypeSet, aliases, selectable, type_names,
};
pub use ids::{ClusterUid, EventId, Fingerprint, IncidentId, Moment, NotificationId, digest};
pub use kinds::Kind;
pub use model::{Event, Link, ObjectRef, Owner, Recommendation, Status, TimeSource};
pub use nearest::nearest;
pub use severity::{Severity, SeverityError};
pub use shell::shell_word;
