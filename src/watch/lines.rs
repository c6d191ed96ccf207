//! Cuts the body of a watch into lines, with a cap on their length.

use bytes::{Buf as _, Bytes, BytesMut};

/// Longest line that is read. etcd takes objects of 1.5 MiB, and operators raise that to a few; a longer line is
/// not an object, and holding it would be a way to fill our memory.
pub const MAX_LINE: usize = 16 << 20;

/// The rest of a line that has not ended yet.
#[derive(Default)]
pub struct Lines {
    buffer: BytesMut,
    /// Bytes of the buffer in which no line end was found.
    searched: usize,
    /// Within a line that was too long: everything up to its end goes.
    skipping: bool,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A line, without its end.
    Whole(Bytes),
    /// A line over the cap was dropped.
    TooLong,
}

impl Lines {
    /// Adds a piece of the body.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next line that has ended. Empty lines are skipped.
    pub fn next_line(&mut self) -> Option<Line> {
        loop {
            let Some(end) = find_end(self.buffer.get(self.searched..).unwrap_or_default()) else {
                self.searched = self.buffer.len();
                if self.searched <= MAX_LINE {
                    return None;
                }
                self.buffer.clear();
                self.searched = 0;
                let told = std::mem::replace(&mut self.skipping, true);
                return (!told).then_some(Line::TooLong);
            };
            let line = self.buffer.split_to(self.searched + end);
            self.buffer.advance(1);
            self.searched = 0;
            if std::mem::take(&mut self.skipping) || line.is_empty() {
                continue;
            }
            return Some(Line::Whole(line.freeze()));
        }
    }

    /// Whether the body ended within a line: it was cut.
    pub fn is_cut(&self) -> bool {
        !self.buffer.is_empty() || self.skipping
    }
}

/// `contains` is a vectorised search, `position` is not.
fn find_end(bytes: &[u8]) -> Option<usize> {
    const CHUNK: usize = 1024;
    let chunk = bytes.chunks(CHUNK).position(|chunk| chunk.contains(&b'\n'))?;
    let start = chunk * CHUNK;
    bytes.get(start..)?.iter().position(|b| *b == b'\n').map(|at| start + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &'static str) -> Line {
        Line::Whole(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn lines_are_cut_wherever_the_pieces_end() {
        let mut lines = Lines::default();
        lines.push(b"{\"a\":1}\n{\"b");
        assert_eq!(lines.next_line(), Some(whole("{\"a\":1}")));
        assert_eq!(lines.next_line(), None);
        assert!(lines.is_cut());
        lines.push(b"\":2}\n\n{}\n");
        assert_eq!(lines.next_line(), Some(whole("{\"b\":2}")));
        assert_eq!(lines.next_line(), Some(whole("{}")));
        assert_eq!(lines.next_line(), None);
        assert!(!lines.is_cut());
    }

    #[test]
    fn a_line_over_the_cap_is_dropped_once_and_the_next_is_read() {
        let mut lines = Lines::default();
        let piece = vec![b'x'; 1 << 20];
        let mut told = 0;
        for _ in 0..40 {
            lines.push(&piece);
            told += u32::from(lines.next_line() == Some(Line::TooLong));
        }
        lines.push(b"x\n{}\n");
        assert_eq!(told, 1);
        assert_eq!(lines.next_line(), Some(whole("{}")));
    }
}
