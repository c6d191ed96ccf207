//! The one integration binary: a file per behaviour.
mod architecture;
mod example_config;
