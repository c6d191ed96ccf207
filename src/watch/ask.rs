//! Questions about one object, asked from other threads: its full JSON for a person, or whether it still exists.

use std::rc::Rc;

use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

use super::{
    Shared,
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
struct Question {
    cluster: ClusterUid,
    key: ObjectKey,
    reply: oneshot::Sender<Result<Value>>,
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
        let question = Question { cluster: cluster.clone(), key: key.clone(), reply };
        let gone = || Error::new(Fault::Broken, "nothing is being watched");
        self.0.send(question).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Questions {
    /// Answers questions, one after the other, until nobody can ask any more; then waits for ever.
    pub(super) async fn answer(mut self, shared: Rc<Shared>) {
        while let Some(question) = self.0.recv().await {
            let cx = shared.live.borrow().get(&question.cluster).cloned();
            let answer = match cx {
                Some(cx) => get(&cx, &question.key).await,
                None => Err(Error::new(Fault::Broken, "the cluster was not reached yet")),
            };
            let _ = question.reply.send(answer);
        }
        std::future::pending::<()>().await;
    }
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
