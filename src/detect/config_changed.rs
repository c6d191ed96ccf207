//! Keys of a ConfigMap or Secret were added, removed or modified, or the whole came or went. Values are never seen:
//! a keyed hash says that they differ.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{Change, Context, Draft, Moment, Output, workload_facts as facts};
use crate::{
    event::{EventType, Kind},
    object::{ConfigData, ConfigRefKind, Object},
};

/// Written all the time, or into every namespace, by machines for machines.
const NOISE_NAMES: &[&str] = &[
    "kube-root-ca.crt",
    "openshift-service-ca.crt",
    "istio-ca-root-cert",
    "cluster-autoscaler-status",
    "cluster-kubestore",
    "gke-common-webhook-heartbeat",
];
/// Types of Secrets that belong to others: tokens come and go by themselves, Helm's have a rule of their own.
const NOISE_TYPES: &[&str] =
    &["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token", "helm.sh/release.v1"];
/// Held by whoever leads, and renewed every few seconds.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// A second of the server's, and what it takes to hear of it.
const TICK: SignedDuration = SignedDuration::from_secs(2);
/// So many names of keys are listed, of each sort.
const LISTED: usize = 50;

/// See the module.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "config_changed"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::ConfigChanged]
    }
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::ConfigMap, Kind::Secret]
    }
    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        if change.before.iter().chain(&change.after).any(|o| is_noise(o)) {
            return;
        }
        if let Some(gone) = change.deleted() {
            let draft = draft(gone, "deleted", &Keys::default(), cx);
            out.tell(facts::at_deletion(draft, cx.now));
        }
        if let Some(new) = change.created() {
            let keys = Keys::between(&ConfigData::default(), new.config());
            let mut draft = draft(new, "created", &keys, cx);
            if !new.meta.spec_manager.is_empty() {
                draft = draft.detail("field_manager", new.meta.spec_manager.as_str());
            }
            out.tell(facts::at_creation(draft, cx.now));
        }
        let (Some((before, after)), Some(object)) = (change.update(), &change.after) else { return };
        let Some(was) = before.config() else { return };
        let keys = Keys::between(was, after.config());
        if !keys.is_empty() && !object.is_terminating() {
            let draft = facts::spec_change(draft(object, "modified", &keys, cx), before, cx.now);
            out.tell(within_a_second(draft, before, cx.now));
        }
    }
}

/// The server's times are in whole seconds: of two changes within one, the second has the time of the first, and is
/// taken for one that nobody noted. Another manager's would have left an entry of its own.
fn within_a_second(mut draft: Draft, before: &Object, now: Timestamp) -> Draft {
    let (was, is) = (&before.meta, &draft.object.meta);
    let same = is.spec_managed_at == was.spec_managed_at;
    if same && is.spec_managed_at.is_some_and(|at| now.duration_since(at) < TICK) {
        let manager = is.spec_manager.to_string();
        draft = draft.detail("field_manager", manager);
    }
    draft
}

fn is_noise(object: &Object) -> bool {
    let secret_type = object.config().map_or("", |c| c.secret_type.as_str());
    NOISE_NAMES.contains(&object.meta.name.as_str())
        || NOISE_TYPES.contains(&secret_type)
        || object.meta.annotation(LEADER).is_some()
}

/// Names of keys, by what happened to them.
#[derive(Default)]
struct Keys {
    added: Vec<String>,
    removed: Vec<String>,
    modified: Vec<String>,
}

impl Keys {
    fn between(was: &ConfigData, is: Option<&ConfigData>) -> Self {
        let mut keys = Self::default();
        let Some(is) = is else { return keys };
        for (key, hash) in &is.keys {
            match was.keys.get(key) {
                None => keys.added.push(key.to_string()),
                Some(old) if old != hash => keys.modified.push(key.to_string()),
                Some(_) => {}
            }
        }
        keys.removed =
            was.keys.keys().filter(|k| !is.keys.contains_key(*k)).map(ToString::to_string).collect();
        keys
    }

    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.modified.is_empty()
    }

    /// `modified a, b; added c`
    fn words(&self) -> String {
        let part = |word: &str, keys: &[String]| {
            (!keys.is_empty()).then(|| format!("{word} {}", shorten(keys).join(", ")))
        };
        let parts =
            [part("modified", &self.modified), part("added", &self.added), part("removed", &self.removed)];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

/// The first few, and how many more.
fn counted(keys: usize) -> String {
    if keys == 1 { "1 key".into() } else { format!("{keys} keys") }
}

fn shorten(keys: &[String]) -> Vec<String> {
    let mut few: Vec<String> = keys.iter().take(3).cloned().collect();
    if keys.len() > few.len() {
        few.push(format!("{} more", keys.len() - few.len()));
    }
    few
}

fn draft(object: &Arc<Object>, action: &'static str, keys: &Keys, cx: &Context<'_>) -> Draft {
    let kind = if object.kind == Kind::Secret { ConfigRefKind::Secret } else { ConfigRefKind::ConfigMap };
    let readers = facts::resources(&cx.world.readers(kind, &object.meta.namespace, &object.meta.name));
    let read_by = match readers.as_slice() {
        [] => "No workload that we watch reads it.".to_owned(),
        readers => format!("Read by {}.", readers.join(", ")),
    };
    let list =
        |keys: &[String]| (!keys.is_empty()).then(|| keys.iter().take(LISTED).cloned().collect::<Vec<_>>());
    let mut title = format!("{} {action}", facts::title_of(object));
    let mut description = read_by;
    if action == "modified" {
        title = format!("{} changed: {}", facts::title_of(object), keys.words());
        if title.chars().count() > 120 {
            let n = keys.modified.len() + keys.added.len() + keys.removed.len();
            title = format!("{} changed: {}", facts::title_of(object), counted(n));
        }
    } else if !keys.added.is_empty() {
        description = format!("{}. {description}", counted(keys.added.len()));
    }
    Draft::new(EventType::ConfigChanged, object, title)
        .description(description)
        .detail("action", action)
        .detail("added", list(&keys.added))
        .detail("removed", list(&keys.removed))
        .detail("modified", list(&keys.modified))
        .detail("secret_type", object.config().map_or("", |c| c.secret_type.as_str()))
        .detail("readers", (!readers.is_empty()).then_some(readers))
}
