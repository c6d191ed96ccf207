//! The one integration binary: a file per behaviour, real parts, no network beyond loopback.

// Helpers of tests may fail loudly; clippy only knows functions marked #[test] as tests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod architecture;
mod connector_painchain;
mod connector_slack;
mod connector_webhook;
mod demo_life;
mod demo_sink;
mod detect;
mod detect_support;
mod example_config;
mod real_watch;
mod detect;
mod detect_support;
mod example_config;
mod readme;
mod simulated_cluster;
mod dispatch;
mod store_crash;
mod store_model;
mod store_open;
mod store_support;
mod support;
