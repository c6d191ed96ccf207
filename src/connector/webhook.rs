//! Any HTTP endpoint: the guide's payload, CloudEvents, JSON lines, or the user's own template; signed as in
//! Standard Webhooks.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures::future::BoxFuture;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{
    Client, Method, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Value, json};

use super::{
    Checked, Common, Connector, ConnectorDef, Deliver, Field, HttpClients, Notification, Options, Outcome,
    Receipt, RenderError, Rendered, Shape,
    http::{Answer, Secrets, send},
    late::{Late, fill},
    payload::Payload,
    samples,
    template::{Escape, Template, check_json},
};
use crate::{
    config::secret::LATE,
    event::{EventType, Role, TypeSet, incident::Phase},
};

/// The registry's line.
pub const DEF: ConnectorDef = ConnectorDef {
    kind: "webhook",
    title: "Webhook",
    about: "POSTs JSON to any HTTP endpoint",
    fields: &[
        Field::text("url", "URL", "https://host/path; ${ENV} is filled in").required().secret(),
        Field::text("method", "Method", "POST, PUT or PATCH")
            .shaped(Shape::Choice(&["POST", "PUT", "PATCH"]))
            .default("POST"),
        Field::text("headers", "Headers", "A table, or JSON: {\"Authorization\": \"Bearer …\"}")
            .shaped(Shape::Table)
            .secret(),
        Field::text(
            "body_template",
            "Body template",
            "{{title}}, {{details.restart_count}}; empty = the whole payload",
        )
        .shaped(Shape::Lines)
        .late(),
        Field::text("signing_secret", "Signing secret", "Standard Webhooks: whsec_ and base64, or any text")
            .secret(),
        Field::text(
            "format",
            "Format",
            "guide: the documented payload; cloudevents: CloudEvents 1.0; jsonl: a line",
        )
        .shaped(Shape::Choice(&["guide", "cloudevents", "jsonl"]))
        .default("guide"),
    ],
    deliver: Deliver::Incidents,
    max_per_minute: None,
    min_interval: Duration::ZERO,
    in_flight: 16,
    build,
};

/// CloudEvents intermediaries must take this much, and need not take more.
const MAX_CLOUDEVENT: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Guide,
    CloudEvents,
    JsonLines,
}

struct Webhook {
    client: Client,
    clients: HttpClients,
    url: Url,
    method: Method,
    headers: HeaderMap,
    content_type: String,
    template: Option<Template>,
    /// The template's variables.
    late: Option<Late>,
    signing_key: Option<Vec<u8>>,
    format: Format,
    secrets: Secrets,
}

fn build(common: &Common, options: &mut Options<'_>, clients: &HttpClients) -> Option<Box<dyn Connector>> {
    let url = clients.url(options, "url", common.allow_insecure_http);
    let method =
        options.choice("method", &[("POST", Method::POST.as_str()), ("PUT", "PUT"), ("PATCH", "PATCH")]);
    let format = options
        .choice(
            "format",
            &[("guide", Format::Guide), ("cloudevents", Format::CloudEvents), ("jsonl", Format::JsonLines)],
        )
        .unwrap_or(Format::Guide);
    let mut secrets = Secrets::default();
    let headers = headers(options, &mut secrets);
    let content_type = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let content_type = content_type.unwrap_or_else(|| format.content_type().to_owned());
    let (template, late) = template(common, options, format, &content_type).unzip();
    let late = late.flatten();
    if let Some(late) = &late {
        late.add_to(&mut secrets);
    }
    let signing_key = signing_key(options, &mut secrets);
    let client = client(common, options, clients)?;
    let url = url?;
    secrets.add_url(&url);
    let method = Method::from_bytes(method.unwrap_or("POST").as_bytes()).ok()?;
    let clients = clients.clone();
    Some(Box::new(Webhook {
        client,
        clients,
        url,
        method,
        headers,
        content_type,
        template,
        late,
        signing_key,
        format,
        secrets,
    }))
}

/// The client for a connector's own CA file, with the problem named where there is one.
pub(super) fn client(common: &Common, options: &mut Options<'_>, clients: &HttpClients) -> Option<Client> {
    match clients.client(common.ca_file.as_deref()) {
        Ok(client) => Some(client),
        Err(error) => {
            options.bad("ca_file", error.to_string());
            None
        }
    }
}

/// The types that a connector can be sent, for trying templates.
pub(super) fn subscribed(common: &Common) -> Vec<EventType> {
    match &common.events {
        Some(set) => set.types(),
        None if common.deliver == Deliver::Events => TypeSet::all().types(),
        None => EventType::all().iter().filter(|d| d.role != Role::Context).map(|d| d.event_type).collect(),
    }
}

fn headers(options: &mut Options<'_>, secrets: &mut Secrets) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in options.texts("headers") {
        let option = format!("headers.{name}");
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            options.bad(&option, "is no header name");
            continue;
        };
        if matches!(header.as_str(), "host" | "content-length" | "transfer-encoding" | "connection") {
            options.bad(&option, "is set by the connection itself: remove it");
            continue;
        }
        let Ok(mut value) = HeaderValue::from_str(&value) else {
            options.bad(&option, "holds characters that no header may hold (line breaks?)");
            continue;
        };
        if header != CONTENT_TYPE {
            secrets.add(value.to_str().unwrap_or_default());
            // "Bearer abc": the token alone is a secret too.
            for word in value.to_str().unwrap_or_default().split_whitespace().skip(1) {
                secrets.add(word);
            }
            value.set_sensitive(true);
        }
        map.insert(header, value);
    }
    map
}

fn template(
    common: &Common,
    options: &mut Options<'_>,
    format: Format,
    content_type: &str,
) -> Option<(Template, Option<Late>)> {
    let source = options.value("body_template")?.as_str();
    let Some(source) = source else {
        options.bad("body_template", "must be a text");
        return None;
    };
    if format != Format::Guide {
        options.bad("body_template", "cannot be used together with format: remove one of them");
        return None;
    }
    let values = options.value(LATE).and_then(|late| late.get("body_template"));
    let tried = try_template(common, source, values, Escape::of(content_type));
    tried.map_err(|why| options.bad("body_template", why)).ok()
}

fn try_template(
    common: &Common,
    source: &str,
    values: Option<&Value>,
    escape: Escape,
) -> Result<(Template, Option<Late>), String> {
    let types = subscribed(common);
    let Some(values) = values else {
        let template = Template::parse(source, escape)?;
        return template.try_samples(&types, common.deliver).map(|()| (template, None));
    };
    let (late, marked) = Late::of(source, values, escape)?;
    let template = Template::parse(&marked, escape)?;
    template.try_samples(&types, common.deliver)?;
    // Not the parser's words: they could show a piece of a value.
    let whole = |text: &str| escape != Escape::Json || check_json(text).is_ok();
    if let Some(first) = types.first() {
        let alone = common.deliver == Deliver::Events || first.def().role == Role::Context;
        let phase = if alone { Phase::Event } else { Phase::Opened };
        let (body, meta) = late.name(&template.render(&samples::notification(*first, phase, "sample"))?);
        let filled = fill(Some(&late), &Rendered { body, meta, ..Rendered::default() });
        if !filled.is_ok_and(|text| whole(&text)) {
            return Err("is no JSON once its variables are put in: write \"${NAME}\", with quotes".into());
        }
    }
    Ok((template, Some(late)))
}

fn signing_key(options: &mut Options<'_>, secrets: &mut Secrets) -> Option<Vec<u8>> {
    let text = options.text("signing_secret")?;
    secrets.add(&text);
    let Some(encoded) = text.strip_prefix("whsec_") else {
        return Some(text.into_bytes());
    };
    let key = BASE64_STANDARD.decode(encoded);
    key.map_err(|_| options.bad("signing_secret", "is no base64 after whsec_")).ok()
}

impl Format {
    const fn content_type(self) -> &'static str {
        match self {
            Format::Guide => "application/json",
            Format::CloudEvents => "application/cloudevents+json",
            Format::JsonLines => "application/x-ndjson",
        }
    }
}

impl Webhook {
    fn built_in(&self, notification: &Notification) -> Result<(String, Option<String>), RenderError> {
        let failed = |e: serde_json::Error| RenderError(e.to_string());
        let mut payload = Payload::of(notification);
        match self.format {
            Format::Guide => Ok((payload.to_json().map_err(failed)?, None)),
            Format::JsonLines => Ok((payload.to_json().map_err(failed)? + "\n", None)),
            Format::CloudEvents => {
                let mut note = None;
                loop {
                    let body = cloudevent(notification, &payload).map_err(failed)?;
                    if body.len() <= MAX_CLOUDEVENT || !payload.shrink() {
                        return Ok((body, note));
                    }
                    note = Some("cut to fit 64 KiB".to_owned());
                }
            }
        }
    }

    /// Standard Webhooks: over the exact bytes, at the time of this attempt.
    fn signature(&self, id: &str, timestamp: &str, body: &str) -> Option<String> {
        let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(self.signing_key.as_ref()?).ok()?;
        for part in [id, ".", timestamp, ".", body] {
            mac.update(part.as_bytes());
        }
        Some(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
    }

    async fn attempt(&self, message: &Rendered) -> Outcome {
        let body = match fill(self.late.as_ref(), message) {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        let now = self.clients.now();
        let timestamp = now.as_second().to_string();
        let mut request = self
            .client
            .request(self.method.clone(), self.url.clone())
            .header(CONTENT_TYPE, message.content_type.as_str())
            .header("webhook-id", message.id.as_str())
            .header("webhook-timestamp", timestamp.as_str())
            .header("idempotency-key", message.id.as_str());
        if let Some(signature) = self.signature(&message.id, &timestamp, &body) {
            request = request.header("webhook-signature", signature);
        }
        let mut headers = self.headers.clone();
        headers.remove(CONTENT_TYPE);
        let request = request.headers(headers).body(body);
        let answer = match send(request, now, &self.secrets).await {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        self.judge(&answer)
    }

    fn judge(&self, answer: &Answer) -> Outcome {
        let hint = match answer.status {
            401 | 403 => "check the headers' token, and signing_secret",
            404 | 410 => "check the url: nothing answers there",
            _ => "",
        };
        // The status alone is the answer: a body that breaks off after a 2xx changes nothing.
        answer.refusal(&self.secrets, hint).unwrap_or_else(|| Outcome::Delivered {
            receipt: None,
            status: answer.status,
            answer: answer.shown(&self.secrets),
        })
    }
}

fn cloudevent(notification: &Notification, payload: &Payload<'_>) -> Result<String, serde_json::Error> {
    let event = &notification.event;
    let subject = if event.object.namespace.is_empty() {
        event.object.resource()
    } else {
        format!("{}/{}", event.object.namespace, event.object.resource())
    };
    let source: String = url_path(&event.cluster);
    let head: BTreeMap<&str, serde_json::Value> = BTreeMap::from([
        ("specversion", json!("1.0")),
        ("id", json!(notification.id)),
        ("source", json!(format!("/barrelman/{source}"))),
        ("type", json!(format!("barrelman.{}", event.event_type.name()))),
        ("subject", json!(subject)),
        ("time", json!(format!("{:.3}", event.timestamp))),
        ("datacontenttype", json!("application/json")),
        ("data", serde_json::to_value(payload)?),
    ]);
    serde_json::to_string(&head)
}

/// A path segment of a URI reference.
fn url_path(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, b| {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') {
            out.push(b.into());
        } else {
            let _ = write!(out, "%{b:02X}");
        }
        out
    })
}

impl Connector for Webhook {
    fn render(&self, notification: &Notification, _: Option<&Receipt>) -> Result<Rendered, RenderError> {
        let templated = self.template.as_ref().map(|t| t.render(notification));
        let mut meta = Value::Null;
        let (body, note) = match (templated, &self.late) {
            (Some(Ok(body)), Some(late)) => {
                let (body, places) = late.name(&body);
                meta = places;
                (body, None)
            }
            (Some(Ok(body)), None) => (body, None),
            (Some(Err(why)), _) => {
                let (body, _) = self.built_in(notification)?;
                (body, Some(format!("body_template failed, the built-in payload was sent: {why}")))
            }
            (None, _) => self.built_in(notification)?,
        };
        let id = notification.id.as_str().to_owned();
        Ok(Rendered { content_type: self.content_type.clone(), body, meta, id, note })
    }

    fn deliver<'a>(&'a self, message: &'a Rendered) -> BoxFuture<'a, Outcome> {
        Box::pin(self.attempt(message))
    }

    fn check(&self) -> BoxFuture<'_, Result<Checked, String>> {
        Box::pin(async {
            // HEAD changes nothing; that the endpoint answers at all is what can be known without sending.
            let request = self.client.head(self.url.clone()).headers(self.headers.clone());
            match send(request, self.clients.now(), &self.secrets).await {
                Ok(answer) => Ok(headed(&host(&self.url), answer.status)),
                Err(Outcome::Retry { reason, detail, .. } | Outcome::Reject { reason, detail, .. }) => {
                    Err(format!("{} cannot be reached ({}): {detail}", host(&self.url), reason.as_str()))
                }
                Err(Outcome::Delivered { .. }) => Err("no answer".into()),
            }
        })
    }
}

/// What the answer to a HEAD says. A receiver of POSTs may know no other method, and need not know the path with it.
fn headed(host: &str, status: u16) -> Checked {
    let answers = format!("{host} answers (HTTP {status})");
    match status {
        200..=299 => Checked::Works(answers),
        500 | 502..=599 => Checked::Unwell(format!("{answers}: it is not well")),
        _ => Checked::Answers(format!("{answers} to a HEAD, which says nothing of a message")),
    }
}

/// A URL's host and port: what may be shown of it.
pub(super) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
