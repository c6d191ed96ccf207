//! What the same machine does without Barrelman, in the same run: the ratios travel, the figures do not.

use std::time::{Duration, Instant};

use barrelman::{demo::Cluster, event::Kind, watch};
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;

/// MB/s of our record and of the typed object, over the same pods.
pub fn decode(cluster: &Cluster) -> (f64, f64) {
    let pods: Vec<Vec<u8>> =
        cluster.list(Kind::Pod).iter().take(2000).map(|p| p.to_string().into_bytes()).collect();
    let bytes: usize = pods.iter().map(Vec::len).sum();
    let rate = |decode: &dyn Fn(&[u8])| {
        // Processor time: nothing is waited for, and other work of the machine does not count.
        let (started, cpu, mut rounds) = (Instant::now(), own_cpu(), 0);
        while started.elapsed() < Duration::from_secs(2) {
            for pod in &pods {
                decode(pod);
            }
            rounds += 1;
        }
        (bytes * rounds) as f64 / 1e6 / (own_cpu() - cpu)
    };
    let ours = rate(&|p| drop(watch::decode(Kind::Pod, p, [7; 32]).expect("a pod")));
    let typed = rate(&|p| drop(serde_json::from_slice::<Pod>(p).expect("a pod")));
    (ours, typed)
}

fn own_cpu() -> f64 {
    crate::forward::Usage::of(std::process::id()).cpu
}

/// Rows a second that a bare redb table takes in durable commits of `group` rows of `row` bytes.
pub fn redb(group: u64, row: usize) -> f64 {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let database = redb::Database::create(dir.path().join("plain.redb")).expect("a database");
    let table = redb::TableDefinition::<u64, &[u8]>::new("t");
    let (row, mut n) = (vec![b'x'; row], 0);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        let txn = database.begin_write().expect("a write");
        let mut open = txn.open_table(table).expect("a table");
        for _ in 0..group.max(1) {
            n += 1;
            open.insert(n, row.as_slice()).expect("a row");
        }
        drop(open);
        txn.commit().expect("a commit");
    }
    n as f64 / started.elapsed().as_secs_f64()
}

/// Posts a second of a body, so many at once, and nothing else.
pub fn reqwest(url: &str, body: &str, at_once: usize) -> f64 {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let client = reqwest::Client::new();
    let started = Instant::now();
    let posts = runtime.block_on(async {
        let more = stream::iter(0_u64..)
            .take_while(|_| std::future::ready(started.elapsed() < Duration::from_secs(3)));
        let sent = more.map(|n| {
            let post = client.post(url).header("webhook-id", n).body(body.to_owned());
            async move { post.send().await.expect("the sink answers").bytes().await.expect("a body") }
        });
        sent.buffer_unordered(at_once).count().await
    });
    posts as f64 / started.elapsed().as_secs_f64()
}
