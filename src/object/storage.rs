//! Volumes, claims and classes.

use serde::{Deserialize, Serialize};

use super::{Condition, Str};

/// What is kept of a PersistentVolumeClaim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Claim {
    /// Pending, Bound, Lost
    pub phase: Str,
    /// spec.storageClassName
    #[serde(default)]
    pub storage_class: Str,
    /// It is there and empty: the claim wants a volume without a class, also where one is the default.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_class: bool,
    /// spec.volumeName
    #[serde(default)]
    pub volume: Str,
    /// spec.resources.requests.storage
    #[serde(default)]
    pub requested: Str,
    /// spec.accessModes
    #[serde(default)]
    pub access_modes: Vec<Str>,
    /// status.conditions
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// What is kept of a PersistentVolume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Volume {
    /// Available, Bound, Released, Failed, Pending
    pub phase: Str,
    /// status.reason
    #[serde(default)]
    pub reason: Str,
    /// status.message
    #[serde(default)]
    pub message: Str,
    /// spec.capacity.storage
    #[serde(default)]
    pub capacity: Str,
    /// spec.storageClassName
    #[serde(default)]
    pub storage_class: Str,
    /// spec.accessModes
    #[serde(default)]
    pub access_modes: Vec<Str>,
    /// spec.claimRef as `namespace/name`; empty where there is none.
    #[serde(default)]
    pub claim: Str,
    /// Retain, Delete, Recycle
    #[serde(default)]
    pub reclaim_policy: Str,
}

/// What is kept of an IngressClass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct IngressClass {
    /// spec.controller
    pub controller: Str,
    /// The annotation ingressclass.kubernetes.io/is-default-class.
    #[serde(default)]
    pub is_default: bool,
}

/// What is kept of a StorageClass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct StorageClass {
    /// provisioner
    pub provisioner: Str,
    /// reclaimPolicy
    #[serde(default)]
    pub reclaim_policy: Str,
    /// Immediate or WaitForFirstConsumer
    #[serde(default)]
    pub binding_mode: Str,
    /// allowVolumeExpansion
    #[serde(default)]
    pub allow_expansion: bool,
    /// The annotation storageclass.kubernetes.io/is-default-class.
    #[serde(default)]
    pub is_default: bool,
}
