//! The guide's `body_template`: `{{title}}`, `{{details.restart_count}}`. Values are encoded for the body they stand
//! in, so a quote, a newline or an emoji in a title cannot break the document.

use std::{
    fmt::Write,
    io,
    time::{Duration, Instant},
};

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, HtmlEscape, Output, State, UndefinedBehavior, Value,
    escape_formatter, value::Serde,
};

use super::{Deliver, Notification, bounds, payload::Payload, samples, work};
use crate::event::{EventType, Role, incident::Phase, nearest};

/// A larger body is a mistake in the template, and no service takes it.
const MAX_OUTPUT: usize = 256 * 1024;
/// Steps of the engine: a loop over a large payload stays far below, an endless one ends within a second.
const FUEL: u64 = 50_000;
/// A template that takes as long for a sample of every type is of no use, and holds up whoever saves it.
const SAMPLES_WITHIN: Duration = Duration::from_secs(5);
const NAME: &str = "body_template";

/// How values are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// Within the quotes of a JSON document.
    Json,
    /// As in `application/x-www-form-urlencoded`.
    Form,
    /// HTML and XML.
    Markup,
    /// A part of a URL: everything that could end the part is percent-encoded.
    Url,
    /// As it is.
    Plain,
}

impl Escape {
    /// By the body's MIME type.
    pub fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if essence.ends_with("json") || essence.ends_with("ndjson") {
            Escape::Json
        } else if essence == "application/x-www-form-urlencoded" {
            Escape::Form
        } else if essence.ends_with("xml") || essence.ends_with("html") {
            Escape::Markup
        } else {
            Escape::Plain
        }
    }
}

impl Escape {
    /// A text as it stands in such a body.
    pub fn encode(self, text: &str) -> String {
        match self {
            // A text always has its JSON.
            Escape::Json => serde_json::to_string(text).map(|q| inner(&q).to_owned()).unwrap_or_default(),
            Escape::Form | Escape::Url => percent_encode(text, self == Escape::Form),
            Escape::Markup => HtmlEscape(text).to_string(),
            Escape::Plain => text.to_owned(),
        }
    }
}

/// What stands between the quotes.
fn inner(quoted: &str) -> &str {
    quoted.strip_prefix('"').and_then(|q| q.strip_suffix('"')).unwrap_or_default()
}

/// A template that parsed.
pub struct Template {
    env: Environment<'static>,
    escape: Escape,
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Template").field("escape", &self.escape).finish_non_exhaustive()
    }
}

impl Template {
    /// Parses the text.
    ///
    /// # Errors
    /// Where and what does not parse.
    pub fn parse(source: &str, escape: Escape) -> Result<Self, String> {
        bounds::check(source)?;
        let mut env = Environment::new();
        work::meter(&mut env);
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_fuel(Some(FUEL));
        env.set_recursion_limit(50);
        env.set_auto_escape_callback(move |_| match escape {
            Escape::Json => AutoEscape::Custom("json".into()),
            Escape::Form => AutoEscape::Custom("form".into()),
            Escape::Url => AutoEscape::Custom("url".into()),
            Escape::Markup => AutoEscape::Html,
            Escape::Plain => AutoEscape::None,
        });
        env.set_formatter(format_value);
        env.add_template_owned(NAME, source.to_owned()).map_err(|e| explain(&e))?;
        Ok(Self { env, escape })
    }

    /// The body of a notification; a body in JSON is checked to be JSON.
    ///
    /// # Errors
    /// An undefined variable, too much work, too much output, or a body that is no JSON.
    pub fn render(&self, notification: &Notification) -> Result<String, String> {
        let template = self.env.get_template(NAME).map_err(|e| explain(&e))?;
        let mut out = Capped { bytes: Vec::new(), full: false };
        let known = context(notification);
        let result = template.render_captured_to(known.clone(), &mut out).map(drop);
        if out.full {
            return Err(format!("more than {} KiB come out", MAX_OUTPUT / 1024));
        }
        result.map_err(|e| match e.kind() {
            ErrorKind::UndefinedError => format!("{}{}", explain(&e), unknown(&template, &known)),
            _ => explain(&e),
        })?;
        let text = String::from_utf8(out.bytes).map_err(|e| e.to_string())?;
        if self.escape == Escape::Json {
            check_json(&text)?;
        }
        Ok(text)
    }

    /// Renders a sample of every type that can be sent: a template that works for one type only is found now.
    ///
    /// # Errors
    /// The first type and phase that fail, with a way out; or that it takes too long for all.
    pub fn try_samples(&self, types: &[EventType], deliver: Deliver) -> Result<(), String> {
        let began = Instant::now();
        for event_type in types {
            if began.elapsed() > SAMPLES_WITHIN {
                return Err("takes too long: an engine has thousands of these to make".into());
            }
            let alone = deliver == Deliver::Events || event_type.def().role == Role::Context;
            let phases: &[Phase] = if alone { &[Phase::Event] } else { &[Phase::Opened, Phase::Resolved] };
            for phase in phases {
                let sample = samples::notification(*event_type, *phase, "sample");
                self.render(&sample).map_err(|why| {
                    let way_out = if why.contains("is not defined") {
                        ". Use {{ x | default('') }} for what only some types have, or narrow `events`"
                    } else {
                        ""
                    };
                    format!("fails for {event_type} ({}): {why}{way_out}", phase.as_str())
                })?;
            }
        }
        Ok(())
    }
}

/// The names in a template that stand for nothing: the engine does not say which one it met.
fn unknown(template: &minijinja::Template<'_, '_>, known: &Value) -> String {
    let is_there = |name: &String| {
        let found = name.split('.').try_fold(known.clone(), |value, part| value.get_attr(part));
        found.is_ok_and(|value| !value.is_undefined())
    };
    let mut names: Vec<String> = template.undeclared_variables(true).into_iter().collect();
    names.retain(|name| !is_there(name));
    names.sort();
    let known_names: Vec<String> =
        known.try_iter().map(|keys| keys.map(|key| key.to_string()).collect()).unwrap_or_default();
    let near = |name: &String| match nearest(name, known_names.iter().map(String::as_str)) {
        Some(near) => format!("{name}, did you mean {near}?"),
        None => name.clone(),
    };
    let names: Vec<String> = names.iter().map(near).collect();
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

/// What a template sees: the payload, and what a webhook has in its headers.
fn context(notification: &Notification) -> Value {
    let payload = Value::from(Serde(Payload::of(notification)));
    minijinja::context! {
        notification_id => notification.id.as_str(),
        phase => notification.phase.as_str(),
        connector => notification.connector.as_str(),
        ..payload
    }
}

pub(super) fn check_json(text: &str) -> Result<(), String> {
    let whole = serde_json::from_str::<serde::de::IgnoredAny>(text);
    // JSON lines are several documents.
    let lines = || {
        text.lines()
            .filter(|l| !l.is_empty())
            .try_for_each(|l| serde_json::from_str(l).map(|_: serde::de::IgnoredAny| ()))
    };
    whole.map(drop).or_else(|e| lines().map_err(|_| e)).map_err(|e| format!("what comes out is no JSON: {e}"))
}

fn format_value(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    work::pay_for(state, value)?;
    let AutoEscape::Custom(custom) = state.auto_escape() else {
        return escape_formatter(out, state, value);
    };
    if value.is_safe() {
        return out.write_str(value.as_str().unwrap_or_default()).map_err(Error::from);
    }
    if custom == "form" || custom == "url" {
        let encoded = percent_encode(&value.to_string(), custom == "form");
        return out.write_str(&encoded).map_err(Error::from);
    }
    let json = |e: serde_json::Error| Error::new(ErrorKind::BadSerialization, e.to_string());
    let Some(text) = value.as_str() else {
        // Numbers, lists and tables are JSON by themselves: `{"details": {{ details }}}`.
        return out.write_str(&serde_json::to_string(value).map_err(json)?).map_err(Error::from);
    };
    // The template's author wrote the quotes: only what stands between them is ours.
    let quoted = serde_json::to_string(text).map_err(json)?;
    out.write_str(inner(&quoted)).map_err(Error::from)
}

/// Everything but unreserved characters; a form writes a space as `+` and keeps `*`.
fn percent_encode(text: &str, form: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => encoded.push(byte.into()),
            b'*' if form => encoded.push('*'),
            b'~' if !form => encoded.push('~'),
            b' ' if form => encoded.push('+'),
            // Writing to a String cannot fail.
            _ => write!(encoded, "%{byte:02X}").unwrap_or_default(),
        }
    }
    encoded
}

/// The engine's words without its debug dump.
fn explain(error: &Error) -> String {
    let what = match (error.kind(), error.detail()) {
        (ErrorKind::UndefinedError, None) => "a variable is not defined".to_owned(),
        (kind, None) => kind.to_string(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
    };
    match error.line() {
        Some(line) => format!("line {line}: {what}"),
        None => what,
    }
}

/// A writer that stops at `MAX_OUTPUT`.
struct Capped {
    bytes: Vec<u8>,
    full: bool,
}

impl io::Write for &mut Capped {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + more.len() > MAX_OUTPUT {
            self.full = true;
            return Err(io::Error::other("too much output"));
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crash() -> Notification {
        samples::notification(EventType::PodCrashLoop, Phase::Opened, "c")
    }

    #[test]
    fn the_guides_template_renders() {
        let source = r#"{"alert": "{{title}}", "cluster": "{{cluster}}", "n": {{details.restart_count}}}"#;
        let template = Template::parse(source, Escape::Json).unwrap();
        let body = template.render(&crash()).unwrap();
        assert_eq!(body, r#"{"alert": "Pod my-app-123 in crash loop", "cluster": "production", "n": 5}"#);
    }

    #[test]
    fn hostile_values_cannot_break_the_document() {
        let template = Template::parse(r#"{"t": "{{title}}", "d": {{details}}}"#, Escape::Json).unwrap();
        let mut notification = crash();
        let title = format!("a \"quote\"\nand \\ a 🚀 {} {{{{title}}}}", "x".repeat(100_000));
        notification.event.title.clone_from(&title);
        let body: serde_json::Value = serde_json::from_str(&template.render(&notification).unwrap()).unwrap();
        assert_eq!(body["t"], title);
        assert_eq!(body["d"]["restart_count"], 5);
    }

    #[test]
    fn other_bodies_are_encoded_for_what_they_are() {
        let mut notification = crash();
        notification.event.title = "a <b> & c=d".into();
        let render = |escape| Template::parse("{{title}}", escape).unwrap().render(&notification).unwrap();
        assert_eq!(render(Escape::Form), "a+%3Cb%3E+%26+c%3Dd");
        assert_eq!(render(Escape::Markup), "a &lt;b&gt; &amp; c=d");
        assert_eq!(render(Escape::Plain), "a <b> & c=d");
        assert_eq!(Escape::of("application/vnd.api+json; charset=utf-8"), Escape::Json);
        assert_eq!(Escape::of("text/plain"), Escape::Plain);
    }

    #[test]
    fn mistakes_are_found_when_saved() {
        let tried = |source: &str, types: &[EventType]| {
            Template::parse(source, Escape::Json).and_then(|t| t.try_samples(types, Deliver::Incidents))
        };
        let crash = [EventType::PodCrashLoop];
        assert!(tried("{{ title", &crash).is_err());
        let said = tried("{\"a\": \"{{ titel }} {{ title }} {{ details.nothing }}\"}", &crash).unwrap_err();
        assert!(said.contains("pod_crash_loop"), "{said}");
        assert!(
            said.contains("a variable is not defined (details.nothing, titel, did you mean title?)"),
            "{said}"
        );
        assert!(tried("{\"a\": {{ title }}}", &crash).unwrap_err().contains("no JSON"));
        assert!(tried("{\"a\": {{ details.restart_count }}}", &crash).is_ok());
        let both = [EventType::PodCrashLoop, EventType::NodeUnhealthy];
        assert!(tried("{\"a\": {{ details.restart_count }}}", &both).unwrap_err().contains("node_unhealthy"));
        assert!(tried("{\"a\": {{ details.restart_count | default(0) }}}", &both).is_ok());
    }

    #[test]
    fn endless_work_and_endless_output_end() {
        let render =
            |source: &str| Template::parse(source, Escape::Plain).unwrap().render(&crash()).unwrap_err();
        assert!(
            render("{% for i in range(10000) %}{% for j in range(10000) %}x{% endfor %}{% endfor %}").len()
                > 5
        );
        assert!(
            render("{% for i in range(900) %}{{ 'x'|indent(90, true)|replace(' ', 'yyyy') }}{% endfor %}")
                .contains("256 KiB")
        );
        let filters = "|replace('P', 'PPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP')".repeat(40);
        assert!(render(&format!("{{{{ title{filters} }}}}")).contains("256 KiB"));
    }

    #[test]
    fn a_filter_that_makes_much_out_of_little_is_refused_before_it_runs() {
        let render = |source: &str| {
            Template::parse(source, Escape::Plain).and_then(|t| t.render(&crash())).unwrap_err()
        };
        for (source, why) in [
            ("{{ '%999999999999d'|format(1) }}", "too wide"),
            ("{{ '%*d'|format(999999999, 1) }}", "too wide"),
            ("{{ 'a\nb'|indent(999999999) }}", "too wide"),
            ("{{ details|tojson(indent=999999999) }}", "too wide"),
            ("{{ range(999999999)|list }}", "at most"),
            ("{{ [1]|batch(999999999, 0)|list }}", "batch"),
            ("{{ 'x' * 99999999 }}", "times"),
            ("{{ range(999)|join('x'|indent(99, true)|replace(' ', 'yyyyyyyyyyyyyyyyyyyy')) }}", "256 KiB"),
            ("{% for i in range(999) %}{% set x = range(999)|sort %}{% endfor %}", "too much to do"),
            (
                "{% for i in range(999) %}{% set x = range(999)|map('string')|list %}{% endfor %}",
                "too much to do",
            ),
        ] {
            let said = render(source);
            assert!(said.contains(why), "{source}: {said}");
        }
        let fine = "{{ '%05.1f'|format(2.25) }} {{ details.restart_count|times(100) }} {{ 0.5|times(3) }} \
                    {% for c in details|dictsort %}{{ c[0]|upper }}{% endfor %} {{ range(2, 5)|list|tojson }} \
                    {{ ['b', 'a']|sort|map('upper')|join('+') }} {{ '20000 % of it'|indent(4) }}";
        let body = Template::parse(fine, Escape::Plain).and_then(|t| t.render(&crash())).unwrap();
        assert!(body.starts_with("002.2 500 1.5 "), "{body}");
        assert!(body.ends_with(" [2, 3, 4] A+B 20000 % of it"), "{body}");
    }

    #[test]
    fn a_text_that_grows_with_every_step_is_refused_before_it_is_made() {
        let parse = |source: &str| Template::parse(source, Escape::Plain);
        let doubled = "{% set a = a ~ a %}".repeat(40);
        assert!(parse(&format!("{{% set a = title %}}{doubled}{{{{ a }}}}")).unwrap_err().contains("grow"));
        let nested: Vec<_> = (0..40).map(|n| format!("{{% for a{} in [a{n} ~ a{n}] %}}", n + 1)).collect();
        assert!(parse(&nested.concat()).unwrap_err().contains("grow"));
        let lists = "{% set a = [a, a] %}".repeat(40);
        assert!(parse(&format!("{{% set a = title %}}{lists}{{{{ a }}}}")).unwrap_err().contains("grow"));
        // Calls and fixed texts are not what multiplies.
        let named = "{% set a = a|replace('x', 'y') ~ ': ' ~ title %}".repeat(6);
        parse(&format!("{{% set a = title %}}{named}{{{{ a }}}}")).unwrap();
        for refused in
            ["{% macro m(a) %}{{ m(a ~ a) }}{% endmacro %}", "{% set a %}{{ a }}{{ a }}{% endset %}"]
        {
            assert!(parse(refused).unwrap_err().contains("cannot be used"), "{refused}");
        }
        for fine in [
            "{% set who = cluster ~ '/' ~ namespace %}{% if incident %}{{ who }}{% else %}-{% endif %}",
            "{% for m in labels %}{{ m }} + {% endfor %}{# a ~ b #}{{ '{% macro %}' }}",
            "{%- raw %}{% macro %}{% endraw -%}",
        ] {
            parse(fine).unwrap();
        }
    }

    #[test]
    fn a_value_in_a_url_stays_in_its_place() {
        let mut notification = crash();
        notification.event.title = "a/../b?c=d#e f&g ü~".into();
        let template =
            Template::parse("https://x/{{title}}?n={{details.restart_count}}", Escape::Url).unwrap();
        let expected = "https://x/a%2F..%2Fb%3Fc%3Dd%23e%20f%26g%20%C3%BC~?n=5";
        assert_eq!(template.render(&notification).unwrap(), expected);
    }
}
