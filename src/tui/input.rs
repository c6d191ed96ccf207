//! From the terminal's events to messages, and text to the clipboard.

use std::io::{self, Write};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crossterm::event::{Event, KeyEventKind, MouseButton, MouseEventKind};

use super::{keymap::Chord, msg::Msg};

/// Terminals cut or refuse longer clipboard texts.
const CLIPBOARD: usize = 72 * 1024;

/// The message of an event; `None` for what nobody asked for. Releases are no presses: Windows sends both.
pub fn message(event: Event) -> Option<Msg> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => Some(Msg::Key(Chord::of(key))),
        Event::Paste(text) => Some(Msg::Paste(text)),
        Event::Resize(width, height) => Some(Msg::Resize(width, height)),
        Event::Mouse(mouse) => match mouse.kind {
            MouseEventKind::ScrollDown => Some(Msg::Wheel { down: true }),
            MouseEventKind::ScrollUp => Some(Msg::Wheel { down: false }),
            MouseEventKind::Down(MouseButton::Left) => {
                Some(Msg::Click { column: mouse.column, line: mouse.row })
            }
            _ => None,
        },
        _ => None,
    }
}

/// The sequence that puts a text into the clipboard (OSC 52); in tmux wrapped so that it reaches the terminal.
pub fn osc52(text: &str, in_tmux: bool) -> String {
    let sequence = format!("\x1b]52;c;{}\x07", STANDARD.encode(text));
    if in_tmux { format!("\x1bPtmux;{}\x1b\\", sequence.replace('\x1b', "\x1b\x1b")) } else { sequence }
}

/// Copies; answers what to say. Terminals do not answer, so where one is known to refuse, the text is shown instead.
pub fn copy(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let shown = super::text::cut(text, 60);
    if text.len() > CLIPBOARD {
        return Err(format!("too long for the clipboard of a terminal ({} kB)", text.len() / 1024));
    }
    let term = env("TERM").unwrap_or_default();
    if term == "linux" || term == "dumb" {
        return Err(format!("this terminal has no clipboard: {shown}"));
    }
    if term.starts_with("screen") && env("TMUX").is_none() {
        return Err(format!("screen refuses clipboard access: {shown}"));
    }
    let tmux = env("TMUX").is_some();
    let mut out = io::stdout();
    // tmux takes the plain form where set-clipboard is on, and passes the wrapped one on where passthrough is.
    let mut sequence = osc52(text, false);
    if tmux {
        sequence.push_str(&osc52(text, true));
    }
    out.write_all(sequence.as_bytes()).and_then(|()| out.flush()).map_err(|e| format!("cannot copy: {e}"))?;
    let note = if tmux {
        " (if it did not arrive: tmux set -g set-clipboard on)"
    } else if env("TERM_PROGRAM").as_deref() == Some("Apple_Terminal") {
        return Err(format!("this terminal refuses clipboard access: {shown}"));
    } else {
        ""
    };
    Ok(format!("copied: {shown}{note}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clipboard_sequence_is_inert_base64_and_wrapped_for_tmux() {
        assert_eq!(osc52("a\x1b]b", false), "\x1b]52;c;YRtdYg==\x07");
        assert_eq!(osc52("x", true), "\x1bPtmux;\x1b\x1b]52;c;eA==\x07\x1b\\");
    }

    #[test]
    fn a_refusal_is_said_with_the_text() {
        let env = |key: &str| (key == "TERM").then(|| "linux".to_owned());
        let refused = copy("kubectl get pods", &env).unwrap_err();
        assert!(refused.contains("no clipboard") && refused.contains("kubectl get pods"), "{refused}");
    }

    #[test]
    fn releases_and_mouse_are_no_keys() {
        use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
        let mut key = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        assert!(message(Event::Key(key)).is_some());
        key.kind = KeyEventKind::Release;
        assert!(message(Event::Key(key)).is_none());
        assert!(message(Event::FocusGained).is_none());
    }
}
