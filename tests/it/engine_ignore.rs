//! What is to be ignored is stored and shown, is in no incident, and is told to nobody; what is secret is not stored.

use barrelman::{
    demo::Sim,
    event::{EventType, Kind},
    object::Said,
};
use jiff::SignedDuration;
use serde_json::json;

use crate::support::{noon, rig::Rig};

const CHAIN: &str = r#"
[[connectors]]
name = "chain"
type = "painchain"
enabled = true
[connectors.config]
api_url = "http://127.0.0.1:9/api"
mode = "v2"
"#;

const ALL: &str = r#"
[[connectors]]
name = "all"
type = "webhook"
enabled = true
[connectors.config]
url = "http://127.0.0.1:9/hook"
deliver = "events"
events = ["all"]
"#;

fn annotate(rig: &Rig, name: &str) {
    rig.cluster()
        .update("deployments", "shop", name, |d| {
            d["metadata"]["annotations"]["barrelman.dev/ignore"] = json!("all");
        })
        .unwrap();
}

#[test]
fn an_annotated_workload_and_what_it_owns_are_posted_to_nobody() {
    let mut rig = Rig::shop_with(&format!("{CHAIN}{ALL}"));
    annotate(&rig, "web");
    rig.advance(5);
    rig.sent.clear();
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:2.15.0", "crash").unwrap();
    rig.advance(120);
    rig.sim().scale("shop/web", 1).unwrap();
    rig.advance(120);
    rig.sim().rollback("shop/web").unwrap();
    rig.advance(300);
    let of_web = |name: &str| name == "web" || name.starts_with("web-");
    let ours = |key: &str| ["Deployment/", "ReplicaSet/", "Pod/"].iter().any(|k| key.starts_with(k));
    let leaked: Vec<String> = rig
        .sent
        .iter()
        .map(|s| &s.message.event)
        .filter(|e| of_web(&e.object.name) && ours(&e.object.key()))
        .map(|e| format!("{} {} {}", e.event_type, e.object.key(), e.title))
        .collect();
    assert_eq!(leaked, Vec::<String>::new());
    let stored = rig.events_of(EventType::PodCrashLoop);
    assert!(!stored.is_empty() && stored.iter().all(|e| e.ignored.is_some() && e.incident.is_none()));
    // Others are told still.
    rig.sim().rollout("shop/cart", "registry.example.com/shop/cart:9", "none").unwrap();
    rig.advance(60);
    let told = |name: &str| rig.sent.iter().any(|s| s.message.connector == name);
    assert!(told("chain") && told("all"));
}

#[test]
fn what_a_rule_ignores_is_not_posted_either() {
    let mut rig = Rig::shop_with(&format!("ignore = [\"obj:cart*\"]\n{CHAIN}"));
    rig.sim().rollout("shop/cart", "registry.example.com/shop/cart:9", "none").unwrap();
    rig.advance(120);
    let leaked: Vec<String> = rig
        .sent
        .iter()
        .filter(|s| s.message.event.object.name.starts_with("cart"))
        .map(|s| s.message.event.title.clone())
        .collect();
    assert_eq!(leaked, Vec::<String>::new());
}

#[test]
fn at_the_first_sight_an_annotation_of_an_owner_that_is_listed_later_counts() {
    let mut rig = Rig::empty("");
    rig.add("shop", |cluster| {
        let mut sim = Sim::demo(cluster.clone(), noon() - SignedDuration::from_mins(30), 1.0);
        sim.rollout("shop/web", "registry.example.com/shop/web:2.15.0", "crash").unwrap();
        sim.rollout("shop/cart", "registry.example.com/shop/cart:9", "crash").unwrap();
        sim.advance(noon());
        Some(sim)
    });
    annotate(&rig, "web");
    // Each list is a transaction of its own, the Pods' first.
    for said in rig.watched[0].list() {
        rig.say(vec![said]);
    }
    rig.advance(60);
    let open: Vec<String> = rig.incidents().iter().map(|i| i.subject.key()).collect();
    assert!(!open.contains(&"Deployment/shop/web".to_owned()), "{open:#?} {:#?}", rig.story());
    assert!(rig.incident("Deployment/shop/cart").standing, "{:#?}", rig.story());
    let stood: Vec<_> =
        rig.events_of(EventType::PodCrashLoop).into_iter().filter(|e| e.subject.name == "web").collect();
    assert!(!stood.is_empty() && stood.iter().all(|e| e.ignored.is_some() && e.standing), "{stood:#?}");
}

#[test]
fn a_loop_that_runs_at_the_first_sight_stood_although_its_owners_are_listed_later() {
    let mut rig = Rig::empty(ALL);
    rig.add("shop", |cluster| {
        let mut sim = Sim::demo(cluster.clone(), noon() - SignedDuration::from_mins(30), 1.0);
        sim.rollout("shop/cart", "registry.example.com/shop/cart:9", "crash").unwrap();
        sim.advance(noon());
        Some(sim)
    });
    let ago = |secs: i64| (noon() - SignedDuration::from_secs(secs)).to_string();
    // All run at this moment, between two crashes.
    for pod in rig.cluster().list(Kind::Pod) {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let restarts = &pod["status"]["containerStatuses"][0]["restartCount"];
        if name.starts_with("cart-") && restarts.as_u64() > Some(1) {
            let update = |p: &mut serde_json::Value| {
                let status = &mut p["status"]["containerStatuses"][0];
                status["state"] = json!({"running": {"startedAt": ago(1)}});
                status["lastState"] = json!({"terminated": {"exitCode": 1, "reason": "Error", "startedAt": ago(20), "finishedAt": ago(15)}});
                status["ready"] = json!(true);
            };
            rig.cluster().update("pods", "shop", &name, update).unwrap();
        }
    }
    for said in rig.watched[0].list() {
        rig.say(vec![said]);
    }
    rig.advance(60);
    assert!(rig.incident("Deployment/shop/cart").standing, "{:#?}", rig.story());
    let loops = rig.events_of(EventType::PodCrashLoop);
    assert!(loops.iter().any(|e| e.standing && e.timestamp < noon()), "{loops:#?}");
}

#[test]
fn a_broken_thing_whose_owners_cannot_be_listed_is_shown_after_a_while() {
    let mut rig = Rig::empty("");
    rig.add("shop", |cluster| {
        let mut sim = Sim::demo(cluster, noon() - SignedDuration::from_mins(30), 1.0);
        sim.rollout("shop/web", "registry.example.com/shop/web:2.15.0", "crash").unwrap();
        sim.advance(noon());
        Some(sim)
    });
    // The list of ReplicaSets never comes to its end.
    let of_sets = |said: &Said| match said {
        Said::ListStart(s) | Said::ListEnd(s) | Said::Stream(s, _) | Said::Listed(s, _) => {
            s.kind == Kind::ReplicaSet
        }
        _ => false,
    };
    let said = rig.watched[0].list().into_iter().filter(|s| !of_sets(s)).collect();
    rig.say(said);
    rig.say_for(20);
    assert_eq!(rig.incidents().len(), 0, "{:#?}", rig.story());
    rig.say_for(20);
    assert!(rig.incidents().iter().any(|i| i.standing), "{:#?}", rig.story());
}

#[test]
fn no_value_of_a_secret_reaches_the_file_by_way_of_an_annotation() {
    let secret = "KeepMeOut8461";
    let mut rig = Rig::shop_with(&format!("{CHAIN}{ALL}"));
    rig.sink_up = false;
    for kind in ["Secret", "ConfigMap"] {
        let copy = json!({"kind": kind, "data": {"password": secret}}).to_string();
        let annotations = json!({
            "kapp.k14s.io/original": copy,
            "objectset.rio.cattle.io/applied": format!("H4sIAAAA{secret}"),
            "banzaicloud.com/last-applied": copy,
            "example.com/copy": copy,
        });
        rig.cluster()
            .create(json!({"apiVersion": "v1", "kind": kind, "metadata":
                {"name": "db", "namespace": "shop", "annotations": annotations}, "data": {"password": secret}}))
            .unwrap();
    }
    rig.advance(5);
    for plural in ["secrets", "configmaps"] {
        rig.cluster().update(plural, "shop", "db", |o| o["data"]["user"] = json!(secret)).unwrap();
    }
    rig.advance(5);
    assert!(rig.events_of(EventType::ConfigChanged).iter().filter(|e| e.object.name == "db").count() >= 4);
    assert!(rig.outbox().len() >= 4);
    rig.stop();
    for file in std::fs::read_dir(rig.dir()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
}
