//! Which resources the simulated cluster serves, in which groups and versions, and its discovery documents.
//!
//! Read by the HTTP side for every request. Never looks at objects. Shapes follow the discovery API of
//! Kubernetes: `/api`, `/apis`, `/api/v1`, `/apis/<group>/<version>`.

use serde_json::{Value, json};

use crate::event::Kind;

/// One resource in one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// `v1`, `v1beta1`, …
    pub version: &'static str,
    /// `pods`
    pub plural: &'static str,
    /// `Pod`
    pub kind: &'static str,
    /// Whether its objects live in a namespace.
    pub namespaced: bool,
    /// kubectl's short word.
    pub short: &'static str,
}

impl Resource {
    /// `v1`, `apps/v1`, …
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// As messages of an API server name it: `pods`, `deployments.apps`.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }
}

impl From<Kind> for Resource {
    fn from(kind: Kind) -> Self {
        let (group, version) = kind.api_version().split_once('/').unwrap_or(("", kind.api_version()));
        Resource {
            group,
            version,
            plural: kind.plural(),
            kind: kind.as_str(),
            namespaced: kind.namespaced(),
            short: kind.short(),
        }
    }
}

const ENDPOINTS: Resource = Resource {
    group: "",
    version: "v1",
    plural: "endpoints",
    kind: "Endpoints",
    namespaced: true,
    short: "ep",
};
const LEASES: Resource = Resource {
    group: "coordination.k8s.io",
    version: "v1",
    plural: "leases",
    kind: "Lease",
    namespaced: true,
    short: "lease",
};

/// Everything that a simulated API server serves.
#[derive(Debug, Clone)]
pub struct Surface {
    /// Kubernetes 1.`minor`.
    pub minor: u32,
    resources: Vec<Resource>,
}

impl Surface {
    /// A server of today (1.33): every kind of `event::Kind`, Endpoints and Leases.
    pub fn modern() -> Self {
        let mut resources: Vec<Resource> = Kind::ALL.iter().copied().map(Resource::from).collect();
        resources.extend([ENDPOINTS, LEASES]);
        Surface { minor: 33, resources }
    }

    /// A server of 1.20: no `EndpointSlice`, `CronJob` in batch/v1beta1, autoscaling/v1.
    pub fn v1_20() -> Self {
        let mut surface = Surface::modern().without("endpointslices");
        surface.minor = 20;
        for resource in &mut surface.resources {
            match resource.plural {
                "cronjobs" => resource.version = "v1beta1",
                "horizontalpodautoscalers" => resource.version = "v1",
                _ => {}
            }
        }
        surface
    }

    /// The same without one resource, by plural name.
    pub fn without(mut self, plural: &str) -> Self {
        self.resources.retain(|r| r.plural != plural);
        self
    }

    /// The same with one more resource (or one more version of a resource).
    pub fn with(mut self, resource: Resource) -> Self {
        self.resources.push(resource);
        self
    }

    /// Every resource served.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// The resource at this place of the API.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Resource> {
        self.resources.iter().find(|r| r.group == group && r.version == version && r.plural == plural)
    }

    /// The reply of `/version`.
    pub fn version(&self) -> Value {
        let git = format!("v1.{}.0", self.minor);
        json!({
            "major": "1", "minor": self.minor.to_string(), "gitVersion": git, "gitCommit": "simulated",
            "gitTreeState": "clean", "buildDate": "2025-01-01T00:00:00Z", "goVersion": "none",
            "compiler": "rustc", "platform": "linux/amd64",
        })
    }

    /// The reply of `/apis`.
    pub fn groups(&self) -> Value {
        let names = self.group_names();
        json!({"kind": "APIGroupList", "apiVersion": "v1",
            "groups": names.iter().map(|name| self.group(name)).collect::<Vec<_>>()})
    }

    /// The reply of `/apis/<group>`; `None` where nothing of the group is served.
    pub fn group_document(&self, group: &str) -> Option<Value> {
        let known = self.group_names().contains(&group);
        known.then(|| {
            let mut document = self.group(group);
            document["kind"] = json!("APIGroup");
            document["apiVersion"] = json!("v1");
            document
        })
    }

    /// The reply of `/api/v1` and `/apis/<group>/<version>`; `None` where nothing is served there.
    pub fn resource_list(&self, group: &str, version: &str) -> Option<Value> {
        let here: Vec<&Resource> =
            self.resources.iter().filter(|r| r.group == group && r.version == version).collect();
        let review = group == REVIEWS && version == "v1";
        if here.is_empty() && !review {
            return None;
        }
        let mut entries: Vec<Value> = here.iter().map(|r| entry(r)).collect();
        if here.iter().any(|r| r.plural == "pods") {
            entries.push(json!({"name": "pods/log", "singularName": "", "namespaced": true, "kind": "Pod",
                "verbs": ["get"]}));
        }
        if review {
            for (name, kind) in REVIEW_KINDS {
                entries.push(json!({"name": name, "singularName": "", "namespaced": false, "kind": kind,
                    "verbs": ["create"]}));
            }
        }
        let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        Some(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version,
            "resources": entries}))
    }

    fn group_names(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = vec![REVIEWS];
        for resource in &self.resources {
            if !resource.group.is_empty() && !names.contains(&resource.group) {
                names.push(resource.group);
            }
        }
        names
    }

    fn group(&self, name: &str) -> Value {
        let mut versions: Vec<&str> = if name == REVIEWS { vec!["v1"] } else { Vec::new() };
        for resource in self.resources.iter().filter(|r| r.group == name) {
            if !versions.contains(&resource.version) {
                versions.push(resource.version);
            }
        }
        let versions: Vec<Value> =
            versions.iter().map(|v| json!({"groupVersion": format!("{name}/{v}"), "version": v})).collect();
        json!({"name": name, "versions": versions, "preferredVersion": versions.first()})
    }
}

/// The group of access reviews.
pub(super) const REVIEWS: &str = "authorization.k8s.io";
const REVIEW_KINDS: [(&str, &str); 2] = [
    ("selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    ("selfsubjectrulesreviews", "SelfSubjectRulesReview"),
];

fn entry(resource: &Resource) -> Value {
    json!({
        "name": resource.plural,
        "singularName": resource.kind.to_lowercase(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
        "shortNames": [resource.short],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_watched_kind_is_discoverable_at_its_own_version() {
        let surface = Surface::modern();
        for kind in Kind::ALL {
            let resource = Resource::from(*kind);
            let list = surface.resource_list(resource.group, resource.version).expect("served");
            assert!(
                list["resources"].as_array().unwrap().iter().any(|r| r["name"] == kind.plural()),
                "{kind}"
            );
        }
    }

    #[test]
    fn an_old_server_has_endpoints_and_no_slices() {
        let old = Surface::v1_20();
        assert!(old.resource_list("discovery.k8s.io", "v1").is_none());
        assert!(old.find("", "v1", "endpoints").is_some());
        assert!(old.find("batch", "v1beta1", "cronjobs").is_some());
        assert!(old.find("batch", "v1", "cronjobs").is_none());
        assert!(old.find("autoscaling", "v1", "horizontalpodautoscalers").is_some());
        assert_eq!(old.version()["gitVersion"], "v1.20.0");
    }
}
