//! From what a watch says to rows in the store: changes, rules, events, incidents, messages to send.
//!
//! `Engine` is the state of all clusters with the incident logic; it runs inside the store's write jobs, so that an
//! event, the object state it came from, its incident and its outbox rows are one transaction. It knows no clock and does
//! no I/O of its own. `run` feeds it in batches, publishes what was committed and wakes the dispatcher.

mod cause;
mod cluster;
mod commands;
mod dues;
mod ends;
mod engine;
mod firing;
mod flood;
mod gone;
mod healing;
mod health;
mod ignore;
mod incidents;
mod intake;
mod judge;
mod life;
mod posts;
mod reach;
mod record;
mod refire;
mod route;
mod run;
mod scaling;
mod skew;
mod suspects;
mod wording;

pub use engine::{AWAY, Engine, EngineConfig, Input};
pub use route::{Deliver, Target};
pub use run::{Hand, Handles, run};
