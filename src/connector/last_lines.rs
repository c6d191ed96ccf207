//! The end of a container's log as it may be sent: without escape sequences and secrets, and no longer than a message can
//! carry.

/// How many lines of a log are sent, how long each may be, and all of them together.
const MAX_LINES: usize = 20;
const MAX_LINE: usize = 400;
const MAX_LOG: usize = 6_000;

/// The end of a log as it may be sent: no escape sequences, no control characters, no passwords, and no more than a
/// message can carry; the newest lines are kept.
pub fn last_lines(log: &str) -> Vec<String> {
    let (mut lines, mut room) = (Vec::new(), MAX_LOG);
    for line in log.lines().rev() {
        let line = without_secrets(&without_escapes(line));
        let line = crate::event::sanitize::clean_cut(line.trim_end(), MAX_LINE).into_owned();
        if line.trim().is_empty() {
            continue;
        }
        room = room.saturating_sub(line.len());
        if room == 0 || lines.len() == MAX_LINES {
            break;
        }
        lines.push(line);
    }
    lines.reverse();
    lines
}

/// Terminal colours and titles, whole: cleaning alone would leave their rest behind. A line that was written over
/// (a progress bar) is what it came to last.
fn without_escapes(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.trim_end_matches('\r').chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => out.clear(),
            '\x1b' => match chars.next() {
                Some('[') => drop(chars.by_ref().find(|c| ('@'..='~').contains(c))),
                Some(']') => drop(chars.by_ref().find(|c| matches!(c, '\x07' | '\x1b' | '\\'))),
                _ => {}
            },
            c => out.push(c),
        }
    }
    out
}

/// What stands after a word that names a secret, in a URL before its `@`, or looks like a token by itself.
fn without_secrets(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    // What comes next is a secret: whatever it is, or only where it looks like one ("unexpected token: line").
    let mut next: Option<bool> = None;
    for word in line.split_inclusive(|c: char| c.is_whitespace() || matches!(c, '&' | ';' | ',')) {
        let body = word.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '&' | ';' | ','));
        let after = word.get(body.len()..).unwrap_or_default();
        let bare = body.trim_matches(|c: char| "\"'{}()[]".contains(c));
        let scheme = ["bearer", "basic"].contains(&bare.to_ascii_lowercase().as_str());
        let hidden = match next {
            _ if body.is_empty() || scheme || matches!(body, "=" | ":") => false,
            Some(any) => any || (bare.len() >= 8 && bare.contains(|c: char| c.is_ascii_digit())),
            None => is_token(bare),
        };
        if hidden {
            out.push_str(SECRET);
        } else if let Some((kept, value)) = named_secret(body) {
            out.push_str(kept);
            if value.trim_matches(['"', '\'']).is_empty() {
                next = Some(!kept.to_ascii_lowercase().contains("token"));
                out.push_str(after);
                continue;
            }
            out.push_str(SECRET);
        } else {
            out.push_str(&without_password(body).unwrap_or_else(|| body.to_owned()));
        }
        if !body.is_empty() && !matches!(body, "=" | ":") {
            next = scheme.then_some(true);
        }
        out.push_str(after);
    }
    out
}

const SECRET: &str = "[secret]";

/// `password=…`, `"api_key":"…"`, `Authorization: …`: what names it, and what stands behind.
fn named_secret(word: &str) -> Option<(&str, &str)> {
    let known =
        ["password", "passwd", "pwd", "secret", "token", "authorization", "apikey", "api_key", "api-key"];
    word.match_indices(['=', ':']).find_map(|(at, _)| {
        let (before, value) = (word.get(..at)?, word.get(at + 1..)?);
        let before = before.trim_end_matches(['"', '\'']);
        let name = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-')).next()?;
        let name = name.to_ascii_lowercase();
        let named = known.iter().any(|k| name.ends_with(k))
            || name.ends_with("access_key")
            || name.ends_with("private_key");
        (named && !value.starts_with("//")).then(|| (word.get(..=at).unwrap_or_default(), value))
    })
}

/// `postgres://user:password@host` without user and password.
fn without_password(word: &str) -> Option<String> {
    let (scheme, rest) = word.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (login, _) = authority.rsplit_once('@')?;
    login.contains(':').then(|| format!("{scheme}://{SECRET}{}", rest.get(login.len()..).unwrap_or_default()))
}

/// Tokens that are known by their beginning.
fn is_token(word: &str) -> bool {
    let known = [
        "eyJ",
        "ghp_",
        "gho_",
        "ghs_",
        "github_pat_",
        "xoxb-",
        "xoxp-",
        "xoxa-",
        "AKIA",
        "ASIA",
        "sk-",
        "whsec_",
    ];
    word.len() >= 16 && known.iter().any(|k| word.starts_with(k))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_cleaned_and_its_end_is_kept() {
        let log = "old\n\u{1b}[31mred\u{1b}[0m and \u{1b}]0;title\u{7}plain\n\n10 %\r90 %\rdone\r\nlast\u{202e}\u{0}\n";
        assert_eq!(last_lines(log), ["old", "red and plain", "done", "last"]);
        let many = (0..100).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n");
        let kept = last_lines(&many);
        assert_eq!((kept.len(), kept[0].as_str(), kept[19].as_str()), (20, "line 80", "line 99"));
        let wide = format!("{}\n", "x".repeat(100_000)).repeat(30);
        let kept = last_lines(&wide);
        assert!(
            kept.iter().map(String::len).sum::<usize>() <= MAX_LOG && kept[0].len() <= MAX_LINE,
            "{}",
            kept.len()
        );
    }

    #[test]
    fn a_log_keeps_its_secrets() {
        for (line, said) in [
            (
                "connect postgres://shop:hunter2@db:5432/shop failed",
                "connect postgres://[secret]@db:5432/shop failed",
            ),
            ("DB_PASSWORD=hunter2 retries=3", "DB_PASSWORD=[secret] retries=3"),
            (r#"{"api_key":"hunter2","n":1}"#, r#"{"api_key":[secret],"n":1}"#),
            ("password: hunter2 is wrong", "password: [secret] is wrong"),
            ("Authorization: Bearer hunter2", "Authorization: Bearer [secret]"),
            ("sent Bearer hunter2, refused", "sent Bearer [secret], refused"),
            ("got eyJhbGciOiJIUzI1NiJ9.e30.abc", "got [secret]"),
            ("GET https://x/?token=hunter2&a=1", "GET https://x/?token=[secret]&a=1"),
            (
                "dial tcp 10.0.0.7:5432: connect: connection refused",
                "dial tcp 10.0.0.7:5432: connect: connection refused",
            ),
            ("unexpected token: line 3", "unexpected token: line 3"),
            ("token: a1b2c3d4e5 sent", "token: [secret] sent"),
        ] {
            assert_eq!(last_lines(line), [said]);
        }
    }
}
