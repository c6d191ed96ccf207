//! Questions about one object, asked from other threads: its full JSON for a person, whether it still exists, or what
//! its container said last.

use std::{rc::Rc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

use super::{
    Shared,
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
/// Questions that are answered at once.
const AT_ONCE: usize = 16;
/// How many lines of a log are read, of at most so many bytes, and how long its next piece may take.
const LINES: usize = 20;
const MAX_LINES: usize = 16 << 10;
const LINES_WAIT: Duration = Duration::from_secs(5);
/// What stands in place of a value.
const MASK: &str = "••••••";
/// Longest text that is shown of one string of a manifest.
const MAX_TEXT: usize = 64 << 10;

/// Asks the thread of the watches. Cloning shares.
#[derive(Debug, Clone)]
pub struct Handle(mpsc::Sender<Question>);

/// The other end, for `Links`.
#[derive(Debug)]
pub struct Questions(mpsc::Receiver<Question>);

#[derive(Debug)]
enum Question {
    Object { cluster: ClusterUid, key: ObjectKey, reply: oneshot::Sender<Result<Value>> },
    Lines { cluster: ClusterUid, path: String, reply: oneshot::Sender<Result<String>> },
}

/// A pair of ends.
pub fn handle() -> (Handle, Questions) {
    let (sender, receiver) = mpsc::channel(QUESTIONS);
    (Handle(sender), Questions(receiver))
}

impl Handle {
    /// One object as it is now, for a person: values of Secrets and ConfigMaps masked, managedFields and
    /// last-applied-configuration left out, all text cleaned. One GET.
    ///
    /// # Errors
    /// Whatever the API server answers; also where the cluster is not watched.
    pub async fn manifest(&self, cluster: &ClusterUid, key: &ObjectKey) -> Result<Value> {
        let mut json = self.fetch(cluster, key).await?;
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

    async fn fetch(&self, cluster: &ClusterUid, key: &ObjectKey) -> Result<Value> {
        let (reply, answer) = oneshot::channel();
        self.ask(Question::Object { cluster: cluster.clone(), key: key.clone(), reply }, answer).await
    }

    /// The last lines that a container wrote; `previous`: the one before it was restarted. One GET of `pods/log`.
    ///
    /// # Errors
    /// Whatever the API server answers; also where the cluster is not watched.
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
            return Err(Error::new(Fault::Nonsense, "no such pod: its name is none"));
        }
        let of = container.map(|c| format!("&container={c}")).unwrap_or_default();
        let path = format!(
            "/api/v1/namespaces/{namespace}/pods/{pod}/log?tailLines={LINES}&limitBytes={MAX_LINES}&previous={previous}{of}"
        );
        let (reply, answer) = oneshot::channel();
        self.ask(Question::Lines { cluster: cluster.clone(), path, reply }, answer).await
    }

    async fn ask<T>(&self, question: Question, answer: oneshot::Receiver<Result<T>>) -> Result<T> {
        let gone = || Error::new(Fault::Broken, "nothing is being watched");
        self.0.send(question).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Questions {
    /// Answers questions, several at once, until nobody can ask any more; then waits for ever.
    pub(super) async fn answer(mut self, shared: Rc<Shared>) {
        let mut open = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(()) = open.next(), if !open.is_empty() => {}
                question = self.0.recv(), if open.len() < AT_ONCE => match question {
                    Some(question) => open.push(answer(Rc::clone(&shared), question)),
                    None => break,
                },
            }
        }
        while open.next().await.is_some() {}
        std::future::pending::<()>().await;
    }
}

async fn answer(shared: Rc<Shared>, question: Question) {
    let cluster = |uid: &ClusterUid| {
        let cx = shared.live.borrow().get(uid).cloned();
        cx.ok_or_else(|| Error::new(Fault::Broken, "the cluster was not reached yet"))
    };
    // Whoever asked may have gone.
    match question {
        Question::Object { cluster: uid, key, reply } => {
            let answer = match cluster(&uid) {
                Ok(cx) => get(&cx, &key).await,
                Err(error) => Err(error),
            };
            let _ = reply.send(answer);
        }
        Question::Lines { cluster: uid, path, reply } => {
            let answer = match cluster(&uid) {
                Ok(cx) => lines(&cx, &path).await,
                Err(error) => Err(error),
            };
            let _ = reply.send(answer);
        }
    }
}

async fn lines(cx: &Cx, path: &str) -> Result<String> {
    let mut body = cx.api.open(path).await?;
    let mut text = Vec::new();
    // The server was asked for no more; one that does not know the limit is left after it.
    while text.len() < MAX_LINES
        && let Some(piece) = next_piece(&mut body, path, LINES_WAIT).await?
    {
        text.extend_from_slice(&piece);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

async fn get(cx: &Cx, key: &ObjectKey) -> Result<Value> {
    let known = cx.resources.borrow().get(&key.kind).copied();
    let resource = known.unwrap_or_else(|| Resource::newest(key.kind));
    let json = cx.api.get(&resource.object_path(&key.namespace, &key.name)).await?;
    serde_json::from_slice(&json)
        .map_err(|e| Error::new(Fault::Nonsense, format!("{key} cannot be read: {e}")))
}

/// Makes a manifest fit to be shown.
fn mask(kind: Kind, json: &mut Value) {
    if let Some(meta) = json.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.remove("managedFields");
        if let Some(annotations) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    if matches!(kind, Kind::Secret | Kind::ConfigMap) {
        for part in ["data", "binaryData", "stringData"] {
            for value in
                json.get_mut(part).and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut)
            {
                *value = MASK.into();
            }
        }
    }
    clean(json);
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
}
