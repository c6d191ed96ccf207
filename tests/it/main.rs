//! The one integration binary: a file per behaviour, real parts, no network beyond loopback.

// Helpers of tests may fail loudly; clippy only knows functions marked #[test] as tests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::string_slice)]

mod architecture;
mod connector_painchain;
mod connector_slack;
mod connector_webhook;
mod detect;
mod detect_support;
mod example_config;
mod painchain;
mod simulated_cluster;
mod support;
