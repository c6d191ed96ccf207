use std::{os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use futures::future::join;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    sync::{broadcast, mpsc, watch},
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    server::{Engine, Request},
    status::Status,
    store::GapRow,
};

const SECOND: Duration = Duration::from_secs(1);

struct Fake {
    dir: tempfile::TempDir,
    feed: broadcast::Sender<Feed>,
    status: watch::Sender<Arc<Status>>,
    actions: mpsc::Receiver<Request>,
    stop: CancellationToken,
}

/// The engine's ends, and the server to be polled beside the test.
async fn engine(capacity: usize) -> (Fake, impl Future<Output = ()>) {
    let dir = tempfile::tempdir().unwrap();
    let socket = bind(dir.path()).await.unwrap();
    let (feed, _) = broadcast::channel(capacity);
    let (status, read_status) = watch::channel(Arc::new(named("first")));
    let (send, actions) = mpsc::channel(8);
    let stop = CancellationToken::new();
    let engine = Engine { status: read_status, feed: feed.downgrade(), actions: send };
    let server = serve(socket, engine, stop.clone());
    (Fake { dir, feed, status, actions, stop }, server)
}

fn named(mode: &str) -> Status {
    Status { mode: mode.into(), ..Status::default() }
}

fn gap(n: usize) -> Feed {
    let at = jiff::Timestamp::UNIX_EPOCH;
    Feed::Gap { gap: GapRow { cluster: "c".into(), from: at, to: None, why: format!("{n}") } }
}

/// Runs a test beside the server, and fails rather than hang.
async fn beside(server: impl Future<Output = ()>, test: impl Future<Output = ()>) {
    let both = async {
        tokio::select! {
            () = server => panic!("the server ended"),
            () = test => {}
        }
    };
    tokio::time::timeout(20 * SECOND, both).await.expect("the test hangs");
}

#[tokio::test]
async fn a_client_gets_the_status_the_feed_and_answers() {
    let (mut fake, server) = engine(16).await;
    beside(server, async {
        let Attached { client, mut feed, status, driver } = connect(fake.dir.path()).await.unwrap();
        let test = async {
            let first = feed.recv().await.unwrap();
            assert_eq!(first, Feed::Status { status: Arc::new(named("first")) });
            fake.feed.send(gap(1)).unwrap();
            assert_eq!(feed.recv().await.unwrap(), gap(1));
            fake.status.send_replace(Arc::new(named("second")));
            assert_eq!(feed.recv().await.unwrap(), Feed::Status { status: Arc::new(named("second")) });
            assert_eq!(status.borrow().mode, "second");
            // Two actions at once, answered in the other order.
            let answer = async {
                let (first, one) = fake.actions.recv().await.unwrap();
                let (_, two) = fake.actions.recv().await.unwrap();
                two.send(Reply::Failed("no".into())).unwrap();
                one.send(Reply::Done(format!("{first:?}"))).unwrap();
            };
            let relist = client.call(Action::Relist, SECOND);
            let reconnect = client.call(Action::Reconnect { cluster: "c".into() }, SECOND);
            let ((relist, reconnect), ()) = join(join(relist, reconnect), answer).await;
            assert_eq!(relist, Ok(Reply::Done("Relist".into())));
            assert_eq!(reconnect, Ok(Reply::Failed("no".into())));
        };
        tokio::select! { () = test => {}, error = driver => panic!("{error}") }
    })
    .await;
}

#[tokio::test]
async fn one_call_needs_no_driver_and_time_runs_out() {
    let (mut fake, server) = engine(16).await;
    beside(server, async {
        let answer = async {
            let (action, answer) = fake.actions.recv().await.unwrap();
            assert_eq!(action, Action::Reload);
            answer.send(Reply::Done("read again".into())).unwrap();
        };
        let (reply, ()) = join(call(fake.dir.path(), Action::Reload, SECOND), answer).await;
        assert_eq!(reply, Ok(Reply::Done("read again".into())));
        let late = call(fake.dir.path(), Action::Reload, Duration::from_millis(50)).await;
        assert_eq!(late, Err(Error::Timeout(0)));
        drop(fake.actions);
        let stopping = call(fake.dir.path(), Action::Reload, SECOND).await.unwrap();
        assert_eq!(stopping, Reply::Failed("the engine is stopping".into()));
    })
    .await;
}

#[tokio::test]
async fn who_is_too_slow_is_told_so_and_others_are_not_held_up() {
    let (fake, server) = engine(8).await;
    beside(server, async {
        // Attached, and never read.
        let idle = UnixStream::connect(path_in(fake.dir.path())).await.unwrap();
        let Attached { mut feed, driver, client: _client, .. } = connect(fake.dir.path()).await.unwrap();
        let test = async {
            feed.recv().await.unwrap();
            for n in 0..20 {
                fake.feed.send(gap(n)).unwrap();
            }
            // 20 into 8 do not go while nobody was polled.
            assert_eq!(feed.recv().await.unwrap(), Feed::Lagged { missed: 12 });
            for n in 12..20 {
                assert_eq!(feed.recv().await.unwrap(), gap(n));
            }
        };
        tokio::select! { () = test => {}, error = driver => panic!("{error}") }
        drop(idle);
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_does_not_take_its_feed_still_gets_answers() {
    let (mut fake, server) = engine(crate::feed::FEED_CAPACITY * 2).await;
    beside(server, async {
        let Attached { client, mut feed, driver, .. } = connect(fake.dir.path()).await.unwrap();
        let test = async {
            // The status, and more gaps than fit beside it.
            for n in 0..crate::feed::FEED_CAPACITY {
                fake.feed.send(gap(n)).unwrap();
            }
            while feed.len() < crate::feed::FEED_CAPACITY {
                tokio::task::yield_now().await;
            }
            for _ in 0..40 {
                fake.feed.send(gap(0)).unwrap();
                let answer = async {
                    let (_, answer) = fake.actions.recv().await.unwrap();
                    answer.send(Reply::Done(String::new())).unwrap();
                };
                let (reply, ()) = join(client.call(Action::Relist, SECOND), answer).await;
                assert_eq!(reply, Ok(Reply::Done(String::new())));
            }
            for _ in 0..crate::feed::FEED_CAPACITY {
                assert!(!matches!(feed.recv().await.unwrap(), Feed::Lagged { .. }));
            }
            fake.feed.send(gap(1)).unwrap();
            assert!(matches!(feed.recv().await.unwrap(), Feed::Lagged { missed } if missed > 0));
        };
        tokio::select! { () = test => {}, error = driver => panic!("{error}") }
    })
    .await;
}

#[tokio::test]
async fn nonsense_and_endless_lines_are_refused_without_being_repeated() {
    let (fake, server) = engine(8).await;
    beside(server, async {
        let endless = "x".repeat(MAX_ASKED + 10);
        for line in [r#"{"id":1,"action":"sell","token":"hunter2"}"#, "hunter2", endless.as_str()] {
            let stream = UnixStream::connect(path_in(fake.dir.path())).await.unwrap();
            let (read, mut write) = stream.into_split();
            // The server may hang up before it has read all of it.
            let _ = write.write_all(format!("{line}\n").as_bytes()).await;
            let mut lines = BufReader::new(read).lines();
            let mut last = String::new();
            while let Ok(Some(line)) = lines.next_line().await {
                last = line;
            }
            assert!(last.contains("refused") && !last.contains("hunter2"), "{last}");
        }
        // The server goes on.
        assert!(connect(fake.dir.path()).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn the_socket_is_private_and_only_a_dead_one_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(connect(dir.path()).await.err(), Some(Error::NotRunning(dir.path().to_owned())));
    let socket = bind(dir.path()).await.unwrap();
    let path = path_in(dir.path());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left there");
    assert_eq!(bind(dir.path()).await.err(), Some(Error::Served(path.clone())));
    drop(socket);
    assert!(!path.exists());
    // What a killed process leaves: a file on which nobody listens.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    assert_eq!(connect(dir.path()).await.err(), Some(Error::NotRunning(dir.path().to_owned())));
    let again = bind(dir.path()).await.unwrap();
    // Removed and made anew by somebody else: not ours to remove.
    std::fs::remove_file(&path).unwrap();
    let others = std::os::unix::net::UnixListener::bind(&path).unwrap();
    drop(again);
    assert!(path.exists());
    drop(others);
    let long = dir.path().join("d".repeat(120));
    std::fs::create_dir(&long).unwrap();
    assert!(matches!(bind(&long).await, Err(Error::TooLong(_))));
}

#[tokio::test]
async fn the_end_of_the_engine_ends_the_connection() {
    let (fake, server) = engine(8).await;
    let Attached { client, mut feed, driver, .. } = {
        let mut server = std::pin::pin!(server);
        let attached = tokio::select! {
            () = &mut server => panic!("ended"),
            attached = connect(fake.dir.path()) => attached.unwrap(),
        };
        fake.stop.cancel();
        server.await;
        attached
    };
    assert_eq!(driver.await, Error::Gone);
    while feed.recv().await.is_some() {}
    assert_eq!(client.call(Action::Relist, SECOND).await, Err(Error::Gone));
    assert!(!path_in(fake.dir.path()).exists());
}

/// The lines are a contract between versions.
#[test]
fn the_lines_are_frozen() {
    let ask = Ask { id: 7, action: Action::Reconnect { cluster: "c".into() } };
    assert_eq!(serde_json::to_string(&ask).unwrap(), r#"{"id":7,"action":"reconnect","cluster":"c"}"#);
    let tell = |t: &Tell| serde_json::to_string(t).unwrap();
    assert_eq!(
        tell(&Tell::Hello { protocol: 1, version: "0".into() }),
        r#"{"hello":{"protocol":1,"version":"0"}}"#
    );
    assert_eq!(
        tell(&Tell::Reply { id: 7, reply: Reply::Done("ok".into()) }),
        r#"{"reply":{"id":7,"reply":{"done":"ok"}}}"#
    );
    assert_eq!(tell(&Tell::Feed(Feed::Lagged { missed: 3 })), r#"{"feed":{"kind":"lagged","missed":3}}"#);
    assert_eq!(tell(&Tell::Refused("no".into())), r#"{"refused":"no"}"#);
}
