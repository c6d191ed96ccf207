//! Text for cells: made inert, cut and wrapped by width; ages, times and numbers as people read them.
//!
//! The store's text was cleaned at the border already. It is cleaned again here, because a screen that trusts its
//! input is driven by it.

use jiff::{Timestamp, tz::TimeZone};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthChar;

/// The letters that conjoining Hangul begins its syllables with, in their order from U+1100 on, as they stand alone.
const HANGUL: &str = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ";

/// One character as it may be drawn, or nothing. Marks that join what stands before them are dropped, since
/// terminals disagree about the width of the result: each character that is left has cells of its own.
fn inert(c: char) -> Option<char> {
    match c {
        // Most text is this, and each frame asks it of thousands of characters.
        ' '..='~' => Some(c),
        '\t' | '\n' => Some(' '),
        c if crate::event::sanitize::ends_line(c) => Some(' '),
        // Variation selectors, skin tones, tags and the combining enclosures change a width after the fact.
        '\u{fe00}'..='\u{fe0f}'
        | '\u{1f3fb}'..='\u{1f3ff}'
        | '\u{e0100}'..='\u{e01ef}'
        | '\u{20d0}'..='\u{20ff}' => None,
        // Two regional indicators are one flag in some terminals and two letters in others.
        '\u{1f1e6}'..='\u{1f1ff}' => char::from_u32(c as u32 - 0x1_f1e6 + u32::from(b'A')),
        // Thai and Lao AM is a ring on the letter before, and the vowel AA, which stands by itself.
        '\u{e33}' | '\u{eb3}' => char::from_u32(c as u32 - 1),
        // The voice marks of half-width kana, as they stand by themselves.
        '\u{ff9e}' | '\u{ff9f}' => char::from_u32(c as u32 - 0xff9e + 0x309b),
        '\u{1100}'..='\u{1112}' => HANGUL.chars().nth(c as usize - 0x1100),
        c if crate::event::sanitize::clean(c.encode_utf8(&mut [0; 4])).is_empty() => None,
        // Other characters without a width (combining marks) would pile up on their neighbour.
        c if c.width().is_none_or(|w| w == 0) || joins(['a', c]) => None,
        // What joins what follows is a letter: its place is kept.
        c if joins([c, 'a']) || joins([c, '\u{ac00}']) => Some('\u{fffd}'),
        c => Some(c),
    }
}

/// The two are one in a cell, as a vowel sign is with its letter.
fn joins(pair: [char; 2]) -> bool {
    // Up to here there are no marks, and most text is.
    const MARKS: char = '\u{300}';
    pair.iter().any(|c| *c >= MARKS) && String::from_iter(pair).graphemes(true).nth(1).is_none()
}

/// How many cells an inert character takes.
pub fn cells(c: char) -> u16 {
    c.width().unwrap_or(0) as u16
}

/// Nothing but printable ASCII, which is inert as it is and takes a cell for each byte.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| matches!(b, b' '..=b'~'))
}

/// The number of cells that `text` takes once it is inert.
pub fn width(text: &str) -> usize {
    if is_plain(text.as_bytes()) {
        return text.len();
    }
    text.chars().filter_map(inert).map(|c| c.width().unwrap_or(0)).sum()
}

/// Cut to `cells` with `…`, never padded. Looks at no more of the text than fits.
pub fn cut(text: &str, cells: usize) -> String {
    // One byte more says whether something is to be cut.
    match text.as_bytes().get(..=cells) {
        None if is_plain(text.as_bytes()) => return text.to_owned(),
        Some(head) if cells > 0 && is_plain(head) => {
            return format!("{}…", text.get(..cells - 1).unwrap_or_default());
        }
        _ => {}
    }
    let mut out = String::new();
    let mut used = 0;
    let mut last = Vec::new();
    for c in text.chars().filter_map(inert) {
        let w = c.width().unwrap_or(0);
        if used + w > cells {
            // Room for the sign that something was cut.
            while used + 1 > cells {
                match last.pop() {
                    Some((at, w)) => {
                        out.truncate(at);
                        used -= w;
                    }
                    None => return out,
                }
            }
            out.push('…');
            return out;
        }
        last.push((out.len(), w));
        out.push(c);
        used += w;
    }
    out
}

/// Cut or padded to exactly `cells`, the text on the left.
pub fn fit(text: &str, cells: usize) -> String {
    let mut out = cut(text, cells);
    out.extend(std::iter::repeat_n(' ', cells.saturating_sub(width(&out))));
    out
}

/// Cut or padded to exactly `cells`, the text on the right.
pub fn fit_right(text: &str, cells: usize) -> String {
    let out = cut(text, cells);
    let mut padded = " ".repeat(cells.saturating_sub(width(&out)));
    padded.push_str(&out);
    padded
}

/// Cut in the middle, so that both ends of a long name can be read.
pub fn fit_middle(text: &str, cells: usize) -> String {
    if width(text) <= cells || cells < 8 {
        return fit(text, cells);
    }
    let clean: Vec<char> = text.chars().filter_map(inert).collect();
    let (head, tail) = ((cells - 1).div_ceil(2), (cells - 1) / 2);
    let mut out = take(clean.iter().copied(), head);
    out.push('…');
    let end: String = take(clean.iter().rev().copied(), tail);
    out.extend(end.chars().rev());
    fit(&out, cells)
}

/// A name in so many cells: its beginning says what it is, a few letters of its end which one of many alike.
pub fn fit_name(text: &str, cells: usize) -> String {
    let end = cells / 5;
    if width(text) <= cells || end < 2 {
        return fit(text, cells);
    }
    let clean: Vec<char> = text.chars().filter_map(inert).collect();
    let tail: String = take(clean.iter().rev().copied(), end);
    let mut out = take(clean.iter().copied(), cells - 1 - width(&tail));
    out.push('…');
    out.extend(tail.chars().rev());
    fit(&out, cells)
}

fn take(chars: impl Iterator<Item = char>, cells: usize) -> String {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= cells
        })
        .collect()
}

/// Wrapped at spaces where there are any, into at most `lines` lines of at most `cells`.
pub fn wrap(text: &str, cells: usize, lines: usize) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    if cells == 0 {
        return out;
    }
    for paragraph in text.split('\n') {
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split([' ', '\t']) {
            let mut word: String = word.chars().filter_map(inert).collect();
            let mut w = width(&word);
            if used > 0 && used + 1 + w > cells {
                out.push(std::mem::take(&mut line));
                used = 0;
            } else if used > 0 {
                line.push(' ');
                used += 1;
            }
            while w > cells {
                let mut part = take(word.chars(), cells.saturating_sub(used).max(1));
                if part.is_empty() {
                    // Not even one wide character fits: it goes alone, or the line would never end.
                    part.extend(word.chars().next());
                }
                let rest = word.get(part.len()..).unwrap_or_default().to_owned();
                line.push_str(&part);
                out.push(std::mem::take(&mut line));
                used = 0;
                if rest.len() == word.len() || out.len() > lines {
                    break;
                }
                w = width(&rest);
                word = rest;
            }
            used += width(&word);
            line.push_str(&word);
            if out.len() > lines {
                break;
            }
        }
        out.push(line);
        if out.len() > lines {
            break;
        }
    }
    if out.len() > lines {
        out.truncate(lines);
        if let Some(last) = out.last_mut() {
            let marked = format!("{last} …");
            *last = if width(&marked) <= cells {
                marked
            } else {
                cut(&format!("{last}…{}", " ".repeat(cells)), cells)
            };
        }
    }
    out
}

/// `45s`, `26m`, `3h12m`, `4d`.
pub fn age(from: Timestamp, now: Timestamp) -> String {
    let secs = now.as_second().saturating_sub(from.as_second()).max(0);
    span(secs)
}

/// How long something lasted that is over, with its seconds while they matter: `45s`, `1m40s`, `26m`.
pub fn lasted(from: Timestamp, end: Timestamp) -> String {
    match end.as_second().saturating_sub(from.as_second()).max(0) {
        secs @ 60..600 if secs % 60 > 0 => format!("{}m{:02}s", secs / 60, secs % 60),
        secs => span(secs),
    }
}

/// A span of seconds.
pub fn span(secs: i64) -> String {
    match secs {
        0..60 => format!("{secs}s"),
        60..3600 => format!("{}m", secs / 60),
        3600..86_400 if secs % 3600 >= 60 && secs < 36_000 => {
            format!("{}h{:02}m", secs / 3600, secs % 3600 / 60)
        }
        3600..172_800 => format!("{}h", secs / 3600),
        _ => format!("{}d", secs / 86_400),
    }
}

/// `09:41:07` today, `Nov 21 09:41` before.
pub fn clock(at: Timestamp, now: Timestamp, tz: &TimeZone) -> String {
    let (at, now) = (at.to_zoned(tz.clone()), now.to_zoned(tz.clone()));
    if at.date() == now.date() {
        at.strftime("%H:%M:%S").to_string()
    } else {
        at.strftime("%b %d %H:%M").to_string()
    }
}

/// `09:41` today, `Nov 21` before: for narrow columns.
pub fn short_clock(at: Timestamp, now: Timestamp, tz: &TimeZone) -> String {
    let (at, now) = (at.to_zoned(tz.clone()), now.to_zoned(tz.clone()));
    if at.date() == now.date() { at.strftime("%H:%M").to_string() } else { at.strftime("%b %d").to_string() }
}

/// `2026-11-21 09:41:07.123`
pub fn full(at: Timestamp, tz: &TimeZone) -> String {
    at.to_zoned(tz.clone()).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

/// `41 207`
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// `1.4 GiB`
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{n} B")
    } else {
        format!("{value:.1} {}", UNITS.get(unit).copied().unwrap_or_default())
    }
}

/// `1 pod`, `3 pods`
pub fn count(n: u64, word: &str) -> String {
    format!("{} {word}{}", number(n), if n == 1 { "" } else { "s" })
}

/// `2 of 20 streams lost`
pub fn lost(lost: usize, all: usize) -> String {
    format!("{lost} of {} lost", count(all as u64, "stream"))
}

/// `is` or `are`
pub fn are(n: u64) -> &'static str {
    if n == 1 { "is" } else { "are" }
}

/// A title without the kind and the name that it begins with, where a column beside it names them.
pub fn without_object<'a>(title: &'a str, object: &crate::event::ObjectRef) -> &'a str {
    let rest = title.strip_prefix(&object.kind).map_or(title, str::trim_start);
    let named =
        rest.strip_prefix(&object.name).filter(|r| !object.name.is_empty() && r.starts_with([' ', ':']));
    match named.map(|r| r.trim_start_matches([':', ' '])) {
        Some(rest) if !rest.is_empty() => rest,
        _ => title,
    }
}

/// A title without the kind and the name of what it is about, or of one of its pods: the column beside it names them.
/// `Pod web-1 in crash loop` → `in crash loop`, `Rollout of Deployment web is stuck` → `Rollout is stuck`.
pub fn without_subject(title: &str, subject: &crate::event::ObjectRef) -> String {
    if subject.kind == crate::event::incident::CLUSTER
        && let Some((before, after)) = title.split_once(&format!(" of {} ", subject.name))
    {
        return format!("{} {after}", before.strip_prefix("The ").unwrap_or(before));
    }
    let words: Vec<&str> = title.split(' ').collect();
    // Both must be sure: of "node not ready" no word may go.
    let named = |pair: &[&str]| {
        let [kind, name] = pair else { return false };
        kind.starts_with(|c: char| c.is_ascii_uppercase())
            && !subject.name.is_empty()
            && name.trim_end_matches(':').starts_with(&subject.name)
    };
    let Some(at) = words.windows(2).position(named).filter(|at| *at == 0 || words.get(at - 1) == Some(&"of"))
    else {
        return title.to_owned();
    };
    let before = words.get(..at.saturating_sub(1)).unwrap_or_default();
    let after = words.get(at + 2..).unwrap_or_default();
    if after.is_empty() { title.to_owned() } else { [before, after].concat().join(" ") }
}

/// kubectl's short word for a kind, the kind itself in lower case where there is none.
pub fn short_kind(kind: &str) -> String {
    match kind {
        "Pod" => "pod".into(),
        "Node" => "node".into(),
        kind => crate::event::Kind::parse(kind).map_or_else(|| kind.to_lowercase(), |k| k.short().to_owned()),
    }
}

/// Whether what an object of this kind counts to is its owner. A Service counts to the workload that it leads to, an
/// autoscaler to the one that it scales, a claim to the one that mounts it: none of them is owned by that.
pub fn is_owned(kind: &str) -> bool {
    use crate::event::Kind;
    !matches!(
        Kind::parse(kind),
        Some(Kind::Service | Kind::HorizontalPodAutoscaler | Kind::PersistentVolumeClaim)
    )
}

/// `deploy/web`: how an object is written in lists.
pub fn object(reference: &crate::event::ObjectRef) -> String {
    format!("{}/{}", short_kind(&reference.kind), reference.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TORTURE: &[&str] = &[
        "\x1b]52;c;aGFjaw==\x07pasted",
        "\x1b[2J\x1b[H\u{9b}31mred",
        "a\u{202e}gnp.exe\u{2066}x\u{2069}",
        "zero\u{200b}\u{200d}\u{feff}width",
        "👩‍👩‍👧‍👦 family 👍🏽 flag 🇩🇪 heart ❤️",
        "漢字かな交じり文ｗｉｄｅ",
        "Z̸̡̢̛̗͉a̷͔͝l̵̰̈g̶̮̓o̷",
        "tab\there\nnew\rline",
        "क्षि देवनागरी ไทย กำ ຳ வணக்கம் മലയാളം",
        "ｶﾞﾊﾟ 한국 \u{1112}\u{1161}\u{11ab}\u{1100}\u{ae00} \u{d4e}ക \u{a960}가",
        "",
    ];

    #[test]
    fn hostile_text_is_inert_and_takes_exactly_its_cells() {
        for text in TORTURE {
            for cells in [0, 1, 2, 7, 20, 80] {
                for out in
                    [fit(text, cells), fit_right(text, cells), fit_middle(text, cells), fit_name(text, cells)]
                {
                    assert_eq!(width(&out), cells, "{text:?} at {cells}: {out:?}");
                    assert_eq!(unicode_width::UnicodeWidthStr::width(out.as_str()), cells, "{out:?}");
                    assert!(out.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{out:?}");
                    assert!(out.graphemes(true).all(|g| g.chars().count() == 1), "{out:?}");
                }
            }
        }
        let long = "x".repeat(8192);
        assert_eq!(fit(&long, 10), "xxxxxxxxx…");
    }

    #[test]
    fn plain_text_is_cut_as_any_other_is() {
        for text in ["", "a", "pod/web-1", "nine cells", "tab\there", "late ünïcode"] {
            for cells in 1..12 {
                // The letter before it is not plain, and takes a cell of its own.
                assert_eq!(cut(&format!("é{text}"), cells + 1), format!("é{}", cut(text, cells)), "{text:?}");
            }
            assert_eq!(width(&format!("é{text}")), 1 + width(text), "{text:?}");
            assert_eq!(cut(text, 0), "");
        }
    }

    #[test]
    fn letters_keep_cells_of_their_own_whatever_joins_them() {
        let inert = |text: &str| text.chars().filter_map(inert).collect::<String>();
        assert_eq!(inert("क्षि देवनागरी"), "कष दवनगर");
        assert_eq!(inert("nel\u{85}ls\u{2028}ps\u{2029}cr\rend"), "nel ls ps cr end");
        assert_eq!(inert("ไทย กำ ຳ"), "ไทย กา າ");
        assert_eq!(inert("ｶﾞﾊﾟ"), "ｶ゛ﾊ゜");
        assert_eq!(inert("한국어 \u{1112}\u{1161}\u{1100}\u{ae00}"), "한국어 ㅎㄱ글");
        assert_eq!(inert("🇩🇪 👍🏽 👩‍👩‍👧 漢字 Ünï é"), "DE 👍 👩👩👧 漢字 Ünï é");
    }

    #[test]
    fn what_was_drawn_over_joined_letters_reaches_the_terminal() {
        use ratatui::{buffer::Buffer, layout::Rect, style::Style};
        let area = Rect::new(0, 0, 40, 1);
        for text in TORTURE {
            let (mut before, after) = (Buffer::empty(area), Buffer::empty(area));
            crate::tui::widgets::paint::pieces(&mut before, area, 0, &[(text, Style::new())]);
            // Of each character the first cell is written anew; a wide one's second goes with it.
            let drawn: Vec<u16> =
                (0..40).filter(|x| before.cell((*x, 0)).is_some_and(|c| c.symbol() != " ")).collect();
            let written: Vec<u16> = before.diff(&after).into_iter().map(|(x, ..)| x).collect();
            for x in drawn {
                let symbol = before.cell((x, 0)).map(|c| c.symbol().to_owned()).unwrap_or_default();
                assert_eq!(symbol.chars().count(), 1, "{text:?}: {symbol:?}");
                assert!(written.contains(&x), "{text:?}: {symbol:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_fits_and_wraps(text in "\\PC*|.*", cells in 1_usize..40, lines in 1_usize..5) {
            let fitted = fit(&text, cells);
            prop_assert_eq!(width(&fitted), cells);
            prop_assert!(fitted.graphemes(true).all(|g| g.chars().count() == 1), "{:?}", fitted);
            let wrapped = wrap(&text, cells, lines);
            prop_assert!(wrapped.len() <= lines);
            // A wide character does not fit into a single cell; everything else does.
            prop_assert!(wrapped.iter().all(|l| width(l) <= cells.max(2)), "{:?}", wrapped);
        }
    }

    #[test]
    fn wrapping_keeps_words_and_says_what_it_cut() {
        assert_eq!(wrap("one two three", 7, 9), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij", 4, 9), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("one two three four", 7, 2), ["one two", "three …"]);
    }

    #[test]
    fn a_title_loses_only_what_stands_beside_it() {
        let object =
            crate::event::ObjectRef { kind: "Pod".into(), name: "web-1".into(), ..Default::default() };
        assert_eq!(without_object("Pod web-1 is not ready", &object), "is not ready");
        assert_eq!(without_object("web-1: a pod was made", &object), "a pod was made");
        assert_eq!(without_object("Pod web-1", &object), "Pod web-1");
        assert_eq!(without_object("Pods are gone", &object), "Pods are gone");
    }

    #[test]
    fn a_cut_name_keeps_what_it_is_and_which_one() {
        assert_eq!(fit_name("pod/mount-missing-6d5b4-sk8f2", 18), "pod/mount-miss…8f2");
        assert_eq!(fit_name("pod/web", 18).trim_end(), "pod/web");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_subject() {
        let subject =
            crate::event::ObjectRef { kind: "Deployment".into(), name: "web".into(), ..Default::default() };
        for (title, words) in [
            ("Pod web-7c9-x2 in crash loop", "in crash loop"),
            ("Rollout of Deployment web is stuck: 0 of 2 updated", "Rollout is stuck: 0 of 2 updated"),
            ("node not ready", "node not ready"),
            ("Deployment web", "Deployment web"),
            ("Rollout of Deployment other is stuck", "Rollout of Deployment other is stuck"),
        ] {
            assert_eq!(without_subject(title, &subject), words);
        }
        let cluster =
            crate::event::ObjectRef { kind: "Cluster".into(), name: "prod".into(), ..Default::default() };
        let title = "The API server of prod does not answer";
        assert_eq!(without_subject(title, &cluster), "API server does not answer");
    }

    #[test]
    fn what_is_over_lasted_to_the_second_while_that_matters() {
        let at = |secs: i64| Timestamp::from_second(secs).unwrap();
        let seen = [45, 60, 100, 599, 600, 1_300].map(|secs| lasted(at(0), at(secs)));
        assert_eq!(seen, ["45s", "1m", "1m40s", "9m59s", "10m", "21m"]);
    }

    #[test]
    fn ages_and_numbers_read_well() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let ago = |s: i64| age(Timestamp::from_second(1_000_000 - s).unwrap(), now);
        assert_eq!(
            [ago(0), ago(59), ago(1560), ago(11_520), ago(90_000), ago(900_000)],
            ["0s", "59s", "26m", "3h12m", "25h", "10d"]
        );
        assert_eq!(number(1_041_207), "1 041 207");
        assert_eq!(bytes(1_503_238_553), "1.4 GiB");
        assert_eq!(
            object(&crate::event::ObjectRef {
                kind: "Rollout".into(),
                name: "x".into(),
                ..Default::default()
            }),
            "rollout/x"
        );
    }
}
