//! What a message says, as data: the words are chosen here, a service only lays them out within its limits.
//!
//! In this order: what is broken and since when; why; what changed just before; the container's last words; one or
//! two commands to look; links.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Notification, signs::signature};
use crate::event::{
    Event, Severity,
    incident::{IncidentFacts, Phase, Suspect},
    over,
};

/// How many suspects are named.
const MAX_SUSPECTS: usize = 3;
/// How many objects are named.
const MAX_MEMBERS: usize = 5;
/// How many commands are given.
const MAX_COMMANDS: usize = 2;
/// How many lines of a digest are listed.
const MAX_DIGEST: usize = 25;

/// The colour of a message, in services that have colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As bad as this.
    Trouble(Severity),
    /// It is over.
    Over,
    /// Somebody asked for it.
    Test,
}

/// One message, in plain text without any markup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its colour.
    pub tone: Tone,
    /// `CRITICAL`, `RESOLVED`, `STILL OPEN (high)`, …
    pub label: String,
    /// What is broken, on one line.
    pub title: String,
    /// Where, since when, how many of how many: short parts that fit on one line.
    pub place: Vec<String>,
    /// Why: at least one line, unless nothing is known.
    pub why: Vec<String>,
    /// The objects concerned, where there is more than one.
    pub members: Vec<String>,
    /// What changed just before; `None` where the question makes no sense (a resolve, a single event).
    pub changes: Option<Vec<String>>,
    /// The container's last words.
    pub words: Vec<String>,
    /// What to do next: words and a command.
    pub commands: Vec<(String, String)>,
    /// Name and URL.
    pub links: Vec<(String, String)>,
    /// Of a digest: what it stands for.
    pub digest: Vec<String>,
    /// The incident's id, for finding it again.
    pub footer: String,
}

/// Says that no change was seen before the trouble.
pub const NOTHING_CHANGED: &str = "nothing that we watched";

impl Message {
    /// The words of a notification.
    pub fn of(notification: &Notification) -> Self {
        if notification.phase == Phase::Digest {
            return digest(notification);
        }
        let event = &notification.event;
        let facts = notification.incident.as_ref();
        let over = notification.phase.is_end();
        // What was broken is no news any more, and its counts were those of then.
        let mut why = if over { how_it_went(event) } else { why(event) };
        if notification.phase == Phase::Repeated
            && let Some(first) = why.first_mut()
        {
            *first = format!("When it began: {first}");
        }
        let words = if over { Vec::new() } else { words(event, &why) };
        Self {
            tone: tone(notification),
            label: label(notification),
            title: title(event, facts),
            place: place(event, facts),
            members: facts.filter(|_| !over).map(members).unwrap_or_default(),
            changes: facts.filter(|_| !over).map(changes),
            commands: if over { Vec::new() } else { commands(event) },
            links: links(event),
            footer: facts.map_or_else(
                || format!("event {}", event.id),
                |f| format!("incident {} · {} {}", f.id, f.events, plural(f.events, "event")),
            ),
            digest: Vec::new(),
            why,
            words,
        }
    }

    /// `CRITICAL: Pod my-app-123 in crash loop`
    pub fn headline(&self) -> String {
        format!("{}: {}", self.label, self.title)
    }

    /// All of it as plain text: the fall-back of services that show no layout, and the text part of a mail.
    pub fn plain(&self) -> String {
        let mut lines = vec![self.headline(), self.place.join(" · ")];
        lines.extend(self.why.iter().cloned());
        lines.extend(self.members.iter().map(|m| format!("- {m}")));
        if let Some(changes) = &self.changes {
            lines.push("Changed just before:".into());
            lines.extend(changes.iter().map(|c| format!("- {c}")));
        }
        if !self.words.is_empty() {
            lines.push("Last words:".into());
            lines.extend(self.words.iter().map(|w| format!("  {w}")));
        }
        lines.extend(self.digest.iter().map(|d| format!("- {d}")));
        lines.extend(self.commands.iter().map(|(action, command)| format!("{action}: {command}")));
        lines.extend(self.links.iter().map(|(name, url)| format!("{name}: {url}")));
        lines.push(self.footer.clone());
        lines.retain(|l| !l.is_empty());
        lines.join("\n")
    }
}

/// The end of its subject is no recovery.
fn how_it_went(event: &Event) -> Vec<String> {
    let removed = event.details.get(over::REMOVED).is_some_and(|r| r == true);
    let first = event.description.split_once(". ").map_or(event.description.as_str(), |(first, _)| first);
    removed.then(|| one_line(first.trim_end_matches('.'))).into_iter().collect()
}

fn tone(notification: &Notification) -> Tone {
    match notification.phase {
        Phase::Test => Tone::Test,
        Phase::Resolved => Tone::Over,
        _ => Tone::Trouble(notification.severity()),
    }
}

fn label(notification: &Notification) -> String {
    let severity = notification.severity();
    let upper = severity.as_str().to_uppercase();
    match notification.phase {
        Phase::Opened | Phase::Event => upper,
        Phase::Worse => format!("WORSE, now {upper}"),
        Phase::Repeated => format!("STILL OPEN ({severity})"),
        Phase::Resolved => "RESOLVED".into(),
        Phase::Reopened => format!("BROKEN AGAIN ({severity})"),
        Phase::Flapping => format!("FLAPPING ({severity})"),
        Phase::Digest => "SUMMARY".into(),
        Phase::Test => "TEST".into(),
    }
}

/// What a phase is called among others.
const fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Repeated => "still open",
        Phase::Reopened => "broken again",
        other => other.as_str(),
    }
}

/// The event's title, led by the subject where the title does not name it.
fn title(event: &Event, facts: Option<&IncidentFacts>) -> String {
    // Of an end the place says from when to when; the event's own title counts one of its troubles alone.
    let whole = one_line(&event.title);
    let title = over::trouble(&whole).to_owned();
    match facts.map(|f| &f.subject).filter(|s| !title.contains(&s.name)) {
        Some(subject) => format!("{}: {title}", subject.resource()),
        None => title,
    }
}

fn place(event: &Event, facts: Option<&IncidentFacts>) -> Vec<String> {
    let subject = facts.map_or(&event.subject, |f| &f.subject);
    let mut parts = vec![event.cluster.clone()];
    if !subject.namespace.is_empty() {
        parts.push(subject.namespace.clone());
    }
    parts.push(subject.resource());
    let Some(facts) = facts else {
        parts.push(moment(event.timestamp));
        return parts;
    };
    if let Some((ready, wanted)) = facts.ready {
        parts.push(format!("{ready} of {wanted} ready"));
    }
    if facts.objects > 1 {
        parts.push(format!("{} objects", facts.objects));
    }
    if !facts.affected.is_empty() {
        parts.push(format!("{} affected", facts.affected.len()));
    }
    let end = facts.resolved_at.unwrap_or(event.timestamp);
    let lasted = age(end.duration_since(facts.since()));
    parts.push(match facts.resolved_at {
        Some(at) => format!("{} to {} ({lasted})", moment(facts.since()), moment(at)),
        None => format!("since {}", moment(facts.since())),
    });
    parts
}

/// The description, then what it does not say yet: reason, exit code, probe's or scheduler's message.
fn why(event: &Event) -> Vec<String> {
    let mut lines = Vec::new();
    let mut said = event.description.trim().to_owned();
    if !said.is_empty() {
        lines.push(one_line(&said));
    }
    let detail = |name: &str| match event.details.get(name) {
        Some(Value::String(text)) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let mut facts = Vec::new();
    if let Some(reason) = detail("reason").filter(|r| !said.contains(r.as_str())) {
        facts.push(reason);
    }
    let code =
        detail("exit_code").map(|code| format!("exit code {code}")).filter(|text| !said.contains(text));
    if let Some(text) = &code {
        facts.push(detail("exit_meaning").map_or_else(|| text.clone(), |m| format!("{text} ({m})")));
    }
    // By itself it says nothing that the description did not.
    facts.retain(|fact| fact != "Error" || code.is_some());
    if !facts.is_empty() {
        lines.push(facts.join(", "));
        said = lines.join("\n");
    }
    if let Some(message) = detail("message").filter(|m| !said.contains(m.as_str())) {
        lines.push(one_line(&message));
    }
    if let Some(named) = signature(event) {
        lines.push(named);
    }
    if event.late {
        lines.push("Found late: it happened while nobody watched.".into());
    }
    lines
}

/// A line per object with all of its troubles, where there is more than one object.
fn members(facts: &IncidentFacts) -> Vec<String> {
    if facts.objects < 2 {
        return Vec::new();
    }
    let mut objects: Vec<(&str, Vec<String>)> = Vec::new();
    for member in &facts.members {
        let trouble = member.event_type.name().replace('_', " ");
        // The line begins with the object.
        let kind = member.resource.split('/').next().unwrap_or_default().to_lowercase();
        let trouble = trouble.strip_prefix(&format!("{kind} ")).unwrap_or(&trouble).to_owned();
        match objects.iter_mut().find(|(resource, _)| *resource == member.resource) {
            Some((_, troubles)) if troubles.contains(&trouble) => {}
            Some((_, troubles)) => troubles.push(trouble),
            None => objects.push((&member.resource, vec![trouble])),
        }
    }
    let shown = objects.iter().take(MAX_MEMBERS);
    let mut lines: Vec<String> =
        shown.map(|(name, troubles)| format!("{name}: {}", troubles.join(", "))).collect();
    let more = (facts.objects as usize).saturating_sub(lines.len());
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

fn changes(facts: &IncidentFacts) -> Vec<String> {
    // What came after the beginning was no cause of it, but perhaps of its breaking anew. The cluster's times have whole
    // seconds.
    let is_before = |at: Timestamp, s: &Suspect| s.at <= at + SignedDuration::from_secs(1);
    let anew = |s: &Suspect| facts.refired_at.filter(|at| !is_before(facts.since(), s) && is_before(*at, s));
    let before = |s: &&Suspect| is_before(facts.since(), s) || anew(s).is_some();
    let line = |s: &Suspect| {
        let by = if s.manager.is_empty() { String::new() } else { format!(" by {}", s.manager) };
        let (began, what_began) = match anew(s) {
            Some(at) => (at, " it broke anew"),
            None => (facts.since(), ""),
        };
        let when = match began.duration_since(s.at) {
            span if span.as_secs() < 1 && what_began.is_empty() => "at the same moment".to_owned(),
            span => format!("{} before{what_began}", age(span)),
        };
        let title = one_line(&s.title);
        let named = title.starts_with(&format!("{} {}", s.object.kind, s.object.name));
        let what = if named { title } else { format!("{} {title}", s.object.resource()) };
        // What is tied loosely says so: correlation is no proof.
        let tie = match s.link.as_str() {
            "namespace" => ", same namespace",
            "node" => ", same node",
            _ => "",
        };
        format!("{what}{by}, {when} ({}){tie}", clock(s.at))
    };
    let lines: Vec<String> = facts.suspects.iter().filter(before).take(MAX_SUSPECTS).map(line).collect();
    if lines.is_empty() { vec![NOTHING_CHANGED.to_owned()] } else { lines }
}

/// The termination message and the last lines of the log, where they say more than is said already.
fn words(event: &Event, why: &[String]) -> Vec<String> {
    let said = why.join("\n");
    let mut lines: Vec<String> = Vec::new();
    // Where the container left no message, its last error is made of reason and exit code: nobody's words.
    let made = event.details.get("reason").and_then(Value::as_str).unwrap_or("Error");
    let made = format!("{made}: exit code ");
    for name in ["last_error", "termination_message", "log_tail"] {
        let texts: Vec<&str> = match event.details.get(name) {
            Some(Value::String(text)) => text.lines().collect(),
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            _ => continue,
        };
        for text in texts.into_iter().map(str::trim_end).filter(|t| !t.is_empty()) {
            if text.starts_with(&made) && name == "last_error" {
                continue;
            }
            // A log is shown as it is; a message only where it says more.
            if name == "log_tail" || (!said.contains(text.trim()) && !lines.iter().any(|l| l == text)) {
                lines.push(text.to_owned());
            }
        }
    }
    lines
}

fn commands(event: &Event) -> Vec<(String, String)> {
    event.recommendations.iter().take(MAX_COMMANDS).map(|r| (r.action.clone(), r.command.clone())).collect()
}

/// Runbook and dashboard: what a browser can open.
fn links(event: &Event) -> Vec<(String, String)> {
    let page = |l: &crate::event::Link| {
        let url = l.href.as_deref().unwrap_or(&l.reference);
        let web = url.starts_with("https://") || url.starts_with("http://");
        let name = match l.rel.as_str() {
            "runbook" => "Runbook",
            "dashboard" => "Dashboard",
            _ => return None,
        };
        web.then(|| (name.to_owned(), url.to_owned()))
    };
    event.links.iter().filter_map(page).collect()
}

fn digest(notification: &Notification) -> Message {
    let lines = &notification.digest;
    let broken = || lines.iter().filter(|l| !l.phase.is_end());
    let worst = broken().map(|l| l.severity).max();
    let count = |severity: &Severity| {
        let n = broken().filter(|l| l.severity == *severity).count();
        (n > 0).then(|| format!("{n} {severity}"))
    };
    let over = lines.len() - broken().count();
    let over = (over > 0).then(|| format!("{over} over"));
    let counts = Severity::ALL.iter().filter_map(count).chain(over).collect::<Vec<_>>().join(", ");
    let times = || lines.iter().map(|l| l.timestamp);
    let span = match (times().min(), times().max()) {
        (Some(first), Some(last)) if first == last => moment(first),
        (Some(first), Some(last)) => format!("{} to {}", moment(first), moment(last)),
        _ => String::new(),
    };
    let mut listed: Vec<String> = lines
        .iter()
        .take(MAX_DIGEST)
        .map(|l| {
            let severity = if l.phase.is_end() { String::new() } else { format!(" {}", l.severity) };
            format!("{}{severity} {} ({})", clock(l.timestamp), one_line(&l.title), word(l.phase))
        })
        .collect();
    if lines.len() > MAX_DIGEST {
        listed.push(format!("and {} more", lines.len() - MAX_DIGEST));
    }
    let n: u64 = lines.iter().map(|l| u64::from(l.messages)).sum();
    Message {
        tone: worst.map_or(Tone::Over, Tone::Trouble),
        label: "SUMMARY".into(),
        title: match lines.len() as u64 {
            things if things < n => {
                format!("{n} messages in one, about {things} {}", plural(things, "incident"))
            }
            _ => format!("{n} {} in one", plural(n, "message")),
        },
        place: vec![notification.event.cluster.clone(), span],
        why: vec![counts],
        members: Vec::new(),
        changes: None,
        words: Vec::new(),
        commands: Vec::new(),
        links: Vec::new(),
        digest: listed,
        footer: "messages that had to wait, sent together".into(),
    }
}

fn plural(n: u64, word: &str) -> String {
    if n == 1 { word.to_owned() } else { format!("{word}s") }
}

/// Text on one line.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `2025-01-15 10:28:25 UTC`
fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `10:28:25 UTC`: beside a time that has its day.
fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S UTC").to_string()
}

/// `35 s`, `12 min`, `3 h 5 min`, `2 d 4 h`
pub fn age(span: SignedDuration) -> String {
    let secs = span.as_secs().max(0);
    match secs {
        0..=119 => format!("{secs} s"),
        120..=7199 => format!("{} min", secs / 60),
        7200..=172_799 => format!("{} h {} min", secs / 3600, secs % 3600 / 60),
        _ => format!("{} d {} h", secs / 86_400, secs % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{connector::samples, event::EventType};

    fn crash(phase: Phase) -> Notification {
        let mut n = samples::notification(EventType::PodCrashLoop, phase, "c");
        n.event.details.insert("exit_meaning".into(), "application error".into());
        n.event
            .details
            .insert("last_error".into(), "dial tcp 10.0.0.7:5432: connect: connection refused".into());
        n.event.details.remove("message");
        n
    }

    #[test]
    fn a_message_says_everything_in_order() {
        insta::assert_snapshot!(Message::of(&crash(Phase::Opened)).plain(), @r#"
        CRITICAL: Pod my-app-123 in crash loop
        production · default · Deployment/my-app · 2 of 3 ready · since 2025-01-15 10:28:25 UTC
        Pod has restarted 5 times in the last 10 minutes
        Error, exit code 1 (application error)
        Known sign: connection refused to 10.0.0.7:5432.
        Changed just before:
        - Deployment/my-app image my-app 1.41.0 → 1.42.0 by helm, 65 s before (10:27:20 UTC)
        Last words:
          dial tcp 10.0.0.7:5432: connect: connection refused
        Check pod logs: kubectl logs my-app-123 -n default
        incident 78b9298622fbfdce7516b4c7aa3c0552 · 4 events
        "#);
    }

    #[test]
    fn a_resolve_says_how_long_and_nothing_to_do() {
        insta::assert_snapshot!(Message::of(&crash(Phase::Resolved)).plain(), @r#"
        RESOLVED: Pod my-app-123 in crash loop
        production · default · Deployment/my-app · 3 of 3 ready · 2025-01-15 10:28:25 UTC to 2025-01-15 10:30:00 UTC (95 s)
        incident 78b9298622fbfdce7516b4c7aa3c0552 · 4 events
        "#);
    }

    #[test]
    fn without_suspects_it_says_so() {
        let mut n = crash(Phase::Worse);
        n.incident.as_mut().unwrap().suspects.clear();
        assert_eq!(Message::of(&n).changes, Some(vec![NOTHING_CHANGED.to_owned()]));
        assert!(Message::of(&n).headline().starts_with("WORSE, now CRITICAL: "));
    }

    #[test]
    fn a_digest_counts_and_lists() {
        let mut n = crash(Phase::Digest);
        while n.digest.len() < 40 {
            n.digest.push(n.digest[0].clone());
        }
        let message = Message::of(&n);
        assert_eq!(message.headline(), "SUMMARY: 40 messages in one");
        assert_eq!(message.why, ["40 critical"]);
        assert_eq!((message.digest.len(), message.digest[25].as_str()), (26, "and 15 more"));
    }

    #[test]
    fn a_digest_counts_what_is_broken_apart_from_what_is_over_and_spans_all_of_it() {
        let mut n = crash(Phase::Digest);
        n.digest[0].phase = Phase::Resolved;
        n.digest[0].messages = 3;
        n.digest[1].timestamp -= SignedDuration::from_secs(60);
        let message = Message::of(&n);
        assert_eq!(message.headline(), "SUMMARY: 4 messages in one, about 2 incidents");
        assert_eq!(message.why, ["1 critical, 1 over"]);
        assert_eq!(message.place[1], "2025-01-15 10:29:00 UTC to 2025-01-15 10:30:00 UTC");
        assert_eq!(message.digest[0], "10:30:00 UTC Pod my-app-123 in crash loop (resolved)");
        n.digest.iter_mut().for_each(|l| l.phase = Phase::Resolved);
        assert_eq!(Message::of(&n).tone, Tone::Over);
    }

    #[test]
    fn a_structured_log_names_what_refused_too() {
        let mut n = crash(Phase::Opened);
        n.event.details.remove("last_error");
        let line = "level=error msg=\"connection refused\" host=db.prod.svc port=5432";
        n.event.details.insert("log_tail".into(), serde_json::json!([line, "panic: no database"]));
        let why = Message::of(&n).why;
        assert!(why.contains(&"Known sign: connection refused to db.prod.svc:5432.".to_owned()), "{why:?}");
    }

    #[test]
    fn a_reminder_says_that_its_words_are_those_of_the_beginning() {
        let why = Message::of(&crash(Phase::Repeated)).why;
        assert_eq!(why[0], "When it began: Pod has restarted 5 times in the last 10 minutes");
    }

    #[test]
    fn a_suspect_is_named_once_and_a_loose_tie_says_so() {
        let mut n = crash(Phase::Opened);
        let suspect = &mut n.incident.as_mut().unwrap().suspects[0];
        suspect.title = "Deployment my-app scaled from 3 to 5".into();
        suspect.link = "namespace".into();
        let said = Message::of(&n).changes.unwrap().remove(0);
        assert_eq!(
            said,
            "Deployment my-app scaled from 3 to 5 by helm, 65 s before (10:27:20 UTC), same namespace"
        );
        let facts = n.incident.as_mut().unwrap();
        facts.suspects[0].at = facts.opened_at + SignedDuration::from_secs(4);
        assert_eq!(Message::of(&n).changes.unwrap(), [NOTHING_CHANGED], "what came later was no cause");
        let facts = n.incident.as_mut().unwrap();
        facts.refired_at = Some(facts.opened_at + SignedDuration::from_secs(9));
        let said = Message::of(&n).changes.unwrap().remove(0);
        assert!(said.contains("by helm, 5 s before it broke anew (10:28:29 UTC)"), "{said}");
    }

    #[test]
    fn one_pod_with_three_troubles_is_one_object() {
        let mut n = crash(Phase::Opened);
        let facts = n.incident.as_mut().unwrap();
        for event_type in [EventType::PodRestarted, EventType::PodOomRestart] {
            let member = crate::event::incident::MemberFact { event_type, ..facts.members[0].clone() };
            facts.members.push(member);
        }
        facts.member_count = 3;
        let message = Message::of(&n);
        assert!(!message.place.iter().any(|p| p.contains("objects")), "{:?}", message.place);
        assert_eq!(message.members, Vec::<String>::new());
        n.incident.as_mut().unwrap().objects = 9;
        let message = Message::of(&n);
        assert!(message.place.contains(&"9 objects".to_owned()));
        assert_eq!(message.members, ["Pod/my-app-123: crash loop, restarted, oom restart", "and 8 more"]);
    }

    #[test]
    fn a_resolve_says_one_duration() {
        let mut n = crash(Phase::Resolved);
        n.event.title = "Pod my-app-123 in crash loop — over after 78 s".into();
        let plain = Message::of(&n).plain();
        assert!(plain.contains("(95 s)") && !plain.contains("78 s"), "{plain}");
    }

    #[test]
    fn what_we_made_of_the_exit_is_nobodys_last_words() {
        let mut n = crash(Phase::Opened);
        n.event.details.insert("last_error".into(), "Error: exit code 1 (application error)".into());
        assert_eq!(Message::of(&n).words, Vec::<String>::new());
        n.event.details.insert("log_tail".into(), serde_json::json!(["panic: no database", "exit"]));
        assert_eq!(Message::of(&n).words, ["panic: no database", "exit"]);
    }

    #[test]
    fn ages_read_well() {
        let said = |secs| age(SignedDuration::from_secs(secs));
        assert_eq!(
            [said(-5), said(95), said(3600), said(7260), said(200_000)].join("|"),
            "0 s|95 s|60 min|2 h 1 min|2 d 7 h"
        );
    }
}
