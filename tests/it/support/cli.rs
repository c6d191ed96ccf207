//! The real binary, in a home of its own: no kubeconfig, nothing of this machine's environment.

use std::{
    io::{BufRead, BufReader, Lines},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use tempfile::TempDir;

/// A home directory.
pub struct Home {
    dir: TempDir,
    vars: Vec<(String, String)>,
}

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:#?}");
        self.out
    }

    #[track_caller]
    pub fn failed(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:#?}");
        format!("{}{}", self.out, self.err)
    }
}

impl Home {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), vars: Vec::new() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where the store is.
    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.vars.push((name.into(), value.into()));
    }

    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// The configuration file.
    pub fn config(&self, text: &str) {
        let dir = self.path().join("config/barrelman");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("config.toml"), text).unwrap();
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_barrelman"));
        command.args(args).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("HOME", self.path()).env("TZ", "UTC");
        command.env("XDG_CONFIG_HOME", self.path().join("config"));
        command.env("BARRELMAN_DATA_DIR", self.data());
        command.envs(self.vars.iter().map(|(k, v)| (k, v)));
        command.stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// For commands whose other side is a server of this test.
    pub async fn run_async(&self, args: &[&str]) -> Ran {
        let mut command = self.command(args);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// A command that stays.
    pub fn start(&self, args: &[&str]) -> Staying {
        let mut child = self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Staying { child, lines: Some(lines) }
    }
}

pub struct Staying {
    child: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Staying {
    #[track_caller]
    pub fn line(&mut self) -> String {
        match self.lines.as_mut().expect("nobody took the lines").next() {
            Some(line) => line.unwrap(),
            None => panic!("it ended: {:?}", self.child.wait()),
        }
    }
}

impl Staying {
    /// For a thread that reads: it ends when the command is ended with this.
    pub fn take_lines(&mut self) -> impl Iterator<Item = String> + Send + 'static {
        self.lines.take().expect("nobody took the lines").map_while(Result::ok)
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
