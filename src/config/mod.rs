//! Validated settings, and how they are made: defaults, file, environment, flags.
//!
//! `options` is the one table of all options; `resolve` is pure and finds every problem at once; `load` alone touches
//! disk and environment. Everything else receives `Settings`. Never holds a resolved secret: see `secret`.

pub mod connectors;
mod env;
pub mod example;
mod file;
mod flags;
mod layer;
mod load;
pub mod options;
mod problem;
mod resolve;
pub mod secret;
mod settings;
mod show;
mod value;
mod vault;

pub use connectors::{ExportSecrets, ReadConnectors, export_connectors, read_connectors};
pub use env::Env;
pub use flags::Flags;
pub use layer::Sourced;
pub use load::{
    config_path, default_config_path, default_data_dir, environment, examine_all, load, write_example,
};
pub use problem::{Place, Problem, Problems, Warning};
pub use resolve::{Examined, Resolved, Sources, examine, resolve};
pub use settings::*;
pub use show::show;
pub use value::{Raw, Type, Value};
pub use vault::{KEY_FILE, Vault, VaultError};

#[cfg(test)]
mod tests;
