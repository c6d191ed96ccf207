//! Barrelman: the lookout of a Kubernetes cluster.
//!
//! ```text
//! kube API ─▶ watch ─Said─▶ pipeline (detect, incidents, routing) ─one commit─▶ store ─▶ dispatch ─▶ connector ─▶ services
//!                               └────────────── feed ──────────────▶ tui · events --follow · server
//! ```
//!
//! Rules that hold everywhere:
//! - An event is accepted when one transaction holds it, the object state it came from, its incident and its outbox
//!   rows. Nothing is sent that was not stored; nothing stored is forgotten.
//! - A restart and a watch that lost its history are one case: list, and compare with what is stored. What a new scope
//!   holds at first is shown, and told to nobody.
//! - No request to the cluster per event; nothing is ever written to it.
//! - No value of a Secret or ConfigMap is stored, shown, logged or sent; all text from a cluster is cleaned at decode.
//! - The clock is an argument; only `app` reads one, spawns tasks and owns them.
//!
//! Who may import whom (`tests/it/architecture.rs` keeps it), plain data first:
//!
//! | module | what it is | home of |
//! |---|---|---|
//! | [`event`], [`status`], [`object`], [`feed`] | the model: events, incidents, filters, what screens read | |
//! | [`config`] | file, environment and flags to validated settings | `toml` |
//! | [`detect`] | pure rules, one per file, over changes of objects | |
//! | [`store`] | the database: rows, pages, retention, the one writer | `redb` |
//! | [`connector`] | one service per file: renders and sends | `reqwest` |
//! | [`watch`] | clusters: connections, lists, watches, rights | `kube` |
//! | [`pipeline`] | events to incidents to notifications, in one commit | |
//! | [`dispatch`] | a queue, a pace and receipts per connector | |
//! | [`server`] | health, metrics, heartbeat, the local socket | `axum` |
//! | [`tui`] | the dashboard: plain state, pure update, view | `ratatui` |
//! | [`demo`] | the simulated cluster, for people and for tests | |
//! | [`app`] | the composition root: builds, runs and stops all of it | |
//! | [`cli`] | the command line's types | `clap` |
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
