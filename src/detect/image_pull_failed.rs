//! image_pull_failed: a container's image cannot be pulled.

use std::sync::Arc;

use super::{Condition, Context, Draft, Finding, Output, Verdict, pod_facts};
use crate::{
    event::{EventType, Kind},
    object::{Container, Object},
};

/// The kubelet's reasons: they alternate (a try, then the back-off).
const REASONS: &[&str] = &[
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
];
/// Seen between two tries: no evidence of a success.
const BETWEEN: &[&str] = &["ContainerCreating", "PodInitializing"];

/// The rule.
pub struct Rule;

impl Condition for Rule {
    fn name(&self) -> &'static str {
        "image_pull_failed"
    }

    fn types(&self) -> &'static [EventType] {
        &[EventType::ImagePullFailed]
    }

    fn kind(&self) -> Kind {
        Kind::Pod
    }

    fn judge(&self, object: &Arc<Object>, cx: &Context<'_>, _out: &mut Output) -> Verdict {
        let Some(pod) = object.pod() else { return Verdict::healthy() };
        if object.is_terminating() {
            return Verdict::Unknown;
        }
        if pod.is_finished() {
            return Verdict::healthy();
        }
        Verdict::Known(pod.containers.iter().filter_map(|c| look(object, c, cx)).collect())
    }
}

fn look(object: &Arc<Object>, container: &Container, cx: &Context<'_>) -> Option<Finding> {
    let fails = pod_facts::waits(container, REASONS);
    if !fails && !pod_facts::waits(container, BETWEEN) {
        return None;
    }
    let since = pod_facts::firing_since(object, cx, EventType::ImagePullFailed, &container.name);
    if !fails && since.is_none() {
        return None;
    }
    let name = &object.meta.name;
    let why = why(object, container, cx);
    let image = &container.image;
    let title = format!("Pod {name} cannot pull image {image}");
    let title = if title.len() > 150 { format!("Pod {name} cannot pull an image") } else { title };
    let draft = pod_facts::draft(EventType::ImagePullFailed, object, title);
    let draft = pod_facts::container(draft, container)
        .at_or(since, cx.now)
        .stands_since(pod_facts::not_ready_since(object))
        .discriminator(container.name.as_str())
        .description(why.clone())
        .detail("reason", container.waiting_reason())
        .detail("message", pod_facts::waiting_message(container))
        .detail("last_error", why);
    // Between two tries there is nothing new to say.
    let draft = if fails { draft } else { draft.description("") };
    Some(Finding { draft: commands(draft), after_secs: 0 })
}

/// The kubelet's own words. In the back-off they may lack the cause: then the newest failure's Event has it.
fn why(object: &Object, container: &Container, cx: &Context<'_>) -> String {
    let message = pod_facts::waiting_message(container);
    let has_cause = container.waiting_reason() != "ImagePullBackOff" || message.contains(": ");
    if has_cause && !message.is_empty() {
        return message.to_owned();
    }
    let said = pod_facts::newest_event(object, cx, |e| {
        e.reason == "Failed"
            && e.message.starts_with("Failed to pull image")
            && (e.field_path.is_empty() || e.field_path.contains(&format!("{{{}}}", container.name)))
    });
    match said {
        Some(event) => event.message.to_string(),
        None if message.is_empty() => format!("{}: {}", container.waiting_reason(), container.image),
        None => message.to_owned(),
    }
}

fn commands(draft: Draft) -> Draft {
    let meta = &draft.object.meta;
    let (name, namespace) = (meta.name.clone(), meta.namespace.clone());
    pod_facts::look(draft).recommend(
        "See which pull secrets it uses",
        format!("kubectl get pod {name} -n {namespace} -o jsonpath='{{.spec.imagePullSecrets}}'"),
    )
}
