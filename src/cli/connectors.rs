//! `barrelman connectors`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Connectors: what is told to whom
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  barrelman connectors list
  barrelman connectors add slack-oncall --type slack --set webhook_url='${SLACK_WEBHOOK_URL}' --enable
  barrelman connectors test slack-oncall
  barrelman connectors import connectors.json
  barrelman connectors export > connectors.json

Connectors of the configuration file and of the environment can be switched and tested here; to change them, change
where they are written.")]
pub struct Connectors {
    #[command(subcommand)]
    pub command: ConnectorsCommand,
}

/// What to do with them.
#[derive(Debug, Clone, Subcommand)]
pub enum ConnectorsCommand {
    /// All of them: state, queue, last delivery, last error
    List {
        /// How to print
        #[arg(long, short, value_enum, default_value = "table", value_name = "FORMAT")]
        output: super::events::Output,
    },
    /// Make one, kept in the database; its secrets are sealed
    Add(Add),
    /// Switch on
    Enable {
        /// The connector
        name: String,
    },
    /// Switch off; what waits stays, up to the delivery horizon
    Disable {
        /// The connector
        name: String,
    },
    /// Send a real message that is marked as a test
    Test {
        /// The connector
        name: String,
    },
    /// Delete one, and what waits for it
    Remove {
        /// The connector
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Add those of a file: one object or {"connectors": [...]}, JSON or TOML
    Import {
        /// The file; - reads standard input
        file: PathBuf,
        /// Replace connectors of the same name
        #[arg(long)]
        replace: bool,
    },
    /// Print them as {"connectors": [...]}, without secrets
    Export {
        /// Only these; none = all
        names: Vec<String>,
        /// What stands in place of secrets
        #[arg(long, value_enum, default_value = "placeholders", value_name = "HOW")]
        secrets: SecretsAs,
    },
}

/// `barrelman connectors add`
#[derive(Debug, Clone, Args)]
pub struct Add {
    /// A name of its own
    pub name: String,
    /// slack, webhook, painchain, …
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: String,
    /// An option: key=text, or key:=JSON for lists, numbers and tables; again for each
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Switch on at once
    #[arg(long)]
    pub enable: bool,
}

/// What stands in place of secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SecretsAs {
    /// `${NAME}`: set the variables, and the export loads.
    Placeholders,
    /// Nothing.
    Cut,
}

impl Add {
    /// The options as a connector's `config`.
    ///
    /// # Errors
    /// A `--set` without `=`, or with JSON that is none, in words.
    pub fn config(&self) -> Result<serde_json::Map<String, serde_json::Value>, String> {
        let mut config = serde_json::Map::new();
        for item in &self.set {
            let (key, value) = item
                .split_once('=')
                .ok_or_else(|| format!("--set {item}: expected key=value or key:=JSON"))?;
            let (key, value) = match key.strip_suffix(':') {
                Some(key) => {
                    let json =
                        serde_json::from_str(value).map_err(|e| format!("--set {key}: not JSON: {e}"))?;
                    (key, json)
                }
                None => (key, serde_json::Value::from(value)),
            };
            if config.insert(key.to_owned(), value).is_some() {
                return Err(format!("--set {key}: is given twice"));
            }
        }
        Ok(config)
    }
}
