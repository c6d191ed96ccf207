//! Who may do what in the simulated cluster: everything, less what is denied.
//!
//! One client, one set of rights. Read for every request and by access reviews.

use serde_json::{Value, json};

use super::api::{Resource, Surface};
use super::failure::Failure;

/// The rights of the client.
#[derive(Debug, Clone, Default)]
pub struct Access {
    denials: Vec<Denial>,
    only_namespaces: Option<Vec<String>>,
}

#[derive(Debug, Clone)]
struct Denial {
    verb: String,
    resource: String,
    namespace: Option<String>,
}

impl Access {
    /// Everything is allowed.
    pub fn full() -> Self {
        Access::default()
    }

    /// Rights in these namespaces only: nothing cluster-wide, no cluster-scoped resource.
    pub fn in_namespaces(namespaces: &[&str]) -> Self {
        let only = namespaces.iter().map(|ns| (*ns).to_owned()).collect();
        Access { denials: Vec::new(), only_namespaces: Some(only) }
    }

    /// The same less one right. `*` stands for every verb or resource (plural name, `pods/log` for logs); no
    /// namespace stands for everywhere, and takes the cluster-wide right with it.
    pub fn deny(mut self, verb: &str, resource: &str, namespace: Option<&str>) -> Self {
        self.denials.push(Denial {
            verb: verb.to_owned(),
            resource: resource.to_owned(),
            namespace: namespace.map(str::to_owned),
        });
        self
    }

    /// Whether it may be done; an empty namespace means cluster-wide.
    pub fn allows(&self, verb: &str, resource: &str, namespace: &str) -> bool {
        if let Some(only) = &self.only_namespaces
            && !only.iter().any(|ns| ns == namespace)
        {
            return false;
        }
        let hit = |pattern: &str, given: &str| pattern == "*" || pattern == given;
        !self.denials.iter().any(|denial| {
            hit(&denial.verb, verb)
                && hit(&denial.resource, resource)
                && denial.namespace.as_deref().is_none_or(|ns| ns == namespace)
        })
    }

    /// The same as a refusal, in the words of a real server.
    pub(super) fn check(
        &self,
        verb: &str,
        resource: &Resource,
        sub: &str,
        namespace: &str,
    ) -> Result<(), Failure> {
        let full =
            if sub.is_empty() { resource.plural.to_owned() } else { format!("{}/{sub}", resource.plural) };
        if self.allows(verb, &full, namespace) {
            return Ok(());
        }
        let scope = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{namespace}\"")
        };
        Err(Failure::new(
            403,
            "Forbidden",
            format!(
                "{} is forbidden: User \"system:serviceaccount:barrelman:barrelman\" cannot {verb} resource \
                 \"{full}\" in API group \"{}\" {scope}",
                resource.qualified(),
                resource.group
            ),
        ))
    }

    /// The answer to a `SelfSubjectAccessReview`.
    pub(super) fn review(&self, mut review: Value) -> Value {
        let of = |key: &str| {
            review.pointer(&format!("/spec/resourceAttributes/{key}")).and_then(Value::as_str).unwrap_or("")
        };
        let mut resource = of("resource").to_owned();
        if !of("subresource").is_empty() {
            resource = format!("{resource}/{}", of("subresource"));
        }
        let allowed = self.allows(of("verb"), &resource, of("namespace"));
        review["kind"] = json!("SelfSubjectAccessReview");
        review["apiVersion"] = json!("authorization.k8s.io/v1");
        review["status"] = json!({"allowed": allowed});
        review
    }

    /// The answer to a `SelfSubjectRulesReview`: one rule per resource with the verbs that are allowed.
    pub(super) fn rules(&self, mut review: Value, surface: &Surface) -> Value {
        let namespace =
            review.pointer("/spec/namespace").and_then(Value::as_str).unwrap_or("default").to_owned();
        let mut rules = Vec::new();
        for resource in surface.resources() {
            let verbs: Vec<&str> = ["get", "list", "watch"]
                .into_iter()
                .filter(|verb| self.allows(verb, resource.plural, &namespace))
                .collect();
            if !verbs.is_empty() {
                rules.push(
                    json!({"verbs": verbs, "apiGroups": [resource.group], "resources": [resource.plural]}),
                );
            }
        }
        review["kind"] = json!("SelfSubjectRulesReview");
        review["apiVersion"] = json!("authorization.k8s.io/v1");
        review["status"] = json!({"resourceRules": rules, "nonResourceRules": [], "incomplete": false});
        review
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_without_namespace_holds_everywhere_and_with_one_only_there() {
        let access = Access::full().deny("watch", "secrets", None).deny("*", "pods", Some("blog"));
        assert!(!access.allows("watch", "secrets", ""));
        assert!(!access.allows("watch", "secrets", "shop"));
        assert!(access.allows("list", "secrets", "shop"));
        assert!(!access.allows("get", "pods", "blog"));
        assert!(access.allows("get", "pods", "shop"));
        assert!(access.allows("list", "pods", ""));
    }

    #[test]
    fn rights_in_namespaces_give_nothing_cluster_wide() {
        let access = Access::in_namespaces(&["shop"]);
        assert!(access.allows("list", "pods", "shop"));
        assert!(!access.allows("list", "pods", ""));
        assert!(!access.allows("list", "nodes", ""));
        assert!(!access.allows("list", "pods", "blog"));
    }
}
