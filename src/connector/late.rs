//! Variables of a body that may be secrets: a body is stored with its claim and its dead letter, so what is stored names
//! them, and their values are put in at each attempt. Only `webhook` calls.

use std::{collections::BTreeMap, fmt::Write};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Outcome, Reason, Rendered, http::Secrets, template::Escape};
use crate::config::secret::{Part, parts};

/// Digits behind the mark: which variable. A template has no thousand of them.
const DIGITS: usize = 3;

/// The variables of one template.
pub struct Late {
    /// Stands in the template in place of every variable: nobody who writes into an event can know it, and a template
    /// that looks at it sees nothing else. Digits, which are encoded nowhere and are a number where one is expected.
    mark: String,
    names: Vec<String>,
    values: BTreeMap<String, String>,
}

impl std::fmt::Debug for Late {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Late").field("names", &self.names).finish_non_exhaustive()
    }
}

/// A variable in a stored body, which reads `${NAME}` there.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    at: usize,
    name: String,
}

impl Late {
    /// The variables' values, encoded as the body wants them, and the template with marks in their places.
    ///
    /// # Errors
    /// A variable where its value would be looked at.
    pub fn of(source: &str, values: &Value, escape: Escape) -> Result<(Self, String), String> {
        let given = |name: &str| Some((name.to_owned(), escape.encode(values.get(name)?.as_str()?)));
        let digits = rand::random::<u128>() % 10_u128.pow(38);
        let mut late = Self { mark: format!("7{digits:038}"), names: Vec::new(), values: BTreeMap::new() };
        let mut marked = String::new();
        for part in parts(source)? {
            let name = match part {
                Part::Text(text) => {
                    marked.push_str(text);
                    continue;
                }
                Part::Variable(name) => name,
            };
            if is_looked_at(&marked) {
                return Err(format!(
                    "${{{name}}} stands within braces: it is put in when the message goes out, so no expression sees it"
                ));
            }
            // Writing to a String cannot fail.
            let _ = write!(marked, "{}{:0DIGITS$}", late.mark, late.names.len());
            late.names.push(name.to_owned());
            late.values.extend(given(name));
        }
        if late.names.len() > 999 { Err("has too many variables".into()) } else { Ok((late, marked)) }
    }

    /// What must be cut out of answers.
    pub fn add_to(&self, secrets: &mut Secrets) {
        self.values.values().for_each(|value| secrets.add(value));
    }

    /// A rendered text as it may be stored: the names in place of the marks, and where they stand.
    pub fn name(&self, rendered: &str) -> (String, Value) {
        let mut pieces = rendered.split(self.mark.as_str());
        let mut body = pieces.next().unwrap_or_default().to_owned();
        let mut places = Vec::new();
        for piece in pieces {
            let (which, rest) = piece.split_at_checked(DIGITS).unwrap_or((piece, ""));
            let name = which.parse().ok().and_then(|n: usize| self.names.get(n)).cloned().unwrap_or_default();
            let at = body.len();
            body.push_str(&shown(&name));
            body.push_str(rest);
            places.push(Place { at, name });
        }
        let places = serde_json::to_value(places).unwrap_or_default();
        (body, places)
    }
}

/// The exact text to send.
///
/// # Errors
/// A variable that the settings do not name any more.
pub fn fill(late: Option<&Late>, message: &Rendered) -> Result<String, Outcome> {
    if message.meta.is_null() {
        return Ok(message.body.clone());
    }
    let places: Vec<Place> = serde_json::from_value(message.meta.clone()).unwrap_or_default();
    let mut body = message.body.clone();
    // From the end: what is put in moves what follows.
    for Place { at, name } in places.into_iter().rev() {
        let to = at + shown(&name).len();
        let value =
            late.and_then(|l| l.values.get(&name)).filter(|_| body.get(at..to) == Some(&shown(&name)));
        let Some(value) = value else {
            return Err(Outcome::Reject {
                reason: Reason::Render,
                detail: format!(
                    "the message was made with ${{{name}}}, which body_template does not name any more: \
                     `barrelman deliveries retry` makes it anew"
                ),
                pause: false,
                status: 0,
            });
        };
        body.replace_range(at..to, value);
    }
    Ok(body)
}

fn shown(name: &str) -> String {
    format!("${{{name}}}")
}

/// Whether what follows stands in an expression, a statement or a comment.
fn is_looked_at(before: &str) -> bool {
    let last = |signs: [&str; 3]| signs.iter().filter_map(|sign| before.rfind(sign)).max();
    last(["{{", "{%", "{#"]) > last(["}}", "%}", "#}"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn late(source: &str) -> Result<(Late, String), String> {
        Late::of(source, &json!({"KEY": "k\"1", "N": "5"}), Escape::Json)
    }

    #[test]
    fn what_is_stored_names_the_variables_and_what_is_sent_holds_them() {
        let (made, marked) = late(r#"{"k": "${KEY}", "n": ${N}, "c": "$${KEY} {{title}}"}"#).unwrap();
        assert!(!marked.contains("k\"1") && serde_json::from_str::<Value>(&marked).is_ok(), "{marked}");
        // A title that looks like a variable is none, also one that ends where a variable begins.
        let rendered = marked.replace("{{title}}", "${KEY}$");
        let (body, meta) = made.name(&rendered);
        assert_eq!(body, r#"{"k": "${KEY}", "n": ${N}, "c": "${KEY} ${KEY}$"}"#);
        assert!(!format!("{meta}{made:?}").contains("k\\"), "{meta}");
        let message = Rendered { body, meta, ..Rendered::default() };
        assert_eq!(fill(Some(&made), &message).unwrap(), r#"{"k": "k\"1", "n": 5, "c": "${KEY} ${KEY}$"}"#);
        assert!(matches!(fill(None, &message), Err(Outcome::Reject { reason: Reason::Render, .. })));
    }

    #[test]
    fn no_expression_sees_a_variable() {
        for source in
            [r#"{{ "${KEY}" | length }}"#, r#"{% if "${KEY}" == "x" %}y{% endif %}"#, "{# ${KEY} #}"]
        {
            assert!(late(source).unwrap_err().contains("${KEY} stands within braces"), "{source}");
        }
        assert!(late("{{ title }} ${KEY} {% if x %}${KEY}{% endif %}").is_ok());
    }
}
