//! Terms to tests: what each key means, which values it takes, and how terms of one key combine.

use jiff::tz::TimeZone;
use nucleo_matcher::pattern::{Atom, AtomKind, CaseMatching, Normalization};

use super::{
    error::FilterError,
    keys::Key,
    lex::{Body, Op, Piece, Term},
    pattern::{Glob, Pattern, regex, text},
    test::{Clause, Flag, LabelTest, Test},
    time::{EXPECTED, When},
};
use crate::event::{EventType, Family, Kind, Severity, Status, TypeSet, nearest, selectable, type_names};

type Result<T> = std::result::Result<T, FilterError>;

/// A filter, ready to be evaluated.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) clauses: Vec<Clause>,
    pub(super) since: Option<When>,
    pub(super) until: Option<When>,
    pub(super) tz: TimeZone,
}

impl Compiled {
    /// A name is asked for that has a bracket in it.
    pub(super) fn has_bracket(&self) -> bool {
        self.clauses.iter().any(|clause| match &clause.test {
            Test::Field(_, patterns) => {
                patterns.iter().any(|p| matches!(p, Pattern::Glob(glob) if glob.has_bracket()))
            }
            Test::Label(labels) => labels.iter().any(|l| l.value.as_ref().is_some_and(Glob::has_bracket)),
            _ => false,
        })
    }
}

/// Same key = either, different keys = all, excluded = none.
pub(super) fn compile(source: &str, terms: Vec<Term>, tz: &TimeZone) -> Result<Compiled> {
    let mut compiled = Compiled { clauses: Vec::new(), since: None, until: None, tz: tz.clone() };
    for term in terms {
        let at = At { source, term: &term };
        match &term.body {
            Body::Key { key: key @ (Key::Since | Key::Until), op, pieces } => {
                let slot = if *key == Key::Since { &mut compiled.since } else { &mut compiled.until };
                if slot.is_some() {
                    return Err(at.error(format!("{}: is given twice", key.name())));
                }
                *slot = Some(at.when(*key, *op, pieces)?);
            }
            Body::Key { key, op, pieces } => {
                let negate = term.negate != (*op == Op::Not);
                let test = at.key(*key, *op, pieces)?;
                add(&mut compiled.clauses, Clause { negate, test });
            }
            Body::Text(pieces) => {
                let patterns = pieces.iter().map(|p| at.text(p)).collect::<Result<_>>()?;
                compiled.clauses.push(Clause { negate: term.negate, test: Test::Text(patterns) });
            }
            Body::Regex(piece) => {
                let patterns = vec![at.regex(piece)?];
                compiled.clauses.push(Clause { negate: term.negate, test: Test::Text(patterns) });
            }
            Body::Fuzzy(piece) => {
                let atom = Atom::new(
                    &piece.plain,
                    CaseMatching::Ignore,
                    Normalization::Smart,
                    AtomKind::Fuzzy,
                    false,
                );
                compiled.clauses.push(Clause { negate: term.negate, test: Test::Fuzzy(atom) });
            }
            Body::Selector(piece) => at.selector(piece, &mut compiled.clauses)?,
        }
    }
    compiled.clauses.sort_by_key(|c| c.test.cost());
    Ok(compiled)
}

/// Alternatives of one key join into one test; comparisons and exclusions stand alone.
fn add(clauses: &mut Vec<Clause>, clause: Clause) {
    if !clause.negate {
        for old in clauses.iter_mut().filter(|c| !c.negate) {
            if old.test.absorb(&clause.test) {
                return;
            }
        }
    }
    clauses.push(clause);
}

/// A term in its place.
struct At<'a> {
    source: &'a str,
    term: &'a Term,
}

impl At<'_> {
    fn error(&self, message: impl Into<String>) -> FilterError {
        FilterError::new(self.source, self.term.span.clone(), message)
    }

    fn wrong(&self, piece: &Piece, message: impl Into<String>) -> FilterError {
        FilterError::new(self.source, piece.span.clone(), message)
    }

    fn key(&self, key: Key, op: Op, pieces: &[Piece]) -> Result<Test> {
        if !matches!(op, Op::Is | Op::Not) && !matches!(key, Key::Severity | Key::Count) {
            return Err(self.error(format!("{0}: takes no comparison, write {0}:value", key.name())));
        }
        match key {
            Key::Type => self.types(pieces),
            Key::Severity => self.severity(op, pieces),
            Key::Status => self.status(pieces),
            Key::Count => self.count(op, pieces),
            Key::Label => self.label(pieces),
            Key::Late | Key::Standing | Key::Ignored => self.flag(key, pieces),
            Key::Incident => self.incident(pieces),
            key => {
                let patterns = pieces.iter().map(|p| self.name(key, p)).collect::<Result<_>>()?;
                Ok(Test::Field(key, patterns))
            }
        }
    }

    fn types(&self, pieces: &[Piece]) -> Result<Test> {
        let mut names: Vec<&str> = Vec::new();
        for piece in pieces {
            let name = piece.plain.as_str();
            let glob = Glob::new(&piece.text);
            if piece.regex || glob.is_literal() {
                let lower = name.to_ascii_lowercase();
                match selectable().find(|n| *n == lower) {
                    Some(found) => names.push(found),
                    None => return Err(self.unknown(piece, "event type", selectable())),
                }
                continue;
            }
            let before = names.len();
            names.extend(type_names().filter(|n| glob.matches(n)));
            if names.len() == before {
                return Err(self.wrong(piece, format!("no event type matches {name:?}")));
            }
        }
        TypeSet::parse(&names).map(Test::Types).map_err(|_| self.error("unknown event type"))
    }

    fn severity(&self, op: Op, pieces: &[Piece]) -> Result<Test> {
        let mut mask = 0u8;
        for piece in pieces {
            let Ok(wanted) = piece.plain.parse::<Severity>() else {
                return Err(self.unknown(piece, "severity", Severity::ALL.map(Severity::as_str)));
            };
            for s in Severity::ALL {
                if compare(op, &s, &wanted) {
                    mask |= 1 << (s as u8);
                }
            }
        }
        self.one_value(op, pieces)?;
        if matches!(op, Op::Is | Op::Not) { Ok(Test::Severity(mask)) } else { Ok(Test::SeverityRange(mask)) }
    }

    fn status(&self, pieces: &[Piece]) -> Result<Test> {
        const ALL: [Status; 3] = [Status::Firing, Status::Resolved, Status::Info];
        let mut statuses = Vec::new();
        for piece in pieces {
            match ALL.into_iter().find(|s| s.as_str().eq_ignore_ascii_case(&piece.plain)) {
                Some(status) => statuses.push(status),
                None => return Err(self.unknown(piece, "status", ALL.map(Status::as_str))),
            }
        }
        Ok(Test::Status(statuses))
    }

    fn count(&self, op: Op, pieces: &[Piece]) -> Result<Test> {
        self.one_value(op, pieces)?;
        let numbers = pieces
            .iter()
            .map(|p| p.plain.parse().map_err(|_| self.wrong(p, "expected a number, as in count>=3")))
            .collect::<Result<Vec<u64>>>()?;
        match (op, numbers.as_slice()) {
            (Op::Is | Op::Not, _) => Ok(Test::CountIs(numbers)),
            (op, [number]) => Ok(Test::Count(op, *number)),
            _ => Err(self.error("a comparison takes one value")),
        }
    }

    fn one_value(&self, op: Op, pieces: &[Piece]) -> Result<()> {
        if pieces.len() > 1 && !matches!(op, Op::Is | Op::Not) {
            return Err(self.error("a comparison takes one value"));
        }
        Ok(())
    }

    /// `app=api|web`: the second alternative is a value of the first's label.
    fn label(&self, pieces: &[Piece]) -> Result<Test> {
        let mut tests: Vec<LabelTest> = Vec::new();
        for piece in pieces {
            if piece.regex {
                return Err(self.wrong(piece, "expected a label, as in label:app=api"));
            }
            let (name, value) = match piece.text.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(Glob::new(value))),
                None => match tests.last() {
                    Some(LabelTest { name, value: Some(_) }) => (name.clone(), Some(Glob::new(&piece.text))),
                    _ => (piece.text.clone(), None),
                },
            };
            if name.is_empty() || name.ends_with('!') {
                return Err(self.wrong(piece, "expected a label, as in label:app=api or -label:app=api"));
            }
            tests.push(LabelTest { name, value });
        }
        Ok(Test::Label(tests))
    }

    /// kubectl's equality selectors: `a=b,c==d,e!=f,g,!h`.
    fn selector(&self, piece: &Piece, clauses: &mut Vec<Clause>) -> Result<()> {
        for part in piece.plain.split(',').map(str::trim) {
            let (negate, name, value) = if let Some((name, value)) = part.split_once("!=") {
                (true, name, Some(value))
            } else if let Some((name, value)) = part.split_once('=') {
                (false, name, Some(value.trim_start_matches('=')))
            } else if let Some(name) = part.strip_prefix('!') {
                (true, name, None)
            } else {
                (false, part, None)
            };
            if name.is_empty() || name.contains([' ', '(', ')']) {
                return Err(self.wrong(piece, "expected a selector like app=api,tier!=db"));
            }
            let test =
                Test::Label(vec![LabelTest { name: name.trim().to_owned(), value: value.map(Glob::new) }]);
            clauses.push(Clause { negate, test });
        }
        Ok(())
    }

    fn flag(&self, key: Key, pieces: &[Piece]) -> Result<Test> {
        let flag = match key {
            Key::Late => Flag::Late,
            Key::Standing => Flag::Standing,
            _ => Flag::Ignored,
        };
        match pieces {
            [piece] => boolean(&piece.plain)
                .map(|wanted| Test::Flag(flag, wanted))
                .ok_or_else(|| self.wrong(piece, format!("{}: expected true or false", key.name()))),
            _ => Err(self.error(format!("{}: expected true or false", key.name()))),
        }
    }

    fn incident(&self, pieces: &[Piece]) -> Result<Test> {
        if let [piece] = pieces
            && let Some(wanted) = boolean(&piece.plain)
        {
            return Ok(Test::Flag(Flag::Incident, wanted));
        }
        let mut patterns = Vec::new();
        for piece in pieces {
            let hex = piece.plain.trim_end_matches('*');
            if hex.is_empty() || hex.len() > 32 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(self.wrong(
                    piece,
                    "expected true, false, or an incident's id or its beginning (hex digits)",
                ));
            }
            patterns.push(Pattern::Glob(Glob::new(&format!("{hex}*"))));
        }
        Ok(Test::Field(Key::Incident, patterns))
    }

    fn name(&self, key: Key, piece: &Piece) -> Result<Pattern> {
        if piece.regex {
            return self.regex(piece);
        }
        let glob = Glob::new(&piece.text);
        if matches!(key, Key::Namespace | Key::Node | Key::Object)
            && !piece.quoted
            && piece.plain.contains(',')
        {
            return Err(self.wrong(piece, "a name has no comma: write a|b for either"));
        }
        if key == Key::Namespace && piece.text == "-" {
            return Ok(Pattern::Glob(Glob::new("")));
        }
        if key == Key::Kind && glob.is_literal() && !piece.quoted {
            if let Some(kind) = Kind::parse(&piece.plain) {
                return Ok(Pattern::Glob(Glob::new(kind.as_str())));
            }
            // Kinds of others are fine, a slip of the pen is not.
            let known = Kind::ALL.iter().map(|k| k.as_str());
            let slip =
                |k: &&str| strsim::damerau_levenshtein(&k.to_lowercase(), &piece.plain.to_lowercase()) == 1;
            if let Some(near) = known.clone().find(slip) {
                let message = format!(
                    "unknown kind {:?}, did you mean {near}? (in quotes it is taken as it is)",
                    piece.plain
                );
                return Err(self.wrong(piece, message));
            }
        }
        Ok(Pattern::Glob(glob))
    }

    fn text(&self, piece: &Piece) -> Result<Pattern> {
        text(&piece.text).map(Pattern::Regex).map_err(|_| self.wrong(piece, "the text is too long"))
    }

    fn regex(&self, piece: &Piece) -> Result<Pattern> {
        regex(&piece.text).map(Pattern::Regex).map_err(|error| {
            let why = match error {
                regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
                // The last line of a syntax error says what; those above repeat the pattern.
                other => other.to_string().lines().last().unwrap_or_default().replace("error: ", ""),
            };
            self.wrong(piece, format!("not a regular expression: {why}"))
        })
    }

    fn when(&self, key: Key, op: Op, pieces: &[Piece]) -> Result<When> {
        if self.term.negate || op != Op::Is {
            let other = if key == Key::Since { "until" } else { "since" };
            return Err(self.error(format!("{}: cannot be excluded or compared, use {other}:", key.name())));
        }
        match pieces {
            [piece] if !piece.regex => {
                When::parse(&piece.plain).ok_or_else(|| self.wrong(piece, format!("not a time: {EXPECTED}")))
            }
            _ => Err(self.error(format!("{}: takes one time", key.name()))),
        }
    }

    fn unknown<'a>(
        &self,
        piece: &Piece,
        what: &str,
        known: impl IntoIterator<Item = &'a str> + Clone,
    ) -> FilterError {
        let name = &piece.plain;
        let hint = match nearest(name, known.clone()) {
            Some(near) => format!(", did you mean {near}?"),
            None if what == "event type" => {
                format!(", expected a type, a family ({}) or all", Family::ALL.map(Family::as_str).join(", "))
            }
            None => format!(", expected {}", known.into_iter().collect::<Vec<_>>().join(", ")),
        };
        self.wrong(piece, format!("unknown {what} {name:?}{hint}"))
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "any" => Some(true),
        "false" | "no" | "none" => Some(false),
        _ => None,
    }
}

/// `left op right`; `Not` is the caller's negation.
pub(super) fn compare<T: Ord>(op: Op, left: &T, right: &T) -> bool {
    match op {
        Op::Is | Op::Not => left == right,
        Op::Less => left < right,
        Op::AtMost => left <= right,
        Op::More => left > right,
        Op::AtLeast => left >= right,
    }
}

/// Whether a type can pass at all: lets a scan skip, and `check` warn.
pub(super) fn may_match(compiled: &Compiled, event_type: EventType) -> bool {
    compiled.clauses.iter().all(|c| match &c.test {
        Test::Types(set) if !c.negate => set.types().contains(&event_type),
        _ => true,
    })
}
