//! An Ingress came, went, or changed its hosts, backends, class, certificates or address.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Change, Context, Draft, Moment, Output, workload_facts as facts};
use crate::{
    event::{EventType, Kind},
    object::{Ingress, Object},
};

/// See the module.
pub struct Rule;

impl Moment for Rule {
    fn name(&self) -> &'static str {
        "ingress_changed"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::IngressChanged]
    }
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Ingress]
    }
    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output) {
        if let Some(gone) = change.deleted() {
            out.tell(facts::at_deletion(draft(gone, "deleted"), cx.now));
        }
        if let Some(new) = change.created() {
            out.tell(facts::at_creation(draft(new, "created"), cx.now));
        }
        let (Some((before, after)), Some(object)) = (change.update(), &change.after) else { return };
        let (Some(was), Some(is)) = (before.ingress(), after.ingress()) else { return };
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

fn changes(was: &Ingress, is: &Ingress) -> Map<String, Value> {
    let tls = |i: &Ingress| -> Vec<String> {
        i.tls.iter().map(|(hosts, secret)| format!("{}: {secret}", join(hosts))).collect()
    };
    let pairs = [
        ("class", json!(was.class), json!(is.class)),
        ("rules", json!(rules(was)), json!(rules(is))),
        ("tls", json!(tls(was)), json!(tls(is))),
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

fn join(hosts: &[crate::object::Str]) -> String {
    hosts.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(", ")
}

/// `shop.example/cart → cart:80`
fn rules(ingress: &Ingress) -> Vec<String> {
    let rule = |r: &crate::object::IngressRule| {
        let host = if r.host.is_empty() { "*" } else { r.host.as_str() };
        format!("{host}{} → {}", r.path, r.backend)
    };
    ingress.rules.iter().map(rule).collect()
}

fn draft(object: &Arc<Object>, action: &str) -> Draft {
    let ingress = object.ingress();
    let mut hosts: Vec<String> = ingress
        .into_iter()
        .flat_map(|i| &i.rules)
        .map(|r| r.host.to_string())
        .filter(|h| !h.is_empty())
        .collect();
    hosts.dedup();
    Draft::new(EventType::IngressChanged, object, format!("Ingress {} {action}", object.meta.name))
        .description(ingress.map(|i| rules(i).join("; ")).unwrap_or_default())
        .detail("action", action)
        .detail("class", ingress.map(|i| i.class.to_string()))
        .detail("hosts", hosts)
}
