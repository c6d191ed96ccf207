//! Credential plugins of a kubeconfig (`exec`), run by us rather than by the client library: without our terminal, with
//! a time limit and bounds. Nobody sits before a process that watches, and a dashboard's keys are not a plugin's.

use std::{collections::HashMap, process::Stdio, time::Duration};

use jiff::Timestamp;
use kube::config::ExecConfig;
use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
};

use super::{
    error::{Error, Fault, Result},
    hidden::cut_unknown,
};

/// How long a plugin may take.
pub const WITHIN: Duration = Duration::from_secs(15);
/// Credentials are a few KiB.
const MAX_OUT: u64 = 1 << 20;
/// As much of what it complains of is read.
const MAX_ERR: u64 = 64 << 10;

/// What a plugin gave.
pub struct Credentials {
    pub token: Option<SecretString>,
    /// Certificate and key, PEM.
    pub identity: Option<(String, SecretString)>,
    /// When they end.
    pub expires_at: Option<Timestamp>,
}

/// Ends the plugin and whatever it has started.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It has ended by itself, mostly.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs the plugin.
///
/// # Errors
/// It cannot be started, fails, takes too long, says too much, or gives no credentials.
pub async fn run(exec: &ExecConfig, within: Duration) -> Result<Credentials> {
    let name = exec.command.as_deref().unwrap_or_default();
    let fault = |what: String| Error::new(Fault::Plugin, format!("the credential plugin {name} {what}"));
    let mut child = command(exec).spawn().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            let hint = exec.install_hint.as_deref().unwrap_or_default().trim();
            fault(format!("is not installed{}{hint}", if hint.is_empty() { "" } else { ": " }))
        }
        _ => fault(format!("cannot be started: {e}")),
    })?;
    let _group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    let ended = tokio::time::timeout(within, output(&mut child)).await.map_err(|_| {
        fault(format!(
            "gave no answer within {} s: it may wait for a log-in, so run `kubectl get --raw /readyz` once",
            within.as_secs()
        ))
    })?;
    let (out, err) = ended.map_err(|e| fault(format!("cannot be read: {e}")))?;
    if out.len() as u64 > MAX_OUT {
        return Err(fault(format!("printed more than {MAX_OUT} bytes")));
    }
    let status = child.wait().await.map_err(|e| fault(format!("cannot be waited for: {e}")))?;
    if !status.success() {
        let err = String::from_utf8_lossy(&err);
        let last = err.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it says nothing");
        return Err(fault(format!("failed ({status}): {}", cut_unknown(last))));
    }
    // What it printed may hold a token: it is not repeated.
    credentials(&out).ok_or_else(|| fault("gave no usable credentials".into()))
}

fn command(exec: &ExecConfig) -> Command {
    let mut command = Command::new(exec.command.as_deref().unwrap_or_default());
    command.args(exec.args.iter().flatten());
    let pair = |env: &HashMap<String, String>| Some((env.get("name")?.clone(), env.get("value")?.clone()));
    command.envs(exec.env.iter().flatten().filter_map(pair));
    let mut spec = json!({"interactive": false});
    if let (true, Some(cluster)) = (exec.provide_cluster_info, &exec.cluster) {
        spec["cluster"] = json!(cluster);
    }
    let info = json!({"apiVersion": exec.api_version, "kind": "ExecCredential", "spec": spec});
    command.env("KUBERNETES_EXEC_INFO", info.to_string());
    // A process group of its own: it is not in the foreground of our terminal, and ends as a whole.
    command.process_group(0).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Standard output and error, each up to its bound.
async fn output(child: &mut Child) -> std::io::Result<(Vec<u8>, Vec<u8>)> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    tokio::try_join!(read(out, MAX_OUT + 1, true), read(err, MAX_ERR, false))
}

async fn read(from: Option<impl AsyncRead + Unpin>, most: u64, stop: bool) -> std::io::Result<Vec<u8>> {
    let (Some(mut from), mut text) = (from, Vec::new()) else { return Ok(Vec::new()) };
    (&mut from).take(most).read_to_end(&mut text).await?;
    if stop && text.len() as u64 == most {
        // Nothing it gives is of use any more: whoever waits for the rest waits no longer.
        return Ok(text);
    }
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    Ok(text)
}

fn credentials(out: &[u8]) -> Option<Credentials> {
    #[derive(Deserialize)]
    struct CredentialIn {
        status: StatusIn,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct StatusIn {
        token: Option<String>,
        client_certificate_data: Option<String>,
        client_key_data: Option<String>,
        expiration_timestamp: Option<Timestamp>,
    }
    let status = serde_json::from_slice::<CredentialIn>(out).ok()?.status;
    let identity = status.client_certificate_data.zip(status.client_key_data.map(SecretString::from));
    let found = Credentials {
        token: status.token.map(SecretString::from),
        identity,
        expires_at: status.expiration_timestamp,
    };
    (found.token.is_some() || found.identity.is_some()).then_some(found)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    async fn sh(script: &str, within_ms: u64) -> Result<Credentials> {
        let exec = json!({
            "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script],
            "env": [{"name": "EXTRA", "value": "given"}], "interactiveMode": "Always",
        });
        let exec: ExecConfig = serde_json::from_value(exec).unwrap();
        run(&exec, Duration::from_millis(within_ms)).await
    }

    fn why(result: Result<Credentials>) -> String {
        result.map(|_| "credentials").unwrap_err().what
    }

    #[tokio::test]
    async fn a_plugin_has_no_terminal_and_its_words_go_nowhere() {
        // The token is what the plugin finds: nothing on its input, its variables, and what it is told of us.
        let script = r#"read -r line && exit 3; echo "hello \033[31m" >&2; i=$(echo "$KUBERNETES_EXEC_INFO" | grep -o '"interactive":false')
            [ -n "$i" ] && [ -t 2 ] || echo "{\"status\": {\"token\": \"t-$EXTRA\", \"expirationTimestamp\": \"2030-01-01T00:00:00Z\"}}""#;
        let given = sh(script, 20_000).await.map_err(|e| e.what).unwrap();
        assert_eq!(given.token.unwrap().expose_secret(), "t-given");
        assert_eq!(given.expires_at.unwrap().to_string(), "2030-01-01T00:00:00Z");
        let said =
            why(sh("printf 'first\\n\\033]52;c;aGk=\\007please log in\\n\\n' >&2; exit 4", 20_000).await);
        assert!(
            said.contains("the credential plugin sh failed") && said.ends_with("please log in"),
            "{said}"
        );
        assert!(!said.contains('\u{1b}') && !said.contains("first"), "{said}");
        let said = why(sh("echo '{\"status\": {}, \"token\": \"s3cret\"}'", 20_000).await);
        assert!(said.contains("gave no usable credentials") && !said.contains("s3cret"), "{said}");
    }

    #[tokio::test]
    async fn a_plugin_that_hangs_or_never_stops_talking_is_ended() {
        let started = std::time::Instant::now();
        let said = why(sh("sleep 100 & sleep 100", 300).await);
        assert!(said.contains("gave no answer within") && said.contains("log-in"), "{said}");
        let said = why(sh("cat /dev/zero", 20_000).await);
        assert!(said.contains("printed more than 1048576 bytes"), "{said}");
        assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    }
}
