//! Which namespaces are in scope: names and globs.

use crate::{event::filter::Glob, object::Str};

/// What WATCH_NAMESPACES asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    names: Vec<Str>,
    globs: Vec<(String, Glob)>,
}

impl Scope {
    /// From names and globs; none = all namespaces.
    pub fn new(namespaces: &[String]) -> Self {
        let mut scope = Self::default();
        for text in namespaces.iter().map(|n| n.trim()).filter(|n| !n.is_empty()) {
            if is_glob(text) {
                scope.globs.push((text.to_owned(), Glob::exact(text)));
            } else if !scope.names.iter().any(|n| n == text) {
                scope.names.push(text.into());
            }
        }
        // `*` is all namespaces: one stream per kind instead of one per kind and namespace.
        if scope.globs.iter().any(|(text, _)| text.chars().all(|c| c == '*')) {
            Self::default()
        } else {
            scope
        }
    }

    /// All namespaces.
    pub fn is_all(&self) -> bool {
        self.names.is_empty() && self.globs.is_empty()
    }

    /// Names that are watched whether they exist or not.
    pub fn names(&self) -> &[Str] {
        &self.names
    }

    /// Globs as they are written and to match with, for which the namespaces of the cluster must be known.
    pub fn globs(&self) -> &[(String, Glob)] {
        &self.globs
    }

    /// Whether a namespace is in scope.
    pub fn has(&self, namespace: &str) -> bool {
        self.is_all()
            || self.names.iter().any(|n| n == namespace)
            || self.globs.iter().any(|(_, glob)| glob.matches(namespace))
    }
}

/// Whether a name of the configuration is a pattern.
pub fn is_glob(text: &str) -> bool {
    text.contains(['*', '?'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_globs_are_told_apart_and_matched() {
        let scope = Scope::new(&["prod".into(), "team-*".into(), " ".into(), "prod".into()]);
        assert_eq!((scope.names().len(), scope.globs().len()), (1, 1));
        assert!(scope.has("prod") && scope.has("team-a") && !scope.has("production") && !scope.has("a-team"));
        let wide = Scope::new(&["a*b?c".into(), "*-prod".into(), "Team-*".into()]);
        assert!(wide.has("axxbyc") && !wide.has("axxbc") && wide.has("a-b-prod"));
        assert!(!wide.has("team-a"), "a name is what it is");
        assert!(Scope::new(&[]).is_all() && Scope::new(&["*".into(), "prod".into()]).is_all());
    }
}
