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
    /// Kubeconfig context; again for several clusters at once
    #[arg(long = "context", global = true, value_name = "NAME")]
    pub contexts: Vec<String>,
    /// Namespace to watch, globs too (team-*); again, or with commas, for several [env: WATCH_NAMESPACES]
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
}
