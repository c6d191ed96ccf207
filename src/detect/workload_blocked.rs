//! A workload cannot create its Pods: quota, admission, Pod Security, a missing ServiceAccount.
//!
//! A ReplicaSet says so in its condition ReplicaFailure. StatefulSets, DaemonSets and Jobs have no such condition:
//! there the controller's Kubernetes Event stands for it, for as long as Pods are missing and none came after it, also
//! when the Event itself is forgotten.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Change, Condition, Context, Draft, Output, Verdict, workload_facts as facts};
use crate::{
    event::{EventType, Kind},
    object::{Object, ObjectKey},
};

/// A quota that is freed, or a ServiceAccount that is made, with the workload heals at the controller's next try, and
/// an apply of several objects in the wrong order is no trouble.
const AFTER_SECS: u32 = 5;
/// The controllers' slowest retry is 1,000 s: what they have not said for longer is not known any more.
const EVENT_HOLDS_SECS: i64 = 1_800;

/// Judges one kind: registered once for each.
pub struct Rule(pub Kind);

struct Blocked {
    since: Timestamp,
    message: String,
    wanted: u32,
    current: u32,
}

impl Condition for Rule {
    fn name(&self) -> &'static str {
        "workload_blocked"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::WorkloadBlocked]
    }
    fn kind(&self) -> Kind {
        self.0
    }
    fn also_on(&self) -> &'static [Kind] {
        if self.0 == Kind::ReplicaSet { &[] } else { &[Kind::Event] }
    }
    fn also(&self, change: &Change, cx: &Context<'_>) -> Vec<ObjectKey> {
        let event = change.after.as_ref().and_then(|o| o.kube_event()).filter(|e| is_refusal(e));
        let about = event.and_then(|e| cx.world.resolve(&e.about(&change.key.namespace)));
        about.filter(|o| o.kind == self.0).map(|o| o.key()).into_iter().collect()
    }
    fn judge(&self, object: &Arc<Object>, cx: &Context<'_>, out: &mut Output) -> Verdict {
        if object.is_terminating() || namespace_goes(object, cx) {
            return Verdict::Unknown;
        }
        if object.kind == Kind::ReplicaSet {
            return by_condition(object, cx);
        }
        self.by_event(object, cx, out)
    }
}

fn by_condition(object: &Arc<Object>, cx: &Context<'_>) -> Verdict {
    let Some(w) = object.workload() else { return Verdict::Unknown };
    let failure = w.condition("ReplicaFailure").filter(|c| c.is_true() && c.reason == "FailedCreate");
    // The last failed try may be remembered although every Pod is there by now.
    let Some(failure) = failure.filter(|_| w.current < w.replicas) else { return Verdict::healthy() };
    let blocked = Blocked {
        since: failure.since.unwrap_or(cx.now),
        message: failure.message.to_string(),
        wanted: w.replicas,
        current: w.current,
    };
    Verdict::one(draft(object, &blocked, cx), AFTER_SECS)
}

impl Rule {
    fn by_event(&self, object: &Arc<Object>, cx: &Context<'_>, out: &mut Output) -> Verdict {
        let uid = object.meta.uid.as_str();
        let recalled = cx.memory.recall(self.name(), uid);
        let known = recalled.as_ref().and_then(Known::read);
        let healthy = |out: &mut Output| {
            if recalled.is_some() {
                out.forget(uid);
            }
            Verdict::healthy()
        };
        let Some((wanted, current)) = wanted(object) else { return Verdict::Unknown };
        if current >= wanted {
            return healthy(out);
        }
        if !cx.memory.is_live(Kind::Event, &object.meta.namespace) {
            return Verdict::Unknown;
        }
        let event = facts::newest_event(cx.world, object, is_refusal);
        let told = event.map(|e| e.last.unwrap_or(cx.now));
        let Some(last) = told.max(known.map(|k| k.last)) else { return healthy(out) };
        let created_since = cx
            .world
            .children(uid, &object.meta.namespace)
            .any(|o| o.kind == Kind::Pod && o.meta.created_at > Some(last));
        if created_since {
            return healthy(out);
        }
        // Events are forgotten after an hour: that says nothing of what they spoke of.
        let Some(event) = event else { return Verdict::Unknown };
        if cx.now.duration_since(last) > SignedDuration::from_secs(EVENT_HOLDS_SECS) {
            return Verdict::Unknown;
        }
        let next = Known { since: known.map_or(last, |k| k.since), last };
        if known != Some(next) {
            out.remember(uid, json!({ "since": next.since.to_string(), "last": next.last.to_string() }));
        }
        let blocked = Blocked { since: next.since, message: event.message.to_string(), wanted, current };
        Verdict::one(draft(object, &blocked, cx), AFTER_SECS)
    }
}

/// When the first and the newest refusal was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    since: Timestamp,
    last: Timestamp,
}

impl Known {
    fn read(row: &Value) -> Option<Self> {
        let time = |key: &str| row.get(key)?.as_str()?.parse().ok();
        Some(Self { since: time("since")?, last: time("last")? })
    }
}

fn is_refusal(event: &crate::object::KubeEvent) -> bool {
    event.warning && event.reason == "FailedCreate"
}

/// How many Pods there should be and are; `None` where the status says nothing yet.
fn wanted(object: &Object) -> Option<(u32, u32)> {
    if let Some(w) = object.workload() {
        return Some((w.replicas, w.current));
    }
    let job = object.job()?;
    let over = ["Complete", "Failed", "SuccessCriteriaMet", "FailureTarget"];
    if job.suspended || over.iter().any(|c| job.condition(c).is_some_and(crate::object::Condition::is_true)) {
        return Some((0, 0));
    }
    let parallelism = job.parallelism.unwrap_or(1);
    let left = job.completions.map_or(parallelism, |all| all.saturating_sub(job.succeeded));
    Some((parallelism.min(left), job.active))
}

/// In a Namespace that is being deleted nothing may be created, and that is right.
fn namespace_goes(object: &Object, cx: &Context<'_>) -> bool {
    cx.world.find(Kind::Namespace, "", &object.meta.namespace).is_some_and(|n| n.is_terminating())
}

fn draft(object: &Arc<Object>, blocked: &Blocked, cx: &Context<'_>) -> Draft {
    let namespace = &object.meta.namespace;
    let (cause, action, command) = cause(&blocked.message, namespace);
    Draft::new(
        EventType::WorkloadBlocked,
        object,
        format!(
            "{} cannot create its pods: {} of {} there",
            facts::subject_title(object, cx),
            blocked.current,
            blocked.wanted
        ),
    )
    .at(blocked.since)
    .description(blocked.message.as_str())
    .detail("reason", "FailedCreate")
    .detail("cause", cause)
    .detail("message", blocked.message.as_str())
    .detail("wanted", blocked.wanted)
    .detail("current", blocked.current)
    .recommend(action, command)
    .recommend("See what its controller says", facts::kubectl("describe", object))
}

/// Who refuses, by the words of the API server, and where to look.
fn cause(message: &str, namespace: &str) -> (&'static str, &'static str, String) {
    let is = |words: &[&str]| words.iter().any(|w| message.contains(w));
    if is(&["exceeded quota", "failed quota"]) {
        return ("quota", "Compare the quota with its use", format!("kubectl describe quota -n {namespace}"));
    }
    if is(&["violates PodSecurity"]) {
        let command = format!("kubectl get namespace {namespace} --show-labels");
        return ("pod_security", "See which Pod Security level the namespace enforces", command);
    }
    if is(&["service account", "serviceaccount"]) {
        let command = format!("kubectl get serviceaccounts -n {namespace}");
        return ("service_account", "See which ServiceAccounts there are", command);
    }
    if is(&["admission webhook", "failed calling webhook"]) {
        let command = "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations";
        return ("admission_webhook", "See which webhooks there are", command.to_owned());
    }
    if is(&["limits.", "maximum cpu", "maximum memory", "minimum cpu", "minimum memory", "LimitRange"]) {
        let command = format!("kubectl describe limitrange -n {namespace}");
        return ("limit_range", "See the limits of the namespace", command);
    }
    ("other", "Read what was refused", format!("kubectl events -n {namespace} --types=Warning"))
}
