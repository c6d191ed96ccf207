//! The only reading of disk and environment: finds the file, takes a copy of the environment, resolves.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use directories::ProjectDirs;

use super::{
    env::Env,
    flags::Flags,
    problem::{Problem, Problems},
    resolve::{Resolved, Sources, resolve},
};

/// Data of a process without a home directory (a container): mount a volume there.
const DATA_WITHOUT_HOME: &str = "/var/lib/barrelman";

/// The configuration of this process.
///
/// # Errors
/// Every problem at once; a file that was named and cannot be read is one.
pub fn load(flags: Flags) -> Result<Resolved, Problems> {
    // A variable that is no UTF-8 is none of ours.
    let env: Env = std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .collect();
    let (path, named) = config_path(&flags, &env);
    let file = match path.as_deref().map(|p| (p, std::fs::read_to_string(p))) {
        None => None,
        Some((path, Ok(text))) => Some((path.display().to_string(), text)),
        Some((_, Err(error))) if !named && error.kind() == ErrorKind::NotFound => None,
        Some((path, Err(error))) => {
            let origin = path.display().to_string();
            let message = format!("cannot be read: {error} (barrelman config init writes one)");
            return Err(Problems(vec![Problem { origin, path: String::new(), message }]));
        }
    };
    resolve(&Sources { file, env, flags, default_data_dir: default_data_dir() })
}

/// The file: `--config`, else BARRELMAN_CONFIG, else the platform's place; and whether somebody named it.
pub fn config_path(flags: &Flags, env: &Env) -> (Option<PathBuf>, bool) {
    if let Some(path) = &flags.config {
        return (Some(path.clone()), true);
    }
    if let Some(path) = env.get("BARRELMAN_CONFIG").filter(|p| !p.trim().is_empty()) {
        return (Some(PathBuf::from(path)), true);
    }
    (default_config_path(), false)
}

/// `~/.config/barrelman/config.toml` on Linux; `None` without a home directory.
pub fn default_config_path() -> Option<PathBuf> {
    project().map(|p| p.config_dir().join("config.toml"))
}

/// `~/.local/share/barrelman` on Linux.
pub fn default_data_dir() -> PathBuf {
    project().map_or_else(|| Path::new(DATA_WITHOUT_HOME).to_owned(), |p| p.data_dir().to_owned())
}

fn project() -> Option<ProjectDirs> {
    ProjectDirs::from("", "", "barrelman")
}
