//! The number of a Service's endpoints changed. Changes close together are one; while its workload rolls out, only
//! what is left of them at the end is told.

use std::{collections::BTreeSet, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    Change, Context, Draft, Moment, Origin, Output, endpoint_facts as endpoints, workload_facts as facts,
};
use crate::{
    event::{EventType, Kind, ObjectRef, TimeSource},
    object::{EndpointSlice, Object},
};

/// Changes this close together are one.
const COALESCE_SECS: i64 = 5;
/// A rollout that never ends keeps quiet no longer than this.
const ROLLOUT_SECS: i64 = 900;

/// See the module.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "endpoints_changed"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::EndpointsChanged]
    }
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::EndpointSlice]
    }
    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        let Some(slice) = change.object().endpoint_slice() else { return };
        let Some(service) = cx.world.find(Kind::Service, &change.key.namespace, &slice.service) else {
            return;
        };
        let key = format!("{}/{}", change.key.namespace, slice.service);
        if service.is_terminating() || cx.memory.recall(self.name(), &key).is_some() {
            return;
        }
        let (ready, total) = before(change, service, cx);
        if (ready, total) == now(service, cx) {
            return;
        }
        out.remember(
            key.as_str(),
            json!({
                "ready": ready,
                "total": total,
                "at": cx.now.to_string(),
                "uid": service.meta.uid.as_str(),
                "late": change.origin == Origin::Late,
            }),
        );
        out.call_me(key, cx.now + SignedDuration::from_secs(COALESCE_SECS));
    }
    fn due(&self, key: &str, cx: &Context<'_>, out: &mut Output) {
        let Some(known) = cx.memory.recall(self.name(), key) else { return };
        let at: Option<Timestamp> = known.get("at").and_then(Value::as_str).and_then(|t| t.parse().ok());
        let service = key.split_once('/').and_then(|(ns, name)| cx.world.find(Kind::Service, ns, name));
        let same = service.filter(|s| known.get("uid").and_then(Value::as_str) == Some(s.meta.uid.as_str()));
        let (Some(service), Some(at)) = (same, at) else {
            out.forget(key);
            return;
        };
        let quiet_until = at + SignedDuration::from_secs(ROLLOUT_SECS);
        if cx.now < quiet_until && rolls_out(service, cx) {
            out.call_me(key, cx.now + SignedDuration::from_secs(COALESCE_SECS));
            return;
        }
        out.forget(key);
        let number = |k: &str| known.get(k).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        let was = (number("ready").unwrap_or_default(), number("total").unwrap_or_default());
        let is = now(service, cx);
        if was != is {
            let late = known.get("late").and_then(Value::as_bool).unwrap_or_default();
            out.tell(Draft { late, ..draft(service, was, is, cx) });
        }
    }
}

/// Ready and total before the change: the world already has what came after it.
fn before(change: &Change, service: &Object, cx: &Context<'_>) -> (usize, usize) {
    let after = change.after.as_ref().and_then(|o| o.endpoint_slice());
    let mut slices: Vec<&EndpointSlice> = endpoints::slices(cx.world, service);
    slices.retain(|s| after.is_none_or(|a| !std::ptr::eq(*s, a)));
    slices.extend(change.before.as_ref().and_then(|o| o.endpoint_slice()));
    let (ready, total) = endpoints::ready(&slices);
    (ready.len(), total)
}

fn now(service: &Object, cx: &Context<'_>) -> (usize, usize) {
    let (ready, total) = endpoints::ready(&endpoints::slices(cx.world, service));
    (ready.len(), total)
}

fn rolls_out(service: &Object, cx: &Context<'_>) -> bool {
    let namespace = &service.meta.namespace;
    let slices = endpoints::slices(cx.world, service);
    let names = slices.iter().flat_map(|s| &s.endpoints).map(|e| e.name.as_str());
    let some = endpoints::some_pods(cx.world, namespace, names);
    let mut behind: BTreeSet<ObjectRef> = some.map(|pod| cx.world.wanted_by(pod)).collect();
    if behind.is_empty() {
        behind.extend(service.service().and_then(|s| cx.world.workload_behind(namespace, s)));
    }
    behind
        .iter()
        .filter_map(|w| facts::find_workload(cx.world, &w.kind, &w.namespace, &w.name))
        .any(|w| facts::in_rollout(w))
}

fn draft(service: &Arc<Object>, was: (usize, usize), is: (usize, usize), cx: &Context<'_>) -> Draft {
    let name = &service.meta.name;
    let title = if was.0 == is.0 {
        format!("Service {name} has {} endpoints, {} ready (was {})", is.1, is.0, was.1)
    } else {
        format!("Service {name} ready endpoints {} → {}", was.0, is.0)
    };
    let written = cx.world.in_namespace(Kind::EndpointSlice, &service.meta.namespace);
    let written = written.filter(|o| o.endpoint_slice().is_some_and(|s| s.service == *name));
    let at = written.filter_map(|o| o.meta.managed_at).max();
    let mut draft = Draft::new(EventType::EndpointsChanged, service, title)
        .description(format!("{} of {} endpoints are ready; {} of {} were.", is.0, is.1, was.0, was.1))
        .detail("ready", is.0)
        .detail("total", is.1)
        .detail("ready_before", was.0)
        .detail("total_before", was.1);
    (draft.at, draft.time_source) =
        at.map_or((cx.now, TimeSource::Observed), |at| (at, TimeSource::ManagedFields));
    let moment = format!("@{}", cx.now.as_millisecond());
    draft.moment(moment, cx.now)
}
