//! The window against pages and a feed.

use super::*;
use crate::tui::effect::From;

impl Row for u64 {}

/// A row that was last there at this second.
impl Row for (u64, i64) {
    fn seen(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.1).ok()
    }
}

fn page(range: std::ops::Range<u64>) -> Vec<(u64, Arc<u64>)> {
    range.rev().map(|s| (s, Arc::new(s))).collect()
}

fn line(window: &mut Window<u64>) -> (u64, usize) {
    window.visible(20);
    (window.selected().unwrap().0, window.at - window.top)
}

#[test]
fn a_thousand_rows_above_leave_the_selected_row_on_its_line() {
    let mut window = Window::default();
    window.replace(page(1000..1100), true, true, None);
    window.visible(20);
    for _ in 0..30 {
        window.act(Action::Down);
        window.visible(20);
    }
    window.act(Action::Up);
    let before = line(&mut window);
    for seq in 1100..2100 {
        window.push(seq, &Arc::new(seq));
    }
    assert_eq!(line(&mut window), before);
    assert_eq!(window.unseen, 1000);
    // Reading them in moves nothing either.
    window.prepend(page(1100..1400), false);
    assert_eq!(line(&mut window), before);
    window.prepend(page(1400..2100), true);
    assert_eq!(line(&mut window), before);
    assert_eq!((window.unseen, window.newest), (0, true));
}

#[test]
fn what_is_new_above_is_counted_until_it_is_looked_at() {
    let mut window = Window::default();
    window.replace(page(1000..1100), true, false, None);
    // At the oldest end, far from the newest.
    window.follow = false;
    window.replace(page(1..101), false, true, None);
    window.go_last();
    window.visible(20);
    for seq in 1100..1116 {
        window.push(seq, &Arc::new(seq));
    }
    assert_eq!(window.new_above(), 16);
    // What is read on the way up was there before.
    window.prepend(page(101..400), false);
    for seq in 1116..1126 {
        window.push(seq, &Arc::new(seq));
    }
    window.prepend(page(400..1000), false);
    assert_eq!(window.new_above(), 26);
    // Read, but not looked at yet; then row by row.
    window.prepend(page(1000..1126), true);
    window.visible(20);
    assert_eq!((window.new_above(), window.newest), (26, true));
    let place = window.rows().iter().position(|(seq, _)| *seq == 1110).unwrap();
    window.at = place;
    window.visible(20);
    assert_eq!(window.new_above(), 15);
    // Looked at once is not new again.
    window.act(Action::PageDown);
    window.act(Action::PageDown);
    window.visible(20);
    assert_eq!(window.new_above(), 15);
    window.follow();
    assert_eq!(window.new_above(), 0);
}

#[test]
fn following_shows_the_newest_and_memory_is_bounded() {
    let mut window = Window::default();
    window.replace(Vec::new(), true, true, None);
    for seq in 1..=5_000 {
        window.push(seq, &Arc::new(seq));
    }
    assert_eq!(line(&mut window), (5_000, 0));
    assert_eq!(window.rows().len(), CAPACITY);
    assert!(!window.oldest);
    assert_eq!(window.need(), None);
    window.at = CAPACITY - 10;
    window.follow = false;
    assert_eq!(window.need(), Some(From::Below(4_001)));
    window.visible(20);
    let before = line(&mut window);
    window.append(page(3_701..4_001), false);
    assert_eq!(line(&mut window), before);
    assert_eq!(window.rows().len(), CAPACITY);
    assert!(!window.newest);
}

#[test]
fn what_comes_while_a_page_is_read_is_not_lost() {
    let mut window = Window::default();
    window.replace(page(1..10), true, true, None);
    window.restart(None);
    for seq in 10..13 {
        window.push(seq, &Arc::new(seq));
    }
    // The page was read before 11 was committed.
    window.replace_newest(page(5..11), true, |_| true);
    assert_eq!(window.rows().iter().map(|(s, _)| *s).collect::<Vec<_>>(), [12, 11, 10, 9, 8, 7, 6, 5]);
    // Standing still, a page that is older than the feed leaves something to read.
    window.act(Action::Down);
    window.push(20, &Arc::new(20));
    window.prepend(page(13..15), true);
    assert!(!window.newest);
    assert_eq!(window.need(), Some(From::Above(14)));
}

#[test]
fn what_happens_again_rises_to_the_top_unless_somebody_reads() {
    let row = |seq: u64, last: i64| (seq, Arc::new((seq, last)));
    let seqs = |w: &Window<(u64, i64)>| w.rows().iter().map(|(s, _)| *s).collect::<Vec<_>>();
    let mut window = Window::default();
    window.replace((10..15).rev().map(|s| row(s, s as i64)).collect(), true, false, None);
    window.visible(20);
    window.push(11, &row(11, 20).1);
    assert_eq!(seqs(&window), [11, 14, 13, 12, 10]);
    window.push(15, &row(15, 21).1);
    // One that is not in memory, too.
    window.push(3, &row(3, 22).1);
    assert_eq!(seqs(&window), [3, 15, 11, 14, 13, 12, 10]);
    assert_eq!(window.need(), Some(From::Below(10)));
    window.append((1..10).rev().map(|s| row(s, s as i64)).collect(), true);
    assert_eq!(seqs(&window), [3, 15, 11, 14, 13, 12, 10, 9, 8, 7, 6, 5, 4, 2, 1]);
    // Under a reader nothing moves; following again brings it up.
    window.act(Action::Down);
    window.push(2, &row(2, 30).1);
    assert_eq!(seqs(&window).last_chunk(), Some(&[4, 2, 1]));
    assert_eq!(window.rows().iter().find(|(s, _)| *s == 2).unwrap().1.1, 30);
    // It stands there by the time that it had, however often it comes again.
    window.push(2, &row(2, 31).1);
    assert_eq!((window.stood_at(2), window.stood_at(4)), (Timestamp::from_second(2).ok(), None));
    window.follow();
    assert_eq!(window.stood_at(2), None);
    assert_eq!(seqs(&window).first_chunk(), Some(&[2, 3, 15, 11]));
}

#[test]
fn a_folded_repeat_changes_its_row_in_place() {
    let mut window = Window::default();
    window.replace(page(1..10), true, true, None);
    window.visible(20);
    assert!(window.push(5, &Arc::new(55)));
    assert_eq!(window.rows().iter().find(|(s, _)| *s == 5).map(|(_, r)| **r), Some(55));
    assert_eq!(window.rows().len(), 9);
}

#[test]
fn what_has_left_the_range_is_not_asked_for_again_and_again() {
    let mut window = Window::default();
    window.replace(page(1..10), true, true, None);
    window.visible(20);
    window.act(Action::Down);
    window.push(20, &Arc::new(20));
    assert_eq!(window.need(), Some(From::Above(9)));
    window.ask(From::Newest);
    window.prepend(Vec::new(), true);
    assert_eq!((window.need(), window.newest, window.unseen), (None, true, 0));
    // What is told while a page is read may be missing in it.
    window.push(21, &Arc::new(21));
    window.ask(From::Newest);
    window.push(22, &Arc::new(22));
    window.prepend(vec![(21, Arc::new(21))], true);
    assert_eq!(window.need(), Some(From::Above(21)));
}

#[test]
fn a_page_of_rows_that_are_here_already_goes_on_below_them() {
    let row = |seq: u64, last: i64| (seq, Arc::new((seq, last)));
    let mut window = Window::default();
    window.replace((100..110).rev().map(|s| row(s, s as i64)).collect(), true, false, None);
    window.push(50, &row(50, 200).1);
    assert_eq!(window.need(), Some(From::Below(100)));
    window.append(vec![row(50, 200)], false);
    assert_eq!(window.need(), Some(From::Below(50)));
}

#[test]
fn a_row_that_happens_again_above_a_reader_is_one_row() {
    let mut window = Window::default();
    window.replace(page(1..10), true, true, None);
    window.visible(20);
    window.act(Action::Down);
    assert!(window.is_new(20) && window.push(20, &Arc::new(20)));
    assert!(!window.is_new(20) && !window.push(20, &Arc::new(20)));
    assert_eq!(window.unseen, 1);
}

fn came(ask: PageAsk, rows: std::ops::Range<u64>, newest: bool, oldest: bool) -> Page<u64> {
    Page { ask, rows: page(rows), newest, oldest }
}

#[test]
fn only_the_newest_question_is_answered() {
    let mut window = Window::default();
    let first = window.ask(From::Newest);
    let second = window.ask(From::Newest);
    assert!(!window.take(came(first, 1..10, true, true), |_| true) && window.rows().is_empty());
    assert!(!window.failed(first) && window.is_loading());
    assert!(window.take(came(second, 5..20, true, true), |_| true));
    assert!(!window.take(came(second, 1..10, true, true), |_| true));
    assert_eq!((window.rows().len(), window.is_loading()), (15, false));
}

#[test]
fn a_page_that_fails_is_asked_for_again() {
    let mut window = Window::default();
    let ask = window.ask(From::Newest);
    assert!(window.failed(ask) && window.is_owed());
    assert_eq!(window.need(), Some(From::Newest));
    let ask = window.ask(From::Newest);
    assert!(window.take(came(ask, 900..1_000, true, false), |_| true) && !window.is_owed());
    window.visible(20);
    (window.at, window.follow) = (90, false);
    let below = window.need().unwrap();
    assert_eq!(below, From::Below(900));
    let ask = window.ask(below);
    assert_eq!(window.need(), None);
    assert!(window.failed(ask));
    assert_eq!((window.need(), window.is_owed()), (Some(below), false));
    // One that was to replace everything is asked for around the reader.
    let from = window.restart(Some(950));
    let ask = window.ask(from);
    window.failed(ask);
    assert_eq!(window.need(), Some(From::Around(909)));
    assert_eq!(window.go_newest(), Some(From::Newest));
}

#[test]
fn a_reader_who_moves_while_a_page_around_a_row_is_read_stays_where_he_went() {
    let mut window = Window::default();
    window.replace(page(500..800), true, false, None);
    window.visible(20);
    for _ in 0..10 {
        window.act(Action::Down);
    }
    let here = line(&mut window);
    // A row that was looked for, far below.
    let jump = window.ask(From::Around(100));
    assert_eq!(window.need(), Some(From::Around(here.0)));
    window.act(Action::Down);
    let moved = line(&mut window);
    let again = window.need().unwrap();
    assert_eq!(again, From::Around(moved.0));
    let again = window.ask(again);
    assert!(!window.take(came(jump, 50..300, false, false), |_| true));
    assert!(window.take(came(again, 400..900, true, false), |_| true));
    assert_eq!(line(&mut window), moved);
    // Who went to another screen comes back to his row, too.
    let jump = window.ask(From::Around(100));
    window.stay();
    assert!(!window.take(came(jump, 50..300, false, false), |_| true));
    assert_eq!((line(&mut window), window.need()), (moved, Some(From::Around(moved.0))));
    // Where his row is gone he stands on the next older one, else on the next newer.
    let ask = window.ask(From::Around(moved.0));
    window.take(came(ask, 100..200, false, true), |_| true);
    assert_eq!(window.selected().map(|(s, _)| s), Some(199));
    let ask = window.ask(From::Around(50));
    window.take(came(ask, 100..200, true, true), |_| true);
    assert_eq!(window.selected().map(|(s, _)| s), Some(100));
}
