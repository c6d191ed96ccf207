//! Logs: text or JSON on standard error, or a rotated file while a screen holds the terminal.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock},
};

use anyhow::{Context, Result};
use directories::ProjectDirs;
use tracing_subscriber::{EnvFilter, Registry, fmt, prelude::*, reload};

use crate::config::LogSettings;

/// A log file is moved aside at this size; one old one is kept.
const ROTATE_BYTES: u64 = 4 << 20;

/// To change the level of the one log that a process has.
static LEVEL: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Another level from now on.
pub fn set_level(level: &str) {
    if let Some(Err(error)) = LEVEL.get().map(|handle| handle.reload(filter(level))) {
        tracing::warn!(%error, level, "the level of the log could not be changed");
    }
}

fn changeable(level: &str) -> reload::Layer<EnvFilter, Registry> {
    let (layer, handle) = reload::Layer::new(filter(level));
    // A second initialisation (in tests) changes nothing.
    let _ = LEVEL.set(handle);
    layer
}

/// Sends logs to standard error.
pub fn to_stderr(settings: &LogSettings) {
    let registry = tracing_subscriber::registry().with(changeable(&settings.level));
    // A second initialisation (in tests) is not worth failing for.
    let _ = if settings.json {
        registry.with(fmt::layer().json().with_writer(io::stderr)).try_init()
    } else {
        let colours = io::IsTerminal::is_terminal(&io::stderr()) && std::env::var_os("NO_COLOR").is_none();
        let layer = fmt::layer().with_target(false).with_ansi(colours).with_writer(io::stderr);
        registry.with(layer).try_init()
    };
}

/// Sends logs to a file (0600) in the platform's state directory, or else in the data directory; answers which.
pub fn to_file(settings: &LogSettings, data_dir: &Path) -> Result<PathBuf> {
    let state = ProjectDirs::from("", "", "barrelman").and_then(|d| d.state_dir().map(Path::to_owned));
    to_file_in(settings, &state.unwrap_or_else(|| data_dir.to_owned()))
}

/// The same, in this directory.
pub fn to_file_in(settings: &LogSettings, dir: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let path = dir.join("barrelman.log");
    let file = Rotated::open(path.clone()).with_context(|| format!("cannot write {}", path.display()))?;
    let layer = fmt::layer().with_target(false).with_ansi(false).with_writer(Mutex::new(file));
    let _ = tracing_subscriber::registry().with(changeable(&settings.level)).with(layer).try_init();
    Ok(path)
}

/// A plain level is for us; libraries stay at warnings, because their debug lines may hold addresses with tokens, and
/// kube's client calls every refused request an error, which we tell better.
fn filter(level: &str) -> EnvFilter {
    let plain = ["trace", "debug", "info", "warn", "error"].contains(&level);
    let text = if plain {
        format!("warn,kube_client=off,tower_http=off,barrelman={level}")
    } else {
        level.to_owned()
    };
    EnvFilter::try_new(text).unwrap_or_else(|_| EnvFilter::new("warn,barrelman=info"))
}

/// A file that is moved to `.1` when it has grown.
struct Rotated {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Rotated {
    fn open(path: PathBuf) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, file, bytes })
    }
}

impl Write for Rotated {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if self.bytes > ROTATE_BYTES {
            std::fs::rename(&self.path, self.path.with_extension("log.1"))?;
            *self = Self::open(self.path.clone())?;
        }
        let written = self.file.write(text)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
