//! Slack incoming webhooks: blocks with a text fall-back, within Slack's limits.
//!
//! Limits: 50 blocks, section text 3,000 characters, header 150, ≤10 context elements; all blocks together about
//! 13,200 characters (undocumented), so at most 12,000 are made. Source: Slack's block kit reference.

use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::{Client, Url, header::CONTENT_TYPE};
use serde_json::{Value, json};

use super::{
    Checked, Common, Connector, ConnectorDef, Deliver, Field, HttpClients, Notification, Options, Outcome,
    Reason, Receipt, RenderError, Rendered,
    http::{Answer, Secrets, send},
    text::{Message, Tone},
    webhook,
};
use crate::event::Severity;

/// The registry's line.
pub const DEF: ConnectorDef = ConnectorDef {
    kind: "slack",
    title: "Slack",
    about: "Posts to a channel through an incoming webhook",
    fields: &[
        Field::text("webhook_url", "Webhook URL", "https://hooks.slack.com/services/…").required().secret(),
        Field::text("channel", "Channel", "#name or @user; webhooks that belong to an app ignore it"),
        Field::text("username", "User name", "Shown as the sender; webhooks that belong to an app ignore it"),
    ],
    deliver: Deliver::Incidents,
    max_per_minute: Some(30),
    // One message a second per channel is Slack's own limit.
    min_interval: Duration::from_secs(1),
    in_flight: 1,
    build,
};

const MAX_BLOCKS: usize = 12_000;
const MAX_SECTION: usize = 3_000;
const MAX_HEADER: usize = 150;
const MAX_TEXT: usize = 4_000;

struct Slack {
    client: Client,
    clients: HttpClients,
    url: Url,
    channel: Option<String>,
    username: Option<String>,
    secrets: Secrets,
}

fn build(common: &Common, options: &mut Options<'_>, clients: &HttpClients) -> Option<Box<dyn Connector>> {
    let url = clients.url(options, "webhook_url", common.allow_insecure_http);
    let channel = options.text("channel");
    if channel.as_ref().is_some_and(|c| c.contains(char::is_whitespace)) {
        options.bad("channel", "must be one name, such as #k8s-alerts");
    }
    let username = options.text("username");
    let client = webhook::client(common, options, clients)?;
    let url = url?;
    let mut secrets = Secrets::default();
    secrets.add_url(&url);
    Some(Box::new(Slack { client, clients: clients.clone(), url, channel, username, secrets }))
}

/// Room for each part, in characters after escaping; together below the limit of all blocks.
struct Room {
    why: usize,
    members: usize,
    changes: usize,
    words: usize,
    commands: usize,
    digest: usize,
}

/// The message as blocks, made smaller until all of it fits.
fn blocks(message: &Message) -> (Vec<Value>, bool) {
    let mut cut = false;
    for percent in [100, 60, 35, 20, 10] {
        let part = |n: usize| n * percent / 100;
        let room = Room {
            why: part(MAX_SECTION),
            members: part(1_000),
            changes: part(1_500),
            words: part(2_900),
            commands: part(1_500),
            digest: part(MAX_SECTION),
        };
        let (made, shortened) = lay_out(message, &room);
        cut = percent < 100 || shortened;
        let size = serde_json::to_string(&made).map_or(0, |t| t.chars().count());
        if size <= MAX_BLOCKS || percent == 10 {
            return (made, cut);
        }
    }
    (Vec::new(), cut)
}

fn lay_out(message: &Message, room: &Room) -> (Vec<Value>, bool) {
    let mut cut = Cutter::default();
    let header = cut.plain(&format!("{} {}", mark(message.tone), message.headline()), MAX_HEADER);
    let mut blocks = vec![json!({"type": "header", "text": {"type": "plain_text", "text": header}})];
    let place = cut.escaped(&message.place.join("  ·  "), 600);
    let why = cut.escaped(&message.why.join("\n"), room.why.saturating_sub(place.chars().count() + 3));
    blocks.push(section(format!("*{place}*\n{why}").trim_end()));
    if !message.members.is_empty() {
        blocks.push(section(&cut.escaped(&bullets(&message.members), room.members)));
    }
    if let Some(changes) = &message.changes {
        let text = cut.escaped(&bullets(changes), room.changes);
        blocks.push(section(&format!("*Changed just before*\n{text}")));
    }
    if !message.words.is_empty() {
        let text = cut.newest(&message.words, room.words);
        blocks.push(section(&format!("```\n{text}\n```")));
    }
    if !message.digest.is_empty() {
        blocks.push(section(&cut.escaped(&bullets(&message.digest), room.digest)));
    }
    if !message.commands.is_empty() {
        let each = room.commands / message.commands.len();
        let line = |(action, command): &(String, String)| {
            let action = cut.escaped(action, each / 3);
            let command = cut.escaped(&command.replace('`', "'"), each / 2);
            format!("{action}: `{command}`")
        };
        let lines: Vec<String> = message.commands.iter().map(line).collect();
        blocks.push(section(&lines.join("\n")));
    }
    let links: Vec<String> = message.links.iter().filter_map(|(name, url)| link(name, url)).collect();
    if !links.is_empty() {
        blocks.push(section(&links.join("  ·  ")));
    }
    let footer = cut.escaped(&message.footer, 300);
    blocks
        .push(json!({"type": "context", "elements": [{"type": "mrkdwn", "text": footer, "verbatim": true}]}));
    (blocks, cut.happened)
}

/// A URL cannot be cut; one that is too long, or that would end the link, is left out.
fn link(name: &str, url: &str) -> Option<String> {
    let bad = url.chars().count() > 1_000 || url.contains(['<', '>', '|', ' ']);
    (!bad).then(|| format!("<{}|{name}>", url.replace('&', "&amp;")))
}

fn bullets(lines: &[String]) -> String {
    lines.iter().map(|l| format!("• {l}")).collect::<Vec<_>>().join("\n")
}

fn section(text: &str) -> Value {
    // verbatim: names in the text are no channels and no people.
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": true}})
}

const fn mark(tone: Tone) -> &'static str {
    match tone {
        Tone::Trouble(Severity::Critical) => "🔴",
        Tone::Trouble(Severity::High) => "🟠",
        Tone::Trouble(Severity::Medium) => "🟡",
        Tone::Trouble(Severity::Low | Severity::Info) => "🔵",
        Tone::Over => "🟢",
        Tone::Test => "🧪",
    }
}

/// Cuts texts and remembers whether it had to.
#[derive(Default)]
struct Cutter {
    happened: bool,
}

impl Cutter {
    /// At most `max` characters, as they are.
    fn plain(&mut self, text: &str, max: usize) -> String {
        self.cut(text, max, |c, out| out.push(c))
    }

    /// At most `max` characters after `& < >` are escaped; an escape is never cut in two.
    fn escaped(&mut self, text: &str, max: usize) -> String {
        self.cut(text, max, |c, out| match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        })
    }

    /// The last lines that fit, for a block of code: what was said last says the most.
    fn newest(&mut self, lines: &[String], max: usize) -> String {
        let (mut kept, mut used) = (Vec::new(), 0);
        for line in lines.iter().rev() {
            let line = self.escaped(&line.replace("```", "'''"), max / 3);
            used += line.chars().count() + 1;
            if used > max && !kept.is_empty() {
                self.happened = true;
                break;
            }
            kept.push(line);
        }
        kept.reverse();
        kept.join("\n")
    }

    fn cut(&mut self, text: &str, max: usize, put: impl Fn(char, &mut String)) -> String {
        let (mut out, mut used, mut safe) = (String::with_capacity(text.len()), 0, 0);
        for c in text.chars() {
            let before = out.len();
            put(c, &mut out);
            used += out.get(before..).map_or(0, |put| put.chars().count());
            if used > max {
                out.truncate(safe);
                out.push('…');
                self.happened = true;
                return out;
            }
            if used < max {
                safe = out.len();
            }
        }
        out
    }
}

impl Slack {
    fn judge(&self, answer: &Answer) -> Outcome {
        let body = answer.body.trim();
        if answer.status == 200 && answer.complete && body == "ok" {
            return Outcome::Delivered { receipt: None, status: 200, answer: "ok".into() };
        }
        if let Some(broken) = answer.cut_short() {
            return broken;
        }
        let known = ERRORS.iter().find(|(word, ..)| body == *word);
        if let Some((word, reason, pause, hint)) = known {
            let detail = format!("HTTP {}: {word}: {hint}", answer.status);
            return Outcome::Reject { reason: *reason, detail, pause: *pause, status: answer.status };
        }
        answer.refusal(&self.secrets, "check webhook_url").unwrap_or_else(|| Outcome::Retry {
            reason: Reason::UnexpectedAnswer,
            detail: format!(
                "HTTP {}, but not Slack's \"ok\": {}",
                answer.status,
                answer.shown(&self.secrets)
            ),
            after: None,
            status: answer.status,
        })
    }

    async fn post(&self, body: String) -> Result<Answer, Outcome> {
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json").body(body);
        send(request, self.clients.now(), &self.secrets).await
    }
}

/// Slack's own words: whether the next message would fail too, and what to do.
const ERRORS: &[(&str, Reason, bool, &str)] = &[
    (
        "channel_not_found",
        Reason::NotFound,
        true,
        "the channel does not exist or the webhook may not post there: correct or remove `channel`",
    ),
    ("channel_is_archived", Reason::NotFound, true, "the channel is archived: choose another one"),
    ("user_not_found", Reason::NotFound, true, "no such user: correct or remove `channel`"),
    (
        "no_service",
        Reason::NotFound,
        true,
        "the webhook was removed or disabled: make a new one and set webhook_url",
    ),
    ("no_service_id", Reason::NotFound, true, "webhook_url is incomplete: copy it again from Slack"),
    (
        "no_team",
        Reason::NotFound,
        true,
        "webhook_url is wrong or the workspace is gone: copy it again from Slack",
    ),
    ("no_active_hooks", Reason::NotFound, true, "the webhook was disabled: enable it or make a new one"),
    ("team_disabled", Reason::Unauthorized, true, "the workspace is disabled"),
    (
        "invalid_token",
        Reason::Unauthorized,
        true,
        "the webhook was revoked or webhook_url is mistyped: copy it again from Slack",
    ),
    (
        "action_prohibited",
        Reason::Unauthorized,
        true,
        "an administrator restricted the webhook: ask them, or use another channel",
    ),
    (
        "posting_to_general_channel_denied",
        Reason::Unauthorized,
        true,
        "only some may post to that channel: choose another one",
    ),
    ("invalid_payload", Reason::BadRequest, false, "Slack could not read the message"),
    ("invalid_blocks", Reason::BadRequest, false, "Slack refused the layout of the message"),
    ("no_text", Reason::BadRequest, false, "Slack saw an empty message"),
    ("too_many_attachments", Reason::BadRequest, false, "the message is too large for Slack"),
];

impl Connector for Slack {
    fn render(&self, notification: &Notification, _: Option<&Receipt>) -> Result<Rendered, RenderError> {
        let message = Message::of(notification);
        let (blocks, cut) = blocks(&message);
        let text = Cutter::default().escaped(&message.plain(), MAX_TEXT);
        let mut body = json!({"text": text, "blocks": blocks, "unfurl_links": false, "unfurl_media": false});
        for (name, value) in [("channel", &self.channel), ("username", &self.username)] {
            if let Some(value) = value {
                body[name] = value.as_str().into();
            }
        }
        Ok(Rendered {
            content_type: "application/json".into(),
            body: body.to_string(),
            id: notification.id.as_str().to_owned(),
            note: cut.then(|| "cut to Slack's limits".to_owned()),
            ..Rendered::default()
        })
    }

    fn deliver<'a>(&'a self, message: &'a Rendered) -> BoxFuture<'a, Outcome> {
        Box::pin(async {
            match self.post(message.body.clone()).await {
                Ok(answer) => self.judge(&answer),
                Err(outcome) => outcome,
            }
        })
    }

    fn check(&self) -> BoxFuture<'_, Result<Checked, String>> {
        Box::pin(async {
            // An empty message posts nothing; a webhook that works says `no_text` or `invalid_payload`.
            let answer = match self.post("{}".into()).await {
                Ok(answer) => answer,
                Err(Outcome::Retry { detail, .. } | Outcome::Reject { detail, .. }) => return Err(detail),
                Err(Outcome::Delivered { .. }) => return Err("no answer".into()),
            };
            match answer.body.trim() {
                "no_text" | "invalid_payload" | "missing_text_or_fallback_or_attachments" => {
                    Ok(Checked::Works("Slack knows the webhook".into()))
                }
                _ => match self.judge(&answer) {
                    Outcome::Retry { detail, .. } | Outcome::Reject { detail, .. } => Err(detail),
                    Outcome::Delivered { .. } => Ok(Checked::Works("Slack answers".into())),
                },
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        connector::samples,
        event::{EventType, incident::Phase},
    };

    #[test]
    fn cutting_is_exact_at_the_limit_and_never_splits_an_escape() {
        for (n, max, expected) in [(9, 10, "aaaaaaaaa"), (10, 10, "aaaaaaaaaa"), (11, 10, "aaaaaaaaa…")] {
            let mut cutter = Cutter::default();
            assert_eq!(cutter.escaped(&"a".repeat(n), max), expected);
            assert_eq!(cutter.happened, n > max);
        }
        assert_eq!(Cutter::default().escaped("a<b&c>d", 100), "a&lt;b&amp;c&gt;d");
        assert_eq!(Cutter::default().escaped("aa&&", 8), "aa&amp;…");
        assert_eq!(Cutter::default().escaped("aa&", 7), "aa&amp;");
        assert_eq!(Cutter::default().plain("🚀🚀🚀", 2), "🚀…");
    }

    fn sizes(blocks: &[Value]) -> (usize, usize, usize) {
        let texts: Vec<usize> = blocks
            .iter()
            .filter_map(|b| b["text"]["text"].as_str().map(|t| (b["type"] == "header", t.chars().count())))
            .map(|(header, n)| if header { n * 20 } else { n })
            .collect();
        (
            blocks.len(),
            texts.iter().copied().max().unwrap(),
            serde_json::to_string(blocks).unwrap().chars().count(),
        )
    }

    #[test]
    fn every_size_of_every_part_stays_within_the_limits() {
        let base = samples::notification(EventType::PodCrashLoop, Phase::Opened, "c");
        for n in [0, 1, 149, 150, 151, 2_999, 3_000, 3_001, 11_999, 12_000, 12_001, 13_200, 100_000] {
            for piece in ["a", "<", "\"", "🚀", "\n&"] {
                let long: String = piece.repeat(n);
                let mut notification = base.clone();
                notification.event.title.push_str(&long);
                notification.event.description = long.clone();
                notification.event.details.insert("last_error".into(), format!("x{long}").into());
                notification.event.recommendations[0].command = long.clone();
                notification.incident.as_mut().unwrap().suspects[0].title = long;
                let (blocks, cut) = blocks(&Message::of(&notification));
                let (count, largest, total) = sizes(&blocks);
                assert!(
                    count <= 50 && largest <= MAX_SECTION && total <= MAX_BLOCKS,
                    "{n} {piece} {largest} {total}"
                );
                assert!(n < 3_001 || cut);
            }
        }
    }

    #[test]
    fn nobody_can_be_mentioned_and_no_code_block_ended() {
        let mut notification = samples::notification(EventType::PodCrashLoop, Phase::Opened, "c");
        notification.event.title = "<!channel> <@U123> & ``` x".into();
        notification.event.details.insert("last_error".into(), "a ``` b <http://evil|click>".into());
        let text = serde_json::to_string(&blocks(&Message::of(&notification)).0).unwrap();
        assert!(text.contains("a ''' b &lt;http"), "{text}");
        let sections: Vec<&str> = text.split("\"type\":\"section\"").collect();
        assert!(sections.iter().all(|s| !s.contains("<!channel>") || s.contains("plain_text")));
    }
}
