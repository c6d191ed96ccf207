//! What several files of tests share.

pub mod bench;
pub mod connectors;
pub mod sink;
