//! Every rule, a line each.

use super::{Condition, Moment};
// pods and nodes
use super::node_unhealthy;

/// Rules about states.
pub const CONDITIONS: &[&dyn Condition] = &[
    // pods and nodes
    &node_unhealthy::Rule,
];

/// Rules about changes.
pub const MOMENTS: &[&dyn Moment] = &[
    // pods and nodes
];
