//! The evaluation: one pass over an event without allocating, the cheap tests first.

use std::cell::RefCell;

use nucleo_matcher::{Config, Matcher, Utf32Str, pattern::Atom};

use super::{
    compile::compare,
    keys::Key,
    lex::Op,
    pattern::{Glob, Pattern},
};
use crate::event::{Event, Status, TypeSet};

/// One condition; all of a filter's must hold.
#[derive(Debug)]
pub(super) struct Clause {
    pub(super) negate: bool,
    pub(super) test: Test,
}

/// What a condition looks at.
#[derive(Debug, Clone)]
pub(super) enum Test {
    /// Bits of severities: these, by name.
    Severity(u8),
    /// Bits of severities: a comparison, which narrows instead of joining.
    SeverityRange(u8),
    Status(Vec<Status>),
    Flag(Flag, bool),
    CountIs(Vec<u64>),
    Count(Op, u64),
    Types(TypeSet),
    Field(Key, Vec<Pattern>),
    Label(Vec<LabelTest>),
    Text(Vec<Pattern>),
    Fuzzy(Atom),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flag {
    Late,
    Standing,
    Ignored,
    Incident,
}

/// `name=value`, or that the label exists.
#[derive(Debug, Clone)]
pub(super) struct LabelTest {
    pub(super) name: String,
    pub(super) value: Option<Glob>,
}

impl Clause {
    pub(super) fn holds(&self, event: &Event) -> bool {
        self.test.holds(event) != self.negate
    }
}

impl Test {
    /// The order of evaluation.
    pub(super) fn cost(&self) -> u8 {
        match self {
            Test::Severity(_) | Test::SeverityRange(_) | Test::Status(_) | Test::Flag(..) => 0,
            Test::CountIs(_) | Test::Count(..) => 1,
            Test::Types(_) => 2,
            Test::Field(..) => 3,
            Test::Label(_) => 4,
            Test::Text(_) => 5,
            Test::Fuzzy(_) => 6,
        }
    }

    /// Takes in another test of the same key as alternatives; false if the two must both hold.
    pub(super) fn absorb(&mut self, other: &Test) -> bool {
        match (self, other) {
            (Test::Severity(a), Test::Severity(b)) => *a |= b,
            (Test::Status(a), Test::Status(b)) => a.extend(b),
            (Test::CountIs(a), Test::CountIs(b)) => a.extend(b),
            (Test::Types(a), Test::Types(b)) => a.extend(b),
            (Test::Field(a, x), Test::Field(b, y)) if a == b => x.extend(y.iter().cloned()),
            (Test::Label(a), Test::Label(b)) if a.iter().any(|x| b.iter().any(|y| x.name == y.name)) => {
                a.extend(b.iter().cloned());
            }
            _ => return false,
        }
        true
    }

    fn holds(&self, event: &Event) -> bool {
        match self {
            Test::Severity(mask) | Test::SeverityRange(mask) => mask & (1 << (event.severity as u8)) != 0,
            Test::Status(statuses) => statuses.contains(&event.status),
            Test::Flag(flag, wanted) => flag.of(event) == *wanted,
            Test::CountIs(numbers) => numbers.contains(&event.count),
            Test::Count(op, number) => compare(*op, &event.count, number),
            Test::Types(set) => set.contains(event.event_type, &event.details),
            Test::Field(key, patterns) => field(*key, event, patterns),
            Test::Label(tests) => tests.iter().any(|t| {
                event.labels.get(&t.name).is_some_and(|v| t.value.as_ref().is_none_or(|g| g.matches(v)))
            }),
            Test::Text(patterns) => searched(event, &|text| patterns.iter().any(|p| p.matches(text))),
            Test::Fuzzy(atom) => fuzzy(atom, event),
        }
    }
}

impl Flag {
    fn of(self, event: &Event) -> bool {
        match self {
            Flag::Late => event.late,
            Flag::Standing => event.standing,
            Flag::Ignored => event.ignored.is_some(),
            Flag::Incident => event.incident.is_some(),
        }
    }
}

fn detail<'a>(event: &'a Event, key: &str) -> Option<&'a str> {
    event.details.get(key).and_then(serde_json::Value::as_str)
}

/// Whether any of these details is there and fits.
fn details(event: &Event, keys: &[&str], fits: &dyn Fn(&str) -> bool) -> bool {
    keys.iter().filter_map(|k| detail(event, k)).any(fits)
}

fn field(key: Key, event: &Event, patterns: &[Pattern]) -> bool {
    let fits = |text: &str| patterns.iter().any(|p| p.matches(text));
    let named = |kind: &str, name: &str| patterns.iter().any(|p| p.names(kind, name));
    let subject = || named(&event.subject.kind, &event.subject.name);
    match key {
        Key::Namespace => fits(&event.object.namespace),
        Key::Object => named(&event.object.kind, &event.object.name),
        Key::Kind => fits(&event.object.kind),
        Key::Subject => subject(),
        Key::Owner => subject() || event.owner_references.iter().any(|o| named(&o.kind, &o.name)),
        Key::Reason => details(event, &["reason"], &fits),
        Key::Cluster => fits(&event.cluster),
        Key::Node => {
            (event.object.kind == "Node" && fits(&event.object.name))
                || details(event, &["node", "node_name"], &fits)
        }
        Key::Container => details(event, &["container", "container_name"], &fits),
        Key::Manager => details(event, &["field_manager", "manager"], &fits),
        Key::Source => details(event, &["source", "component", "reporting_component"], &fits),
        Key::Id => fits(event.id.as_str()),
        Key::Incident => event.incident.as_ref().is_some_and(|i| fits(i.as_str())),
        // The rest have tests of their own.
        Key::Type
        | Key::Severity
        | Key::Status
        | Key::Label
        | Key::Count
        | Key::Late
        | Key::Standing
        | Key::Ignored
        | Key::Since
        | Key::Until => false,
    }
}

/// Where free text and regular expressions look: every one of these by itself.
fn searched(event: &Event, fits: &dyn Fn(&str) -> bool) -> bool {
    fits(&event.title)
        || fits(&event.object.name)
        || fits(&event.description)
        || fits(&event.object.namespace)
        || fits(&event.object.kind)
        || fits(&event.subject.name)
        || fits(event.event_type.name())
        || fits(&event.cluster)
        || details(event, &["reason", "message", "last_error", "container", "node", "field_manager"], fits)
}

thread_local! {
    // 135 kB of working memory: made once per thread, not per filter or event.
    static MATCHER: RefCell<(Matcher, Vec<char>)> = RefCell::new((Matcher::new(Config::DEFAULT), Vec::new()));
}

/// What a letter that fits is worth to the matcher, without what it adds for the beginning of a word or takes for a gap.
const LETTER: usize = 16;

/// Letters in order, gaps allowed: over names, type and reason. Over whole sentences nearly everything would fit, and
/// over long names most things do: what is lost to gaps must be made up for by letters that begin a word or stand
/// together.
fn fuzzy(atom: &Atom, event: &Event) -> bool {
    let least = LETTER * atom.needle_text().len();
    MATCHER.with_borrow_mut(|(matcher, buffer)| {
        let mut fits = |text: &str| {
            let score = atom.score(Utf32Str::new(text, buffer), matcher);
            score.is_some_and(|score| usize::from(score) >= least)
        };
        fits(&event.object.name)
            || fits(&event.subject.name)
            || fits(&event.object.namespace)
            || fits(event.event_type.name())
            || detail(event, "reason").is_some_and(fits)
    })
}
