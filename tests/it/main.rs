//! The one integration binary: a module per behaviour.
mod simulated_cluster;
mod support;
