//! Opening what is there: new, old, newer, damaged, or not to be written.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

use barrelman::store::{Error, META, Read, Reader, SCHEMA_VERSION, Store};

use crate::store_support::{event, put_event};

fn file(dir: &Path) -> PathBuf {
    dir.join("barrelman.redb")
}

/// A store with some hundred events, closed.
fn filled() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for batch in 0..4 {
        store
            .write_blocking(move |tx| {
                (0..100).try_for_each(|n| put_event(tx, &event(&format!("{batch}-{n}"), 500)).map(drop))
            })
            .unwrap();
    }
    store.close();
    dir
}

#[test]
fn a_new_store_gets_its_version_id_and_key_and_keeps_them() {
    let dir = tempfile::tempdir().unwrap();
    // Schema 0: a file without anything in it.
    drop(redb::Database::create(file(dir.path())).unwrap());
    let meta = |name: &str| {
        let store = Store::open(dir.path()).unwrap();
        let value = store.snapshot().unwrap().get(&META, name).unwrap();
        store.close();
        value.unwrap()
    };
    assert_eq!(meta("schema"), SCHEMA_VERSION);
    let (id, key) = (meta("store_id"), meta("hash_key"));
    assert_eq!((id.as_str().unwrap().len(), key.as_str().unwrap().len()), (32, 64));
    assert_eq!((meta("store_id"), meta("hash_key")), (id, key));
}

#[test]
fn a_newer_store_is_refused_and_left_as_it_is() {
    let dir = filled();
    let store = Store::open(dir.path()).unwrap();
    store.write_blocking(|tx| tx.put(&META, "schema", &(SCHEMA_VERSION + 1).into())).unwrap();
    store.close();
    let before = std::fs::read(file(dir.path())).unwrap();
    for refused in [Store::open(dir.path()).map(drop), Reader::open(dir.path()).map(drop)] {
        let Err(Error::Newer { found, known, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!((found, known), (SCHEMA_VERSION + 1, SCHEMA_VERSION));
    }
    assert!(before == std::fs::read(file(dir.path())).unwrap(), "not a byte was changed");
}

#[test]
fn a_damaged_store_is_told_and_left_as_it_is() {
    let whole = filled();
    let good = std::fs::read(file(whole.path())).unwrap();
    let text = b"this was never a database\n".repeat(400);
    let mut header = good.clone();
    header[..512].fill(0xa5);
    let cut = |share: usize| good[..good.len() / 100 * share].to_vec();
    for (what, bytes) in
        [("text", text), ("header", header), ("half", cut(50)), ("tenth", cut(10)), ("tail", cut(97))]
    {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(file(dir.path()), &bytes).unwrap();
        for refused in [Store::open(dir.path()).map(drop), Reader::open(dir.path()).map(drop)] {
            let Err(error) = refused else { panic!("{what}: opened") };
            assert!(matches!(error, Error::Damaged { .. }), "{what}: {error:?}");
            let words = error.to_string();
            assert!(words.contains("restore a backup") && words.contains("barrelman.redb"), "{words}");
        }
        assert!(bytes == std::fs::read(file(dir.path())).unwrap(), "{what}: the file was changed");
    }
}

#[test]
fn the_database_of_another_program_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let other = redb::Database::create(file(dir.path())).unwrap();
    let txn = other.begin_write().unwrap();
    txn.open_table(redb::TableDefinition::<u64, u64>::new("theirs")).unwrap().insert(1, 1).unwrap();
    txn.commit().unwrap();
    drop(other);
    let before = std::fs::read(file(dir.path())).unwrap();
    let refused = Store::open(dir.path()).map(drop);
    assert!(matches!(&refused, Err(Error::Damaged { cause, .. }) if cause.contains("another program")));
    assert!(before == std::fs::read(file(dir.path())).unwrap());
}

#[test]
fn what_cannot_be_written_is_told_with_a_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let occupied = dir.path().join("file");
    std::fs::write(&occupied, "").unwrap();
    // Nobody, root included, makes a file in /proc.
    for place in [occupied.as_path(), Path::new("/proc/self/barrelman")] {
        let Err(error) = Store::open(place).map(drop) else { panic!("opened {}", place.display()) };
        assert!(matches!(error, Error::Io { .. }), "{error:?}");
        assert!(error.to_string().contains(&*place.to_string_lossy()), "{error}");
        assert!(error.is_transient());
    }
    let none = Reader::open(dir.path()).map(drop);
    assert_eq!(none, Err(Error::Missing(file(dir.path()))));
    assert!(!file(dir.path()).exists(), "a reader makes nothing");
}

#[cfg(unix)]
#[test]
fn the_store_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    Store::open(&data).unwrap().close();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&data), mode(&file(&data))), (0o700, 0o600));
}
