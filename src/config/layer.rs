//! Values from one place (defaults, file, environment, flags) laid over each other, each remembering where it came
//! from.

use std::collections::BTreeMap;

use super::{
    options::{OPTIONS, Opt},
    problem::{Problem, Warning},
    value::{Raw, Value},
};

/// A checked value and where it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Sourced {
    /// The value.
    pub value: Value,
    /// `default`, `config.toml:12`, `environment LOG_LEVEL`, `--log-level`.
    pub origin: String,
}

/// What the layers came to so far.
#[derive(Debug, Default)]
pub struct Layers {
    values: BTreeMap<&'static str, Sourced>,
    /// All that is wrong.
    pub problems: Vec<Problem>,
    /// All that is odd.
    pub warnings: Vec<Warning>,
}

impl Layers {
    /// Every option at its default.
    pub fn defaults() -> Self {
        let mut layers = Self::default();
        for option in OPTIONS {
            let raw = super::file::literal(option.default);
            layers.set(option, &raw, None, "default");
        }
        layers
    }

    /// Lays a value over what is there. An unset one leaves it (for the file, it is how the default is written).
    pub fn set(&mut self, option: &'static Opt, raw: &Raw, separator: Option<char>, origin: &str) {
        if option.takes.is_list() {
            match option.takes.items(raw, separator) {
                Ok(items) => {
                    let items = items.into_iter().map(|i| (i, origin.to_owned())).collect();
                    self.set_items(option, items, origin);
                }
                Err(message) => self.problem(origin, option.path, message),
            }
            return;
        }
        match option.takes.check(raw, separator) {
            Ok(Value::Unset) if self.values.contains_key(option.path) => {}
            Ok(value) => {
                self.values.insert(option.path, Sourced { value, origin: origin.to_owned() });
            }
            Err(message) => self.problem(origin, option.path, message),
        }
    }

    /// A list, each item with its own place: every bad one is told, and the good ones are kept.
    pub fn set_items(&mut self, option: &'static Opt, items: Vec<(Raw, String)>, origin: &str) {
        let one = items.len() == 1;
        let mut good = Vec::new();
        for (i, (raw, at)) in items.into_iter().enumerate() {
            match option.takes.item(&raw) {
                Ok(item) => good.extend(item),
                Err(message) if one => self.problem(&at, option.path, message),
                Err(message) => self.problem(&at, &format!("{}[{i}]", option.path), message),
            }
        }
        let sourced = Sourced { value: Value::List(good), origin: origin.to_owned() };
        self.values.insert(option.path, sourced);
    }

    /// Notes a problem.
    pub fn problem(&mut self, origin: &str, path: &str, message: impl Into<String>) {
        self.problems.push(Problem {
            origin: origin.to_owned(),
            path: path.to_owned(),
            message: message.into(),
        });
    }

    /// Notes something odd.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(Warning(text.into()));
    }

    /// What an option came to.
    pub fn get(&self, path: &str) -> Option<&Sourced> {
        self.values.get(path)
    }

    /// The value of a path of the table; a path that is not in it counts as unset.
    fn value(&self, path: &str) -> &Value {
        debug_assert!(Opt::find(path).is_some(), "{path} is in the table of options");
        self.values.get(path).map_or(&Value::Unset, |s| &s.value)
    }

    /// A number, 0 where it is unset.
    pub fn number(&self, path: &str) -> u64 {
        match self.value(path) {
            Value::Number(n) => *n,
            _ => 0,
        }
    }

    /// A number that may be unset.
    pub fn maybe_number(&self, path: &str) -> Option<u64> {
        match self.value(path) {
            Value::Number(n) => Some(*n),
            _ => None,
        }
    }

    /// true or false; unset is `None`.
    pub fn flag(&self, path: &str) -> Option<bool> {
        match self.value(path) {
            Value::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// A text that may be unset.
    pub fn text(&self, path: &str) -> Option<String> {
        match self.value(path) {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// A list.
    pub fn list(&self, path: &str) -> Vec<String> {
        match self.value(path) {
            Value::List(items) => items.clone(),
            _ => Vec::new(),
        }
    }
}
