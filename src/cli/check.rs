//! `barrelman check` and `barrelman rbac`

use clap::{Args, ValueEnum};

/// Check configuration, clusters, rights, store and connectors, each with a next step; 1 if one fails
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  barrelman check
  barrelman check --context prod --offline")]
pub struct Check {
    /// Only what needs no network: configuration and store
    #[arg(long)]
    pub offline: bool,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// Print the Kubernetes rights that this configuration needs, ready for kubectl apply
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  barrelman rbac | kubectl apply -f -
  barrelman rbac -n payments -n checkout
  barrelman rbac -n payments --scope cluster
  barrelman rbac --install-namespace monitoring --account barrelman")]
pub struct Rbac {
    /// The ServiceAccount
    #[arg(long, value_name = "NAME", default_value = "barrelman")]
    pub account: String,
    /// Its namespace, which is made too
    #[arg(long, value_name = "NAME", default_value = "barrelman")]
    pub install_namespace: String,
    /// A ClusterRole, or a Role in each watched namespace [default: namespaced where namespaces are named without globs]
    #[arg(long, value_enum)]
    pub scope: Option<Scope>,
}

/// Where the rights hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scope {
    /// A ClusterRole and its binding.
    Cluster,
    /// A Role and its binding in each watched namespace.
    Namespaced,
}
