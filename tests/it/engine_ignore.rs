//! What is to be ignored is stored and shown, is in no incident, and is told to nobody; what is secret is not stored.

use barrelman::{
    demo::Sim,
    event::{EventType, Kind},
    object::Said,
};
use jiff::SignedDuration;
use serde_json::json;

use crate::support::{
    noon,
    rig::{HOOK, Rig},
};

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
    let said = without_sets(rig.watched[0].list());
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

const RULE: &str =
    "ignore = [\"ns:shop type:pod_crash_loop|pod_restarted|kubernetes_event|rollout_stuck\"]\n";

fn crashes(toml: &str, annotated: impl Fn(&Rig)) -> Rig {
    let mut rig = Rig::shop_with(toml);
    annotated(&rig);
    rig.advance(5);
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:2.15.0", "crash").unwrap();
    rig.advance(400);
    assert_eq!(rig.told(), Vec::<String>::new(), "{:#?}", rig.story());
    let loops = rig.events_of(EventType::PodCrashLoop);
    assert!(!loops.is_empty() && loops.iter().all(|e| e.ignored.is_some()), "{loops:#?}");
    rig
}

fn is_told_once(rig: &mut Rig) {
    let began = rig.events_of(EventType::PodCrashLoop).iter().map(|e| e.timestamp).min().unwrap();
    rig.advance(2);
    assert_eq!(rig.told(), ["hook opened pod_crash_loop critical"], "{:#?}", rig.story());
    let web = rig.incident("Deployment/shop/web");
    assert!(
        web.opened_at == began && !web.standing && web.holding > 0,
        "{began} {web:#?} {:#?}",
        rig.story()
    );
    rig.advance(300);
    rig.restart();
    rig.advance(300);
    assert_eq!(rig.sent.len(), 1, "{:#?}", rig.story());
    assert!(
        rig.events_of(EventType::PodCrashLoop).iter().all(|e| e.ignored.is_none() && e.incident.is_some())
    );
    rig.sim().rollback("shop/web").unwrap();
    rig.advance(1000);
    assert_eq!(rig.told()[1..], ["hook resolved pod_crash_loop critical"], "{:#?}", rig.story());
}

#[test]
fn what_is_broken_when_its_rule_is_taken_out_is_told_as_what_it_is() {
    let mut rig = crashes(&format!("{RULE}{HOOK}"), |_| ());
    rig.reconfigure(HOOK);
    is_told_once(&mut rig);
}

#[test]
fn what_is_broken_when_its_rule_is_taken_out_while_nobody_watched_is_told_too() {
    let mut rig = crashes(&format!("{RULE}{HOOK}"), |_| ());
    rig.stop();
    rig.unwatched(20);
    rig.settings = crate::support::rig::settings(HOOK, rig.dir());
    rig.begin();
    rig.say(Vec::new());
    assert_eq!(rig.told(), Vec::<String>::new(), "nothing of the cluster is known yet");
    rig.start();
    is_told_once(&mut rig);
}

#[test]
fn what_is_not_to_be_ignored_any_more_does_not_wait_for_ever_for_a_list() {
    let mut rig = crashes(&format!("{RULE}{HOOK}"), |_| ());
    rig.stop();
    rig.settings = crate::support::rig::settings(HOOK, rig.dir());
    rig.begin();
    let said = without_sets(rig.watched[0].list());
    rig.say(said);
    rig.say_for(20);
    assert_eq!(rig.told(), Vec::<String>::new(), "{:#?}", rig.story());
    rig.say_for(20);
    assert_eq!(rig.told(), ["hook opened pod_crash_loop critical"], "{:#?}", rig.story());
}

#[test]
fn what_is_broken_when_its_annotation_is_taken_away_is_told_as_what_it_is() {
    let annotation = |rig: &Rig, plural: &str, namespace: &str, name: &str, value: serde_json::Value| {
        let set =
            |o: &mut serde_json::Value| o["metadata"]["annotations"]["barrelman.dev/ignore"] = value.clone();
        rig.cluster().update(plural, namespace, name, set).unwrap();
    };
    for (plural, namespace, name) in [("deployments", "shop", "web"), ("namespaces", "", "shop")] {
        let mut rig = crashes(HOOK, |rig| annotation(rig, plural, namespace, name, json!("all")));
        annotation(&rig, plural, namespace, name, json!("pod_evicted"));
        is_told_once(&mut rig);
    }
}

/// The list of ReplicaSets never comes to its end.
fn without_sets(mut said: Vec<Said>) -> Vec<Said> {
    said.retain(|said| match said {
        Said::ListStart(s) | Said::ListEnd(s) | Said::Stream(s, _) | Said::Listed(s, _) => {
            s.kind != Kind::ReplicaSet
        }
        _ => true,
    });
    said
}
