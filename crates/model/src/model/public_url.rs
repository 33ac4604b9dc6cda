//! The public URL of a node's pages, if it differs from the address the node listens on.

use std::fmt;
use std::str::FromStr;

/// Longest public address, in bytes.
const BYTES_MAX: usize = 500;

/// A URL such as `https://prompts.example.com/books`, used for links to pages and for paths behind a proxy that adds a
/// prefix. It has no trailing `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

/// A text is not a valid public URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write it as https://prompts.example.com, or with a prefix as https://example.com/prompts")]
pub struct PublicUrlError;

impl PublicUrl {
    /// The address, without a `/` at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path before every page, such as `/books`; empty if there is none.
    pub fn prefix(&self) -> &str {
        let after_scheme = self.0.find("://").map_or(0, |at| at + 3);
        let rest = self.0.get(after_scheme..).unwrap_or_default();
        rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default()
    }
}

impl PublicUrl {
    /// The origin: scheme, host and port, without a default port.
    pub fn origin(&self) -> String {
        let origin = self.0.strip_suffix(self.prefix()).unwrap_or(&self.0).to_ascii_lowercase();
        let usual = if origin.starts_with("https://") { ":443" } else { ":80" };
        origin.strip_suffix(usual).map_or_else(|| origin.clone(), str::to_owned)
    }

    /// Its host and port.
    pub fn authority(&self) -> String {
        let origin = self.origin();
        origin.split_once("://").map_or_else(String::new, |(_, authority)| authority.to_owned())
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PublicUrl {
    type Err = PublicUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim().trim_end_matches('/');
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(PublicUrlError)?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        // No characters that are special in Slack's markup or HTML; no user, query or fragment.
        let host_fits = host.bytes().all(|byte| letter(byte) || matches!(byte, b':' | b'[' | b']'));
        let path_fits = path.bytes().all(|byte| letter(byte) || byte == b'/') && !path.contains("//");
        let fits = !host.is_empty() && host_fits && path_fits && text.len() <= BYTES_MAX;
        if fits { Ok(Self(text.to_owned())) } else { Err(PublicUrlError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_has_a_scheme_a_host_and_perhaps_a_prefix() {
        for (text, shown, prefix) in [
            ("https://prompts.example.com", "https://prompts.example.com", ""),
            ("https://prompts.example.com/", "https://prompts.example.com", ""),
            ("http://10.0.0.7:7070/books/a/", "http://10.0.0.7:7070/books/a", "/books/a"),
            ("https://[fd00::1]:7070/books", "https://[fd00::1]:7070/books", "/books"),
        ] {
            let url: PublicUrl = text.parse().expect(text);
            assert_eq!((url.as_str(), url.prefix()), (shown, prefix), "{text}");
        }
        for (text, origin) in [
            ("https://Prompts.example.com/books", "https://prompts.example.com"),
            ("https://prompts.example.com:443", "https://prompts.example.com"),
            ("http://prompts.example.com:80/a/b", "http://prompts.example.com"),
            ("https://[fd00::1]:7070/books", "https://[fd00::1]:7070"),
        ] {
            let url: PublicUrl = text.parse().expect(text);
            assert_eq!(url.origin(), origin, "{text}");
            assert!(url.origin().ends_with(&url.authority()), "{text}");
        }
        let wrong = ["", "prompts.example.com", "ftp://x", "https://", "https:///a", "https://u@x", "https://x?a=1"];
        for text in
            wrong.into_iter().chain(["https://x/#a", "https://x|y", "https://x/a>b", "https://x/a//b", "https://x/ä"])
        {
            assert_eq!(text.parse::<PublicUrl>(), Err(PublicUrlError), "{text}");
        }
    }
}
