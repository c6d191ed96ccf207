//! Broken again: what is said of this time, and what flapping may not swallow.

use barrelman::{
    connector::text::Message,
    event::{
        EventType,
        incident::{IncidentStatus, Phase},
    },
};

use crate::support::rig::{HOOK, Rig};

const WEB: &str = "Deployment/shop/web";
const NOPE: &str = "registry.example.com/shop/web:nope";

fn words(rig: &Rig) -> Vec<String> {
    let word = |s: &crate::support::rig::Sent| {
        let severity = s.message.severity();
        format!("{} {severity}", s.message.phase.as_str())
    };
    rig.sent.iter().map(word).collect()
}

/// An image that cannot be pulled, three times, with health in between.
fn flaps(toml: &str) -> Rig {
    let mut rig = Rig::shop_with(toml);
    for _ in 0..2 {
        rig.sim().rollout("shop/web", NOPE, "image").unwrap();
        rig.advance(60);
        rig.sim().rollback("shop/web").unwrap();
        rig.advance(240);
    }
    rig.sim().rollout("shop/web", NOPE, "image").unwrap();
    rig.advance(60);
    let told = ["opened high", "resolved high", "reopened high", "resolved high", "flapping high"];
    assert_eq!(words(&rig), told, "{:#?}", rig.story());
    rig.sent.clear();
    rig
}

#[test]
fn what_gets_worse_than_all_that_was_told_is_told_while_it_flaps() {
    let mut rig = flaps(HOOK);
    rig.sim().fail_probes("shop/web").unwrap();
    rig.advance(60);
    assert_eq!(words(&rig), ["worse critical"], "{:#?}", rig.story());
    // The same again is what flapping keeps quiet.
    rig.sim().rollback("shop/web").unwrap();
    rig.sim().recover("shop/web").unwrap();
    rig.advance(240);
    assert_eq!(rig.incident(WEB).status, IncidentStatus::Resolved, "{:#?}", rig.story());
    rig.sim().fail_probes("shop/web").unwrap();
    rig.advance(60);
    assert_eq!(words(&rig), ["worse critical"], "{:#?}", rig.story());
}

#[test]
fn what_opens_again_worse_than_all_that_was_told_is_told_while_it_flaps() {
    let mut rig = flaps(HOOK);
    rig.sim().rollback("shop/web").unwrap();
    rig.advance(240);
    assert_eq!(rig.incident(WEB).status, IncidentStatus::Resolved, "{:#?}", rig.story());
    assert_eq!(words(&rig), Vec::<String>::new());
    rig.sim().fail_probes("shop/web").unwrap();
    rig.advance(60);
    assert_eq!(words(&rig), ["worse critical"], "{:#?}", rig.story());
    rig.sim().recover("shop/web").unwrap();
    rig.advance(1200);
    assert_eq!(words(&rig), ["worse critical", "resolved critical"], "{:#?}", rig.story());
}

#[test]
fn what_healed_before_it_was_told_as_worse_is_worse_still_when_it_comes_again() {
    let mut rig = flaps(&format!("[incidents.settle_secs]\ncritical = 150\n{HOOK}"));
    rig.sim().fail_probes("shop/web").unwrap();
    rig.advance(20);
    rig.sim().rollback("shop/web").unwrap();
    rig.sim().recover("shop/web").unwrap();
    rig.advance(200);
    assert_eq!(rig.incident(WEB).status, IncidentStatus::Resolved, "{:#?}", rig.story());
    assert_eq!(words(&rig), Vec::<String>::new(), "{:#?}", rig.story());
    rig.sim().fail_probes("shop/web").unwrap();
    rig.advance(200);
    assert_eq!(words(&rig), ["worse critical"], "{:#?}", rig.story());
}

#[test]
fn broken_again_tells_the_time_the_objects_and_the_changes_of_this_time() {
    let mut rig = Rig::shop();
    rig.sim().rollout("shop/web", NOPE, "image").unwrap();
    rig.advance(60);
    rig.sim().rollback("shop/web").unwrap();
    rig.advance(400);
    assert_eq!(words(&rig), ["opened high", "resolved high"], "{:#?}", rig.story());
    let first: Vec<String> = facts(&rig, 0).members.iter().map(|m| m.resource.clone()).collect();
    let broken_at = rig.now();
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:2.15.0", "crash").unwrap();
    rig.advance(110);
    let again = rig.about(WEB, Phase::Reopened)[0].message.clone();
    let known = facts(&rig, 2);
    assert!(known.since() >= broken_at && known.opened_at < broken_at, "{known:#?}");
    assert!(!known.members.is_empty() && known.member_count as usize == known.members.len(), "{known:#?}");
    assert!(known.members.iter().all(|m| m.since >= broken_at), "{known:#?}");
    assert!(known.members.iter().all(|m| !first.contains(&m.resource)), "{first:?} {known:#?}");
    let message = Message::of(&again);
    assert!(message.place.last().unwrap().contains(&clock(known.since())), "{:?}", message.place);
    let changes = message.changes.unwrap();
    assert!(changes[0].contains("2.15.0"), "{changes:?}");
    rig.sim().rollback("shop/web").unwrap();
    rig.advance(1000);
    let over = rig.about(WEB, Phase::Resolved)[1].message.clone();
    let facts = over.incident.as_ref().unwrap();
    assert_eq!(facts.since(), known.since());
    let lasted = facts.resolved_at.unwrap().duration_since(facts.since());
    let title = format!(" — over after {}", barrelman::connector::text::age(lasted));
    assert!(over.event.title.ends_with(&title), "{} {title}", over.event.title);
    assert!(Message::of(&over).place.last().unwrap().starts_with(&date(known.since())));
}

#[test]
fn what_is_suspected_when_it_breaks_again_was_before_this_time_and_is_no_trouble_of_its_own() {
    let mut rig = Rig::shop();
    for down in [true, false, true, false, true] {
        rig.sim().node_down("node-c", down).unwrap();
        rig.advance(150);
    }
    let node = rig.incident("Node//node-c");
    assert!(node.reopened > 0, "{:#?}", rig.story());
    let own = |s: &barrelman::event::incident::Suspect| s.object.key() == node.subject.key();
    assert!(!node.suspects.iter().any(own), "{:#?}", node.suspects);
    // The same after a restart, which reads the changes from the store.
    rig.sim().node_down("node-c", false).unwrap();
    rig.advance(150);
    rig.restart();
    rig.sim().node_down("node-c", true).unwrap();
    rig.advance(150);
    let again = rig.incident("Node//node-c");
    assert!(again.reopened > node.reopened, "{:#?}", rig.story());
    assert!(!again.suspects.iter().any(own), "{:#?}", again.suspects);
    // A workload on it suspects the node, as before.
    assert!(
        rig.incidents().iter().all(|i| i.suspects.iter().all(|s| s.at <= i.since())),
        "{:#?}",
        rig.incidents()
    );
}

fn facts(rig: &Rig, at: usize) -> barrelman::event::incident::IncidentFacts {
    rig.sent[at].message.incident.clone().unwrap()
}

fn clock(at: jiff::Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

fn date(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[test]
fn what_breaks_anew_before_it_has_ended_has_its_own_time_and_suspects() {
    let mut rig = Rig::shop();
    rig.sim().rollout("shop/search", "registry.example/search:2.15.0", "image").unwrap();
    rig.advance(60);
    let first = rig.incident("Deployment/shop/search");
    rig.sim().rollout("shop/search", "registry.example/search:2.14.2", "none").unwrap();
    rig.advance(25);
    rig.sim().rollout("shop/search", "registry.example/search:2.16.0", "image").unwrap();
    let again = rig.now();
    rig.advance(30);
    let anew = rig.incident("Deployment/shop/search");
    assert_eq!((anew.reopened, anew.since()), (0, first.since()), "{:#?}", rig.story());
    let at = anew.refired_at.expect("it was well in between");
    assert!(at >= again && at <= rig.now(), "{at} {again}");
    assert!(anew.suspects[0].title.contains("2.16.0"), "{:#?}", anew.suspects);
    assert!(anew.suspects.iter().any(|s| s.event == first.suspects[0].event), "{:#?}", anew.suspects);
    assert!(anew.suspects.len() <= 5);
    assert_eq!(rig.told(), ["hook opened image_pull_failed high"], "{:#?}", rig.story());
    // Broken again after its end, nothing of that is left.
    rig.sim().rollout("shop/search", "registry.example/search:2.16.1", "none").unwrap();
    rig.advance(300);
    rig.sim().rollout("shop/search", "registry.example/search:2.17.0", "image").unwrap();
    rig.advance(60);
    let reopened = rig.incident("Deployment/shop/search");
    assert_eq!((reopened.reopened, reopened.refired_at), (1, None), "{:#?}", rig.story());
}

#[test]
fn a_crash_loop_does_not_break_anew_with_each_crash() {
    let mut rig = Rig::shop();
    rig.sim().rollout("shop/search", "registry.example/search:2.15.0", "crash").unwrap();
    rig.advance(1200);
    let looping = rig.incident("Deployment/shop/search");
    assert!(looping.events > 12, "{looping:#?}");
    assert_eq!(looping.refired_at, None, "{looping:#?}");
}

#[test]
fn what_breaks_after_a_quiet_end_is_told_reminded_of_and_ended_as_itself() {
    let mut rig =
        Rig::shop_with(&format!("[incidents]\none_shot_secs = 120\nrepeat_interval_secs = 900\n{HOOK}"));
    rig.sim().oom("shop/web", 1).unwrap();
    rig.advance(400);
    assert_eq!(rig.incident(WEB).status, IncidentStatus::Resolved, "{:#?}", rig.story());
    assert_eq!(words(&rig), ["opened high"], "{:#?}", rig.story());
    // No worse than what was told, but another trouble.
    rig.sim().rollout("shop/web", NOPE, "image").unwrap();
    rig.advance(60);
    assert_eq!(words(&rig)[1..], ["reopened high"], "{:#?}", rig.story());
    assert_eq!(rig.sent[1].message.event.event_type, EventType::ImagePullFailed);
    rig.advance(900);
    assert_eq!(words(&rig)[2..], ["repeated high"], "{:#?}", rig.story());
    rig.sim().rollback("shop/web").unwrap();
    rig.advance(240);
    assert_eq!(words(&rig)[3..], ["resolved high"], "{:#?}", rig.story());
    assert_eq!(rig.sent[3].message.event.event_type, EventType::ImagePullFailed);
}

/// Told as medium; its end waits for a sink that is down.
fn ends_unheard() -> Rig {
    let of_medium = "[types]\nimage_pull_failed.severity = \"medium\"\nrollout_stuck.severity = \"medium\"\n";
    let mut rig = Rig::shop_with(&format!("{of_medium}[incidents]\nrepeat_interval_secs = 400\n{HOOK}"));
    rig.sim().rollout("shop/web", NOPE, "image").unwrap();
    rig.advance(60);
    rig.sink_up = false;
    rig.sim().rollback("shop/web").unwrap();
    rig.advance(240);
    let waiting: Vec<Phase> = rig.outbox().iter().map(|row| row.notification.phase).collect();
    assert_eq!(waiting, [Phase::Resolved], "{:#?}", rig.story());
    rig
}

#[test]
fn what_is_worse_before_an_end_was_heard_is_told_as_worse() {
    let mut rig = ends_unheard();
    rig.sim().fail_probes("shop/web").unwrap();
    rig.advance(30);
    rig.sink_up = true;
    rig.advance(10);
    assert_eq!(words(&rig), ["opened medium", "worse critical"], "{:#?}", rig.story());
    rig.advance(420);
    assert_eq!(words(&rig)[2..], ["repeated critical"], "{:#?}", rig.story());
}

#[test]
fn what_is_back_before_its_end_was_heard_is_reminded_of() {
    let mut rig = ends_unheard();
    rig.sim().rollout("shop/web", NOPE, "image").unwrap();
    rig.advance(60);
    rig.sink_up = true;
    rig.advance(10);
    assert_eq!(words(&rig), ["opened medium"], "{:#?}", rig.story());
    rig.advance(420);
    assert_eq!(words(&rig)[1..], ["repeated medium"], "{:#?}", rig.story());
}

#[test]
fn a_one_shot_after_the_end_of_its_incident_is_no_repeat_of_the_one_before() {
    // Its kubelet has forgotten the first crash when the second comes.
    let mut rig = Rig::shop_with(&format!("[incidents]\ndedup_window_secs = 1800\n{HOOK}"));
    rig.sim().oom("shop/search", 1).unwrap();
    rig.advance(60);
    let first = rig.events_of(EventType::PodOomRestart);
    assert_eq!(first.len(), 1, "{:#?}", rig.story());
    rig.sim().fail_probes("shop/search").unwrap();
    rig.advance(30);
    rig.sim().recover("shop/search").unwrap();
    rig.advance(600);
    assert_eq!(rig.incident("Deployment/shop/search").status, IncidentStatus::Resolved, "{:#?}", rig.story());
    rig.sim().oom("shop/search", 1).unwrap();
    rig.advance(60);
    let both = rig.events_of(EventType::PodOomRestart);
    assert_eq!(both.len(), 2, "{:#?}", rig.story());
    assert_eq!(both[0].fingerprint, both[1].fingerprint, "the same container, within the window");
    let told = ["opened high", "worse critical", "resolved critical", "reopened high"];
    assert_eq!(words(&rig), told, "{:#?}", rig.story());
}
