//! Time that was not watched is told with its reason: nobody ran, the API server was away, or one watch was lost.

use barrelman::{
    event::Kind,
    object::Said,
    status::StreamState,
    store::{GAPS, GapRow, Read},
};

use crate::support::rig::Rig;

fn gaps(rig: &Rig) -> Vec<GapRow> {
    let mut rows = Vec::new();
    rig.read(|snapshot| {
        snapshot.read_log(&GAPS, 0, &mut |_, row| {
            rows.push(row);
            true
        })
    });
    rows
}

fn whys(rig: &Rig) -> Vec<String> {
    gaps(rig).into_iter().map(|gap| gap.why).collect()
}

/// The watches of these kinds are in this state.
fn are(rig: &mut Rig, kinds: &[Kind], state: &StreamState) {
    let said = kinds.iter().map(|kind| Said::Stream(rig.watched[0].stream(*kind), state.clone())).collect();
    rig.say(said);
}

fn lost(rig: &Rig) -> StreamState {
    StreamState::Retrying { retry_at: rig.now() }
}

#[test]
fn a_time_in_which_nobody_ran_is_not_blamed_on_a_watch() {
    let mut rig = Rig::shop();
    rig.advance(60);
    rig.alive();
    let until = rig.now();
    rig.stop();
    rig.unwatched(120);
    rig.begin();
    rig.start();
    let found = gaps(&rig);
    assert_eq!(whys(&rig), ["barrelman was not running"], "{found:?}");
    assert_eq!((found[0].from, found[0].to), (until, Some(rig.now())));
}

#[test]
fn an_api_server_that_was_away_is_named() {
    let mut rig = Rig::shop();
    rig.advance(600);
    let kinds = [Kind::ConfigMap, Kind::Pod, Kind::Service];
    let state = lost(&rig);
    are(&mut rig, &kinds[..2], &state);
    rig.advance(4);
    let cluster = rig.watched[0].uid.clone();
    rig.say(vec![Said::Away { cluster: cluster.clone(), since: rig.now(), why: "refused".into() }]);
    are(&mut rig, &kinds[2..], &state);
    rig.say_for(90);
    // Whichever is said first: that a watch is back, or the whole API.
    are(&mut rig, &kinds[..1], &StreamState::Live);
    rig.say(vec![Said::Live(cluster)]);
    are(&mut rig, &kinds[1..], &StreamState::Live);
    assert_eq!(whys(&rig), ["the API server did not answer"], "{:?}", gaps(&rig));
    // What a watch loses later is its own.
    rig.advance(300);
    let state = lost(&rig);
    are(&mut rig, &kinds[..1], &state);
    rig.say_for(30);
    are(&mut rig, &kinds[..1], &StreamState::Live);
    assert_eq!(whys(&rig)[1..], ["the watch of ConfigMap was lost"], "{:?}", gaps(&rig));
}

#[test]
fn what_took_several_watches_with_it_is_the_reason_of_them_all() {
    let mut rig = Rig::shop();
    rig.advance(600);
    let state = lost(&rig);
    are(&mut rig, &[Kind::Secret], &state);
    rig.advance(8);
    are(&mut rig, &[Kind::Secret], &StreamState::Live);
    assert_eq!(whys(&rig), ["the watch of Secret was lost"]);
    let cluster = rig.watched[0].uid.clone();
    are(&mut rig, &[Kind::Pod], &state);
    rig.say(vec![Said::Away { cluster: cluster.clone(), since: rig.now(), why: "refused".into() }]);
    rig.say_for(20);
    rig.say(vec![Said::Live(cluster)]);
    are(&mut rig, &[Kind::Pod], &StreamState::Live);
    assert_eq!(whys(&rig), ["the API server did not answer"], "{:?}", gaps(&rig));
}

#[test]
fn a_start_while_the_api_is_away_makes_the_gap_no_shorter() {
    let mut rig = Rig::shop();
    rig.advance(60);
    rig.alive();
    let until = rig.now();
    let cluster = rig.watched[0].uid.clone();
    let away = |rig: &Rig| Said::Away { cluster: cluster.clone(), since: rig.now(), why: "refused".into() };
    rig.say(vec![away(&rig)]);
    rig.say_for(60);
    rig.alive();
    rig.stop();
    rig.begin();
    rig.alive();
    rig.say(vec![away(&rig)]);
    rig.alive();
    rig.say_for(30);
    rig.start();
    let found = gaps(&rig);
    assert_eq!((found[0].from, found[0].to), (until, Some(rig.now())), "{found:?}");
}

#[test]
fn a_gap_begins_where_it_was_said_to_begin_while_it_lasted() {
    let mut rig = Rig::shop();
    rig.advance(60);
    let cluster = rig.watched[0].uid.clone();
    let since = rig.now();
    rig.say(vec![Said::Away { cluster: cluster.clone(), since, why: "refused".into() }]);
    // Its watches break a few seconds after it was found away, one after the other.
    let kinds = [Kind::ConfigMap, Kind::Pod];
    for kind in kinds {
        rig.advance(4);
        let state = lost(&rig);
        are(&mut rig, &[kind], &state);
    }
    rig.say_for(60);
    rig.say(vec![Said::Live(cluster)]);
    // That which was lost last is back first.
    are(&mut rig, &kinds[1..], &StreamState::Live);
    are(&mut rig, &kinds[..1], &StreamState::Live);
    let found = gaps(&rig);
    assert_eq!(found.iter().map(|gap| gap.from).collect::<Vec<_>>(), [since], "{found:?}");
}

#[test]
fn a_gap_is_kept_when_the_commit_that_notes_it_fails_first() {
    let mut rig = Rig::shop();
    rig.advance(600);
    let state = lost(&rig);
    are(&mut rig, &[Kind::Secret], &state);
    rig.say_for(30);
    rig.failing = 2;
    are(&mut rig, &[Kind::Secret], &StreamState::Live);
    assert_eq!(whys(&rig), ["the watch of Secret was lost"], "{:?}", gaps(&rig));
}
