//! The one integration binary: a file per behaviour, real parts, no network beyond loopback.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::string_slice)]
// Helpers of tests may fail loudly; clippy only knows functions marked #[test] as tests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod architecture;
mod connector_painchain;
mod connector_slack;
mod connector_webhook;
mod example_config;
mod demo_life;
mod demo_sink;
mod real_watch;
mod support;
//! The one integration binary: a file per behaviour.
mod architecture;
mod example_config;
//! The one integration binary: a module per behaviour.
mod simulated_cluster;
mod support;
//! The one integration binary: a file per behaviour.

// Helpers of tests may fail loudly; clippy only knows functions marked #[test] as tests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod detect;
mod detect_support;
mod example_config;
mod simulated_cluster;
mod support;
