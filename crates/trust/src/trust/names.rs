//! Names that are valid in signed texts, and names of signers.
//!
//! Invariant: no accepted name contains a space, a line break, `/` or `+`, so a line that is built from names splits
//! back into the same names.

/// Longest name of a registry, a view or a key, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// The separator of registry and key in a signer's name.
const SIGNER_SEPARATOR: char = '+';

/// The name under which a key of a registry signs: `<registry>+<key>`.
pub fn signer_name(registry: &str, key: &str) -> String {
    format!("{registry}{SIGNER_SEPARATOR}{key}")
}

/// `[a-z0-9.-]`, 1 to 64 bytes.
pub(super) fn is_registry(name: &str) -> bool {
    is_name(name, b".-")
}

/// `[a-z0-9._-]`, 1 to 64 bytes.
pub(super) fn is_view(name: &str) -> bool {
    is_name(name, b"._-")
}

/// `[a-z0-9-]`, 1 to 64 bytes.
pub(super) fn is_key(name: &str) -> bool {
    is_name(name, b"-")
}

fn is_name(name: &str, marks: &[u8]) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || marks.contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_without_separators() {
        let long = "a".repeat(65);
        for (name, registry, view, key) in [
            ("a", true, true, true),
            ("prompts.example-1.org", true, true, false),
            ("checkpoint-2026a", true, true, true),
            ("my_view", false, true, false),
            ("", false, false, false),
            ("Upper", false, false, false),
            ("a/b", false, false, false),
            ("a+b", false, false, false),
            ("a b", false, false, false),
            ("a\n", false, false, false),
            ("\u{e9}", false, false, false),
            (long.as_str(), false, false, false),
            (&long[1..], true, true, true),
        ] {
            let found = (is_registry(name), is_view(name), is_key(name));
            assert_eq!(found, (registry, view, key), "{name:?}");
        }
    }
}
