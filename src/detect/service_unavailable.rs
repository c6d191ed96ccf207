//! A Service has no ready endpoint.
//!
//! At once where its Pods failed, but after 5 s where their containers crashed: what comes of that is known by then,
//! and a crash loop speaks for itself; after 30 s where they were deleted, evicted or replaced, because then others are
//! on their way; after 2 min where it never had one. Never where its workloads want no Pod, or where somebody else
//! makes its endpoints; nor where its Pods are gone and what made them cannot be seen. What it last had is remembered,
//! so that a restart does not take an outage for a new Service.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Change, Condition, Context, Draft, Output, Verdict,
    endpoint_facts::{self as endpoints, Wanted},
    pod_facts,
};
use crate::{
    event::{EventType, Kind, ObjectRef},
    object::{self, Object, ObjectKey, Service},
};

/// Pods that were deleted are being replaced.
const REPLACED_SECS: u32 = 30;
/// A new Service waits for its first Pod.
const NEW_SECS: u32 = 120;
/// A container that crashed is started again at once, and waits when it crashes for the second time.
const CRASHED_SECS: u32 = 5;
/// The Pods' own stream may be a moment behind that of the slices.
const UNDECIDED_SECS: u32 = 2;

/// See the module.
pub struct Rule;

/// What is remembered of a Service.
#[derive(Debug, Default, PartialEq)]
struct Known {
    /// Pods that were ready when any was.
    ready: Vec<String>,
    /// `Kind/name` of what wants its Pods: they are not there to be asked when it is scaled to none.
    wanting: BTreeSet<(String, String)>,
    /// Since when there is none.
    since: Option<Timestamp>,
    /// How those that were ready last left, once that was known: while they come back nothing new is known of it.
    left: Option<(String, Vec<String>)>,
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
        &[Kind::EndpointSlice, Kind::Pod, Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet]
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
            Some((before, after)) if after.kind != Kind::Pod && replicas(before) != replicas(after) => {
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
        let namespace = &object.meta.namespace;
        let mut next = Known {
            ready: ready.iter().take(endpoints::SOME).map(|n| (*n).to_owned()).collect(),
            wanting: wanting(object, service, &ready, cx),
            since: None,
            left: None,
        };
        if next.wanting.is_empty() {
            next.wanting.clone_from(&known.wanting);
        }
        let verdict = if !ready.is_empty() || next.wanted(namespace, cx) == Wanted::No {
            Verdict::healthy()
        } else {
            next.ready.clone_from(&known.ready);
            let since = known.since.unwrap_or_else(|| began(object, &known, cx));
            next.since = Some(since);
            // Where its workload cannot be told from the Service, nothing calls when it is scaled to none.
            out.look_again.push(cx.now + jiff::SignedDuration::from_secs(300));
            let stays = |p: &&Arc<Object>| !p.is_terminating() && p.pod().is_some_and(|p| !p.is_finished());
            let any = cx.world.pods_matching(namespace, &service.selector).any(|p| stays(&p));
            if !any && next.wanted(namespace, cx) == Wanted::Unseen {
                Verdict::Unknown
            } else {
                let behind = cx.world.workload_behind(namespace, service).or_else(|| next.only(namespace));
                let left = left(object, &known, since, cx);
                if left.how != UNDECIDED {
                    next.left = Some((left.how.to_owned(), left.failed.clone()));
                }
                let left = left.or_known(&mut next, known.left.as_ref());
                Verdict::one(
                    draft(object, service, &left, (total, behind.as_ref()), cx).at(since),
                    left.after_secs,
                )
            }
        };
        if recalled.is_none() || next != known {
            out.remember(object.meta.uid.as_str(), next.write());
        }
        verdict
    }
}

/// What wants the Pods behind it: those of its endpoints, where none is ready all that it selects.
fn wanting(
    object: &Object,
    service: &Service,
    ready: &BTreeSet<&str>,
    cx: &Context<'_>,
) -> BTreeSet<(String, String)> {
    let (world, namespace) = (cx.world, &object.meta.namespace);
    let name = |owner: ObjectRef| (owner.kind, owner.name);
    if !ready.is_empty() {
        let pods = endpoints::some_pods(world, namespace, ready.iter().copied());
        return pods.map(|pod| name(world.wanted_by(pod))).collect();
    }
    let lives = |p: &&Arc<Object>| p.pod().is_some_and(|p| !p.is_finished());
    let pods = world.pods_matching(namespace, &service.selector).filter(lives);
    let mut found: BTreeSet<_> = pods.map(|pod| name(world.wanted_by(pod))).collect();
    if found.is_empty() {
        found = world.workloads_selected(namespace, service).map(|o| name(o.reference())).collect();
    }
    found
}

impl Known {
    fn read(value: &Value) -> Self {
        let all = |key: &str| {
            value.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
        };
        let pair = |text: &str| text.split_once('/').map(|(kind, name)| (kind.to_owned(), name.to_owned()));
        Self {
            ready: all("ready").map(str::to_owned).collect(),
            wanting: all("wanting").filter_map(pair).collect(),
            since: value.get("since").and_then(Value::as_str).and_then(|t| t.parse().ok()),
            left: value.get("left").and_then(|left| serde_json::from_value(left.clone()).ok()),
        }
    }

    fn write(&self) -> Value {
        let wanting: Vec<String> = self.wanting.iter().map(|(kind, name)| format!("{kind}/{name}")).collect();
        let since = self.since.map(|t| t.to_string());
        json!({"ready": self.ready, "wanting": wanting, "since": since, "left": self.left})
    }

    fn wanted(&self, namespace: &str, cx: &Context<'_>) -> Wanted {
        let owners: Vec<ObjectRef> = self.wanting.iter().map(|of| reference(of, namespace)).collect();
        endpoints::wanted(&owners, cx)
    }

    fn only(&self, namespace: &str) -> Option<ObjectRef> {
        self.wanting.first().filter(|_| self.wanting.len() == 1).map(|of| reference(of, namespace))
    }
}

fn reference((kind, name): &(String, String), namespace: &str) -> ObjectRef {
    ObjectRef { kind: kind.clone(), namespace: namespace.to_owned(), name: name.clone(), uid: String::new() }
}

/// What of a Pod can end an outage or explain one.
fn fitness(pod: &Object) -> (bool, bool) {
    (pod.pod().is_some_and(object::Pod::is_ready), pod.is_terminating())
}

fn replicas(workload: &Object) -> Option<u32> {
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

/// Its Pods are ready, and no endpoint is.
const UNDECIDED: &str = "unknown";

/// How the Pods that were ready last left.
struct Left {
    after_secs: u32,
    how: &'static str,
    failed: Vec<String>,
    /// The first container of them that crashed: its Pod and its name.
    crashed: Option<(String, String)>,
}

impl Left {
    /// Where they are on their way back it is as it was known to be.
    fn or_known(self, next: &mut Known, known: Option<&(String, Vec<String>)>) -> Self {
        let hows = ["failed", "deleted", "never_ready"];
        let how = known.and_then(|(how, _)| hows.into_iter().find(|h| h == how));
        let (Some(how), Some((_, failed)), UNDECIDED) = (how, known, self.how) else { return self };
        next.left = known.cloned();
        Self { how, failed: failed.clone(), ..self }
    }
}

/// A container of a Pod that is down, or was started again since shortly before then, because it ended with an error.
fn crash(pod: &object::Pod, since: Timestamp) -> Option<(&object::Container, &object::Terminated)> {
    pod.containers.iter().find_map(|c| {
        let end = match &c.state {
            Some(object::ContainerState::Terminated(end)) => Some(&**end),
            _ => c.last.as_deref(),
        };
        let lately = |end: &&object::Terminated| {
            end.finished_at.is_some_and(|at| at >= since - jiff::SignedDuration::from_secs(30))
        };
        end.filter(|end| end.exit_code != 0).filter(lately).map(|end| (c, end))
    })
}

fn left(object: &Object, known: &Known, since: Timestamp, cx: &Context<'_>) -> Left {
    let none = |after_secs, how| Left { after_secs, how, failed: Vec::new(), crashed: None };
    if known.ready.is_empty() {
        return none(NEW_SECS, "never_ready");
    }
    let (mut failed, mut ready) = (Vec::new(), false);
    let (mut crashed, mut all_crashed) = (None, true);
    for name in &known.ready {
        let found = cx.world.find(Kind::Pod, &object.meta.namespace, name);
        // A StatefulSet's new Pod has the old one's name.
        let same = found.filter(|pod| pod.meta.created_at.is_none_or(|at| at < since));
        let Some((pod, body)) = same.and_then(|pod| Some((pod, pod.pod()?))) else { continue };
        // One that has done its work left in peace.
        if body.phase == "Succeeded"
            || pod.is_terminating()
            || body.condition("DisruptionTarget").is_some_and(|c| c.reason == "EvictionByEvictionAPI")
        {
            continue;
        }
        if body.is_ready() {
            ready = true;
            continue;
        }
        let waiting = body.containers.iter().map(object::Container::waiting_reason).find(|r| !r.is_empty());
        let crash = crash(body, since);
        all_crashed &= crash.is_some();
        let why = match crash {
            Some((container, end)) => {
                crashed.get_or_insert_with(|| (name.clone(), container.name.to_string()));
                format!("container {} ended with {}", container.name, pod_facts::exit(end.exit_code))
            }
            None => waiting.unwrap_or("not ready").to_owned(),
        };
        failed.push(format!("{name}: {why}"));
    }
    match (failed.is_empty(), ready) {
        (false, _) => {
            let after_secs = if all_crashed { CRASHED_SECS } else { 0 };
            Left { after_secs, how: "failed", failed, crashed }
        }
        (true, true) => none(UNDECIDED_SECS, UNDECIDED),
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
    let draft =
        Draft::new(EventType::ServiceUnavailable, object, format!("Service {name} has no ready endpoint"))
            .description(why)
            .detail("ready", 0)
            .detail("total", total)
            .detail("pods_matching", matching)
            .detail("selector", selector.as_str())
            .detail("workload", behind.map(ObjectRef::resource))
            .detail("cause", left.how)
            .detail("pods", (!left.failed.is_empty()).then(|| left.failed.clone()));
    let draft = match &left.crashed {
        Some((pod, container)) => draft.recommend(
            "Check the logs of the container that died",
            format!("kubectl logs {pod} -n {namespace} -c {container} --previous"),
        ),
        None => draft,
    };
    draft
        .recommend(
            "Look at the pods behind it",
            format!("kubectl get pods -n {namespace} -l {selector} -o wide"),
        )
        .recommend(
            "Look at its endpoints",
            format!("kubectl get endpointslices -n {namespace} -l kubernetes.io/service-name={name}"),
        )
}
