//! The dashboard: opens in an instant, says what is broken, since when and who was told, and follows everything live.
//!
//! One task owns `Model`, plain data without locks. A key goes through the keymap and becomes a typed `Action`; the
//! pure `update` answers with `Effect`s; `source` runs them on worker threads and answers with `Msg`. The view
//! formats and colours, and changes nothing but scroll offsets. Called by `app` alone, on a thread of its own that the
//! rest of the process steps back for. It must never read the store, a file or the network on the screen's task, never
//! end because a cluster is away, and never leave the terminal other than it found it.

mod action;
mod blank;
mod effect;
mod gaps;
mod guard;
mod heard;
mod input;
mod keymap;
mod model;
mod msg;
mod options;
mod overlays;
mod panes;
mod paper;
mod priority;
mod query;
mod rate;
mod run;
mod session;
mod source;
mod text;
mod theme;
mod times;
mod update;
mod view;
mod widgets;

pub use action::Action;
pub use keymap::{Binding, GLOBAL, KeyError, Keymap};
pub use options::{Ask, Clock, Engine, Error, Exit, Link, Options, Pages};
pub use panes::{PANES, PaneDef};
pub use priority::step_back;
pub use run::run;
pub use session::Session;
pub use theme::{Theme, ThemeChoice};

/// For tests and measurements: the dashboard without a terminal, one message at a time.
pub mod harness;
