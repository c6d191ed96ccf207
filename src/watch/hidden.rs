//! Credentials that must not come back to us in the words of a server: one that echoes a request, a proxy in between.
//! Its errors stand in the log, on the screen and on pages that anybody may read.

use base64::{Engine as _, engine::general_purpose::STANDARD};
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
        assert!(!format!("{hidden:?}").contains("KUBETOKEN"));
    }
}
