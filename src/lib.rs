//! Barrelman: the lookout of a Kubernetes cluster.
pub mod config;
pub mod connector;
pub mod detect;
pub mod event;
pub mod feed;
pub mod object;
pub mod status;
pub mod store;
pub mod tui;
