//! Which rights the configured watches need.

use super::resources::Resource;

/// The rule that is missing, as it would stand in a Role: `list,watch deployments.apps in namespace prod`.
pub(super) fn missing(resource: &Resource, namespace: &str) -> String {
    let group = resource.group();
    let dot = if group.is_empty() { "" } else { "." };
    let place = if namespace.is_empty() { String::new() } else { format!(" in namespace {namespace}") };
    format!("list,watch {}{dot}{group}{place}", resource.plural)
}
