//! The lines of a watch: what kind of event, and the JSON of its object, found without lexing the object twice.

use serde::Deserialize;
use serde_json::value::RawValue;

/// The type of a watch event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// New, or in the initial list.
    Added,
    /// Changed.
    Modified,
    /// Gone, or out of the selector.
    Deleted,
    /// Only a resourceVersion.
    Bookmark,
    /// A Status: the watch is over.
    Error,
}

/// Cuts a line into type and object; `None` where it is no watch event.
pub fn split(line: &[u8]) -> Option<(EventKind, &[u8])> {
    quick(line).or_else(|| careful(line))
}

/// As API servers write it: `{"type":"ADDED","object":{…}}`. The object is not looked at: should the line go on
/// after it, then decoding it fails and the line counts as undecodable.
fn quick(line: &[u8]) -> Option<(EventKind, &[u8])> {
    let rest = line.strip_prefix(b"{\"type\":\"")?;
    let end = rest.iter().take(16).position(|b| *b == b'"')?;
    let (name, rest) = rest.split_at_checked(end)?;
    let object = rest.strip_prefix(b"\",\"object\":")?.trim_ascii_end().strip_suffix(b"}")?;
    Some((parse(std::str::from_utf8(name).ok()?)?, object))
}

fn careful(line: &[u8]) -> Option<(EventKind, &[u8])> {
    #[derive(Deserialize)]
    struct LineIn<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
        #[serde(borrow)]
        object: &'a RawValue,
    }
    let line: LineIn<'_> = serde_json::from_slice(line).ok()?;
    Some((parse(line.kind)?, line.object.get().as_bytes()))
}

fn parse(name: &str) -> Option<EventKind> {
    match name {
        "ADDED" => Some(EventKind::Added),
        "MODIFIED" => Some(EventKind::Modified),
        "DELETED" => Some(EventKind::Deleted),
        "BOOKMARK" => Some(EventKind::Bookmark),
        "ERROR" => Some(EventKind::Error),
        _ => None,
    }
}

/// What a bookmark says: how far the watch is, and whether the initial list ends with it.
pub fn bookmark(object: &[u8]) -> Option<(String, bool)> {
    #[derive(Deserialize)]
    struct BookmarkIn {
        metadata: MetaIn,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct MetaIn {
        resource_version: String,
        #[serde(default)]
        annotations: Option<std::collections::BTreeMap<String, String>>,
    }
    let meta = serde_json::from_slice::<BookmarkIn>(object).ok()?.metadata;
    let annotations = meta.annotations.unwrap_or_default();
    let end = annotations.get("k8s.io/initial-events-end").is_some_and(|v| v == "true");
    Some((meta.resource_version, end))
}

/// A page of a list: its version, the token of the next page, how many remain, and each item's JSON.
pub struct Page<'a> {
    /// metadata.resourceVersion
    pub version: String,
    /// metadata.continue; empty at the end.
    pub next: String,
    /// metadata.remainingItemCount
    pub remaining: u64,
    /// items
    pub items: Vec<&'a RawValue>,
}

/// Cuts a page without decoding its items, so that one bad object spoils nothing but itself.
pub fn page(body: &[u8]) -> serde_json::Result<Page<'_>> {
    #[derive(Deserialize)]
    struct PageIn<'a> {
        metadata: MetaIn,
        #[serde(borrow, default)]
        items: Option<Vec<&'a RawValue>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct MetaIn {
        resource_version: String,
        #[serde(default, rename = "continue")]
        next: Option<String>,
        #[serde(default)]
        remaining_item_count: Option<u64>,
    }
    let page: PageIn<'_> = serde_json::from_slice(body)?;
    Ok(Page {
        version: page.metadata.resource_version,
        next: page.metadata.next.unwrap_or_default(),
        remaining: page.metadata.remaining_item_count.unwrap_or_default(),
        items: page.items.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_find_the_same() {
        let quick = split(br#"{"type":"ADDED","object":{"a":"}"}}"#);
        let careful = split(br#" {"object": {"a":"}"} , "type" : "ADDED"}"#);
        assert_eq!(quick, Some((EventKind::Added, br#"{"a":"}"}"#.as_slice())));
        assert_eq!(quick, careful);
        assert_eq!(split(b"<html>"), None);
        assert_eq!(split(br#"{"type":"NEWS","object":{}}"#), None);
    }

    #[test]
    fn a_bookmark_tells_its_version_and_the_end_of_the_list() {
        let plain =
            bookmark(br#"{"kind":"Pod","metadata":{"resourceVersion":"7","creationTimestamp":null}}"#);
        assert_eq!(plain, Some(("7".into(), false)));
        let end =
            br#"{"metadata":{"resourceVersion":"8","annotations":{"k8s.io/initial-events-end":"true"}}}"#;
        assert_eq!(bookmark(end), Some(("8".into(), true)));
    }
}
