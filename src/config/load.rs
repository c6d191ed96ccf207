//! The only reading of disk and environment: finds the file, takes a copy of the environment, resolves.

use std::{
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use directories::ProjectDirs;

use super::{
    env::Env,
    example::example,
    flags::Flags,
    problem::{Problem, Problems},
    resolve::{Examined, Resolved, Sources, examine},
};

/// Data of a process without a home directory (a container): mount a volume there.
const DATA_WITHOUT_HOME: &str = "/var/lib/barrelman";

/// The configuration of this process.
///
/// # Errors
/// Every problem at once; a file that was named and cannot be read is one.
pub fn load(flags: Flags) -> Result<Resolved, Problems> {
    examine_all(flags).usable()
}

/// The same, with what can be used beside what is wrong.
pub fn examine_all(flags: Flags) -> Examined {
    let env = environment();
    let (path, named) = config_path(&flags, &env);
    let mut unread = None;
    let file = match path.as_deref().map(|p| (p, std::fs::read_to_string(p))) {
        None => None,
        Some((path, Ok(text))) => Some((path.display().to_string(), text)),
        Some((_, Err(error))) if !named && error.kind() == ErrorKind::NotFound => None,
        Some((path, Err(error))) => {
            let origin = path.display().to_string();
            let hint = match error.kind() {
                ErrorKind::NotFound => " (`barrelman config init` writes one)",
                ErrorKind::InvalidData => ": expected TOML in UTF-8",
                ErrorKind::IsADirectory => ": name the file in it",
                _ => "",
            };
            let message = format!("cannot be read: {error}{hint}");
            unread = Some(Problem { origin, path: String::new(), message });
            None
        }
    };
    let mut examined = examine(&Sources { file, env, flags, default_data_dir: default_data_dir() });
    examined.problems.splice(0..0, unread);
    examined
}

/// The variables of this process. A name that is no UTF-8 is none of ours; a value that is none is refused by whatever
/// reads it, as it would be with any other sign that it does not know.
pub fn environment() -> Env {
    let text = |v: std::ffi::OsString| v.to_string_lossy().into_owned();
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, text(v)))).collect()
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

/// Writes the example, for `config init`.
///
/// # Errors
/// The file is there (and `force` was not given), or cannot be written: in words, with what to do.
pub fn write_example(path: &Path, force: bool) -> Result<(), String> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => {
            format!(
                "{} is there already: use --force to replace it, or --print to look at the example",
                path.display()
            )
        }
        _ => format!("{} cannot be written: {error}", path.display()),
    };
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(failed)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).create_new(!force);
    // It may come to hold secrets.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(example().as_bytes()).map_err(failed)
}

fn project() -> Option<ProjectDirs> {
    ProjectDirs::from("", "", "barrelman")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(path: &Path) -> Flags {
        Flags { config: Some(path.to_owned()), ..Flags::default() }
    }

    #[test]
    fn a_named_file_must_be_there_and_init_writes_one_that_loads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/config.toml");
        let said = load(flags(&path)).map(|r| r.warnings).unwrap_err().to_string();
        assert!(said.contains("deep/config.toml: cannot be read") && said.contains("config init"), "{said}");
        write_example(&path, false).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), example());
        assert!(write_example(&path, false).unwrap_err().contains("--force"));
        std::fs::write(&path, "[watch]\nnamespaces = 7\n").unwrap();
        let said = load(flags(&path)).map(|r| r.warnings).unwrap_err().to_string();
        assert!(said.contains("config.toml:2: watch.namespaces: expected a list of texts, not 7"), "{said}");
        write_example(&path, true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), example());
    }

    #[test]
    fn the_flag_wins_over_the_variable_over_the_platforms_place() {
        let env: Env = [("BARRELMAN_CONFIG".to_owned(), "/env.toml".to_owned())].into();
        assert_eq!(config_path(&flags(Path::new("/flag.toml")), &env), (Some("/flag.toml".into()), true));
        assert_eq!(config_path(&Flags::default(), &env), (Some("/env.toml".into()), true));
        let (path, named) = config_path(&Flags::default(), &Env::new());
        assert_eq!((path, named), (default_config_path(), false));
    }
}
