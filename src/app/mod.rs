//! The composition root: builds everything, owns every task, reads the clock.

mod engine;
mod status;
mod tasks;

pub use engine::Running;
