//! Health: clusters, streams with their last activity, missing rights, memory, database; each trouble with what to
//! do about it.

use ratatui::{Frame, layout::Rect, style::Style};

use super::{Pane, PaneDef};
use crate::{
    feed::Feed,
    status::{ClusterState, ClusterStatus, Status, StreamState, StreamStatus},
    tui::{
        action::Action as A,
        effect::{Effect, Query},
        keymap::{Binding, bind},
        model::Shared,
        text,
        theme::Theme,
        widgets::paint,
    },
};

/// Cells of a wrapped value: what 80 columns leave beside the word.
const ROW: usize = 66;

const BINDINGS: &[Binding] = &[
    bind(A::Open, &["enter"], "streams", "Shows every stream, or only those that are not well", 10),
    bind(A::Logs, &["L"], "logs", "The log file of this process", 20),
    bind(A::Messages, &["M"], "messages", "Every message of this session", 30),
];

/// Its definition.
pub const DEF: PaneDef = PaneDef {
    number: 8,
    name: "health",
    title: ("Health", "Health"),
    show: A::Screen8,
    bindings: BINDINGS,
    make: || Box::new(Health::default()),
};

/// Its state.
#[derive(Default)]
pub struct Health {
    scroll: usize,
    /// Streams that are well are listed too.
    all: bool,
}

type Line = Vec<(String, Style)>;

fn line(word: &str, rest: impl Into<String>, style: Style, theme: &Theme) -> Line {
    vec![(format!(" {}", text::fit(word, 12)), theme.key), (rest.into(), style)]
}

impl Health {
    fn lines(&self, shared: &Shared, width: usize) -> Vec<Line> {
        let theme = &shared.theme;
        let Some(status) = &shared.status else {
            return vec![vec![(" connecting …  no word from the engine yet".to_owned(), theme.warn)]];
        };
        let mut out = Vec::new();
        for warning in &status.warnings {
            for part in text::wrap(warning, width.saturating_sub(4), 4) {
                out.push(vec![(" ▲ ".to_owned(), theme.warn), (part, theme.warn)]);
            }
        }
        for cluster in &status.clusters {
            self.cluster(&mut out, cluster, shared, width);
        }
        engine(&mut out, status, shared);
        database(&mut out, status, shared);
        out
    }

    fn cluster(&self, out: &mut Vec<Line>, cluster: &ClusterStatus, shared: &Shared, width: usize) {
        let theme = &shared.theme;
        out.push(vec![(format!("Cluster {}", cluster.name), theme.title)]);
        let (text, style) = cluster_state(cluster, shared);
        for (i, part) in text::wrap(&text, width.saturating_sub(14), 4).into_iter().enumerate() {
            out.push(line(if i == 0 { "state" } else { "" }, part, style, theme));
        }
        let secs = (shared.now.as_second()
            - shared.status.as_ref().map_or(shared.now, |s| s.started_at).as_second())
        .max(1);
        let rate = cluster.requests as f64 / secs as f64;
        out.push(line("server", format!("{} {}", cluster.server, cluster.version), Style::new(), theme));
        out.push(line(
            "objects",
            format!(
                "{} held · {} requests, {rate:.1}/s since the start",
                text::number(cluster.objects),
                text::number(cluster.requests)
            ),
            Style::new(),
            theme,
        ));
        let ill: Vec<&StreamStatus> = cluster.streams.iter().filter(|s| self.all || stream_ill(s)).collect();
        let live = cluster.streams.iter().filter(|s| s.state == StreamState::Live).count();
        let quietest = cluster
            .streams
            .iter()
            .filter(|s| s.state == StreamState::Live)
            .filter_map(|s| s.last_activity)
            .min();
        let quiet =
            quietest.map(|at| format!(", the quietest heard {} ago", shared.age(at))).unwrap_or_default();
        let style = if live == cluster.streams.len() { theme.good } else { theme.warn };
        out.push(line("streams", format!("{live} of {} live{quiet}", cluster.streams.len()), style, theme));
        for stream in ill {
            out.extend(stream_lines(stream, shared, width));
        }
    }
}

/// A stream that needs a look.
fn stream_ill(stream: &StreamStatus) -> bool {
    !matches!(stream.state, StreamState::Live | StreamState::Absent) || stream.undecodable > 0
}

/// A cluster's state in words.
fn cluster_state(cluster: &ClusterStatus, shared: &Shared) -> (String, Style) {
    let theme = &shared.theme;
    match &cluster.state {
        ClusterState::Connecting => ("◌ connecting …".into(), theme.warn),
        ClusterState::Live => ("● live".into(), theme.good),
        ClusterState::Away { since, why, retry_at } => {
            shared.moving.set(true);
            let retry = retry_at
                .map(|at| format!(" · tried again in {} (r: now)", text::age(shared.now, at)))
                .unwrap_or_default();
            (format!("◌ DISCONNECTED for {} · {why}{retry}", shared.age(*since)), theme.bad)
        }
    }
}

fn stream_lines(stream: &StreamStatus, shared: &Shared, width: usize) -> Vec<Line> {
    let theme = &shared.theme;
    let heard = stream
        .last_activity
        .map_or_else(|| "never heard".to_owned(), |at| format!("heard {} ago", shared.age(at)));
    let ns = if stream.namespace.is_empty() { String::new() } else { format!(" in {}", stream.namespace) };
    let (sign, words, style) = match &stream.state {
        StreamState::Live => {
            ("●", format!("live · {heard} · {}", text::count(stream.relists, "relist")), theme.good)
        }
        StreamState::Syncing => {
            let of = if stream.synced.1 > 0 {
                format!(" of {}", text::number(stream.synced.1))
            } else {
                String::new()
            };
            ("◌", format!("syncing: {}{of}", text::number(stream.synced.0)), theme.warn)
        }
        StreamState::Retrying { retry_at } => {
            shared.moving.set(true);
            (
                "↻",
                format!(
                    "lost, tried again in {} · {heard} · {}",
                    text::age(shared.now, *retry_at),
                    stream.last_error
                ),
                theme.warn,
            )
        }
        StreamState::Forbidden { missing } => (
            "✖",
            format!("forbidden. Grant: {missing}  (assets/rbac.yaml has it; it is tried again by itself)"),
            theme.bad,
        ),
        StreamState::Absent => ("–", "the server does not have this kind".to_owned(), theme.dim),
    };
    let broken = if stream.undecodable > 0 {
        format!(" · {} could not be decoded: see :logs", text::count(stream.undecodable, "object"))
    } else {
        String::new()
    };
    let name = text::fit(&format!("{sign} {}{ns}", stream.kind.plural()), 34);
    let words = format!("{words}{broken}");
    if width < 100 {
        let mut out = vec![vec![(format!("   {}", name.trim_end()), style)]];
        out.extend(
            text::wrap(&words, width.saturating_sub(7), 3)
                .into_iter()
                .map(|l| vec![(format!("      {l}"), style)]),
        );
        return out;
    }
    text::wrap(&words, width.saturating_sub(38), 3)
        .into_iter()
        .enumerate()
        .map(|(i, l)| {
            vec![
                (format!("   {}", if i == 0 { name.clone() } else { " ".repeat(34) }), style),
                (format!(" {l}"), style),
            ]
        })
        .collect()
}

fn engine(out: &mut Vec<Line>, status: &Status, shared: &Shared) {
    let theme = &shared.theme;
    out.push(vec![("Engine".to_owned(), theme.title)]);
    let whose = match &shared.engine {
        crate::tui::options::Engine::Own => "this process".to_owned(),
        crate::tui::options::Engine::Attached(label) => label.clone(),
    };
    let only = if status.watch_only { " · --watch-only: stores, never delivers" } else { "" };
    out.push(line(
        "process",
        format!(
            "{whose} · pid {} · {} · up {}{only}",
            status.pid,
            status.mode,
            text::age(status.started_at, shared.now)
        ),
        Style::new(),
        theme,
    ));
    let memory = shared.totals.memory.map_or_else(|| "not known here".to_owned(), text::bytes);
    out.push(line("memory", memory, Style::new(), theme));
    let p = &status.pipeline;
    out.push(line(
        "pipeline",
        format!(
            "{} changes · {} events ({} folded) · {} messages · {:.1} events/s",
            text::number(p.changes),
            text::number(p.events),
            text::number(p.folded),
            text::number(p.routed),
            p.rate
        ),
        Style::new(),
        theme,
    ));
    if p.faults > 0 {
        out.push(line(
            "faults",
            format!("{}: errors of this program, see :logs and please report them", text::number(p.faults)),
            theme.bad,
            theme,
        ));
    }
}

fn database(out: &mut Vec<Line>, status: &Status, shared: &Shared) {
    let theme = &shared.theme;
    let store = &status.store;
    out.push(vec![("Database".to_owned(), theme.title)]);
    if let Some(error) = &store.error {
        out.push(line("error", error.clone(), theme.bad, theme));
    }
    if store.full {
        out.push(line("full", "the outbox is at its cap and reading has stopped: mend or remove the connector that does not deliver (6)", theme.bad, theme));
    }
    out.push(line("file", format!("{} · {}", store.path, text::bytes(store.bytes)), Style::new(), theme));
    let oldest = store
        .oldest_event
        .or(shared.totals.oldest)
        .map(|at| format!(" since {}", text::full(at, &shared.tz)))
        .unwrap_or_default();
    out.push(line("events", format!("{}{oldest}", text::number(shared.events())), Style::new(), theme));
    let last = store.last_commit.map(|at| format!(" · the last {} ago", shared.age(at))).unwrap_or_default();
    out.push(line("commits", format!("{}{last}", text::number(store.commits)), Style::new(), theme));
    let evicted: u64 = store.evicted.values().sum();
    if evicted > 0 {
        let by: Vec<String> = store
            .evicted
            .iter()
            .filter(|(_, n)| **n > 0)
            .map(|(t, n)| format!("{t} {}", text::number(*n)))
            .collect();
        out.push(line("evicted", format!("by age or size: {}", by.join(", ")), theme.warn, theme));
    }
    let rows: Vec<String> = store
        .rows
        .iter()
        .filter(|(_, n)| **n > 0)
        .map(|(t, n)| format!("{t} {}", text::number(*n)))
        .collect();
    for (i, part) in
        text::wrap(&rows.join(" · "), ROW, 8).into_iter().enumerate().filter(|(_, p)| !p.is_empty())
    {
        out.push(line(if i == 0 { "rows" } else { "" }, part, theme.dim, theme));
    }
    if !shared.totals.gaps.is_empty() {
        out.push(vec![("Not watched".to_owned(), theme.title)]);
        for gap in shared.totals.gaps.iter().take(20) {
            let to = gap.to.map_or_else(|| "now".to_owned(), |to| text::full(to, &shared.tz));
            out.push(line(
                &gap.cluster,
                format!("{} – {to}  {}", text::full(gap.from, &shared.tz), gap.why),
                Style::new(),
                theme,
            ));
        }
    }
}

impl Pane for Health {
    fn badge(&self, shared: &Shared) -> String {
        let Some(status) = &shared.status else { return String::new() };
        let streams = status.clusters.iter().flat_map(|c| &c.streams);
        let ill = shared.away().count()
            + streams
                .filter(|s| matches!(s.state, StreamState::Forbidden { .. } | StreamState::Retrying { .. }))
                .count()
            + usize::from(status.store.error.is_some() || status.store.full)
            + status.warnings.len();
        if ill > 0 { format!("({ill}!)") } else { String::new() }
    }

    fn reload(&mut self, shared: &mut Shared) -> Vec<Effect> {
        let pid = shared.status.as_ref().map_or(0, |s| s.pid);
        vec![Effect::Query(Query::Totals { pid })]
    }

    fn act(&mut self, action: A, _: &mut Shared) -> Vec<Effect> {
        match action {
            A::Open => self.all = !self.all,
            A::Down => self.scroll += 1,
            A::Up => self.scroll = self.scroll.saturating_sub(1),
            A::HalfDown | A::PageDown => self.scroll += 10,
            A::HalfUp | A::PageUp => self.scroll = self.scroll.saturating_sub(10),
            A::Top => self.scroll = 0,
            A::Bottom => self.scroll = usize::MAX / 2,
            _ => {}
        }
        Vec::new()
    }

    fn feed(&mut self, item: &Feed, shared: &mut Shared) -> Vec<Effect> {
        if let Feed::Gap { gap } = item {
            shared.totals.gaps.retain(|g| g.from != gap.from || g.cluster != gap.cluster);
            shared.totals.gaps.insert(0, gap.clone());
            shared.dirty = true;
        }
        Vec::new()
    }

    fn view(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        let lines = self.lines(shared, area.width.into());
        self.scroll = self.scroll.min(lines.len().saturating_sub(area.height.into()));
        for (y, line) in lines.iter().skip(self.scroll).take(area.height.into()).enumerate() {
            let pieces: Vec<(&str, Style)> = line.iter().map(|(t, s)| (t.as_str(), *s)).collect();
            paint::pieces(frame.buffer_mut(), area, y as u16, &pieces);
        }
        let below = lines.len().saturating_sub(self.scroll + usize::from(area.height));
        if below > 0 {
            let more = format!(" +{below} lines ");
            paint::right(frame.buffer_mut(), area, area.height - 1, (&more, shared.theme.accent), 0);
        }
    }
}
