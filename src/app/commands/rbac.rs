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
    let names = &settings.watch.namespaces;
    let named = !names.is_empty() && !names.iter().any(|n| watch::is_glob(n));
    let scope = args.scope.unwrap_or(if named { Scope::Namespaced } else { Scope::Cluster });
    let watch = match scope {
        // One ClusterRole, whatever the namespaces; globs need to see which there are.
        Scope::Cluster => WatchSettings { namespaces: Vec::new(), ..settings.watch.clone() },
        Scope::Namespaced if named => settings.watch.clone(),
        Scope::Namespaced => {
            return Err(usage(
                "--scope namespaced needs the names of the namespaces, without globs: -n payments -n checkout",
            ));
        }
    };
    console.out.write_all(watch::rbac(&watch, extras, account).as_bytes())?;
    Ok(Exit::Ok)
}
