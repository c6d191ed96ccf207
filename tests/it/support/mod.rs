//! What several files of tests share.

pub mod connectors;
pub mod controlplane;
pub mod watching;
