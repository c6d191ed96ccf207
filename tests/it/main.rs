//! The one integration binary: a file per behaviour, real parts, no network beyond loopback.

mod architecture;
mod connector_painchain;
mod connector_slack;
mod connector_webhook;
mod detect;
mod detect_support;
mod example_config;
mod simulated_cluster;
mod store_crash;
mod store_model;
mod store_open;
mod store_support;
mod support;
