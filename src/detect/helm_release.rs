//! Helm releases, as told by the Secrets in which Helm keeps their revisions.
//!
//! Helm writes a revision as pending, then marks it deployed or failed, and the one before superseded. Told is the
//! outcome, once per revision; and the removal, when the last revision goes.

use std::sync::Arc;

use super::{Change, Context, Draft, Moment, Output, workload_facts as facts};
use crate::{
    event::{EventType, Kind, Severity},
    object::Object,
};

/// The type of Helm's Secrets.
const RELEASE: &str = "helm.sh/release.v1";

/// See the module.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "helm_release"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::HelmReleaseInstalled, EventType::HelmReleaseUpdated, EventType::HelmReleaseUninstalled]
    }
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Secret]
    }
    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        if let Some(gone) = change.deleted().filter(|o| is_release(o))
            && status(gone) != "uninstalled"
            && !has_revisions(gone, cx)
        {
            out.tell(facts::at_deletion(uninstalled(gone), cx.now));
        }
        let Some(object) = change.after.as_ref().filter(|o| is_release(o)) else { return };
        let before = change.update().map(|(before, _)| before);
        let was = before.map_or("", |before| status(before));
        // Helm writes the outcome with the fields of the beginning, and the server keeps the time of those.
        let at = |draft: Draft| match before {
            Some(before) => facts::spec_change(draft, before, cx.now),
            None => draft.spec_change(cx.now),
        };
        if was == status(object) {
            return;
        }
        match status(object) {
            // A revision becomes deployed again only through a new one.
            "deployed" | "failed" if was.is_empty() || was.starts_with("pending") => {
                out.tell(at(outcome(object)));
            }
            // `helm uninstall --keep-history`
            "uninstalled" => out.tell(at(uninstalled(object))),
            _ => {}
        }
    }
}

fn is_release(object: &Object) -> bool {
    object.config().is_some_and(|c| c.secret_type == RELEASE) && object.meta.label("name").is_some()
}

fn status(object: &Object) -> &str {
    object.meta.label("status").unwrap_or_default()
}

fn release(object: &Object) -> &str {
    object.meta.label("name").unwrap_or_default()
}

fn version(object: &Object) -> u64 {
    object.meta.label("version").and_then(|v| v.parse().ok()).unwrap_or_default()
}

fn revisions<'a>(object: &'a Object, cx: &Context<'a>) -> impl Iterator<Item = &'a Arc<Object>> {
    let of_it = move |o: &&Arc<Object>| is_release(o) && release(o) == release(object);
    cx.world.in_namespace(Kind::Secret, &object.meta.namespace).filter(of_it)
}

fn has_revisions(object: &Object, cx: &Context<'_>) -> bool {
    revisions(object, cx).next().is_some()
}

fn outcome(object: &Arc<Object>) -> Draft {
    let (name, version, failed) = (release(object), version(object), status(object) == "failed");
    let event_type =
        if version <= 1 { EventType::HelmReleaseInstalled } else { EventType::HelmReleaseUpdated };
    let title = match (version <= 1, failed) {
        (true, false) => format!("Helm release {name} installed"),
        (true, true) => format!("Helm release {name} failed to install"),
        (false, false) => format!("Helm release {name} updated to revision {version}"),
        (false, true) => format!("Helm release {name} failed to update to revision {version}"),
    };
    let draft = with_details(Draft::new(event_type, object, title), object);
    if failed { draft.severity(Severity::Medium) } else { draft }
}

fn uninstalled(object: &Arc<Object>) -> Draft {
    let title = format!("Helm release {} uninstalled", release(object));
    with_details(Draft::new(EventType::HelmReleaseUninstalled, object, title), object)
}

fn with_details(draft: Draft, object: &Object) -> Draft {
    draft
        .description(format!("Revision {}, status {}.", version(object), status(object)))
        .detail("release", release(object))
        .detail("version", version(object))
        .detail("status", status(object))
        .recommend(
            "List its revisions",
            format!(
                "kubectl get secrets -n {} -l owner=helm,name={} -L version,status",
                object.meta.namespace,
                release(object)
            ),
        )
}
