//! The one filter language of screen, connectors and command line.

/// A parsed filter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    source: String,
}

impl Filter {
    /// What was written.
    pub fn source(&self) -> &str {
        &self.source
    }
}
