//! Secrets of connectors: where they come from, how they are shown, how they are kept.
//!
//! A secret is a literal, `${NAME}` of the environment inside any text, or the content of the file that the option's
//! `_file` twin names. Literals entered in the terminal are sealed by a `Vault` before they reach the database.
//! Resolved values go to the connector alone: never into a log, an error, an export or the screen.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::vault::{SEALED, Vault};

/// A secret could not be had. Never holds the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{option}: {message}")]
pub struct SecretError {
    /// `webhook_url_file`, `headers.Authorization`
    pub option: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// A variable of the environment.
pub type EnvFn<'a> = &'a dyn Fn(&str) -> Option<String>;
/// The content of a file.
pub type ReadFn<'a> = &'a dyn Fn(&Path) -> std::io::Result<String>;

/// Where secrets come from.
pub struct Resolver<'a> {
    /// The environment.
    pub env: EnvFn<'a>,
    /// Files.
    pub read: ReadFn<'a>,
    /// Options whose variables are put in when a message goes out, because what comes of them is stored.
    pub late: &'a [&'a str],
    /// Opens what was sealed; or why it cannot be opened, in words.
    pub vault: Result<&'a Vault, &'a str>,
}

impl std::fmt::Debug for Resolver<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

impl Resolver<'_> {
    /// A connector's options with every secret in its place: `${NAME}` replaced in every text, `_file` twins of the
    /// options in `secrets` read (their last line end cut), sealed texts opened.
    ///
    /// # Errors
    /// Every secret that could not be had.
    pub fn resolve(
        &self,
        config: &Map<String, Value>,
        secrets: &[&str],
    ) -> Result<Map<String, Value>, Vec<SecretError>> {
        let (resolved, errors) = self.resolve_what_can_be(config, secrets);
        if errors.is_empty() { Ok(resolved) } else { Err(errors) }
    }

    /// The same, with null in place of what could not be had, and why.
    pub fn resolve_what_can_be(
        &self,
        config: &Map<String, Value>,
        secrets: &[&str],
    ) -> (Map<String, Value>, Vec<SecretError>) {
        let mut errors = Vec::new();
        let mut resolved = Map::new();
        for (key, value) in config {
            if key == LATE {
                errors.push(error(key, "is no option"));
                continue;
            }
            if let (true, Value::String(text)) = (self.late.contains(&key.as_str()), value) {
                self.late(key, text, &mut resolved, &mut errors);
                continue;
            }
            let twin = key.strip_suffix("_file").filter(|option| secrets.contains(option));
            if let (Some(option), Value::String(path)) = (twin, value) {
                if config.contains_key(option) {
                    errors.push(error(key, format!("is given beside {option}: keep one of them")));
                    continue;
                }
                match (self.read)(Path::new(path)) {
                    Ok(text) => {
                        resolved.insert(option.to_owned(), text.trim_end_matches(['\n', '\r']).into());
                    }
                    Err(why) => errors.push(error(key, format!("{path} cannot be read: {why}"))),
                }
                continue;
            }
            resolved.insert(key.clone(), self.value(key, value, &mut errors));
        }
        (resolved, errors)
    }

    /// The text as it was written, and the values of its variables beside it.
    fn late(
        &self,
        option: &str,
        text: &str,
        resolved: &mut Map<String, Value>,
        errors: &mut Vec<SecretError>,
    ) {
        let opened = self.open(text);
        let found = opened.and_then(|text| {
            let full = expand(text.expose_secret(), self.env)?;
            let mut values = Map::new();
            for part in parts(text.expose_secret())? {
                if let Part::Variable(name) = part {
                    values.insert(name.to_owned(), (self.env)(name).unwrap_or_default().into());
                }
            }
            // Without any, nothing is left to put in.
            Ok(if values.is_empty() { (full, values) } else { (text, values) })
        });
        let (text, values) = found.unwrap_or_else(|message| {
            errors.push(error(option, message));
            (SecretString::default(), Map::new())
        });
        resolved.insert(option.to_owned(), text.expose_secret().into());
        if !values.is_empty() {
            let late = resolved.entry(LATE).or_insert_with(|| Map::new().into());
            late[option] = values.into();
        }
    }

    fn value(&self, option: &str, value: &Value, errors: &mut Vec<SecretError>) -> Value {
        match value {
            Value::String(text) => match self.text(text) {
                Ok(secret) => Value::from(secret.expose_secret()),
                Err(message) => {
                    errors.push(error(option, message));
                    Value::Null
                }
            },
            Value::Array(items) => items.iter().map(|v| self.value(option, v, errors)).collect(),
            Value::Object(map) => {
                let mut inner = Map::new();
                for (key, value) in map {
                    inner.insert(key.clone(), self.value(&format!("{option}.{key}"), value, errors));
                }
                inner.into()
            }
            other => other.clone(),
        }
    }

    fn text(&self, text: &str) -> Result<SecretString, String> {
        // A text means the same wherever it is kept: what is sealed may name variables beside its literals.
        expand(self.open(text)?.expose_secret(), self.env)
    }

    fn open(&self, text: &str) -> Result<SecretString, String> {
        if !is_sealed(text) {
            return Ok(SecretString::from(text));
        }
        let vault = self.vault.map_err(|why| format!("is sealed, and its key cannot be used: {why}"))?;
        vault.unseal(text).map_err(|e| e.to_string())
    }
}

fn error(option: &str, message: impl Into<String>) -> SecretError {
    SecretError { option: option.to_owned(), message: message.into() }
}

/// In resolved options: by option, the values of the variables that its text still names.
pub const LATE: &str = "${}";

/// A part of a text with variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// As it is.
    Text(&'a str),
    /// By its name.
    Variable(&'a str),
}

/// The parts of a text with `${NAME}` in it; `$$` is a dollar sign where `{` follows.
///
/// # Errors
/// What is no name, or is not closed.
pub fn parts(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            parts.extend([Part::Text(before), Part::Text("${")]);
            rest = after;
            continue;
        }
        let (name, tail) = after.split_once('}').ok_or("a ${ is not closed")?;
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(fits) {
            return Err(format!("${{{name}}}: expected the name of an environment variable"));
        }
        parts.extend([Part::Text(before), Part::Variable(name)]);
        rest = tail;
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

/// Replaces every `${NAME}`. A variable that is not set is an error, an empty one too: half a URL must not be sent to.
pub fn expand(text: &str, env: EnvFn<'_>) -> Result<SecretString, String> {
    let mut out = String::new();
    for part in parts(text)? {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Variable(name) => {
                let value = env(name).filter(|v| !v.is_empty());
                out.push_str(&value.ok_or_else(|| format!("the environment variable {name} is not set"))?);
            }
        }
    }
    Ok(SecretString::from(out))
}

/// The variables that a connector's options refer to and that are not set, each once.
pub fn unset_variables(config: &Map<String, Value>, env: EnvFn<'_>) -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::String(text) => {
                let names = text.split("${").skip(1).filter_map(|p| p.split_once('}')).map(|(name, _)| name);
                found.extend(names.map(str::to_owned));
            }
            Value::Array(items) => items.iter().for_each(|v| collect(v, found)),
            Value::Object(map) => map.values().for_each(|v| collect(v, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    config.values().for_each(|v| collect(v, &mut found));
    found.retain(|name| env(name).is_none_or(|v| v.is_empty()));
    found.sort();
    found.dedup();
    found
}

/// It refers to the environment: nothing secret in itself. What stands beside the variables must be no secret of its
/// own: nothing but signs, the word of an Authorization header, or the beginning of a URL.
pub fn is_reference(text: &str) -> bool {
    if !text.contains("${") || !text.split("${").skip(1).all(|p| p.contains('}')) {
        return false;
    }
    let literal: String = text.split("${").map(|p| p.split_once('}').map_or(p, |(_, tail)| tail)).collect();
    let literal = literal.trim();
    !literal.contains(|c: char| c.is_ascii_alphanumeric())
        || ["bearer", "basic", "token"].contains(&literal.to_ascii_lowercase().as_str())
        || is_plain_url(literal)
}

fn is_plain_url(text: &str) -> bool {
    text.starts_with("http") && !is_secret_url(text)
}

/// It was sealed by a vault.
pub fn is_sealed(text: &str) -> bool {
    text.starts_with(SEALED)
}

/// An option that is secret by its name, whatever its connector says.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // Paths and identifiers that end like a secret.
    if name.ends_with("_file") || name == "dedup_key" {
        return false;
    }
    [
        "token",
        "password",
        "secret",
        "webhook_url",
        "integration_key",
        "api_key",
        "apikey",
        "authorization",
        "headers",
        "cookie",
    ]
    .iter()
    .any(|part| name.contains(part))
        || name == "key"
        || name.ends_with("-key")
}

/// A header that says what a message is, and nothing of who sends it.
pub fn is_plain_header(name: &str) -> bool {
    const PLAIN: [&str; 6] =
        ["accept", "accept-language", "cache-control", "content-language", "content-type", "user-agent"];
    PLAIN.contains(&name.to_ascii_lowercase().as_str())
}

/// A URL with a user, a query or a long path: it may be a secret as a whole.
pub fn is_secret_url(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    host.contains('@') || rest.contains('?') || path.split('/').any(|p| p.len() >= 16)
}

/// Begins what was masked already.
const HIDDEN: &str = "••••";

/// How a secret is shown: its last four characters, none of a short one.
pub fn mask(secret: &str) -> String {
    let host = secret.split_once("://").map(|(scheme, rest)| {
        let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        (format!("{scheme}://{}/", host.rsplit('@').next().unwrap_or_default()), path)
    });
    // Of a URL the end of what is hidden, not of the host.
    let (host, hidden) = host.unwrap_or((String::new(), secret));
    let chars = hidden.chars().count();
    let tail: String = hidden.chars().skip(if chars >= 12 { chars - 4 } else { chars }).collect();
    format!("{host}••••{tail}")
}

/// A connector's options as they may be shown: what is in `secrets`, or looks secret, is masked.
pub fn masked(config: &Map<String, Value>, secrets: &[&str]) -> Map<String, Value> {
    let hide = |key: &str| is_secret_name(key) || secrets.contains(&key);
    config.iter().map(|(key, value)| (key.clone(), masked_value(value, hide(key)))).collect()
}

fn masked_value(value: &Value, hide: bool) -> Value {
    match value {
        Value::String(text) if is_reference(text) || text.starts_with(HIDDEN) => value.clone(),
        Value::String(text) if is_sealed(text) => Value::from("•••• (sealed)"),
        Value::String(text) if hide || is_secret_url(text) => Value::from(mask(text)),
        Value::Number(_) | Value::Bool(_) if hide => Value::from("••••"),
        Value::Array(items) => items.iter().map(|v| masked_value(v, hide)).collect(),
        Value::Object(map) => {
            let hide = |key: &str| (hide || is_secret_name(key)) && !is_plain_header(key);
            let inner: Map<String, Value> =
                map.iter().map(|(k, v)| (k.clone(), masked_value(v, hide(k)))).collect();
            inner.into()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn env(name: &str) -> Option<String> {
        (name == "TOKEN").then(|| "t0k3n".to_owned())
    }

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn variables_files_and_sealed_texts_are_resolved() {
        let vault = Vault::from_bytes([7; 32]);
        let sealed = vault.seal("literal").unwrap();
        let beside = vault.seal("https://h.example/v2?token=${TOKEN}&costs=$${5}").unwrap();
        let read = |path: &Path| match path.to_str() {
            Some("/run/hook") => Ok("https://x.example/y\n".to_owned()),
            _ => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
        };
        let resolver = Resolver { env: &env, read: &read, late: &[], vault: Ok(&vault) };
        let config = map(&json!({
            "webhook_url_file": "/run/hook", "token": sealed, "url": beside, "ca_file": "/ca.pem", "n": 3,
            "headers": {"Authorization": "Bearer ${TOKEN}", "X": "$${TOKEN}"}, "list": ["a${TOKEN}b"],
        }));
        let resolved = resolver.resolve(&config, &["webhook_url"]).unwrap();
        assert_eq!(
            Value::from(resolved),
            json!({
                "webhook_url": "https://x.example/y", "token": "literal",
                "url": "https://h.example/v2?token=t0k3n&costs=${5}", "ca_file": "/ca.pem", "n": 3,
                "headers": {"Authorization": "Bearer t0k3n", "X": "${TOKEN}"}, "list": ["at0k3nb"],
            })
        );
    }

    #[test]
    fn a_variable_beside_a_literal_is_filled_in_after_sealing_or_is_told() {
        let vault = Vault::from_bytes([7; 32]);
        let mut config = map(&json!({
            "url": "https://h.example/hook/v2/send?token=${TOKEN}",
            "headers": {"X-Key": "team:${TOKEN}"}, "header_text": "{\"X-Key\": \"team:${NOPE}\"}",
        }));
        vault.seal_config(&mut config, &["url", "headers", "header_text"]).unwrap();
        assert!(config.values().all(|v| !v.to_string().contains("TOKEN")), "{config:?}");
        let read = |_: &Path| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
        let resolver = Resolver { env: &env, read: &read, late: &[], vault: Ok(&vault) };
        let (resolved, errors) = resolver.resolve_what_can_be(&config, &[]);
        assert_eq!(resolved["url"], "https://h.example/hook/v2/send?token=t0k3n");
        assert_eq!(resolved["headers"]["X-Key"], "team:t0k3n");
        assert_eq!(errors[0].to_string(), "header_text: the environment variable NOPE is not set");
        let shut = Resolver { vault: Err("secret.key can be read by others"), ..resolver };
        let (_, errors) = shut.resolve_what_can_be(&config, &[]);
        assert!(errors[0].message.contains("secret.key can be read by others"), "{errors:?}");
    }

    #[test]
    fn a_late_text_keeps_its_variables_and_their_values_come_beside_it() {
        let vault = Vault::from_bytes([7; 32]);
        let read = |_: &Path| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
        let resolver = Resolver { env: &env, read: &read, late: &["body", "plain", "no"], vault: Ok(&vault) };
        let config =
            map(&json!({"body": "a ${TOKEN} $${x}", "plain": "$${x}", "no": "${NOPE}", "${}": {"body": {}}}));
        let (resolved, errors) = resolver.resolve_what_can_be(&config, &[]);
        assert_eq!(resolved["body"], "a ${TOKEN} $${x}");
        assert_eq!(
            (&resolved["plain"], &resolved[LATE]),
            (&json!("${x}"), &json!({"body": {"TOKEN": "t0k3n"}}))
        );
        let mut said: Vec<String> = errors.iter().map(ToString::to_string).collect();
        said.sort();
        assert_eq!(said, ["${}: is no option", "no: the environment variable NOPE is not set"]);
    }

    #[test]
    fn every_secret_that_cannot_be_had_is_told() {
        let vault = Vault::from_bytes([7; 32]);
        let sealed = Vault::from_bytes([8; 32]).seal("x").unwrap();
        let read = |_: &Path| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
        let resolver = Resolver { env: &env, read: &read, late: &[], vault: Ok(&vault) };
        let config = map(&json!({
            "a": "${NOPE}", "b": "${open", "token_file": "/nope", "url_file": "/x", "url": "y",
            "headers": {"h": "${a b}"}, "sealed": sealed,
        }));
        let mut said: Vec<String> = resolver
            .resolve(&config, &["token", "url"])
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect();
        said.sort();
        assert_eq!(said.len(), 6, "{said:?}");
        for (line, part) in said.iter().zip([
            "a: the environment variable NOPE is not set",
            "b: a ${ is not closed",
            "headers.h: ${a b}: expected the name",
            "sealed: was sealed with another key",
            "token_file: /nope cannot be read",
            "url_file: is given beside url",
        ]) {
            assert!(line.starts_with(part), "{line}");
        }
    }

    #[test]
    fn shown_secrets_keep_their_last_four_characters_at_most() {
        assert_eq!(mask("ghp_abcdefghijJ4xQ"), "••••J4xQ");
        assert_eq!(mask("short"), "••••");
        assert_eq!(
            mask("https://hooks.slack.com/services/T0/B0/abcdJ4xQ"),
            "https://hooks.slack.com/••••J4xQ"
        );
        assert_eq!(mask("https://user:pass@h.example"), "https://h.example/••••");
        assert_eq!(mask("http://127.0.0.1:21004/c"), "http://127.0.0.1:21004/••••");
        let shown = masked(
            &map(&json!({
                "webhook_url": "https://hooks.example/T0/abcdefghijkl", "channel": "#a", "token": "${TOKEN}",
                "headers": {"X-Api": "abcdefgh12345678", "Content-Type": "application/x-our-own-kind"}, "url": "https://api.example.com/hook?sig=abcd1234abcd",
                "base": "https://api.example.com/events", "own": "private-thing-1", "password": 12345,
            })),
            &["own"],
        );
        let text = Value::from(shown).to_string();
        for secret in ["abcdefghijkl", "abcdefgh1234", "sig=", "private", "12345\"", "12345}"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        for kept in ["application/x-our-own-kind", "#a", "${TOKEN}", "https://api.example.com/events"] {
            assert!(text.contains(kept), "{kept} in {text}");
        }
    }

    #[test]
    fn a_reference_with_a_literal_secret_beside_it_is_no_reference() {
        assert!(is_reference("Bearer ${TOKEN}"));
        assert!(is_reference("https://hooks.example/${PATH_PART}"));
        assert!(!is_reference("ghp_abcdefghijklmnop${X}"));
        assert!(!is_reference("plain"));
        assert!(!is_reference("hunter2pw ${HOME}"), "a short secret is one too");
        assert!(is_reference("${USER}:${PASSWORD}") && is_reference("token ${T}"));
    }
}
