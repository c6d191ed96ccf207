//! A workload has had fewer ready Pods than wanted for five minutes, outside a rollout.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Condition, Context, Draft, Output, Verdict, workload_facts as facts};
use crate::{
    event::{EventType, Kind},
    object::{self, Object, Workload},
};

/// So long may Pods be replaced without anybody being told.
const AFTER_SECS: u32 = 300;
/// StatefulSets and DaemonSets have no deadline for a rollout; a Deployment's default stands in. It counts from the
/// last progress.
const ROLLOUT_SECS: i64 = 600;

/// Judges one kind: registered once for each.
pub struct Rule(pub Kind);

/// What is remembered while Pods are missing.
struct Lack {
    since: Timestamp,
    progress: Timestamp,
}

impl Condition for Rule {
    fn name(&self) -> &'static str {
        "workload_degraded"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::WorkloadDegraded]
    }
    fn kind(&self) -> Kind {
        self.0
    }
    fn judge(&self, object: &Arc<Object>, cx: &Context<'_>, out: &mut Output) -> Verdict {
        let Some(w) = object.workload() else { return Verdict::Unknown };
        if object.is_terminating() {
            return Verdict::Unknown;
        }
        let uid = object.meta.uid.as_str();
        let recalled = cx.memory.recall(self.name(), uid);
        // A ReplicaSet of a Deployment is its Deployment's business.
        if w.ready >= w.replicas || (object.kind == Kind::ReplicaSet && facts::is_owned(object)) {
            if recalled.is_some() {
                out.forget(uid);
            }
            return Verdict::healthy();
        }
        let rolling = facts::in_rollout(object);
        if rolling && object.kind == Kind::Deployment {
            // rollout_stuck speaks for it; the five minutes begin anew when it is over.
            if recalled.is_some() {
                out.forget(uid);
            }
            return Verdict::Unknown;
        }
        let lack = self.lack(object, w, cx, out);
        let mut after = AFTER_SECS;
        if rolling {
            let patience = lack.progress.duration_since(lack.since).as_secs() + ROLLOUT_SECS;
            after = after.max(u32::try_from(patience).unwrap_or(u32::MAX));
        }
        Verdict::one(draft(object, w, cx).at(lack.since), after)
    }
}

impl Rule {
    fn lack(&self, object: &Object, w: &Workload, cx: &Context<'_>, out: &mut Output) -> Lack {
        let uid = object.meta.uid.as_str();
        let recalled = cx.memory.recall(self.name(), uid);
        let time = |key: &str| recalled.as_ref()?.get(key)?.as_str()?.parse::<Timestamp>().ok();
        let state = json!([w.ready, w.updated, w.template.hash]);
        let moved = recalled.as_ref().and_then(|v| v.get("state")) != Some(&state);
        let since = time("since").unwrap_or_else(|| began(object, cx));
        let progress = time("progress").filter(|_| !moved).unwrap_or(cx.now);
        if moved {
            let row = json!({ "since": since.to_string(), "progress": progress.to_string(), "state": state });
            out.remember(uid, row);
        }
        Lack { since, progress }
    }
}

/// When it began, at first sight: when the first of its unready Pods lost its readiness, else when the status was
/// written.
fn began(object: &Object, cx: &Context<'_>) -> Timestamp {
    let pods = cx.world.pods_below(&object.meta.uid, &object.meta.namespace);
    let unready = pods.iter().filter_map(|pod| {
        let ready = pod.pod()?.condition("Ready").filter(|c| !c.is_true())?;
        ready.since.filter(|_| !pod.is_terminating())
    });
    unready.min().or(object.meta.managed_at).unwrap_or(cx.now).min(cx.now)
}

fn draft(object: &Arc<Object>, w: &Workload, cx: &Context<'_>) -> Draft {
    let mut reasons: Vec<String> = cx
        .world
        .pods_below(&object.meta.uid, &object.meta.namespace)
        .iter()
        .filter(|pod| pod.pod().is_some_and(|p| !p.is_ready() && !p.is_finished()))
        .map(|pod| format!("{}: {}", pod.meta.name, why(pod)))
        .collect();
    reasons.sort();
    let unready = reasons.len();
    reasons.truncate(5);
    let description = match reasons.first() {
        Some(first) => format!("{} of {} pods are ready. {first}", w.ready, w.replicas),
        None => format!("{} of {} pods are ready; the others do not exist.", w.ready, w.replicas),
    };
    Draft::new(
        EventType::WorkloadDegraded,
        object,
        format!("{} has {} of {} pods ready", facts::title_of(object), w.ready, w.replicas),
    )
    .description(description)
    .detail("wanted", w.replicas)
    .detail("ready", w.ready)
    .detail("available", w.available)
    .detail("unready_pods", unready)
    .detail("pods", if reasons.is_empty() { Value::Null } else { reasons.into() })
    .recommend("Look at its pods", facts::kubectl_pods(object, w))
    .recommend("See what its controller says", facts::kubectl("describe", object))
}

fn why(pod: &Object) -> String {
    let Some(body) = pod.pod() else { return String::new() };
    let waiting = body.containers.iter().map(object::Container::waiting_reason).find(|r| !r.is_empty());
    let unscheduled = body.condition("PodScheduled").filter(|c| !c.is_true()).map(|c| c.reason.as_str());
    let not_ready = body.condition("Ready").map(|c| c.reason.as_str()).filter(|r| !r.is_empty());
    let node = Some(body.node.as_str()).filter(|n| !n.is_empty());
    let reason = waiting.or(unscheduled).or(not_ready).unwrap_or("not ready");
    node.map_or_else(|| reason.to_owned(), |n| format!("{reason} on {n}"))
}
