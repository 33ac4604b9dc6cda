//! Prompt names in paths: their slashes can be written as they are.
//!
//! The router expects a name as one segment. A path whose name has several is rewritten with `%2F` before routing, so
//! that proxies that decode it do no harm. If a path is ambiguous, the shortest name wins: `/v1/prompts/a/versions/3`
//! is version 3 of `a`. A name that contains such words (`a/versions`) needs `%2F`.

use std::borrow::Cow;
use std::sync::LazyLock;

use super::router::ROUTES;

/// Prefixes of paths about prompts, with the router's patterns for the rest.
const PROMPTS: &str = "/v1/prompts/";
const NAME: &str = "{name}";

/// What can follow a name, as segments, longest first. A segment in braces is any text.
static ENDINGS: LazyLock<Vec<Vec<&'static str>>> = LazyLock::new(|| {
    let behind_names = ROUTES.iter().filter_map(|route| route.path.strip_prefix(PROMPTS)?.strip_prefix(NAME));
    let mut endings: Vec<Vec<&str>> = behind_names.map(|rest| rest.split('/').skip(1).collect()).collect();
    endings.sort_by_key(|ending| std::cmp::Reverse(ending.len()));
    endings.dedup();
    endings
});

/// Rewrites a path so that the prompt's name is one segment.
pub(super) fn in_one_segment(path: &str) -> Cow<'_, str> {
    let Some(rest) = path.strip_prefix(PROMPTS) else { return Cow::Borrowed(path) };
    let segments: Vec<&str> = rest.split('/').collect();
    let lengths = ENDINGS.iter().filter(|ending| ends_with(&segments, ending)).map(Vec::len);
    let behind = lengths.max().unwrap_or(0);
    match segments.split_at_checked(segments.len().saturating_sub(behind)) {
        Some((name, ending)) if name.len() > 1 && !name.contains(&"") => {
            let name = name.join("%2F");
            let ending: String = ending.iter().flat_map(|segment| ["/", segment]).collect();
            Cow::Owned(format!("{PROMPTS}{name}{ending}"))
        }
        _ => Cow::Borrowed(path),
    }
}

/// Whether segments end like this, with at least one before.
fn ends_with(segments: &[&str], ending: &[&str]) -> bool {
    let fits = |(found, wanted): (&&str, &&str)| {
        if wanted.starts_with('{') { !found.is_empty() } else { found == wanted }
    };
    segments.len() > ending.len() && segments.iter().rev().zip(ending.iter().rev()).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_with_slashes_is_rewritten_to_one_segment() {
        for (path, expected) in [
            ("/v1/prompts/a", "/v1/prompts/a"),
            ("/v1/prompts/a/b", "/v1/prompts/a%2Fb"),
            ("/v1/prompts/a/b/c%20d", "/v1/prompts/a%2Fb%2Fc%20d"),
            ("/v1/prompts/a/b/versions", "/v1/prompts/a%2Fb/versions"),
            ("/v1/prompts/a/b/versions/3", "/v1/prompts/a%2Fb/versions/3"),
            ("/v1/prompts/a/b/versions/3/findings", "/v1/prompts/a%2Fb/versions/3/findings"),
            ("/v1/prompts/a/b/labels/production/rollback", "/v1/prompts/a%2Fb/labels/production/rollback"),
            ("/v1/prompts/a/b/drafts/d/saves/2", "/v1/prompts/a%2Fb/drafts/d/saves/2"),
            ("/v1/prompts/a/b/diff", "/v1/prompts/a%2Fb/diff"),
            // A name written as one segment stays one.
            ("/v1/prompts/a%2Fb/versions/3", "/v1/prompts/a%2Fb/versions/3"),
            ("/v1/prompts/a%2Fversions/versions", "/v1/prompts/a%2Fversions/versions"),
            // Ambiguous: the shortest name wins.
            ("/v1/prompts/a/versions", "/v1/prompts/a/versions"),
            ("/v1/prompts/a/versions/versions", "/v1/prompts/a/versions/versions"),
            ("/v1/prompts/a/labels/x/versions", "/v1/prompts/a%2Flabels%2Fx/versions"),
            ("/v1/prompts/versions", "/v1/prompts/versions"),
            ("/v1/prompts/versions/versions", "/v1/prompts/versions/versions"),
            // Not a valid name: it is rejected later, or no route matches.
            ("/v1/prompts/a/../b", "/v1/prompts/a%2F..%2Fb"),
            ("/v1/prompts/", "/v1/prompts/"),
            ("/v1/prompts/a/", "/v1/prompts/a/"),
            ("/v1/prompts/a//b", "/v1/prompts/a//b"),
            ("/v1/prompts/a/b/labels/", "/v1/prompts/a/b/labels/"),
            // Other paths.
            ("/v1/prompts", "/v1/prompts"),
            ("/v1/resolve/a/b", "/v1/resolve/a/b"),
            ("/v1/promptsx/a/b", "/v1/promptsx/a/b"),
            ("/ui/prompts/a/b", "/ui/prompts/a/b"),
        ] {
            assert_eq!(in_one_segment(path), expected, "{path}");
        }
    }
}
