//! The one integration binary: a file per behaviour, real parts, no network beyond loopback.

mod architecture;
mod connector_painchain;
mod connector_slack;
mod connector_webhook;
mod detect;
mod detect_support;
mod example_config;
mod real_watch;
mod simulated_cluster;
mod support;
mod watch_faults;
