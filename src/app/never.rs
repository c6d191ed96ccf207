//! Types that a connector asks for and that cannot happen, with what would change that. Silent where it takes all.

use std::collections::BTreeSet;

use crate::{
    config::WatchSettings,
    connector::Common,
    detect::{CONDITIONS, MOMENTS},
    event::{EventType, Kind},
};

/// What cannot happen of what a connector names, and what to do about it.
pub fn of(common: &Common, watch: &WatchSettings) -> Option<(String, String)> {
    if common.conditions.cost_threshold.is_some() && !costs() {
        let text =
            "nothing can pass: conditions.cost_threshold needs costs, which this version does not read";
        return Some((text.into(), "take cost_threshold out of its conditions".into()));
    }
    let types = common.events.as_ref()?.types();
    if types.is_empty() {
        let text = "nothing can pass: events is empty";
        return Some((text.into(), "name what it should be told of, or take events away".into()));
    }
    if types.len() == EventType::all().len() {
        return None;
    }
    let mut lines = Vec::new();
    let mut kinds = BTreeSet::new();
    for event_type in types {
        let (made, of) = makers(event_type);
        match event_type.def().needs {
            Some(needs) if made => lines.push(format!("{event_type} (only with {needs})")),
            Some(needs) => {
                lines.push(format!("{event_type} (needs {needs}, which this version does not read)"));
            }
            None if !of.is_empty() && of.iter().all(|k| !watch.kinds.contains(k)) => {
                let off: Vec<&str> = of.iter().map(|k| k.plural()).collect();
                lines.push(format!("{event_type} ({} switched off)", off.join(", ")));
                kinds.extend(of);
            }
            None => {}
        }
    }
    if lines.is_empty() {
        return None;
    }
    let next = match kinds.into_iter().map(Kind::plural).collect::<Vec<_>>().as_slice() {
        [] => "nothing to do, or take them out of its events".to_owned(),
        off => format!("[watch.kinds] {} = true, or take them out of its events", off.join(" = true, ")),
    };
    Some((format!("these cannot happen: {}", lines.join(", ")), next))
}

/// Whether anything tells of costs.
fn costs() -> bool {
    [EventType::CostThresholdExceeded, EventType::CostReport].into_iter().any(|t| makers(t).0)
}

/// Whether a rule tells of this type, and the kinds that its rules look at.
fn makers(event_type: EventType) -> (bool, BTreeSet<Kind>) {
    let conditions = CONDITIONS.iter().filter(|r| r.types().contains(&event_type)).map(|r| r.kind());
    let moments = MOMENTS.iter().filter(|r| r.types().contains(&event_type));
    let kinds: BTreeSet<Kind> = conditions.chain(moments.flat_map(|r| r.kinds().iter().copied())).collect();
    (!kinds.is_empty(), kinds)
}
