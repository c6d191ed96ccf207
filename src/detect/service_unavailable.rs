//! A Service has no ready endpoint.
//!
//! At once where its Pods failed; after 30 s where they were deleted, evicted or replaced, because then others are
//! on their way; after 2 min where it never had one. Never where its workload wants no Pod, or where somebody else
//! makes its endpoints. What it last had is remembered, so that a restart does not take an outage for a new Service.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Change, Condition, Context, Draft, Output, Verdict, endpoint_facts as endpoints};
use crate::{
    event::{EventType, Kind, ObjectRef},
    object::{self, Object, ObjectKey, Service},
};

/// Pods that were deleted are being replaced.
const REPLACED_SECS: u32 = 30;
/// A new Service waits for its first Pod.
const NEW_SECS: u32 = 120;
/// The Pods' own stream may be a moment behind that of the slices.
const UNDECIDED_SECS: u32 = 2;
/// So many of the Pods that were ready last are remembered.
const REMEMBERED: usize = 20;

/// See the module.
pub struct Rule;

/// What is remembered of a Service.
#[derive(Debug, Default, PartialEq)]
struct Known {
    /// Pods that were ready when any was.
    ready: Vec<String>,
    /// `Kind/name` of the workload behind, which has no Pods to be found by when it is scaled to none.
    workload: Option<(String, String)>,
    /// Since when there is none.
    since: Option<Timestamp>,
}

impl Condition for Rule {
    fn name(&self) -> &'static str {
        "service_unavailable"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::ServiceUnavailable]
    }
    fn kind(&self) -> Kind {
        Kind::Service
    }
    fn also_on(&self) -> &'static [Kind] {
        &[Kind::EndpointSlice, Kind::Pod, Kind::Deployment, Kind::StatefulSet]
    }
    fn also(&self, change: &Change, cx: &Context<'_>) -> Vec<ObjectKey> {
        let object = change.object();
        let namespace = &object.meta.namespace;
        if let Some(slice) = object.endpoint_slice() {
            let service = ObjectKey::new(Kind::Service, namespace, &slice.service);
            return if slice.service.is_empty() { Vec::new() } else { vec![service] };
        }
        let labels = match change.update() {
            Some((before, after)) if after.kind == Kind::Pod && fitness(before) != fitness(after) => {
                &after.meta.labels
            }
            Some((before, after)) if after.kind != Kind::Pod && wanted(before) != wanted(after) => {
                let Some(w) = after.workload() else { return Vec::new() };
                &w.selector
            }
            _ => return Vec::new(),
        };
        cx.world.services_selecting(namespace, labels).map(|o| o.key()).collect()
    }
    fn judge(&self, object: &Arc<Object>, cx: &Context<'_>, out: &mut Output) -> Verdict {
        let Some(service) = object.service() else { return Verdict::Unknown };
        if service.selector.is_empty() || service.service_type == "ExternalName" {
            return Verdict::healthy();
        }
        // With its namespace everything goes, the Pods first.
        let leaving =
            cx.world.find(Kind::Namespace, "", &object.meta.namespace).is_some_and(|n| n.is_terminating());
        if leaving
            || object.is_terminating()
            || !cx.memory.is_live(Kind::EndpointSlice, &object.meta.namespace)
        {
            return Verdict::Unknown;
        }
        let recalled = cx.memory.recall(self.name(), &object.meta.uid);
        let known = recalled.as_ref().map(Known::read).unwrap_or_default();
        let slices = endpoints::slices(cx.world, object);
        let (ready, total) = endpoints::ready(&slices);
        let behind = cx
            .world
            .workload_behind(&object.meta.namespace, service)
            .or_else(|| known.behind(&object.meta.namespace));
        let mut next = Known {
            ready: ready.iter().take(REMEMBERED).map(|n| (*n).to_owned()).collect(),
            workload: behind.as_ref().map(|w| (w.kind.clone(), w.name.clone())),
            since: None,
        };
        let wants_none = behind.as_ref().is_some_and(|w| endpoints::wants_none(cx.world, w));
        let verdict = if !ready.is_empty() || wants_none {
            Verdict::healthy()
        } else {
            next.ready.clone_from(&known.ready);
            let since = known.since.unwrap_or_else(|| began(object, &known, cx));
            next.since = Some(since);
            // Where its workload cannot be told from the Service, nothing calls when it is scaled to none.
            out.look_again.push(cx.now + jiff::SignedDuration::from_secs(300));
            let left = left(object, &known, since, cx);
            Verdict::one(
                draft(object, service, &left, (total, behind.as_ref()), cx).at(since),
                left.after_secs,
            )
        };
        if recalled.is_none() || next != known {
            out.remember(object.meta.uid.as_str(), next.write());
        }
        verdict
    }
}

impl Known {
    fn read(value: &Value) -> Self {
        let texts = |v: &Value| v.as_str().map(str::to_owned);
        let ready =
            value.get("ready").and_then(Value::as_array).map(|a| a.iter().filter_map(texts).collect());
        let workload = value.get("workload").and_then(Value::as_str).and_then(|w| w.split_once('/'));
        Self {
            ready: ready.unwrap_or_default(),
            workload: workload.map(|(kind, name)| (kind.to_owned(), name.to_owned())),
            since: value.get("since").and_then(Value::as_str).and_then(|t| t.parse().ok()),
        }
    }

    fn write(&self) -> Value {
        json!({
            "ready": self.ready,
            "workload": self.workload.as_ref().map(|(kind, name)| format!("{kind}/{name}")),
            "since": self.since.map(|t| t.to_string()),
        })
    }

    fn behind(&self, namespace: &str) -> Option<ObjectRef> {
        let (kind, name) = self.workload.clone()?;
        Some(ObjectRef { kind, namespace: namespace.to_owned(), name, uid: String::new() })
    }
}

/// What of a Pod can end an outage or explain one.
fn fitness(pod: &Object) -> (bool, bool) {
    (pod.pod().is_some_and(object::Pod::is_ready), pod.is_terminating())
}

fn wanted(workload: &Object) -> Option<u32> {
    workload.workload().map(|w| w.replicas)
}

/// When the last endpoint went, or for a Service that never had one, when it was created. One that has just been
/// scaled up from none waits for its first Pod from now on.
fn began(object: &Object, known: &Known, cx: &Context<'_>) -> Timestamp {
    let slices = cx.world.in_namespace(Kind::EndpointSlice, &object.meta.namespace);
    let written = slices
        .filter(|o| o.endpoint_slice().is_some_and(|s| s.service == object.meta.name))
        .filter_map(|o| o.meta.managed_at)
        .max();
    let was_off = cx.memory.recall("service_unavailable", &object.meta.uid).is_some();
    match (known.ready.is_empty(), was_off) {
        (false, _) => written.unwrap_or(cx.now).min(cx.now),
        (true, true) => cx.now,
        // At the first sight of an old one, the last change of its endpoints is as far back as anybody can tell.
        (true, false) => written.max(object.meta.created_at).unwrap_or(cx.now).min(cx.now),
    }
}

/// How the Pods that were ready last left.
struct Left {
    after_secs: u32,
    how: &'static str,
    failed: Vec<String>,
}

fn left(object: &Object, known: &Known, since: Timestamp, cx: &Context<'_>) -> Left {
    let none = |after_secs, how| Left { after_secs, how, failed: Vec::new() };
    if known.ready.is_empty() {
        return none(NEW_SECS, "never_ready");
    }
    let (mut failed, mut ready) = (Vec::new(), false);
    for name in &known.ready {
        let found = cx.world.find(Kind::Pod, &object.meta.namespace, name);
        // A StatefulSet's new Pod has the old one's name.
        let same = found.filter(|pod| pod.meta.created_at.is_none_or(|at| at < since));
        let Some((pod, body)) = same.and_then(|pod| Some((pod, pod.pod()?))) else { continue };
        if pod.is_terminating()
            || body.condition("DisruptionTarget").is_some_and(|c| c.reason == "EvictionByEvictionAPI")
        {
            continue;
        }
        if body.is_ready() {
            ready = true;
            continue;
        }
        let waiting = body.containers.iter().map(object::Container::waiting_reason).find(|r| !r.is_empty());
        failed.push(format!("{name}: {}", waiting.unwrap_or("not ready")));
    }
    match (failed.is_empty(), ready) {
        (false, _) => Left { after_secs: 0, how: "failed", failed },
        (true, true) => none(UNDECIDED_SECS, "unknown"),
        (true, false) => none(REPLACED_SECS, "deleted"),
    }
}

fn draft(
    object: &Arc<Object>,
    service: &Service,
    left: &Left,
    (total, behind): (usize, Option<&ObjectRef>),
    cx: &Context<'_>,
) -> Draft {
    let (name, namespace) = (&object.meta.name, &object.meta.namespace);
    let selector: Vec<String> = service.selector.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let selector = selector.join(",");
    let matching = cx.world.pods_matching(namespace, &service.selector).count();
    let mut why = match left.how {
        // Where there are none, none can become ready.
        "never_ready" if matching == 0 => "",
        "never_ready" => "None of its pods has become ready.",
        "deleted" => "Its pods were deleted and no other has become ready.",
        "failed" => "Its pods are not ready any more.",
        _ => "Its selector finds no ready pod any more.",
    }
    .to_owned();
    if matching == 0 {
        let between = if why.is_empty() { "" } else { " " };
        why = format!("{why}{between}No pod matches its selector.");
    } else if let Some(first) = left.failed.first() {
        why = format!("{why} {first}");
    }
    Draft::new(EventType::ServiceUnavailable, object, format!("Service {name} has no ready endpoint"))
        .description(why)
        .detail("ready", 0)
        .detail("total", total)
        .detail("pods_matching", matching)
        .detail("selector", selector.as_str())
        .detail("workload", behind.map(ObjectRef::resource))
        .detail("cause", left.how)
        .detail("pods", (!left.failed.is_empty()).then(|| left.failed.clone()))
        .recommend(
            "Look at the pods behind it",
            format!("kubectl get pods -n {namespace} -l {selector} -o wide"),
        )
        .recommend(
            "Look at its endpoints",
            format!("kubectl get endpointslices -n {namespace} -l kubernetes.io/service-name={name}"),
        )
}
