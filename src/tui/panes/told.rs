//! Who was told: the signs of a row, and the words of a detail. What failed is never hidden by what went well.

use jiff::Timestamp;
use ratatui::style::Style;

use crate::{
    event::incident::Phase,
    store::DeliveryState,
    tui::{
        model::Shared,
        msg::{ToldMark, ToldState},
        text,
        theme::Theme,
    },
};

/// A delivery's state as a mark.
pub fn told_state(state: DeliveryState) -> ToldState {
    match state {
        DeliveryState::Delivered => ToldState::Delivered,
        DeliveryState::Dead => ToldState::Dead,
        DeliveryState::Dropped => ToldState::Dropped,
        DeliveryState::Retrying => ToldState::Retrying,
    }
}

/// The sign of a mark.
pub fn sign(state: ToldState) -> &'static str {
    match state {
        ToldState::Waiting => "…",
        ToldState::Delivered => "✓",
        ToldState::Retrying => "↻",
        ToldState::Dead => "✖",
        ToldState::Dropped => "–",
    }
}

/// Its style.
pub fn style(state: ToldState, theme: &Theme) -> Style {
    match state {
        ToldState::Waiting | ToldState::Dropped => theme.dim,
        ToldState::Delivered => theme.good,
        ToldState::Retrying => theme.warn,
        ToldState::Dead => theme.bad,
    }
}

/// The order in which signs are shown where not all fit: what needs a look first.
fn rank(state: ToldState) -> u8 {
    match state {
        ToldState::Dead => 0,
        ToldState::Retrying => 1,
        ToldState::Waiting => 2,
        ToldState::Delivered => 3,
        ToldState::Dropped => 4,
    }
}

/// One state per connector, the worst of its phases.
fn worst(told: &[ToldMark]) -> Vec<(&str, ToldState)> {
    let mut worst: Vec<(&str, ToldState)> = Vec::new();
    for mark in told {
        match worst.iter_mut().find(|(name, _)| *name == mark.connector) {
            Some((_, state)) if rank(mark.state) < rank(*state) => *state = mark.state,
            Some(_) => {}
            None => worst.push((&mark.connector, mark.state)),
        }
    }
    worst
}

/// The same without names, the worst connector first.
fn connectors(told: &[ToldMark]) -> Vec<ToldState> {
    let mut states: Vec<ToldState> = worst(told).into_iter().map(|(_, state)| state).collect();
    states.sort_by_key(|state| rank(*state));
    states
}

/// A sign per connector; `+2` for those that do not fit.
pub fn signs(told: &[ToldMark], cells: usize, theme: &Theme) -> Vec<(String, Style)> {
    let states = connectors(told);
    let fits = cells.div_ceil(2);
    let shown = if states.len() <= fits {
        states.len()
    } else {
        let rest = format!("+{}", states.len() + 1 - fits);
        (cells.saturating_sub(text::width(&rest)) / 2).max(1)
    };
    let mut signs: Vec<(String, Style)> =
        states.iter().take(shown).map(|s| (format!("{} ", sign(*s)), style(*s, theme))).collect();
    if states.len() > shown {
        signs.push((format!("+{}", states.len() - shown), theme.dim));
    }
    signs
}

/// What becomes of a message that failed: when it is tried again, or why it is not for now.
pub fn again(connector: &str, next_at: Option<Timestamp>, shared: &Shared) -> String {
    let known = shared.status.iter().flat_map(|s| &s.connectors).find(|c| c.name == connector);
    match (known, next_at) {
        (Some(c), _) if c.state != "on" => format!("waits, it is {}", c.state),
        (None, _) if shared.is_watch_only() => "waits, it is not used".to_owned(),
        // Only an engine tries, and knows whether it does.
        _ if shared.gone.is_some() => "waits, no engine runs".to_owned(),
        _ if shared.silent.is_some() => "may be tried again".to_owned(),
        (_, Some(at)) if at > shared.now => format!("tried again at {}", shared.clock(at)),
        _ => "tried again".to_owned(),
    }
}

fn words(mark: &ToldMark, shared: &Shared) -> String {
    match mark.state {
        ToldState::Delivered => shared.clock(mark.at),
        ToldState::Waiting => "waits".to_owned(),
        ToldState::Dropped if mark.detail.is_empty() => "not told".to_owned(),
        // Answered by a digest, or its reason in words that say so already.
        ToldState::Dropped if mark.detail.starts_with("told ") => text::cut(&mark.detail, 150),
        ToldState::Dropped => {
            let why = mark.detail.strip_prefix("not told, ").unwrap_or(&mark.detail);
            format!("not told: {}", text::cut(why, 150))
        }
        ToldState::Dead => format!("given up: {}", text::cut(&mark.detail, 150)),
        ToldState::Retrying => {
            let again = again(&mark.connector, mark.next_at, shared);
            format!("{again}: {}", text::cut(&mark.detail, 150))
        }
    }
}

/// How many connectors stand how, those by name with which something is wrong, and as much of the worst one's words as
/// fits: `✖ 1 revoked  ✓ 4  given up: HTTP 401`.
pub fn counts(marks: &[ToldMark], shared: &Shared, width: usize) -> Vec<(String, Style)> {
    let theme = &shared.theme;
    let mut states: Vec<(ToldState, Vec<&str>)> = Vec::new();
    for (name, state) in worst(marks) {
        match states.iter_mut().find(|(of, _)| *of == state) {
            Some((_, names)) => names.push(name),
            None => states.push((state, vec![name])),
        }
    }
    states.sort_by_key(|(state, _)| rank(*state));
    let wrong = |state: ToldState| rank(state) <= rank(ToldState::Retrying);
    let mut pieces = Vec::new();
    for (state, names) in states {
        let gap = if pieces.is_empty() { "" } else { "  " };
        pieces.push((format!("{gap}{} {}", sign(state), names.len()), style(state, theme)));
        if wrong(state) {
            pieces.push((format!(" {}", names.join(", ")), theme.dim));
        }
    }
    let used: usize = pieces.iter().map(|(piece, _)| text::width(piece)).sum();
    let worst = marks.iter().filter(|m| wrong(m.state)).min_by_key(|m| rank(m.state));
    if let Some(mark) = worst.filter(|_| used + 12 < width) {
        let words = text::cut(&words(mark, shared), width - used - 2);
        pieces.push((format!("  {words}"), theme.dim));
    }
    pieces
}

/// What each connector was told, in pieces that belong together: `slack opened ✓ 09:14:23, resolved ↻ …`.
pub fn told(marks: &[ToldMark], shared: &Shared) -> Vec<Vec<(String, Style)>> {
    let theme = &shared.theme;
    let mut names: Vec<&str> = marks.iter().map(|m| m.connector.as_str()).collect();
    names.dedup();
    let worst = |name: &str| {
        let own = marks.iter().filter(|m| m.connector == name);
        own.map(|m| rank(m.state)).filter(|r| *r < 3).min().unwrap_or(3)
    };
    // What failed or waits first; the rest stays by name.
    names.sort_by_key(|name| worst(name));
    let mut out = Vec::new();
    for name in names {
        let own: Vec<&ToldMark> = marks.iter().filter(|m| m.connector == name).collect();
        let only = own.len() == 1;
        let mut pieces = vec![(format!("{name} "), Style::new())];
        for (i, mark) in own.iter().enumerate() {
            // One opening is what everybody expects: it needs no word.
            if !(only && mark.phase == Phase::Opened) {
                pieces.push((format!("{} ", mark.phase.as_str()), theme.dim));
            }
            pieces.push((sign(mark.state).to_owned(), style(mark.state, theme)));
            let comma = if i + 1 < own.len() { ", " } else { "" };
            pieces.push((format!(" {}{comma}", words(mark, shared)), theme.dim));
        }
        out.push(pieces);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::MONO;

    fn mark(connector: &str, phase: Phase, state: ToldState) -> ToldMark {
        ToldMark {
            connector: connector.into(),
            phase,
            state,
            at: jiff::Timestamp::UNIX_EPOCH,
            next_at: None,
            detail: String::new(),
        }
    }

    fn shown(told: &[ToldMark], cells: usize) -> String {
        signs(told, cells, &MONO).into_iter().map(|(t, _)| t).collect::<String>().trim_end().to_owned()
    }

    #[test]
    fn the_only_failure_is_seen_however_narrow_it_is() {
        use ToldState as S;
        let told = [
            mark("a", Phase::Opened, S::Delivered),
            mark("b", Phase::Opened, S::Waiting),
            mark("c", Phase::Opened, S::Delivered),
            mark("d", Phase::Opened, S::Dead),
        ];
        assert_eq!(shown(&told, 6), "✖ … +2");
        assert_eq!(shown(&told, 12), "✖ … ✓ ✓");
        assert_eq!(shown(&told[..3], 6), "… ✓ ✓");
        assert_eq!(shown(&told, 2), "✖ +3");
    }

    #[test]
    fn a_detail_begins_with_what_failed_and_tells_each_phase() {
        let marks = [
            mark("a", Phase::Opened, ToldState::Delivered),
            mark("b", Phase::Opened, ToldState::Delivered),
            mark("b", Phase::Resolved, ToldState::Dead),
        ];
        let model = crate::tui::model::Model::new(
            &crate::tui::Options::default(),
            crate::tui::Keymap::new(&std::collections::BTreeMap::new()).unwrap(),
            MONO,
            jiff::Timestamp::UNIX_EPOCH,
        );
        let lines: Vec<String> = told(&marks, &model.shared)
            .into_iter()
            .map(|pieces| pieces.into_iter().map(|(t, _)| t).collect())
            .collect();
        assert_eq!(lines, ["b opened ✓ 00:00:00, resolved ✖ given up: ", "a ✓ 00:00:00"]);
    }

    #[test]
    fn a_connector_is_as_ill_as_its_worst_phase() {
        let told = [
            mark("a", Phase::Opened, ToldState::Delivered),
            mark("a", Phase::Resolved, ToldState::Retrying),
            mark("b", Phase::Opened, ToldState::Delivered),
        ];
        assert_eq!(shown(&told, 6), "↻ ✓");
    }
}
