//! Nodes and Namespaces.

use serde::{Deserialize, Serialize};

use super::{Condition, Str};

/// What is kept of a Node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Node {
    /// spec.unschedulable
    #[serde(default)]
    pub cordoned: bool,
    /// spec.taints
    #[serde(default)]
    pub taints: Vec<Taint>,
    /// status.conditions, without lastHeartbeatTime.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// spec.providerID
    #[serde(default)]
    pub provider_id: Str,
    /// status.nodeInfo.kubeletVersion
    #[serde(default)]
    pub kubelet_version: Str,
    /// status.allocatable.cpu
    #[serde(default)]
    pub cpu: Str,
    /// status.allocatable.memory
    #[serde(default)]
    pub memory: Str,
}

/// One of spec.taints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Taint {
    /// key
    pub key: Str,
    /// value
    #[serde(default)]
    pub value: Str,
    /// NoSchedule, PreferNoSchedule, NoExecute
    pub effect: Str,
}

impl Node {
    /// A condition.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        Condition::find(&self.conditions, kind)
    }

    /// Condition Ready is True.
    pub fn is_ready(&self) -> bool {
        self.condition("Ready").is_some_and(Condition::is_true)
    }
}

/// What is kept of a Namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Namespace {
    /// Active or Terminating.
    pub phase: Str,
    /// status.conditions: what keeps it from going away.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// spec.finalizers
    #[serde(default)]
    pub finalizers: Vec<Str>,
}
