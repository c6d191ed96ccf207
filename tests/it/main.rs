//! The one integration binary: a file per behaviour.

mod detect;
mod detect_support;
