//! Which ConfigMaps, Secrets and claims a Pod (or a Pod template) reads.

use std::collections::BTreeSet;

use super::de::{Short, slim};
use crate::object::{ConfigRef, ConfigRefKind, Shared, Str};

slim! {
    struct NameIn {
        name: Short,
    }

    struct EnvIn {
        value_from: EnvSourceIn,
    }

    struct EnvSourceIn {
        config_map_key_ref: NameIn,
        secret_key_ref: NameIn,
    }

    struct EnvFromIn {
        config_map_ref: NameIn,
        secret_ref: NameIn,
    }

    struct VolumeIn {
        config_map: NameIn,
        secret: SecretVolumeIn,
        persistent_volume_claim: ClaimVolumeIn,
        projected: ProjectedIn,
    }

    struct SecretVolumeIn {
        secret_name: Short,
    }

    struct ClaimVolumeIn {
        claim_name: Short,
    }

    struct ProjectedIn {
        sources: Vec<SourceIn>,
    }

    struct SourceIn {
        config_map: NameIn,
        secret: NameIn,
    }
}

/// References, each once, in a stable order.
#[derive(Default)]
pub(super) struct RefSet(BTreeSet<ConfigRef>);

impl RefSet {
    fn add(&mut self, kind: ConfigRefKind, name: &Short, via: &str) {
        // Every Pod reads it, by way of its service account's token.
        if !name.0.is_empty() && name.0 != "kube-root-ca.crt" {
            self.0.insert(ConfigRef { kind, name: name.0.clone(), via: Str::new(via) });
        }
    }

    /// env and envFrom of a container.
    pub(super) fn container(&mut self, env: &[EnvIn], env_from: &[EnvFromIn]) {
        for e in env {
            self.add(ConfigRefKind::ConfigMap, &e.value_from.config_map_key_ref.name, "env");
            self.add(ConfigRefKind::Secret, &e.value_from.secret_key_ref.name, "env");
        }
        for e in env_from {
            self.add(ConfigRefKind::ConfigMap, &e.config_map_ref.name, "envFrom");
            self.add(ConfigRefKind::Secret, &e.secret_ref.name, "envFrom");
        }
    }

    /// One of spec.volumes.
    pub(super) fn volume(&mut self, volume: &VolumeIn) {
        self.add(ConfigRefKind::ConfigMap, &volume.config_map.name, "volume");
        self.add(ConfigRefKind::Secret, &volume.secret.secret_name, "volume");
        self.add(ConfigRefKind::Claim, &volume.persistent_volume_claim.claim_name, "volume");
        for source in &volume.projected.sources {
            self.add(ConfigRefKind::ConfigMap, &source.config_map.name, "projected");
            self.add(ConfigRefKind::Secret, &source.secret.name, "projected");
        }
    }

    /// One of spec.imagePullSecrets.
    pub(super) fn pull_secret(&mut self, secret: &NameIn) {
        self.add(ConfigRefKind::Secret, &secret.name, "imagePullSecret");
    }

    /// All, sorted.
    pub(super) fn into_list(self) -> Shared<ConfigRef> {
        self.0.into_iter().collect::<Vec<_>>().into()
    }
}
