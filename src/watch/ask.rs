//! Questions about one object, asked from other threads: its full JSON for a person, whether it still exists,
//! or what its container said last.

use std::{rc::Rc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Again, Shared,
    api::next_piece,
    cx::Cx,
    error::{Error, Fault, Result},
    resources::Resource,
};
use crate::{
    event::{ClusterUid, Kind, sanitize},
    object::{ObjectKey, Str},
};

/// Questions that wait to be taken; a person asks one at a time.
const QUESTIONS: usize = 64;
/// How many lines of a log are read, of at most so many bytes, and how long its next piece may take.
const LINES: usize = 20;
const MAX_LOG: usize = 16 << 10;
const LOG_WAIT: Duration = Duration::from_secs(5);
/// What stands in place of a value.
const MASK: &str = "••••••";
/// Longest text that is shown of one string of a manifest.
const MAX_TEXT: usize = 64 << 10;

/// Asks the thread of the watches. Cloning shares.
#[derive(Debug, Clone)]
pub struct Handle(mpsc::Sender<Question>, watch::Sender<()>);

/// The other end, for `Links`.
#[derive(Debug)]
pub struct Questions(mpsc::Receiver<Question>, Again);

#[derive(Debug)]
struct Question {
    cluster: ClusterUid,
    key: ObjectKey,
    /// Not the object, but what its container said last: the query of its log.
    log: Option<String>,
    reply: oneshot::Sender<Result<Value>>,
}

/// A pair of ends.
pub fn handle() -> (Handle, Questions) {
    let (sender, receiver) = mpsc::channel(QUESTIONS);
    let (again, look) = watch::channel(());
    (Handle(sender, again), Questions(receiver, look))
}

impl Handle {
    /// Has kubeconfig and credentials of the clusters read again: one that is away is tried at once, one that is to be
    /// found elsewhere is followed there, and nothing else is disturbed.
    pub fn look_again(&self) {
        self.1.send_replace(());
    }

    /// One object as it is now, for a person: values of Secrets and ConfigMaps masked, managedFields and annotations
    /// that repeat an object left out, all text cleaned. One GET.
    ///
    /// # Errors
    /// Whatever the API server answers; a key that names no single object (keys come from clusters too: a Kubernetes
    /// Event may be about a Secret without a name, whose path is the list of them all); also where the cluster is not
    /// watched.
    pub async fn manifest(&self, cluster: &ClusterUid, key: &ObjectKey) -> Result<Value> {
        let one = |part: &str| !part.is_empty() && !part.contains(['/', '\\', '%', '?', '#']) && part != "..";
        if !one(&key.name) || key.name == "." || (key.kind.namespaced() && !one(&key.namespace)) {
            return Err(Error::new(Fault::NotFound, format!("{key:?} names no object that could be read")));
        }
        let mut json = self.fetch(cluster, key).await?;
        if !is_of(key, &json) {
            return Err(Error::new(
                Fault::Nonsense,
                "the API server answered with something else than the object",
            ));
        }
        mask(key.kind, &mut json);
        Ok(json)
    }

    /// Whether an object still exists under this uid. For objects that a list under a selector no longer has: they
    /// may have left the selector.
    ///
    /// # Errors
    /// Whatever the API server answers but 404.
    pub async fn exists(&self, cluster: &ClusterUid, key: &ObjectKey, uid: &Str) -> Result<bool> {
        match self.fetch(cluster, key).await {
            Ok(json) => Ok(json.pointer("/metadata/uid").and_then(Value::as_str) == Some(uid.as_str())),
            Err(error) if error.fault == Fault::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The last lines that a container wrote; `previous`: the one before it was restarted. One GET of `pods/log`.
    ///
    /// # Errors
    /// Whatever the API server answers; names that are none; also where the cluster is not watched.
    pub async fn last_lines(
        &self,
        cluster: &ClusterUid,
        (namespace, pod): (&str, &str),
        container: Option<&str>,
        previous: bool,
    ) -> Result<String> {
        let plain = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
        };
        if ![Some(namespace), Some(pod), container].into_iter().flatten().all(plain) {
            return Err(Error::new(Fault::NotFound, "the event names no pod whose log could be read"));
        }
        let of = container.map(|c| format!("&container={c}")).unwrap_or_default();
        let log = format!("tailLines={LINES}&limitBytes={MAX_LOG}&previous={previous}{of}");
        let key = ObjectKey::new(Kind::Pod, namespace, pod);
        let text = self.ask(cluster, &key, Some(log)).await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    async fn fetch(&self, cluster: &ClusterUid, key: &ObjectKey) -> Result<Value> {
        self.ask(cluster, key, None).await
    }

    async fn ask(&self, cluster: &ClusterUid, key: &ObjectKey, log: Option<String>) -> Result<Value> {
        let (reply, answer) = oneshot::channel();
        let question = Question { cluster: cluster.clone(), key: key.clone(), log, reply };
        let gone = || Error::new(Fault::Broken, "nothing is being watched");
        self.0.send(question).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Questions {
    pub(super) fn again(&self) -> Again {
        self.1.clone()
    }

    /// Answers questions, none of which waits for another, until nobody can ask any more; then waits for ever.
    pub(super) async fn answer(mut self, shared: Rc<Shared>) {
        let mut asked = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(question) = self.0.recv(), if asked.len() < QUESTIONS => asked.push(one(&shared, question)),
                Some(()) = asked.next() => {}
                else => break,
            }
        }
        std::future::pending::<()>().await;
    }
}

async fn one(shared: &Shared, question: Question) {
    let cx = shared.live.borrow().get(&question.cluster).cloned();
    let answer = match cx {
        Some(cx) => match &question.log {
            Some(query) => last_lines(&cx, &question.key, query).await,
            None => get(&cx, &question.key).await,
        },
        None => Err(Error::new(Fault::Broken, "the cluster was not reached yet")),
    };
    // Whoever asked may have gone.
    let _ = question.reply.send(answer);
}

async fn last_lines(cx: &Cx, pod: &ObjectKey, query: &str) -> Result<Value> {
    let path = format!("/api/v1/namespaces/{}/pods/{}/log?{query}", pod.namespace, pod.name);
    let mut body = cx.api.open(&path).await?;
    let mut text = Vec::new();
    // The server was asked for no more; one that does not know the limit is left after it.
    while text.len() < MAX_LOG
        && let Some(piece) = next_piece(&mut body, &path, LOG_WAIT).await?
    {
        text.extend_from_slice(&piece);
    }
    Ok(String::from_utf8_lossy(&text).into_owned().into())
}

async fn get(cx: &Cx, key: &ObjectKey) -> Result<Value> {
    let known = cx.resources.borrow().get(&key.kind).copied();
    let resource = known.unwrap_or_else(|| Resource::newest(key.kind));
    let json = cx.api.get(&resource.object_path(&key.namespace, &key.name)).await?;
    serde_json::from_slice(&json)
        .map_err(|e| Error::new(Fault::Nonsense, format!("{key} cannot be read: {e}")))
}

/// Whether an answer is the object that was asked for, and not a list, a Status or another one.
fn is_of(key: &ObjectKey, json: &Value) -> bool {
    let text = |path: &str| json.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let place = if key.kind.namespaced() { key.namespace.as_str() } else { "" };
    // Endpoints stand in for EndpointSlices on old servers.
    let kind = text("/kind");
    let of_kind = kind == key.kind.as_str() || (key.kind == Kind::EndpointSlice && kind == "Endpoints");
    of_kind && text("/metadata/name") == key.name.as_str() && text("/metadata/namespace") == place
}

/// Makes a manifest fit to be shown.
fn mask(kind: Kind, json: &mut Value) {
    if matches!(kind, Kind::Secret | Kind::ConfigMap) {
        mask_values(json);
    }
    strip(json);
    clean(json);
}

/// The values of every `data` there is, however deep: only their keys may be shown.
fn mask_values(json: &mut Value) {
    match json {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                match (name.as_str(), &mut *value) {
                    ("data" | "binaryData" | "stringData", Value::Object(values)) => {
                        values.values_mut().for_each(|v| *v = MASK.into());
                    }
                    ("data" | "binaryData" | "stringData", other) => *other = MASK.into(),
                    (_, inner) => mask_values(inner),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask_values),
        _ => {}
    }
}

/// Takes out, wherever there is metadata, who wrote which field, and annotations that repeat a whole object.
fn strip(json: &mut Value) {
    match json {
        Value::Object(fields) => {
            if let Some(meta) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
                meta.remove("managedFields");
                if let Some(annotations) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
                    annotations.retain(|name, value| !repeats_object(name, value));
                }
            }
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// Appliers keep what they applied in an annotation, values of Secrets included: kubectl, kapp, banzaicloud and others.
fn repeats_object(name: &str, value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    let object = text.trim_start().starts_with('{')
        && ["\"kind\"", "\"data\"", "\"stringData\"", "\"binaryData\""].iter().any(|key| text.contains(key));
    object || name.contains("last-applied") || name.ends_with("/original") || name.ends_with("/applied")
}

fn clean(json: &mut Value) {
    match json {
        Value::String(text) => {
            if let std::borrow::Cow::Owned(cleaned) = sanitize::clean_cut(text, MAX_TEXT) {
                *text = cleaned;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(clean),
        Value::Object(fields) => {
            let dirty: Vec<String> = fields.keys().filter(|k| *sanitize::clean(k) != ***k).cloned().collect();
            for key in dirty {
                if let Some(value) = fields.remove(&key) {
                    fields.insert(sanitize::clean(&key).into_owned(), value);
                }
            }
            fields.values_mut().for_each(clean);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_shows_no_value_and_no_escape_sequence() {
        let mut json = serde_json::json!({
            "metadata": {
                "name": "db",
                "managedFields": [{"manager": "kubectl"}],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hunter2", "a": "b\u{1b}[31m"},
            },
            "data": {"password": "aHVudGVyMg=="},
            "stringData": {"more": "hunter2"},
        });
        mask(Kind::Secret, &mut json);
        let text = json.to_string();
        assert!(!text.contains("hunter2") && !text.contains("aHVudGVyMg") && !text.contains("managedFields"));
        assert!(text.contains("password") && text.contains("b[31m"), "{text}");
    }

    #[test]
    fn a_list_and_what_other_appliers_keep_show_no_value_either() {
        let secret = serde_json::json!({
            "metadata": {"name": "db", "managedFields": [], "annotations": {
                "kapp.k14s.io/original": "{\"data\":{\"password\":\"hunter2\"}}",
                "example.com/backup": " {\"kind\":\"Secret\",\"stringData\":{\"p\":\"hunter2\"}}",
                "banzaicloud.com/last-applied": "hunter2", "kept": "yes"}},
            "data": {"password": "hunter2"}, "binaryData": "hunter2",
        });
        let mut list = serde_json::json!({"kind": "SecretList", "items": [secret]});
        mask(Kind::Secret, &mut list);
        let text = list.to_string();
        assert!(!text.contains("hunter2") && !text.contains("managedFields"), "{text}");
        assert!(text.contains("password") && text.contains("kept"), "{text}");
    }

    #[test]
    fn only_the_very_object_that_was_asked_for_is_one() {
        let key = ObjectKey::new(Kind::Secret, "shop", "db");
        let json = |kind: &str, name: &str, ns: &str| serde_json::json!({"kind": kind, "metadata": {"name": name, "namespace": ns}});
        assert!(is_of(&key, &json("Secret", "db", "shop")));
        for other in
            [json("SecretList", "db", "shop"), json("Secret", "x", "shop"), json("Secret", "db", "x")]
        {
            assert!(!is_of(&key, &other), "{other}");
        }
        let node = ObjectKey::new(Kind::Node, "", "n");
        assert!(is_of(&node, &serde_json::json!({"kind": "Node", "metadata": {"name": "n"}})));
    }

    #[tokio::test]
    async fn a_key_without_a_name_is_refused_before_anybody_is_asked() {
        let (handle, _questions) = handle();
        for (kind, namespace, name) in [
            (Kind::Secret, "shop", ""),
            (Kind::Secret, "", "db"),
            (Kind::Secret, "shop", ".."),
            (Kind::Secret, "shop", "a/b"),
            (Kind::Node, "", ""),
        ] {
            let key = ObjectKey::new(kind, namespace, name);
            let asked = handle.manifest(&ClusterUid("c".into()), &key).await;
            assert!(asked.is_err_and(|e| e.to_string().contains("names no object")), "{key:?}");
        }
    }
}
