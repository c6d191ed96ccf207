//! "Did you mean": the known name nearest to what somebody wrote. Filters, event types and configuration keys use it.

/// The candidate nearest to `word`, where one is near enough to be meant: at most two edits, a third of it, or its
/// beginning.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|known| (distance(&word, &known.to_lowercase()), known))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, known)| *distance <= (known.len() / 3).max(2).min(known.len().saturating_sub(1)))
        .map(|(_, known)| known)
}

/// Edits between the two; who wrote the beginning of a name nearly wrote the name (`settle` for `settle_secs`).
fn distance(word: &str, known: &str) -> usize {
    if word.chars().count() >= 4 && known.starts_with(word) {
        return 1;
    }
    strsim::damerau_levenshtein(word, known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_near_name_is_offered() {
        let names = ["namespace", "ns", "severity"];
        assert_eq!(nearest("Namespce", names), Some("namespace"));
        assert_eq!(nearest("sevrity", names), Some("severity"));
        assert_eq!(nearest("settle", ["settle_secs", "heal"]), Some("settle_secs"));
        assert_eq!(nearest("zzzzzz", names), None);
        assert_eq!(nearest("xy", ["ns"]), None);
    }
}
