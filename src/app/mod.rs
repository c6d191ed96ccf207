//! The composition root: builds everything, owns every task, reads the clock.

pub mod commands;
mod connector_edits;
mod connectors;
mod engine;
mod status;
mod tasks;

pub use engine::Running;
