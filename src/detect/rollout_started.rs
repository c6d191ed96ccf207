//! A workload's Pod template changed, or went back to an earlier one: then that is told instead.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Change, Context, Draft, Moment, Output, template_diff, workload_facts as facts};
use crate::{
    event::{EventType, Kind},
    object::{Object, Template},
};

/// So many earlier templates of a StatefulSet or DaemonSet are remembered: their revisions are not watched.
const REMEMBERED: usize = 10;

/// See the module.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "rollout_started"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::RolloutStarted, EventType::RolloutRolledBack]
    }
    fn kinds(&self) -> &'static [Kind] {
        facts::ROLLS_OUT
    }
    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        if let Some(gone) = change.deleted()
            && cx.memory.recall(self.name(), &gone.meta.uid).is_some()
        {
            out.forget(gone.meta.uid.as_str());
        }
        let (Some((before, after)), Some(object)) = (change.update(), &change.after) else { return };
        let (Some(was), Some(is)) = (before.workload(), after.workload()) else { return };
        if was.template.hash == is.template.hash || object.is_terminating() {
            return;
        }
        let earlier = match object.kind {
            Kind::Deployment => earlier_replica_set(object, before, &is.template, cx),
            _ => self.earlier_template(object, (&was.template, &is.template), cx, out),
        };
        let (event_type, what) = match &earlier {
            Some(_) => (EventType::RolloutRolledBack, "rolled back"),
            None => (EventType::RolloutStarted, "is rolling out"),
        };
        let changed = template_diff::parts(&was.template, &is.template);
        let images = template_diff::images(&was.template, &is.template);
        let mut title = format!("{} {what}", facts::title_of(object));
        if let Some(image) = images.first() {
            title = format!("{title}: {}", template_diff::arrow(&image.from, &image.to));
        }
        let revision = earlier.as_ref().and_then(Value::as_str).map(str::to_owned);
        let to = revision.as_ref().map_or_else(String::new, |r| format!(" It equals revision {r}."));
        out.tell(
            facts::spec_change(Draft::new(event_type, object, title), before, cx.now)
                .description(format!("Changed: {}.{to}", changed.join(", ")))
                .detail("changed", changed)
                .detail("from_revision", before.meta.annotation(facts::REVISION).unwrap_or_default())
                .detail("to_revision", revision)
                .detail("replicas", is.replicas)
                .recommend("Watch it", facts::kubectl("rollout status", object))
                .recommend("See the revisions", facts::kubectl("rollout history", object)),
        );
    }
}

/// The revision of the ReplicaSet that had the new template before. A new template's ReplicaSet may be seen before
/// the Deployment's own change is; its revision is the newest, and it was never one before.
fn earlier_replica_set(object: &Object, before: &Object, to: &Template, cx: &Context<'_>) -> Option<Value> {
    let number = |o: &Object| o.meta.annotation(facts::REVISION)?.parse::<u64>().ok();
    let sets: Vec<&Arc<Object>> = cx.world.children(&object.meta.uid, &object.meta.namespace).collect();
    let same = sets.into_iter().find(|o| o.workload().is_some_and(|w| w.template.hash == to.hash))?;
    if let Some(history) = same.meta.annotation("deployment.kubernetes.io/revision-history") {
        let was = history.rsplit(',').next().unwrap_or(history);
        // Taken up again already: its old number is in the history.
        let current = if number(same) > number(before) { was.to_owned() } else { number(same)?.to_string() };
        return Some(current.into());
    }
    (number(same)? < number(before)?).then(|| Value::String(number(same).unwrap_or_default().to_string()))
}

impl Rule {
    fn earlier_template(
        &self,
        object: &Object,
        (was, is): (&Template, &Template),
        cx: &Context<'_>,
        out: &mut Output,
    ) -> Option<Value> {
        let uid = object.meta.uid.as_str();
        let known = cx.memory.recall(self.name(), uid);
        let mut hashes: Vec<u64> = known
            .as_ref()
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_u64)
            .collect();
        let found = hashes.contains(&is.hash);
        hashes.retain(|h| *h != was.hash && *h != is.hash);
        hashes.push(was.hash);
        let from = hashes.len().saturating_sub(REMEMBERED);
        out.remember(uid, json!(hashes.get(from..).unwrap_or_default()));
        found.then_some(Value::Null)
    }
}
