//! A Service without a ready endpoint, by what stands behind it: who wants no Pod is not missed by anybody.

use barrelman::event::EventType;
use serde_json::{Value, json};

use crate::support::rig::Rig;

const NS: &str = "shop";

/// The shop, in which nothing happens but what a test writes.
fn still() -> Rig {
    let mut rig = Rig::shop();
    rig.watched[0].sim = None;
    rig
}

fn make(rig: &Rig, object: Value) {
    rig.cluster().create(object).unwrap();
}

/// `kind` as the cluster names the resource.
fn owner(rig: &Rig, (plural, api, kind): (&str, &str, &str), name: &str) -> Value {
    let uid = rig.cluster().get(plural, NS, name).map_or(json!("not-here"), |o| o["metadata"]["uid"].clone());
    json!([{"apiVersion": api, "kind": kind, "name": name, "uid": uid, "controller": true}])
}

fn workload(rig: &Rig, kind: &str, name: &str, labels: &Value, owners: Value) {
    make(
        rig,
        json!({"apiVersion": "apps/v1", "kind": kind,
            "metadata": {"name": name, "namespace": NS, "ownerReferences": owners},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}},
            "status": {"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "availableReplicas": 1}}),
    );
}

fn pod(rig: &Rig, name: &str, labels: &Value, owners: Value) {
    make(
        rig,
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": NS, "labels": labels, "ownerReferences": owners},
            "spec": {"containers": [{"name": "app", "image": "x"}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": "app", "ready": true, "restartCount": 0, "image": "x",
                    "state": {"running": {"startedAt": "2026-03-02T11:00:00Z"}}}]}}),
    );
}

/// A Service with these Pods as ready endpoints.
fn service(rig: &Rig, selector: &Value, pods: &[&str]) {
    make(
        rig,
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "front", "namespace": NS},
            "spec": {"type": "ClusterIP", "clusterIP": "10.0.0.9", "selector": selector, "ports": [{"port": 80}]}}),
    );
    let endpoints: Vec<Value> = pods.iter().map(|name| endpoint(name)).collect();
    make(
        rig,
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "front-1", "namespace": NS, "labels": {"kubernetes.io/service-name": "front"}},
            "ports": [], "endpoints": endpoints}),
    );
}

fn endpoint(name: &str) -> Value {
    json!({"addresses": ["10.1.0.1"], "conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": name}})
}

fn without_endpoints(rig: &Rig) {
    rig.cluster().update("endpointslices", NS, "front-1", |slice| slice["endpoints"] = json!([])).unwrap();
}

fn scale_to_none(rig: &Rig, plural: &str, name: &str) {
    let none = |o: &mut Value| {
        o["spec"]["replicas"] = json!(0);
        o["status"] = json!({"replicas": 0});
    };
    rig.cluster().update(plural, NS, name, none).unwrap();
}

fn status(rig: &Rig, name: &str, phase: &str, reason: &str) {
    let now = rig.now().to_string();
    let end = |o: &mut Value| {
        o["status"]["phase"] = json!(phase);
        o["status"]["conditions"] =
            json!([{"type": "Ready", "status": "False", "reason": reason, "lastTransitionTime": now}]);
        o["status"]["containerStatuses"][0]["ready"] = json!(false);
        let code = i32::from(phase == "Failed");
        o["status"]["containerStatuses"][0]["state"] =
            json!({"terminated": {"exitCode": code, "reason": "Completed", "finishedAt": now}});
    };
    rig.cluster().update("pods", NS, name, end).unwrap();
}

fn told(rig: &Rig) -> Vec<String> {
    rig.told().into_iter().filter(|t| t.contains("service_unavailable")).collect()
}

#[test]
fn a_job_that_is_done_leaves_a_service_that_nobody_misses() {
    let mut rig = still();
    let labels = json!({"app": "train"});
    make(
        &rig,
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "train", "namespace": NS},
            "spec": {"completions": 2, "parallelism": 2}, "status": {"active": 2}}),
    );
    for name in ["train-0", "train-1"] {
        pod(&rig, name, &labels, owner(&rig, ("jobs", "batch/v1", "Job"), "train"));
    }
    service(&rig, &labels, &["train-0", "train-1"]);
    rig.advance(30);
    for name in ["train-0", "train-1"] {
        status(&rig, name, "Succeeded", "PodCompleted");
    }
    without_endpoints(&rig);
    rig.advance(5);
    // The Job's own word comes after that of its Pods.
    let done = |o: &mut Value| {
        o["status"] = json!({"succeeded": 2, "conditions": [{"type": "Complete", "status": "True"}]})
    };
    rig.cluster().update("jobs", NS, "train", done).unwrap();
    rig.advance(400);
    assert_eq!(told(&rig), Vec::<String>::new(), "{:#?}", rig.story());
}

#[test]
fn a_pod_of_nobodys_that_has_done_its_work_is_not_missed_and_one_that_failed_is() {
    for (phase, reason, expected) in [("Succeeded", "PodCompleted", 0), ("Failed", "PodFailed", 1)] {
        let mut rig = still();
        let labels = json!({"app": "once"});
        pod(&rig, "once", &labels, json!([]));
        service(&rig, &labels, &["once"]);
        rig.advance(30);
        status(&rig, "once", phase, reason);
        without_endpoints(&rig);
        rig.advance(60);
        assert_eq!(told(&rig).len(), expected, "{phase}: {:#?}", rig.story());
    }
}

#[test]
fn two_workloads_behind_one_service_that_both_want_none_are_no_outage() {
    let mut rig = still();
    let both = json!({"app": "front"});
    for colour in ["blue", "green"] {
        let labels = json!({"app": "front", "colour": colour});
        workload(&rig, "Deployment", colour, &labels, json!([]));
        pod(
            &rig,
            &format!("{colour}-1"),
            &labels,
            owner(&rig, ("deployments", "apps/v1", "Deployment"), colour),
        );
    }
    service(&rig, &both, &["blue-1", "green-1"]);
    rig.advance(30);
    for colour in ["blue", "green"] {
        scale_to_none(&rig, "deployments", colour);
        rig.cluster().delete("pods", NS, &format!("{colour}-1")).unwrap();
    }
    without_endpoints(&rig);
    rig.advance(400);
    assert_eq!(told(&rig), Vec::<String>::new(), "{:#?}", rig.story());
    // One of them wants Pods again, and gets none.
    let one = |o: &mut Value| o["spec"]["replicas"] = json!(1);
    rig.cluster().update("deployments", NS, "green", one).unwrap();
    rig.advance(400);
    assert_eq!(told(&rig), ["hook opened service_unavailable critical"], "{:#?}", rig.story());
}

#[test]
fn what_a_kind_that_is_not_seen_owns_goes_by_the_nearest_that_is() {
    let mut rig = still();
    let labels = json!({"app": "db", "role": "primary"});
    let custom = json!([{"apiVersion": "example.com/v1", "kind": "Database", "name": "db", "uid": "u-1",
        "controller": true}]);
    // The selector of the set is not all that is on its Pods.
    workload(&rig, "StatefulSet", "db", &json!({"app": "db"}), custom);
    pod(&rig, "db-0", &labels, owner(&rig, ("statefulsets", "apps/v1", "StatefulSet"), "db"));
    service(&rig, &labels, &["db-0"]);
    rig.advance(30);
    scale_to_none(&rig, "statefulsets", "db");
    rig.cluster().delete("pods", NS, "db-0").unwrap();
    without_endpoints(&rig);
    rig.advance(400);
    assert_eq!(told(&rig), Vec::<String>::new(), "{:#?}", rig.story());
}

#[test]
fn where_nothing_is_seen_of_who_made_the_pods_their_going_says_nothing_and_their_failing_does() {
    let custom = json!([{"apiVersion": "example.com/v1", "kind": "Clone", "name": "x", "uid": "u-1",
        "controller": true}]);
    let labels = json!({"app": "x"});
    let mut rig = still();
    pod(&rig, "x-0", &labels, custom.clone());
    service(&rig, &labels, &["x-0"]);
    rig.advance(30);
    rig.cluster().delete("pods", NS, "x-0").unwrap();
    without_endpoints(&rig);
    rig.advance(400);
    assert_eq!(told(&rig), Vec::<String>::new(), "{:#?}", rig.story());
    // Another is made, and does not become ready: somebody wants it.
    pod(&rig, "x-1", &labels, custom);
    let waits = |o: &mut Value| {
        o["status"]["phase"] = json!("Pending");
        o["status"]["conditions"] = json!([{"type": "Ready", "status": "False"}]);
        o["status"]["containerStatuses"][0]["ready"] = json!(false);
    };
    rig.cluster().update("pods", NS, "x-1", waits).unwrap();
    rig.advance(400);
    assert_eq!(told(&rig), ["hook opened service_unavailable critical"], "{:#?}", rig.story());
}

#[test]
fn a_finished_migration_beside_a_workload_makes_no_second_incident() {
    let mut rig = still();
    let (all, own) = (json!({"app": "site"}), json!({"app": "site", "tier": "front"}));
    workload(&rig, "Deployment", "site", &own, json!([]));
    make(
        &rig,
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate", "namespace": NS},
            "spec": {"completions": 1}, "status": {"succeeded": 1,
                "conditions": [{"type": "Complete", "status": "True"}]}}),
    );
    pod(&rig, "migrate-1", &all, owner(&rig, ("jobs", "batch/v1", "Job"), "migrate"));
    status(&rig, "migrate-1", "Succeeded", "PodCompleted");
    pod(&rig, "site-1", &own, owner(&rig, ("deployments", "apps/v1", "Deployment"), "site"));
    service(&rig, &all, &["site-1"]);
    rig.advance(30);
    let now = rig.now().to_string();
    let loops = |o: &mut Value| {
        o["status"]["conditions"] = json!([{"type": "Ready", "status": "False", "lastTransitionTime": now}]);
        o["status"]["containerStatuses"] = json!([{"name": "app", "ready": false, "restartCount": 4, "image": "x",
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": now}}}]);
    };
    rig.cluster().update("pods", NS, "site-1", loops).unwrap();
    without_endpoints(&rig);
    rig.advance(60);
    let opened: Vec<String> = rig.told().into_iter().filter(|t| t.contains(" opened ")).collect();
    assert_eq!(opened.len(), 1, "{:#?}", rig.story());
    let down = &rig.events_of(EventType::ServiceUnavailable)[0];
    assert_eq!(down.subject.resource(), "Deployment/site", "{down:#?}");
}

fn unready(rig: &Rig, name: &str, condition: Option<Value>) {
    let now = rig.now().to_string();
    let fail = |o: &mut Value| {
        let mut conditions = vec![json!({"type": "Ready", "status": "False", "lastTransitionTime": now})];
        conditions.extend(condition);
        o["status"]["conditions"] = json!(conditions);
        o["status"]["containerStatuses"][0]["ready"] = json!(false);
    };
    rig.cluster().update("pods", NS, name, fail).unwrap();
}

fn ready(rig: &Rig, name: &str) {
    let now = rig.now().to_string();
    let heal = |o: &mut Value| {
        o["status"]["conditions"] = json!([{"type": "Ready", "status": "True", "lastTransitionTime": now}]);
        o["status"]["containerStatuses"][0]["ready"] = json!(true);
    };
    rig.cluster().update("pods", NS, name, heal).unwrap();
    let back = |slice: &mut Value| slice["endpoints"] = json!([endpoint(name)]);
    rig.cluster().update("endpointslices", NS, "front-1", back).unwrap();
}

/// The only Pod of a workload is put in another's place, which is ready after so many seconds.
fn replaced(plural: &str, kind: &str, names: [&str; 2], evicted: bool, after: i64) -> Vec<String> {
    let mut rig = still();
    let labels = json!({"app": "one"});
    workload(&rig, kind, "one", &labels, json!([]));
    pod(&rig, names[0], &labels, owner(&rig, (plural, "apps/v1", kind), "one"));
    service(&rig, &labels, &[names[0]]);
    rig.advance(30);
    if evicted {
        let by = json!({"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"});
        unready(&rig, names[0], Some(by));
        without_endpoints(&rig);
        rig.advance(3);
        rig.cluster().delete("pods", NS, names[0]).unwrap();
    } else {
        rig.cluster().delete("pods", NS, names[0]).unwrap();
        without_endpoints(&rig);
        rig.advance(3);
    }
    pod(&rig, names[1], &labels, owner(&rig, (plural, "apps/v1", kind), "one"));
    unready(&rig, names[1], None);
    rig.advance(after - 3);
    ready(&rig, names[1]);
    rig.advance(400);
    told(&rig)
}

#[test]
fn the_only_pod_that_is_replaced_has_half_a_minute_to_be_back() {
    let alarm = ["hook opened service_unavailable critical", "hook resolved service_unavailable critical"];
    for (what, plural, kind, names, evicted) in [
        ("Recreate", "deployments", "Deployment", ["one-a", "one-b"], false),
        ("a StatefulSet is rolled", "statefulsets", "StatefulSet", ["one-0", "one-0"], false),
        ("a drain", "deployments", "Deployment", ["one-a", "one-b"], true),
    ] {
        assert_eq!(replaced(plural, kind, names, evicted, 20), Vec::<String>::new(), "{what}");
        assert_eq!(replaced(plural, kind, names, evicted, 45), alarm, "{what}");
    }
}

#[test]
fn a_daemon_set_that_no_node_wants_any_more_is_no_outage() {
    let mut rig = still();
    let labels = json!({"app": "agent"});
    workload(&rig, "DaemonSet", "agent", &labels, json!([]));
    let desired = |n: u32| {
        move |o: &mut Value| {
            o["status"] = json!({"desiredNumberScheduled": n, "currentNumberScheduled": n, "numberReady": n});
        }
    };
    rig.cluster().update("daemonsets", NS, "agent", desired(1)).unwrap();
    pod(&rig, "agent-1", &labels, owner(&rig, ("daemonsets", "apps/v1", "DaemonSet"), "agent"));
    service(&rig, &labels, &["agent-1"]);
    rig.advance(30);
    rig.cluster().delete("pods", NS, "agent-1").unwrap();
    without_endpoints(&rig);
    rig.advance(5);
    rig.cluster().update("daemonsets", NS, "agent", desired(0)).unwrap();
    rig.advance(400);
    assert_eq!(told(&rig), Vec::<String>::new(), "{:#?}", rig.story());
}

/// Two colours, a Pod each, and a Service on the blue one alone.
fn two_colours(rig: &mut Rig) {
    for colour in ["blue", "green"] {
        let labels = json!({"app": "front", "colour": colour});
        workload(rig, "Deployment", colour, &labels, json!([]));
        let owners = owner(rig, ("deployments", "apps/v1", "Deployment"), colour);
        pod(rig, &format!("{colour}-1"), &labels, owners);
    }
    service(rig, &json!({"app": "front", "colour": "blue"}), &["blue-1"]);
    unready(rig, "green-1", None);
    rig.advance(30);
}

#[test]
fn a_switch_to_a_side_that_is_not_ready_is_told_of_that_side_as_of_the_switch() {
    let mut rig = still();
    two_colours(&mut rig);
    let switched = rig.now();
    let green = |o: &mut Value| o["spec"]["selector"]["colour"] = json!("green");
    rig.cluster().update("services", NS, "front", green).unwrap();
    without_endpoints(&rig);
    rig.advance(10);
    let down = &rig.events_of(EventType::ServiceUnavailable)[0];
    assert_eq!(down.subject.resource(), "Deployment/green", "{down:#?}");
    assert_eq!(down.details["cause"], json!("unknown"), "{down:#?}");
    assert!(down.timestamp.duration_since(switched).as_secs().abs() <= 1, "{switched} {down:#?}");
}

#[test]
fn a_selector_that_finds_nothing_any_more_is_told() {
    let mut rig = still();
    two_colours(&mut rig);
    let typo = |o: &mut Value| o["spec"]["selector"]["colour"] = json!("bleu");
    rig.cluster().update("services", NS, "front", typo).unwrap();
    without_endpoints(&rig);
    rig.advance(10);
    assert_eq!(told(&rig), ["hook opened service_unavailable critical"], "{:#?}", rig.story());
}

#[test]
fn one_workload_at_none_excuses_no_other() {
    let mut rig = still();
    two_colours(&mut rig);
    let both = |o: &mut Value| o["spec"]["selector"] = json!({"app": "front"});
    rig.cluster().update("services", NS, "front", both).unwrap();
    ready(&rig, "green-1");
    scale_to_none(&rig, "deployments", "blue");
    rig.cluster().delete("pods", NS, "blue-1").unwrap();
    rig.advance(30);
    unready(&rig, "green-1", None);
    without_endpoints(&rig);
    rig.advance(5);
    assert_eq!(told(&rig), ["hook opened service_unavailable critical"], "{:#?}", rig.story());
}
