//! The dashboard in a real terminal: what is left of it after quitting, a panic, signals, suspend and resume.
//!
//! The terminal runs this very test binary, which shows the dashboard when it is asked to by its environment.

use std::{
    io::{Read, Write},
    num::NonZero,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use barrelman::{
    feed::{FEED_CAPACITY, Feed},
    store::Store,
    tui::{self, Link, Options},
};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use super::tui_sample as sample;

const ASKED: &str = "BARRELMAN_TEST_SHOW";

/// Not a test of its own: what the tests below run in their terminal.
#[test]
#[ignore = "run by the tests of this file in a terminal of its own"]
fn shown_in_the_terminal() {
    let Ok(how) = std::env::var(ASKED) else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    sample::fill(&store, sample::now(), 300);
    sample::day(&store, sample::now());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let exit = runtime.block_on(async move {
        let (feed, receiver) = broadcast::channel(FEED_CAPACITY);
        feed.send(Feed::Status { status: Arc::new(sample::status(sample::now())) }).unwrap();
        let (actions, _asked) = mpsc::channel(4);
        let stop = CancellationToken::new();
        let link = Link { pages: Arc::new(store), feed: receiver, actions, stop: stop.clone() };
        let shown = tui::run(link, Options::default(), Arc::new(sample::now));
        let panics = async {
            if how == "panic" {
                tokio::time::sleep(Duration::from_millis(300)).await;
                panic!("the test's own panic");
            }
            if how == "thread" {
                tokio::time::sleep(Duration::from_millis(300)).await;
                assert!(std::thread::spawn(|| panic!("a pump's own panic")).join().is_err());
            }
            if how == "fault" {
                use tokio::signal::unix::{SignalKind, signal};
                signal(SignalKind::user_defined1()).unwrap().recv().await;
                let fault = || barrelman::store::unwound(|| panic!("a rule's fault")).is_err();
                assert!(std::thread::spawn(fault).join().unwrap());
            }
            std::future::pending::<()>().await;
        };
        let stops = async {
            use tokio::signal::unix::{SignalKind, signal};
            let (mut term, mut hup) =
                (signal(SignalKind::terminate()).unwrap(), signal(SignalKind::hangup()).unwrap());
            tokio::select! { _ = term.recv() => (), _ = hup.recv() => () }
            stop.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! { exit = shown => exit, () = panics => unreachable!(), () = stops => unreachable!() }
    });
    writeln!(std::io::stdout(), "ended: {exit:?}\r").unwrap();
    drop(dir);
}

fn cells(n: u16) -> NonZero<u16> {
    NonZero::new(n).unwrap()
}

/// A terminal with the dashboard in it.
pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    parser: Arc<Mutex<vt100::Parser>>,
    raw: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn start(how: &str, size: (u16, u16)) -> Self {
        let (program, args) = Self::program();
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.env(ASKED, how);
        Self::spawn_in(command, size)
    }

    /// This binary, asked to show the dashboard.
    fn program() -> (std::path::PathBuf, Vec<String>) {
        let name = format!("{}::shown_in_the_terminal", module_path!().split_once("::").unwrap().1);
        let args = ["--exact", &name, "--ignored", "--nocapture", "--test-threads=1"];
        (std::env::current_exe().unwrap(), args.map(str::to_owned).to_vec())
    }

    fn spawn_in(mut command: CommandBuilder, size: (u16, u16)) -> Self {
        command.env("TERM", "xterm-256color");
        command.env("RUST_BACKTRACE", "0");
        command.env_remove("NO_COLOR");
        command.env_remove("TMUX");
        Self::spawn(command, size)
    }

    /// A program of its own in a terminal of this size.
    pub fn spawn(command: CommandBuilder, size: (u16, u16)) -> Self {
        let pair = native_pty_system()
            .openpty(PtySize { cols: size.0, rows: size.1, pixel_width: 0, pixel_height: 0 })
            .unwrap();
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let keys = pair.master.take_writer().unwrap();
        let parser = Arc::new(Mutex::new(vt100::Parser::new(cells(size.1), cells(size.0), 0)));
        let raw = Arc::new(Mutex::new(Vec::new()));
        let (screen, bytes) = (Arc::clone(&parser), Arc::clone(&raw));
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                screen.lock().unwrap().process(&buffer[..n]);
                bytes.lock().unwrap().extend_from_slice(&buffer[..n]);
            }
        });
        Self { child, master: pair.master, keys, parser, raw }
    }

    pub fn text(&self) -> String {
        self.parser.lock().unwrap().screen().contents()
    }

    /// Waits until the screen shows this; the longest wait only bounds a failure.
    pub fn until(&mut self, words: &str) -> &mut Self {
        let start = Instant::now();
        while !self.text().contains(words) {
            assert!(start.elapsed() < Duration::from_secs(20), "{words:?} never came:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        }
        self
    }

    /// Waits until it shows this no more.
    pub fn until_gone(&mut self, words: &str) -> &mut Self {
        let start = Instant::now();
        while self.text().contains(words) {
            assert!(start.elapsed() < Duration::from_secs(20), "{words:?} stays:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        }
        self
    }

    pub fn press(&mut self, keys: &str) -> &mut Self {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
        self
    }

    pub fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        assert!(std::process::Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// The process ends, and the terminal is as it was: main screen, cursor, no bracketed paste, cooked input.
    pub fn restored(mut self) -> String {
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < Duration::from_secs(20), "it does not end:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        }
        // The reader may be a moment behind.
        std::thread::sleep(Duration::from_millis(50));
        let parser = self.parser.lock().unwrap();
        let screen = parser.screen();
        assert!(!screen.alternate_screen(), "{}", screen.contents());
        assert!(!screen.hide_cursor() && !screen.bracketed_paste());
        let raw = String::from_utf8_lossy(&self.raw.lock().unwrap()).into_owned();
        assert!(raw.contains("\x1b[?1049h") && raw.contains("\x1b[?2026h"), "it never had the screen");
        screen.contents()
    }
}

#[test]
fn start_filter_quit() {
    let mut t = Terminal::start("plainly", (100, 30));
    t.until("(3)  2 Stream").until("payments/payments-api");
    t.press("2").until("pod_restarted");
    t.press("/type:pod_restarted").until("/ type:pod_restarted");
    t.press("\r").until("type:pod_restarted");
    t.press("q").until("Nobody will be told by").press("y");
    assert!(t.restored().contains("ended: Ok(Quit)"));
}

#[test]
fn a_resize_is_followed_at_any_time() {
    let mut t = Terminal::start("plainly", (80, 24));
    t.until("(3)  2 Stream");
    for (cols, rows) in [(200, 60), (40, 10), (120, 40), (20, 3), (80, 24)] {
        t.parser.lock().unwrap().screen_mut().set_size(cells(rows), cells(cols));
        t.master.resize(PtySize { cols, rows, pixel_width: 0, pixel_height: 0 }).unwrap();
        t.until(if cols < 60 { "terminal is" } else { "(3)  2 Stream" });
    }
    t.signal("-TERM");
    assert!(t.restored().contains("ended: Ok(Stopped)"));
}

#[test]
fn a_panic_gives_the_terminal_back_before_its_message() {
    let t = Terminal::start("panic", (100, 30));
    let left = t.restored();
    assert!(left.contains("the test's own panic"), "{left}");
}

#[test]
fn a_panic_of_another_thread_ends_the_dashboard_as_a_failure() {
    let left = Terminal::start("thread", (100, 30)).restored();
    assert!(left.contains("a pump's own panic") && left.contains("ended: Err(Fault)"), "{left}");
}

#[test]
fn a_fault_that_stops_nobody_leaves_the_screen() {
    let mut t = Terminal::start("fault", (100, 30));
    t.until("(3)  2 Stream").signal("-USR1");
    // A screen that was left would draw no more.
    std::thread::sleep(Duration::from_millis(300));
    t.press("2").until("pod_restarted");
    assert!(t.parser.lock().unwrap().screen().alternate_screen());
    t.press("q").until("Nobody will be told by").press("y");
    let left = t.restored();
    assert!(left.contains("ended: Ok(Quit)") && !left.contains("a rule's fault"), "{left}");
}

#[test]
fn sigterm_and_sighup_restore_the_terminal() {
    for name in ["-TERM", "-HUP"] {
        let mut t = Terminal::start("plainly", (80, 24));
        t.until("(3)  2 Stream");
        t.signal(name);
        assert!(t.restored().contains("ended: Ok(Stopped)"), "{name}");
    }
}

#[test]
fn suspended_it_gives_the_terminal_back_and_resumed_it_takes_it_again() {
    for how in ["key", "signal"] {
        let mut t = Terminal::start("plainly", (80, 24));
        t.until("(3)  2 Stream");
        match how {
            "key" => {
                t.press("\x1a");
            }
            _ => t.signal("-TSTP"),
        }
        let start = Instant::now();
        while t.parser.lock().unwrap().screen().alternate_screen() {
            assert!(start.elapsed() < Duration::from_secs(20), "it keeps the screen");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!t.parser.lock().unwrap().screen().hide_cursor());
        // Continued until it draws: the stop itself comes a moment after the screen is given back.
        let start = Instant::now();
        while !t.parser.lock().unwrap().screen().alternate_screen() {
            t.signal("-CONT");
            assert!(start.elapsed() < Duration::from_secs(20), "it does not come back");
            std::thread::sleep(Duration::from_millis(50));
        }
        t.until("(3)  2 Stream");
        t.press("\x03").until("ctrl-c again quits").press("\x03");
        assert!(t.restored().contains("ended: Ok(Now)"));
    }
}

#[test]
fn a_suspended_dashboard_ends_when_its_shell_kills_the_job() {
    let (program, args) = Terminal::program();
    let mut shell = CommandBuilder::new("sh");
    shell.arg("-i");
    shell.env("PS1", "shell> ");
    shell.env("ENV", "");
    let mut t = Terminal::spawn_in(shell, (100, 30));
    t.until("shell>");
    t.press(&format!("{ASKED}=plainly {} {}\r", program.display(), args.join(" ")));
    t.until("(3)  2 Stream").press("\x1a").until("Stopped");
    // TERM, then CONT: it goes on in the background, where the terminal is not its own.
    t.press("kill %1; kill -CONT %1\r").until("ended: Ok(Stopped)");
    // Some shells answer the first with a warning about jobs that they have not looked at yet.
    t.press("exit\rexit\r");
    t.restored();
}

#[test]
fn what_is_pasted_is_no_key() {
    let mut t = Terminal::start("plainly", (100, 30));
    t.until("(3)  2 Stream");
    t.press("\x1b[200~q\ny\n\x1b[201~").until("goes into a field");
    t.press("\x03").until("ctrl-c again quits").press("\x03");
    t.restored();
}
