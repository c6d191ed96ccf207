//! A frame while it is drawn: it goes to the terminal as one piece. Every write wakes the terminal, which would begin
//! to show half a frame, on the core that the other half still needs. Called by `run` alone.

use std::{
    io::{self, Stdout, Write},
    mem::ManuallyDrop,
};

use ratatui::{Terminal, backend::CrosstermBackend};

/// What ends a frame: crossterm's `EndSynchronizedUpdate`.
const END: &[u8] = b"\x1b[?2026l";

/// What was drawn and not sent.
pub struct Paper<W> {
    drawn: Vec<u8>,
    terminal: W,
}

/// Never dropped: that would show the cursor, which the guard does, and complain where the terminal is gone.
pub type Canvas = ManuallyDrop<Terminal<CrosstermBackend<Paper<Stdout>>>>;

/// A new one knows nothing of what is on the terminal and draws everything.
pub fn canvas() -> io::Result<Canvas> {
    let paper = Paper { drawn: Vec::new(), terminal: io::stdout() };
    Ok(ManuallyDrop::new(Terminal::new(CrosstermBackend::new(paper))?))
}

impl<W: Write> Write for Paper<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.drawn.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Sends a whole frame. In the middle of one it does nothing: drawing flushes there too, for the cursor's sake.
    fn flush(&mut self) -> io::Result<()> {
        if !self.drawn.ends_with(END) {
            return Ok(());
        }
        // What could not be sent is not sent later, when it would be half of something.
        let drawn = std::mem::take(&mut self.drawn);
        self.terminal.write_all(&drawn)?;
        self.terminal.flush()
    }
}

#[cfg(test)]
mod tests {
    use crossterm::{
        execute,
        terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate},
    };
    use ratatui::text::Text;

    use super::*;

    /// Each write as a piece of its own.
    #[derive(Default)]
    struct Pieces(Vec<Vec<u8>>);

    impl Write for &mut Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_frame_is_one_piece_from_its_begin_to_its_end() {
        let mut pieces = Pieces::default();
        let paper = Paper { drawn: Vec::new(), terminal: &mut pieces };
        let area = ratatui::layout::Rect::new(0, 0, 80, 24);
        let options = ratatui::TerminalOptions { viewport: ratatui::Viewport::Fixed(area) };
        let backend = CrosstermBackend::new(paper);
        let mut terminal = ManuallyDrop::new(Terminal::with_options(backend, options).unwrap());
        for word in ["first", "second"] {
            execute!(terminal.backend_mut(), BeginSynchronizedUpdate).unwrap();
            terminal.draw(|frame| frame.render_widget(Text::raw(word), area)).unwrap();
            execute!(terminal.backend_mut(), EndSynchronizedUpdate).unwrap();
        }
        assert_eq!(pieces.0.len(), 2);
        for (piece, word) in pieces.0.iter().zip(["first", "second"]) {
            let text = String::from_utf8_lossy(piece);
            assert!(text.starts_with("\x1b[?2026h") && text.ends_with("\x1b[?2026l"), "{text:?}");
            assert!(text.contains(word), "{text:?}");
        }
    }
}
