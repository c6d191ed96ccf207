//! Validated settings. `load` is the only I/O; everything else receives these structs.

mod settings;

pub use settings::*;
