//! Credentials that must not come back to us in the words of a server: one that echoes a request, a proxy in between.
//! Its errors stand in the log, on the screen and on pages that anybody may read.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use regex::Regex;
use secrecy::{ExposeSecret as _, SecretString};

use super::error::Error;

/// What is put in its place.
const CUT: &str = "[secret]";
/// Before a credential, in a header.
const SCHEMES: [&str; 2] = ["bearer ", "basic "];
/// Shorter words after a scheme are words.
const SHORTEST: usize = 8;

/// The credentials of one access.
#[derive(Debug, Default)]
pub struct Hidden(Vec<SecretString>);

impl Hidden {
    /// A token, a password, a key.
    pub fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        // Too short ones would cut words out of everything.
        if secret.len() >= 4 {
            self.0.push(SecretString::from(secret));
        }
    }

    /// User and password, as they stand in a header.
    pub fn add_basic(&mut self, user: &str, password: &str) {
        self.add(&STANDARD.encode(format!("{user}:{password}")));
        self.add(password);
    }

    /// The error without them. A token that was renewed since is known by the word before it.
    pub fn cut(&self, mut error: Error) -> Error {
        for secret in &self.0 {
            error.what = error.what.replace(secret.expose_secret(), CUT);
        }
        error.what = cut_schemes(&error.what);
        error
    }
}

/// What a program says of its own trouble, without what looks like a credential: a JSON Web Token, what stands behind
/// `token:` or `password=`, behind a scheme.
pub fn cut_unknown(text: &str) -> String {
    static NAMED: LazyLock<Regex> = LazyLock::new(|| {
        let names = "token|password|passwd|passphrase|secret|api[-_]?key|access[-_]?key|private[-_]?key|authorization";
        Regex::new(&format!(r#"(?i)((?:{names})["']?\s*[:=]\s*["']?)[^\s"']+"#)).expect("a test uses it")
    });
    static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\bey[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?").expect("a test uses it")
    });
    let text = cut_schemes(text);
    let text = TOKEN.replace_all(&text, CUT);
    NAMED.replace_all(&text, format!("${{1}}{CUT}")).into_owned()
}

/// A server's address as it may be shown: without user, password and query.
pub fn address(server: &http::Uri) -> String {
    let scheme = server.scheme_str().unwrap_or("https");
    let host = server.authority().map_or("", |a| a.as_str().rsplit('@').next().unwrap_or_default());
    format!("{scheme}://{host}{}", server.path()).trim_end_matches('/').to_owned()
}

fn cut_schemes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let lower = rest.to_ascii_lowercase();
        let found = SCHEMES.iter().filter_map(|s| lower.find(s).map(|at| at + s.len())).min();
        let Some((before, after)) = found.and_then(|at| rest.split_at_checked(at)) else {
            out.push_str(rest);
            return out;
        };
        out.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "\"',;)}]".contains(c)).unwrap_or(after.len());
        let (word, tail) = after.split_at_checked(end).unwrap_or((after, ""));
        let secret = word.len() >= SHORTEST && word.is_ascii() && !word.ends_with(':');
        out.push_str(if secret { CUT } else { word });
        rest = tail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::error::Fault;

    #[test]
    fn credentials_are_cut_by_value_and_by_scheme() {
        let mut hidden = Hidden::default();
        hidden.add("KUBETOKENSECRET\n");
        hidden.add_basic("u", "p4ssword");
        for (said, shown) in [
            ("no KUBETOKENSECRET here", "no [secret] here"),
            ("Authorization: Basic dTpwNHNzd29yZA==, p4ssword", "Authorization: Basic [secret], [secret]"),
            (
                "\"authorization\": \"Bearer eyRenewed.since.then\"}",
                "\"authorization\": \"Bearer [secret]\"}",
            ),
            ("BEARER abcdefgh and basic ijklmnop", "BEARER [secret] and basic [secret]"),
            ("a basic idea of the bearer token", "a basic idea of the bearer token"),
            ("Bearer Überraschung", "Bearer Überraschung"),
        ] {
            assert_eq!(hidden.cut(Error::new(Fault::Unauthorized, said)).what, shown);
        }
        for (said, shown) in [
            (
                "token: SECRET abc eyJhbGciOi.ab.c2ln password=hunter2",
                "token: [secret] abc [secret] password=[secret]",
            ),
            ("{\"access_token\": \"abc\"}", "{\"access_token\": \"[secret]\"}"),
            (
                "the token has expired; eyes.on.it, run `login`",
                "the token has expired; eyes.on.it, run `login`",
            ),
            ("Authorization: Bearer abcdefghi", "Authorization: [secret] [secret]"),
        ] {
            assert_eq!(cut_unknown(said), shown);
        }
        for (server, shown) in [
            ("https://u:SECRET@127.0.0.1:1/x?token=SECRET", "https://127.0.0.1:1/x"),
            ("https://[::1]:6443/", "https://[::1]:6443"),
        ] {
            assert_eq!(address(&server.parse().unwrap()), shown);
        }
        assert!(!format!("{hidden:?}").contains("KUBETOKEN"));
    }
}
