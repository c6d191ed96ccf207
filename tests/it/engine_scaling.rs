//! An autoscaler at its maximum beside an outage of what it scales: one incident while both go on, and no reason to keep
//! it open afterwards.

use barrelman::event::{
    EventType,
    incident::{IncidentStatus, Phase},
};

use crate::support::rig::Rig;

const CATALOG: &str = "Deployment/shop/catalog";
const SCALER: &str = "HorizontalPodAutoscaler/shop/catalog";
const NOPE: &str = "registry.example.com/shop/catalog:nope";

/// An image that is not there, told; then the load that the autoscaler cannot carry.
fn broken_and_limited() -> Rig {
    let mut rig = Rig::shop();
    rig.sim().rollout("shop/catalog", NOPE, "image").unwrap();
    rig.advance(30);
    assert_eq!(rig.told(), ["hook opened image_pull_failed high"], "{:#?}", rig.story());
    rig.sim().load("shop/catalog", 5000).unwrap();
    rig.advance(60);
    let maxed = rig.events_of(EventType::HpaMaxed);
    assert_eq!(maxed.len(), 1, "{:#?}", rig.story());
    assert_eq!(maxed[0].incident, Some(rig.incident(CATALOG).id), "{:#?}", rig.story());
    assert_eq!(rig.sent.len(), 1, "{:#?}", rig.story());
    rig
}

#[test]
fn an_outage_ends_although_its_autoscaler_stays_at_its_maximum_and_that_is_told_then() {
    let mut rig = broken_and_limited();
    rig.sim().rollback("shop/catalog").unwrap();
    rig.advance(400);
    assert_eq!(
        rig.told(),
        [
            "hook opened image_pull_failed high",
            "hook resolved image_pull_failed high",
            "hook opened hpa_maxed high"
        ],
        "{:#?}",
        rig.story()
    );
    let outage = rig.incident(CATALOG);
    assert_eq!((outage.status, outage.holding), (IncidentStatus::Resolved, 0));
    assert_eq!(outage.event_type, EventType::ImagePullFailed);
    let end = rig.sent[1].message.incident.as_ref().unwrap();
    assert!(end.members.iter().all(|m| m.event_type != EventType::HpaMaxed), "{end:#?}");
    let own = rig.incident(SCALER);
    assert_eq!((own.status, own.holding, own.members), (IncidentStatus::Open, 1, 1), "{own:#?}");
    let event = &rig.events_of(EventType::HpaMaxed)[0];
    assert_eq!((&event.incident, own.opened_at), (&Some(own.id), event.timestamp));
    let report = barrelman::store::verify::verify(&rig.store().snapshot().unwrap()).unwrap();
    assert!(report.found == 0, "{report:?}");

    // What breaks next is told by itself, and the autoscaler's end too.
    rig.advance(3600);
    rig.sim().rollout("shop/catalog", NOPE, "image").unwrap();
    rig.advance(60);
    assert_eq!(rig.told()[3..], ["hook opened image_pull_failed high"], "{:#?}", rig.story());
    rig.restart();
    rig.sim().load("shop/catalog", 100).unwrap();
    rig.advance(180);
    assert_eq!(rig.about(SCALER, Phase::Resolved).len(), 1, "{:#?}", rig.story());
    assert_eq!(rig.incident(CATALOG).status, IncidentStatus::Open, "{:#?}", rig.story());
}

#[test]
fn an_autoscaler_that_is_about_to_be_well_is_waited_for() {
    let mut rig = broken_and_limited();
    rig.sim().rollback("shop/catalog").unwrap();
    rig.advance(30);
    rig.sim().load("shop/catalog", 100).unwrap();
    rig.advance(600);
    assert_eq!(rig.told()[1..], ["hook resolved image_pull_failed high"], "{:#?}", rig.story());
    assert!(rig.incidents().iter().all(|i| i.subject.key() != SCALER), "{:#?}", rig.story());
}

#[test]
fn an_incident_that_the_autoscaler_opened_goes_on_with_it() {
    let mut rig = Rig::shop();
    rig.sim().load("shop/catalog", 5000).unwrap();
    rig.advance(60);
    assert_eq!(rig.told(), ["hook opened hpa_maxed high"], "{:#?}", rig.story());
    rig.sim().fail_probes("shop/catalog").unwrap();
    rig.advance(30);
    rig.sim().recover("shop/catalog").unwrap();
    rig.advance(600);
    let one = rig.incident(CATALOG);
    assert_eq!((one.status, one.holding), (IncidentStatus::Open, 1), "{:#?}", rig.story());
    assert!(rig.incidents().iter().all(|i| i.subject.key() != SCALER), "{:#?}", rig.story());
    rig.sim().load("shop/catalog", 100).unwrap();
    rig.advance(600);
    assert_eq!(rig.about(CATALOG, Phase::Resolved).len(), 1, "{:#?}", rig.story());
}

#[test]
fn an_autoscaler_beside_what_passes_by_itself_is_told_when_that_has_had_its_time() {
    let mut rig = Rig::shop();
    rig.sim().oom("shop/catalog", 1).unwrap();
    rig.advance(60);
    assert_eq!(rig.told(), ["hook opened pod_oom_restart high"], "{:#?}", rig.story());
    rig.sim().load("shop/catalog", 5000).unwrap();
    rig.advance(1800);
    assert_eq!(rig.sent.len(), 1, "{:#?}", rig.story());
    rig.advance(1900);
    assert_eq!(rig.told()[1..], ["hook opened hpa_maxed high"], "{:#?}", rig.story());
    assert_eq!(rig.incident(CATALOG).status, IncidentStatus::Resolved, "{:#?}", rig.story());
}

#[test]
fn it_is_at_its_maximum_since_it_grew_to_it_not_since_it_was_held_back() {
    let mut rig = Rig::shop();
    rig.watched[0].sim = None;
    let (held_back, grew) = ("2026-03-02T11:30:00Z", "2026-03-02T11:40:00Z");
    rig.cluster()
        .update("horizontalpodautoscalers", "shop", "catalog", |hpa| {
            hpa["status"] = serde_json::json!({"currentReplicas": 8, "desiredReplicas": 8, "lastScaleTime": grew,
                "conditions": [{"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas",
                    "message": "more than the maximum", "lastTransitionTime": held_back}]});
        })
        .unwrap();
    rig.advance(1);
    let maxed = &rig.events_of(EventType::HpaMaxed)[0];
    assert_eq!(maxed.timestamp.to_string(), grew, "{maxed:#?}");
}
