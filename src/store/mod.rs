//! The embedded database: one redb file, one writer, durable group commits.
//!
//! Rows are JSON under string or number keys: legible in a crash, and a field can be added without a migration.

mod rows;
mod schema;

pub use rows::*;
pub use schema::*;
