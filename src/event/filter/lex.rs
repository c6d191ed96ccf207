//! Text to terms: where each begins and ends, its key, operator and alternatives. Knows no meanings.

use std::ops::Range;

use super::{error::FilterError, keys::Key};

/// Between a key and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Is,
    Not,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// One alternative of a value.
#[derive(Debug)]
pub(super) struct Piece {
    /// Glob syntax: what stood in quotes has its wildcards escaped. Of a regular expression, its text.
    pub(super) text: String,
    /// The same without escapes: what was meant literally.
    pub(super) plain: String,
    /// It stood in quotes, at least in part.
    pub(super) quoted: bool,
    /// It stood between slashes.
    pub(super) regex: bool,
    /// Where it stands.
    pub(super) span: Range<usize>,
}

/// What a term is.
#[derive(Debug)]
pub(super) enum Body {
    /// `key:value|value`
    Key { key: Key, op: Op, pieces: Vec<Piece> },
    /// Free text.
    Text(Vec<Piece>),
    /// `/re/`, or k9s's `!re`.
    Regex(Piece),
    /// `~xyz`, or k9s's `-f xyz`.
    Fuzzy(Piece),
    /// k9s's `-l a=b,c!=d`.
    Selector(Piece),
}

/// One term of a filter.
#[derive(Debug)]
pub(super) struct Term {
    pub(super) negate: bool,
    pub(super) body: Body,
    pub(super) span: Range<usize>,
}

/// Longer filters are refused: they are pasted by mistake.
const LONGEST: usize = 8 * 1024;

type Result<T> = std::result::Result<T, FilterError>;

/// All terms, in order.
pub(super) fn terms(source: &str) -> Result<Vec<Term>> {
    let mut lexer = Lexer { source, at: 0 };
    if source.len() > LONGEST {
        return Err(lexer.error(0..source.len(), format!("a filter has at most {LONGEST} bytes")));
    }
    let mut terms = Vec::new();
    loop {
        lexer.skip_spaces();
        if lexer.peek().is_none() {
            return Ok(terms);
        }
        terms.push(lexer.term()?);
    }
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn skip_spaces(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Up to the next space.
    fn word(&self) -> &'a str {
        self.rest().split(char::is_whitespace).next().unwrap_or_default()
    }

    fn error(&self, span: Range<usize>, message: impl Into<String>) -> FilterError {
        FilterError::new(self.source, span, message)
    }

    fn term(&mut self) -> Result<Term> {
        let start = self.at;
        match self.word() {
            "-l" => return self.k9s(start, Body::Selector, "a label selector, as in -l app=api"),
            "-f" => return self.k9s(start, Body::Fuzzy, "letters to look for, as in -f pyapi"),
            word @ ("OR" | "AND" | "NOT" | "||" | "&&") => {
                return Err(self.error(
                    start..start + word.len(),
                    format!(
                        "there is no {word}: use a|b for either, a space for both, - to exclude; \"{word}\" searches for the word"
                    ),
                ));
            }
            _ => {}
        }
        let bang = self.eat("!");
        let negate = bang || self.eat("-");
        if self.word().is_empty() {
            return Err(self.error(start..self.at, "nothing to exclude: write -key:value or -text"));
        }
        if negate && matches!(self.peek(), Some('-' | '!')) {
            return Err(self.error(start..self.at + 1, "one - or ! is enough"));
        }
        if let Some(bracket) = self.bracket() {
            return Err(bracket);
        }
        let body = self.body(bang)?;
        Ok(Term { negate, body, span: start..self.at })
    }

    /// `(ns:a ns:b)`: as text it would be found nowhere, and nobody would learn why.
    fn bracket(&self) -> Option<FilterError> {
        let word = self.word();
        let inside = word.trim_start_matches('(');
        let opened = word.len() - inside.len();
        let name = inside.split([':', '=', '<', '>', '!']).next().unwrap_or_default();
        if opened == 0 || name.len() == inside.len() || Key::parse(name).is_none() {
            return None;
        }
        Some(self.error(
            self.at..self.at + opened,
            format!(
                "there are no brackets: use a|b for either, a space for both; \"{word}\" searches for the word"
            ),
        ))
    }

    fn k9s(&mut self, start: usize, body: fn(Piece) -> Body, expected: &str) -> Result<Term> {
        self.at += 2;
        self.skip_spaces();
        if self.peek().is_none() {
            return Err(self.error(start..self.source.len(), format!("expected {expected}")));
        }
        let piece = self.piece(false)?;
        Ok(Term { negate: false, body: body(piece), span: start..self.at })
    }

    fn body(&mut self, bang: bool) -> Result<Body> {
        match self.peek() {
            Some('/') => {
                let start = self.at;
                let Some(piece) = self.regex(false) else {
                    let end = start + self.word().len();
                    return Err(self.error(
                        start..end,
                        "the regular expression is not closed: end it with /, or put the text in quotes",
                    ));
                };
                return Ok(Body::Regex(piece));
            }
            Some('~') => {
                self.at += 1;
                if self.word().is_empty() {
                    return Err(self.error(self.at - 1..self.at, "expected letters after ~"));
                }
                return Ok(Body::Fuzzy(self.piece(false)?));
            }
            Some('"') => return Ok(Body::Text(self.pieces(false)?)),
            _ => {}
        }
        if let Some(key) = self.key()? {
            return Ok(key);
        }
        if bang {
            let word = self.word();
            let span = self.at..self.at + word.len();
            self.at = span.end;
            let (text, plain) = (word.to_owned(), word.to_owned());
            return Ok(Body::Regex(Piece { text, plain, quoted: false, regex: true, span }));
        }
        Ok(Body::Text(self.pieces(false)?))
    }

    /// `key` and operator, if the word begins so.
    fn key(&mut self) -> Result<Option<Body>> {
        let start = self.at;
        let name_chars = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let word = self.word();
        let name = word.split(|c| !name_chars(c)).next().unwrap_or_default();
        if !name.starts_with(char::is_alphabetic) {
            return Ok(None);
        }
        self.at += name.len();
        let Some(op) = self.op() else {
            self.at = start;
            return Ok(None);
        };
        let span = start..start + name.len();
        let Some(key) = Key::parse(name) else {
            let near = Key::meant(name).map_or_else(String::new, |n| format!(", did you mean {n}?"));
            return Err(self.error(
                span,
                format!("unknown key {name:?}{near} (in quotes, \"{word}\" is searched for as text)"),
            ));
        };
        if self.word().is_empty() {
            return Err(self.error(start..self.at, format!("{name}: a value is missing")));
        }
        if let Some(left) = self.word().strip_suffix('(').filter(|w| !w.contains(['(', ')', '"', '/'])) {
            let at = self.at + left.len();
            return Err(self.error(at..at + 1, format!("{name}: there are no brackets: use a|b for either")));
        }
        Ok(Some(Body::Key { key, op, pieces: self.pieces(true)? }))
    }

    fn op(&mut self) -> Option<Op> {
        let compare = [
            (">=", Op::AtLeast),
            ("<=", Op::AtMost),
            ("!=", Op::Not),
            (">", Op::More),
            ("<", Op::Less),
            ("=", Op::Is),
        ];
        let colon = self.eat(":");
        for (text, op) in compare {
            // After a colon only comparisons: `label:=x` is a label without a name.
            if !(colon && matches!(op, Op::Is | Op::Not)) && self.eat(text) {
                return Some(op);
            }
        }
        colon.then_some(Op::Is)
    }

    /// `a|"b c"|/re/`
    fn pieces(&mut self, regex: bool) -> Result<Vec<Piece>> {
        let mut pieces = vec![self.piece(regex)?];
        while self.eat("|") {
            pieces.push(self.piece(regex)?);
        }
        Ok(pieces)
    }

    fn piece(&mut self, regex: bool) -> Result<Piece> {
        let start = self.at;
        if regex
            && self.peek() == Some('/')
            && let Some(piece) = self.regex(true)
        {
            return Ok(piece);
        }
        let (mut text, mut plain, mut quoted) = (String::new(), String::new(), false);
        while let Some(c) = self.peek() {
            if c.is_whitespace() || c == '|' {
                break;
            }
            if c == '"' {
                quoted = true;
                self.quoted(&mut text, &mut plain)?;
                continue;
            }
            self.at += c.len_utf8();
            text.push(c);
            plain.push(c);
        }
        if text.is_empty() {
            let end = (start + 1).min(self.source.len());
            let what = if quoted { "the quotes are empty" } else { "an alternative is missing" };
            return Err(self.error(start..if quoted { self.at } else { end }, what));
        }
        Ok(Piece { text, plain, quoted, regex: false, span: start..self.at })
    }

    /// In quotes everything is literal but `\"` and `\\`.
    fn quoted(&mut self, text: &mut String, plain: &mut String) -> Result<()> {
        let open = self.at;
        self.at += 1;
        while let Some(c) = self.peek() {
            self.at += c.len_utf8();
            let literal = match c {
                '"' => return Ok(()),
                '\\' if matches!(self.peek(), Some('"' | '\\')) => {
                    let next = self.peek().unwrap_or(c);
                    self.at += next.len_utf8();
                    next
                }
                c => c,
            };
            plain.push(literal);
            if matches!(literal, '*' | '?' | '\\') {
                text.push('\\');
            }
            text.push(literal);
        }
        Err(self.error(open..self.source.len(), "the quotes are not closed"))
    }

    /// `/re/`, up to the first slash that ends a word (or, in a value, an alternative); `\/` is a slash.
    fn regex(&mut self, in_value: bool) -> Option<Piece> {
        let start = self.at;
        let mut escaped = false;
        for (i, c) in self.rest().char_indices().skip(1) {
            if escaped {
                escaped = false;
                continue;
            }
            escaped = c == '\\';
            let after = self.source.get(start + i + 1..).and_then(|r| r.chars().next());
            let ends = after.is_none_or(|n| n.is_whitespace() || (in_value && n == '|'));
            if c == '/' && ends && i > 1 {
                let plain = self.source.get(start + 1..start + i)?.to_owned();
                self.at = start + i + 1;
                let text = plain.replace("\\/", "/");
                return Some(Piece { text, plain, quoted: false, regex: true, span: start..self.at });
            }
        }
        None
    }
}
