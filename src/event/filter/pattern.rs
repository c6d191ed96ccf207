//! Globs, texts and regular expressions, compiled once and matched without allocating.

use regex::{Regex, RegexBuilder};

/// A shell-like pattern over a whole name: `*` any characters, `?` one, `\` takes the next literally. The only matcher
/// of its kind: a regular expression for the same could be too large to compile, and anybody may write one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    parts: Vec<Part>,
    /// ASCII case matters.
    exact: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Char(char),
    One,
    Many,
}

impl Glob {
    /// Without regard to ASCII case. Any text is a glob.
    pub fn new(text: &str) -> Self {
        Self::read(text, false)
    }

    /// `Web` is not `web`.
    pub fn exact(text: &str) -> Self {
        Self::read(text, true)
    }

    fn read(text: &str, exact: bool) -> Self {
        let fold = |c: char| if exact { c } else { c.to_ascii_lowercase() };
        let mut parts = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '*' if parts.last() == Some(&Part::Many) => {}
                '*' => parts.push(Part::Many),
                '?' => parts.push(Part::One),
                '\\' => parts.push(Part::Char(fold(chars.next().unwrap_or('\\')))),
                c => parts.push(Part::Char(fold(c))),
            }
        }
        Self { parts, exact }
    }

    /// Whether the whole name fits.
    pub fn matches(&self, name: &str) -> bool {
        let mut at = 0;
        let mut rest = name.chars();
        // Where to go on after the last `*`, should what follows it not fit.
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let before = rest.clone();
            let next = rest.next();
            match (self.parts.get(at), next) {
                (None, None) => return true,
                (Some(Part::Many), _) => {
                    at += 1;
                    rest = before;
                    retry = Some((at, rest.clone()));
                    continue;
                }
                (Some(Part::One), Some(_)) => {
                    at += 1;
                    continue;
                }
                (Some(Part::Char(c)), Some(n))
                    if *c == n || (!self.exact && *c == n.to_ascii_lowercase()) =>
                {
                    at += 1;
                    continue;
                }
                _ => {}
            }
            let Some((star, mut from)) = retry.take() else { return false };
            if from.next().is_none() {
                return false;
            }
            at = star;
            rest = from.clone();
            retry = Some((star, from));
        }
    }

    /// It has no wildcard: it is a name.
    pub fn is_literal(&self) -> bool {
        self.parts.iter().all(|p| matches!(p, Part::Char(_)))
    }

    /// It has a bracket, which stands for itself.
    pub(super) fn has_bracket(&self) -> bool {
        self.parts.iter().any(|p| matches!(p, Part::Char('[' | ']')))
    }

    /// A regular expression for the same, unanchored, with literals escaped.
    fn as_regex(&self) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Char(c) => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
                Part::One => out.push('.'),
                Part::Many => out.push_str(".*?"),
            }
        }
        out
    }
}

/// One alternative of a value.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    /// Over the whole.
    Glob(Glob),
    /// Anywhere in it.
    Regex(Regex),
}

impl Pattern {
    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Pattern::Glob(glob) => glob.matches(text),
            Pattern::Regex(regex) => regex.is_match(text),
        }
    }

    /// `name`, or `Kind/name` where the pattern has a slash: only then is the latter built.
    pub(super) fn names(&self, kind: &str, name: &str) -> bool {
        let slash = match self {
            Pattern::Glob(glob) => glob.parts.contains(&Part::Char('/')),
            Pattern::Regex(regex) => regex.as_str().contains('/'),
        };
        self.matches(name) || (slash && self.matches(&format!("{kind}/{name}")))
    }
}

/// Without regard to case; its size is bounded, because anybody may type one.
pub(super) fn regex(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).case_insensitive(true).size_limit(1 << 20).dfa_size_limit(1 << 20).build()
}

/// Text to find anywhere; `*` and `?` are wildcards in it.
pub(super) fn text(text: &str) -> Result<Regex, regex::Error> {
    regex(&Glob::new(text).as_regex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_the_whole_name() {
        for (glob, name, expected) in [
            ("web", "web", true),
            ("web", "web-1", false),
            ("WEB-*", "web-1", true),
            ("*", "", true),
            ("?", "é", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-d", false),
            ("*-api", "x-api-api", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("", "", true),
            ("", "a", false),
            ("**a", "bba", true),
            ("*", "a", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("a?", "ab", true),
            ("a", "ab", false),
        ] {
            assert_eq!(Glob::new(glob).matches(name), expected, "{glob} on {name}");
            let lower = !glob.contains(char::is_uppercase);
            assert_eq!(Glob::exact(glob).matches(name), expected && lower, "{glob} on {name}, exactly");
        }
        assert!(Glob::exact("W*b").matches("Web") && !Glob::exact("W*b").matches("web"));
    }

    proptest::proptest! {
        #[test]
        fn a_glob_agrees_with_its_regular_expression(glob in "[a-c*?]{0,8}", name in "[a-c]{0,10}") {
            let anchored = Regex::new(&format!("^(?:{})$", Glob::new(&glob).as_regex())).unwrap();
            proptest::prop_assert_eq!(Glob::new(&glob).matches(&name), anchored.is_match(&name));
        }
    }
}
