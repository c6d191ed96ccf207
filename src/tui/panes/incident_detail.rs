//! One incident in words: the peek of five lines, the detail pane, and the page that `d` opens.

use ratatui::style::Style;

use super::{
    incident_next::{looks, place},
    incident_suspects::{anew, suspect, suspects},
    incidents_view::what,
    told,
};
use crate::{
    event::{
        Event, ObjectRef, Status,
        incident::{Incident, IncidentStatus, LEFTOVER, Member, Suspect},
    },
    store::pages::{Recovery, Waits},
    tui::{
        model::Shared,
        msg::{IncidentDetail, OwnerLine},
        text,
        theme::Theme,
    },
};

/// A line of pieces.
pub type Line = Vec<(String, Style)>;

/// Further suspects give way in a peek before anything else does.
const MORE: usize = 8;
/// Width of the word before each line.
const WORD: usize = 9;

/// `deploy/payments-api · critical · open 26m · 11 events, 31 times`
pub fn heading(incident: &Incident, detail: Option<&IncidentDetail>, shared: &Shared) -> String {
    let state = match incident.resolved_at.filter(|_| incident.status == IncidentStatus::Resolved) {
        Some(end) => format!("ended {}, lasted {}", shared.past(end), text::lasted(incident.since(), end)),
        None if shared.absolute => format!("open since {}", shared.age(incident.since())),
        None => format!("open {}", shared.age(incident.since())),
    };
    let reopened = if incident.reopened > 0 {
        format!(" · again (×{})", incident.reopened + 1)
    } else {
        String::new()
    };
    let several = shared.status.as_ref().is_some_and(|s| s.clusters.len() > 1);
    let cluster = if several { format!("{}: ", incident.cluster) } else { String::new() };
    format!(
        "{cluster}{} · {} · {state}{reopened} · {}",
        text::object(&incident.subject),
        incident.severity,
        events(incident, detail)
    )
}

/// An event is a row of the stream, as everywhere; how often they happened counts the repeats in them.
fn events(incident: &Incident, detail: Option<&IncidentDetail>) -> String {
    match detail.map(|d| d.rows).filter(|rows| *rows > 0) {
        Some(rows) if rows < incident.events => {
            format!("{}, {} times", text::count(rows, "event"), text::number(incident.events))
        }
        Some(rows) => text::count(rows, "event"),
        None => text::count(incident.events, "time"),
    }
}

/// A word, and what is said of it, wrapped beside it.
pub(super) fn worded(word: &str, rest: &str, theme: &Theme, width: usize, lines: usize) -> Vec<Line> {
    let room = width.saturating_sub(WORD).max(1);
    text::wrap(rest, room, lines)
        .into_iter()
        .enumerate()
        .map(|(i, line)| {
            let word = if i == 0 { word } else { "" };
            vec![(text::fit(word, WORD), theme.key), (line, Style::new())]
        })
        .collect()
}

fn owners(chain: &[OwnerLine]) -> String {
    chain
        .iter()
        .map(|o| {
            let state = if o.state.is_empty() { String::new() } else { format!(" ({})", o.state) };
            format!("{}{state}", text::object(&o.object))
        })
        .collect::<Vec<_>>()
        .join(" ▸ ")
}

/// Why nobody was told.
fn nobody(detail: Option<&IncidentDetail>, incident: &Incident, shared: &Shared) -> &'static str {
    if incident.standing {
        "nobody: it was so when we first looked"
    } else if shared.is_watch_only() {
        "nobody: --watch-only never delivers"
    } else if shared.status.as_ref().is_some_and(|s| s.connectors.iter().all(|c| !c.enabled)) {
        "nobody: no connector is on (6)"
    } else if detail.is_none() {
        "…"
    } else {
        "nobody: no connector's filter takes it, or none is due yet"
    }
}

/// Who was told, as many to a line as fit.
fn who(detail: Option<&IncidentDetail>, incident: &Incident, shared: &Shared, width: usize) -> Vec<Line> {
    let theme = &shared.theme;
    let marks = detail.map_or(&[][..], |d| d.told.as_slice());
    if marks.is_empty() {
        let mut lines = worded("told", nobody(detail, incident, shared), theme, width, 2);
        lines.iter_mut().flat_map(|l| l.iter_mut().skip(1)).for_each(|piece| piece.1 = theme.dim);
        return lines;
    }
    let mut lines: Vec<Line> = vec![vec![(text::fit("told", WORD), theme.key)]];
    let mut used = WORD;
    for pieces in told::told(marks, shared) {
        let wide = pieces.iter().map(|(t, _)| text::width(t)).sum::<usize>();
        if used + wide > width && used > WORD {
            lines.push(vec![(" ".repeat(WORD), theme.key)]);
            used = WORD;
        }
        if used + wide > width {
            // Too long for a line of its own: what it answered matters, to its end.
            let whole: String = pieces.iter().map(|(t, _)| t.as_str()).collect();
            let style = pieces.iter().map(|(_, s)| *s).nth(1).unwrap_or_default();
            let parts = text::wrap(&whole, width.saturating_sub(WORD).max(1), 3);
            for (i, part) in parts.into_iter().enumerate() {
                if i > 0 {
                    lines.push(vec![(" ".repeat(WORD), theme.key)]);
                }
                if let Some(line) = lines.last_mut() {
                    line.push((part, style));
                }
            }
            used = width;
            continue;
        }
        if let Some(line) = lines.last_mut() {
            if used > WORD {
                line.push(("  ".to_owned(), Style::new()));
            }
            line.extend(pieces);
        }
        used += wide + 2;
    }
    lines
}

/// It heals: since when, and when it will have healed.
fn recovering(recovery: &Recovery, shared: &Shared) -> String {
    // Whether that is a recovery the list says, which knows how it went before.
    let (lasts, since) = (text::age(recovery.since, shared.known_to()), shared.clock(recovery.since));
    let begins = format!("well for {lasts} (since {since})");
    // Positive evidence closes an incident: without eyes there is none.
    if !shared.is_watched() || shared.away().next().is_some() {
        return format!("{begins}; whether it stays so is not known now");
    }
    match recovery.waits {
        Waits::Until(at) if at > shared.now => {
            format!("{begins}, closes at {} if it stays so", shared.clock(at))
        }
        Waits::Until(_) => format!("{begins}, closes in a moment if it stays so"),
        Waits::Ready(ready, wanted) => {
            format!("{begins}, closes when all that is wanted is ready: {ready} of {wanted} are")
        }
        Waits::Change => format!("{begins}, closes when its rollout is through"),
    }
}

/// What it took down with it and what is there still: until when it has time to come to.
fn left(
    incident: &Incident,
    detail: Option<&IncidentDetail>,
    shared: &Shared,
    (width, most): (usize, usize),
) -> Vec<Line> {
    let Some(left) = detail.and_then(|d| d.left.as_ref()) else { return Vec::new() };
    let end = incident.resolved_at.unwrap_or(shared.now);
    let own = match end.checked_add(LEFTOVER) {
        Ok(at) if at > shared.now => format!("an incident of its own from {} on", shared.clock(at)),
        _ => "an incident of its own in a moment".to_owned(),
    };
    let words = format!("{} {}, {own} if it stays", left.words, shared.lasting(left.since));
    let mut lines = worded("still", &words, &shared.theme, width, most);
    let style = shared.theme.severity(left.severity);
    lines.iter_mut().flat_map(|l| l.iter_mut().skip(1)).for_each(|piece| piece.1 = style);
    lines
}

fn healing(detail: Option<&IncidentDetail>, shared: &Shared, (width, most): (usize, usize)) -> Vec<Line> {
    let Some(recovery) = detail.and_then(|d| d.recovery) else { return Vec::new() };
    let mut lines = worded("heals", &recovering(&recovery, shared), &shared.theme, width, most);
    lines.iter_mut().flat_map(|l| l.iter_mut().skip(1)).for_each(|piece| piece.1 = shared.theme.good);
    lines
}

/// What is wrong. Where the object that it names is gone, it is said of the subject.
fn wrong(incident: &Incident, detail: Option<&IncidentDetail>) -> String {
    let Some(detail) = detail else { return what(incident) };
    let speaks = detail.speaks.as_ref().filter(|e| e.status != Status::Resolved);
    let title = speaks.map_or(&incident.title, |e| &e.title);
    if detail.gone {
        let words = text::without_subject(title, &incident.subject);
        return if words == *title { words } else { format!("{} {words}", text::object(&incident.subject)) };
    }
    if title.is_empty() { what(incident) } else { title.clone() }
}

/// Why, and whether it is so still: `why` or `was`.
fn why(incident: &Incident, detail: Option<&IncidentDetail>) -> (&'static str, String) {
    let over = detail.is_some_and(|d| d.recovery.is_some() || d.gone);
    let word = if over && incident.status == IncidentStatus::Open { "was" } else { "why" };
    let speaks = detail.and_then(|d| d.speaks.as_ref()).map_or(&incident.description, |e| &e.description);
    (word, speaks.clone())
}

/// What the program or the cluster said itself, where that is not said already.
fn said(incident: &Incident, detail: Option<&IncidentDetail>) -> Option<String> {
    let details = &detail?.speaks.as_ref()?.details;
    let text = |name: &str| details.get(name).and_then(|v| v.as_str()).filter(|text| !text.trim().is_empty());
    // Where a container left no message, its last error is made of reason and exit code: nobody's words.
    let made = format!("{}: exit code ", text("reason").unwrap_or("Error"));
    let own = text("last_error").filter(|text| !text.starts_with(&made));
    let text = text("termination_message").or(own)?;
    let (_, why) = why(incident, detail);
    let known = |words: &str| words.contains(text.trim());
    (!known(&why) && !known(&wrong(incident, detail))).then(|| text.trim().to_owned())
}

fn also(detail: Option<&IncidentDetail>) -> Option<String> {
    let also = detail.map(|d| &d.also).filter(|also| !also.is_empty())?;
    Some(also.join(" · "))
}

/// The lines under the list: what matters least gives way where not all fit.
pub fn peek(
    incident: &Incident,
    detail: Option<&IncidentDetail>,
    shared: &Shared,
    (width, height): (usize, usize),
) -> Vec<Line> {
    let theme = &shared.theme;
    let one = |word: &str, rest: &str| worded(word, rest, theme, width, 1);
    // In the order of the screen, with how early each goes.
    let (word, why) = why(incident, detail);
    let why = if why.is_empty() { wrong(incident, detail) } else { why };
    let mut parts = vec![(0, worded(word, &why, theme, width, if height > 5 { 2 } else { 1 }))];
    parts.push((0, healing(detail, shared, (width, 2))));
    parts.push((0, left(incident, detail, shared, (width, 2))));
    parts.extend(said(incident, detail).map(|said| (4, one("said", &said))));
    parts.extend(also(detail).map(|also| (3, one("also", &also))));
    for (i, s) in incident.suspects.iter().take(4).enumerate() {
        let of_first = |s: &Suspect| incident.refired_at.is_some() && anew(s, incident).is_none();
        let is_next = i > 0 && incident.suspects.get(i - 1).is_some_and(|before| !of_first(before));
        let word = match i {
            _ if of_first(s) && (i == 0 || is_next) => "at first",
            0 => "suspect",
            _ => "",
        };
        // Where hardly anything fits, what to do comes before what may have done it.
        let first = if height > 5 { 1 } else { 5 };
        parts.push((if i == 0 { first } else { MORE + i }, one(word, &suspect(s, incident, shared))));
    }
    if let Some(d) = detail {
        if d.owners.len() > 1 {
            parts.push((7, one("owner", &owners(&d.owners))));
        }
        if let Some(last) = d.last.as_ref().filter(|e| e.title != incident.title) {
            parts.push((6, one("last", &happened(last, shared))));
        }
    }
    let mut who = who(detail, incident, shared, width);
    // The first of them is the worst; what to do next must have its line too.
    who.truncate(height.saturating_sub(2).max(1));
    let told = parts.len();
    parts.push((0, who));
    if let Some(look) = detail.and_then(|d| looks(incident, d, shared).into_iter().next()) {
        parts.push((2, one("look", &look.short)));
    }
    let behind = parts.len() - told;
    give_way(&mut parts, (height, MORE));
    let told = parts.len() - behind;
    if needed(&parts) > height
        && let (Some((_, lines)), Some(d)) = (parts.get_mut(told), detail)
        && lines.len() > 1
        && !d.told.is_empty()
    {
        // Who was told of it is counted before a word of what it is about gives way; `d` has all of both.
        let word = vec![(text::fit("told", WORD), theme.key)];
        let counts = told::counts(&d.told, shared, width.saturating_sub(WORD));
        *lines = vec![word.into_iter().chain(counts).collect()];
    }
    give_way(&mut parts, (height, 1));
    parts.into_iter().flat_map(|(_, lines)| lines).collect()
}

fn needed(parts: &[(usize, Vec<Line>)]) -> usize {
    parts.iter().map(|(_, lines)| lines.len()).sum()
}

/// Takes out what matters least, down to a rank, until the rest fits.
fn give_way(parts: &mut Vec<(usize, Vec<Line>)>, (height, rank): (usize, usize)) {
    while needed(parts) > height {
        let Some(least) = parts.iter().map(|(of, _)| *of).max().filter(|least| *least >= rank) else { break };
        parts.retain(|(of, _)| *of != least);
    }
}

/// `09:41:07 BackOff on Pod web-1 ×25`: at the time of its last repeat.
fn happened(event: &Event, shared: &Shared) -> String {
    let times = if event.count > 1 { format!(" ×{}", event.count) } else { String::new() };
    format!("{} {}{times}", shared.clock(event.last_seen.max(event.timestamp)), event.title)
}

/// The detail pane; `whole`: the page, which has room for everything.
pub fn lines(
    incident: &Incident,
    detail: Option<&IncidentDetail>,
    shared: &Shared,
    (width, whole): (usize, bool),
) -> Vec<Line> {
    let theme = &shared.theme;
    let title = wrong(incident, detail);
    let mut lines = worded("what", &title, theme, width, 3);
    // The time at which it closes must not be cut where the pane is narrow.
    lines.extend(healing(detail, shared, (width, 4)));
    lines.extend(left(incident, detail, shared, (width, 4)));
    let (word, why) = why(incident, detail);
    if !why.is_empty() && why != title {
        lines.extend(worded(word, &why, theme, width, 6));
    }
    if let Some(said) = said(incident, detail) {
        lines.extend(worded("said", &said, theme, width, if whole { 20 } else { 3 }));
    }
    if let Some(also) = also(detail) {
        lines.extend(worded("also", &also, theme, width, 3));
    }
    lines.extend(worded("since", &text::full(incident.since(), &shared.tz), theme, width, 1));
    if let Some(anew) = incident.refired_at {
        let anew = format!("{}, it had been well for a while", text::full(anew, &shared.tz));
        lines.extend(worded("anew", &anew, theme, width, 2));
    }
    if incident.reopened > 0 {
        let first = text::full(incident.opened_at, &shared.tz);
        lines.extend(worded("first", &first, theme, width, 1));
    }
    if let Some(end) = incident.resolved_at {
        lines.extend(worded("ended", &text::full(end, &shared.tz), theme, width, 1));
    }
    lines.extend(worded("where", &place(incident), theme, width, 1));
    lines.extend(who(detail, incident, shared, width));
    lines.push(Vec::new());
    lines.extend(suspects(incident, shared, (width, whole)));
    let Some(d) = detail else { return lines };
    lines.push(Vec::new());
    for look in looks(incident, d, shared) {
        lines.extend(worded("look", &look.words, theme, width, 4));
    }
    if !d.owners.is_empty() {
        lines.push(Vec::new());
        lines.extend(chain(&d.owners, theme));
    }
    lines.push(Vec::new());
    members(&mut lines, d, incident, shared, width);
    if let Some(last) = &d.last {
        lines.extend(worded("last", &happened(last, shared), theme, width, 2));
    }
    lines
}

/// An owner chain as a tree.
pub fn chain(owners: &[OwnerLine], theme: &Theme) -> Vec<Line> {
    let mut lines = vec![vec![("Owner chain".to_owned(), theme.title)]];
    for (depth, owner) in owners.iter().enumerate() {
        let indent = if depth == 0 { String::new() } else { format!("{}└ ", "  ".repeat(depth - 1)) };
        let here = if depth + 1 == owners.len() { "  ◀ here" } else { "" };
        lines.push(vec![
            (format!("{indent}{}", text::object(&owner.object)), Style::new()),
            (format!("  {}{here}", owner.state), theme.dim),
        ]);
    }
    lines
}

/// One line per object with all its troubles: several of one object are one thing to look at.
fn members(
    lines: &mut Vec<Line>,
    detail: &IncidentDetail,
    incident: &Incident,
    shared: &Shared,
    width: usize,
) {
    let theme = &shared.theme;
    let mut objects: Vec<(&ObjectRef, bool, Vec<&Member>)> = Vec::new();
    for member in &detail.members {
        match objects.iter_mut().find(|(o, affected, _)| **o == member.object && *affected == member.affected)
        {
            Some((_, _, members)) => members.push(member),
            None => objects.push((&member.object, member.affected, vec![member])),
        }
    }
    let well = |m: &Member| detail.well.get(&m.fingerprint).copied();
    let affected =
        if incident.affected > 0 { format!(", {} affected", incident.affected) } else { String::new() };
    let held = detail.members.iter().filter(|m| m.holds && !m.affected && m.ended_at.is_none());
    let mended = match held.filter(|m| well(m).is_some()).count() {
        0 => String::new(),
        n if n == incident.holding as usize => " (well now)".to_owned(),
        n => format!(" ({n} well now)"),
    };
    let title = format!(
        "Troubles: {} {} it open{mended}, {} in all{affected}",
        incident.holding,
        if incident.holding == 1 { "holds" } else { "hold" },
        incident.members,
    );
    lines.push(vec![(title, theme.title)]);
    for (object, affected, members) in objects.iter().take(8) {
        let open = members.iter().find(|m| m.ended_at.is_none() && well(m).is_none());
        let mended = members.iter().filter(|m| m.ended_at.is_none()).filter_map(|m| well(m)).max();
        let since = members.iter().map(|m| m.since).min().unwrap_or(shared.now);
        let ended = members.iter().filter_map(|m| m.ended_at).max();
        let (sign, style, time) = match (open, mended, ended) {
            (Some(member), ..) => ("✖", theme.severity(member.severity), shared.lasting(member.since)),
            (None, Some(at), _) => {
                ("◒", theme.warn, format!("well for {}", text::age(at, shared.known_to())))
            }
            (None, None, ended) => {
                ("✓", theme.good, format!("lasted {}", text::lasted(since, ended.unwrap_or(since))))
            }
        };
        let role = if *affected { " (affected)" } else { "" };
        lines.push(vec![
            (format!("{sign} "), style),
            (format!("{}{role}", text::object(object)), Style::new()),
            (format!("  {time}"), theme.dim),
        ]);
        let troubles: Vec<String> = members
            .iter()
            .map(|m| {
                let over = if m.ended_at.is_some() && open.is_some() { " (over)" } else { "" };
                format!("{}{over}", text::without_object(&m.title, object))
            })
            .collect();
        let troubles = text::wrap(&troubles.join(" · "), width.saturating_sub(2).max(1), 3);
        lines.extend(troubles.into_iter().map(|l| vec![(format!("  {l}"), theme.dim)]));
    }
    let more = objects.len().saturating_sub(8);
    if more > 0 {
        lines.push(vec![(
            format!("  and {}: ⏎ shows all events", text::count(more as u64, "more object")),
            theme.dim,
        )]);
    }
}

/// Everything, as plain lines.
pub fn page(incident: &Incident, detail: Option<&IncidentDetail>, shared: &Shared) -> Vec<String> {
    let mut out: Vec<String> =
        vec![heading(incident, detail, shared), format!("id       {}", incident.id), String::new()];
    out.extend(
        lines(incident, detail, shared, (160, true))
            .into_iter()
            .map(|l| l.into_iter().map(|(t, _)| t).collect()),
    );
    if let Some(worst) = detail.and_then(|d| d.speaks.as_ref()) {
        out.push(String::new());
        out.push("Worst event".to_owned());
        out.extend(super::event_detail::fields(worst, shared));
    }
    out
}
