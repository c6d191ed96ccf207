//! What the screen says in between: while a cluster comes back, beside an engine that says nothing, under `--watch-only`,
//! and of what waits.

use barrelman::{
    feed::Feed,
    status::{ClusterState, StreamState},
    store::GapRow,
    tui::{Options, harness::Harness},
};
use jiff::{SignedDuration, Timestamp};

use super::{
    tui_sample as sample,
    tui_truth::{bench, told_so},
};

fn at(secs: i64) -> Timestamp {
    sample::now().checked_add(SignedDuration::from_secs(secs)).unwrap()
}

fn flat(screen: &str) -> String {
    screen.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Found away 24 seconds ago; so many of its six streams have been heard since, the others not for 40 seconds.
fn back(h: &mut Harness, heard: usize) {
    told_so(h, |status| {
        let cluster = &mut status.clusters[0];
        let why = "the API server is not ready yet: rbac/bootstrap-roles".to_owned();
        cluster.state = ClusterState::Away { since: at(-24), why, retry_at: Some(at(4)) };
        for (i, stream) in cluster.streams.iter_mut().enumerate() {
            stream.last_activity = Some(at(if i < heard { -3 } else { -40 }));
            if i >= heard {
                stream.state = StreamState::Retrying { retry_at: at(2) };
            }
        }
    });
}

#[test]
fn a_cluster_that_comes_back_is_not_disconnected_and_its_gap_is_open_until_it_is_whole() {
    let bench = bench(true);
    for size in [(80, 24), (120, 40)] {
        let mut h = bench.open(&Options::default(), size);
        // Nothing is back, and the store has no row of it yet: it is a gap all the same.
        back(&mut h, 0);
        let screen = h.screen();
        assert!(screen.contains("◌ DISCONNECTED"), "{screen}");
        assert_eq!(screen.contains("(2 gaps)"), size.0 > 100, "{screen}");
        let screen = h.keys("8").settle().keys("G").screen();
        assert!(flat(&screen).contains("09:40:43.000 – now"), "{screen}");
        // The first watch is back, and with it the row of the gap: that is not its end.
        let gap = GapRow {
            cluster: "prod-eu".into(),
            from: at(-39),
            to: Some(at(-5)),
            why: "the API server did not answer".into(),
        };
        back(&mut h, 5);
        h.feed(vec![Feed::Gap { gap: gap.clone() }]);
        let screen = h.keys("G").screen();
        assert!(screen.contains("◌ 1 of 6 streams lost"), "{screen}");
        assert!(
            !screen.contains("DISCONNECTED") && flat(&screen).contains("answers again, 1 of 6"),
            "{screen}"
        );
        assert!(flat(&screen).contains("09:40:28.000 – now the API server did not answer"), "{screen}");
        // All are back, and the API calls itself ready no more than before: it is watched, and Health says the rest.
        back(&mut h, 6);
        let screen = h.keys("g").screen();
        assert!(screen.contains("● LIVE") && flat(&screen).contains("is not ready yet"), "{screen}");
        assert!(!flat(&h.keys("G").screen()).contains("– now"), "{}", h.screen());
        // Ready, but one of those that were lost is not back.
        told_so(&mut h, |status| {
            let stream = &mut status.clusters[0].streams[2];
            stream.state = StreamState::Retrying { retry_at: at(2) };
            stream.last_activity = Some(at(-40));
        });
        h.keys("G");
        assert!(flat(&h.screen()).contains("09:40:28.000 – now"), "{}", h.screen());
        told_so(&mut h, |_| {});
        let screen = h.keys("G").screen();
        assert!(flat(&screen).contains("09:40:28.000 – 2026-11-22 09:41:02.000"), "{screen}");
        // A watch that is lost later has nothing to do with it.
        told_so(&mut h, |status| {
            let stream = &mut status.clusters[0].streams[2];
            stream.state = StreamState::Retrying { retry_at: at(2) };
            stream.last_activity = Some(at(-1));
        });
        assert!(!flat(&h.screen()).contains("– now"), "{}", h.screen());
    }
}

#[test]
fn watches_that_nobody_has_cut_are_no_sign_of_life() {
    let bench = bench(true);
    let mut h = bench.open(&Options::default(), (80, 24));
    // All of them are still called live: the network swallows what they would say.
    told_so(&mut h, |status| {
        let cluster = &mut status.clusters[0];
        cluster.state = ClusterState::Away { since: at(-24), why: "no answer".into(), retry_at: None };
    });
    let quiet = |h: &mut Harness, heard: i64, since: i64| {
        told_so(h, |status| {
            let cluster = &mut status.clusters[0];
            cluster.state = ClusterState::Away { since: at(since), why: "no answer".into(), retry_at: None };
            cluster.streams.iter_mut().for_each(|s| s.last_activity = Some(at(heard)));
        });
        h.screen()
    };
    assert!(quiet(&mut h, -60, -24).contains("DISCONNECTED"), "{}", h.screen());
    // It came back and went again, before it was ready in between.
    assert!(quiet(&mut h, -60, -300).contains("DISCONNECTED"), "{}", h.screen());
    assert!(!quiet(&mut h, -5, -300).contains("DISCONNECTED"), "{}", h.screen());
}
