//! What is wrong with a filter, and where: shown with a caret under the place.

use std::{fmt, ops::Range};

use unicode_width::UnicodeWidthChar;

/// A filter that cannot be used. It never falls back to matching everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    /// What was written.
    pub source: String,
    /// The bytes of `source` that are wrong; on character boundaries.
    pub span: Range<usize>,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl FilterError {
    pub(super) fn new(source: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let end = span.end.min(source.len());
        Self { source: source.to_owned(), span: span.start.min(end)..end, message: message.into() }
    }

    /// Three lines: the filter, carets under the wrong part, and the message.
    pub fn render(&self) -> String {
        let cells = |text: &str| -> usize { text.chars().map(|c| c.width().unwrap_or(1)).sum() };
        let shown: String = self.source.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let before = cells(self.source.get(..self.span.start).unwrap_or_default());
        let wide = cells(self.source.get(self.span.clone()).unwrap_or_default()).max(1);
        format!("{shown}\n{}{}\n{}", " ".repeat(before), "^".repeat(wide), self.message)
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for FilterError {}
