//! Claims, volumes, StorageClasses.

use super::{
    de::{Short, slim, strs},
    meta::{ConditionIn, MetaIn, all},
};
use crate::object::{Claim, StorageClass, Volume};

slim! {
    struct ClaimIn {
        metadata: MetaIn,
        spec: ClaimSpecIn,
        status: ClaimStatusIn,
    }

    struct ClaimSpecIn {
        storage_class_name: Option<Short>,
        volume_name: Short,
        resources: ResourcesIn,
        access_modes: Vec<Short>,
    }

    struct ResourcesIn {
        requests: StorageIn,
    }

    struct StorageIn {
        storage: Short,
    }

    struct ClaimStatusIn {
        phase: Short,
        conditions: Vec<ConditionIn>,
    }

    struct VolumeIn {
        metadata: MetaIn,
        spec: VolumeSpecIn,
        status: VolumeStatusIn,
    }

    struct VolumeSpecIn {
        capacity: StorageIn,
        storage_class_name: Short,
        access_modes: Vec<Short>,
        claim_ref: Option<ClaimRefIn>,
        persistent_volume_reclaim_policy: Short,
    }

    struct ClaimRefIn {
        namespace: Short,
        name: Short,
    }

    struct VolumeStatusIn {
        phase: Short,
        reason: Short,
        message: Short,
    }

    struct StorageClassIn {
        metadata: MetaIn,
        provisioner: Short,
        reclaim_policy: Short,
        volume_binding_mode: Short,
        allow_volume_expansion: bool,
    }
}

impl From<(ClaimSpecIn, ClaimStatusIn)> for Claim {
    fn from((spec, status): (ClaimSpecIn, ClaimStatusIn)) -> Claim {
        let class = spec.storage_class_name.map(|name| name.0);
        Claim {
            phase: status.phase.0,
            no_class: class.as_deref() == Some(""),
            storage_class: class.unwrap_or_default(),
            volume: spec.volume_name.0,
            requested: spec.resources.requests.storage.0,
            access_modes: strs(spec.access_modes),
            conditions: all(status.conditions),
        }
    }
}

impl From<(VolumeSpecIn, VolumeStatusIn)> for Volume {
    fn from((spec, status): (VolumeSpecIn, VolumeStatusIn)) -> Volume {
        let claim = spec.claim_ref.map(|c| format!("{}/{}", c.namespace.0, c.name.0)).unwrap_or_default();
        Volume {
            phase: status.phase.0,
            reason: status.reason.0,
            message: status.message.0,
            capacity: spec.capacity.storage.0,
            storage_class: spec.storage_class_name.0,
            access_modes: strs(spec.access_modes),
            claim: claim.into(),
            reclaim_policy: spec.persistent_volume_reclaim_policy.0,
        }
    }
}

/// The record of a StorageClass.
pub(super) fn storage_class(class: StorageClassIn, default: Option<&str>) -> StorageClass {
    StorageClass {
        provisioner: class.provisioner.0,
        reclaim_policy: class.reclaim_policy.0,
        binding_mode: class.volume_binding_mode.0,
        allow_expansion: class.allow_volume_expansion,
        is_default: default == Some("true"),
    }
}
