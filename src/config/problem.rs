//! What is wrong with a configuration: everything at once, each with its place, what was expected and what is near.

use std::{collections::BTreeMap, fmt};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it was read: `config.toml:12`, `environment POLL_INTERVAL_SECONDS`, `--selector`.
    pub origin: String,
    /// The key's path: `watch.poll_interval_secs`; empty where there is none.
    pub path: String,
    /// What is wrong and what was expected. Never a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Where a connector was written, and each of its options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// `config.toml:12`, `environment PAINCHAIN_API_URL`
    pub origin: String,
    /// `connectors[2]`; empty outside the file.
    pub path: String,
    /// `url`, `conditions.namespace` → `config.toml:15`
    pub options: BTreeMap<String, String>,
}

impl Place {
    /// A problem with an option (or with what all of them make), at the line of the option, else of what it is in.
    pub fn problem(&self, option: &str, message: impl Into<String>) -> Problem {
        let mut at = option;
        let origin = loop {
            match (self.options.get(at), at.rsplit_once('.')) {
                (Some(origin), _) => break origin,
                (None, Some((parent, _))) => at = parent,
                (None, None) => break &self.origin,
            }
        };
        let path = match (self.path.as_str(), option) {
            ("", option) => option.to_owned(),
            (path, "type" | "name") => format!("{path}.{option}"),
            (path, option) => format!("{path}.config.{option}"),
        };
        Problem { origin: origin.clone(), path, message: message.into() }
    }
}

/// All that is wrong; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "problem" } else { "problems" };
        write!(f, "{} {plural} in the configuration", self.0.len())?;
        for problem in &self.0 {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Odd, but usable: said once at the start and by `check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(pub String);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
