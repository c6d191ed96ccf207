//! The life of a pod: scheduled, pulled, started, ready; crashed, backed off, killed, removed.
//!
//! Delays, reasons and messages are those of kube-scheduler and kubelet. Every step writes the pod's status.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::Sim;
use super::kube_events::About;
use super::model::{Ended, Fault, Key, Owner, Pod, PodStep, State, Task, Template};
use super::pod_shape;

const RUNNING: &str = "Running";

/// Where and for whom a pod is made.
pub(super) struct NewPod {
    pub name: String,
    pub owner: Owner,
    pub reference: Value,
    pub template: Template,
    /// A DaemonSet names the node itself.
    pub node: Option<String>,
}

impl Sim {
    /// Makes a pod and lets its life begin.
    pub(super) fn make_pod(&mut self, namespace: &str, new: NewPod) {
        self.pods_made += 1;
        let key = (namespace.to_owned(), new.name);
        let generate_name = format!("{}-", new.reference["name"].as_str().unwrap_or_default());
        let pod = Pod {
            key: key.clone(),
            uid: self.cluster.next_uid(),
            owner: new.owner,
            template: new.template,
            node: None,
            start_time: None,
            phase: "Pending",
            state: State::Unknown,
            last: None,
            restarts: 0,
            ready: false,
            conditions: Vec::new(),
            terminating: false,
            number: self.pods_made,
            step: 0,
        };
        let object = pod_shape::created(&pod, &new.reference, &generate_name);
        if self.writer("kube-controller-manager").create(object).is_err() {
            return;
        }
        self.pods.insert(key.clone(), pod);
        if let Some(node) = new.node {
            self.bind(&key, &node);
        } else {
            self.next_step(&key, 40, PodStep::Schedule);
        }
    }

    pub(super) fn pod_about(pod: &Pod, container: bool) -> About {
        let mut about = About::new("v1", "Pod", &pod.key, &pod.uid);
        about.node = pod.node.clone().unwrap_or_default();
        if container {
            about.field_path = "spec.containers{app}";
        }
        about
    }

    /// Does a step, unless the pod has gone another way since it was put in the queue.
    pub(super) fn pod_step(&mut self, key: &Key, step: u32, what: PodStep) {
        let Some(pod) = self.pods.get(key) else { return };
        let silent = pod.node.as_ref().is_some_and(|n| self.nodes.get(n).is_some_and(|n| !n.ready));
        if pod.step != step || pod.terminating || silent {
            return;
        }
        match what {
            PodStep::Schedule => self.schedule(key),
            PodStep::Accept => self.accept(key),
            PodStep::Pull => self.pull(key),
            PodStep::Pulled | PodStep::Restart => self.start(key),
            PodStep::Ready => self.become_ready(key),
            PodStep::Exit => self.exit_by_fault(key),
            PodStep::Probe => self.probe_fails(key),
        }
    }

    /// Puts the only next step of a pod; what was due before is void.
    pub(super) fn next_step(&mut self, key: &Key, millis: u64, what: PodStep) {
        let Some(pod) = self.pods.get_mut(key) else { return };
        pod.step += 1;
        let step = pod.step;
        self.after(millis, Task::Pod(key.clone(), step, what));
    }

    fn schedule(&mut self, key: &Key) {
        let Some(pod) = self.pods.get(key) else { return };
        let (too_big, about) = (pod.template.fault == Fault::TooBig, Self::pod_about(pod, false));
        let node = if too_big { None } else { self.pick_node() };
        if let Some(node) = node {
            self.bind(key, &node);
            return;
        }
        let (all, now) = (self.nodes.len(), self.now);
        let message = format!(
            "0/{all} nodes are available: {all} Insufficient memory. preemption: 0/{all} nodes are available: {all} No \
             preemption victims found for incoming pod."
        );
        if let Some(pod) = self.pods.get_mut(key) {
            pod.condition("PodScheduled", "False", now, ("Unschedulable", message.clone()));
        }
        self.write_pod(key, "kube-scheduler");
        self.record(&about, "default-scheduler", (true, "FailedScheduling"), &message);
        // Tried again when something changes, and every five minutes at the least.
        self.next_step(key, 60_000, PodStep::Schedule);
    }

    fn pick_node(&mut self) -> Option<String> {
        let load = |name: &str| self.pods.values().filter(|p| p.node.as_deref() == Some(name)).count();
        let usable = self.nodes.values().filter(|n| n.ready && !n.cordoned);
        usable.min_by_key(|n| (load(&n.name), n.number)).map(|n| n.name.clone())
    }

    fn bind(&mut self, key: &Key, node: &str) {
        let now = self.now;
        let Some(pod) = self.pods.get_mut(key) else { return };
        pod.node = Some(node.to_owned());
        pod.condition("PodScheduled", "True", now, ("", String::new()));
        let (about, text) =
            (Self::pod_about(pod, false), format!("Successfully assigned {}/{} to {node}", key.0, key.1));
        let conditions = pod_shape::status(pod)["conditions"].clone();
        let _ = self.writer("kube-scheduler").update("pods", &key.0, &key.1, |object| {
            object["spec"]["nodeName"] = json!(node);
            object["status"]["conditions"] = conditions;
        });
        self.record(&about, "default-scheduler", (false, "Scheduled"), &text);
        self.next_step(key, 80, PodStep::Accept);
    }

    fn accept(&mut self, key: &Key) {
        let now = self.now;
        let Some(pod) = self.pods.get_mut(key) else { return };
        pod.start_time = Some(now);
        pod.state = State::Waiting("ContainerCreating", String::new());
        pod.condition("PodReadyToStartContainers", "False", now, ("", String::new()));
        pod.condition("Initialized", "True", now, ("", String::new()));
        pod.set_ready(false, now);
        self.write_pod(key, "kubelet");
        self.next_step(key, 900, PodStep::Pull);
    }

    fn pull(&mut self, key: &Key) {
        let now = self.now;
        let Some(pod) = self.pods.get_mut(key) else { return };
        pod.condition("PodReadyToStartContainers", "True", now, ("", String::new()));
        let (image, about) = (pod.template.image.clone(), Self::pod_about(pod, true));
        if pod.template.fault == Fault::Image {
            self.pull_fails(key, &image, &about);
            return;
        }
        self.record(&about, "kubelet", (false, "Pulling"), &format!("Pulling image \"{image}\""));
        let millis = self.rng.between(700, 2_400);
        self.next_step(key, millis, PodStep::Pulled);
    }

    fn pull_fails(&mut self, key: &Key, image: &str, about: &About) {
        let Some(pod) = self.pods.get_mut(key) else { return };
        let first = !matches!(pod.state, State::Waiting("ErrImagePull", _));
        let error = format!(
            "failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": {image}: not found"
        );
        pod.state = if first {
            State::Waiting("ErrImagePull", format!("rpc error: code = NotFound desc = {error}"))
        } else {
            State::Waiting(
                "ImagePullBackOff",
                format!("Back-off pulling image \"{image}\": ErrImagePull: {error}"),
            )
        };
        self.write_pod(key, "kubelet");
        if first {
            self.record(about, "kubelet", (false, "Pulling"), &format!("Pulling image \"{image}\""));
            self.record(
                about,
                "kubelet",
                (true, "Failed"),
                &format!("Failed to pull image \"{image}\": {error}"),
            );
            self.record(about, "kubelet", (true, "Failed"), "Error: ErrImagePull");
        } else {
            self.record(about, "kubelet", (false, "BackOff"), &format!("Back-off pulling image \"{image}\""));
            self.record(about, "kubelet", (true, "Failed"), "Error: ImagePullBackOff");
        }
        self.next_step(key, if first { 12_000 } else { 28_000 }, PodStep::Pull);
    }

    fn start(&mut self, key: &Key) {
        let now = self.now;
        let Some(pod) = self.pods.get_mut(key) else { return };
        let again = pod.last.is_some() || pod.restarts > 0;
        pod.phase = RUNNING;
        pod.state = State::Running(now);
        let (fault, job) = (pod.template.fault, matches!(pod.owner, Owner::Job(_)));
        if job {
            pod.set_ready(true, now);
        }
        let (image, about) = (pod.template.image.clone(), Self::pod_about(pod, true));
        self.write_pod(key, "kubelet");
        let pulled = if again {
            format!("Container image \"{image}\" already present on machine")
        } else {
            format!("Successfully pulled image \"{image}\" in 1.204s (1.204s including waiting)")
        };
        self.record(&about, "kubelet", (false, "Pulled"), &pulled);
        self.record(&about, "kubelet", (false, "Created"), "Created container: app");
        self.record(&about, "kubelet", (false, "Started"), "Started container app");
        self.cluster.log(&key.0, &key.1, "level=info msg=\"starting\"");
        match (fault, job) {
            (Fault::Crash(_), _) => self.next_step(key, 1_800, PodStep::Exit),
            (_, true) => {
                let millis = self.rng.between(9_000, 25_000);
                self.next_step(key, millis, PodStep::Exit);
            }
            (Fault::Probe, _) => self.next_step(key, 5_000, PodStep::Probe),
            _ => {
                let millis = self.rng.between(1_500, 4_500);
                self.next_step(key, millis, PodStep::Ready);
            }
        }
        self.touch(key);
    }

    fn become_ready(&mut self, key: &Key) {
        let now = self.now;
        let Some(pod) = self.pods.get_mut(key) else { return };
        pod.set_ready(true, now);
        self.write_pod(key, "kubelet");
        self.touch(key);
    }

    /// A readiness probe fails, now and every half minute.
    pub(super) fn probe_fails(&mut self, key: &Key) {
        let now = self.now;
        let Some(pod) = self.pods.get_mut(key) else { return };
        pod.set_ready(false, now);
        let about = Self::pod_about(pod, true);
        self.write_pod(key, "kubelet");
        self.record(
            &about,
            "kubelet",
            (true, "Unhealthy"),
            "Readiness probe failed: HTTP probe failed with statuscode: 503",
        );
        self.next_step(key, 30_000, PodStep::Probe);
        self.touch(key);
    }

    /// A failing pod is well again from now on.
    pub(super) fn heal(&mut self, key: &Key) {
        let Some(pod) = self.pods.get_mut(key) else { return };
        pod.template.fault = Fault::None;
        if matches!(pod.state, State::Running(_)) && !pod.ready {
            self.next_step(key, 3_000, PodStep::Ready);
        }
    }

    fn exit_by_fault(&mut self, key: &Key) {
        let Some(pod) = self.pods.get(key) else { return };
        let job = matches!(pod.owner, Owner::Job(_));
        let (exit, message) = match pod.template.fault {
            Fault::Crash(code) => {
                (code, "fatal: cannot reach database: dial tcp 10.96.0.40:5432: connect: connection refused")
            }
            _ => (0, ""),
        };
        self.cluster.log(
            &key.0,
            &key.1,
            if message.is_empty() { "level=info msg=\"done\"" } else { message },
        );
        let reason = if exit == 0 { "Completed" } else { "Error" };
        self.end_container(key, exit, reason, message);
        if job {
            self.job_pod_ended(key, exit == 0);
        }
    }

    /// Ends the container of a pod; one that restarts always is started again, after a back-off from the second time.
    pub(super) fn end_container(&mut self, key: &Key, exit: i32, reason: &'static str, message: &str) {
        let now = self.now;
        let Some(pod) = self.pods.get_mut(key) else { return };
        let State::Running(started) = pod.state else { return };
        let ended = Ended { exit, reason, message: message.to_owned(), started, finished: now };
        pod.set_ready(false, now);
        if matches!(pod.owner, Owner::Job(_)) {
            pod.phase = if exit == 0 { "Succeeded" } else { "Failed" };
            pod.state = State::Terminated(ended);
            let why = if exit == 0 { "PodCompleted" } else { "PodFailed" };
            pod.condition("Ready", "False", now, (why, String::new()));
            pod.condition("ContainersReady", "False", now, (why, String::new()));
            pod.step += 1;
            self.write_pod(key, "kubelet");
            return;
        }
        // A container that ran for ten minutes starts its back-off anew, as the kubelet has it.
        let long = now.duration_since(started) > SignedDuration::from_mins(10);
        let backoff =
            if long || pod.restarts == 0 { 0 } else { (10_u64 << (pod.restarts - 1).min(5)).min(300) };
        pod.last = Some(ended.clone());
        let (about, text) = (
            Self::pod_about(pod, true),
            format!("Back-off restarting failed container app in pod {}_{}({})", key.1, key.0, pod.uid),
        );
        if backoff == 0 {
            pod.state = State::Terminated(ended);
            pod.last = None;
            self.write_pod(key, "kubelet");
            let Some(pod) = self.pods.get_mut(key) else { return };
            if let State::Terminated(ended) = &pod.state {
                pod.last = Some(ended.clone());
            }
            pod.restarts += 1;
            self.next_step(key, 1_000, PodStep::Restart);
        } else {
            let words = format!(
                "back-off {} restarting failed container=app pod={}_{}({})",
                minutes(backoff),
                key.1,
                key.0,
                pod.uid
            );
            pod.state = State::Waiting("CrashLoopBackOff", words);
            self.write_pod(key, "kubelet");
            self.record(&about, "kubelet", (true, "BackOff"), &text);
            let Some(pod) = self.pods.get_mut(key) else { return };
            pod.restarts += 1;
            self.next_step(key, backoff * 1_000, PodStep::Restart);
        }
        self.touch(key);
    }

    /// Asks for a pod's deletion, as a controller or a person does; the kubelet removes it a moment later.
    pub(super) fn terminate(&mut self, key: &Key, manager: &str) {
        let now = self.now;
        let Some(pod) = self.pods.get_mut(key) else { return };
        if pod.terminating {
            return;
        }
        pod.terminating = true;
        pod.step += 1;
        let (about, node, never_ran) = (Self::pod_about(pod, true), pod.node.clone(), pod.node.is_none());
        let deadline = super::super::managed::seconds(now + SignedDuration::from_secs(30));
        let _ = self.writer(manager).update("pods", &key.0, &key.1, |object| {
            object["metadata"]["deletionTimestamp"] = json!(deadline);
            object["metadata"]["deletionGracePeriodSeconds"] = json!(30);
        });
        let silent = node.is_some_and(|n| self.nodes.get(&n).is_some_and(|n| !n.ready));
        if !silent {
            if !never_ran {
                self.record(&about, "kubelet", (false, "Killing"), "Stopping container app");
            }
            self.after(if never_ran { 20 } else { 1_200 }, Task::Remove(key.clone()));
        }
        self.touch(key);
    }

    pub(super) fn remove_pod(&mut self, key: &Key) {
        self.touch(key);
        self.write_last_words(key);
        if self.pods.remove(key).is_some() {
            let _ = self.writer("kubelet").delete("pods", &key.0, &key.1);
        }
    }

    /// What a kubelet writes of a pod that was asked to go, before it is gone: some programs end well at SIGTERM,
    /// some with 143. Neither is a crash.
    fn write_last_words(&mut self, key: &Key) {
        let now = self.now;
        let Some(pod) = self.pods.get_mut(key) else { return };
        let State::Running(started) = pod.state else { return };
        let well = pod.number % 2 == 0;
        let (exit, reason, phase) =
            if well { (0, "Completed", "Succeeded") } else { (143, "Error", "Failed") };
        pod.state = State::Terminated(Ended { exit, reason, message: String::new(), started, finished: now });
        pod.phase = phase;
        pod.set_ready(false, now);
        self.write_pod(key, "kubelet");
    }

    /// Has the pod's workload looked at again.
    pub(super) fn touch(&mut self, key: &Key) {
        if let Some(Pod { owner: Owner::App(app, _), .. }) = self.pods.get(key) {
            self.dirty.insert(app.clone());
        }
    }

    /// Writes a pod's status.
    pub(super) fn write_pod(&mut self, key: &Key, manager: &str) {
        let Some(pod) = self.pods.get(key) else { return };
        let status = pod_shape::status(pod);
        let _ =
            self.writer(manager).status().update("pods", &key.0, &key.1, |object| object["status"] = status);
    }
}

/// As Go prints a duration: `10s`, `1m20s`, `5m0s`.
fn minutes(secs: u64) -> String {
    if secs < 60 { format!("{secs}s") } else { format!("{}m{}s", secs / 60, secs % 60) }
}
