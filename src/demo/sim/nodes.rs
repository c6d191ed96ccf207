//! Nodes: healthy, silent, cordoned, back; and what becomes of their pods.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::Sim;
use super::kube_events::About;
use super::model::{AppKind, Fault, Key, Node, Owner, PodStep, State, Task};
use crate::demo::managed::seconds;

const LIFECYCLE: &str = "kube-controller-manager";

impl Sim {
    /// Adds a node that is ready.
    pub(super) fn add_node(&mut self, name: &str) {
        let number = self.nodes.len() as u64 + 1;
        let node = Node {
            name: name.to_owned(),
            uid: self.cluster.next_uid(),
            number,
            ready: true,
            cordoned: false,
            ready_since: self.now,
        };
        let object = json!({"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "uid": node.uid, "labels": {"kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "topology.kubernetes.io/zone": format!("zone-{}", number % 3)},
                "annotations": {"node.alpha.kubernetes.io/ttl": "0"}},
            "spec": {"podCIDR": format!("10.244.{number}.0/24"), "providerID": format!("simulated:///{name}")},
            "status": {
                "capacity": {"cpu": "8", "memory": "32Gi", "pods": "110", "ephemeral-storage": "200Gi"},
                "allocatable": {"cpu": "7910m", "memory": "30Gi", "pods": "110", "ephemeral-storage": "184Gi"},
                "addresses": [{"type": "InternalIP", "address": format!("10.0.0.{number}")}, {"type": "Hostname", "address": name}],
                "conditions": conditions(&node, &seconds(self.now)),
                "nodeInfo": {"kubeletVersion": "v1.33.0", "containerRuntimeVersion": "containerd://2.0.4", "osImage": "Linux",
                    "kernelVersion": "6.8.0", "operatingSystem": "linux", "architecture": "amd64", "machineID": node.uid,
                    "systemUUID": node.uid, "bootID": node.uid, "kubeProxyVersion": ""}}});
        let _ = self.writer("kubelet").create(object);
        self.nodes.insert(name.to_owned(), node);
    }

    /// The kubelet falls silent: Ready becomes Unknown, taints follow, pods are not ready, and are evicted later.
    pub(super) fn lose_node(&mut self, name: &str) {
        self.turn(name, false);
        let victims = self.pods_on(name);
        let now = self.now;
        for key in &victims {
            let Some(pod) = self.pods.get_mut(key) else { continue };
            pod.step += 1;
            if !pod.lose(now) {
                continue;
            }
            let about = Self::pod_about(pod, false);
            self.write_pod(key, LIFECYCLE);
            self.record(&about, "node-controller", (true, "NodeNotReady"), "Node is not ready");
            self.touch(key);
        }
        // tolerationSeconds of the default tolerations.
        self.after(300_000, Task::EvictFrom(name.to_owned()));
        self.reconcile_dirty();
    }

    /// The kubelet is back: what was to be deleted goes, the rest becomes ready again.
    pub(super) fn restore_node(&mut self, name: &str) {
        self.turn(name, true);
        for key in self.pods_on(name) {
            let Some(pod) = self.pods.get(&key) else { continue };
            if pod.terminating {
                self.after(1_500, Task::Remove(key));
            } else {
                let step = match (&pod.state, pod.template.fault) {
                    (State::Unknown, _) => PodStep::Accept,
                    (State::Running(_), Fault::Crash(_)) => PodStep::Exit,
                    (State::Running(_), Fault::Probe) => PodStep::Probe,
                    (State::Running(_), _) if matches!(pod.owner, Owner::Job(_)) => PodStep::Exit,
                    (State::Running(_), _) => PodStep::Ready,
                    _ if pod.last.is_some() => PodStep::Restart,
                    _ => PodStep::Pull,
                };
                self.next_step(&key, 2_000, step);
            }
        }
    }

    /// Marks a node unschedulable, or schedulable again.
    pub(super) fn cordon_node(&mut self, name: &str, cordoned: bool) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        node.cordoned = cordoned;
        let about = node_about(node);
        let taints = taints(node, &seconds(self.now));
        let _ = self.writer("kubectl-cordon").update("nodes", "", name, |object| {
            object["spec"]["unschedulable"] = json!(cordoned);
            object["spec"]["taints"] = taints;
        });
        let (reason, word) = if cordoned {
            ("NodeNotSchedulable", "NodeNotSchedulable")
        } else {
            ("NodeSchedulable", "NodeSchedulable")
        };
        self.record(&about, "kubelet", (false, reason), &format!("Node {name} status is now: {word}"));
    }

    pub(super) fn evict_from(&mut self, name: &str) {
        if self.nodes.get(name).is_none_or(|n| n.ready) {
            return;
        }
        for key in self.pods_on(name) {
            let Some(pod) = self.pods.get(&key) else { continue };
            if let Owner::App(app, _) = &pod.owner
                && self.apps.get(app).is_some_and(|a| a.kind == AppKind::DaemonSet)
            {
                continue;
            }
            let about = Self::pod_about(pod, false);
            let text = format!("Marking for deletion Pod {}/{}", key.0, key.1);
            self.record(&about, "taint-eviction-controller", (false, "TaintManagerEviction"), &text);
            self.terminate(&key, "taint-eviction-controller");
        }
    }

    fn turn(&mut self, name: &str, ready: bool) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(name) else { return };
        if node.ready == ready {
            return;
        }
        node.ready = ready;
        node.ready_since = now;
        let (about, taints) = (node_about(node), taints(node, &seconds(now)));
        let conditions =
            conditions(node, &seconds(now - SignedDuration::from_secs(if ready { 0 } else { 40 })));
        let writer = self.writer(if ready { "kubelet" } else { LIFECYCLE });
        let _ =
            writer.status().update("nodes", "", name, |object| object["status"]["conditions"] = conditions);
        let _ = self.writer(LIFECYCLE).update("nodes", "", name, |object| object["spec"]["taints"] = taints);
        let (component, reason) =
            if ready { ("kubelet", "NodeReady") } else { ("node-controller", "NodeNotReady") };
        self.record(&about, component, (false, reason), &format!("Node {name} status is now: {reason}"));
    }

    fn pods_on(&self, node: &str) -> Vec<Key> {
        let alive = |phase: &str| phase != "Succeeded" && phase != "Failed";
        let here = self.pods.values().filter(|p| p.node.as_deref() == Some(node) && alive(p.phase));
        here.map(|p| p.key.clone()).collect()
    }
}

fn node_about(node: &Node) -> About {
    let mut about = About::new("v1", "Node", &(String::new(), node.name.clone()), &node.uid);
    about.node.clone_from(&node.name);
    about
}

fn taints(node: &Node, now: &str) -> Value {
    let mut taints = Vec::new();
    if node.cordoned {
        taints.push(
            json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "timeAdded": now}),
        );
    }
    if !node.ready {
        taints
            .push(json!({"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule", "timeAdded": now}));
        taints
            .push(json!({"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": now}));
    }
    if taints.is_empty() { Value::Null } else { Value::Array(taints) }
}

fn conditions(node: &Node, heartbeat: &str) -> Value {
    let since = seconds(node.ready_since);
    let all = [
        ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "KubeletReady", "kubelet is posting ready status"),
    ];
    let condition = |(kind, reason, message): (&str, &str, &str)| {
        let (status, reason, message) = match (node.ready, kind) {
            (false, _) => ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status."),
            (true, "Ready") => ("True", reason, message),
            (true, _) => ("False", reason, message),
        };
        json!({"type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": heartbeat, "lastTransitionTime": since})
    };
    Value::Array(all.into_iter().map(condition).collect())
}
