//! The terminal: taken, given back, whatever happens: at the end, on a panic, on suspend.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
};

use crossterm::{
    cursor::{Hide, MoveTo, Show},
    event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture},
    execute,
    style::ResetColor,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};

/// Gives the terminal back when it goes.
pub struct Guard {
    taken: Arc<AtomicBool>,
    /// Our own process group: the one in the foreground when the terminal was taken. 0 = not known.
    group: AtomicI32,
}

impl Guard {
    /// Takes the terminal. A panic from here on gives it back first, so that its message can be read.
    pub fn take() -> io::Result<Self> {
        // The theme decides on colour; crossterm would take it away a second time, with the selection.
        if !io::IsTerminal::is_terminal(&io::stdout()) {
            return Err(io::Error::other("the output is no terminal"));
        }
        crossterm::style::force_color_output(true);
        let taken = Arc::new(AtomicBool::new(false));
        let guard = Self { taken: Arc::clone(&taken), group: AtomicI32::new(0) };
        guard.enter()?;
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // A damaged file is told on the screen, which stays.
            if crate::store::becomes_an_error(info) {
                return before(info);
            }
            // Neither does a fault that stops nobody else end the screen: Health counts it, and the log says where.
            if crate::store::goes_on_after() {
                tracing::error!("{info}");
                return;
            }
            leave(&taken);
            before(info);
        }));
        Ok(guard)
    }

    /// Takes it (again, after a suspend).
    pub fn enter(&self) -> io::Result<()> {
        self.taken.store(true, Ordering::SeqCst);
        let entered = enable_raw_mode().and_then(|()| {
            execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, Hide, MoveTo(0, 0))
        });
        match entered {
            // Only a process in the foreground gets this far.
            Ok(()) => self.group.store(foreground().unwrap_or(0), Ordering::SeqCst),
            Err(_) => self.leave(),
        }
        entered
    }

    /// Whether the terminal listens to this process: not while it runs behind a shell's prompt. Where that cannot be
    /// known it is taken to be so.
    pub fn in_foreground(&self) -> bool {
        match (self.group.load(Ordering::SeqCst), foreground()) {
            (0, _) | (_, None) => true,
            (ours, Some(now)) => ours == now,
        }
    }

    /// Takes the mouse, or leaves it to the terminal, which can then mark text with it.
    #[allow(clippy::unused_self, reason = "only who holds the terminal may")]
    pub fn mouse(&self, on: bool) -> io::Result<()> {
        if on {
            execute!(io::stdout(), EnableMouseCapture)
        } else {
            execute!(io::stdout(), DisableMouseCapture)
        }
    }

    /// Whether it is ours to draw on: not after a panic in another thread, whose message stands there now.
    pub fn holds(&self) -> bool {
        self.taken.load(Ordering::SeqCst)
    }

    /// Gives it back.
    pub fn leave(&self) {
        leave(&self.taken);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.leave();
    }
}

fn leave(taken: &AtomicBool) {
    if !taken.swap(false, Ordering::SeqCst) {
        return;
    }
    // There is nobody left to tell when this fails; each step is tried whatever became of the others.
    let mut out = io::stdout();
    let _ = execute!(out, DisableMouseCapture, DisableBracketedPaste);
    let _ = execute!(out, ResetColor, LeaveAlternateScreen);
    let _ = execute!(out, Show);
    let _ = disable_raw_mode();
    let _ = out.flush();
}

/// Stops this process as the shell expects it, until it is continued.
#[cfg(unix)]
pub fn stop_process() -> io::Result<()> {
    signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP)
}

/// There is no suspending here.
#[cfg(not(unix))]
pub fn stop_process() -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system cannot suspend"))
}

/// The process group that the terminal listens to.
#[cfg(unix)]
fn foreground() -> Option<i32> {
    rustix::termios::tcgetpgrp(io::stdin()).ok().map(|group| group.as_raw_nonzero().get())
}

/// There is no job control here.
#[cfg(not(unix))]
fn foreground() -> Option<i32> {
    None
}
