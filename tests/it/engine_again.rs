//! Broken again: what flapping may not swallow.

use barrelman::event::incident::IncidentStatus;

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
