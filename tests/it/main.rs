//! The one integration binary: a file per behaviour, real parts, no network beyond loopback.

// Helpers of tests may fail loudly; clippy only knows functions marked #[test] as tests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::string_slice)]

mod architecture;
mod connector_painchain;
mod connector_slack;
mod connector_webhook;
mod demo_life;
mod demo_sink;
mod detect;
mod detect;
mod detect_support;
mod detect_support;
mod dispatch;
mod example_config;
mod detect_support;
mod dispatch;
mod example_config;
mod readme;
mod real_watch;
mod painchain;
mod simulated_cluster;
mod store_crash;
mod store_model;
mod store_open;
mod store_support;
mod support;
mod watch_faults;
