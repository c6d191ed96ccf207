//! The simulated cluster: a real list/watch server in-process, objects that live, a scripted day, and a sink.
//!
//! `barrelman demo` runs on it, and so do the tests: an ordinary Kubernetes client sees no difference. Owns nothing
//! outside itself: it imports `event` alone, spawns no task (its servers are futures) and reads no clock but the
//! one it is given. Everything random follows from a seed.

mod access;
mod api;
mod bulk;
mod cluster;
mod failure;
mod faults;
mod http;
mod managed;
mod net;
mod object;
mod rng;
pub mod scenario;
mod selector;
mod server;
mod sim;
pub mod sink;
mod storage;

pub use access::Access;
pub use api::{Resource, Surface};
pub use bulk::Bulk;
pub use cluster::{Backup, Clock, Cluster, Options, Plural, Writer};
pub use failure::Failure;
pub use faults::{Fault, Faults, Rule, WatchEnd};
pub use net::Gate;
pub use server::Server;
pub use sim::{ActionError, Sim};
