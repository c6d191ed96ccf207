//! Clocks that disagree: neither a node's nor our own delays an alarm, or silences one.

use barrelman::{
    event::{EventType, Kind, incident::Phase},
    object::Said,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::support::rig::Rig;

/// A pod of nobody that crashes, written by a cluster whose time this is.
fn crashes(rig: &mut Rig, name: &str, at: Timestamp) {
    let status = json!({"phase": "Running", "containerStatuses": [{"name": "app", "restartCount": 4, "ready": false,
        "image": "web:1", "imageID": "",
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}},
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "startedAt": at, "finishedAt": at}}}]});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"containers": [{"name": "app", "image": "web:1"}]}, "status": status});
    rig.cluster().writer("kubelet").at(at).create(pod).expect("a new pod");
}

fn opened(rig: &Rig, name: &str) -> usize {
    rig.about(&format!("Pod/shop/{name}"), Phase::Opened).len()
}

#[test]
fn a_node_whose_clock_is_ahead_delays_no_alarm() {
    let mut rig = Rig::shop();
    let now = rig.now();
    crashes(&mut rig, "in-time", now);
    crashes(&mut rig, "ahead", now + SignedDuration::from_mins(6));
    rig.advance(60);
    assert_eq!((opened(&rig, "in-time"), opened(&rig, "ahead")), (1, 1), "{:#?}", rig.story());
}

/// With our clock ahead of the cluster's, what begins in the first minutes has times from before we looked.
#[test]
fn trouble_that_begins_while_our_clock_is_ahead_did_not_stand_at_the_first_sight() {
    let mut rig = Rig::shop();
    let (uid, ahead) = (rig.watched[0].uid.clone(), SignedDuration::from_mins(-10));
    rig.say(vec![Said::Clock { cluster: uid, ahead }]);
    rig.advance(60);
    let at = rig.now() + ahead;
    crashes(&mut rig, "new", at);
    rig.advance(60);
    assert_eq!(opened(&rig, "new"), 1, "{:#?}", rig.story());
    let event = rig.events_of(EventType::PodCrashLoop).pop().expect("the crash loop");
    assert_eq!(event.timestamp, at, "the time is the cluster's");
    // What was there before is no news still.
    assert!(!event.standing);
}

/// With our clock behind, a condition comes after its own time and not that of the difference.
#[test]
fn our_clock_being_behind_delays_no_threshold() {
    let told_after = |ahead: SignedDuration| {
        let mut rig = Rig::shop();
        let uid = rig.watched[0].uid.clone();
        rig.say(vec![Said::Clock { cluster: uid, ahead }]);
        let (from, at) = (rig.now(), rig.now() + ahead);
        let node = rig.cluster().list(Kind::Node)[0]["metadata"]["name"].as_str().expect("a name").to_owned();
        let condition = json!([{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown",
            "message": "Kubelet stopped posting node status.", "lastTransitionTime": at}]);
        let set = |node: &mut serde_json::Value| node["status"]["conditions"] = condition;
        rig.cluster()
            .writer("kube-controller-manager")
            .at(at)
            .update(Kind::Node, "", &node, set)
            .expect("a node");
        rig.advance(300);
        let subject = format!("Node//{node}");
        let told = rig.about(&subject, Phase::Opened);
        let sent = told.first().unwrap_or_else(|| panic!("{subject} {:#?}", rig.story()));
        sent.at.duration_since(from).as_secs()
    };
    let (agreed, behind) = (told_after(SignedDuration::ZERO), told_after(SignedDuration::from_mins(10)));
    assert!((agreed - behind).abs() <= 1, "{agreed} s and {behind} s");
}
