//! What goes wrong between us and an API server, classified once, in words, with a next step.
//!
//! No secret is in any text: of a credential plugin only its command and standard error are told, never its output.

use std::{error::Error as StdError, io, time::Duration};

use super::hidden::cut_unknown;
use crate::event::sanitize;

/// The classes that are treated, or explained, differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The kubeconfig is missing or cannot be read.
    Kubeconfig,
    /// The context (or its cluster) is not in the kubeconfig.
    Context,
    /// No service account is mounted, or the variables of a pod are missing.
    InCluster,
    /// The program that makes credentials is missing or failed.
    Plugin,
    /// 401: the server does not know us.
    Unauthorized,
    /// 401, and the token or client certificate is past its end.
    Expired,
    /// 403.
    Forbidden,
    /// 404.
    NotFound,
    /// 410, as the answer or within a watch: the resourceVersion is too old.
    Gone,
    /// 400, 405, 406, 415, 422: the server does not take the request as it is.
    Refused,
    /// 429.
    Throttled,
    /// 5xx.
    Server,
    /// Nothing listens at the address.
    NotListening,
    /// The name does not resolve.
    Name,
    /// No answer in time.
    TimedOut,
    /// The server's certificate is signed by a CA that we do not trust.
    Ca,
    /// The server's certificate is wrong in another way, or TLS failed.
    Tls,
    /// The connection broke.
    Broken,
    /// A watch was closed at once, without a word.
    EmptyClose,
    /// The answer is not what an API server says.
    Nonsense,
    /// Two configured contexts lead to one cluster.
    Twice,
}

impl Fault {
    /// What the user can do; empty where waiting is all there is to do.
    pub const fn next_step(self) -> &'static str {
        match self {
            Fault::Kubeconfig => "set KUBECONFIG to a readable kubeconfig, or IN_CLUSTER=true inside a pod",
            Fault::Context => "`kubectl config get-contexts` lists the contexts; correct the configured name",
            Fault::InCluster => {
                "run it in a pod with a service account (automountServiceAccountToken), or set IN_CLUSTER=false"
            }
            Fault::Plugin => "install the command, put it on the PATH, and try `kubectl get --raw /readyz`",
            Fault::Unauthorized => "renew the credentials (log in again), then try `kubectl auth whoami`",
            Fault::Expired => "log in again or issue a new token; it is read again by itself",
            Fault::Forbidden => "`barrelman rbac` prints the rules that are needed",
            Fault::NotListening => "is the API server running, and are address and port right?",
            Fault::Name => "check the server's name in the kubeconfig, DNS and VPN",
            Fault::TimedOut => "check network, VPN and firewall",
            Fault::Ca => "put the cluster's CA into certificate-authority-data of the kubeconfig",
            Fault::Tls => "check the server's certificate, tls-server-name and the clocks",
            Fault::Nonsense => "is this a Kubernetes API server? check the server's URL and proxies",
            Fault::Twice => "remove one of the contexts",
            Fault::NotFound
            | Fault::Gone
            | Fault::Refused
            | Fault::Throttled
            | Fault::Server
            | Fault::Broken
            | Fault::EmptyClose => "",
        }
    }

    /// Whether it tells that the API cannot be reached at all, or not as us.
    pub const fn is_away(self) -> bool {
        !matches!(
            self,
            Fault::Forbidden
                | Fault::NotFound
                | Fault::Gone
                | Fault::Refused
                | Fault::Throttled
                | Fault::EmptyClose
        )
    }
}

/// A classified failure. Treat it by `fault`; show it with `Display`, which ends with the next step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}{}{}", if self.fault.next_step().is_empty() { "" } else { ": " }, self.fault.next_step())]
pub struct Error {
    /// Its class.
    pub fault: Fault,
    /// In words, cleaned; at most 600 bytes.
    pub what: String,
    /// The server asked to wait that long.
    pub retry_after: Option<Duration>,
}

/// Of this module.
pub type Result<T> = std::result::Result<T, Error>;

/// A credential plugin whose name the error does not tell.
const PLUGIN: &str = "the credential plugin of the kubeconfig";

/// Longest text of an error.
const MAX_WHAT: usize = 600;

impl Error {
    /// With cleaned text.
    pub fn new(fault: Fault, what: impl AsRef<str>) -> Self {
        let one_line = what.as_ref().replace(['\n', '\t'], " ");
        Self { fault, what: sanitize::clean_cut(&one_line, MAX_WHAT).into_owned(), retry_after: None }
    }

    /// No answer within a time.
    pub fn timed_out(doing: &str, after: Duration) -> Self {
        Self::new(Fault::TimedOut, format!("{doing}: no answer within {} s", after.as_secs()))
    }

    /// From an HTTP status and the message of the server's Status object.
    pub fn from_status(code: u16, reason: &str, message: &str) -> Self {
        let fault = match code {
            401 => Fault::Unauthorized,
            403 => Fault::Forbidden,
            404 => Fault::NotFound,
            410 => Fault::Gone,
            429 => Fault::Throttled,
            // After an etcd restore the server has not reached the version that we know.
            504 if message.contains("Too large resource version") => Fault::Gone,
            500..=599 => Fault::Server,
            400..=499 => Fault::Refused,
            _ => Fault::Nonsense,
        };
        let fault = if reason == "Expired" || reason == "Gone" { Fault::Gone } else { fault };
        let message = if message.is_empty() { reason } else { message };
        let failing = failing_checks(message);
        let message = failing.as_deref().unwrap_or(message);
        let colon = if message.is_empty() { "" } else { ": " };
        Self::new(fault, format!("the API server answered {code}{colon}{message}"))
    }

    /// From anything that the client throws.
    pub fn from_kube(error: &kube::Error) -> Self {
        match error {
            kube::Error::Auth(auth) => return plugin(auth),
            kube::Error::Api(status) => {
                return Self::from_status(status.code, &status.reason, &status.message);
            }
            _ => {}
        }
        Self::from_chain(error)
    }

    /// From a chain of causes.
    pub fn from_chain(error: &(dyn StdError + 'static)) -> Self {
        let mut text = error.to_string();
        let mut next: Option<&(dyn StdError + 'static)> = Some(error);
        // Chains are short; a bound keeps a cycle from hanging a stream.
        for _ in 0..16 {
            let Some(cause) = next else { break };
            if let Some(found) = known_cause(cause) {
                return found;
            }
            text = cause.to_string();
            // An io::Error hides what it wraps from `source` when it was made from another error.
            next = match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => cause.source(),
            };
        }
        Self::new(Fault::Broken, format!("the connection failed: {text}"))
    }
}

fn known_cause(cause: &(dyn StdError + 'static)) -> Option<Error> {
    if let Some(auth) = cause.downcast_ref::<kube::client::AuthError>() {
        return Some(plugin(auth));
    }
    if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
        return Some(tls_error(tls));
    }
    let text = cause.to_string();
    if text.starts_with("dns error") || text.contains("failed to lookup address") {
        return Some(Error::new(Fault::Name, format!("the server's name cannot be resolved ({text})")));
    }
    let io = cause.downcast_ref::<io::Error>()?;
    match io.kind() {
        io::ErrorKind::ConnectionRefused => {
            Some(Error::new(Fault::NotListening, "the connection was refused"))
        }
        io::ErrorKind::TimedOut => Some(Error::new(Fault::TimedOut, "the connection timed out")),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Some(Error::new(Fault::TimedOut, "the server's network cannot be reached"))
        }
        _ => None,
    }
}

fn tls_error(error: &rustls::Error) -> Error {
    use rustls::CertificateError as Cert;
    let (fault, what) = match error {
        rustls::Error::InvalidCertificate(Cert::UnknownIssuer | Cert::BadSignature) => {
            (Fault::Ca, "the server's certificate is signed by a CA that is not trusted".to_owned())
        }
        rustls::Error::InvalidCertificate(Cert::Expired | Cert::ExpiredContext { .. }) => {
            (Fault::Tls, "the server's certificate has expired".to_owned())
        }
        rustls::Error::InvalidCertificate(Cert::NotValidForName | Cert::NotValidForNameContext { .. }) => {
            (Fault::Tls, format!("the server's certificate is for another name ({error})"))
        }
        other => (Fault::Tls, format!("TLS failed: {other}")),
    };
    Error::new(fault, what)
}

/// Of the list of checks that a server answers while it starts (`[+]ping ok`, `[-]poststarthook/… failed: …`), what is
/// amiss; `None` where it is no such list.
fn failing_checks(message: &str) -> Option<String> {
    if !message.contains("[+]") {
        return None;
    }
    let failing: Vec<&str> = message
        .split("[-]")
        .skip(1)
        .map(|check| check.split(['\n', '[']).next().unwrap_or_default().trim())
        .collect();
    let words =
        if failing.is_empty() { "not all of its checks are through".to_owned() } else { failing.join("; ") };
    Some(format!("it is starting: {words}"))
}

/// A credential plugin's failure. Its standard output may hold a token and is not told.
fn plugin(error: &kube::client::AuthError) -> Error {
    use kube::client::AuthError;
    match error {
        AuthError::AuthExecStart(io) if io.kind() == io::ErrorKind::NotFound => {
            Error::new(Fault::Plugin, format!("{PLUGIN} is not installed"))
        }
        AuthError::AuthExecStart(io) => {
            Error::new(Fault::Plugin, format!("{PLUGIN} cannot be started: {io}"))
        }
        AuthError::AuthExecRun { cmd, out } => {
            let command = cmd.split_whitespace().next().unwrap_or_default().trim_matches('"');
            let stderr = String::from_utf8_lossy(&out.stderr);
            let last = stderr.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or_default();
            Error::new(
                Fault::Plugin,
                format!("the credential plugin {command} failed ({}): {}", out.status, cut_unknown(last)),
            )
        }
        AuthError::AuthExecParse(_) | AuthError::ExecPluginFailed | AuthError::AuthExec(_) => {
            Error::new(Fault::Plugin, format!("{PLUGIN} gave no usable credentials"))
        }
        AuthError::ReadTokenFile(io, path) => {
            Error::new(Fault::Unauthorized, format!("the token file {} cannot be read: {io}", path.display()))
        }
        AuthError::InvalidBearerToken(_) | AuthError::InvalidBasicAuth(_) => {
            Error::new(Fault::Unauthorized, "the token or password holds characters that no header may hold")
        }
        other => {
            // OIDC and OAuth: their texts name endpoints and HTTP errors, not tokens; only the outer text is told.
            Error::new(Fault::Unauthorized, format!("the credentials could not be renewed: {other}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_classified_by_code_and_reason() {
        for (code, reason, fault) in [
            (401, "Unauthorized", Fault::Unauthorized),
            (403, "Forbidden", Fault::Forbidden),
            (410, "Expired", Fault::Gone),
            (400, "Expired", Fault::Gone),
            (422, "Invalid", Fault::Refused),
            (429, "TooManyRequests", Fault::Throttled),
            (503, "", Fault::Server),
        ] {
            assert_eq!(Error::from_status(code, reason, "m").fault, fault, "{code}");
        }
    }

    #[test]
    fn of_a_servers_list_of_checks_what_is_amiss_is_told() {
        let list = "[+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok\n[-]poststarthook/rbac failed\n";
        for (message, told) in [
            (list.to_owned(), "500: it is starting: etcd failed: reason withheld; poststarthook/rbac failed"),
            (
                list.replace('\n', " "),
                "500: it is starting: etcd failed: reason withheld; poststarthook/rbac failed",
            ),
            ("[+]ping ok\n".to_owned(), "500: it is starting: not all of its checks are through"),
            ("etcd [-] is away".to_owned(), "500: etcd [-] is away"),
        ] {
            let error = Error::from_status(500, "", &message);
            assert_eq!(error.what, format!("the API server answered {told}"));
        }
    }

    #[test]
    fn the_text_is_cleaned_and_ends_with_the_next_step() {
        let error = Error::new(Fault::NotListening, "refused\u{1b}[31m\nby it");
        assert_eq!(
            error.to_string(),
            "refused[31m by it: is the API server running, and are address and port right?"
        );
    }

    #[test]
    fn an_answer_without_words_ends_with_its_status() {
        let what = Error::from_status(302, "", "").what;
        assert_eq!(what, "the API server answered 302");
    }

    #[test]
    fn an_io_error_is_found_at_the_end_of_the_chain() {
        let inner = io::Error::new(io::ErrorKind::ConnectionRefused, "os");
        let outer = io::Error::other(io::Error::other(inner));
        assert_eq!(Error::from_chain(&outer).fault, Fault::NotListening);
    }
}
