//! Health: clusters, streams with their last activity, missing rights, memory, database; each trouble with what to
//! do about it.

use ratatui::{Frame, layout::Rect, style::Style};

use super::{Pane, PaneDef};
use crate::{
    feed::Feed,
    status::{self, ClusterState, ClusterStatus, Status, StreamState, StreamStatus},
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

const BINDINGS: &[Binding] = &[
    bind(A::Open, &["enter"], "streams", "Shows every stream and table, or only what is not well", 10),
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

/// A commit that is older than this is worth a word.
const STALE_COMMIT: jiff::SignedDuration = jiff::SignedDuration::from_secs(15);

type Line = Vec<(String, Style)>;

/// Cells of the word before a value.
const WORD: usize = 13;

/// Lines on their way to the screen: nothing is cut, what is long goes on in the next line.
struct Page<'a> {
    lines: Vec<Line>,
    width: usize,
    theme: &'a Theme,
}

impl Page<'_> {
    fn title(&mut self, words: String) {
        self.lines.push(vec![(words, self.theme.title)]);
    }

    /// A word and its value.
    fn say(&mut self, word: &str, rest: impl AsRef<str>, style: Style) {
        let parts = text::wrap(rest.as_ref(), self.width.saturating_sub(WORD + 1).max(1), 12);
        for (i, part) in parts.into_iter().enumerate() {
            // Names of clusters are as long as they are.
            let own_line = i == 0 && text::width(word) > WORD - 2;
            if own_line {
                self.lines.push(vec![(format!(" {word}"), self.theme.key)]);
            }
            let word = if i == 0 && !own_line { word } else { "" };
            self.lines.push(vec![(format!(" {}", text::fit(word, WORD - 1)), self.theme.key), (part, style)]);
        }
    }
}

impl Health {
    fn lines(&self, shared: &Shared, width: usize) -> Vec<Line> {
        let theme = &shared.theme;
        let mut page = Page { lines: Vec::new(), width, theme };
        if shared.status.is_none() && shared.is_watched() {
            return vec![vec![(" connecting …  no word from the engine yet".to_owned(), theme.warn)]];
        }
        if let Some(words) = unwatched(shared) {
            for part in text::wrap(&words, width.saturating_sub(4), 4) {
                page.lines.push(vec![(" ✖ ".to_owned(), theme.bad), (part, theme.bad)]);
            }
        }
        let Some(status) = &shared.status else { return page.lines };
        for warning in &status.warnings {
            for part in text::wrap(warning, width.saturating_sub(4), 4) {
                page.lines.push(vec![(" ▲ ".to_owned(), theme.warn), (part, theme.warn)]);
            }
        }
        for cluster in &status.clusters {
            self.cluster(&mut page, cluster, shared);
        }
        engine(&mut page, status, shared);
        database(&mut page, status, shared, self.all);
        page.lines
    }

    fn cluster(&self, page: &mut Page<'_>, cluster: &ClusterStatus, shared: &Shared) {
        let theme = &shared.theme;
        page.title(format!("Cluster {}", cluster.name));
        let (text, style) = cluster_state(cluster, shared);
        page.say("state", text, style);
        let secs = (shared.known_to().as_second()
            - shared.status.as_ref().map_or(shared.now, |s| s.started_at).as_second())
        .max(1);
        let rate = cluster.requests as f64 / secs as f64;
        let server = format!("{} {}", cluster.server, cluster.version);
        let server = if server.trim().is_empty() { "not known: it was never reached" } else { server.trim() };
        page.say("server", server, Style::new());
        if let Some(text) = status::clock_ahead(cluster.clock_ahead_secs, text::span) {
            page.say("clock", format!("{text}: have both follow NTP"), theme.warn);
        }
        page.say(
            "objects",
            format!(
                "{} held · {} requests, {rate:.1}/s since the start",
                text::number(cluster.objects),
                text::number(cluster.requests)
            ),
            Style::new(),
        );
        let live = cluster.streams.iter().filter(|s| s.state == StreamState::Live);
        let quietest = live.clone().filter_map(|s| s.last_activity).min();
        let quiet =
            quietest.map(|at| format!(", the quietest heard {}", shared.past(at))).unwrap_or_default();
        let (live, all) = (live.count(), cluster.streams.len());
        let (was, style) = match (shared.is_watched(), live == all) {
            (false, _) => (" (as last told)", theme.dim),
            (true, true) => ("", theme.good),
            (true, false) => ("", theme.warn),
        };
        let words = if all == 0 {
            "none yet: they begin when it is reached".to_owned()
        } else {
            format!("{live} of {all} live{quiet}{was}")
        };
        page.say("streams", words, style);
        let watched = shared.watched();
        if !watched.is_empty() {
            page.say("namespaces", format!("only these are watched: {}", watched.join(", ")), theme.warn);
        }
        if self.all {
            for stream in &cluster.streams {
                streams(page, &[stream], shared);
            }
            return;
        }
        let forbidden = |s: &StreamStatus| matches!(s.state, StreamState::Forbidden { .. });
        if cluster.streams.iter().any(forbidden) {
            let called = shared.status.as_ref().map(|s| s.called.clone()).unwrap_or_default();
            let user = cluster.user.as_deref();
            let whose = user.map_or_else(String::new, |user| format!("of {user}: "));
            let grant = called.grant(user, &cluster.context);
            page.say("rights", format!("{whose}{grant}  (it is tried again by itself, r: now)"), theme.warn);
        }
        // Twenty streams that fail for one reason are one thing to read.
        let mut alike: Vec<(String, Vec<&StreamStatus>)> = Vec::new();
        for stream in cluster.streams.iter().filter(|s| stream_ill(s)) {
            let reason = reason(stream);
            match alike.iter_mut().find(|(r, _)| *r == reason) {
                Some((_, streams)) => streams.push(stream),
                None => alike.push((reason, vec![stream])),
            }
        }
        for (_, group) in alike {
            streams(page, &group, shared);
        }
    }
}

/// Without a word from the engine all of this is history.
fn unwatched(shared: &Shared) -> Option<String> {
    let at = shared.clock(shared.known_to());
    match (shared.gone, shared.silent) {
        (Some(_), _) => {
            Some(format!("the engine has stopped: nothing is watched or sent; all below is of {at}"))
        }
        (None, Some(_)) if shared.status.is_none() => {
            Some("the engine does not answer: how its clusters and rights are, only it knows".to_owned())
        }
        (None, Some(_)) => Some(format!("no word from the engine since {at}: all below is of then")),
        (None, None) => None,
    }
}

/// What makes streams alike: their state and what was said last, not which kind it was said of.
fn reason(stream: &StreamStatus) -> String {
    let own = [stream.kind.plural(), stream.kind.as_str(), stream.namespace.as_str()];
    let general = |text: &str| {
        own.iter().filter(|w| !w.is_empty()).fold(text.to_owned(), |text, word| text.replace(word, "…"))
    };
    match &stream.state {
        StreamState::Retrying { .. } => format!("retrying {}", general(&stream.last_error)),
        StreamState::Forbidden { missing } => format!("forbidden {}", general(missing)),
        StreamState::Syncing => format!("syncing {}", stream.kind.plural()),
        StreamState::Live | StreamState::Absent => format!("{:?} {}", stream.state, stream.kind.plural()),
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
        ClusterState::Live if shared.gone.is_some() => ("✖ not watched (was live)".into(), theme.bad),
        ClusterState::Live if shared.silent.is_some() => ("◌ not known (was live)".into(), theme.warn),
        ClusterState::Live => ("● live".into(), theme.good),
        ClusterState::Away { since, why, retry_at } => {
            shared.moving.set(true);
            let retry = retry_at
                .map(|at| format!(" · tried again in {} (r: now)", text::age(shared.now, at)))
                .unwrap_or_default();
            if let Some((lost, all)) = shared.coming_back(cluster) {
                let how = if lost > 0 { text::lost(lost, all) } else { "on all streams".to_owned() };
                return (format!("◌ answers again, {how} · last asked: {why}{retry}"), theme.warn);
            }
            (format!("◌ DISCONNECTED {} · {why}{retry}", shared.lasting(*since)), theme.bad)
        }
    }
}

/// Streams that are alike, as one entry.
fn streams(page: &mut Page<'_>, group: &[&StreamStatus], shared: &Shared) {
    let Some(stream) = group.first() else { return };
    let theme = &shared.theme;
    let (sign, words, style) = words(stream, group, shared);
    let undecodable: u64 = group.iter().map(|s| s.undecodable).sum();
    let broken = if undecodable > 0 {
        format!(" · {} could not be decoded: see :logs", text::count(undecodable, "object"))
    } else {
        String::new()
    };
    let mut namespaces: Vec<&str> =
        group.iter().map(|s| s.namespace.as_str()).filter(|n| !n.is_empty()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    let place = match namespaces.as_slice() {
        [] => String::new(),
        [one] => format!(" in {one}"),
        several => format!(" in {} namespaces", several.len()),
    };
    let name = match group {
        [one] => format!("{sign} {}{place}", one.kind.plural()),
        several => format!("{sign} {} streams{place}", several.len()),
    };
    let mut words = format!("{words}{broken}");
    if group.len() > 1 {
        let mut kinds: Vec<&str> = group.iter().map(|s| s.kind.plural()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        words = format!("{words} ({})", kinds.join(", "));
    }
    let width = page.width;
    if width < 100 {
        page.lines.push(vec![(format!("   {name}"), style)]);
        let parts = text::wrap(&words, width.saturating_sub(7), 8);
        page.lines.extend(parts.into_iter().map(|l| vec![(format!("      {l}"), style)]));
        return;
    }
    for (i, part) in text::wrap(&words, width.saturating_sub(39), 8).into_iter().enumerate() {
        let name = text::fit(if i == 0 { &name } else { "" }, 34);
        page.lines.push(vec![
            (format!("   {name}"), style),
            (format!(" {part}"), if i == 0 { style } else { theme.dim }),
        ]);
    }
}

/// The sign of a state, and the state in words; times are those of the whole group.
fn words(stream: &StreamStatus, group: &[&StreamStatus], shared: &Shared) -> (&'static str, String, Style) {
    let theme = &shared.theme;
    let heard = group.iter().filter_map(|s| s.last_activity).max();
    let heard = heard.map_or_else(|| "never heard".to_owned(), |at| format!("heard {}", shared.past(at)));
    match &stream.state {
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
        StreamState::Retrying { .. } => {
            shared.moving.set(true);
            let next = group.iter().filter_map(|s| match s.state {
                StreamState::Retrying { retry_at } => Some(retry_at),
                _ => None,
            });
            let next = match next.min() {
                Some(at) if at > shared.now => format!("tried again in {}", text::age(shared.now, at)),
                // Due, or not on its own: with the cluster.
                _ => "tried again with its cluster".to_owned(),
            };
            let error = if stream.last_error.is_empty() {
                String::new()
            } else {
                format!(" · {}", stream.last_error)
            };
            ("↻", format!("lost, {next} · {heard}{error}"), theme.warn)
        }
        StreamState::Forbidden { missing } => {
            let missing: Vec<&str> = if group.len() > 1 {
                group
                    .iter()
                    .filter_map(|s| match &s.state {
                        StreamState::Forbidden { missing } => Some(missing.as_str()),
                        _ => None,
                    })
                    .collect()
            } else {
                vec![missing]
            };
            let words = format!("forbidden. Missing: {}", missing.join("; "));
            ("✖", words, theme.bad)
        }
        StreamState::Absent => ("–", "the server does not have this kind".to_owned(), theme.dim),
    }
}

fn engine(page: &mut Page<'_>, status: &Status, shared: &Shared) {
    page.title("Engine".to_owned());
    let whose = match &shared.engine {
        crate::tui::options::Engine::Own => "this process",
        crate::tui::options::Engine::Attached(_) => "another process",
    };
    let only = if status.watch_only { " · --watch-only: stores, never delivers" } else { "" };
    let up = text::age(status.started_at, shared.known_to());
    let (up, style) = match (shared.gone, shared.silent) {
        (Some(at), _) => (format!("stopped after {up}, {} ago", shared.ago(at)), page.theme.bad),
        (None, Some(at)) => (format!("silent for {}", shared.ago(at)), page.theme.bad),
        (None, None) => (format!("up {up}"), Style::new()),
    };
    page.say("process", format!("{whose} · pid {} · {} · {up}{only}", status.pid, status.mode), style);
    page.say("memory", memory(status, shared), Style::new());
    let p = &status.pipeline;
    page.say(
        "pipeline",
        format!(
            "{} changes · {} events ({} folded) · {} messages · {:.1}/s",
            text::number(p.changes),
            text::number(p.events),
            text::number(p.folded),
            text::number(p.routed),
            shared.tenths() as f64 / 10.0
        ),
        Style::new(),
    );
    if p.faults > 0 {
        page.say(
            "faults",
            format!("{}: errors of this program, see :logs and please report them", text::number(p.faults)),
            page.theme.bad,
        );
    }
}

/// Whose memory it is stands beside it: this screen's own is another where the engine is another process.
fn memory(status: &Status, shared: &Shared) -> String {
    let own = shared.engine == crate::tui::options::Engine::Own;
    let whose = if own { "this process" } else { "the engine's process" };
    let then = if shared.is_watched() { "" } else { " (as last told)" };
    match status.memory {
        Some(memory) => format!("{} · {whose}{then}", text::bytes(memory)),
        None => format!("not known: {whose} does not say"),
    }
}

fn database(page: &mut Page<'_>, status: &Status, shared: &Shared, all: bool) {
    let theme = &shared.theme;
    let store = &status.store;
    page.title("Database".to_owned());
    if let Some(error) = &store.error {
        page.say("error", error, theme.bad);
    }
    if store.full {
        page.say("full", "the outbox is at its cap and reading has stopped: mend or remove the connector that does not deliver (6)", theme.bad);
    }
    page.say("file", format!("{} · {}", store.path, text::bytes(store.bytes)), Style::new());
    let oldest = store
        .oldest_event
        .or(shared.totals.oldest)
        .map(|at| format!(" since {}", text::full(at, &shared.tz)))
        .unwrap_or_default();
    page.say("events", format!("{}{oldest}", text::number(shared.events())), Style::new());
    // Told every few seconds only: what is younger is now.
    let last = store.last_commit.filter(|at| shared.now.duration_since(*at) >= STALE_COMMIT);
    let last = last.map(|at| format!(" · the last {}", shared.past(at))).unwrap_or_default();
    page.say("commits", format!("{}{last}", text::number(store.commits)), Style::new());
    let counts = |rows: &std::collections::BTreeMap<String, u64>, without: &str| {
        let rows: Vec<String> = rows
            .iter()
            .filter(|(table, n)| **n > 0 && table.as_str() != without)
            .map(|(table, n)| format!("{table} {}", text::number(*n)))
            .collect();
        rows.join(" · ")
    };
    if store.evicted.values().any(|n| *n > 0) {
        page.say("evicted", format!("by age or size: {}", counts(&store.evicted, "")), theme.warn);
    }
    // The events stand above, counted to this moment; these are counted now and then.
    let rows = counts(&store.rows, crate::store::EVENTS.name);
    // By table: for whoever knows the program, and asked for everything.
    if all && !rows.is_empty() {
        page.say("rows", rows, theme.dim);
    }
    let gaps = shared.unwatched();
    if !gaps.is_empty() {
        page.title("Not watched".to_owned());
        for gap in gaps.iter().take(20) {
            let to = gap.to.map_or_else(|| "now".to_owned(), |to| text::full(to, &shared.tz));
            let times = format!("{} – {to}  {}", text::full(gap.from, &shared.tz), gap.why);
            page.say(&gap.cluster, times, Style::new());
        }
    }
}

impl Pane for Health {
    fn badge(&self, shared: &Shared) -> String {
        let Some(status) = &shared.status else { return String::new() };
        // A cluster that is away is one thing to look at, not one per stream.
        let reached = status.clusters.iter().filter(|c| !matches!(c.state, ClusterState::Away { .. }));
        let streams = reached.flat_map(|c| &c.streams);
        let ill = shared.away().count()
            + streams
                .filter(|s| matches!(s.state, StreamState::Forbidden { .. } | StreamState::Retrying { .. }))
                .count()
            + usize::from(status.store.error.is_some() || status.store.full)
            + status.warnings.len();
        if ill > 0 { format!("({ill}!)") } else { String::new() }
    }

    fn shows_status(&self) -> bool {
        true
    }

    fn reload(&mut self, _: &mut Shared) -> Vec<Effect> {
        vec![Effect::Query(Query::Totals)]
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
            // A row that has grown, also towards its beginning, takes the place of what it was.
            let within = |at| at >= gap.from && gap.to.is_none_or(|to| at <= to);
            let old = shared.totals.gaps.iter().filter(|g| g.cluster != gap.cluster || !within(g.from));
            shared.totals.gaps = std::iter::once(gap).chain(old).cloned().collect();
            shared.dirty = true;
        }
        Vec::new()
    }

    fn view(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        let lines = self.lines(shared, area.width.into());
        self.scroll = self.scroll.min(lines.len().saturating_sub(area.height.into()));
        let rest = lines.get(self.scroll..).unwrap_or_default();
        paint::lines(frame.buffer_mut(), area, rest, ": j", &shared.theme);
    }
}
