//! Pods.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Condition, Shared, Str};

/// What is kept of a Pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Pod {
    /// Pending, Running, Succeeded, Failed or Unknown.
    pub phase: Str,
    /// status.reason: Evicted, NodeLost, …
    #[serde(default)]
    pub reason: Str,
    /// status.message
    #[serde(default)]
    pub message: Str,
    /// spec.nodeName
    #[serde(default)]
    pub node: Str,
    /// Always, OnFailure or Never.
    #[serde(default)]
    pub restart_policy: Str,
    /// spec.serviceAccountName
    #[serde(default)]
    pub service_account: Str,
    /// status.startTime
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// status.conditions
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// Init containers (sidecars included), then containers, in spec order, with their status.
    #[serde(default)]
    pub containers: Vec<Container>,
    /// ConfigMaps, Secrets and claims that it reads.
    #[serde(default)]
    pub refs: Shared<ConfigRef>,
}

/// One container: its spec and its status together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Container {
    /// name
    pub name: Str,
    /// spec image
    pub image: Str,
    /// An init container; `sidecar` tells those that keep running.
    #[serde(default)]
    pub init: bool,
    /// An init container with restartPolicy Always.
    #[serde(default)]
    pub sidecar: bool,
    /// status.ready
    #[serde(default)]
    pub ready: bool,
    /// status.restartCount
    #[serde(default)]
    pub restarts: u32,
    /// status.state; `None` before the kubelet has said anything.
    #[serde(default)]
    pub state: Option<ContainerState>,
    /// status.lastState.terminated; apart, because most containers have never ended.
    #[serde(default)]
    pub last: Option<Box<Terminated>>,
    /// resources.limits.memory, as written; empty where there is none.
    #[serde(default)]
    pub memory_limit: Str,
    /// resources.limits.cpu
    #[serde(default)]
    pub cpu_limit: Str,
    /// resources.requests.memory
    #[serde(default)]
    pub memory_request: Str,
    /// resources.requests.cpu
    #[serde(default)]
    pub cpu_request: Str,
}

/// status.state
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerState {
    /// Not yet, or not now.
    Waiting {
        /// ContainerCreating, CrashLoopBackOff, ImagePullBackOff, …
        reason: Str,
        /// In words.
        #[serde(default)]
        message: Str,
    },
    /// Since then.
    Running {
        /// startedAt
        #[serde(default)]
        started_at: Option<Timestamp>,
    },
    /// Over.
    Terminated(Box<Terminated>),
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Terminated {
    /// exitCode
    pub exit_code: i32,
    /// signal; 0 where none is given.
    #[serde(default)]
    pub signal: i32,
    /// OOMKilled, Error, Completed, ContainerStatusUnknown, …
    #[serde(default)]
    pub reason: Str,
    /// The termination message, cleaned and cut at 4 kB.
    #[serde(default)]
    pub message: Str,
    /// startedAt
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// finishedAt
    #[serde(default)]
    pub finished_at: Option<Timestamp>,
}

/// What a Pod reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConfigRef {
    /// ConfigMap, Secret or claim.
    pub kind: ConfigRefKind,
    /// Its name, in the Pod's namespace.
    pub name: Str,
    /// env, envFrom, volume, projected, imagePullSecret.
    pub via: Str,
}

/// What sort of object a `ConfigRef` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum ConfigRefKind {
    ConfigMap,
    Secret,
    Claim,
}

impl Pod {
    /// A condition.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        Condition::find(&self.conditions, kind)
    }

    /// Condition Ready is True.
    pub fn is_ready(&self) -> bool {
        self.condition("Ready").is_some_and(Condition::is_true)
    }

    /// Phase Succeeded or Failed.
    pub fn is_finished(&self) -> bool {
        self.phase == "Succeeded" || self.phase == "Failed"
    }

    /// The sum of all containers' restarts.
    pub fn restarts(&self) -> u32 {
        self.containers.iter().map(|c| c.restarts).sum()
    }
}

impl Container {
    /// state.waiting.reason, or "".
    pub fn waiting_reason(&self) -> &str {
        match &self.state {
            Some(ContainerState::Waiting { reason, .. }) => reason,
            _ => "",
        }
    }

    /// Its newest end: the current state if it is terminated, else the last.
    pub fn newest_end(&self) -> Option<&Terminated> {
        match &self.state {
            Some(ContainerState::Terminated(t)) => Some(t),
            _ => self.last.as_deref(),
        }
    }
}
