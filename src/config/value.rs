//! What an option takes: one check per type, whether the value came from the file, the environment or a flag.

use std::net::SocketAddr;

use jiff::tz::TimeZone;

use crate::event::{Severity, filter::Filter, nearest};

/// What an option takes.
#[derive(Debug, Clone, Copy)]
pub enum Type {
    /// true or false.
    Bool,
    /// Whole seconds, between two bounds.
    Secs(u64, u64),
    /// A whole number, between two bounds.
    Number(u64, u64),
    /// A number of bytes, or `2GiB`; at least so many.
    Bytes(u64),
    /// Any text.
    Text,
    /// A list of texts.
    List,
    /// A path.
    Path,
    /// A list of paths.
    Paths,
    /// A list of namespaces, globs allowed.
    Namespaces,
    /// A label selector.
    Selector,
    /// A list of filters.
    Filters,
    /// An http or https URL.
    Url,
    /// The same, with `{{variables}}`.
    UrlTemplate,
    /// An address and port.
    Listen,
    /// A level, or a filter of levels.
    LogLevel,
    /// A severity.
    Severity,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// A value as it was written.
#[derive(Debug, Clone, PartialEq)]
pub enum Raw {
    /// TOML's true and false.
    Bool(bool),
    /// TOML's numbers.
    Int(i64),
    /// A string of the file, a flag, or a variable.
    Text(String),
    /// TOML's arrays.
    List(Vec<Raw>),
    /// Anything else, by TOML's name for it.
    Other(&'static str),
}

/// A checked value.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    Unset,
    Bool(bool),
    Number(u64),
    Text(String),
    List(Vec<String>),
}

impl Type {
    /// Whether it takes several texts.
    pub const fn is_list(self) -> bool {
        matches!(self, Type::List | Type::Paths | Type::Namespaces | Type::Filters)
    }

    /// The texts of a list as they were written.
    ///
    /// # Errors
    /// It is none.
    pub fn items(self, raw: &Raw, separator: Option<char>) -> Result<Vec<Raw>, String> {
        match raw {
            Raw::Text(text) => Ok(match separator {
                Some(separator) => text.split(separator).map(|t| Raw::Text(t.to_owned())).collect(),
                None => vec![Raw::Text(text.clone())],
            }),
            Raw::List(items) => Ok(items.clone()),
            other => Err(format!("expected a list of texts, not {}", shown(other))),
        }
    }

    /// One text of a list; `None` where it is empty.
    ///
    /// # Errors
    /// What was expected.
    pub fn item(self, raw: &Raw) -> Result<Option<String>, String> {
        let Raw::Text(text) = raw else {
            return Err(format!("expected a list of texts, not {}", shown(raw)));
        };
        let item = text.trim();
        match self {
            _ if item.is_empty() => return Ok(None),
            Type::Namespaces => namespace(item)?,
            Type::Filters => ignore_filter(item)?,
            _ => {}
        }
        Ok(Some(item.to_owned()))
    }

    /// The value, or what was expected.
    ///
    /// An empty text is "unset" whatever the type (lists: empty). `separator`: lists in one text are cut there.
    pub fn check(self, raw: &Raw, separator: Option<char>) -> Result<Value, String> {
        if self.is_list() {
            let items = self.items(raw, separator)?;
            let items = items.iter().filter_map(|i| self.item(i).transpose()).collect::<Result<_, _>>()?;
            return Ok(Value::List(items));
        }
        let text = match raw {
            Raw::Text(text) if text.trim().is_empty() => return Ok(Value::Unset),
            Raw::Text(text) => text.trim(),
            _ => "",
        };
        match self {
            Type::Bool => match (raw, text.to_ascii_lowercase().as_str()) {
                (Raw::Bool(b), _) => Ok(Value::Bool(*b)),
                (_, "true" | "1" | "yes" | "on") => Ok(Value::Bool(true)),
                (_, "false" | "0" | "no" | "off") => Ok(Value::Bool(false)),
                _ => Err(format!("expected true or false, not {}", shown(raw))),
            },
            Type::Secs(min, max) => number(raw, min, max)
                .ok_or_else(|| format!("expected whole seconds between {min} and {max}, not {}", shown(raw))),
            Type::Number(min, max) => number(raw, min, max).ok_or_else(|| {
                format!("expected a whole number between {min} and {max}, not {}", shown(raw))
            }),
            Type::Bytes(min) => bytes(raw).filter(|n| *n >= min).map(Value::Number).ok_or_else(|| {
                format!("expected bytes, as in 512MiB or 2GiB, at least {min}, not {}", shown(raw))
            }),
            _ if text.is_empty() => Err(format!("expected text, not {}", shown(raw))),
            _ => self.text(text).map(Value::Text),
        }
    }

    fn text(self, text: &str) -> Result<String, String> {
        match self {
            Type::Selector => selector(text).map(|()| text.to_owned()),
            Type::Url if !is_url(text) => Err("expected a URL that begins with https:// or http://".into()),
            Type::UrlTemplate if !is_url_template(text) => {
                Err("expected a URL, as in https://wiki.example.com/{{event_type}}".into())
            }
            Type::Listen => listen(text),
            Type::LogLevel => log_level(text),
            Type::Severity => match text.parse::<Severity>() {
                Ok(severity) => Ok(severity.to_string()),
                Err(_) => Err(one_of(text, &Severity::ALL.map(Severity::as_str))),
            },
            Type::OneOf(words) => match words.iter().find(|w| w.eq_ignore_ascii_case(text)) {
                Some(word) => Ok((*word).to_owned()),
                None => Err(one_of(text, words)),
            },
            _ => Ok(text.to_owned()),
        }
    }
}

fn number(raw: &Raw, min: u64, max: u64) -> Option<Value> {
    let number = match raw {
        Raw::Int(n) => u64::try_from(*n).ok()?,
        Raw::Text(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    (min..=max).contains(&number).then_some(Value::Number(number))
}

/// `4096`, `512MiB`, `2 GiB`, `1GB`.
fn bytes(raw: &Raw) -> Option<u64> {
    let text = match raw {
        Raw::Int(n) => return u64::try_from(*n).ok(),
        Raw::Text(text) => text.trim(),
        _ => return None,
    };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
    let unit = text.get(digits.len()..)?.trim();
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" | "ki" => 1 << 10,
        "mib" | "mi" => 1 << 20,
        "gib" | "gi" => 1 << 30,
        "tib" | "ti" => 1 << 40,
        "kb" | "k" => 1_000,
        "mb" | "m" => 1_000_000,
        "gb" | "g" => 1_000_000_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|r| !r.is_empty() && !r.starts_with('/') && !text.contains(char::is_whitespace))
}

/// Its variables may stand anywhere behind the scheme, with spaces; whoever renders it says whether a URL comes out.
fn is_url_template(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|r| !r.is_empty() && !r.starts_with('/'))
}

/// `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, `:8080` (all addresses).
fn listen(text: &str) -> Result<String, String> {
    let full = match text.split_once(':') {
        Some(("", port)) => format!("0.0.0.0:{port}"),
        Some(("localhost", port)) => format!("127.0.0.1:{port}"),
        _ => text.to_owned(),
    };
    full.parse::<SocketAddr>()
        .map(|address| address.to_string())
        .map_err(|_| format!("expected an address and a port, as in 127.0.0.1:8080 or :8080, not {text:?}"))
}

const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

fn log_level(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    if LEVELS.contains(&lower.as_str()) {
        return Ok(lower);
    }
    if lower == "warning" {
        return Ok("warn".into());
    }
    let filter = text.contains(['=', ',']).then(|| tracing_subscriber::EnvFilter::try_new(text));
    match filter {
        Some(Ok(_)) => Ok(text.to_owned()),
        Some(Err(error)) => Err(format!("not a filter of levels: {error}")),
        None => Err(one_of(text, &LEVELS)),
    }
}

fn one_of(text: &str, words: &[&'static str]) -> String {
    let near =
        nearest(text, words.iter().copied()).map_or_else(String::new, |n| format!(", did you mean {n}?"));
    format!("expected {}, not {text:?}{near}", words.join(", "))
}

/// A DNS label (RFC 1123), or a glob over some.
fn namespace(text: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '*' | '?');
    if text.len() <= 63 && text.chars().all(fits) {
        return Ok(());
    }
    Err(format!("{text:?} is no namespace: expected lower-case letters, digits and - (* and ? as wildcards)"))
}

/// Ignoring is by what an event is, not by when: a rule with times would silently stop to hold.
fn ignore_filter(text: &str) -> Result<(), String> {
    let filter = Filter::parse(text, &TimeZone::UTC)
        .map_err(|error| format!("not a filter: {}", indent(&error.render())))?;
    if filter.is_timed() {
        return Err(format!("{text:?}: an ignore rule has no since: or until:"));
    }
    Ok(())
}

fn indent(text: &str) -> String {
    text.lines().fold(String::new(), |all, line| format!("{all}\n      {line}"))
}

/// kubectl's label selectors, enough of the grammar to catch slips before a server refuses every request.
fn selector(text: &str) -> Result<(), String> {
    let mut depth = 0usize;
    let parts = text.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    for part in parts.map(str::trim) {
        if !requirement(part) {
            return Err(format!(
                "{part:?} is no requirement: expected key=value, key!=value, key, !key, or key in (a,b)"
            ));
        }
    }
    Ok(())
}

fn requirement(part: &str) -> bool {
    let key = |text: &str| {
        let text = text.trim();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        !text.is_empty() && text.chars().all(fits) && text.matches('/').count() <= 1
    };
    let value =
        |text: &str| text.trim().is_empty() || (key(text) && !text.contains('/') && text.trim().len() <= 63);
    for op in ["!=", "==", "="] {
        if let Some((left, right)) = part.split_once(op) {
            return key(left) && value(right);
        }
    }
    if let Some(set) = part.strip_suffix(')')
        && let Some((head, values)) = set.split_once('(')
    {
        let mut words = head.split_whitespace();
        let named = words.next().is_some_and(key);
        let op = matches!(words.next(), Some("in" | "notin")) && words.next().is_none();
        return named && op && !values.trim().is_empty() && values.split(',').all(value);
    }
    key(part.strip_prefix('!').unwrap_or(part))
}

fn shown(raw: &Raw) -> String {
    match raw {
        Raw::Bool(b) => b.to_string(),
        Raw::Int(n) => n.to_string(),
        Raw::Text(text) => format!("{text:?}"),
        Raw::List(_) => "a list".into(),
        Raw::Other(name) => format!("a {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Raw {
        Raw::Text(text.into())
    }

    #[test]
    fn numbers_have_bounds_and_bytes_have_units() {
        assert_eq!(Type::Secs(5, 10).check(&Raw::Int(5), None), Ok(Value::Number(5)));
        assert_eq!(Type::Secs(5, 10).check(&text(" 7 "), None), Ok(Value::Number(7)));
        for bad in [Raw::Int(-1), Raw::Int(11), text("5m"), Raw::Bool(true), Raw::Other("float")] {
            assert!(Type::Secs(5, 10).check(&bad, None).unwrap_err().contains("between 5 and 10"));
        }
        assert_eq!(Type::Bytes(1).check(&text("2 GiB"), None), Ok(Value::Number(2 << 30)));
        assert_eq!(Type::Bytes(1).check(&text("1kb"), None), Ok(Value::Number(1_000)));
        assert!(Type::Bytes(1024).check(&Raw::Int(1023), None).is_err());
        assert!(Type::Bytes(1).check(&text("99999999999TiB"), None).is_err());
        assert!(Type::Bytes(1).check(&text("2 parsecs"), None).is_err());
    }

    #[test]
    fn empty_text_is_unset_and_an_empty_list() {
        assert_eq!(Type::Secs(5, 10).check(&text(""), None), Ok(Value::Unset));
        assert_eq!(Type::Namespaces.check(&text(""), Some(',')), Ok(Value::List(vec![])));
        assert_eq!(
            Type::Namespaces.check(&text("default, monitoring,"), Some(',')),
            Ok(Value::List(vec!["default".into(), "monitoring".into()]))
        );
    }

    #[test]
    fn selectors_are_checked_before_a_server_sees_them() {
        for good in ["app=api", "app==api,tier!=db", "a in (b, c),!d,e", "x.io/y notin (z)", "app="] {
            assert_eq!(selector(good), Ok(()), "{good}");
        }
        for bad in ["app=a b", "=x", "a in b", "a in ()", "a,,b", "a b", "app>3", "!"] {
            assert!(selector(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_and_addresses_say_what_is_near() {
        assert_eq!(Type::LogLevel.check(&text("WARNING"), None), Ok(Value::Text("warn".into())));
        assert!(Type::LogLevel.check(&text("inof"), None).unwrap_err().contains("did you mean info?"));
        assert!(Type::LogLevel.check(&text("info,barrelman::watch=debug"), None).is_ok());
        assert!(Type::LogLevel.check(&text("info,barrelman::watch=loud"), None).is_err());
        assert_eq!(Type::Listen.check(&text(":80"), None), Ok(Value::Text("0.0.0.0:80".into())));
        assert!(Type::Listen.check(&text("8080"), None).is_err());
        assert!(Type::Url.check(&text("example.com"), None).is_err());
        assert!(Type::Namespaces.check(&text("Team_A"), Some(',')).is_err());
        let error = Type::Filters.check(&text("naemspace:a"), None).unwrap_err();
        assert!(error.contains("did you mean namespace?") && error.contains("^^^"), "{error}");
        assert!(Type::Filters.check(&text("since:1h"), None).is_err());
    }
}
