//! Which kinds a server has, and in which versions.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{
    api::Api,
    error::{Fault, Result},
    resources::{Resource, api_path},
};
use crate::event::Kind;

/// What a server says it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// `v1.36.3`
    pub git: String,
    /// 36; 0 where it cannot be read.
    pub minor: u32,
}

/// Servers before this one have no streaming lists switched on, and the oldest ignore the request for one.
const STREAMING_SINCE: u32 = 32;

impl Version {
    /// Whether it is worth asking for a streaming list.
    pub fn may_stream_lists(&self) -> bool {
        self.minor >= STREAMING_SINCE
    }
}

/// The server's version. Where it may not be read nothing depends on it but speed.
pub async fn version(api: &Api) -> Result<Version> {
    #[derive(Deserialize, Default)]
    #[serde(default, rename_all = "camelCase")]
    struct VersionIn {
        minor: String,
        git_version: String,
    }
    let answer = match api.get_small("/version").await {
        Err(e) if e.fault == Fault::Forbidden || e.fault == Fault::NotFound => return Ok(Version::default()),
        answer => answer?,
    };
    let v: VersionIn = serde_json::from_slice(&answer).unwrap_or_default();
    // Some providers write `27+`.
    let digits: String = v.minor.chars().take_while(char::is_ascii_digit).collect();
    let git = crate::event::sanitize::clean_cut(&v.git_version, 64).into_owned();
    Ok(Version { git, minor: digits.parse().unwrap_or_default() })
}

/// How to read each kind; kinds that the server does not have are left out. A group that may not be asked about is
/// taken to be there in its newest version: the stream's own answer will tell.
pub async fn resources(api: &Api, kinds: &BTreeSet<Kind>) -> Result<BTreeMap<Kind, Resource>> {
    let mut groups: BTreeMap<&str, Option<BTreeSet<String>>> = BTreeMap::new();
    let mut found = BTreeMap::new();
    for kind in kinds {
        for way in Resource::ways(*kind) {
            if !groups.contains_key(way.api) {
                groups.insert(way.api, plurals(api, way.api).await?);
            }
            let has = match groups.get(way.api) {
                Some(Some(plurals)) => plurals.contains(way.plural),
                _ => true,
            };
            if has {
                found.insert(*kind, way);
                break;
            }
        }
    }
    Ok(found)
}

/// The resources of a version that can be listed and watched; `None` where that may not be asked.
async fn plurals(api: &Api, version: &str) -> Result<Option<BTreeSet<String>>> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct ListIn {
        resources: Vec<ResourceIn>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct ResourceIn {
        name: String,
        verbs: Vec<String>,
    }
    let answer = match api.get(&api_path(version)).await {
        Ok(answer) => answer,
        Err(e) if e.fault == Fault::NotFound => return Ok(Some(BTreeSet::new())),
        Err(e) if e.fault == Fault::Forbidden => return Ok(None),
        // The backend of an aggregated or broken group must not keep the others away.
        Err(e) if e.fault == Fault::Server && version.contains('/') => return Ok(None),
        Err(e) => return Err(e),
    };
    let list: ListIn = serde_json::from_slice(&answer).unwrap_or_default();
    let watchable =
        |r: &ResourceIn| r.verbs.iter().any(|v| v == "watch") && r.verbs.iter().any(|v| v == "list");
    Ok(Some(list.resources.into_iter().filter(watchable).map(|r| r.name).collect()))
}
