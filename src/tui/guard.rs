//! The terminal: taken, given back, whatever happens: at the end, on a panic, on suspend.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crossterm::{
    cursor::{Hide, MoveTo, Show},
    event::{DisableBracketedPaste, EnableBracketedPaste},
    execute,
    style::ResetColor,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};

/// Gives the terminal back when it goes.
pub struct Guard {
    taken: Arc<AtomicBool>,
}

impl Guard {
    /// Takes the terminal. A panic from here on gives it back first, so that its message can be read.
    pub fn take() -> io::Result<Self> {
        // The theme decides on colour; crossterm would take it away a second time, with the selection.
        crossterm::style::force_color_output(true);
        let taken = Arc::new(AtomicBool::new(false));
        let guard = Self { taken: Arc::clone(&taken) };
        guard.enter()?;
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
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
        if entered.is_err() {
            self.leave();
        }
        entered
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
    let _ = execute!(out, DisableBracketedPaste);
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
