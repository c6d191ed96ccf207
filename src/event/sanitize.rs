//! The border for text from a cluster: all of it is hostile.
//!
//! Control characters (terminal escape sequences among them), bidi overrides and zero-width characters are
//! removed before anything is stored, so neither the screen nor a receiver meets them. What ends a line elsewhere
//! becomes a space: without it two words would be one.

use std::borrow::Cow;

/// Text that is safe to store, show and send: control characters but `\n` and `\t` go, so do bidi controls and
/// zero-width characters (the joiner within emoji included: a broken emoji is better than a hidden character).
/// Each other end of a line is a space, and `\r\n` is the one that it ends with.
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_safe) {
        return Cow::Borrowed(text);
    }
    let text = text.replace("\r\n", "\n");
    Cow::Owned(text.chars().map(|c| if ends_line(c) { ' ' } else { c }).filter(|c| is_safe(*c)).collect())
}

/// Carriage return, vertical tab, form feed, next line, and the separators of lines and paragraphs.
pub fn ends_line(c: char) -> bool {
    matches!(c, '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// `clean`, cut to at most `max` bytes on a character boundary, with `…` where something was cut.
pub fn clean_cut(text: &str, max: usize) -> Cow<'_, str> {
    let cleaned = clean(text);
    if cleaned.len() <= max {
        return cleaned;
    }
    let room = max.saturating_sub('…'.len_utf8());
    let end = cleaned.char_indices().map(|(i, c)| i + c.len_utf8()).take_while(|end| *end <= room).last();
    let kept: String = cleaned.get(..end.unwrap_or(0)).unwrap_or_default().to_owned();
    Cow::Owned(kept + "…")
}

fn is_safe(c: char) -> bool {
    match c {
        '\n' | '\t' => true,
        // Soft hyphen; zero-width space, joiners and direction marks; line separators and bidi embeddings and
        // overrides; word joiner, invisible operators and bidi isolates; byte-order mark; interlinear marks;
        // tags.
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => false,
        c => !c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_bidi_and_zero_width_are_gone() {
        assert_eq!(clean("a\x1b[31mred\x07\u{202e}x\u{200b}y\u{9b}1m"), "a[31mredxy1m");
        assert_eq!(
            clean("nel\u{85}ls\u{2028}ps\u{2029}cr\rvt\u{b}ff\u{c}crlf\r\nend"),
            "nel ls ps cr vt ff crlf\nend"
        );
        assert!(matches!(clean("plain — ünïcode 🚀\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn cutting_respects_characters() {
        assert_eq!(clean_cut("ééééé", 7), "éé…");
        assert_eq!(clean_cut("short", 7), "short");
    }
}
