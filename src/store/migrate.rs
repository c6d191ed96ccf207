//! From older schemas to the newest, a step per version, in the transaction that opens the file.

use super::{
    FoldRow,
    error::Result,
    keys,
    schema::{EVENTS, FOLDS, KUBE_EVENTS, META, OBJECTS},
    tx::{Read, Tx},
};
use crate::{
    event::{ClusterUid, Kind},
    object::Object,
};

/// Brings a file of version `from` (0 = new) to the newest schema.
pub(super) fn migrate(tx: &Tx<'_>, from: u32) -> Result<()> {
    if from == 0 {
        // Both are random: the first tells stores apart, the second keys the hashes of Secret values.
        tx.put(&META, "store_id", &hex::encode(rand::random::<[u8; 16]>()).into())?;
        tx.put(&META, "hash_key", &hex::encode(rand::random::<[u8; 32]>()).into())?;
    }
    if from == 1 {
        by_time(tx)?;
    }
    Ok(())
}

/// To version 2: Kubernetes Events by the time of their creation, folds beside the events that they count.
fn by_time(tx: &Tx<'_>) -> Result<()> {
    let mut moved = Vec::new();
    tx.scan(&OBJECTS, "", "", &mut |key, object: Object| {
        if object.kind == Kind::Event {
            moved.push((key.to_owned(), object));
        }
        true
    })?;
    for (key, object) in moved {
        let cluster = ClusterUid(keys::parts(&key).next().unwrap_or_default().to_owned());
        tx.remove(&OBJECTS, &key)?;
        tx.put(&KUBE_EVENTS, &keys::kube_event(&cluster, &object), &object)?;
    }
    for (_, row) in tx.take_former::<FoldRow>("folds")? {
        if let Some(event) = tx.entry(&EVENTS, row.seq)? {
            tx.put(&FOLDS, &keys::fold_of(&event), &row)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::sample, *};
    use crate::store::{Store, schema::keyed, sizes, verify};

    #[test]
    fn a_file_of_version_1_is_brought_up() {
        let dir = tempfile::tempdir().unwrap();
        let event = sample::event(1, 100);
        let object: Object = serde_json::from_value(serde_json::json!({
            "kind": "Event", "body": {"Event": {
                "warning": true, "reason": "BackOff", "message": "", "involved_kind": "Pod", "involved_namespace": "shop",
                "involved_name": "p", "involved_uid": "", "field_path": "", "component": "", "host": "", "count": 1,
                "first": null, "last": null,
            }},
            "meta": {"namespace": "shop", "name": "e.1", "uid": "u", "version": "7", "created_at": sample::at(90)},
        }))
        .unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (an_event, an_object) = (event.clone(), object.clone());
        let seq = store
            .write_blocking(move |tx| {
                tx.put(&OBJECTS, &keys::object(&"c1".into(), &an_object.key()), &an_object)?;
                tx.put(&META, "schema", &1.into())?;
                sample::put_event(tx, &an_event)
            })
            .unwrap();
        store.close();
        // What this version does not have any more.
        let file = redb::Database::open(dir.path().join("barrelman.redb")).unwrap();
        let txn = file.begin_write().unwrap();
        let fold = FoldRow { seq, first: event.timestamp, counted: 3 };
        {
            let mut folds = txn.open_table(redb::TableDefinition::<&str, &[u8]>::new("folds")).unwrap();
            folds.insert("f1", serde_json::to_vec(&fold).unwrap().as_slice()).unwrap();
        }
        txn.commit().unwrap();
        drop(file);
        let store = Store::open(dir.path()).unwrap();
        let read = store.snapshot().unwrap();
        assert_eq!(read.get(&FOLDS, &keys::fold_of(&event)).unwrap(), Some(fold));
        assert_eq!(read.get(&KUBE_EVENTS, &keys::kube_event(&"c1".into(), &object)).unwrap(), Some(object));
        assert_eq!(read.get(&keyed::<Object>("objects"), "").unwrap(), None);
        assert_eq!((read.count("objects").unwrap(), read.count("kube_events").unwrap()), (0, 1));
        assert_eq!(verify::verify(&read).unwrap().problems, [""; 0], "{:?}", sizes(&read));
        assert!(!read.tables().unwrap().contains(&"folds".to_owned()));
    }
}
