//! `barrelman forward`

use clap::{Args, ValueEnum};

/// Watch and deliver without a screen: for a Deployment, a systemd unit, a pipeline
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  barrelman forward
  barrelman forward --context prod --context staging --listen 127.0.0.1:8080
  CONNECTOR_NAME=prod PAINCHAIN_API_URL=https://painchain.example.com barrelman forward --log-format json")]
pub struct Forward {
    /// Lines of the log
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Serve health and metrics there: 127.0.0.1:8080, or :8080 for all addresses
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
}

/// How log records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// The word of the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        }
    }
}
