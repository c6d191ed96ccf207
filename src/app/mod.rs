//! The composition root: builds everything, owns every task, reads the clock.

mod actions;
mod beside;
pub mod commands;
mod configuration;
mod connector_edits;
mod connectors;
mod dashboard;
pub mod demo;
mod engine;
mod forward;
mod lines;
mod logging;
mod never;
mod observe;
mod outward;
mod reconfigure;
mod run;
mod screen;
mod status;
mod tasks;

pub use connectors::target;
pub use engine::{Running, engine_config, now};
pub use run::run;
