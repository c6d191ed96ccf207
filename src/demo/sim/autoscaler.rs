//! HorizontalPodAutoscalers: load in per cent of the target, replicas that follow, the limit.

use serde_json::{Value, json};

use super::Sim;
use super::kube_events::About;
use super::model::{Key, Task};
use crate::demo::managed::seconds;

/// An autoscaler of the Deployment of the same name.
#[derive(Debug, Clone)]
pub(super) struct Scaler {
    pub uid: String,
    pub min: u32,
    pub max: u32,
    /// CPU that all pods together would use, in per cent of one pod's request.
    pub load: u32,
}

/// Per cent of a pod's request that the autoscaler aims at.
const TARGET: u32 = 70;

impl Sim {
    /// Makes an autoscaler; the load begins at what the minimum carries.
    pub(super) fn make_scaler(&mut self, key: &Key, min: u32, max: u32) {
        let scaler = Scaler { uid: self.cluster.next_uid(), min, max, load: min * TARGET * 9 / 10 };
        let metric = json!({"type": "Resource", "resource": {"name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": TARGET}}});
        let object = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": key.1, "namespace": key.0, "uid": scaler.uid},
            "spec": {"minReplicas": min, "maxReplicas": max, "metrics": [metric],
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": key.1}},
            "status": {"currentReplicas": min, "desiredReplicas": min}});
        let _ = self.writer("kubectl").create(object);
        self.scalers.insert(key.clone(), scaler);
        self.rescale(key);
    }

    /// Looks at the load, moves the Deployment at most by doubling, and looks again in 15 s while it is not there.
    pub(super) fn rescale(&mut self, key: &Key) {
        let Some(scaler) = self.scalers.get(key).cloned() else { return };
        let Some(current) = self.apps.get(key).map(|a| a.replicas) else { return };
        let wanted = scaler.load.div_ceil(TARGET).max(1);
        let limited = wanted.clamp(scaler.min, scaler.max);
        let next = limited.min((current * 2).max(4)).max(current.saturating_sub(2).max(scaler.min));
        if next != current {
            let why = if next > current {
                "reason: cpu resource utilization (percentage of request) above target"
            } else {
                "reason: All metrics below target"
            };
            let about = About::new("autoscaling/v2", "HorizontalPodAutoscaler", key, &scaler.uid);
            let text = format!("New size: {next}; {why}");
            self.record(&about, "horizontal-pod-autoscaler", (false, "SuccessfulRescale"), &text);
            self.set_replicas(key, next, "kube-controller-manager");
            self.after(15_000, Task::Scale(key.clone()));
        }
        let busy = scaler.load / current.max(1);
        let conditions = conditions(&seconds(self.now), (wanted, next), &scaler);
        let now = seconds(self.now);
        let writer = self.writer("kube-controller-manager").status();
        let _ = writer.update("horizontalpodautoscalers", &key.0, &key.1, |object| {
            let mut conditions = conditions;
            let before = object["status"]["conditions"].take();
            for condition in conditions.as_array_mut().into_iter().flatten() {
                let old = before.as_array().and_then(|b| b.iter().find(|c| c["type"] == condition["type"]));
                // Also where only the reason is another: what limits it now may limit it since later than this.
                if let Some(old) = old.filter(|old| old["status"] == condition["status"]) {
                    condition["lastTransitionTime"] = old["lastTransitionTime"].clone();
                }
            }
            let mut status = json!({"currentReplicas": current, "desiredReplicas": next, "conditions": conditions,
                "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu",
                    "current": {"averageUtilization": busy, "averageValue": format!("{busy}m")}}}]});
            status["lastScaleTime"] =
                if next == current { object["status"]["lastScaleTime"].clone() } else { json!(now) };
            object["status"] = status;
        });
    }
}

fn conditions(now: &str, (wanted, next): (u32, u32), scaler: &Scaler) -> Value {
    let condition = |kind: &str, yes: bool, reason: &str, message: &str| {
        json!({"type": kind, "status": if yes { "True" } else { "False" }, "lastTransitionTime": now, "reason": reason,
            "message": message})
    };
    let limited = if next < wanted.min(scaler.max) {
        condition(
            "ScalingLimited",
            true,
            "ScaleUpLimit",
            "the desired replica count is increasing faster than the maximum scale rate",
        )
    } else if wanted > scaler.max {
        condition(
            "ScalingLimited",
            true,
            "TooManyReplicas",
            "the desired replica count is more than the maximum replica count",
        )
    } else if wanted < scaler.min {
        condition(
            "ScalingLimited",
            true,
            "TooFewReplicas",
            "the desired replica count is less than the minimum replica count",
        )
    } else {
        condition(
            "ScalingLimited",
            false,
            "DesiredWithinRange",
            "the desired count is within the acceptable range",
        )
    };
    json!([
        condition("AbleToScale", true, "ReadyForNewScale", "recommended size matches current size"),
        condition(
            "ScalingActive",
            true,
            "ValidMetricFound",
            "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)"
        ),
        limited
    ])
}
