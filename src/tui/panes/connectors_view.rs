//! How the connectors look.

use ratatui::{Frame, buffer::Buffer, layout::Rect, style::Style};

use super::connectors::{Connectors, Order};
use crate::{
    status::ConnectorStatus,
    tui::{action::Action as A, model::Shared, text, widgets::paint},
};

pub fn view(pane: &mut Connectors, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
    let theme = &shared.theme;
    let buf = frame.buffer_mut();
    if pane.rows.is_empty() {
        let (head, line) = match &shared.status {
            None if !shared.is_watched() => {
                ("the engine does not answer", "Neither the configuration nor the store names a connector.")
            }
            None => ("connecting …", "No word from the engine yet."),
            Some(_) => (
                "nobody is told: there is no connector",
                "Add one as [[connectors]] in the configuration file, then run :reload. `barrelman check` tells whether it works.",
            ),
        };
        paint::notice(buf, area, (head, theme.warn), &[line.to_owned()], theme);
        return;
    }
    let below = if area.height >= 12 && !shared.zoom { 9.min(area.height / 2) } else { 0 };
    let list = Rect { height: area.height - below, ..area };
    table(pane, buf, list, shared);
    if let Some(connector) = pane.rows.get(pane.cursor.at).filter(|_| below > 0) {
        let room = Rect { y: area.y + list.height, height: below, ..area };
        detail(pane, connector, buf, room, shared);
    }
}

/// The glyph, the word and the style of a state.
fn state<'a>(
    pane: &Connectors,
    connector: &'a ConnectorStatus,
    shared: &Shared,
) -> (&'static str, &'a str, Style) {
    let theme = &shared.theme;
    match connector.state.as_str() {
        // On is what sends, and nobody does.
        "on" if shared.gone.is_some() => ("✖", "stopped", theme.bad),
        "on" if shared.silent.is_some() => ("◌", "not known", theme.warn),
        "on" if pane.fails(connector) => ("▲", "failing", theme.warn),
        "on" if connector.dead > 0 => ("▲", "on", theme.warn),
        "on" => ("●", "on", theme.good),
        "off" => ("○", "off", theme.dim),
        "not known" if shared.is_watch_only() => ("○", "not used", theme.accent),
        "not known" => ("◌", "not known", theme.warn),
        "not used" => ("○", "not used", theme.accent),
        "paused" => ("▮", "paused", theme.bad),
        other => ("✖", other, theme.bad),
    }
}

fn table(pane: &mut Connectors, buf: &mut Buffer, area: Rect, shared: &Shared) {
    let theme = &shared.theme;
    let last_width = if shared.absolute { 23 } else { 9 };
    let wide = area.width >= 100;
    let longest = pane.rows.iter().map(|c| text::width(&c.name)).max().unwrap_or(0);
    let name_width = longest.clamp(5, if wide { 30 } else { 20 });
    let origin_width = if wide { 12 } else { 0 };
    let head = format!(
        " {} {} {} {} {} {} {}{}",
        text::fit(if pane.order == Order::Name { "NAME▼" } else { "NAME" }, name_width),
        text::fit("TYPE", 12),
        text::fit(if pane.order == Order::State { "  STATE▼" } else { "  STATE" }, 12),
        text::fit("LAST OK", last_width),
        text::fit_right(if pane.order == Order::Queue { "QUEUE▼" } else { "QUEUE" }, 7),
        text::fit_right("DEAD", 5),
        text::fit(" FROM", origin_width),
        " WHY"
    );
    paint::pieces(buf, area, 0, &[(&head, theme.title)]);
    let height = usize::from(area.height.saturating_sub(1));
    pane.cursor.line = area.y + 1;
    let visible = pane.cursor.visible(pane.rows.len(), height);
    for (line, i) in visible.enumerate() {
        let Some(c) = pane.rows.get(i) else { break };
        let line = line as u16 + 1;
        let (mark, word, style) = state(pane, c, shared);
        let never = if pane.whole { "never" } else { "–" };
        let last = pane.last(c).map_or_else(|| never.to_owned(), |at| shared.age(at));
        let dead_style = if c.dead > 0 { theme.bad } else { theme.dim };
        let failure = pane.failure(c).filter(|(at, _)| Some(*at) > pane.last(c) || c.dead > 0);
        let why = if c.why.is_empty() { failure.map_or("", |(_, e)| e) } else { &c.why };
        paint::pieces(
            buf,
            area,
            line,
            &[
                (" ", Style::new()),
                (&text::fit(&c.name, name_width), Style::new()),
                (" ", Style::new()),
                (&text::fit(&c.kind, 12), theme.dim),
                (" ", Style::new()),
                (mark, style),
                (&text::fit(&format!(" {word}"), 11), style),
                (" ", Style::new()),
                (&text::fit(&last, last_width), Style::new()),
                (&text::fit_right(&text::number(c.queued + c.in_flight), 8), Style::new()),
                (&text::fit_right(&text::number(c.dead), 6), dead_style),
                (" ", Style::new()),
                (&text::fit(&c.origin, origin_width), theme.dim),
                (" ", Style::new()),
                (why, theme.dim),
            ],
        );
        if i == pane.cursor.at {
            paint::select(buf, area, line, theme);
        }
    }
}

fn detail(pane: &Connectors, c: &ConnectorStatus, buf: &mut Buffer, area: Rect, shared: &Shared) {
    let theme = &shared.theme;
    paint::rule(buf, area, 0, &format!("{} · {} · {}", c.name, c.kind, state(pane, c, shared).1), theme);
    let mut lines: Vec<(&str, String, Style)> = Vec::new();
    if !c.why.is_empty() {
        lines.push(("why", c.why.clone(), theme.bad));
    }
    if let Some((at, error)) = pane.failure(c) {
        lines.push(("failed", format!("{}  {error}", shared.clock(*at)), theme.warn));
    }
    let tried = pane.next_attempt(c).filter(|at| *at > shared.now || pane.fails(c));
    if let Some(at) = tried.filter(|_| shared.is_watched() && c.state == "on") {
        let again = if at > shared.now {
            shared.moving.set(true);
            format!("at {}, in {}", shared.clock(at), text::age(shared.now, at))
        } else {
            "now".to_owned()
        };
        let text = format!(
            "tried again {again}; what it does not take in {} becomes a dead letter",
            shared.horizon_words()
        );
        lines.push(("again", text, theme.warn));
    }
    if let Some(at) = pane.last(c) {
        lines.push(("last ok", shared.clock(at), theme.good));
    }
    let oldest = c
        .oldest
        .map(|at| format!(", the oldest {} old", text::age(at, shared.known_to())))
        .unwrap_or_default();
    lines.push(("queue", format!("{} waiting, {} being sent{oldest}", c.queued, c.in_flight), Style::new()));
    lines.push((
        "count",
        format!(
            "{} delivered, {} failed since the engine started; {}",
            text::number(c.delivered),
            text::count(c.failed, "attempt"),
            text::count(c.dead, "dead letter")
        ),
        Style::new(),
    ));
    if let Some(until) = c.paused_until.filter(|at| *at > shared.now) {
        shared.moving.set(true);
        lines.push((
            "silent",
            format!("the destination asked for silence, {} more", text::age(shared.now, until)),
            theme.warn,
        ));
    }
    lines.push(("next", next_step(pane, c, shared), theme.accent));
    let mut y = 1;
    for (word, rest, style) in lines {
        for (i, part) in
            text::wrap(&rest, usize::from(area.width).saturating_sub(11), 3).into_iter().enumerate()
        {
            let word = text::fit(if i == 0 { word } else { "" }, 9);
            paint::pieces(buf, area, y, &[(" ", theme.key), (&word, theme.key), (&part, style)]);
            y += 1;
        }
    }
}

/// What a person does next about it.
fn next_step(pane: &Connectors, c: &ConnectorStatus, shared: &Shared) -> String {
    let key = |a| shared.keymap.shown(a);
    if !shared.is_watched() {
        return "nothing is sent while no engine answers".to_owned();
    }
    match c.state.as_str() {
        "incomplete" => format!("complete it where it was made ({}), then :reload", c.origin),
        "paused" => format!("mend it, test with {}, then switch it on with {}", key(A::Test), key(A::Toggle)),
        "off" if shared.is_watch_only() => format!(
            "{} switches it on for an engine that delivers: under --watch-only nothing is sent, no test either",
            key(A::Toggle)
        ),
        "off" => format!("{} switches it on; {} sends a test", key(A::Toggle), key(A::Test)),
        "not used" => {
            "start without --watch-only to deliver; what waits is sent then, if it is not too old".to_owned()
        }
        _ if pane.fails(c) && c.queued + c.in_flight > 0 => format!(
            "see that the service can be reached and answers; {} tests it, and what waits goes out by itself then",
            key(A::Test)
        ),
        _ if c.dead > 0 => format!("{} retries the dead letters; ⏎ and Tab show them", key(A::Retry)),
        _ if pane.fails(c) => {
            format!("see that the service can be reached and answers; {} tests it", key(A::Test))
        }
        _ => format!("{} sends a test; ⏎ shows what was sent", key(A::Test)),
    }
}
