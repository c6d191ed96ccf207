//! What `check` asks of each cluster: is it reachable, as whom, with which rights, and is what the configuration
//! names there.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::{
    Clock,
    api::Api,
    connect::{self, Target},
    discovery,
    error::{Error, Fault, Result},
    resources::Resource,
    rights::{self, Extras, Rule},
    scope::Scope,
};
use crate::{
    config::{ClusterSettings, WatchSettings},
    event::Kind,
};

/// What was found out about one cluster.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Diagnosis {
    /// The configured name.
    pub cluster: String,
    /// The kubeconfig context; empty in a cluster.
    pub context: String,
    /// The server's URL; empty where not even that is known.
    pub server: String,
    /// The server's version.
    pub version: String,
    /// When the credentials end, if they say so.
    pub credentials_end: Option<Timestamp>,
    /// How many seconds the server's clock is ahead of ours, where that is worth a word.
    pub clock_ahead_secs: i64,
    /// Why nothing more could be found out, with a next step.
    pub problem: Option<Error>,
    /// As whom the server knows us, if it says so: `system:serviceaccount:barrelman:barrelman`.
    pub user: Option<String>,
    /// Rights that are missing, each with the missing verbs only.
    pub missing: Vec<Rule>,
    /// The same, of kinds that are watched only where that is permitted.
    pub optional: Vec<Rule>,
    /// The uid of its namespace kube-system.
    pub uid: Option<String>,
    /// That may not be read.
    pub unnamed: bool,
    /// Kinds that are switched on and that the server does not have.
    pub absent: Vec<Kind>,
    /// Configured namespaces that do not exist, globs that match none, and other things to know.
    pub remarks: Vec<String>,
}

impl Diagnosis {
    /// Whether everything that is configured will work.
    pub fn is_well(&self) -> bool {
        self.problem.is_none() && self.missing.is_empty() && self.remarks.is_empty()
    }
}

/// The longest that one cluster is asked.
const WITHIN: Duration = Duration::from_secs(20);

/// Asks every configured cluster, one after the other. Not `Send`: to be awaited with `block_on`.
pub async fn diagnose(
    clusters: &ClusterSettings,
    watch: &WatchSettings,
    extras: Extras,
    clock: Clock,
) -> Vec<Diagnosis> {
    let mut all = Vec::new();
    for target in connect::targets(clusters) {
        let mut found = Diagnosis {
            cluster: target.name.clone(),
            context: target.context.clone(),
            ..Diagnosis::default()
        };
        let asked = ask(clusters, &target, (watch, extras), clock, &mut found);
        let outcome = tokio::time::timeout(WITHIN, asked).await;
        found.problem = outcome.unwrap_or_else(|_| Err(Error::timed_out(&target.name, WITHIN))).err();
        all.push(found);
    }
    all
}

async fn ask(
    clusters: &ClusterSettings,
    target: &Target,
    (watch, extras): (&WatchSettings, Extras),
    clock: Clock,
    found: &mut Diagnosis,
) -> Result<()> {
    let mut access = connect::connect(clusters, target).await?;
    found.server.clone_from(&access.server);
    found.credentials_end = access.expires_at;
    let api = Api::new(access.client.clone(), std::mem::take(&mut access.hidden), Arc::default(), clock);
    let told = |e| connect::explain(e, &access, clock());
    found.version = discovery::version(&api).await.map_err(told)?.git;
    found.clock_ahead_secs = api.ahead().as_secs();
    // The version may be read by anybody; this may not, and so tells whether the server knows us.
    let resources = discovery::resources(&api, &watch.kinds).await.map_err(told)?;
    found.absent = watch.kinds.iter().filter(|k| !resources.contains_key(k)).copied().collect();
    for rule in rights::needed(watch, extras) {
        let absent = |kind: &Kind| Resource::newest(*kind).plural == rule.resource;
        if found.absent.iter().any(absent) {
            continue;
        }
        let kind = |kind: &Kind| Resource::newest(*kind).plural == rule.resource;
        let optional = rights::optional(watch).iter().any(kind);
        let refused = refused(&api, rule).await.map_err(told)?;
        if optional { found.optional.extend(refused) } else { found.missing.extend(refused) }
    }
    remark_on_names(&api, watch, found).await.map_err(told)?;
    match api.get(&Resource::newest(Kind::Namespace).object_path("", "kube-system")).await {
        Ok(json) => found.uid = uid(&json),
        Err(e) if e.fault == Fault::NotFound => {}
        Err(e) if e.fault == Fault::Forbidden => found.unnamed = true,
        Err(e) => return Err(told(e)),
    }
    found.user = user(&api).await;
    remark_on_namespaces(&api, watch, found).await
}

/// Globs need rights in the whole cluster. Without them the namespaces that are named are watched all the same: what is
/// permitted there is told, so that nobody thinks nothing is.
async fn remark_on_names(api: &Api, watch: &WatchSettings, found: &mut Diagnosis) -> Result<()> {
    let scope = Scope::new(&watch.namespaces);
    let wide: Vec<Rule> = found.missing.iter().filter(|r| r.namespace.is_none()).cloned().collect();
    let namespaced = |rule: &Rule| watch.kinds.iter().any(|k| k.namespaced() && k.plural() == rule.resource);
    let wide: Vec<Rule> = wide.into_iter().filter(namespaced).collect();
    if scope.globs().is_empty() || wide.is_empty() {
        return Ok(());
    }
    for name in scope.names() {
        let mut missing = Vec::new();
        for rule in &wide {
            let there = Rule { namespace: Some(name.to_string()), ..rule.clone() };
            missing.extend(refused(api, there).await?.map(|r| r.resource));
        }
        let remark = if missing.is_empty() {
            format!("in the namespace {name}, which is named, all of that is permitted, and watched")
        } else if missing.len() == wide.len() {
            format!("in the namespace {name} none of that is permitted either")
        } else {
            format!(
                "in the namespace {name}, which is named, all of that is permitted but {}",
                missing.join(", ")
            )
        };
        found.remarks.push(remark);
    }
    Ok(())
}

fn uid(namespace: &[u8]) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(namespace).ok()?;
    json.pointer("/metadata/uid")?.as_str().map(str::to_owned)
}

/// As whom the server knows us. Servers before 1.28 do not tell, and nothing depends on it but the text of a hint.
pub(super) async fn user(api: &Api) -> Option<String> {
    #[derive(Deserialize)]
    struct ReviewIn {
        status: StatusIn,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct StatusIn {
        user_info: UserIn,
    }
    #[derive(Deserialize)]
    struct UserIn {
        username: String,
    }
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let answer = api.post(path, review.to_string().into_bytes()).await.ok()?;
    let name = serde_json::from_slice::<ReviewIn>(&answer).ok()?.status.user_info.username;
    Some(crate::event::sanitize::clean_cut(&name, 256).into_owned())
}

/// What is missing of a rule: the same with the refused verbs only.
async fn refused(api: &Api, rule: Rule) -> Result<Option<Rule>> {
    let mut missing = Vec::new();
    for verb in &rule.verbs {
        if !allowed(api, &rule, verb).await? {
            missing.push(*verb);
        }
    }
    Ok((!missing.is_empty()).then_some(Rule { verbs: missing, ..rule }))
}

async fn allowed(api: &Api, rule: &Rule, verb: &str) -> Result<bool> {
    #[derive(Deserialize)]
    struct ReviewIn {
        status: StatusIn,
    }
    #[derive(Deserialize)]
    struct StatusIn {
        allowed: bool,
    }
    let (resource, subresource) = rule.resource.split_once('/').unwrap_or((&rule.resource, ""));
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "namespace": rule.namespace.as_deref().unwrap_or_default(),
            "verb": verb,
            "group": rule.group,
            "resource": resource,
            "subresource": subresource,
            "name": rule.name.unwrap_or_default(),
        }},
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let answer = api.post(path, review.to_string().into_bytes()).await?;
    let review: ReviewIn = serde_json::from_slice(&answer)
        .map_err(|e| Error::new(Fault::Nonsense, format!("the access review cannot be read: {e}")))?;
    Ok(review.status.allowed)
}

async fn remark_on_namespaces(api: &Api, watch: &WatchSettings, found: &mut Diagnosis) -> Result<()> {
    let scope = Scope::new(&watch.namespaces);
    for name in scope.names() {
        match api.get(&Resource::newest(Kind::Namespace).object_path("", name)).await {
            Err(e) if e.fault == Fault::NotFound => found.remarks.push(format!(
                "the namespace {name} does not exist; it is watched all the same, should it come"
            )),
            // Where everything is refused, a slip of the pen is as likely as a missing role.
            Err(e) if e.fault == Fault::Forbidden => {
                let there = found.missing.iter().filter(|r| r.namespace.as_deref() == Some(&**name));
                if there.count() >= watch.kinds.iter().filter(|k| k.namespaced()).count() {
                    found.remarks.push(format!(
                        "whether the namespace {name} exists may not be looked up: if nothing is permitted there, see \
                         whether its name is right"
                    ));
                }
            }
            Err(e) => return Err(e),
            _ => {}
        }
    }
    if scope.globs().is_empty() {
        return Ok(());
    }
    let names = match namespaces(api).await {
        Err(e) if e.fault == Fault::Forbidden => return Ok(()),
        names => names?,
    };
    for (pattern, glob) in scope.globs() {
        if !names.iter().any(|name| glob.matches(name)) {
            found.remarks.push(format!("no namespace matches {pattern} now; one that comes will be watched"));
        }
    }
    Ok(())
}

async fn namespaces(api: &Api) -> Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct ListIn {
        items: Vec<ItemIn>,
    }
    #[derive(Deserialize)]
    struct ItemIn {
        metadata: MetaIn,
    }
    #[derive(Deserialize)]
    struct MetaIn {
        name: String,
    }
    let answer = api.get(&Resource::newest(Kind::Namespace).path("")).await?;
    let list: ListIn = serde_json::from_slice(&answer)
        .map_err(|e| Error::new(Fault::Nonsense, format!("the list of namespaces cannot be read: {e}")))?;
    Ok(list.items.into_iter().map(|i| i.metadata.name).collect())
}
