//! The words of what is over: how an end names the trouble that it ends, and that name again.

/// Between what was broken and for how long.
const OVER: &str = " — over after ";
/// It was as it had been told.
const WAS: &str = "It was: ";
/// It was otherwise.
const WAS_AT_LAST: &str = "It was at last: ";

/// The detail of an end that is that of its subject, whose first sentence then says so.
pub const REMOVED: &str = "removed";

/// The title of an end, of the trouble's own.
pub fn title(trouble: &str, lasted: &str) -> String {
    format!("{trouble}{OVER}{lasted}")
}

/// The trouble's own title, of any.
pub fn trouble(title: &str) -> &str {
    title.rsplit_once(OVER).map_or(title, |(trouble, _)| trouble)
}

/// The description of an end, of the trouble's own: as it was told, or as it was `at_last`.
pub fn description(trouble: &str, at_last: bool) -> String {
    let lead = if at_last { WAS_AT_LAST } else { WAS };
    if trouble.is_empty() { String::new() } else { format!("{lead}{trouble}") }
}

/// The trouble's own description, of any.
pub fn described(description: &str) -> &str {
    let was = [WAS_AT_LAST, WAS].into_iter().find_map(|lead| description.split_once(lead));
    was.map_or(description, |(_, trouble)| trouble)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_was_what_was_told() {
        assert_eq!(title("Pod a in crash loop", "5 min"), "Pod a in crash loop — over after 5 min");
        for text in ["Pod a in crash loop", ""] {
            assert_eq!(trouble(&title(text, "5 min")), text);
            assert_eq!(trouble(text), text);
            for at_last in [false, true] {
                assert_eq!(described(&description(text, at_last)), text);
            }
        }
        assert_eq!(described("Deployment a was removed. It was: exit code 1"), "exit code 1");
    }
}
