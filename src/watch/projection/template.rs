//! Pod templates: names and images, and keyed hashes of everything else.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::Value;

use super::{
    de::{SHORT, Short, slim, text},
    hash::{Hashed, bytes, entry},
    refs::{EnvFromIn, EnvIn, NameIn, RefSet, VolumeIn},
};
use crate::object::{Str, Template, TemplateContainer};

slim! {
    struct TemplateIn {
        metadata: TemplateMetaIn,
        spec: PodSpecIn,
    }

    struct TemplateMetaIn {
        labels: LabelsIn,
        annotations: Hashed,
    }
}

impl From<TemplateIn> for Template {
    fn from(t: TemplateIn) -> Template {
        let mut spec = t.spec;
        spec.init.iter_mut().for_each(|c| c.kept.init = true);
        let all: Vec<ContainerIn> = spec.init.into_iter().chain(spec.containers).collect();
        for container in &all {
            spec.refs.container(&container.env, &container.env_from);
        }
        let containers = all.iter().fold(0_u64, |hash, c| {
            bytes(b'c', &[&hash.to_le_bytes(), &c.hash.to_le_bytes(), &[u8::from(c.kept.init)]])
        });
        let parts = [t.metadata.labels.0, t.metadata.annotations.0, spec.volumes, spec.rest, containers];
        let hash =
            parts.iter().zip(["l", "a", "v", "r", "c"]).fold(0_u64, |h, (v, k)| h.wrapping_add(entry(k, *v)));
        Template {
            hash,
            containers: all.into_iter().map(|c| c.kept).collect(),
            labels: t.metadata.labels.0,
            annotations: t.metadata.annotations.0,
            volumes: spec.volumes,
            rest: spec.rest,
            refs: spec.refs.into_list(),
        }
    }
}

/// Reads a map field by field; the block must take the value of every key from `$map`.
macro_rules! by_field {
    ($ty:ident, |$found:ident, $key:ident, $map:ident| $take:block) => {
        impl<'de> Deserialize<'de> for $ty {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                struct V;
                impl<'de> Visitor<'de> for V {
                    type Value = $ty;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a map")
                    }
                    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<$ty, A::Error> {
                        let mut found = $ty::default();
                        while let Some(key) = access.next_key::<Cow<'_, str>>()? {
                            let ($found, $key, $map) = (&mut found, &*key, &mut access);
                            $take
                        }
                        Ok(found)
                    }
                }
                d.deserialize_map(V)
            }
        }
    };
}

/// Labels without the one that a Deployment's controller writes into its ReplicaSets.
#[derive(Default)]
pub(super) struct LabelsIn(u64);

by_field!(LabelsIn, |found, key, map| {
    let Hashed(value) = map.next_value()?;
    if key != "pod-template-hash" {
        found.0 = found.0.wrapping_add(entry(key, value));
    }
});

#[derive(Default)]
pub(super) struct PodSpecIn {
    init: Vec<ContainerIn>,
    containers: Vec<ContainerIn>,
    volumes: u64,
    rest: u64,
    refs: RefSet,
}

by_field!(PodSpecIn, |spec, key, map| {
    match key {
        "containers" => spec.containers = map.next_value::<Option<_>>()?.unwrap_or_default(),
        "initContainers" => spec.init = map.next_value::<Option<_>>()?.unwrap_or_default(),
        "volumes" => {
            let (hash, volumes) = both::<_, Vec<VolumeIn>>(map)?;
            spec.volumes = hash;
            for volume in &volumes {
                spec.refs.volume(volume);
            }
        }
        "imagePullSecrets" => {
            let (hash, secrets) = both::<_, Vec<NameIn>>(map)?;
            spec.rest = spec.rest.wrapping_add(entry(key, hash));
            for secret in &secrets {
                spec.refs.pull_secret(secret);
            }
        }
        _ => {
            let Hashed(value) = map.next_value()?;
            spec.rest = spec.rest.wrapping_add(entry(key, value));
        }
    }
});

#[derive(Default)]
pub(super) struct ContainerIn {
    kept: TemplateContainer,
    hash: u64,
    env: Vec<EnvIn>,
    env_from: Vec<EnvFromIn>,
}

by_field!(ContainerIn, |c, key, map| {
    let hash = match key {
        "name" | "image" => {
            let (hash, value) = both::<_, Short>(map)?;
            *(if key == "name" { &mut c.kept.name } else { &mut c.kept.image }) = value.0;
            hash
        }
        "env" => c.take_env(&map.next_value()?),
        "envFrom" => {
            let (hash, sources) = both(map)?;
            (c.kept.env_from, c.env_from) = (hash, sources);
            hash
        }
        "resources" => {
            let (hash, value) = both::<_, Value>(map)?;
            c.kept.resources = resources(&value);
            hash
        }
        _ => {
            let Hashed(hash) = map.next_value()?;
            let part = match key {
                "command" | "args" => &mut c.kept.command,
                "livenessProbe" | "readinessProbe" | "startupProbe" => &mut c.kept.probes,
                _ => &mut c.kept.rest,
            };
            *part = part.wrapping_add(entry(key, hash));
            hash
        }
    };
    c.hash = c.hash.wrapping_add(entry(key, hash));
});

impl ContainerIn {
    fn take_env(&mut self, list: &Value) -> u64 {
        for item in list.as_array().into_iter().flatten() {
            let name = item.get("name").and_then(Value::as_str).unwrap_or_default();
            self.kept.env.push((text(name, SHORT), hash_of(item)));
            self.env.extend(EnvIn::deserialize(item));
        }
        hash_of(list)
    }
}

/// `limits.memory=256Mi,requests.cpu=100m`, sorted.
fn resources(value: &Value) -> Str {
    let mut parts = Vec::new();
    for part in ["limits", "requests"] {
        for (name, amount) in value.get(part).and_then(Value::as_object).into_iter().flatten() {
            let amount = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
            parts.push(format!("{part}.{name}={amount}"));
        }
    }
    parts.sort_unstable();
    text(&parts.join(","), SHORT)
}

fn hash_of(value: &Value) -> u64 {
    Hashed::deserialize(value).map(|h| h.0).unwrap_or_default()
}

/// A value's hash, and what is read of it. What cannot be read is the default: the hash still tells changes.
fn both<'de, A: MapAccess<'de>, T: DeserializeOwned + Default>(map: &mut A) -> Result<(u64, T), A::Error> {
    let value: Value = map.next_value()?;
    let hash = hash_of(&value);
    Ok((hash, serde_json::from_value(value).unwrap_or_default()))
}
