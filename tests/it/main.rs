//! The one integration binary: a file per behaviour.

// Helpers of tests may fail loudly; clippy only knows functions marked #[test] as tests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod detect;
mod detect_support;
