//! Which clusters, and a client for each: kubeconfig contexts or the pod's service account.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use secrecy::ExposeSecret as _;

use super::{
    error::{Error, Fault, Result},
    hidden::{self, Hidden},
    plugin,
};
use crate::config::ClusterSettings;

/// One cluster to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name in payloads and on screen.
    pub name: String,
    /// The kubeconfig context; empty in a cluster, or where the kubeconfig could not be read.
    pub context: String,
}

/// A way to a cluster.
pub struct Access {
    /// Sends requests.
    pub client: Client,
    /// The API server's URL.
    pub server: String,
    /// The CA certificates, concatenated, for the fallback of the cluster's uid.
    pub ca: Vec<u8>,
    /// When token or client certificate end, as far as that can be read from them.
    pub expires_at: Option<Timestamp>,
    /// They were made by a plugin, which nobody but us runs again.
    pub of_plugin: bool,
    /// What must not come back in the server's words.
    pub hidden: Hidden,
    /// Where it leads.
    pub place: Place,
}

/// Which server is asked, and how it is known to be the one: all of an access but the credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    url: String,
    ca: Option<Vec<Vec<u8>>>,
    server_name: Option<String>,
    unverified: bool,
    proxy: Option<String>,
}

impl Place {
    fn of(config: &Config) -> Self {
        Self {
            url: config.cluster_url.to_string(),
            ca: config.root_cert.clone(),
            server_name: config.tls_server_name.clone(),
            unverified: config.accept_invalid_certs,
            proxy: config.proxy_url.as_ref().map(ToString::to_string),
        }
    }
}

/// Where a target leads by what the files say now. Runs no plugin: it may be asked often.
pub async fn place(settings: &ClusterSettings, target: &Target) -> Result<Place> {
    config(settings, target).await.map(|config| Place::of(&config))
}

/// The configured clusters. Reads the kubeconfig only where the name of its current context is needed.
pub fn targets(settings: &ClusterSettings) -> Vec<Target> {
    targets_of(settings, std::env::var_os("KUBERNETES_SERVICE_HOST").is_some())
}

fn targets_of(settings: &ClusterSettings, in_pod: bool) -> Vec<Target> {
    // Without a context it is the cluster around us, if there is one: else a kubeconfig that cannot be read.
    let inside = settings.in_cluster.unwrap_or(in_pod);
    let name = |context: &str, several: bool| match (&settings.name, several) {
        (Some(name), false) => name.clone(),
        (Some(name), true) => format!("{name}/{context}"),
        (None, _) if context.is_empty() && !inside => "kubeconfig".to_owned(),
        (None, _) if context.is_empty() => "in-cluster".to_owned(),
        (None, _) => context.to_owned(),
    };
    if settings.in_cluster == Some(true) {
        return vec![Target { name: name("", false), context: String::new() }];
    }
    let several = settings.contexts.len() > 1;
    if settings.contexts.is_empty() {
        let current = read_kubeconfig(&settings.kubeconfig).ok().and_then(|k| k.current_context);
        let context = current.unwrap_or_default();
        return vec![Target { name: name(&context, false), context }];
    }
    let each = settings.contexts.iter();
    each.map(|context| Target { name: name(context, several), context: context.clone() }).collect()
}

/// Makes the client of a target. Reads files and may run a credential plugin, each time anew, so that renewed
/// credentials are found.
pub async fn connect(settings: &ClusterSettings, target: &Target) -> Result<Access> {
    let mut config = config(settings, target).await?;
    // Retries are ours: kube's would hide 429 and 503, and with them Retry-After, from the streams.
    config.default_retry = false;
    let server = hidden::address(&config.cluster_url);
    let ca = config.root_cert.clone().unwrap_or_default().concat();
    let place = Place::of(&config);
    let expires_at = credentials_end(&config);
    let given = ask_plugin(&mut config).await?;
    let hidden = hidden_in(&config);
    // Building may run a legacy provider's command, which may take seconds: not on the thread of the streams.
    let built =
        tokio::time::timeout(plugin::WITHIN, tokio::task::spawn_blocking(move || Client::try_from(config)));
    let client = built
        .await
        .map_err(|_| Error::timed_out("the credentials", plugin::WITHIN))?
        .map_err(|e| Error::new(Fault::Plugin, format!("the client could not be made: {e}")))?
        .map_err(|e| Error::from_kube(&e))?;
    let of_plugin = given.is_some();
    let expires_at = given.flatten().or_else(|| *client.valid_until()).or(expires_at);
    Ok(Access { client, server, ca, expires_at, of_plugin, hidden, place })
}

/// The server's address, where the configuration names one: no plugin runs for it, and nothing is asked.
pub async fn address(settings: &ClusterSettings, target: &Target) -> Option<String> {
    let config = config(settings, target).await.ok()?;
    Some(hidden::address(&config.cluster_url))
}

/// Has a credential plugin run, and puts what it gives in its place; `None` where there is none, else their end.
async fn ask_plugin(config: &mut Config) -> Result<Option<Option<Timestamp>>> {
    use base64::Engine as _;
    // What stands in the kubeconfig itself goes first, as with kubectl.
    let fixed = config.auth_info.token.is_some() || config.auth_info.token_file.is_some();
    let Some(exec) = config.auth_info.exec.take().filter(|_| !fixed) else { return Ok(None) };
    let given = plugin::run(&exec, plugin::WITHIN).await?;
    if let Some((certificate, key)) = given.identity {
        let encode = |pem: &str| base64::engine::general_purpose::STANDARD.encode(pem);
        config.auth_info.client_certificate_data = Some(encode(&certificate));
        config.auth_info.client_key_data = Some(encode(key.expose_secret()).into());
    }
    config.auth_info.token = given.token;
    Ok(Some(given.expires_at))
}

fn hidden_in(config: &Config) -> Hidden {
    let (auth, mut hidden) = (&config.auth_info, Hidden::default());
    let in_file = auth.token_file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    for token in [auth.token.as_ref().map(|t| t.expose_secret().to_owned()), in_file].into_iter().flatten() {
        hidden.add(&token);
    }
    if let (Some(user), Some(password)) = (&auth.username, &auth.password) {
        hidden.add_basic(user, password.expose_secret());
    }
    hidden
}

/// What is wrong with the way to the clusters that waiting does not mend: contexts that a kubeconfig which can be read
/// does not have, a pod's account where there is no pod. A kubeconfig that is not there may come.
pub fn hopeless(settings: &ClusterSettings) -> Vec<String> {
    if settings.in_cluster == Some(true) {
        // The kubelet sets it for every container, before it starts.
        let inside = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        let text = "IN_CLUSTER is true, but this is no pod: KUBERNETES_SERVICE_HOST is not set; leave IN_CLUSTER unset to \
                    use a kubeconfig";
        return if inside { Vec::new() } else { vec![text.to_owned()] };
    }
    if settings.contexts.is_empty() {
        return Vec::new();
    }
    let Ok(kubeconfig) = read_kubeconfig(&settings.kubeconfig) else { return Vec::new() };
    let known: Vec<String> = kubeconfig.contexts.iter().map(|c| c.name.clone()).collect();
    if known.is_empty() {
        return Vec::new();
    }
    let unknown = settings.contexts.iter().filter(|name| !known.contains(name));
    unknown.map(|name| no_such_context(name, &known)).collect()
}

fn no_such_context(name: &str, known: &[String]) -> String {
    let near = nearest(name, known);
    format!("the context {name} is not in the kubeconfig{near}; it has {}", listed(known))
}

async fn config(settings: &ClusterSettings, target: &Target) -> Result<Config> {
    if settings.in_cluster == Some(true) {
        return in_cluster();
    }
    match from_kubeconfig(settings, target).await {
        Ok(config) => Ok(config),
        Err(error) if settings.in_cluster == Some(false) || !target.context.is_empty() => Err(error),
        Err(error) => in_cluster().map_err(|_| error),
    }
}

fn in_cluster() -> Result<Config> {
    Config::incluster().map_err(|e| Error::new(Fault::InCluster, format!("no access from within a pod: {e}")))
}

async fn from_kubeconfig(settings: &ClusterSettings, target: &Target) -> Result<Config> {
    let kubeconfig = read_kubeconfig(&settings.kubeconfig)?;
    let known: Vec<String> = kubeconfig.contexts.iter().map(|c| c.name.clone()).collect();
    let context = (!target.context.is_empty()).then(|| target.context.clone());
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|e| match e {
        KubeconfigError::CurrentContextNotSet => Error::new(
            Fault::Context,
            format!("the kubeconfig has no current context; it has {}", listed(&known)),
        ),
        KubeconfigError::LoadContext(name) => Error::new(Fault::Context, no_such_context(&name, &known)),
        KubeconfigError::LoadClusterOfContext(name) => Error::new(
            Fault::Context,
            format!("the kubeconfig has no cluster {name}, which the context names"),
        ),
        KubeconfigError::LoadCertificateAuthority(_) | KubeconfigError::ParseCertificates(_) => {
            Error::new(Fault::Ca, e.to_string())
        }
        KubeconfigError::LoadClientCertificate(_) | KubeconfigError::LoadClientKey(_) => {
            Error::new(Fault::Unauthorized, e.to_string())
        }
        other => Error::new(Fault::Kubeconfig, other.to_string()),
    })
}

fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    match names.len() {
        0 => "none".to_owned(),
        n if n > SHOWN => format!(
            "{} and {} more",
            names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", "),
            n - SHOWN
        ),
        _ => names.join(", "),
    }
}

fn nearest(name: &str, known: &[String]) -> String {
    let near = known.iter().min_by_key(|k| strsim::damerau_levenshtein(k, name));
    let near = near.filter(|k| strsim::damerau_levenshtein(k, name) <= name.len().div_ceil(3));
    near.map(|k| format!(" (did you mean {k}?)")).unwrap_or_default()
}

/// The merged kubeconfig. Of several paths those that do not exist are skipped, as kubectl does.
fn read_kubeconfig(paths: &[PathBuf]) -> Result<Kubeconfig> {
    let default;
    let paths = if paths.is_empty() {
        let home = std::env::home_dir().ok_or_else(|| {
            Error::new(Fault::Kubeconfig, "there is no home directory to look for .kube/config in")
        })?;
        default = [home.join(".kube").join("config")];
        &default[..]
    } else {
        paths
    };
    let mut merged = Kubeconfig::default();
    for path in paths {
        if paths.len() > 1 && !path.exists() {
            continue;
        }
        let read = Kubeconfig::read_from(path).and_then(|next| merged.clone().merge(next));
        merged = read.map_err(|e| match e {
            KubeconfigError::ReadConfig(io, path) => Error::new(
                Fault::Kubeconfig,
                format!("the kubeconfig {} cannot be read: {io}", path.display()),
            ),
            // The parser's text quotes lines of the file, and those may hold a token: only the place is told.
            KubeconfigError::Parse(_) => {
                Error::new(Fault::Kubeconfig, format!("the kubeconfig {} is not valid YAML", path.display()))
            }
            other => Error::new(Fault::Kubeconfig, format!("the kubeconfig {}: {other}", path.display())),
        })?;
    }
    Ok(merged)
}

/// When the credentials end, where they say so themselves: a JWT's `exp`, a client certificate's notAfter.
fn credentials_end(config: &Config) -> Option<Timestamp> {
    let auth = &config.auth_info;
    let token = match (&auth.token, &auth.token_file) {
        (Some(token), _) => Some(token.expose_secret().to_owned()),
        (None, Some(file)) => std::fs::read_to_string(file).ok(),
        (None, None) => None,
    };
    if let Some(token) = token {
        return jwt_end(&token);
    }
    let pem = match (&auth.client_certificate_data, &auth.client_certificate) {
        (Some(data), _) => decode_base64(data)?,
        (None, Some(file)) => std::fs::read(file).ok()?,
        (None, None) => return None,
    };
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).ok()?;
    let x509 = pem.parse_x509().ok()?;
    Timestamp::from_second(x509.validity().not_after.timestamp()).ok()
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text.trim()).ok()
}

fn jwt_end(token: &str) -> Option<Timestamp> {
    use base64::Engine as _;
    #[derive(serde::Deserialize)]
    struct Claims {
        exp: i64,
    }
    let claims = token.trim().split('.').nth(1)?;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    Timestamp::from_second(claims.exp).ok()
}

/// Says of a 401 that the credentials are past their end, where that is known.
pub fn explain(error: Error, access: &Access, now: Timestamp) -> Error {
    match access.expires_at {
        Some(end) if error.fault == Fault::Unauthorized && end <= now => {
            let ago = now.duration_since(end);
            Error::new(Fault::Expired, format!("the credentials expired at {end} ({} ago)", rough(ago)))
        }
        _ => error,
    }
}

/// In one unit, the largest that fits: `3 years`, `1 day`, `40 seconds`.
fn rough(time: SignedDuration) -> String {
    const UNITS: [(i64, &str); 5] =
        [(31_557_600, "year"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let secs = time.as_secs().max(1);
    let (size, unit) = UNITS.into_iter().find(|(size, _)| secs >= *size).unwrap_or((1, "second"));
    let n = secs / size;
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_past_are_told_in_one_unit() {
        for (secs, text) in [
            (26_483 * 3_600, "3 years"),
            (86_400, "1 day"),
            (7_300, "2 hours"),
            (61, "1 minute"),
            (0, "1 second"),
        ] {
            assert_eq!(rough(SignedDuration::from_secs(secs)), text);
        }
    }

    #[test]
    fn a_kubeconfig_that_cannot_be_read_is_not_the_cluster_around_us() {
        let named = |in_cluster, in_pod| {
            let kubeconfig = vec![PathBuf::from("/nowhere/config")];
            let settings = ClusterSettings { kubeconfig, in_cluster, ..ClusterSettings::default() };
            targets_of(&settings, in_pod).remove(0).name
        };
        assert_eq!(named(None, false), "kubeconfig");
        assert_eq!(named(Some(false), true), "kubeconfig");
        assert_eq!(named(None, true), "in-cluster");
        assert_eq!(named(Some(true), false), "in-cluster");
    }
}
