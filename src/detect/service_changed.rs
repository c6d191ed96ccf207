//! A Service came, went, or changed its type, ports, selector or address.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Change, Context, Draft, Moment, Output, workload_facts as facts};
use crate::{
    event::{EventType, Kind},
    object::{Object, Service},
};

/// See the module.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "service_changed"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::ServiceChanged]
    }
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Service]
    }
    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        if let Some(gone) = change.deleted() {
            out.tell(facts::at_deletion(draft(gone, "deleted"), cx.now));
        }
        if let Some(new) = change.created() {
            out.tell(facts::at_creation(draft(new, "created"), cx.now));
        }
        let (Some((before, after)), Some(object)) = (change.update(), &change.after) else { return };
        let (Some(was), Some(is)) = (before.service(), after.service()) else { return };
        let changes = changes(was, is);
        if changes.is_empty() || object.is_terminating() {
            return;
        }
        let by_status = changes.keys().all(|k| k == "load_balancer");
        let draft = draft(object, "changed").detail("changes", changes);
        out.tell(if by_status {
            draft.at_or(None, cx.now)
        } else {
            facts::spec_change(draft, before, cx.now)
        });
    }
}

fn changes(was: &Service, is: &Service) -> Map<String, Value> {
    let pairs = [
        ("type", json!(was.service_type), json!(is.service_type)),
        ("ports", json!(ports(was)), json!(ports(is))),
        ("selector", json!(was.selector), json!(is.selector)),
        ("external_name", json!(was.external_name), json!(is.external_name)),
    ];
    let mut found: Map<String, Value> = pairs
        .into_iter()
        .filter(|(_, from, to)| from != to)
        .map(|(what, from, to)| (what.to_owned(), json!({ "from": from, "to": to })))
        .collect();
    // The first address is the end of its creation, no change.
    if !was.load_balancer.is_empty() && was.load_balancer != is.load_balancer {
        let change = json!({ "from": was.load_balancer, "to": is.load_balancer });
        found.insert("load_balancer".into(), change);
    }
    found
}

/// `http 80/TCP→8080`
fn ports(service: &Service) -> Vec<String> {
    let port = |p: &crate::object::ServicePort| {
        let name = if p.name.is_empty() { String::new() } else { format!("{} ", p.name) };
        let node = if p.node_port == 0 { String::new() } else { format!(":{}", p.node_port) };
        format!("{name}{}{node}/{}→{}", p.port, p.protocol, p.target)
    };
    service.ports.iter().map(port).collect()
}

fn draft(object: &Arc<Object>, action: &str) -> Draft {
    let service = object.service();
    Draft::new(EventType::ServiceChanged, object, format!("Service {} {action}", object.meta.name))
        .description(
            service.map(|s| format!("{}: {}", s.service_type, ports(s).join(", "))).unwrap_or_default(),
        )
        .detail("action", action)
        .detail("type", service.map(|s| s.service_type.to_string()))
        .detail("ports", service.map(ports))
}
