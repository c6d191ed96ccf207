//! `config init | check | show`.

use std::{
    fs,
    io::{ErrorKind, Write},
    path::Path,
};

use anyhow::{Context, Result};

use super::{check_parts, out::Console, usage};
use crate::{
    app::{
        configuration::look,
        connectors::{hide_unknown, secret_options},
    },
    cli::{ConfigArgs, ConfigCommand, Exit},
    config::{Flags, config_path, environment, example::example, load, show},
};

/// Writes, checks or shows the configuration.
///
/// # Errors
/// A file that is there already, a configuration that cannot be used, the disk.
pub fn run(args: &ConfigArgs, flags: Flags, console: &mut Console<'_>) -> Result<Exit> {
    match &args.command {
        ConfigCommand::Init { print: true, .. } => {
            console.out.write_all(example().as_bytes())?;
            Ok(Exit::Ok)
        }
        ConfigCommand::Init { force, .. } => init(&flags, *force, console),
        ConfigCommand::Check => check(&flags, console),
        ConfigCommand::Show => {
            let mut resolved = load(flags)?;
            hide_unknown(&mut resolved.settings.connectors);
            resolved.warnings.iter().for_each(|w| console.note(format!("warning: {w}")));
            console.out.write_all(show(&resolved, &secret_options).trim_start().as_bytes())?;
            Ok(Exit::Ok)
        }
    }
}

fn path_of(flags: &Flags) -> (Option<std::path::PathBuf>, bool) {
    config_path(flags, &environment())
}

fn init(flags: &Flags, force: bool, console: &mut Console<'_>) -> Result<Exit> {
    let (path, _) = path_of(flags);
    let path = path.ok_or_else(|| usage("there is no home directory: name the file with --config"))?;
    if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    }
    match write_new(&path, force) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(usage(format!(
                "{} is there already: --force replaces it, --print prints the example",
                path.display()
            )));
        }
        Err(error) => return Err(error).with_context(|| format!("{} cannot be written", path.display())),
    }
    console.line(format!("{} is written: every option, commented at its default", path.display()))?;
    Ok(Exit::Ok)
}

/// For its owner alone: connectors' secrets may come to stand in it.
fn write_new(path: &Path, force: bool) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(example().as_bytes())
}

fn check(flags: &Flags, console: &mut Console<'_>) -> Result<Exit> {
    let looked = look(flags);
    for warning in &looked.resolved.warnings {
        console.line(format!("! {warning}"))?;
    }
    for wrong in looked.connectors.iter().filter(|w| w.incomplete) {
        console.line(format!("! {}", wrong.problem))?;
    }
    let settings = looked.usable()?.settings;
    for finding in check_parts::never(&settings) {
        console.line(format!("· {}: {}", finding.what, finding.text))?;
    }
    let file = match path_of(flags).0.filter(|p| p.is_file()) {
        Some(path) => path.display().to_string(),
        None => "defaults, environment and flags (there is no file)".to_owned(),
    };
    let connectors = super::counted(settings.connectors.len() as u64, "connector");
    let off = match settings.connectors.iter().filter(|c| !c.enabled).count() {
        0 => String::new(),
        all if all == settings.connectors.len() => ", none of them on (enabled = true)".to_owned(),
        some => format!(", {some} of them off"),
    };
    console.line(format!("✓ the configuration can be used: {file}, {connectors}{off}"))?;
    Ok(Exit::Ok)
}
