//! Label and field selectors of list and watch requests.
//!
//! Parsed once per request; matched against every object that passes. Grammar as in `kubectl -l` and
//! `--field-selector`. Unknown fields are refused, as a real server does.

use std::collections::BTreeMap;

use super::failure::Failure;
use super::object::Stored;

/// Both selectors of one request.
#[derive(Debug, Clone, Default)]
pub(super) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<FieldTerm>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

#[derive(Debug, Clone)]
struct FieldTerm {
    field: String,
    value: String,
    equal: bool,
}

impl Selector {
    /// From the query parameters `labelSelector` and `fieldSelector`; empty texts select everything.
    pub fn parse(plural: &str, labels: &str, fields: &str) -> Result<Self, Failure> {
        let mut selector = Selector::default();
        for part in split_outside_parentheses(labels) {
            selector.labels.push(Requirement::parse(part)?);
        }
        for part in fields.split(',').filter(|part| !part.is_empty()) {
            selector.fields.push(FieldTerm::parse(plural, part)?);
        }
        Ok(selector)
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether the object is selected.
    pub fn matches(&self, object: &Stored) -> bool {
        self.labels.iter().all(|r| r.matches(&object.labels))
            && self.fields.iter().all(|t| (object.field(&t.field) == t.value) == t.equal)
    }
}

impl Requirement {
    fn parse(text: &str) -> Result<Self, Failure> {
        let text = text.trim();
        let bad =
            || Failure::bad_request(format!("unable to parse requirement: {text:?} is no label selector"));
        if let Some((head, list)) = text.split_once('(') {
            let values: Vec<String> =
                list.trim_end_matches(')').split(',').map(|v| v.trim().to_owned()).collect();
            let mut words = head.split_whitespace();
            let key = words.next().ok_or_else(bad)?.to_owned();
            return match words.next() {
                Some("in") => Ok(Requirement::In(key, values)),
                Some("notin") => Ok(Requirement::NotIn(key, values)),
                _ => Err(bad()),
            };
        }
        if let Some((key, value)) = text.split_once("!=") {
            return Ok(Requirement::NotIn(key.trim().to_owned(), vec![value.trim().to_owned()]));
        }
        if let Some((key, value)) = text.split_once('=') {
            let value = value.trim_start_matches('=').trim().to_owned();
            return Ok(Requirement::In(key.trim().to_owned(), vec![value]));
        }
        match text.strip_prefix('!') {
            Some(key) => Ok(Requirement::Absent(key.trim().to_owned())),
            None if text.contains(char::is_whitespace) => Err(bad()),
            None => Ok(Requirement::Exists(text.to_owned())),
        }
    }

    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Requirement::In(key, values) => labels.get(key).is_some_and(|v| values.contains(v)),
            Requirement::NotIn(key, values) => labels.get(key).is_none_or(|v| !values.contains(v)),
            Requirement::Exists(key) => labels.contains_key(key),
            Requirement::Absent(key) => !labels.contains_key(key),
        }
    }
}

/// Fields that a real server selects by, beside metadata.name and metadata.namespace.
const FIELDS: [(&str, &[&str]); 6] = [
    (
        "pods",
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
    ),
    (
        "events",
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
    ),
    ("secrets", &["type"]),
    ("namespaces", &["status.phase"]),
    ("nodes", &["spec.unschedulable"]),
    ("jobs", &["status.successful"]),
];

impl FieldTerm {
    fn parse(plural: &str, text: &str) -> Result<Self, Failure> {
        let (field, value, equal) = if let Some((field, value)) = text.split_once("!=") {
            (field, value, false)
        } else {
            let (field, value) = text.split_once('=').ok_or_else(|| {
                Failure::bad_request(format!("invalid selector: {text:?}; can't understand {text:?}"))
            })?;
            (field, value.trim_start_matches('='), true)
        };
        let known = matches!(field, "metadata.name" | "metadata.namespace")
            || FIELDS.iter().any(|(of, fields)| *of == plural && fields.contains(&field));
        if !known {
            return Err(Failure::bad_request(format!("field label not supported: {field}")));
        }
        Ok(FieldTerm { field: field.to_owned(), value: value.to_owned(), equal })
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .filter(|part| !part.trim().is_empty())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn label_selectors_follow_the_grammar_of_kubectl() {
        let given = labels(&[("app", "shop"), ("tier", "web")]);
        for (text, expected) in [
            ("app=shop", true),
            ("app==shop,tier!=db", true),
            ("app in (shop, blog),tier", true),
            ("app notin (shop)", false),
            ("!gone", true),
            ("gone", false),
            ("gone!=x", true),
        ] {
            let selector = Selector::parse("pods", text, "").expect(text);
            let got = selector.labels.iter().all(|r| r.matches(&given));
            assert_eq!(got, expected, "{text}");
        }
    }

    #[test]
    fn unknown_fields_are_refused_like_a_real_server_does() {
        let failure = Selector::parse("services", "", "spec.nodeName=a").expect_err("no such field");
        assert_eq!(
            (failure.code, failure.message.as_str()),
            (400, "field label not supported: spec.nodeName")
        );
        assert!(Selector::parse("pods", "", "spec.nodeName=a,status.phase!=Failed").is_ok());
    }
}
