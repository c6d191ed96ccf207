//! The composition root: builds everything, owns every task, reads the clock.

mod actions;
mod connectors;
pub mod demo;
mod engine;
mod forward;
mod logging;
mod observe;
mod run;
mod status;
mod tasks;

pub use engine::{Running, now};
pub use run::run;
