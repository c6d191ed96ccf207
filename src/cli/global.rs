//! Flags that every command takes.

use std::path::PathBuf;

use clap::Args;

use crate::config::Flags;

/// They win over the environment and the configuration file.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Configuration file [env: BARRELMAN_CONFIG] [default: the platform's configuration directory]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Kubeconfig file [env: KUBECONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Kubeconfig context to watch, or of which to list; again for several clusters at once
    #[arg(long = "context", global = true, value_name = "NAME")]
    pub contexts: Vec<String>,
    /// Namespace to watch, or of which to list, globs too (team-*); again, or with commas, for several [env: WATCH_NAMESPACES]
    #[arg(long = "namespace", short = 'n', global = true, value_name = "NAME")]
    pub namespaces: Vec<String>,
    /// Label selector, as in kubectl [env: RESOURCE_FILTER]
    #[arg(long, short = 'l', global = true, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Directory of the database [env: BARRELMAN_DATA_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The cluster's name in messages [env: CONNECTOR_NAME]
    #[arg(long, global = true, value_name = "NAME")]
    pub name: Option<String>,
    /// Store events and incidents, deliver nothing
    #[arg(long, global = true)]
    pub watch_only: bool,
    /// debug, info, warn, error, or a filter such as info,barrelman::watch=debug [env: LOG_LEVEL]
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

impl Global {
    /// For `config::load`.
    pub fn flags(&self) -> Flags {
        Flags {
            config: self.config.clone(),
            kubeconfig: self.kubeconfig.clone(),
            contexts: self.contexts.clone(),
            namespaces: self.namespaces.clone(),
            selector: self.selector.clone(),
            data_dir: self.data_dir.clone(),
            watch_only: self.watch_only,
            log_level: self.log_level.clone(),
            log_format: None,
            name: self.name.clone(),
            listen: None,
        }
    }

    /// What the flags narrow lists of stored things to, in the filter language. `name`: the configured name of the
    /// clusters, which with several contexts is a prefix.
    pub fn scope(&self, name: Option<&str>) -> String {
        let quoted = |value: &str| format!("\"{}\"", value.replace('\\', r"\\").replace('"', "\\\""));
        let namespaces: Vec<&str> = self
            .namespaces
            .iter()
            .flat_map(|n| n.split(','))
            .map(str::trim)
            .filter(|n| !n.is_empty())
            .collect();
        let mut clusters: Vec<String> = Vec::new();
        for context in &self.contexts {
            clusters.push(quoted(context));
            clusters.extend(name.map(|name| quoted(&format!("{name}/{context}"))));
        }
        if self.contexts.len() == 1 {
            clusters.extend(name.map(quoted));
        }
        let mut terms = Vec::new();
        for (key, values) in [("ns", namespaces.join("|")), ("cluster", clusters.join("|"))] {
            if !values.is_empty() {
                terms.push(format!("{key}:{values}"));
            }
        }
        terms.extend(self.selector.iter().map(|selector| format!("-l {selector}")));
        terms.join(" ")
    }
}
