//! Logs: text or JSON on standard error, or a file while a screen holds the terminal.

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::config::LogSettings;

/// Sends logs to standard error.
pub fn to_stderr(settings: &LogSettings) {
    let filter = filter(&settings.level);
    let registry = tracing_subscriber::registry().with(filter);
    // A second initialisation (in tests) is not worth failing for.
    let _ = if settings.json {
        registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init()
    } else {
        registry.with(fmt::layer().with_target(false).with_writer(std::io::stderr)).try_init()
    };
}

/// A plain level is for us; libraries stay at warnings, because their debug lines may hold addresses with tokens.
fn filter(level: &str) -> EnvFilter {
    let plain = ["trace", "debug", "info", "warn", "error"].contains(&level);
    let text = if plain { format!("warn,barrelman={level}") } else { level.to_owned() };
    EnvFilter::try_new(text).unwrap_or_else(|_| EnvFilter::new("warn,barrelman=info"))
}
