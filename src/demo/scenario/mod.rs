//! Plays a script on a simulated cluster, day after day, at any speed.
//!
//! Time is passed in: `advance(now)` does all steps and everything that follows from them until then, in order of
//! time. `run` does that by the cluster's clock until it is told to stop. Same seed, script, start and speed: same
//! objects.

mod script;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

pub use script::{Script, ScriptError, Step, Verb};

use super::cluster::Cluster;
use super::rng::Rng;
use super::sim::{ActionError, Sim};

/// The demo's own day.
const DEMO: &str = include_str!("../../../assets/demo-scenario.toml");

impl Script {
    /// The demo's own day.
    pub fn demo() -> Script {
        Script::parse(DEMO).expect("a test reads it")
    }
}

/// Plays a script.
#[derive(Debug)]
pub struct Player {
    sim: Sim,
    script: Script,
    rng: Rng,
    speed: f64,
    day: u64,
    day_began: Timestamp,
    next: usize,
    jitter_ms: i64,
}

/// Steps come up to so much later than written, so that no two days are the same.
const JITTER_MS: u64 = 3_000;

impl Player {
    /// The demo: its cluster, healthy at `start`, and its day; `speed` 2 plays it in half the time.
    pub fn demo(cluster: Cluster, start: Timestamp, speed: f64) -> Player {
        Player::new(Sim::demo(cluster, start, speed), Script::demo(), start, speed)
    }

    /// A script on a cluster of its own.
    pub fn new(sim: Sim, script: Script, start: Timestamp, speed: f64) -> Player {
        let rng = Rng::new(sim.cluster().inner.options.seed ^ 0x5ce0_a210);
        let speed = if speed.is_finite() && speed > 0.0 { speed } else { 1.0 };
        Player { sim, script, rng, speed, day: 1, day_began: start, next: 0, jitter_ms: 0 }
    }

    /// The life that it plays on, for further actions.
    pub fn sim(&mut self) -> &mut Sim {
        &mut self.sim
    }

    /// The number of the day, from 1.
    pub fn day(&self) -> u64 {
        self.day
    }

    /// Does everything that is due until `now`.
    ///
    /// # Errors
    /// A step that cannot be done; it is passed over, and the next call goes on after it.
    pub fn advance(&mut self, now: Timestamp) -> Result<(), ActionError> {
        while self.next_step_at() <= now {
            let at = self.next_step_at();
            self.sim.advance(at);
            let step = self.script.steps.get(self.next).cloned();
            self.jitter_ms = self.rng.below(JITTER_MS) as i64;
            let Some(step) = step else {
                self.day_began = at;
                self.day += 1;
                self.next = 0;
                continue;
            };
            self.next += 1;
            step.perform(&mut self.sim, self.day)?;
        }
        self.sim.advance(now);
        Ok(())
    }

    /// When something is due next.
    pub fn next_due(&self) -> Timestamp {
        let step = self.next_step_at();
        self.sim.next_due().map_or(step, |at| at.min(step))
    }

    /// Plays by the cluster's clock until the token is cancelled. A step that cannot be done is logged and left out.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let now = self.sim.cluster().now();
            if let Err(error) = self.advance(now) {
                tracing::warn!(%error, day = self.day, step = self.next, "a step of the scenario was left out");
                continue;
            }
            let wait = self.next_due().duration_since(now).as_millis().clamp(5, 250);
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(wait as u64)) => {}
            }
        }
    }

    /// When the next step, or the next day, is due.
    fn next_step_at(&self) -> Timestamp {
        let (secs, jitter) = match self.script.steps.get(self.next) {
            Some(step) => (step.at_secs, self.jitter_ms),
            None => (self.script.day_secs.max(1), 0),
        };
        let millis = ((f64::from(secs) * 1000.0 + jitter as f64) / self.speed) as i64;
        self.day_began + SignedDuration::from_millis(millis.max(1))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::demo::Options;
    use crate::event::Kind;

    fn player(seed: u64) -> (Cluster, Player, Timestamp) {
        let start: Timestamp = "2026-03-02T12:00:00Z".parse().expect("a time");
        let cluster =
            Cluster::new(Options { history: 100_000, ..Options::new(seed, Arc::new(move || start)) });
        let player = Player::demo(cluster.clone(), start, 1.0);
        (cluster, player, start)
    }

    fn text<'a>(value: &'a serde_json::Value, at: &str) -> &'a str {
        value.pointer(at).and_then(serde_json::Value::as_str).unwrap_or_default()
    }

    #[test]
    fn the_demo_begins_healthy() {
        let (cluster, _, _) = player(1);
        for deployment in cluster.list(Kind::Deployment) {
            assert_eq!(deployment["status"]["readyReplicas"], deployment["spec"]["replicas"], "{deployment}");
            assert_eq!(deployment["status"]["observedGeneration"], deployment["metadata"]["generation"]);
        }
        for kind in [Kind::StatefulSet, Kind::DaemonSet] {
            for workload in cluster.list(kind) {
                let ready =
                    workload.pointer("/status/readyReplicas").or(workload.pointer("/status/numberReady"));
                let wanted = if kind == Kind::StatefulSet { 3 } else { 5 };
                assert_eq!(ready, Some(&serde_json::json!(wanted)), "{workload}");
            }
        }
        for slice in cluster.list(Kind::EndpointSlice) {
            assert!(!slice["endpoints"].as_array().expect("a list").is_empty(), "{slice}");
        }
        assert!(cluster.list(Kind::Event).iter().all(|e| e["type"] == "Normal"));
    }

    /// Reasons of conditions and containers that stand there, and those of the cluster's own Events.
    fn look(cluster: &Cluster, seen: &mut BTreeSet<String>, reasons: &mut BTreeSet<String>) {
        for event in cluster.list(Kind::Event) {
            reasons.insert(text(&event, "/reason").to_owned());
        }
        for pod in cluster.list(Kind::Pod) {
            seen.insert(text(&pod, "/status/containerStatuses/0/state/waiting/reason").to_owned());
            seen.insert(text(&pod, "/status/containerStatuses/0/lastState/terminated/reason").to_owned());
        }
        for object in [Kind::Deployment, Kind::HorizontalPodAutoscaler, Kind::Job, Kind::Node]
            .iter()
            .flat_map(|k| cluster.list(*k))
        {
            for condition in
                object.pointer("/status/conditions").and_then(|c| c.as_array()).into_iter().flatten()
            {
                seen.insert(text(condition, "/reason").to_owned());
            }
        }
        let empty = |s: &Arc<serde_json::Value>| s["endpoints"].as_array().is_none_or(Vec::is_empty);
        if cluster.list(Kind::EndpointSlice).iter().any(empty) {
            seen.insert("no endpoints".to_owned());
        }
    }

    #[test]
    fn a_day_brings_every_trouble_and_ends_healthy() {
        let (cluster, mut player, start) = player(1);
        let mut reasons = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for second in 0..2_790 {
            player.advance(start + SignedDuration::from_secs(second)).expect("every name leads somewhere");
            if second % 5 != 0 {
                continue;
            }
            look(&cluster, &mut seen, &mut reasons);
        }
        for wanted in [
            "CrashLoopBackOff",
            "OOMKilled",
            "ImagePullBackOff",
            "ErrImagePull",
            "ProgressDeadlineExceeded",
            "TooManyReplicas",
            "BackoffLimitExceeded",
            "NodeStatusUnknown",
            "no endpoints",
        ] {
            assert!(seen.contains(wanted), "no {wanted} in {seen:?}");
        }
        for wanted in [
            "FailedScheduling",
            "BackOff",
            "Unhealthy",
            "NodeNotReady",
            "TaintManagerEviction",
            "ScalingReplicaSet",
            "SuccessfulRescale",
            "NodeReady",
            "Completed",
            "Killing",
        ] {
            assert!(reasons.contains(wanted), "no {wanted} in {reasons:?}");
        }
        for deployment in cluster.list(Kind::Deployment) {
            assert_eq!(deployment["status"]["readyReplicas"], deployment["spec"]["replicas"], "{deployment}");
            assert!(deployment["status"].get("unavailableReplicas").is_none(), "{deployment}");
        }
        let stray: Vec<_> = cluster
            .list(Kind::Pod)
            .iter()
            .filter(|p| p["metadata"].get("deletionTimestamp").is_some())
            .cloned()
            .collect();
        assert!(stray.is_empty(), "{stray:?}");
    }

    #[test]
    fn each_kind_of_trouble_has_begun_within_six_minutes() {
        let (cluster, mut player, start) = player(3);
        let (mut seen, mut reasons) = (BTreeSet::new(), BTreeSet::new());
        let (mut broken, mut recovered) = (false, false);
        for second in 0..=360 {
            player.advance(start + SignedDuration::from_secs(second)).expect("a day");
            look(&cluster, &mut seen, &mut reasons);
            let carts = cluster.list(Kind::Deployment);
            let cart = carts.iter().find(|d| text(d, "/metadata/name") == "cart").expect("the cart");
            let status = &cart["status"];
            let well = status["updatedReplicas"] == cart["spec"]["replicas"]
                && status["readyReplicas"] == cart["spec"]["replicas"]
                && status.get("unavailableReplicas").is_none();
            broken |= !well;
            recovered |= broken && well;
        }
        for wanted in
            ["CrashLoopBackOff", "OOMKilled", "TooManyReplicas", "NodeStatusUnknown", "no endpoints"]
        {
            assert!(seen.contains(wanted), "no {wanted} in {seen:?}");
        }
        assert!(reasons.contains("ScalingReplicaSet") && reasons.contains("Completed"), "{reasons:?}");
        assert!(recovered, "the first one is well again before the machine goes");
    }

    #[test]
    fn of_a_lost_node_the_pods_are_not_ready_and_their_containers_as_they_were() {
        let (cluster, mut player, start) = player(3);
        player.advance(start + SignedDuration::from_secs(312)).expect("a day");
        player.advance(start + SignedDuration::from_secs(320)).expect("a day");
        let condition = |pod: &serde_json::Value, kind: &str| {
            let all = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
            all.into_iter().find(|c| c["type"] == kind).map(|c| text(&c, "/status").to_owned())
        };
        let pods = cluster.list(Kind::Pod);
        let lost: Vec<_> = pods
            .iter()
            .filter(|p| text(p, "/spec/nodeName") == "node-b" && text(p, "/status/phase") == "Running")
            .collect();
        assert!(lost.len() > 3, "{lost:?}");
        for pod in &lost {
            assert_eq!(condition(pod, "Ready").as_deref(), Some("False"), "{pod}");
            let said = condition(pod, "ContainersReady").as_deref() == Some("True");
            assert_eq!(pod.pointer("/status/containerStatuses/0/ready"), Some(&said.into()), "{pod}");
        }
        assert!(lost.iter().any(|p| condition(p, "ContainersReady").as_deref() == Some("True")));
    }

    #[test]
    fn an_autoscaler_is_at_its_maximum_from_when_it_is_there() {
        let (cluster, mut player, start) = player(3);
        let mut there = None;
        for second in 0..220 {
            let now = start + SignedDuration::from_secs(second);
            player.advance(now).expect("a day");
            let scaler = cluster.list(Kind::HorizontalPodAutoscaler).remove(0);
            let spec = cluster.list(Kind::Deployment);
            let spec = spec.iter().find(|d| text(d, "/metadata/name") == "catalog").expect("the catalog");
            if spec["spec"]["replicas"] == scaler["spec"]["maxReplicas"] {
                there.get_or_insert(now);
            }
            let limited = scaler["status"]["conditions"].as_array().expect("conditions").iter();
            let limited = limited.clone().find(|c| c["type"] == "ScalingLimited").expect("said");
            if limited["reason"] == "TooManyReplicas" {
                let since: Timestamp = text(&scaler, "/status/lastScaleTime").parse().expect("a time");
                let there = there.expect("not before it is there");
                assert!(
                    there.duration_since(since).abs() <= SignedDuration::from_secs(1),
                    "{limited} {there}"
                );
            }
        }
        assert!(there.is_some());
    }

    #[test]
    fn the_same_seed_plays_the_same_day_whatever_the_ticks() {
        let (one, mut a, start) = player(7);
        let (two, mut b, _) = player(7);
        let end = start + SignedDuration::from_secs(900);
        for second in (0..900).step_by(7) {
            a.advance(start + SignedDuration::from_secs(second)).expect("a day");
        }
        a.advance(end).expect("a day");
        b.advance(end).expect("a day");
        assert_eq!(one.revision(), two.revision());
        assert_eq!(one.list(Kind::Pod), two.list(Kind::Pod));
        let (other, mut c, _) = player(8);
        c.advance(end).expect("a day");
        assert_ne!(one.list(Kind::Pod), other.list(Kind::Pod));
    }

    #[test]
    fn a_day_that_is_played_faster_heaps_up_no_events() {
        let (cluster, _, start) = player(1);
        let mut player = Player::demo(Cluster::new(cluster.inner.options.clone()), start, 60.0);
        let now = start + SignedDuration::from_mins(5);
        player.advance(now).expect("several days");
        assert!(player.day() > 3);
        let events = player.sim().cluster().list(Kind::Event);
        // An hour of a real cluster, and what lies between two looks.
        let oldest = now - SignedDuration::from_secs(65);
        let last = |e: &serde_json::Value| {
            let at = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime"].map(|field| text(e, field));
            at.iter().find_map(|t| t.parse::<Timestamp>().ok()).expect("a time")
        };
        assert!(events.len() > 20, "{}", events.len());
        assert!(events.iter().all(|e| last(e) >= oldest - SignedDuration::from_secs(1)));
    }

    #[test]
    fn steps_out_of_order_and_unknown_words_are_refused() {
        let step = |at: u32| format!("[[steps]]\nat_secs = {at}\ndo = \"oom\"\non = \"a/b\"\n");
        let wrong = format!("day_secs = 50\n{}{}", step(20), step(10));
        assert!(Script::parse(&wrong).expect_err("out of order").to_string().contains("step 2"));
        assert!(Script::parse(&format!("day_secs = 50\n{}", step(60))).is_err());
        assert!(Script::parse("day_secs = 5\n[[steps]]\nat_secs = 1\ndo = \"dance\"\non = \"a/b\"").is_err());
    }
}
