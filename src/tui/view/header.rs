//! The lines on top: which clusters, how they are, whose engine; the tabs; the filter.

use ratatui::{
    Frame,
    buffer::Buffer,
    layout::{Position, Rect},
    style::{Modifier, Style},
};

use crate::{
    status::{ClusterState, ClusterStatus, StreamState},
    tui::{
        model::{Model, Shared},
        options::Engine,
        overlays::range,
        panes::PANES,
        text,
        theme::Theme,
        widgets::paint,
    },
};

/// ` prod-eu [RO] ▸ all namespaces      ● LIVE 42/s · since 08:57 · 1 gap · forwarder, pid 4711`
pub fn line(head: &Head, buf: &mut Buffer, area: Rect, theme: &Theme) {
    let Head { cluster, scope, .. } = head;
    let mut right = vec![head.state.clone()];
    for (extra, style) in &head.shown {
        // In a style of its own: what is underlined is the word.
        right.push((" · ".to_owned(), theme.dim));
        right.push((extra.clone(), *style));
    }
    let shown: usize = right.iter().map(|(t, _)| text::width(t)).sum();
    let start = area.width.saturating_sub(shown as u16 + 1);
    // Never name against state: a blank keeps them apart.
    let room = Rect { width: start.saturating_sub(1), ..area };
    paint::pieces(
        buf,
        room,
        0,
        &[
            (" ", Style::new()),
            (cluster, theme.title),
            (" [RO] ", theme.dim),
            ("▸ ", theme.dim),
            (scope, Style::new()),
        ],
    );
    let pieces: Vec<(&str, Style)> = right.iter().map(|(t, s)| (t.as_str(), *s)).collect();
    paint::pieces(buf, Rect { x: area.x + start, width: area.width - start, ..area }, 0, &pieces);
}

/// Which clusters, in a few words.
fn clusters(shared: &Shared) -> String {
    let told = shared.status.iter().flat_map(|s| &s.clusters).map(|c| &c.name);
    // Where no engine says it, the store knows what it is of.
    let stored = shared.totals.clusters.iter().filter(|_| shared.status.is_none());
    let names: Vec<&str> = told.chain(stored).map(String::as_str).collect();
    match names.as_slice() {
        [] => "barrelman".to_owned(),
        [one] => (*one).to_owned(),
        [one, two] => format!("{one}, {two}"),
        [one, rest @ ..] => format!("{one}, +{}", rest.len()),
    }
}

/// What the first line says, and what has no room there: put together once for a frame.
pub struct Head {
    cluster: String,
    scope: String,
    state: (String, Style),
    shown: Extras,
    rest: Extras,
}

impl Head {
    /// As it is now, in so many cells.
    pub fn new(shared: &Shared, width: u16) -> Self {
        let (cluster, scope, state) = (clusters(shared), shared.scope_words(), state(shared));
        let left = text::width(&cluster) + text::width(&scope) + 10;
        let room = usize::from(width).saturating_sub(left + text::width(&state.0) + 2);
        let (shown, rest) = split(extras(shared, room), room);
        Self { cluster, scope, state, shown, rest }
    }
}

type Extras = Vec<(String, Style)>;

/// What fits into so many cells, and the rest; one that is too long does not keep out those behind it.
fn split(extras: Extras, room: usize) -> (Extras, Extras) {
    let mut used = 0;
    extras.into_iter().partition(|(extra, _)| {
        let wide = text::width(extra) + 3;
        let fits = used + wide <= room;
        used += if fits { wide } else { 0 };
        fits
    })
}

/// Live, disconnected, syncing, or without an engine.
fn state(shared: &Shared) -> (String, Style) {
    let theme = &shared.theme;
    let tenths = shared.tenths();
    shared.drawn_rate.set(tenths);
    let whole = tenths >= 100 || tenths == 0;
    let rate = tenths as f64 / 10.0;
    let rate = if whole { format!("{rate:.0}/s") } else { format!("{rate:.1}/s") };
    if let Some(at) = shared.gone {
        return (format!("✖ ENGINE GONE {}", shared.ago(at)), theme.bad);
    }
    if let Some(at) = shared.silent {
        return (format!("✖ ENGINE SILENT {}", shared.ago(at)), theme.bad);
    }
    let Some(status) = &shared.status else { return ("◌ connecting".to_owned(), theme.warn) };
    if status.store.error.is_some() {
        return ("✖ STORE FAILS".to_owned(), theme.bad);
    }
    let away = shared.disconnected().count();
    if away > 0 && away == status.clusters.len() {
        return ("◌ DISCONNECTED".to_owned(), theme.bad);
    }
    if away > 0 {
        return (format!("◌ {away} of {} AWAY {rate}", status.clusters.len()), theme.bad);
    }
    let back = shared.away().filter_map(|c| shared.coming_back(c));
    let (lost, all) = back.fold((0, 0), |(lost, all), (l, a)| (lost + l, all + a));
    if lost > 0 {
        return (format!("◌ {} {rate}", text::lost(lost, all)), theme.warn);
    }
    let connecting = status.clusters.iter().any(|c| c.state == ClusterState::Connecting);
    if connecting || status.clusters.is_empty() {
        return ("◌ connecting".to_owned(), theme.warn);
    }
    if status.clusters.iter().flat_map(|c| &c.streams).any(|s| s.state == StreamState::Syncing) {
        return (format!("◌ SYNCING {rate}"), theme.warn);
    }
    (format!("● LIVE {rate}"), theme.good)
}

/// What fits behind it, the most important first.
fn extras(shared: &Shared, room: usize) -> Extras {
    let theme = &shared.theme;
    let mut out = Vec::new();
    // Whatever else is amiss has its mark on a tab; this has no other place.
    if let Engine::Attached(label) = &shared.engine {
        let whole = format!("shows {label}");
        let process = label.rsplit(", ").next().unwrap_or(label);
        let fits = text::width(&whole) + 3 <= room;
        out.push((if fits { whole } else { format!("shows {process}") }, theme.accent));
    }
    let dead = shared.dead();
    if dead > 0 {
        out.push((format!("{} dead", text::number(dead)), theme.bad));
    }
    let failing = shared.failing();
    if failing > 0 {
        out.push((format!("{} failing", text::number(failing)), theme.warn));
    }
    // Live, and yet nobody is told.
    if shared.is_watch_only() {
        out.push(("watch only".to_owned(), theme.accent));
    }
    let forbidden = shared.status.iter().flat_map(|s| &s.clusters).flat_map(|c| &c.streams);
    let forbidden = forbidden.filter(|s| matches!(s.state, StreamState::Forbidden { .. })).count();
    if forbidden > 0 {
        out.push((format!("{forbidden} forbidden"), theme.warn));
    }
    let waiting = shared.waiting();
    if waiting > 0 {
        out.push((format!("{} waiting", text::number(waiting)), theme.dim));
    }
    let gaps = shared.gaps();
    let since = shared.status.as_ref().and_then(|s| s.store.oldest_event).or(shared.totals.oldest);
    let since = since.map(|at| format!("since {}", text::short_clock(at, shared.now, &shared.tz)));
    // How far back, and what is missing in it, belong together.
    match (since, gaps) {
        (Some(since), 0) => out.push((since, theme.dim)),
        (Some(since), n) => out.push((format!("{since} ({})", text::count(n as u64, "gap")), theme.warn)),
        (None, 0) => {}
        (None, n) => out.push((text::count(n as u64, "gap"), theme.warn)),
    }
    // Quiet is what was seen, not what nobody looked at.
    let looking = shared.away().next().is_none() && shared.is_watched();
    if looking && shared.open_incidents == 0 && shared.incidents_read {
        let quiet = shared.quiet_since.map(|at| format!("all quiet {}", shared.lasting(at)));
        out.push((quiet.unwrap_or_else(|| "all quiet".into()), theme.good));
    }
    out
}

/// What a person must know that does not fit into the first line: at most four lines.
pub fn trouble(shared: &Shared, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if shared.gone.is_some() {
        let next = if shared.engine == Engine::Own {
            "q quits"
        } else {
            ":take-over watches and delivers from here"
        };
        lines.push(format!(" the engine has stopped; what is shown is what was stored. {next}"));
    }
    lines.extend(silence(shared).map(|l| format!(" {l}")));
    if let Some(error) =
        shared.status.as_ref().and_then(|s| s.store.error.as_ref()).or(shared.store_error.as_ref())
    {
        lines.push(format!(" {error}"));
    }
    lines.extend(away_line(shared).map(|l| format!(" {l}")));
    lines.truncate(2);
    match lines.as_slice() {
        // What to do about it stands at the end: alone it may take all of them.
        [only] => wrapped(only, width, 4),
        _ => lines.iter().flat_map(|l| wrapped(l, width, 2)).collect(),
    }
}

fn wrapped(line: &str, width: usize, lines: usize) -> Vec<String> {
    let parts = text::wrap(line.trim_start(), width.saturating_sub(2), lines);
    parts.into_iter().map(|l| format!(" {l}")).collect()
}

/// An engine that is there and says nothing: what that means, and what to do.
fn silence(shared: &Shared) -> Option<String> {
    let at = shared.clock(shared.silent?);
    let next = match (&shared.engine, shared.engine_pid()) {
        (Engine::Own, _) => "Look at its disk and at :logs".to_owned(),
        (Engine::Attached(_), None) => "Look at its process".to_owned(),
        (Engine::Attached(_), Some(pid)) => {
            format!("Look at process {pid}; `kill -9 {pid}`, then :take-over")
        }
    };
    Some(format!("no word from the engine since {at}: it hangs, nobody may watch or be told. {next}"))
}

/// Where somebody goes who has no cluster yet.
pub const NO_CLUSTER: &str =
    "`barrelman check` looks at every step of the way there; `barrelman demo` needs no cluster.";

/// Which cluster is away, why, and when it is tried again.
pub fn away_line(shared: &Shared) -> Option<String> {
    let lost = |c: &&ClusterStatus| shared.coming_back(c).is_none_or(|(lost, _)| lost > 0);
    let mut away: Vec<_> = shared.away().filter(lost).collect();
    away.sort_by_key(|c| shared.coming_back(c).is_some());
    let cluster = *away.first()?;
    let ClusterState::Away { since, why, retry_at } = &cluster.state else { return None };
    shared.moving.set(true);
    let retry = retry_at.map(|at| format!(" · retry in {}", text::age(shared.now, at))).unwrap_or_default();
    let others = away.len() - 1;
    let others = if others > 0 { format!(" · {others} more, see 8") } else { String::new() };
    let name = &cluster.name;
    if let Some((lost, all)) = shared.coming_back(cluster) {
        let lost = text::lost(lost, all);
        return Some(format!("◌ {name} answers again, {lost}{retry} (r: now) · last asked: {why}{others}"));
    }
    Some(format!(
        "◌ {name} DISCONNECTED {}{retry} (r: now) · {why}{others} · stored events stay",
        shared.age(*since)
    ))
}

/// The tabs as they are shown in this width, and whether each is the current one.
fn titles(model: &Model, head: &Head, width: u16) -> Vec<(String, bool)> {
    let build = |narrow: bool| -> Vec<(String, bool)> {
        PANES
            .iter()
            .zip(&model.panes)
            .enumerate()
            .map(|(i, (def, pane))| {
                let title = if narrow { def.title.1 } else { def.title.0 };
                (format!(" {} {title}{} ", def.number, pane.badge(&model.shared)), i == model.current)
            })
            .collect()
    };
    let cells = |tabs: &[(String, bool)]| tabs.iter().map(|(t, _)| text::width(t)).sum::<usize>();
    let (wide, narrow) = (build(false), build(true));
    let room = |tabs: &[(String, bool)]| usize::from(width).saturating_sub(cells(tabs));
    // The names give way where that makes room for what the first line could not say.
    let rest = &head.rest;
    let all: usize = rest.iter().map(|(t, _)| text::width(t) + 3).sum();
    let gains = rest.iter().any(|(t, _)| text::width(t) < room(&narrow));
    let fits = cells(&wide) <= width.into();
    if fits && (all <= room(&wide) || !gains) { wide } else { narrow }
}

/// The tab under a column.
pub fn tab_at(model: &Model, column: u16) -> Option<usize> {
    let mut end = 0;
    let width = model.shared.size.0;
    titles(model, &Head::new(&model.shared, width), width).iter().position(|(title, _)| {
        end += text::width(title);
        usize::from(column) < end
    })
}

/// ` 1 Incidents(3)  2 Stream  6 Connectors(2 on) …`
pub fn tabs(model: &Model, head: &Head, buf: &mut Buffer, area: Rect) {
    let theme = &model.shared.theme;
    let tabs = titles(model, head, area.width);
    // What had no room in the first line stands here, where there is some.
    let used: usize = tabs.iter().map(|(t, _)| text::width(t)).sum();
    // The first of them has no dot before it.
    let room = usize::from(area.width).saturating_sub(used + 1) + 3;
    let rest = split(head.rest.clone(), room).0;
    let words: Vec<String> = rest.iter().map(|(t, _)| t.clone()).collect();
    if let Some((_, style)) = rest.first() {
        paint::right(buf, area, 0, (&format!("{} ", words.join(" · ")), *style), used as u16);
    }
    let pieces: Vec<(&str, Style)> = tabs
        .iter()
        .map(|(t, current)| {
            let style = if *current { theme.title.add_modifier(Modifier::REVERSED) } else { theme.dim };
            (t.as_str(), style)
        })
        .collect();
    paint::pieces(buf, area, 0, &pieces);
}

/// The filter and how many pass; while it is being written, the cursor and what is wrong. Answers the lines used.
pub fn filter(model: &Model, frame: &mut Frame<'_>, area: Rect) -> u16 {
    let shared = &model.shared;
    let theme = &shared.theme;
    let Some(pane) = model.panes.get(model.current) else { return 0 };
    let Some(filter) = pane.filter() else { return 0 };
    let count = pane.count(shared);
    let range = shared.range.map(|r| format!("[{}] ", range::words(r))).unwrap_or_default();
    let one = Rect { height: 1, ..area };
    let Some(prompt) = &model.prompt else {
        let text = if filter.is_empty() { "all".to_owned() } else { shared.worded(filter.source()) };
        let style = if filter.is_empty() { theme.dim } else { theme.accent };
        paint::right(frame.buffer_mut(), one, 0, (&format!("{count} "), theme.dim), 20);
        let room = one.width.saturating_sub(text::width(&count) as u16 + 2);
        paint::pieces(
            frame.buffer_mut(),
            Rect { width: room, ..one },
            0,
            &[(" / ", theme.key), (&range, theme.accent), (&text, style)],
        );
        return 1;
    };
    let (before, after) = prompt.editor.halves();
    // A long line is shown from where the cursor is in sight.
    let room = usize::from(area.width).saturating_sub(6);
    let mut shown = before;
    while text::width(shown) > room {
        shown = shown.char_indices().nth(1).and_then(|(i, _)| shown.get(i..)).unwrap_or_default();
    }
    let hidden = text::width(before) - text::width(shown);
    let x = paint::pieces(frame.buffer_mut(), one, 0, &[(" / ", theme.key), (shown, Style::new())]);
    paint::pieces(
        frame.buffer_mut(),
        Rect { x, width: area.right().saturating_sub(x), ..one },
        0,
        &[(after, Style::new())],
    );
    if model.overlays.is_empty() {
        frame.set_cursor_position(Position::new(x.min(area.right().saturating_sub(1)), area.y));
    }
    let Some(error) = &prompt.error else {
        paint::right(
            frame.buffer_mut(),
            one,
            0,
            (&format!("{count} "), theme.dim),
            x + text::width(after) as u16 + 2,
        );
        return 1;
    };
    let start = error.source.get(..error.span.start).map_or(0, text::width).saturating_sub(hidden);
    let wide = error.source.get(error.span.clone()).map_or(1, text::width).max(1);
    let caret = format!("   {}{}", " ".repeat(start), "^".repeat(wide));
    paint::pieces(frame.buffer_mut(), area, 1, &[(&caret, theme.bad)]);
    let mut used = 2;
    for line in text::wrap(&error.message, usize::from(area.width).saturating_sub(4), 3) {
        paint::pieces(frame.buffer_mut(), area, used, &[("   ", theme.bad), (&line, theme.bad)]);
        used += 1;
    }
    used.min(area.height)
}
