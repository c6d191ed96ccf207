//! Every rule, a line each.

use super::{Condition, Moment};

/// Rules about states.
pub const CONDITIONS: &[&dyn Condition] = &[];

/// Rules about changes.
pub const MOMENTS: &[&dyn Moment] = &[];
