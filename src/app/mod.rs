//! The composition root: builds everything, owns every task, reads the clock.

mod actions;
pub mod commands;
mod connector_edits;
mod connectors;
mod engine;
mod forward;
mod heartbeat;
mod logging;
mod observe;
mod run;
mod status;
mod tasks;

pub use engine::{Running, now};
pub use run::run;
