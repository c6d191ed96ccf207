//! The one integration binary: a file per behaviour, real parts, no network beyond loopback.

mod architecture;
mod connector_painchain;
mod connector_slack;
mod connector_webhook;
mod demo_life;
mod demo_sink;
mod detect;
mod detect_support;
mod dispatch;
mod example_config;
mod painchain;
mod readme;
mod real_watch;
mod simulated_cluster;
mod store_crash;
mod store_model;
mod store_open;
mod store_support;
mod support;
mod tui_flows;
mod tui_pty;
mod tui_sample;
mod tui_screens;
mod watch_faults;
