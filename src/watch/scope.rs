//! Which namespaces are in scope: names and globs.

use crate::object::Str;

/// What WATCH_NAMESPACES asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    names: Vec<Str>,
    globs: Vec<String>,
}

impl Scope {
    /// From names and globs; none = all namespaces.
    pub fn new(namespaces: &[String]) -> Self {
        let mut scope = Self::default();
        for text in namespaces.iter().map(|n| n.trim()).filter(|n| !n.is_empty()) {
            if is_glob(text) {
                scope.globs.push(text.to_owned());
            } else if !scope.names.iter().any(|n| n == text) {
                scope.names.push(text.into());
            }
        }
        // `*` is all namespaces: one stream per kind instead of one per kind and namespace.
        if scope.globs.iter().any(|g| g.chars().all(|c| c == '*')) { Self::default() } else { scope }
    }

    /// All namespaces.
    pub fn is_all(&self) -> bool {
        self.names.is_empty() && self.globs.is_empty()
    }

    /// Names that are watched whether they exist or not.
    pub fn names(&self) -> &[Str] {
        &self.names
    }

    /// Globs, for which the namespaces of the cluster must be known.
    pub fn globs(&self) -> &[String] {
        &self.globs
    }

    /// Whether a namespace is in scope.
    pub fn has(&self, namespace: &str) -> bool {
        self.is_all()
            || self.names.iter().any(|n| n == namespace)
            || self.globs.iter().any(|g| glob(g, namespace))
    }
}

/// Whether a name of the configuration is a pattern.
pub fn is_glob(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// `*` any number of characters, `?` one.
pub fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(c) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(want) if *want == b'?' || want == c => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                (p, t) = (at + 1, from + 1);
            }
        }
    }
    pattern.iter().skip(p).all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_globs_are_told_apart_and_matched() {
        let scope = Scope::new(&["prod".into(), "team-*".into(), " ".into(), "prod".into()]);
        assert_eq!((scope.names().len(), scope.globs().len()), (1, 1));
        assert!(scope.has("prod") && scope.has("team-a") && !scope.has("production") && !scope.has("a-team"));
        assert!(Scope::new(&[]).is_all() && Scope::new(&["*".into(), "prod".into()]).is_all());
        assert!(glob("a*b?c", "axxbyc") && !glob("a*b?c", "axxbc") && glob("*-prod", "a-b-prod"));
    }

    proptest::proptest! {
        #[test]
        fn a_glob_is_what_its_regex_is(pattern in "[ab*?]{0,6}", text in "[ab]{0,8}") {
            let regex = format!("^{}$", pattern.replace('*', ".*").replace('?', "."));
            proptest::prop_assert_eq!(glob(&pattern, &text), regex::Regex::new(&regex).unwrap().is_match(&text));
        }
    }
}
