//! Connectors as people write them: the two shapes of the guide, in JSON or TOML; import and export. What is in
//! `config` is checked by the connector's own kind, later.

use serde_json::{Map, Value, json};
use toml::de::DeTable;

use super::{
    file,
    problem::{Problem, Problems},
    secret::{self, is_plain_header, is_secret_name},
    settings::ConnectorSpec,
};
use crate::event::nearest;

/// A problem without its place in a file.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: String,
    pub(super) message: String,
}

const KEYS: [&str; 4] = ["name", "type", "enabled", "config"];

/// One connector from its object, as far as it can be read, and what is wrong with it.
pub(super) fn spec(value: &Value, path: &str) -> (Option<ConnectorSpec>, Vec<Found>) {
    let mut found = Vec::new();
    let mut bad = |key: &str, message: String| {
        let path = if key.is_empty() { path.to_owned() } else { format!("{path}.{key}") };
        found.push(Found { path, message });
    };
    let Some(object) = value.as_object() else {
        bad("", "expected a table with name, type, enabled and config".into());
        return (None, found);
    };
    for key in object.keys().filter(|k| !KEYS.contains(&k.as_str())) {
        let hint = match nearest(key, KEYS) {
            Some(near) => format!("unknown key, did you mean {near}?"),
            None => {
                format!("unknown key here: a connector's own options belong into config ({key} = … there)")
            }
        };
        bad(key, hint);
    }
    let mut text = |key: &str| match object.get(key).map(|v| v.as_str().map(str::trim)) {
        Some(Some(text)) if !text.is_empty() => text.to_owned(),
        Some(Some(_)) | None => {
            bad(key, "is required".into());
            String::new()
        }
        Some(None) => {
            bad(key, "expected text".into());
            String::new()
        }
    };
    let (name, kind) = (text("name"), text("type"));
    let enabled = match object.get("enabled") {
        None => false,
        Some(Value::Bool(b)) => *b,
        Some(_) => {
            bad("enabled", "expected true or false".into());
            false
        }
    };
    let config = match object.get("config") {
        None => Map::new(),
        Some(Value::Object(config)) => config.clone(),
        Some(_) => {
            bad("config", "expected a table of options".into());
            Map::new()
        }
    };
    (Some(ConnectorSpec { name, kind, enabled, config, origin: super::Origin::Store }), found)
}

/// Connectors of a text, and what is wrong with the others.
#[derive(Debug, Default)]
pub struct ReadConnectors {
    /// Those that can be read whole; options are looked at by their kinds, later.
    pub specs: Vec<ConnectorSpec>,
    /// A line per problem, with the connector's index and key; a connector with one is not in `specs`.
    pub wrong: Vec<String>,
    /// How many there are in all.
    pub total: usize,
}

/// Connectors from a text, for import: one object, or `{"connectors": [...]}`, or a bare list; JSON or TOML.
///
/// # Errors
/// It is neither, or there is no connector in it.
pub fn read_connectors(text: &str) -> Result<ReadConnectors, Problems> {
    let document = document(text).map_err(|message| Problems(vec![problem("", message)]))?;
    let items: Vec<(String, &Value)> = match (&document, document.get("connectors")) {
        (_, Some(Value::Array(items))) | (Value::Array(items), _) => {
            items.iter().enumerate().map(|(i, item)| (format!("connectors[{i}]"), item)).collect()
        }
        (_, Some(_)) => {
            return Err(Problems(vec![problem("connectors", "expected a list of connectors")]));
        }
        (single, None) => vec![("connector".to_owned(), single)],
    };
    if items.is_empty() {
        let none = "there is none: expected one object, or {\"connectors\": [...]}";
        return Err(Problems(vec![problem("connectors", none)]));
    }
    let mut read = ReadConnectors { total: items.len(), ..ReadConnectors::default() };
    for (path, item) in items {
        let (spec, found) = spec(item, &path);
        let whole = found.is_empty();
        read.wrong.extend(found.into_iter().map(|f| format!("{}: {}", f.path, f.message)));
        let Some(spec) = spec.filter(|_| whole) else { continue };
        if read.specs.iter().any(|s| s.name == spec.name) {
            read.wrong.push(format!("{path}: the name {:?} is taken by an earlier one", spec.name));
        } else {
            read.specs.push(spec);
        }
    }
    Ok(read)
}

fn problem(path: &str, message: impl Into<String>) -> Problem {
    Problem { origin: "import".into(), path: path.to_owned(), message: message.into() }
}

fn document(text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with(['{', '[']) && !text.trim_start().starts_with("[[") {
        return serde_json::from_str(text).map_err(|e| format!("not JSON: {e}"));
    }
    let table = DeTable::parse(text).map_err(|e| format!("neither JSON nor TOML: {}", e.message()))?;
    Ok(file::json(&toml::de::DeValue::Table(table.into_inner())))
}

/// What an export does with secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportSecrets {
    /// `${SLACK_ONCALL_WEBHOOK_URL}`: set the variable, and the export loads.
    Placeholders,
    /// Left out.
    Cut,
}

/// Connectors in the guide's shape, `{"connectors": [...]}`, as pretty JSON without any secret.
///
/// `secrets` names the secret options of a type, beside those that look secret by their name. What refers to a
/// variable or a file stays as it is.
pub fn export_connectors(
    specs: &[ConnectorSpec],
    style: ExportSecrets,
    secrets: &dyn Fn(&str) -> Vec<&'static str>,
) -> String {
    let items: Vec<Value> = specs
        .iter()
        .map(|spec| {
            let own = secrets(&spec.kind);
            let config: Map<String, Value> = spec
                .config
                .iter()
                .filter_map(|(key, value)| {
                    let is_secret = is_secret_name(key) || own.contains(&key.as_str());
                    exported(value, is_secret, style, &format!("{} {key}", spec.name))
                        .map(|v| (key.clone(), v))
                })
                .collect();
            json!({"name": spec.name, "type": spec.kind, "enabled": spec.enabled, "config": config})
        })
        .collect();
    // A value made of maps, lists and texts always prints.
    serde_json::to_string_pretty(&json!({"connectors": items})).unwrap_or_default()
}

fn exported(value: &Value, is_secret: bool, style: ExportSecrets, name: &str) -> Option<Value> {
    match value {
        Value::String(text) if secret::is_reference(text) => Some(value.clone()),
        Value::String(text) if is_secret || secret::is_sealed(text) || secret::is_secret_url(text) => {
            match style {
                ExportSecrets::Placeholders => Some(Value::from(format!("${{{}}}", variable(name)))),
                ExportSecrets::Cut => None,
            }
        }
        Value::Object(map) => {
            let inner: Map<String, Value> = map
                .iter()
                .filter_map(|(k, v)| {
                    let is_secret = (is_secret || is_secret_name(k)) && !is_plain_header(k);
                    exported(v, is_secret, style, &format!("{name} {k}")).map(|v| (k.clone(), v))
                })
                .collect();
            Some(inner.into())
        }
        Value::Array(items) => Some(
            items
                .iter()
                .enumerate()
                .filter_map(|(i, v)| exported(v, is_secret, style, &format!("{name} {i}")))
                .collect(),
        ),
        other => Some(other.clone()),
    }
}

/// `slack-oncall webhook_url` → `SLACK_ONCALL_WEBHOOK_URL`
fn variable(name: &str) -> String {
    let upper: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    let joined = upper.split('_').filter(|p| !p.is_empty()).collect::<Vec<_>>().join("_");
    if joined.starts_with(|c: char| c.is_ascii_digit()) { format!("C_{joined}") } else { joined }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLACK: &str = r##"{"name": "Production Alerts", "type": "slack",
        "config": {"webhook_url": "https://hooks.slack.com/services/T0/B0/abcdefgh", "channel": "#k8s-alerts", "events": ["pod_crash"]}}"##;

    fn whole(text: &str) -> Vec<ConnectorSpec> {
        let read = read_connectors(text).unwrap();
        assert_eq!((read.wrong.as_slice(), read.total), (&[][..], read.specs.len()));
        read.specs
    }

    #[test]
    fn both_shapes_load_as_json_and_toml() {
        let one = whole(SLACK);
        assert_eq!(
            (one[0].name.as_str(), one[0].kind.as_str(), one[0].enabled),
            ("Production Alerts", "slack", false)
        );
        let many = whole(&format!("{{\"connectors\": [{SLACK}]}}"));
        assert_eq!(many, one);
        assert_eq!(whole(&format!("[{SLACK}]")), one);
        let toml = "name = \"Production Alerts\"\ntype = \"slack\"\n[config]\nwebhook_url = \"https://hooks.slack.com/services/T0/B0/abcdefgh\"\nchannel = \"#k8s-alerts\"\nevents = [\"pod_crash\"]\n";
        assert_eq!(whole(toml), one);
        let array =
            toml.replace("name =", "[[connectors]]\nname =").replace("[config]", "[connectors.config]");
        assert_eq!(whole(&array), one);
    }

    #[test]
    fn every_problem_of_an_import_is_told() {
        let text = r#"{"connectors": [
            {"name": "a", "type": "slack", "webhook_url": "x", "enable": true},
            {"type": "slack", "enabled": "yes", "config": []}, 7, {"name": "b", "type": "slack"}, {"name": "b", "type": "slack"}]}"#;
        let read = read_connectors(text).unwrap();
        assert_eq!(
            (read.total, read.specs.len(), read.specs[0].name.as_str()),
            (5, 1, "b"),
            "what can be taken is"
        );
        let said = read.wrong.join("\n");
        for part in [
            "connectors[0].webhook_url: unknown key here: a connector's own options belong into config",
            "connectors[0].enable: unknown key, did you mean enabled?",
            "connectors[1].name: is required",
            "connectors[1].enabled: expected true or false",
            "connectors[1].config: expected a table",
            "connectors[2]: expected a table",
            "connectors[4]: the name \"b\" is taken",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert!(read_connectors("{").unwrap_err().to_string().contains("not JSON"));
        assert!(read_connectors("").unwrap().wrong.join("\n").contains("is required"));
        assert!(read_connectors("[]").unwrap_err().to_string().contains("there is none"));
    }

    #[test]
    fn an_export_holds_no_secret_and_loads_again() {
        let mut specs = whole(SLACK);
        specs[0]
            .config
            .insert("headers".into(), json!({"Authorization": "Bearer s3cr3t", "X-Env": "${ENV}"}));
        let text = export_connectors(&specs, ExportSecrets::Placeholders, &|_| vec![]);
        assert!(!text.contains("abcdefgh") && !text.contains("s3cr3t"), "{text}");
        let again = whole(&text);
        assert_eq!(again[0].config["webhook_url"], "${PRODUCTION_ALERTS_WEBHOOK_URL}");
        assert_eq!(again[0].config["headers"]["Authorization"], "${PRODUCTION_ALERTS_HEADERS_AUTHORIZATION}");
        assert_eq!(again[0].config["headers"]["X-Env"], "${ENV}");
        assert_eq!(again[0].config["channel"], "#k8s-alerts");
        let cut = export_connectors(&specs, ExportSecrets::Cut, &|_| vec!["channel"]);
        assert!(!cut.contains("webhook_url") && !cut.contains("k8s-alerts"), "{cut}");
    }
}
