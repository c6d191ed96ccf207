//! How deliveries and dead letters look, in the list and as a page.

use ratatui::{Frame, buffer::Buffer, layout::Rect, style::Style};

use super::{
    deliveries::Deliveries,
    told::{again, sign, style, told_state},
};
use crate::{
    store::{DeadLetter, DeliveryRow, DeliveryState},
    tui::{model::Shared, text, theme::glyph, widgets::paint},
};

/// The ways out where nothing passes.
const NO_MATCH: &str = "Esc clears the filter, ! shows all severities, 0 all namespaces.";

pub fn view(pane: &mut Deliveries, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
    let theme = &shared.theme;
    let buf = frame.buffer_mut();
    let (log, dead) =
        if pane.show_dead { ("  Log  ", "▸ Dead letters") } else { ("▸ Log  ", "  Dead letters") };
    let number = format!(" ({})", pane.dead_total);
    let dead_style = if pane.dead_total > 0 { theme.bad } else { theme.dim };
    paint::pieces(
        buf,
        area,
        0,
        &[
            (" ", Style::new()),
            (log, theme.title),
            (dead, theme.title),
            (&number, dead_style),
            ("   Tab changes", theme.dim),
        ],
    );
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    if pane.show_dead { dead_list(pane, buf, body, shared) } else { log_list(pane, buf, body, shared) }
}

/// A dead letter as a line of the log.
pub fn as_row(letter: &DeadLetter) -> DeliveryRow {
    let attempts = letter.row.claim.as_ref().map_or(0, |c| c.attempts);
    let detail = letter.detail.clone();
    DeliveryRow {
        attempts,
        ..DeliveryRow::of(&letter.row.notification, letter.at, DeliveryState::Dead, detail)
    }
}

fn heading(buf: &mut Buffer, area: Rect, time: usize, shared: &Shared) {
    let wide = area.width >= 100;
    let head = format!(
        " {}   {} {}   {} {}",
        text::fit("WHEN", time),
        text::fit("CONNECTOR", if wide { 20 } else { 14 }),
        text::fit("PHASE", 9),
        text::fit("MESSAGE", title_width(area)),
        "ANSWER"
    );
    paint::pieces(buf, area, 0, &[(&head, shared.theme.title)]);
}

/// The rest of an area from a line on.
fn below(area: Rect, line: usize) -> Rect {
    let line = (line as u16).min(area.height);
    Rect { y: area.y + line, height: area.height - line, ..area }
}

fn title_width(area: Rect) -> usize {
    (usize::from(area.width).saturating_sub(46) * 3 / 5).max(10)
}

fn line(row: &DeliveryRow, buf: &mut Buffer, area: Rect, time: usize, shared: &Shared) {
    let y = 0;
    let theme = &shared.theme;
    let wide = area.width >= 100;
    let state = told_state(row.state);
    let answer = match row.state {
        DeliveryState::Delivered => {
            let tries = if row.attempts > 1 { format!(", attempt {}", row.attempts) } else { String::new() };
            format!("{} in {} ms{tries} {}", row.status, text::number(row.latency_ms), row.detail)
        }
        DeliveryState::Retrying => {
            let again = again(&row.connector, row.next_at, shared);
            format!("{again}: {} (attempt {})", row.detail, row.attempts)
        }
        DeliveryState::Dead => {
            format!("given up after {}: {}", text::count(row.attempts.into(), "attempt"), row.detail)
        }
        DeliveryState::Dropped => format!("not sent: {}", row.detail),
    };
    paint::pieces(
        buf,
        area,
        y,
        &[
            (" ", Style::new()),
            (&text::fit(&shared.clock(row.at), time), theme.dim),
            (" ", Style::new()),
            (sign(state), style(state, theme)),
            (" ", Style::new()),
            (&text::fit(&row.connector, if wide { 20 } else { 14 }), Style::new()),
            (" ", Style::new()),
            (&text::fit(row.phase.as_str(), 9), theme.dim),
            (" ", Style::new()),
            (glyph(row.severity), theme.severity(row.severity)),
            (" ", Style::new()),
            (&text::fit(&row.title, title_width(area)), Style::new()),
            (" ", Style::new()),
            (&answer, style(state, theme)),
        ],
    );
}

fn log_list(pane: &mut Deliveries, buf: &mut Buffer, area: Rect, shared: &Shared) {
    let theme = &shared.theme;
    if pane.window.rows().is_empty() {
        let scoped = !pane.query.scope.is_all();
        let filtered = !pane.query.filter.is_empty() || pane.query.warnings || scoped;
        let (head, line) = if pane.window.is_loading() {
            ("reading the store …", "")
        } else if pane.window.is_owed() {
            ("✖ the store was not read", "j reads it again; M on screen 8 shows why it failed.")
        } else if filtered {
            ("no delivery matches", NO_MATCH)
        } else if shared.is_watch_only() {
            ("nothing is sent: --watch-only", "Start without it to deliver.")
        } else {
            ("nothing was sent yet", "Messages appear here with their answers. 6 shows who can be told.")
        };
        paint::notice(buf, area, (head, theme.dim), &with_caution(line, pane), theme);
        return;
    }
    let waiting = !pane.window.follow && pane.window.new_above() > 0;
    let height = usize::from(area.height.saturating_sub(1 + u16::from(waiting)));
    pane.window.line = area.y + 1;
    let visible = pane.window.visible(height);
    let oldest = visible.clone().filter_map(|i| pane.window.rows().get(i)).map(|(_, r)| r.at).min();
    let time = shared.clock_width(shared.is_today(oldest));
    heading(buf, area, time, shared);
    for (y, i) in visible.enumerate() {
        let Some((_, row)) = pane.window.rows().get(i) else { break };
        line(row, buf, below(area, y + 1), time, shared);
        if i == pane.window.at {
            paint::select(buf, area, y as u16 + 1, theme);
        }
    }
    if waiting {
        let text = format!(" ▮▮ paused on this row · ▲ {} new above · g newest", pane.window.new_above());
        paint::pieces(buf, area, area.height - 1, &[(&text, theme.accent)]);
    }
}

/// What is said of an empty list, and of the filter that may have emptied it.
fn with_caution(line: &str, pane: &Deliveries) -> Vec<String> {
    let caution = pane.query.filter.caution().filter(|_| line == NO_MATCH);
    [line].into_iter().chain(caution).map(str::to_owned).collect()
}

fn dead_list(pane: &mut Deliveries, buf: &mut Buffer, area: Rect, shared: &Shared) {
    let theme = &shared.theme;
    if pane.dead.is_empty() {
        let (head, line) = if pane.dead_total == 0 {
            ("✓ no dead letters", "What nobody will take is kept here until it is sent again or purged.")
        } else {
            ("no dead letter matches", NO_MATCH)
        };
        paint::notice(buf, area, (head, theme.good), &with_caution(line, pane), theme);
        return;
    }
    let height = usize::from(area.height.saturating_sub(1));
    pane.dead_cursor.line = area.y + 1;
    let visible = pane.dead_cursor.visible(pane.dead.len(), height);
    let oldest = visible.clone().filter_map(|i| pane.dead.get(i)).map(|(_, d)| d.at).min();
    let time = shared.clock_width(shared.is_today(oldest));
    heading(buf, area, time, shared);
    for (y, i) in visible.enumerate() {
        let Some((_, letter)) = pane.dead.get(i) else { break };
        line(&as_row(letter), buf, below(area, y + 1), time, shared);
        if i == pane.dead_cursor.at {
            paint::select(buf, area, y as u16 + 1, theme);
        }
    }
}

/// A delivery as a page.
pub fn page(row: &DeliveryRow, shared: &Shared) -> Vec<String> {
    let mut lines = vec![
        format!("connector     {}", row.connector),
        format!("when          {}", text::full(row.at, &shared.tz)),
        format!("phase         {}", row.phase.as_str()),
        format!("state         {}", words(row.state)),
        format!("attempts      {}", row.attempts),
        format!("answer        {}", answer(row)),
    ];
    if row.latency_ms > 0 {
        lines.push(format!(
            "latency       {} ms from the request to its answer",
            text::number(row.latency_ms)
        ));
    }
    if row.state == DeliveryState::Retrying {
        lines.extend(goes_on(row, shared));
    }
    let incident = match (&row.incident, row.subject.as_str()) {
        (None, _) => "none".to_owned(),
        (Some(id), "") => id.as_str().to_owned(),
        (Some(id), subject) => format!(
            "{subject}  ({id}; {} shows its events)",
            shared.keymap.shown(crate::tui::action::Action::Owner)
        ),
    };
    lines.extend([
        format!("title         {}", row.title),
        format!("type          {}  {}", row.event_type, row.severity),
        format!("incident      {incident}"),
        format!("event         {}", row.event),
        format!("notification  {}  (the same on every attempt)", row.notification),
    ]);
    lines
}

/// A row of the log as a page. The log has what was answered, not what was asked.
pub fn log_page(row: &DeliveryRow, shared: &Shared) -> Vec<String> {
    let mut lines = page(row, shared);
    let dead = format!("{} in the list", shared.keymap.shown(crate::tui::action::Action::NextPart));
    lines.push(match row.state {
        DeliveryState::Delivered => {
            format!("request       not kept once it is delivered, only with dead letters ({dead})")
        }
        DeliveryState::Retrying => {
            format!("request       not in the log: it waits with the message, and stays with a dead letter ({dead})")
        }
        DeliveryState::Dead => {
            format!("request       kept with the dead letter, until that is sent or purged ({dead})")
        }
        DeliveryState::Dropped => "request       none: nothing was sent".to_owned(),
    });
    lines
}

/// The state of a message, in the words of the lists.
fn words(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Delivered => "delivered",
        DeliveryState::Retrying => "failed, and tried again",
        DeliveryState::Dead => "dead letter: given up",
        DeliveryState::Dropped => "not sent",
    }
}

/// What comes of a message that failed: when it is tried, until when, and what a person can do meanwhile.
fn goes_on(row: &DeliveryRow, shared: &Shared) -> Vec<String> {
    let key = |a| shared.keymap.shown(a);
    let state = shared.status.iter().flat_map(|s| &s.connectors).find(|c| c.name == row.connector);
    let state = state.map_or("on", |c| c.state.as_str());
    let when = match row.next_at {
        _ if state != "on" => format!("when {} is on again: it is {state}", row.connector),
        Some(at) if at > shared.now => {
            format!("{}, or as soon as another message arrives", text::full(at, &shared.tz))
        }
        _ => "as soon as the messages before it are through".to_owned(),
    };
    let end = row.tried_since.and_then(|at| at.checked_add(shared.horizon).ok());
    let end = end.map(|at| {
        let words = "unless it is taken before; then it is a dead letter";
        format!("given up      {}, {words}", text::full(at, &shared.tz))
    });
    let step = format!(
        "next step     see that the service can be reached and answers; {} on it (6) sends a test",
        key(crate::tui::action::Action::Test)
    );
    std::iter::once(format!("tried again   {when}")).chain(end).chain([step]).collect()
}

/// The status where there was one, and what was said.
fn answer(row: &DeliveryRow) -> String {
    let said = row.status == 0 || row.detail.contains(&row.status.to_string());
    if said { row.detail.clone() } else { format!("{} {}", row.status, row.detail) }
}

/// What a person does about a message that was given up.
fn next_step(reason: crate::connector::Reason, shared: &Shared) -> String {
    use crate::connector::Reason as R;
    let key = |a| shared.keymap.shown(a);
    let mend = match reason {
        R::Unauthorized => "give the connector a valid secret or the missing right",
        R::NotFound => "correct the address, or make a new one at the service",
        R::BadRequest | R::Render | R::UnexpectedAnswer => {
            "change the connector's settings or template so that the service takes it"
        }
        R::Tls => "see to the certificate of the service, or to the CA that is trusted",
        R::Network | R::Timeout | R::RateLimited | R::ServerError | R::Expired => {
            "see that the service can be reached and answers"
        }
    };
    format!(
        "{mend}; {} sends a test of it (6), then {} sends this again",
        key(crate::tui::action::Action::Test),
        key(crate::tui::action::Action::Retry)
    )
}

/// A dead letter as a page, with the request as it was; secrets are not in it.
pub fn dead_page(letter: &DeadLetter, shared: &Shared) -> Vec<String> {
    let mut out = page(&as_row(letter), shared);
    out.push(format!("reason        {}", letter.reason.as_str()));
    out.push(format!("next step     {}", next_step(letter.reason, shared)));
    out.push(String::new());
    match &letter.row.claim {
        Some(claim) => {
            out.push(format!("request ({})", claim.message.content_type));
            let pretty = serde_json::from_str::<serde_json::Value>(&claim.message.body)
                .ok()
                .and_then(|v| serde_json::to_string_pretty(&v).ok())
                .unwrap_or_else(|| claim.message.body.clone());
            out.extend(pretty.lines().map(str::to_owned));
        }
        None => out.push("it was never rendered".to_owned()),
    }
    out.push(String::new());
    out.push(format!(
        "{} sends it again, {} throws the shown ones away",
        shared.keymap.shown(crate::tui::action::Action::Retry),
        shared.keymap.shown(crate::tui::action::Action::Purge)
    ));
    out
}
