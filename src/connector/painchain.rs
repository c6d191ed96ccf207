//! A PainChain backend: one POST per change, in the form its timeline expects.
//!
//! The backend de-duplicates by (integrationId, externalId) only, so an integration is found or made first. It
//! answers 500 to what it will never take, so a 500 is tried a few times and no more.

use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use reqwest::{Client, RequestBuilder, Url, header::CONTENT_TYPE};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use super::{
    Checked, Common, Connector, ConnectorDef, Deliver, Field, HttpClients, Notification, Options, Outcome,
    Reason, Receipt, RenderError, Rendered, Shape,
    http::{Answer, Secrets, send},
    payload::Payload,
    webhook,
};

/// The registry's line.
pub const DEF: ConnectorDef = ConnectorDef {
    kind: "painchain",
    title: "PainChain",
    about: "Posts every change to a PainChain backend",
    fields: &[
        Field::text("api_url", "API URL", "https://host, with or without /api or /api/events").required(),
        Field::text(
            "integration_id",
            "Integration",
            "Its id; empty = found or made by this connector's name",
        ),
        Field::text("tenant_id", "Tenant", "Sent as x-tenant-id"),
        Field::text("token", "Token", "Sent as Authorization: Bearer").secret(),
        Field::text(
            "mode",
            "Mode",
            "v2, or webhooks for older backends, which need a numeric integration_id",
        )
        .shaped(Shape::Choice(&["v2", "webhooks"]))
        .default("v2"),
    ],
    deliver: Deliver::Events,
    max_per_minute: None,
    min_interval: Duration::ZERO,
    in_flight: 16,
    build,
};

/// The backend takes 100 kB; the id of the integration is added at sending.
const MAX_BODY: usize = 98_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    V2,
    Webhooks,
}

struct PainChain {
    client: Client,
    clients: HttpClients,
    events: Url,
    integrations: Url,
    name: String,
    tenant: Option<String>,
    token: Option<String>,
    mode: Mode,
    /// Given in the settings.
    fixed: Option<String>,
    /// Found or made; forgotten after a 500, which is also the answer to one that is gone.
    found: Mutex<Option<String>>,
    secrets: Secrets,
}

fn build(common: &Common, options: &mut Options<'_>, clients: &HttpClients) -> Option<Box<dyn Connector>> {
    let base = clients.url(options, "api_url", common.allow_insecure_http);
    let fixed = options.text("integration_id");
    let tenant = options.text("tenant_id");
    let token = options.text("token");
    let mode = options.choice("mode", &[("v2", Mode::V2), ("webhooks", Mode::Webhooks)]).unwrap_or(Mode::V2);
    if mode == Mode::Webhooks && fixed.as_ref().is_none_or(|id| id.parse::<u64>().is_err()) {
        options.bad("integration_id", "must be the connection's number in mode webhooks");
    }
    for (option, value) in [("tenant_id", &tenant), ("token", &token)] {
        if value.as_ref().is_some_and(|v| reqwest::header::HeaderValue::from_str(v).is_err()) {
            options.bad(option, "holds characters that no header may hold (line breaks?)");
        }
    }
    let client = webhook::client(common, options, clients)?;
    let base = base?;
    let mut secrets = Secrets::default();
    secrets.add(token.as_deref().unwrap_or_default());
    secrets.add_credentials(&base);
    let (events, integrations) = (route(&base, "events"), route(&base, "integrations"));
    let name = common.name.clone();
    let (clients, found) = (clients.clone(), Mutex::new(None));
    Some(Box::new(PainChain {
        client,
        clients,
        events,
        integrations,
        name,
        tenant,
        token,
        mode,
        fixed,
        found,
        secrets,
    }))
}

/// The URL is given as the host, with `/api`, or as the full `/api/events`, each with or without a slash at the end.
fn route(base: &Url, name: &str) -> Url {
    let path = base.path().trim_end_matches('/');
    let path = path.strip_suffix("/events").filter(|p| p.ends_with("/api")).unwrap_or(path);
    let path = path.strip_suffix("/api").unwrap_or(path);
    let mut url = base.clone();
    url.set_path(&format!("{path}/api/{name}"));
    url.set_query(None);
    url
}

/// The body without the integration: made elsewhere for single changes, mapped from the event otherwise.
fn post(notification: &Notification) -> Result<Map<String, Value>, RenderError> {
    let made = match &notification.post {
        Some(Value::Object(made)) => made.clone(),
        Some(_) => return Err(RenderError("the post is no object".into())),
        None => mapped(notification)?,
    };
    let text = |name: &str| made.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
    for name in ["title", "connector", "project", "timestamp"] {
        if text(name).is_none() {
            return Err(RenderError(format!("{name} is missing: the backend would answer 500 for ever")));
        }
    }
    if text("timestamp").is_none_or(|t| t.parse::<Timestamp>().is_err()) {
        return Err(RenderError("timestamp is no RFC 3339 time".into()));
    }
    if !made.get("data").is_some_and(Value::is_object) {
        return Err(RenderError("data is missing".into()));
    }
    Ok(made)
}

fn mapped(notification: &Notification) -> Result<Map<String, Value>, RenderError> {
    let event = &notification.event;
    let payload = Payload::of(notification);
    let data = serde_json::to_value(&payload).map_err(|e| RenderError(e.to_string()))?;
    let scope = match event.object.namespace.as_str() {
        "" => "cluster-wide",
        namespace => namespace,
    };
    let body = json!({
        "title": event.title,
        "connector": "kubernetes",
        "project": format!("{}:{scope}", event.cluster),
        "timestamp": format!("{:.3}", event.timestamp),
        "externalId": format!("barrelman-{}", notification.id),
        "data": data,
    });
    match body {
        Value::Object(map) => Ok(map),
        _ => Err(RenderError("no object".into())),
    }
}

/// Cuts `data` until the body fits: what is least missed goes first, then long texts and lists are shortened.
fn fit(body: &mut Map<String, Value>) -> Result<bool, RenderError> {
    let size = |body: &Map<String, Value>| serde_json::to_string(body).map_or(usize::MAX, |t| t.len());
    if size(body) <= MAX_BODY {
        return Ok(false);
    }
    for name in ["annotations", "links", "owner_references"] {
        if let Some(data) = body.get_mut("data").and_then(Value::as_object_mut) {
            data.remove(name);
            data.insert("truncated".into(), true.into());
        }
        if size(body) <= MAX_BODY {
            return Ok(true);
        }
    }
    for max in [4_000, 500, 50, 5] {
        if let Some(data) = body.get_mut("data") {
            shorten(data, max);
        }
        if size(body) <= MAX_BODY {
            return Ok(true);
        }
    }
    // A title of 100 kB, or a thousand keys: only what names the change is kept.
    let mut kept = Map::new();
    kept.insert("truncated".into(), true.into());
    body.insert("data".into(), kept.into());
    if let Some(title) = body.get("title").and_then(Value::as_str) {
        let title = crate::event::sanitize::clean_cut(title, 1_000).into_owned();
        body.insert("title".into(), title.into());
    }
    if size(body) <= MAX_BODY { Ok(true) } else { Err(RenderError("larger than 100 kB".into())) }
}

fn shorten(value: &mut Value, max: usize) {
    match value {
        Value::String(text) if text.len() > max => {
            *text = crate::event::sanitize::clean_cut(text, max.max(20)).into_owned();
        }
        Value::Array(items) => {
            items.truncate(max);
            for item in items {
                shorten(item, max);
            }
        }
        Value::Object(map) => map.values_mut().for_each(|v| shorten(v, max)),
        _ => {}
    }
}

/// The older backend's form of the same.
fn older(mut body: Map<String, Value>, notification: &Notification, connection: &str) -> Map<String, Value> {
    let mut take = |name: &str| body.remove(name).unwrap_or_default();
    let made = json!({
        "connectionId": connection.parse::<u64>().unwrap_or_default(),
        "source": "kubernetes",
        "eventType": format!("K8s{}", notification.event.object.kind),
        "title": take("title"),
        "timestamp": take("timestamp"),
        "externalId": take("externalId"),
        "description": notification.event.description,
        "status": notification.event.status.as_str(),
        "metadata": {"project": take("project"), "cluster": notification.event.cluster},
        "eventMetadata": take("data"),
    });
    match made {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

impl PainChain {
    fn with_headers(&self, mut request: RequestBuilder) -> RequestBuilder {
        if let Some(tenant) = &self.tenant {
            request = request.header("x-tenant-id", tenant.as_str());
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Answer, Outcome> {
        let answer = send(self.with_headers(request), self.clients.now(), &self.secrets).await?;
        match self.refusal(&answer).or_else(|| answer.cut_short()) {
            Some(outcome) => Err(outcome),
            None => Ok(answer),
        }
    }

    fn refusal(&self, answer: &Answer) -> Option<Outcome> {
        let hint = match answer.status {
            401 | 403 => "check token and tenant_id",
            404 | 405 | 410 => {
                "check api_url: this is no PainChain backend, or an older one (mode = webhooks)"
            }
            _ => "",
        };
        match (answer.status, answer.refusal(&self.secrets, hint)?) {
            // What the backend also answers to a message that it will never take.
            (500, Outcome::Retry { detail, after, status, .. }) => {
                Some(Outcome::Retry { reason: Reason::BadRequest, detail, after, status })
            }
            (_, outcome) => Some(outcome),
        }
    }

    /// The integration's id: given, found by name, or made.
    async fn integration(&self) -> Result<String, Outcome> {
        if let Some(id) = &self.fixed {
            return Ok(id.clone());
        }
        // Held over the requests: sixteen messages at once must not make sixteen integrations.
        let mut found = self.found.lock().await;
        if let Some(id) = &*found {
            return Ok(id.clone());
        }
        let answer = self.ask(self.client.get(self.integrations.clone())).await?;
        let list: Vec<Value> = serde_json::from_str(&answer.body).map_err(|_| self.odd(&answer))?;
        let ours = |i: &&Value| i["type"] == "kubernetes" && i["name"] == self.name.as_str();
        let id = match list.iter().find(ours).map(|i| id_of(&i["id"])) {
            Some(id) => id,
            None => self.make_integration().await?,
        };
        let id = id.ok_or_else(|| self.odd(&answer))?;
        *found = Some(id.clone());
        Ok(id)
    }

    async fn make_integration(&self) -> Result<Option<String>, Outcome> {
        let body =
            json!({"type": "kubernetes", "name": self.name, "config": {"name": self.name, "tags": []}});
        let answer = self.ask(self.client.post(self.integrations.clone()).json(&body)).await?;
        let made: Value = serde_json::from_str(&answer.body).map_err(|_| self.odd(&answer))?;
        Ok(id_of(&made["id"]))
    }

    /// A success status with an answer that was none.
    fn odd(&self, answer: &Answer) -> Outcome {
        Outcome::Retry {
            reason: Reason::UnexpectedAnswer,
            detail: format!("HTTP {}: {}", answer.status, answer.shown(&self.secrets)),
            after: None,
            status: answer.status,
        }
    }

    async fn attempt(&self, message: &Rendered) -> Outcome {
        let integration = match self.integration().await {
            Ok(id) => id,
            Err(outcome) => return outcome,
        };
        let body = match self.mode {
            Mode::Webhooks => message.body.clone(),
            Mode::V2 => match message.body.strip_prefix('{') {
                Some(rest) => format!("{{\"integrationId\":{},{rest}", json!(integration)),
                None => message.body.clone(),
            },
        };
        let request = self
            .client
            .post(self.events.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", message.id.as_str())
            .body(body);
        let answer = match send(self.with_headers(request), self.clients.now(), &self.secrets).await {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        let outcome = self.judge(&answer, &integration);
        if answer.status == 500 {
            // The integration may be gone: the next attempt looks again.
            *self.found.lock().await = None;
        }
        outcome
    }

    fn judge(&self, answer: &Answer, integration: &str) -> Outcome {
        let shown = answer.shown(&self.secrets);
        let delivered = |event: Value| Outcome::Delivered {
            receipt: Some(json!({"event_id": event, "integration_id": integration})),
            status: answer.status,
            answer: shown.clone(),
        };
        // A conflict on (integrationId, externalId) means that an earlier attempt arrived.
        let duplicate = answer.status == 409 || (answer.status == 500 && shown.contains("duplicate"));
        if duplicate {
            return delivered(Value::Null);
        }
        if let Some(outcome) = self.refusal(answer).or_else(|| answer.cut_short()) {
            return outcome;
        }
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        if self.mode == Mode::V2 {
            return if body["event_id"].is_null() {
                self.odd(answer)
            } else {
                delivered(body["event_id"].clone())
            };
        }
        if body["success"] == true {
            return delivered(body["eventId"].clone());
        }
        match body["error"].as_str() {
            None => self.odd(answer),
            Some(error) if error.contains("Unique constraint") => delivered(Value::Null),
            Some(error) => self.refused_in_200(error),
        }
    }

    /// The older backend says everything with 200; only its words tell what can be tried again.
    fn refused_in_200(&self, error: &str) -> Outcome {
        let detail = self.secrets.cut(&crate::event::sanitize::clean_cut(error, 200));
        let never = ["Missing required", "must be", "is required", "Foreign key", "Invalid"];
        if never.iter().any(|n| error.contains(n)) {
            return Outcome::Reject { reason: Reason::BadRequest, detail, pause: false, status: 200 };
        }
        Outcome::Retry { reason: Reason::ServerError, detail, after: None, status: 200 }
    }
}

fn id_of(id: &Value) -> Option<String> {
    match id {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

impl Connector for PainChain {
    fn render(&self, notification: &Notification, _: Option<&Receipt>) -> Result<Rendered, RenderError> {
        let mut body = post(notification)?;
        // Ours to add, at sending.
        body.remove("integrationId");
        let cut = fit(&mut body)?;
        if self.mode == Mode::Webhooks {
            body = older(body, notification, self.fixed.as_deref().unwrap_or_default());
        }
        Ok(Rendered {
            content_type: "application/json".into(),
            body: serde_json::to_string(&body).map_err(|e| RenderError(e.to_string()))?,
            id: notification.id.as_str().to_owned(),
            note: cut.then(|| "data was cut to fit 100 kB".to_owned()),
            ..Rendered::default()
        })
    }

    fn deliver<'a>(&'a self, message: &'a Rendered) -> BoxFuture<'a, Outcome> {
        Box::pin(self.attempt(message))
    }

    fn check(&self) -> BoxFuture<'_, Result<Checked, String>> {
        Box::pin(async {
            // No route answers a health check; the list of integrations needs address, token and tenant to be right.
            let url = if self.mode == Mode::V2 { &self.integrations } else { &self.events };
            match self.ask(self.client.get(url.clone())).await {
                Ok(_) => Ok(Checked::Works(format!("{} answers", webhook::host(url)))),
                Err(Outcome::Reject { detail, .. })
                    if self.mode == Mode::Webhooks && detail.contains("404") =>
                {
                    Ok(Checked::Works(format!("{} answers", webhook::host(url))))
                }
                Err(Outcome::Retry { detail, .. } | Outcome::Reject { detail, .. }) => Err(detail),
                Err(Outcome::Delivered { .. }) => Err("no answer".into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        connector::samples,
        event::{EventType, incident::Phase},
    };

    #[test]
    fn every_spelling_of_the_url_works() {
        for (given, expected) in [
            ("https://h", "https://h/api/events"),
            ("https://h/", "https://h/api/events"),
            ("https://h/api", "https://h/api/events"),
            ("https://h/api/", "https://h/api/events"),
            ("https://h/api/events", "https://h/api/events"),
            ("https://h:8000/pain/api/events/", "https://h:8000/pain/api/events"),
            ("https://h/events", "https://h/events/api/events"),
        ] {
            assert_eq!(route(&Url::parse(given).unwrap(), "events").as_str(), expected, "{given}");
        }
    }

    #[test]
    fn a_large_body_is_cut_below_the_limit_and_says_so() {
        let size = |pad: usize, key: &str| {
            let mut n = samples::notification(EventType::PodRestarted, Phase::Event, "c");
            n.event.details.insert(key.into(), "x".repeat(pad).into());
            let mut body = post(&n).unwrap();
            let cut = fit(&mut body).unwrap();
            (serde_json::to_string(&body).unwrap().len(), cut, body)
        };
        let (base, ..) = size(0, "note");
        for pad in [MAX_BODY - base - 1, MAX_BODY - base, MAX_BODY - base + 1, 300_000] {
            let (length, cut, body) = size(pad, "note");
            assert!(length <= MAX_BODY, "{length}");
            assert_eq!(cut, pad + base > MAX_BODY);
            assert_eq!(body["data"]["event_type"], "pod_restarted");
        }
    }

    #[test]
    fn what_the_backend_would_refuse_for_ever_is_not_sent() {
        let mut n = samples::notification(EventType::PodRestarted, Phase::Event, "c");
        for (post_made, said) in [
            (
                json!({"title": "t", "connector": "kubernetes", "project": "p", "timestamp": "x", "data": {}}),
                "RFC 3339",
            ),
            (
                json!({"title": "", "connector": "kubernetes", "project": "p", "timestamp": "x", "data": {}}),
                "title",
            ),
            (json!([]), "no object"),
        ] {
            n.post = Some(post_made);
            assert!(post(&n).unwrap_err().0.contains(said));
        }
    }
}
