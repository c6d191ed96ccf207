//! Reading a connector's `config` table: one reader that collects every problem at once, with the option's name.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::event::nearest;

/// Something is wrong with an option.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{option}: {message}")]
pub struct Problem {
    /// The option's name, with its parents: `conditions.namespace`.
    pub option: String,
    /// What is wrong and what to do. Never the value of a secret.
    pub message: String,
    /// Nothing is wrong but a placeholder that was not filled in: the connector loads, and never sends.
    pub incomplete: bool,
}

impl Problem {
    /// The option cannot be used as it stands.
    pub fn invalid(option: &str, message: impl Into<String>) -> Self {
        Self { option: option.to_owned(), message: message.into(), incomplete: false }
    }

    /// A placeholder stands where a value is needed.
    pub fn incomplete(option: &str) -> Self {
        let message = "still holds a placeholder: fill it in to start sending".to_owned();
        Self { option: option.to_owned(), message, incomplete: true }
    }
}

/// The options of one table, read once each.
#[derive(Debug)]
pub struct Options<'a> {
    map: &'a Map<String, Value>,
    prefix: &'static str,
    /// What was found so far.
    pub problems: Vec<Problem>,
}

impl<'a> Options<'a> {
    /// Over the table `config`.
    pub fn new(map: &'a Map<String, Value>) -> Self {
        Self::nested(map, "")
    }

    /// Over a table within it; `prefix` ends with a dot.
    pub fn nested(map: &'a Map<String, Value>, prefix: &'static str) -> Self {
        Self { map, prefix, problems: Vec::new() }
    }

    /// The value as it is; an empty text counts as absent, as a form leaves it.
    pub fn value(&self, option: &str) -> Option<&'a Value> {
        self.map.get(option).filter(|v| !v.is_null() && v.as_str().is_none_or(|s| !s.trim().is_empty()))
    }

    /// Notes a problem.
    pub fn bad(&mut self, option: &str, message: impl Into<String>) {
        let name = format!("{}{option}", self.prefix);
        self.problems.push(Problem::invalid(&name, message));
    }

    /// Notes a placeholder.
    pub fn placeholder(&mut self, option: &str) {
        self.problems.push(Problem::incomplete(&format!("{}{option}", self.prefix)));
    }

    /// A text; placeholders are noted, and count as absent.
    pub fn text(&mut self, option: &str) -> Option<String> {
        match self.value(option)? {
            Value::String(text) if is_placeholder(text) => {
                self.placeholder(option);
                None
            }
            Value::String(text) => Some(text.trim().to_owned()),
            // Channel names and ids made of digits come as numbers from TOML.
            Value::Number(number) => Some(number.to_string()),
            _ => {
                self.bad(option, "must be a text");
                None
            }
        }
    }

    /// A text that must be there.
    pub fn required(&mut self, option: &str) -> Option<String> {
        if self.value(option).is_none() {
            self.bad(option, "is required");
            return None;
        }
        self.text(option)
    }

    /// true or false, also as a text.
    pub fn flag(&mut self, option: &str) -> Option<bool> {
        match self.value(option)? {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) if text == "true" => Some(true),
            Value::String(text) if text == "false" => Some(false),
            _ => {
                self.bad(option, "must be true or false");
                None
            }
        }
    }

    /// A whole number, also as a text.
    pub fn number(&mut self, option: &str) -> Option<u64> {
        let value = self.value(option)?;
        let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
        if number.is_none() {
            self.bad(option, "must be a whole number, zero or more");
        }
        number
    }

    /// A number, also as a text.
    pub fn amount(&mut self, option: &str) -> Option<f64> {
        let value = self.value(option)?;
        let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
        let number = number.filter(|n: &f64| n.is_finite());
        if number.is_none() {
            self.bad(option, "must be a number");
        }
        number
    }

    /// A list of texts, or one text with commas.
    pub fn list(&mut self, option: &str) -> Option<Vec<String>> {
        let list = match self.value(option)? {
            Value::String(text) => Some(text.split(',').map(|s| s.trim().to_owned()).collect()),
            Value::Array(items) => {
                items.iter().map(|i| i.as_str().map(|s| s.trim().to_owned())).collect::<Option<Vec<_>>>()
            }
            _ => None,
        };
        if list.is_none() {
            self.bad(option, "must be a list of texts");
        }
        list.map(|items| items.into_iter().filter(|i| !i.is_empty()).collect())
    }

    /// One of several words; the first is the default.
    pub fn choice<T: Copy>(&mut self, option: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(option)?;
        let found = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(&text));
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.bad(option, format!("must be one of {}", words.join(", ")));
        }
        found.map(|(_, value)| *value)
    }

    /// Names with texts: a table, or a text that holds one as JSON.
    pub fn texts(&mut self, option: &str) -> BTreeMap<String, String> {
        let parsed;
        let map = match self.value(option) {
            None => return BTreeMap::new(),
            Some(Value::Object(map)) => Some(map),
            Some(Value::String(text)) => {
                parsed = serde_json::from_str::<Map<String, Value>>(text).ok();
                parsed.as_ref()
            }
            Some(_) => None,
        };
        let Some(map) = map else {
            self.bad(option, "must be a table of texts, or JSON such as {\"name\": \"value\"}");
            return BTreeMap::new();
        };
        let mut texts = BTreeMap::new();
        for (name, value) in map {
            match value {
                Value::String(text) if is_placeholder(text) => self.placeholder(&format!("{option}.{name}")),
                Value::String(text) => drop(texts.insert(name.clone(), text.clone())),
                Value::Number(_) | Value::Bool(_) => drop(texts.insert(name.clone(), value.to_string())),
                _ => self.bad(&format!("{option}.{name}"), "must be a text"),
            }
        }
        texts
    }

    /// Every option that is none of the known ones, each with the nearest that exists.
    pub fn refuse_unknown(&mut self, known: &[&str]) {
        for name in self.map.keys() {
            if known.contains(&name.as_str()) {
                continue;
            }
            let hint = nearest(name, known.iter().copied())
                .map(|n| format!(": did you mean {n:?}?"))
                .unwrap_or_default();
            self.bad(name, format!("unknown option{hint}"));
        }
    }
}

/// Whether a text is one of the guide's placeholders: `...`, `YOUR/WEBHOOK/URL`, `xxxx`, `ghp_xxxx`.
pub fn is_placeholder(text: &str) -> bool {
    let text = text.trim();
    let tail = text.rsplit(['_', '/']).next().unwrap_or(text);
    let only_x = tail.len() >= 4 && tail.chars().all(|c| c == 'x' || c == 'X');
    let upper = ["YOUR/", "YOUR_", "YOUR-", "/YOUR"].iter().any(|mark| text.contains(mark));
    only_x || upper || matches!(text, "..." | "…" | "your-api-key" | "<token>" | "changeme")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guides_placeholders_are_known() {
        for text in [
            "...",
            "https://hooks.slack.com/services/YOUR/WEBHOOK/URL",
            "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
            "ghp_xxxxxxxxxxxx",
            "xxxxxxxxxxxxxxxx",
            "Bearer YOUR_TOKEN",
            "your-api-key",
        ] {
            assert!(is_placeholder(text), "{text}");
        }
        for text in ["https://hooks.slack.com/services/T0/B0/abc", "ghp_a1b2c3", "xxx", "production"] {
            assert!(!is_placeholder(text), "{text}");
        }
    }

    #[test]
    fn every_problem_is_said_at_once_with_the_nearest_name() {
        let map = serde_json::json!({"webhok_url": "x", "max_per_minute": "many", "headers": [1]});
        let mut options = Options::new(map.as_object().unwrap());
        assert_eq!(options.number("max_per_minute"), None);
        options.texts("headers");
        options.refuse_unknown(&["webhook_url", "max_per_minute", "headers"]);
        let said: Vec<String> = options.problems.iter().map(ToString::to_string).collect();
        assert_eq!(said[0], "max_per_minute: must be a whole number, zero or more");
        assert_eq!(said[2], "webhok_url: unknown option: did you mean \"webhook_url\"?");
    }
}
