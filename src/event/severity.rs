//! How much an event matters, from the catalogue; ordered so that `max` is the worst.

use serde::{Deserialize, Serialize};

/// Ordered: `Info < Low < Medium < High < Critical`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth keeping, never worth waking anybody.
    #[default]
    Info,
    /// An ordinary change.
    Low,
    /// Somebody should look during the day.
    Medium,
    /// Something is broken for its users, or soon will be.
    High,
    /// Somebody should look now.
    Critical,
}

/// The text was no severity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown severity {0:?}: expected critical, high, medium, low or info")]
pub struct SeverityError(pub String);

impl Severity {
    /// All of them, the worst first: the order of forms and tables.
    pub const ALL: [Severity; 5] =
        [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Info];

    /// The word on the wire, in filters and in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Severity {
    type Err = SeverityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.trim().to_ascii_lowercase();
        Severity::ALL.into_iter().find(|s| s.as_str() == lower).ok_or_else(|| SeverityError(text.to_owned()))
    }
}
