//! The one integration binary: a file per behaviour, real parts, no network beyond loopback.
// Helpers outside of test functions are test code too.
#![allow(clippy::pedantic, clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::string_slice)]

mod architecture;
mod cli_check;
mod cli_config;
mod cli_connectors;
mod cli_events;
mod cli_forward;
mod connector_painchain;
mod connector_slack;
mod connector_webhook;
mod demo_life;
mod demo_sink;
mod detect;
mod detect_support;
mod dispatch;
mod dispatch_faults;
mod engine_causes;
mod engine_ends;
mod engine_ignore;
mod engine_life;
mod engine_order;
mod engine_scope;
mod engine_whole;
mod example_config;
mod last_lines;
mod pages_linked;
mod painchain;
mod readme;
mod real_limits;
mod real_scenarios;
mod real_watch;
mod said_commands;
mod simulated_cluster;
mod store_crash;
mod store_model;
mod store_open;
mod store_support;
mod support;
mod tui_flows;
mod tui_program;
mod tui_pty;
mod tui_sample;
mod tui_screens;
mod tui_truth;
mod watch_faults;
