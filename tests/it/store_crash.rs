//! Nothing that was acknowledged is lost: by a kill, or by a disk that is full for a while.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests")]

use std::{collections::BTreeSet, process::Command, time::Duration};

use barrelman::store::{Error, Read, Reader, Store, maintain, pages};

use crate::store_support::{DIR, Other, ROLE, event, put_event};

const WRITERS: usize = 4;

/// Not a test: what `Other` starts.
#[test]
#[ignore = "plays a role for other tests"]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let dir = std::path::PathBuf::from(std::env::var(DIR).unwrap());
    match role.as_str() {
        "write" => write_until_killed(&dir),
        "hold" => {
            let store = Store::open(&dir).unwrap();
            store.write_blocking(|tx| put_event(tx, &event("held", 10))).unwrap();
            println!("child: open");
            let _ = std::io::stdin().read_line(&mut String::new());
        }
        "fill" => fill(&dir),
        other => panic!("no role {other}"),
    }
}

/// Several threads, so that groups of jobs are committed together; each says what was acknowledged.
fn write_until_killed(dir: &std::path::Path) {
    let store = Store::open(dir).unwrap();
    let round = std::process::id();
    std::thread::scope(|scope| {
        for thread in 0..WRITERS {
            let store = store.clone();
            scope.spawn(move || {
                for n in 0.. {
                    let name = format!("{round}-{thread}-{n}");
                    let row = event(&name, 300);
                    store.write_blocking(move |tx| put_event(tx, &row)).unwrap();
                    println!("child: {name}");
                }
            });
        }
    });
}

/// Writes until the disk is full, goes on trying, and writes some more when there is room again.
fn fill(dir: &std::path::Path) {
    let store = Store::open(dir).unwrap();
    let mut failed = false;
    let mut after = 0;
    for n in 0.. {
        let name = format!("{n}");
        let row = event(&name, 20_000);
        match store.write_blocking(move |tx| put_event(tx, &row)) {
            Ok(_) => {
                println!("child: {name}");
                after += u32::from(failed);
            }
            Err(error @ Error::Io { .. }) => {
                if !failed {
                    println!("child: failed {error}");
                }
                failed = true;
                assert!(error.is_transient() && store.health().error.is_some());
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(other) => panic!("{other}"),
        }
        if after == 20 {
            println!("child: done");
            return;
        }
    }
}

/// What is in the store, after checking that it is sound.
fn stored(dir: &std::path::Path) -> BTreeSet<String> {
    let store = Store::open(dir).unwrap();
    let read = store.snapshot().unwrap();
    let report = barrelman::store::verify::verify(&read).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let mut names = BTreeSet::new();
    read.read_log(&barrelman::store::EVENTS, 0, &mut |_, event| {
        assert!(names.insert(event.object.name), "stored twice");
        true
    })
    .unwrap();
    drop(read);
    store.close();
    names
}

#[test]
fn nothing_acknowledged_is_lost_by_kills() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 0..12 {
        let mut other = Other::start("write", dir.path());
        for _ in 0..(5 + 13 * round) {
            acknowledged.insert(other.said().expect("the child writes"));
        }
        acknowledged.extend(other.kill());
        if round % 3 == 0 {
            // A reader may look at once, or is told that a writer must open the store first.
            let looked = Reader::open(dir.path()).map(drop);
            assert!(matches!(looked, Ok(()) | Err(Error::NeedsWriter(_))), "{looked:?}");
        }
        let stored = stored(dir.path());
        let lost: Vec<_> = acknowledged.difference(&stored).collect();
        assert!(lost.is_empty(), "round {round}: lost {lost:?}");
        // Committed and not yet acknowledged: at most one of each thread, per kill.
        assert!(stored.len() <= acknowledged.len() + WRITERS * (round + 1));
    }
    assert!(acknowledged.len() > 500, "{}", acknowledged.len());
}

#[test]
fn a_second_process_is_refused_and_can_read_beside() {
    let dir = tempfile::tempdir().unwrap();
    let mut other = Other::start("hold", dir.path());
    assert_eq!(other.said().as_deref(), Some("open"));
    let refused = Store::open(dir.path()).map(drop);
    assert_eq!(refused, Err(Error::Held(dir.path().join("barrelman.redb"))));
    assert!(matches!(maintain::compact(dir.path()), Err(Error::Held(_))));
    let reader = Reader::open(dir.path()).unwrap();
    let read = reader.snapshot().unwrap();
    let page = pages::events_back(&read, None, pages::Span::ALL, pages::Limits::rows(5), &|_| true).unwrap();
    assert_eq!(page.rows[0].1.object.name, "held");
    let copy = dir.path().join("copy.redb");
    assert!(maintain::backup(&read, &copy).unwrap() > 0, "a backup is made beside the writer");
    assert!(maintain::verify_dir(dir.path()).unwrap().problems.is_empty());
    drop((read, reader));
    other.kill();
    assert!(Store::open(dir.path()).is_ok(), "the lock goes with its process");
}

/// The limit on file sizes stands in for a full disk: writes fail half-way in the same manner.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_it_goes_on_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let mut shell = Command::new("sh");
    let limited = r#"trap "" XFSZ; ulimit -S -f 4000; exec "$0" "$@""#;
    shell.arg("-c").arg(limited).arg(std::env::current_exe().unwrap());
    let mut other = Other::run(shell, "fill", dir.path());
    let mut acknowledged = BTreeSet::new();
    let why = loop {
        let said = other.said().expect("the child writes until it cannot");
        match said.strip_prefix("failed ") {
            Some(why) => break why.to_owned(),
            None => acknowledged.insert(said),
        };
    };
    assert!(why.contains("cannot write the store") && why.contains("free space"), "{why}");
    assert!(acknowledged.len() > 5);
    let id = other.process.id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &id, "--fsize=unlimited:"]).status().unwrap();
    assert!(raised.success());
    loop {
        match other.said().expect("the child goes on").as_str() {
            "done" => break,
            name => drop(acknowledged.insert(name.to_owned())),
        }
    }
    other.process.wait().unwrap();
    assert_eq!(stored(dir.path()), acknowledged, "all that was acknowledged, and nothing that was refused");
}
