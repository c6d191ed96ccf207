//! Well-known signs: troubles that a container's last words name outright.

use serde_json::Value;

use crate::event::Event;

/// Troubles that the last words name outright.
pub(super) fn signature(event: &Event) -> Option<String> {
    let mut text = String::new();
    for name in ["last_error", "termination_message", "message", "log_tail"] {
        match event.details.get(name) {
            Some(Value::String(t)) => text.push_str(t),
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).for_each(|t| {
                text.push_str(t);
                text.push('\n');
            }),
            _ => {}
        }
        text.push('\n');
    }
    let lower = text.to_lowercase();
    let found = |needle: &str| lower.contains(needle);
    if found("connection refused") {
        return Some(match refused_by(&text) {
            Some(target) => format!("Known sign: connection refused to {target}."),
            None => "Known sign: connection refused: what it needs does not answer.".into(),
        });
    }
    let known = [
        ("no space left on device", "Known sign: no space left on a disk."),
        ("certificate has expired", "Known sign: a certificate has expired."),
        ("certificate expired", "Known sign: a certificate has expired."),
        ("permission denied", "Known sign: permission denied: user, volume or security context."),
        ("no such host", "Known sign: a host name cannot be resolved."),
    ];
    known.iter().find(|(needle, _)| found(needle)).map(|(_, said)| (*said).to_owned())
}

/// `host:port` just before "connection refused", as most languages print it, or `host=… port=…` behind it.
fn refused_by(text: &str) -> Option<String> {
    let at = text.to_ascii_lowercase().find("connection refused")?;
    let (before, after) = (text.get(..at)?, text.get(at..)?.lines().next().unwrap_or_default());
    // As structured logs have it.
    let field = |name: &str| {
        let value = after.split_whitespace().find_map(|w| w.strip_prefix(name)?.strip_prefix('='))?;
        Some(value.trim_matches(|c: char| !c.is_alphanumeric())).filter(|v| !v.is_empty())
    };
    if let (Some(host), Some(port)) = (field("host"), field("port")) {
        return Some(format!("{host}:{port}"));
    }
    let word = |w: &&str| {
        let w = w.trim_matches(|c: char| !c.is_alphanumeric() && c != ']' && c != '[');
        w.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    let found = before.split_whitespace().rev().take(6).find(word)?;
    Some(found.trim_matches(|c: char| !c.is_alphanumeric() && c != ']' && c != '[').to_owned())
}
