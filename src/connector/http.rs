//! The way out: shared clients, one request, its answer, and what a status means. Nothing here sleeps or retries.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{Client, RequestBuilder, Url, header};

use super::{Outcome, Reason, options::Options};
use crate::config::DeliverySettings;

/// Where "now" comes from: the composition root's clock, or a test's.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// As much of an answer is read: a created object's id stands well within.
const MAX_ANSWER: usize = 64 * 1024;
/// As much of an answer is shown.
const SHOWN: usize = 200;

/// The shared clients: building one costs milliseconds and its own connection pool.
#[derive(Clone)]
pub struct HttpClients {
    settings: DeliverySettings,
    clock: Clock,
    by_ca: Arc<Mutex<BTreeMap<Option<PathBuf>, Client>>>,
}

/// A client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The file of certificates.
    #[error("the CA file {path:?} cannot be used: {why}")]
    CaFile {
        /// Which.
        path: PathBuf,
        /// In words.
        why: String,
    },
    /// The TLS set-up.
    #[error("no HTTP client could be made: {0}")]
    Client(String),
}

impl std::fmt::Debug for HttpClients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpClients").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl HttpClients {
    /// With the settings that hold for all connectors.
    ///
    /// # Errors
    /// A CA file that cannot be read, or no TLS.
    pub fn new(settings: &DeliverySettings, clock: Clock) -> Result<Self, HttpError> {
        let clients =
            Self { settings: settings.clone(), clock, by_ca: Arc::new(Mutex::new(BTreeMap::new())) };
        clients.client(None)?;
        Ok(clients)
    }

    /// The client for a destination; `ca_file` is the connector's own, beside the general one.
    ///
    /// # Errors
    /// As `new`.
    pub fn client(&self, ca_file: Option<&Path>) -> Result<Client, HttpError> {
        let key = ca_file.map(Path::to_path_buf);
        let mut made = self.by_ca.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = made.get(&key) {
            return Ok(client.clone());
        }
        let mut certificates = Vec::new();
        for path in self.settings.ca_file.as_deref().into_iter().chain(ca_file) {
            certificates.extend(read_certificates(path)?);
        }
        let client = make_client(certificates, self.settings.timeout)?;
        made.insert(key, client.clone());
        Ok(client)
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// A destination's URL: `https`, or `http` to loopback or where that was allowed.
    pub fn url(&self, options: &mut Options<'_>, option: &str, insecure: bool) -> Option<Url> {
        let text = options.required(option)?;
        let Ok(url) = Url::parse(&text) else {
            // The text may hold a token: it is not repeated.
            options.bad(option, "is no URL: it must look like https://host/path");
            return None;
        };
        if url.host_str().is_none_or(str::is_empty) {
            options.bad(option, "has no host: it must look like https://host/path");
            return None;
        }
        match url.scheme() {
            "https" => Some(url),
            "http" if insecure || self.settings.allow_insecure_http || is_loopback(&url) => Some(url),
            "http" => {
                options.bad(option, "must start with https:// (or set allow_insecure_http = true)");
                None
            }
            scheme => {
                options.bad(option, format!("cannot be sent to with {scheme}: it must start with https://"));
                None
            }
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn read_certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, HttpError> {
    let bad = |why: String| HttpError::CaFile { path: path.to_path_buf(), why };
    let pem = std::fs::read(path).map_err(|e| bad(e.to_string()))?;
    let found = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| bad(e.to_string()))?;
    if found.is_empty() { Err(bad("it holds no PEM certificate".into())) } else { Ok(found) }
}

fn make_client(extra: Vec<reqwest::Certificate>, timeout: Duration) -> Result<Client, HttpError> {
    // The first caller's provider stays; main installs the same one.
    drop(rustls::crypto::ring::default_provider().install_default());
    let builder = || {
        Client::builder()
            .user_agent(concat!("barrelman/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(timeout.min(Duration::from_secs(10)))
            .timeout(timeout)
            .pool_idle_timeout(Duration::from_mins(1))
            .pool_max_idle_per_host(16)
            .tcp_nodelay(true)
    };
    let merged = builder().tls_certs_merge(extra.clone()).build();
    // An image without any CA certificates still reaches what the given ones vouch for, and plain http.
    merged.or_else(|_| builder().tls_certs_only(extra).build()).map_err(|e| HttpError::Client(chain(&e)))
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// At most 64 KiB.
    pub body: String,
    /// The body ended as announced.
    pub complete: bool,
    /// Retry-After, as a time from now.
    pub retry_after: Option<Duration>,
    /// Where a redirect points to: only its host.
    pub location: Option<String>,
}

/// Sends one request and reads the answer.
///
/// # Errors
/// No answer: a retry with the kind of failure, without the URL.
pub async fn send(request: RequestBuilder, now: Timestamp, secrets: &Secrets) -> Result<Answer, Outcome> {
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) => {
            let reason = reason_of(&error);
            let detail = secrets.cut(&chain(&error.without_url()));
            return Err(Outcome::Retry { reason, detail, after: None, status: 0 });
        }
    };
    let status = response.status().as_u16();
    let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok());
    let retry_after = retry_after.and_then(|text| parse_retry_after(text, now));
    let location = response.headers().get(header::LOCATION).and_then(|v| v.to_str().ok());
    let location = location.and_then(|l| Url::parse(l).ok()?.host_str().map(str::to_owned));
    let mut body = Vec::new();
    let complete = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = MAX_ANSWER - body.len();
                body.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
                if body.len() >= MAX_ANSWER {
                    break true;
                }
            }
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Answer { status, body, complete, retry_after, location })
}

impl Answer {
    /// The first 200 bytes, secrets cut, on one line.
    pub fn shown(&self, secrets: &Secrets) -> String {
        let text = crate::event::sanitize::clean(&self.body).replace(['\n', '\t'], " ");
        crate::event::sanitize::clean_cut(secrets.cut(text.trim()).as_str(), SHOWN).into_owned()
    }

    /// What a status means where the service has no words of its own; `None` for 2xx.
    /// `hint` says what to do about a refusal.
    pub fn refusal(&self, secrets: &Secrets, hint: &str) -> Option<Outcome> {
        let status = self.status;
        let shown = self.shown(secrets);
        let detail = |hint: &str| {
            let mut text = format!("HTTP {status}");
            for part in [shown.as_str(), hint] {
                if !part.is_empty() {
                    text = format!("{text}: {part}");
                }
            }
            text
        };
        let reject =
            |reason, pause, hint: &str| Outcome::Reject { reason, detail: detail(hint), pause, status };
        let retry = |reason| Outcome::Retry { reason, detail: detail(""), after: self.retry_after, status };
        Some(match status {
            200..=299 => return None,
            408 | 425 | 429 => retry(Reason::RateLimited),
            401 | 403 => reject(Reason::Unauthorized, true, hint),
            404 | 410 => reject(Reason::NotFound, true, hint),
            501 => reject(Reason::ServerError, false, "the service cannot do this"),
            500..=599 => retry(Reason::ServerError),
            300..=399 => {
                let to = self.location.as_deref().unwrap_or("elsewhere");
                let hint = format!("redirects are not followed (to {to}): set the final URL");
                reject(Reason::BadRequest, true, &hint)
            }
            413 => reject(Reason::BadRequest, false, "the message is larger than the service takes"),
            400..=499 => reject(Reason::BadRequest, false, ""),
            _ => retry(Reason::UnexpectedAnswer),
        })
    }

    /// A success whose body was lost on the way, where the body says whether it was one.
    pub fn cut_short(&self) -> Option<Outcome> {
        (!self.complete).then(|| Outcome::Retry {
            reason: Reason::Network,
            detail: format!("HTTP {}: the answer broke off", self.status),
            after: None,
            status: self.status,
        })
    }
}

/// Seconds or an HTTP date.
fn parse_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    // "GMT" is an obsolete zone of RFC 2822, so its parser reads HTTP dates.
    let at = rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

fn reason_of(error: &reqwest::Error) -> Reason {
    if error.is_timeout() {
        return Reason::Timeout;
    }
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        // hyper wraps TLS errors in io errors, whose inner error is no `source`.
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if cause.is::<rustls::Error>()
            || inner.is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
        {
            return Reason::Tls;
        }
        source = cause.source();
    }
    Reason::Network
}

/// An error with its causes, on one line, none twice.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

/// A part of a path is no key if it is shorter: `v1`, `T0`, `B024`.
const SHORTEST_KEY: usize = 6;
/// Behind one of these the last part of a path is a key: Slack, Mattermost and Rocket.Chat have `services` or `hooks`,
/// Discord has `webhooks`.
const HOOKS: [&str; 3] = ["services", "hooks", "webhooks"];

/// What must never be shown: texts that are cut out of answers and errors.
#[derive(Clone, Default)]
pub struct Secrets(Vec<String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// A text; too short ones would cut words out of everything.
    pub fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        if secret.len() >= 4 && !self.0.iter().any(|s| s == secret) {
            self.0.push(secret.to_owned());
            // The longest first: a part of another must not leave its rest behind.
            self.0.sort_by_key(|s| std::cmp::Reverse(s.len()));
        }
    }

    /// Everything of a URL that may be a key: credentials, path, query, and their long parts.
    pub fn add_url(&mut self, url: &Url) {
        self.add(url.as_str());
        self.add_credentials(url);
        let path = url.path();
        if path.len() > 8 {
            self.add(path);
        }
        let parts: Vec<&str> = path.split('/').collect();
        let last = parts.len().saturating_sub(1);
        for (i, part) in parts.iter().enumerate() {
            let of_a_hook = i == last && parts.iter().take(i).any(|p| HOOKS.contains(p));
            // A long part is no word, and a short one with a digit or a capital letter in it is none either: `services`,
            // `webhook` and `alerts` stay readable, wherever an answer says them. By convention the last part behind
            // `services` and the like is a key, whatever it looks like.
            let no_word = part.contains(|c: char| c.is_ascii_digit() || c.is_ascii_uppercase());
            if part.len() >= 10 || part.len() >= SHORTEST_KEY && (no_word || of_a_hook) {
                self.add(part);
            }
        }
        self.add(url.query().unwrap_or_default());
        for (_, value) in url.query_pairs().filter(|(_, v)| v.len() >= 6) {
            self.add(&value);
        }
    }

    /// User and password of a URL: as they stand there, as they are meant, and as they go out in a header, which a
    /// receiver may echo.
    pub(super) fn add_credentials(&mut self, url: &Url) {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let (user, password) = (url.username(), url.password().unwrap_or_default());
        if user.is_empty() && password.is_empty() {
            return;
        }
        let (user_meant, meant) = (percent_decode(user.as_bytes()), percent_decode(password.as_bytes()));
        let both = [user_meant, b":".to_vec(), meant.clone()].concat();
        self.add(&STANDARD.encode(&both));
        for secret in [both, meant].iter().filter(|_| !password.is_empty()) {
            self.add(&String::from_utf8_lossy(secret));
        }
        self.add(password);
    }

    /// The text without them.
    pub fn cut(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| {
            if text.contains(secret.as_str()) { text.replace(secret.as_str(), "[secret]") } else { text }
        })
    }
}

/// `%40` → `@`; what is no such triple stays.
fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let pair = (*first == b'%').then(|| tail.split_first_chunk::<2>()).flatten();
        let byte = pair.and_then(|(pair, after)| Some((*hex::decode(pair).ok()?.first()?, after)));
        let (byte, after) = byte.unwrap_or((*first, tail));
        out.push(byte);
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2025-01-15T10:30:00Z".parse().unwrap();
        assert_eq!(parse_retry_after("30", now), Some(Duration::from_secs(30)));
        assert_eq!(parse_retry_after("0.5", now), Some(Duration::from_millis(500)));
        let date = "Wed, 15 Jan 2025 10:31:00 GMT";
        assert_eq!(parse_retry_after(date, now), Some(Duration::from_mins(1)));
        assert_eq!(parse_retry_after("Wed, 15 Jan 2025 10:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(parse_retry_after("-5", now), None);
        assert_eq!(parse_retry_after("soon", now), None);
    }

    #[test]
    fn what_a_status_means() {
        let answer = |status| Answer {
            status,
            body: String::new(),
            complete: true,
            retry_after: None,
            location: None,
        };
        let said = |status| match answer(status).refusal(&Secrets::default(), "") {
            None => "delivered".to_owned(),
            Some(Outcome::Retry { reason, .. }) => format!("retry {}", reason.as_str()),
            Some(Outcome::Reject { reason, pause, .. }) => format!("reject {} {pause}", reason.as_str()),
            Some(other) => format!("{other:?}"),
        };
        for (statuses, expected) in [
            (&[200, 201, 202, 204][..], "delivered"),
            (&[408, 425, 429], "retry rate_limited"),
            (&[500, 502, 503, 504, 507, 599], "retry server_error"),
            (&[501], "reject server_error false"),
            (&[400, 402, 405, 406, 409, 413, 415, 422, 451], "reject bad_request false"),
            (&[401, 403], "reject unauthorized true"),
            (&[404, 410], "reject not_found true"),
            (&[301, 302, 303, 307, 308], "reject bad_request true"),
        ] {
            for status in statuses {
                assert_eq!(said(*status), expected, "{status}");
            }
        }
    }

    #[test]
    fn secrets_are_cut_wherever_they_stand() {
        let mut secrets = Secrets::default();
        secrets.add_url(
            &Url::parse("https://u:hunter22@h.example/services/T0/B0/abcdefghijklm?key=k3yk3yk3y").unwrap(),
        );
        let shown =
            secrets.cut("no abcdefghijklm for k3yk3yk3y or hunter22 at /services/T0/B0/abcdefghijklm");
        assert_eq!(shown, "no [secret] for [secret] or [secret] at [secret]");
        assert_eq!(format!("{secrets:?}").matches("hunter").count(), 0);
    }

    #[test]
    fn a_short_key_of_a_path_is_cut_and_its_words_are_not() {
        let cut = |url: &str, text: &str| {
            let mut secrets = Secrets::default();
            secrets.add_url(&Url::parse(url).unwrap());
            secrets.cut(text)
        };
        let slack = "https://hooks.slack.com/services/T0/B0/qwertyu";
        assert_eq!(cut(slack, "no qwertyu in services of T0"), "no [secret] in services of T0");
        let own = "https://h.example/webhook/alerts/k3y4me";
        assert_eq!(cut(own, "webhook alerts: k3y4me is unknown"), "webhook alerts: [secret] is unknown");
        assert_eq!(cut("https://h.example/api/alerts", "no alerts here"), "no alerts here");
    }

    #[test]
    fn credentials_of_a_url_are_cut_in_every_form_in_which_they_go_out() {
        let mut secrets = Secrets::default();
        secrets.add_url(&Url::parse("http://user:p%40ssword99@h.example/echo").unwrap());
        for echoed in ["Basic dXNlcjpwQHNzd29yZDk5", "p@ssword99", "p%40ssword99", "user:p@ssword99"] {
            let shown = secrets.cut(&format!("{{\"authorization\": \"{echoed}\"}}"));
            assert!(shown.contains("[secret]"), "{echoed}: {shown}");
            assert!(!shown.contains("ssword99") && !shown.contains("dXNlcj"), "{shown}");
        }
        let mut user_alone = Secrets::default();
        user_alone.add_url(&Url::parse("https://tok%2Bvalue@h.example/").unwrap());
        assert_eq!(user_alone.cut("Basic dG9rK3ZhbHVlOg=="), "Basic [secret]");
    }
}
