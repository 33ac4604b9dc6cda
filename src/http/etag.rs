//! Entity tags.

/// Whether a list of entity tags has this one; a weak comparison is enough for 304.
pub(super) fn matches(header: impl AsRef<[u8]>, etag: &[u8]) -> bool {
    let tags = header.as_ref().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    tags.map(|tag| tag.strip_prefix(b"W/").unwrap_or(tag)).any(|tag| tag == etag || tag == b"*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags_match_in_lists_and_weakly() {
        let check = |header: &'static str, expected| {
            assert_eq!(matches(header, b"\"7-ab\""), expected, "{header}");
        };
        check("\"7-ab\"", true);
        check("W/\"7-ab\"", true);
        check("\"6-cd\", \"7-ab\"", true);
        check("*", true);
        check("\"7-abc\"", false);
        check("7-ab", false);
        check("", false);
    }
}
