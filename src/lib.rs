//! Barrelman: the lookout of a Kubernetes cluster.
pub mod app;
pub mod cli;
pub mod config;
pub mod connector;
pub mod demo;
pub mod detect;
pub mod dispatch;
pub mod event;
pub mod feed;
pub mod object;
pub mod pipeline;
pub mod server;
pub mod status;
pub mod store;
pub mod tui;
pub mod watch;
