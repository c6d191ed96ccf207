//! What the simulated controllers know: workloads, pods, nodes, and what is due next.
//!
//! Plain data; `Sim` owns it, the other files of this module move it on and write it to the cluster.

use jiff::Timestamp;

/// Namespace and name.
pub(super) type Key = (String, String);

/// What is wrong with the pods of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Fault {
    #[default]
    None,
    /// Exits with this code soon after it started.
    Crash(i32),
    /// The image does not exist.
    Image,
    /// Asks for more memory than any node has.
    TooBig,
    /// Runs, but its readiness probe fails.
    Probe,
}

/// A pod template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    pub app: String,
    pub image: String,
    pub cpu: &'static str,
    pub memory: &'static str,
    /// ConfigMap that the container reads its environment from.
    pub config: Option<String>,
    /// What `kubectl rollout restart` writes.
    pub restarted_at: Option<String>,
    /// Not part of the template's hash: it is the world's doing.
    pub fault: Fault,
}

impl Template {
    pub fn new(app: &str, image: &str) -> Self {
        Template {
            app: app.to_owned(),
            image: image.to_owned(),
            cpu: "100m",
            memory: "256Mi",
            config: None,
            restarted_at: None,
            fault: Fault::None,
        }
    }

    /// As the label pod-template-hash: ten characters.
    pub fn hash(&self) -> String {
        let parts = (&self.app, &self.image, self.cpu, self.memory, &self.config, &self.restarted_at);
        let digest = blake3::hash(format!("{parts:?}").as_bytes());
        crate::demo::rng::Rng::new(u64::from_le_bytes(
            digest.as_bytes().first_chunk::<8>().copied().unwrap_or_default(),
        ))
        .suffix(10)
    }
}

/// One ReplicaSet of a Deployment, or the only set of another workload.
#[derive(Debug, Clone)]
pub(super) struct Set {
    pub hash: String,
    pub uid: String,
    pub template: Template,
    pub desired: u32,
    pub revision: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AppKind {
    Deployment,
    StatefulSet,
    DaemonSet,
}

impl AppKind {
    pub fn name(self) -> &'static str {
        match self {
            AppKind::Deployment => "Deployment",
            AppKind::StatefulSet => "StatefulSet",
            AppKind::DaemonSet => "DaemonSet",
        }
    }

    pub fn plural(self) -> &'static str {
        match self {
            AppKind::Deployment => "deployments",
            AppKind::StatefulSet => "statefulsets",
            AppKind::DaemonSet => "daemonsets",
        }
    }
}

/// A workload.
#[derive(Debug, Clone)]
pub(super) struct App {
    pub kind: AppKind,
    pub key: Key,
    pub uid: String,
    pub replicas: u32,
    pub template: Template,
    pub revision: u32,
    pub sets: Vec<Set>,
    /// When the rollout under way last got on.
    pub progress_at: Timestamp,
    pub deadline_secs: u32,
    pub rolling: bool,
    pub stuck: bool,
    pub available_since: Option<Timestamp>,
    pub unavailable_since: Option<Timestamp>,
    pub has_service: bool,
    /// The Service's selector picks the pods.
    pub selector_fits: bool,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub exit: i32,
    pub reason: &'static str,
    pub message: String,
    pub started: Timestamp,
    pub finished: Timestamp,
}

/// A container's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// The kubelet has said nothing yet.
    Unknown,
    Waiting(&'static str, String),
    Running(Timestamp),
    Terminated(Ended),
}

/// A pod's condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub kind: &'static str,
    pub status: &'static str,
    pub since: Timestamp,
    pub reason: &'static str,
    pub message: String,
}

/// Who made a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    /// A set of an app, by the set's hash.
    App(Key, String),
    Job(Key),
}

/// A pod with one container, `app`.
#[derive(Debug, Clone)]
pub(super) struct Pod {
    pub key: Key,
    pub uid: String,
    pub owner: Owner,
    pub template: Template,
    pub node: Option<String>,
    pub start_time: Option<Timestamp>,
    pub phase: &'static str,
    pub state: State,
    pub last: Option<Ended>,
    pub restarts: u32,
    pub ready: bool,
    pub conditions: Vec<Condition>,
    pub terminating: bool,
    pub number: u64,
    /// Grows with each step of its life, so that what was due for an earlier one is not done.
    pub step: u32,
}

impl Pod {
    /// Sets a condition; its time moves only when the status does.
    pub fn condition(
        &mut self,
        kind: &'static str,
        status: &'static str,
        now: Timestamp,
        why: (&'static str, String),
    ) {
        let (reason, message) = why;
        match self.conditions.iter_mut().find(|c| c.kind == kind) {
            Some(c) => {
                if c.status != status {
                    c.since = now;
                }
                (c.status, c.reason, c.message) = (status, reason, message);
            }
            None => self.conditions.push(Condition { kind, status, since: now, reason, message }),
        }
    }

    pub fn set_ready(&mut self, ready: bool, now: Timestamp) {
        self.ready = ready;
        let status = if ready { "True" } else { "False" };
        let why = || {
            if ready {
                ("", String::new())
            } else {
                ("ContainersNotReady", "containers with unready status: [app]".to_owned())
            }
        };
        self.condition("Ready", status, now, why());
        self.condition("ContainersReady", status, now, why());
    }

    /// The node controller writes of a node that is silent: its pods are not ready. Of their containers nobody knows
    /// more than the kubelet said last. Whether anything changed by it.
    pub fn lose(&mut self, now: Timestamp) -> bool {
        let was = std::mem::take(&mut self.ready);
        if was {
            self.condition("Ready", "False", now, ("", String::new()));
        }
        was
    }

    /// As the kubelet said last.
    pub fn container_ready(&self) -> bool {
        self.conditions.iter().any(|c| c.kind == "ContainersReady" && c.status == "True")
    }

    pub fn ip(&self) -> String {
        format!("10.244.{}.{}", self.number / 250 % 250, self.number % 250 + 2)
    }
}

/// A node.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub name: String,
    pub uid: String,
    pub number: u64,
    pub ready: bool,
    pub cordoned: bool,
    pub ready_since: Timestamp,
}

/// What is due at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Task {
    Pod(Key, u32, PodStep),
    Remove(Key),
    Reconcile(Key),
    EvictFrom(String),
    /// The HPA looks again.
    Scale(Key),
    JobPod(Key),
    Cron(Key),
    OutOfMemory(Key, u32),
    Forget,
}

/// A step in a pod's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PodStep {
    Schedule,
    Accept,
    Pull,
    Pulled,
    Ready,
    Exit,
    Restart,
    Probe,
}
