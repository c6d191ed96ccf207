//! What falls into an outage of the API, or of our own, is judged when its controllers have had their time.

use barrelman::{
    event::{EventType, incident::Phase},
    object::Said,
};
use serde_json::json;

use crate::support::rig::{HOOK, Rig};

const BACKUP: &str = "CronJob/shop/minutely";

/// A CronJob that ran at noon, as one whose controller is there.
fn minutely() -> Rig {
    let mut rig = Rig::empty(HOOK);
    rig.add("shop", |cluster| {
        barrelman::demo::Sim::demo(cluster, crate::support::noon(), 1.0);
        None
    });
    rig.cluster().delete("cronjobs", "batch", "backup").unwrap();
    let now = rig.now().to_string();
    rig.cluster()
        .create(json!({
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": { "namespace": "shop", "name": "minutely" },
            "spec": {
                "schedule": "* * * * *",
                "jobTemplate": { "spec": { "template": { "spec": { "containers": [] } } } },
            },
            "status": { "lastScheduleTime": now },
        }))
        .unwrap();
    rig.start();
    rig
}

fn ran(rig: &Rig) {
    let now = rig.now().to_string();
    rig.cluster()
        .update("cronjobs", "shop", "minutely", |c| c["status"] = json!({ "lastScheduleTime": now }))
        .unwrap();
}

fn missed(rig: &Rig) -> usize {
    rig.events_of(EventType::CronjobMissed).len()
}

fn outage(rig: &mut Rig) {
    let (uid, since) = (rig.watched[0].uid.clone(), rig.now());
    rig.say(vec![Said::Away { cluster: uid, since, why: "connection refused".into() }]);
    rig.say_for(140);
    rig.start();
}

#[test]
fn a_run_that_fell_into_an_outage_of_the_api_is_no_alarm_of_its_own() {
    let mut rig = minutely();
    rig.advance(30);
    outage(&mut rig);
    rig.advance(24);
    ran(&rig);
    rig.advance(50);
    ran(&rig);
    assert_eq!(missed(&rig), 0, "{:#?}", rig.story());
    assert_eq!(rig.about(BACKUP, Phase::Opened).len(), 0);
}

#[test]
fn a_run_that_is_not_made_good_after_an_outage_is_told() {
    let mut rig = minutely();
    rig.advance(30);
    outage(&mut rig);
    rig.advance(170);
    assert_eq!(missed(&rig), 0, "{:#?}", rig.story());
    rig.advance(30);
    assert_eq!(rig.about(BACKUP, Phase::Opened).len(), 1, "{:#?}", rig.story());
}

#[test]
fn a_run_that_fell_into_a_gap_of_our_own_waits_as_long() {
    let mut rig = minutely();
    rig.advance(30);
    rig.alive();
    rig.stop();
    rig.unwatched(140);
    rig.begin();
    rig.start();
    rig.advance(170);
    assert_eq!(missed(&rig), 0, "{:#?}", rig.story());
    rig.advance(30);
    assert_eq!(rig.about(BACKUP, Phase::Opened).len(), 1, "{:#?}", rig.story());
}

#[test]
fn a_run_of_quiet_times_is_told_after_its_minute() {
    let mut rig = minutely();
    rig.advance(130);
    assert_eq!(rig.about(BACKUP, Phase::Opened).len(), 1, "{:#?}", rig.story());
}

#[test]
fn a_cluster_that_was_never_reached_is_told_and_its_end_too_over_a_restart() {
    let mut rig = Rig::empty(HOOK);
    let uid = barrelman::event::ClusterUid::unreached("prod", "prod");
    let unreached = |rig: &Rig| Said::Unreached {
        cluster: uid.clone(),
        name: "prod".into(),
        since: rig.now(),
        why: "connection refused".into(),
    };
    let said = unreached(&rig);
    rig.say(vec![said]);
    rig.say_for(55);
    assert_eq!(rig.told(), Vec::<String>::new(), "{:#?}", rig.story());
    rig.say_for(10);
    assert_eq!(rig.told(), ["hook opened cluster_unhealthy critical"], "{:#?}", rig.story());
    assert_eq!(rig.sent[0].message.event.title, "The API server of prod does not answer");
    rig.stop();
    rig.begin();
    let said = unreached(&rig);
    rig.say(vec![said]);
    rig.say_for(120);
    assert_eq!(rig.sent.len(), 1, "{:#?}", rig.story());
    // Another process reaches it: it was not away for that one.
    rig.stop();
    rig.begin();
    rig.say(vec![Said::Live(uid.clone())]);
    rig.say_for(61);
    assert_eq!(rig.told()[1..], ["hook resolved cluster_unhealthy critical"], "{:#?}", rig.story());
    // One that is reached at once was never away.
    rig.say(vec![Said::Live(barrelman::event::ClusterUid::unreached("stage", "stage"))]);
    rig.say_for(300);
    assert_eq!(rig.sent.len(), 2, "{:#?}", rig.story());
}

fn away(rig: &mut Rig) {
    let (uid, since) = (rig.watched[0].uid.clone(), rig.now());
    rig.say(vec![Said::Away { cluster: uid, since, why: "connection refused".into() }]);
}

#[test]
fn a_restart_within_an_outage_makes_it_no_shorter() {
    let mut rig = minutely();
    rig.advance(30);
    rig.alive();
    away(&mut rig);
    // The run of the first minute is more than a minute late when the process begins again.
    rig.say_for(100);
    rig.alive();
    rig.stop();
    rig.begin();
    rig.alive();
    away(&mut rig);
    rig.say_for(5);
    rig.alive();
    rig.say_for(60);
    rig.start();
    rig.advance(24);
    ran(&rig);
    rig.advance(50);
    ran(&rig);
    assert_eq!(missed(&rig), 0, "{:#?}", rig.story());
}

#[test]
fn an_api_that_is_away_again_after_a_restart_was_not_back() {
    let mut rig = Rig::shop();
    away(&mut rig);
    rig.say_for(90);
    let told = ["hook opened cluster_unhealthy critical"];
    assert_eq!(rig.told(), told, "{:#?}", rig.story());
    rig.start();
    rig.advance(5);
    rig.stop();
    rig.unwatched(100);
    rig.begin();
    // Its end is past due, and nothing is known of it yet.
    rig.say_for(3);
    away(&mut rig);
    rig.say_for(90);
    assert_eq!(rig.told(), told, "{:#?}", rig.story());
    assert_eq!(rig.events_of(EventType::ClusterUnhealthy).len(), 1, "{:#?}", rig.story());
    rig.start();
    rig.advance(55);
    assert_eq!(rig.told(), told, "{:#?}", rig.story());
    rig.advance(10);
    assert_eq!(rig.told()[1..], ["hook resolved cluster_unhealthy critical"], "{:#?}", rig.story());
}

#[test]
fn an_api_that_answers_at_a_start_has_to_go_on_answering() {
    let mut rig = Rig::shop();
    away(&mut rig);
    rig.say_for(90);
    rig.start();
    rig.advance(5);
    rig.stop();
    rig.unwatched(100);
    rig.begin();
    rig.start();
    rig.advance(55);
    assert_eq!(rig.told().len(), 1, "{:#?}", rig.story());
    rig.advance(10);
    assert_eq!(rig.told()[1..], ["hook resolved cluster_unhealthy critical"], "{:#?}", rig.story());
}
