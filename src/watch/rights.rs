//! Which rights the configured watches need: for `check`, for `rbac`, and to name the one that is missing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::{
    resources::{Resource, is_selected},
    scope::Scope,
};
use crate::{config::WatchSettings, event::Kind, event::sanitize};

/// One right: verbs on a resource, in a namespace or in the whole cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Empty = the core group.
    pub group: String,
    /// `pods`, `pods/log`, …
    pub resource: String,
    /// `get`, `list`, `watch`
    pub verbs: Vec<&'static str>,
    /// `None` = the whole cluster.
    pub namespace: Option<String>,
    /// Only the object of this name.
    pub name: Option<&'static str>,
}

/// What is wanted beside the watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extras {
    /// The last lines of containers that died: `pods/log`.
    pub logs: bool,
    /// Manifests in the dashboard: `get` of every watched kind.
    pub manifests: bool,
}

impl std::fmt::Display for Rule {
    /// As it would stand in a Role: `list,watch deployments.apps in namespace prod`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verbs.join(","), self.of())?;
        if let Some(name) = self.name {
            write!(f, " named {name}")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => Ok(()),
        }
    }
}

impl Rule {
    /// `deployments.apps`
    fn of(&self) -> String {
        let dot = if self.group.is_empty() { "" } else { "." };
        format!("{}{dot}{}", self.resource, self.group)
    }
}

/// Rights that are missing alike, as one: the same verbs in the same place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// `list`, `watch`
    pub verbs: Vec<&'static str>,
    /// `None` = the whole cluster.
    pub namespace: Option<String>,
    /// `pods`, `deployments.apps`
    pub resources: Vec<String>,
    /// All that is missing in that place, whatever the verbs, as the rules of a role on one line of YAML.
    pub rules: String,
}

/// What is missing, by place and verbs, in the order in which it was found.
pub fn gaps(missing: &[Rule]) -> Vec<Gap> {
    let mut gaps: Vec<Gap> = Vec::new();
    for rule in missing {
        let resource = rule.name.map_or_else(|| rule.of(), |name| format!("{} named {name}", rule.of()));
        match gaps.iter_mut().find(|g| g.verbs == rule.verbs && g.namespace == rule.namespace) {
            Some(gap) => gap.resources.push(resource),
            None => gaps.push(Gap {
                verbs: rule.verbs.clone(),
                namespace: rule.namespace.clone(),
                resources: vec![resource],
                rules: flow(missing.iter().filter(|r| r.namespace == rule.namespace)),
            }),
        }
    }
    gaps
}

/// The rule that a watch was refused for.
pub(super) fn missing(resource: &Resource, namespace: &str) -> String {
    rule(resource, vec!["list", "watch"], (!namespace.is_empty()).then(|| namespace.to_owned())).to_string()
}

fn rule(resource: &Resource, verbs: Vec<&'static str>, namespace: Option<String>) -> Rule {
    Rule {
        group: resource.group().to_owned(),
        resource: resource.plural.to_owned(),
        verbs,
        namespace,
        name: None,
    }
}

/// The kinds that are watched only where that is permitted: those in no namespace, while only some namespaces are
/// watched and nobody asked for them by name.
pub fn optional(settings: &WatchSettings) -> BTreeSet<Kind> {
    let scope = Scope::new(&settings.namespaces);
    let mut kinds = settings.kinds.clone();
    let globs = !scope.globs().is_empty();
    let wanted = |k: &Kind| settings.insisted.contains(k) || (globs && *k == Kind::Namespace);
    kinds.retain(|k| !scope.is_all() && !k.namespaced() && !wanted(k));
    kinds
}

/// The right to know the cluster by the uid of the namespace kube-system. Without it, the cluster is known by a hash of
/// its address and CA.
pub fn identity() -> Rule {
    let rule = rule(&Resource::newest(Kind::Namespace), vec!["get"], None);
    Rule { name: Some("kube-system"), ..rule }
}

/// Every right that the watches of these settings can use, kind by kind. With globs the namespaces are not known
/// beforehand: the rights are needed in the whole cluster.
pub fn needed(settings: &WatchSettings, extras: Extras) -> Vec<Rule> {
    let scope = Scope::new(&settings.namespaces);
    let places: Vec<Option<String>> = if scope.is_all() || !scope.globs().is_empty() {
        vec![None]
    } else {
        scope.names().iter().map(|n| Some(n.to_string())).collect()
    };
    let mut rules = Vec::new();
    let mut kinds = settings.kinds.clone();
    if !scope.globs().is_empty() {
        kinds.insert(Kind::Namespace);
    }
    for kind in kinds {
        let get = extras.manifests || (settings.selector.is_some() && is_selected(kind));
        let verbs = if get { vec!["get", "list", "watch"] } else { vec!["list", "watch"] };
        let resource = Resource::newest(kind);
        if kind.namespaced() {
            rules.extend(places.iter().map(|place| rule(&resource, verbs.clone(), place.clone())));
        } else {
            rules.push(rule(&resource, verbs, None));
        }
    }
    if extras.logs {
        let log = |place: &Option<String>| Rule {
            resource: "pods/log".to_owned(),
            ..rule(&Resource::newest(Kind::Pod), vec!["get"], place.clone())
        };
        rules.extend(places.iter().map(log));
    }
    rules
}

/// Who gets the rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account<'a> {
    /// The ServiceAccount; roles and bindings have its name.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
}

/// The least RBAC manifest for these settings, as YAML: the account's Namespace, a ServiceAccount, roles where the scope
/// is, bindings. Of what is optional nothing is asked for: in single namespaces nothing of the whole cluster.
pub fn manifest(settings: &WatchSettings, extras: Extras, account: Account<'_>) -> String {
    // They are there in every cluster, and not ours to describe.
    let own = !(account.namespace == "default" || account.namespace.starts_with("kube-"));
    let (name, account) = (yaml_name(account.name), yaml_name(account.namespace));
    let mut yaml = String::new();
    let optional = optional(settings);
    let mut asked = settings.clone();
    asked.kinds.retain(|k| !optional.contains(k));
    let mut by_place: BTreeMap<Option<String>, Vec<Rule>> = BTreeMap::new();
    let mut rules = needed(&asked, extras);
    let reads = |r: &Rule| r.resource == "namespaces" && r.verbs.contains(&"get");
    if rules.iter().any(|r| r.namespace.is_none()) && !rules.iter().any(reads) {
        rules.push(identity());
    }
    for rule in rules {
        by_place.entry(rule.namespace.clone()).or_default().push(rule);
    }
    let _ = writeln!(
        yaml,
        "# What barrelman needs for its configuration, and nothing more. It never writes to what it watches."
    );
    if !optional.is_empty() {
        let kinds: Vec<&str> = optional.iter().map(|k| k.plural()).collect();
        let _ = writeln!(
            yaml,
            "# Not asked for, because they are in no namespace: {}.\n\
             # `[watch.kinds] nodes = true` adds the nodes; `--scope cluster` adds all, in all namespaces.",
            kinds.join(", ")
        );
    }
    if own {
        let _ = write!(yaml, "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {account}\n---\n");
    }
    let _ = write!(
        yaml,
        "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: {name}\n  namespace: {account}\n"
    );
    for (place, rules) in by_place {
        let (prefix, within) = match &place {
            None => ("Cluster", String::new()),
            Some(namespace) => ("", format!("\n  namespace: {}", yaml_name(namespace))),
        };
        let _ = write!(
            yaml,
            "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {prefix}Role\nmetadata:\n  name: {name}{within}\n\
             rules:\n{}",
            role_rules(&rules)
        );
        let _ = write!(
            yaml,
            "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {prefix}RoleBinding\nmetadata:\n  name: {name}{within}\n\
             roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {prefix}Role\n  name: {name}\n\
             subjects:\n  - kind: ServiceAccount\n    name: {name}\n    namespace: {account}\n"
        );
    }
    yaml
}

/// Of rules of one role: group, verbs and name, with the resources that share them.
type Like<'a> = ((&'a str, &'a [&'static str], Option<&'static str>), Vec<&'a str>);

/// Resources of one group with the same verbs stand together.
fn together<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> Vec<Like<'a>> {
    let mut together: Vec<Like<'a>> = Vec::new();
    for rule in rules {
        let like = (rule.group.as_str(), rule.verbs.as_slice(), rule.name);
        match together.iter_mut().find(|(l, _)| *l == like) {
            Some((_, resources)) => resources.push(&rule.resource),
            None => together.push((like, vec![&rule.resource])),
        }
    }
    together
}

/// Rules of one role.
fn role_rules(rules: &[Rule]) -> String {
    let mut yaml = String::new();
    for ((group, verbs, name), resources) in together(rules) {
        let _ = write!(yaml, "  - apiGroups: [\"{group}\"]\n    resources: [{}]\n", resources.join(", "));
        if let Some(name) = name {
            let _ = writeln!(yaml, "    resourceNames: [{name}]");
        }
        let _ = writeln!(yaml, "    verbs: [{}]", verbs.join(", "));
    }
    yaml
}

/// The same on one line, to be read out of a message.
fn flow<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> String {
    let one = |((group, verbs, name), resources): Like<'a>| {
        let named = name.map(|name| format!(", resourceNames: [{name}]")).unwrap_or_default();
        let (resources, verbs) = (resources.join(", "), verbs.join(", "));
        format!("{{apiGroups: [\"{group}\"], resources: [{resources}]{named}, verbs: [{verbs}]}}")
    };
    let each: Vec<String> = together(rules).into_iter().map(one).collect();
    format!("rules: [{}]", each.join(", "))
}

/// A namespace's name as YAML: quoted where it could be read as something else than text (`123`, `null`, `yes`).
fn yaml_name(name: &str) -> String {
    const WORDS: &[&str] = &["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let name = sanitize::clean(name).replace(['"', '\\', '\n', '\t'], "");
    let plain = !WORDS.contains(&name.as_str())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if plain { name } else { format!("\"{name}\"") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn settings(namespaces: &[&str], selector: Option<&str>, kinds: &[Kind]) -> WatchSettings {
        WatchSettings {
            namespaces: namespaces.iter().map(ToString::to_string).collect(),
            selector: selector.map(str::to_owned),
            kinds: kinds.iter().copied().collect(),
            insisted: BTreeSet::new(),
            poll_interval: Duration::from_mins(5),
            metrics_interval: Duration::from_mins(1),
            watch_timeout: Duration::from_mins(1),
        }
    }

    #[test]
    fn rights_are_asked_for_where_the_scope_is_and_no_further() {
        let needs = |s: &WatchSettings| -> Vec<String> {
            needed(s, Extras::default()).iter().map(ToString::to_string).collect()
        };
        let kinds = [Kind::Pod, Kind::Deployment, Kind::Node];
        assert_eq!(
            needs(&settings(&["prod", "dev"], Some("app=web"), &kinds)),
            [
                "get,list,watch pods in namespace prod",
                "get,list,watch pods in namespace dev",
                "get,list,watch deployments.apps in namespace prod",
                "get,list,watch deployments.apps in namespace dev",
                "list,watch nodes",
            ]
        );
        assert_eq!(
            needs(&settings(&["team-*"], None, &[Kind::Pod])),
            ["list,watch pods", "list,watch namespaces"]
        );
    }

    #[test]
    fn what_is_in_no_namespace_is_optional_while_only_some_namespaces_are_watched() {
        let kinds = [Kind::Pod, Kind::Node, Kind::Namespace, Kind::PersistentVolume];
        let names = |s: &WatchSettings| optional(s).iter().map(|k| k.plural()).collect::<Vec<_>>().join(" ");
        assert_eq!(names(&settings(&[], None, &kinds)), "");
        assert_eq!(names(&settings(&["*"], None, &kinds)), "");
        let mut some = settings(&["prod"], None, &kinds);
        assert_eq!(names(&some), "nodes namespaces persistentvolumes");
        assert_eq!(names(&settings(&["team-*"], None, &kinds)), "nodes persistentvolumes");
        let account = Account { name: "barrelman", namespace: "default" };
        let yaml = manifest(&some, Extras { logs: true, manifests: true }, account);
        assert!(!yaml.contains("Cluster") && yaml.contains("pods/log"), "{yaml}");
        assert!(!yaml.contains("kind: Namespace\n"), "{yaml}");
        some.insisted.insert(Kind::Node);
        assert_eq!(names(&some), "namespaces persistentvolumes");
        let yaml = manifest(&some, Extras::default(), account);
        let cluster = yaml.split("---\n").find(|d| d.contains("kind: ClusterRole\n")).unwrap();
        assert!(
            cluster.contains("resources: [nodes]") && !cluster.contains("persistentvolumes"),
            "{cluster}"
        );
    }

    #[test]
    fn the_manifest_is_yaml_with_a_role_per_namespace() {
        let settings = settings(&["prod"], None, &[Kind::Pod, Kind::Event, Kind::Job, Kind::Node]);
        let tower = Account { name: "barrelman", namespace: "watch-tower" };
        insta::assert_snapshot!(manifest(&settings, Extras { logs: true, manifests: false }, tower));
        let odd = Account { name: "null", namespace: "123" };
        for document in manifest(&settings, Extras::default(), odd).split("---\n") {
            serde_saphyr::from_str::<serde_json::Value>(document).expect("YAML");
        }
    }
}
