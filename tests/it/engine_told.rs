//! What a message says of the trouble: since when, how often, after what, and how to look.

use barrelman::event::EventType;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::{
    noon,
    rig::{HOOK, Rig},
};

#[test]
fn endpoints_that_changed_while_nobody_watched_are_late() {
    let mut rig = Rig::shop();
    rig.advance(30);
    rig.stop();
    rig.sim().scale("shop/search", 5).unwrap();
    rig.unwatched(60);
    rig.begin();
    rig.start();
    rig.advance(60);
    let of_search = |e: &&barrelman::event::Event| e.object.name == "search";
    let changed = rig.events_of(EventType::EndpointsChanged);
    let changed: Vec<_> = changed.iter().filter(of_search).collect();
    assert!(changed.len() == 1 && changed[0].late, "{:#?}", rig.story());
    rig.sim().scale("shop/search", 2).unwrap();
    rig.advance(60);
    let changed = rig.events_of(EventType::EndpointsChanged);
    assert!(!changed.iter().rfind(of_search).unwrap().late);
}

#[test]
fn an_image_that_could_not_be_pulled_before_we_looked_fails_since_its_pod_was_not_ready() {
    let mut rig = Rig::empty(HOOK);
    rig.add("shop", |cluster| {
        let mut sim = barrelman::demo::Sim::demo(cluster, noon() - SignedDuration::from_mins(10), 1.0);
        sim.rollout("shop/web", "registry.example.com/shop/web:nope", "image").unwrap();
        sim.advance(noon());
        Some(sim)
    });
    rig.start();
    rig.advance(60);
    let web = rig.incident("Deployment/shop/web");
    assert!(web.standing && web.opened_at < noon() - SignedDuration::from_mins(9), "{web:#?}");
}

fn contexts(toml: &str, name: &str) -> Vec<String> {
    let mut rig = Rig::empty(&format!("{toml}{HOOK}"));
    rig.add(name, |cluster| Some(barrelman::demo::Sim::demo(cluster, noon(), 1.0)));
    rig.start();
    rig.advance(1);
    rig.restart();
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:2.15.0", "crash").unwrap();
    rig.advance(110);
    let told = &rig.sent[0].message.event;
    let commands = told.recommendations.iter().map(|r| r.command.clone());
    commands.chain(told.links.iter().filter_map(|l| l.href.clone())).collect()
}

#[test]
fn commands_name_their_context_where_contexts_were_named() {
    let named = contexts("[clusters]\ncontexts = [\"prod eu\", \"staging\"]\n", "prod eu");
    assert!(
        named.len() > 3 && named.iter().all(|c| c.starts_with("kubectl --context 'prod eu' ")),
        "{named:#?}"
    );
    let named = contexts("[clusters]\ncontexts = [\"admin@eu:1\"]\n", "admin@eu:1");
    assert!(named.iter().all(|c| c.starts_with("kubectl --context admin@eu:1 ")), "{named:#?}");
    let current = contexts("", "prod");
    assert!(current.len() > 3 && current.iter().all(|c| !c.contains("--context")), "{current:#?}");
}

fn volume(rig: &Rig, pod: bool) -> Vec<Value> {
    let meta = |name: &str| json!({"name": name, "namespace": "shop", "labels": {"app": "pg"}});
    let template = json!({"metadata": {"labels": {"app": "pg"}}, "spec": {"containers": [{"name": "c", "image": "pg:1"}]}});
    let mut all = vec![json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta("pg"),
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "pg"}}, "template": template},
        "status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": 0}})];
    if pod {
        let set = rig.cluster().get("statefulsets", "shop", "pg").unwrap()["metadata"]["uid"].clone();
        let mut metadata = meta("pg-0");
        metadata["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "pg", "uid": set, "controller": true}]);
        let claim = json!({"name": "data", "persistentVolumeClaim": {"claimName": "data-pg-0"}});
        let why = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.";
        all = vec![
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta("data-pg-0"),
                "spec": {"storageClassName": "nope", "resources": {"requests": {"storage": "1Gi"}}},
                "status": {"phase": "Pending"}}),
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
                "spec": {"containers": [{"name": "c", "image": "pg:1"}], "volumes": [claim]},
                "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
                    "reason": "Unschedulable", "message": why, "lastTransitionTime": rig.now().to_string()}]}}),
        ];
    }
    all
}

#[test]
fn a_new_workload_that_waits_for_its_volume_is_one_incident_and_its_creation_came_before() {
    let mut rig = Rig::shop();
    let bystander = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bystander", "namespace": "shop"},
        "data": {"a": "b"}});
    rig.cluster().create(bystander).unwrap();
    rig.advance(10);
    for pod in [false, true] {
        for object in volume(&rig, pod) {
            rig.cluster().writer("kubectl-apply").create(object).unwrap();
        }
        rig.advance(1);
    }
    rig.advance(120);
    assert!(rig.events_of(EventType::PvcPending).len() == 1 && rig.sent.len() == 1, "{:#?}", rig.story());
    assert_eq!(rig.incidents().len(), 1, "{:#?}", rig.story());
    let set = rig.incident("StatefulSet/shop/pg");
    let mut troubles: Vec<_> = rig.members(&set).into_iter().map(|m| m.event_type.name()).collect();
    troubles.sort_unstable();
    assert_eq!(troubles, ["pod_unschedulable", "pvc_pending"]);
    let changes = barrelman::connector::text::Message::of(&rig.sent[0].message).changes.unwrap();
    assert!(changes[0].starts_with("StatefulSet pg created by kubectl-apply, "), "{changes:?}");
    assert!(changes.iter().all(|c| !c.contains("bystander")), "{changes:?}");
}

#[test]
fn all_restarts_of_a_young_pod_are_recent_however_many_are_remembered() {
    let mut rig = Rig::shop();
    let ended = |at: jiff::Timestamp| json!({"exitCode": 1, "reason": "Error", "startedAt": at.to_string(), "finishedAt": at.to_string()});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "fast", "namespace": "shop"},
        "spec": {"nodeName": "node-a", "containers": [{"name": "c", "image": "c:1"}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "c", "image": "c:1", "restartCount": 0}]}});
    rig.cluster().create(pod).unwrap();
    let restart = |rig: &mut Rig, count: u32| {
        rig.advance(60);
        let now = rig.now();
        let set = |p: &mut Value| {
            p["status"]["containerStatuses"][0] = json!({"name": "c", "image": "c:1", "ready": false, "restartCount": count,
                "lastState": {"terminated": ended(now)}, "state": {"waiting": {"reason": "CrashLoopBackOff"}}});
        };
        rig.cluster().update("pods", "shop", "fast", set).unwrap();
        rig.advance(1);
        rig.incident("Pod/shop/fast").description
    };
    restart(&mut rig, 12);
    let said = restart(&mut rig, 36);
    assert!(said.starts_with("Pod has restarted 36 times in the last 10 minutes: "), "{said}");
    rig.advance(900);
    restart(&mut rig, 40);
    let said = restart(&mut rig, 70);
    let least = "Pod has restarted at least 10 times in the last 10 minutes, 70 times in all: ";
    assert!(said.starts_with(least), "{said}");
}
