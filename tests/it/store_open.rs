//! Opening what is there: new, old, newer, damaged, or not to be written.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

use barrelman::store::{EVENT_IDS, EVENTS, Error, META, Read, Reader, SCHEMA_VERSION, Store, maintain};

use crate::{
    store_support::{event, put_event},
    support::cli::Home,
};

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

const PAGE: usize = 4096;

/// Every tenth byte of one page is another one: redb reads some such pages with a panic.
fn damage(bytes: &mut [u8], page: usize) {
    for (n, byte) in bytes.iter_mut().enumerate().skip(page * PAGE).take(PAGE).step_by(10) {
        *byte ^= blake3::hash(&n.to_le_bytes()).as_bytes()[0] | 1;
    }
}

/// A copy of a store with a damaged page.
fn with_a_damaged_page(good: &[u8], page: usize) -> tempfile::TempDir {
    let mut bytes = good.to_vec();
    damage(&mut bytes, page);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(file(dir.path()), bytes).unwrap();
    dir
}

fn read_all(read: &impl Read) -> Result<(), Error> {
    read.read_log(&EVENTS, 0, &mut |_, _| true)?;
    read.scan(&EVENT_IDS, "", "", &mut |_, _| true)?;
    read.get(&META, "store_id").map(drop)
}

/// Of an error of the file: whether redb panicked there.
fn panicked(page: usize, result: Result<(), Error>) -> bool {
    match result {
        Ok(()) | Err(Error::Row { .. } | Error::NeedsWriter(_)) => false,
        Err(Error::Damaged { cause, .. }) => cause.contains("do not fit together"),
        Err(other) => panic!("page {page}: {other:?}"),
    }
}

#[test]
fn a_damaged_page_is_an_error_for_whoever_reads_it() {
    let whole = filled();
    let good = std::fs::read(file(whole.path())).unwrap();
    let mut found = 0;
    for page in 1..good.len() / PAGE {
        let dir = with_a_damaged_page(&good, page);
        found += usize::from(panicked(page, Reader::open(dir.path()).and_then(|r| read_all(&r.snapshot()?))));
        found += usize::from(panicked(page, maintain::verify_dir(dir.path()).map(drop)));
        found += usize::from(panicked(page, maintain::check_pages(dir.path()).map(drop)));
    }
    assert!(found > 0, "no page made redb panic");
}

#[test]
fn damage_that_a_running_engine_meets_ends_it_and_is_not_tried_again() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let told = |store: &Store| {
        let within = std::time::Duration::from_millis(50);
        runtime.block_on(async { tokio::time::timeout(within, store.broken()).await.ok() })
    };
    let dir = filled();
    let store = Store::open(dir.path()).unwrap();
    let full = Error::Io { path: file(dir.path()), cause: "no space".into() };
    let error = full.clone();
    assert_eq!(store.write_blocking(move |_| Err::<(), _>(error)), Err(full));
    assert_eq!(told(&store), None, "a full disk is waited for");
    store.write_blocking(|tx| tx.put(&META, "a", &1.into())).unwrap();
    // What a job answers that reads a damaged page.
    let damaged = Error::Damaged { path: file(dir.path()), cause: "its pages do not fit together".into() };
    let error = damaged.clone();
    assert_eq!(store.write_blocking(move |_| Err::<(), _>(error)), Err(damaged.clone()));
    assert_eq!(told(&store), Some(damaged.clone()), "the engine is told");
    assert_eq!(store.health().error, Some(damaged.clone()));
    let again = store.write_blocking(|tx| tx.put(&META, "a", &2.into()));
    assert_eq!(again, Err(damaged.clone()), "nothing is tried again");
    assert_eq!(store.snapshot().map(drop), Err(damaged));
    store.close();
}

/// In a process: nothing but the error is said, with its exit code.
#[test]
fn a_damaged_page_ends_a_command_with_its_exit_code() {
    let whole = filled();
    let good = std::fs::read(file(whole.path())).unwrap();
    let mut damaged = 0;
    for page in (1..good.len() / PAGE).step_by(5) {
        let home = Home::new();
        std::fs::create_dir_all(home.data()).unwrap();
        let bytes = std::fs::read(file(with_a_damaged_page(&good, page).path())).unwrap();
        std::fs::write(file(&home.data()), bytes).unwrap();
        for args in [&["events", "-o", "jsonl"][..], &["store", "verify"], &["incidents"]] {
            let ran = home.run(args);
            assert!(
                [0, 5].contains(&ran.code) && !ran.err.contains("panicked"),
                "page {page}: {args:?} {ran:?}"
            );
            if ran.err.contains("do not fit together") {
                assert!(ran.err.contains("restore a backup"), "{ran:?}");
                damaged += 1;
            }
        }
    }
    assert!(damaged > 0, "no page made redb panic");
}

#[test]
fn a_store_of_no_bytes_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let began_empty = || {
        let store = Store::open(dir.path()).unwrap();
        let empty = store.began_empty();
        store.close();
        empty
    };
    assert!(!began_empty(), "a new one is no loss");
    assert!(!began_empty());
    std::fs::write(file(dir.path()), "").unwrap();
    assert!(began_empty());
}

#[cfg(unix)]
#[test]
fn a_link_in_place_of_the_file_is_not_followed() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::os::unix::fs::symlink(other.path().join("theirs"), file(dir.path())).unwrap();
    let refused = Store::open(dir.path()).map(drop);
    assert!(matches!(refused, Err(Error::Io { .. })), "{refused:?}");
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .ends_with("a link is not followed: name the real directory with --data-dir")
    );
    assert!(!other.path().join("theirs").exists());
    std::fs::remove_file(file(dir.path())).unwrap();
    std::fs::create_dir(file(dir.path())).unwrap();
    let refused = Store::open(dir.path()).map(drop).unwrap_err().to_string();
    assert!(refused.ends_with("a directory stands in its place: move it away"), "{refused}");
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
