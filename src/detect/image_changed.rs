//! A workload's image changed: old and new, by container.

use serde_json::{Value, json};

use super::{Change, Context, Draft, Moment, Output, template_diff, workload_facts as facts};
use crate::{
    event::{EventType, Kind},
    object::{Object, Template},
};

/// See the module.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "image_changed"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::ImageChanged]
    }
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::CronJob]
    }
    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        let (Some((before, after)), Some(object)) = (change.update(), &change.after) else { return };
        let (Some(was), Some(is)) = (template(before), template(after)) else { return };
        let images = template_diff::images(was, is);
        let Some(first) = images.first().filter(|_| !object.is_terminating()) else { return };
        let more = match images.len() {
            1 => String::new(),
            n => format!(" and {} more", n - 1),
        };
        let arrow = template_diff::arrow(&first.from, &first.to);
        let lines: Vec<String> = images
            .iter()
            .map(|i| format!("{}: {}", i.container, template_diff::arrow(&i.from, &i.to)))
            .collect();
        let all: Vec<Value> =
            images.iter().map(|i| json!({ "container": i.container, "from": i.from, "to": i.to })).collect();
        let title = format!("{} image {arrow}{more}", facts::title_of(object));
        let draft = facts::spec_change(Draft::new(EventType::ImageChanged, object, title), before, cx.now);
        let owner = object.meta.image_manager.as_str();
        // managedFields name its owner, also where two writes fall into one second, or another came after it: their
        // times are whole seconds, and the newest entry is the newest write's.
        let draft = match draft.details.get("field_manager").and_then(|m| m.as_str()) {
            told if owner.is_empty() || told == Some(owner) => draft,
            _ => facts::observed(draft, cx.now).detail("field_manager", owner),
        };
        out.tell(
            draft
                .description(lines.join("; "))
                .detail("container", first.container.as_str())
                .detail("from", first.from.as_str())
                .detail("to", first.to.as_str())
                .detail("images", all),
        );
    }
}

fn template(object: &Object) -> Option<&Template> {
    object.workload().map(|w| &w.template).or_else(|| object.cron_job().map(|c| &c.template))
}
