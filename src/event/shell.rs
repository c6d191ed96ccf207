//! Words of the commands that people copy.

/// A word as a shell takes it: quoted where that is needed.
pub fn shell_word(word: &str) -> String {
    let plain =
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c));
    if plain { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::shell_word;

    #[test]
    fn what_a_shell_would_read_otherwise_is_quoted() {
        for (word, shown) in [
            ("kind-prod_1", "kind-prod_1"),
            ("arn:aws:eks:x:1:cluster/a@b", "arn:aws:eks:x:1:cluster/a@b"),
            ("", "''"),
            ("a b; rm -rf $HOME", "'a b; rm -rf $HOME'"),
            ("it's", "'it'\\''s'"),
        ] {
            assert_eq!(shell_word(word), shown);
        }
    }
}
