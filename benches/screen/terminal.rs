//! The program in a pseudo-terminal, and a person's terminal around it.
//!
//! What is measured is the program, not who measures: the cluster that makes the load runs on the same cores, and a
//! measuring thread that waits for one of them would count its own wait as the program's. So the threads that press
//! keys and read the screen have real-time priority where that is permitted (`chrt`, for root), and each piece of
//! output is stamped by the thread that reads it, before anything is made of it. The load and the program keep the
//! priority that everybody has.

use std::{
    io::{Read, Write},
    path::Path,
    process::Command,
    sync::mpsc,
    time::{Duration, Instant},
};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// What begins each frame.
const FRAME: &[u8] = b"\x1b[?2026h";
const SIZE: (u16, u16) = (120, 40);

/// Gives the calling thread real-time priority, but nothing that it starts; whether that is permitted.
pub fn real_time() -> bool {
    let Ok(thread) = std::fs::read_link("/proc/thread-self") else { return false };
    let Some(id) = thread.file_name() else { return false };
    let chrt = Command::new("chrt").args(["--reset-on-fork", "--fifo", "--pid", "1"]).arg(id).output();
    chrt.is_ok_and(|out| out.status.success())
}

/// The program in a terminal of its own.
pub struct Screen {
    pub child: Box<dyn Child + Send + Sync>,
    writer: Box<dyn Write + Send>,
    output: mpsc::Receiver<(Instant, Vec<u8>)>,
    parser: vt100::Parser,
    pressed: Instant,
    pub frames: u64,
    tail: Vec<u8>,
    _master: Box<dyn MasterPty + Send>,
}

impl Screen {
    pub fn start(home: &Path, kubeconfig: &str) -> Self {
        std::fs::write(home.join("kubeconfig"), kubeconfig).unwrap();
        let size = PtySize { rows: SIZE.1, cols: SIZE.0, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        // Another build, for comparison.
        let program =
            std::env::var("BARRELMAN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_barrelman").to_owned());
        let mut command = CommandBuilder::new(program);
        command.args(["--kubeconfig", home.join("kubeconfig").to_str().unwrap()]);
        command.args(["--data-dir", home.join("data").to_str().unwrap()]);
        command.env_clear();
        for (name, value) in [("PATH", "/usr/bin:/bin"), ("TZ", "UTC"), ("TERM", "xterm-256color")] {
            command.env(name, value);
        }
        command.env("HOME", home);
        let pressed = Instant::now();
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let writer = pair.master.take_writer().unwrap();
        let (send, output) = mpsc::channel();
        std::thread::spawn(move || {
            real_time();
            let mut piece = vec![0; 64 * 1024];
            while let Ok(n @ 1..) = reader.read(&mut piece) {
                if send.send((Instant::now(), piece[..n].to_vec())).is_err() {
                    return;
                }
            }
        });
        let lines = |n: u16| n.try_into().unwrap();
        let parser = vt100::Parser::new(lines(SIZE.1), lines(SIZE.0), 0);
        Screen { child, writer, output, parser, pressed, frames: 0, tail: Vec::new(), _master: pair.master }
    }

    pub fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    /// Takes what comes until then.
    pub fn watch(&mut self, wait: Duration) {
        let end = Instant::now() + wait;
        while let Ok((_, bytes)) = self.output.recv_timeout(end.saturating_duration_since(Instant::now())) {
            self.take(&bytes);
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.parser.process(bytes);
        self.tail.extend_from_slice(bytes);
        self.frames += self.tail.windows(FRAME.len()).filter(|w| *w == FRAME).count() as u64;
        let keep = self.tail.len().min(FRAME.len() - 1);
        self.tail.drain(..self.tail.len() - keep);
    }

    pub fn text(&self) -> String {
        self.parser.screen().contents()
    }

    /// How long it took from the last key (or the start) until the output came that made the screen so.
    pub fn until(&mut self, what: &str, so: impl Fn(&str) -> bool) -> Duration {
        let start = Instant::now();
        let mut at = self.pressed;
        while !so(&self.text()) {
            let left = Duration::from_secs(30).saturating_sub(start.elapsed());
            let Ok((read, bytes)) = self.output.recv_timeout(left) else {
                panic!("not within 30 s: {what}\n{}", self.text());
            };
            self.take(&bytes);
            at = read;
        }
        at.saturating_duration_since(self.pressed)
    }

    pub fn press(&mut self, keys: &str) -> &mut Self {
        self.pressed = Instant::now();
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
        self
    }

    /// The row with the cursor of a list, and what it says beside the age.
    pub fn cursor(&self) -> Option<(usize, String)> {
        let text = self.text();
        let found = text.lines().enumerate().find(|(_, l)| l.starts_with('▌'));
        found.map(|(n, l)| (n, l.chars().take(60).collect()))
    }

    /// Events per second as the header has them: those that reached the screen, over the last ten seconds.
    pub fn rate(&self) -> Option<f64> {
        self.text().split_once("LIVE ")?.1.split_once("/s")?.0.parse().ok()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
