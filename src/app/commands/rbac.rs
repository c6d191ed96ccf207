//! `rbac`: the least rights for this configuration, as a manifest.

use anyhow::Result;

use super::{out::Console, usage};
use crate::{
    cli::{Exit, Rbac, Scope},
    config::{Resolved, WatchSettings},
    watch::{self, Account, Extras},
};

/// Prints the manifest.
///
/// # Errors
/// Roles of namespaces were asked for, and the namespaces are not named.
pub fn run(args: &Rbac, resolved: &Resolved, console: &mut Console<'_>) -> Result<Exit> {
    let settings = &resolved.settings;
    let account = Account { name: &args.account, namespace: &args.install_namespace };
    let extras = Extras { logs: settings.incidents.logs, manifests: true };
    let watch = match args.scope {
        // One ClusterRole, whatever the namespaces; globs need to see which there are.
        Scope::Cluster => WatchSettings { namespaces: Vec::new(), ..settings.watch.clone() },
        Scope::Namespaced => {
            let names = &settings.watch.namespaces;
            if names.is_empty() || names.iter().any(|n| n.contains(['*', '?'])) {
                return Err(usage(
                    "--scope namespaced needs the names of the namespaces, without globs: -n payments -n checkout",
                ));
            }
            settings.watch.clone()
        }
    };
    console.out.write_all(watch::rbac(&watch, extras, account).as_bytes())?;
    Ok(Exit::Ok)
}
