//! The path of a prompt's file in its folder, and the reverse.
//!
//! It does not touch the file system. Invariant: `name_of(path_of(name))` is `name`, and no two names share a path. The
//! file of a valid new name is that name and `.prompt`, on every system; older names are escaped.

use std::fmt::Write;
use std::path::{Component, Path};

use percent_encoding::percent_decode_str;

use super::prompt::PROMPT_FILE_EXTENSION;
use crate::model::name::{NameError, PromptName, is_device};

/// Characters that some file system rejects in names, and `%`, which escapes them.
const ESCAPED: [char; 7] = ['<', '>', ':', '"', '?', '*', '%'];

/// Why a path is not that of a prompt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum PathError {
    #[error("`{0}` does not end in .prompt; rename the file, or leave it out")]
    Extension(String),
    #[error("`{0}` is not a path inside the folder; use folder names and a file name")]
    Outside(String),
    #[error("`{0}` has a % that is not followed by two hex digits of a character; write %25 for a percent sign")]
    Percent(String),
    #[error("`{0}` is not UTF-8; rename the file, or leave it out")]
    Encoding(String),
    #[error(transparent)]
    Name(#[from] NameError),
}

/// The path of a prompt's file, with `/` between folders: that of `support/agent` is `support/agent.prompt`.
///
/// Unsafe characters are percent-encoded: `<>:"?*%`, control characters, a leading dot, a folder's trailing dot or
/// `.prompt` ending, and the first letter of a device name such as `nul`.
pub fn path_of(name: &PromptName) -> String {
    let mut path = String::new();
    let mut segments = name.as_str().split('/').peekable();
    while let Some(segment) = segments.next() {
        encode_segment(&mut path, segment, segments.peek().is_some());
        path.push_str(if segments.peek().is_some() { "/" } else { "." });
    }
    path.push_str(PROMPT_FILE_EXTENSION);
    path
}

/// The prompt of the file at this path, relative to its folder.
///
/// # Errors
/// The path is not that of a prompt file, or the name is invalid.
pub fn name_of(path: &Path) -> Result<PromptName, PathError> {
    let shown = || path.display().to_string();
    let mut segments = Vec::new();
    for component in path.components() {
        let Component::Normal(segment) = component else { return Err(PathError::Outside(shown())) };
        segments.push(segment.to_str().ok_or_else(|| PathError::Encoding(shown()))?);
    }
    if let Some(last) = segments.last_mut() {
        *last = last
            .strip_suffix(PROMPT_FILE_EXTENSION)
            .and_then(|stem| stem.strip_suffix('.'))
            .ok_or_else(|| PathError::Extension(shown()))?;
    }
    let mut name = String::new();
    for segment in segments {
        let decoded = decode_segment(segment).ok_or_else(|| PathError::Percent(shown()))?;
        if !name.is_empty() {
            name.push('/');
        }
        name.push_str(&decoded);
    }
    Ok(name.parse()?)
}

fn encode_segment(path: &mut String, segment: &str, folder: bool) {
    let lower = segment.to_ascii_lowercase();
    let device = is_device(segment);
    // A folder `a.prompt` would collide with the file of the prompt `a`.
    let ends_like_file = folder && lower.ends_with(".prompt");
    let last_dot = segment.rfind('.');
    for (at, character) in segment.char_indices() {
        let awkward_dot = character == '.'
            && (at == 0 || (folder && at + 1 == segment.len()) || (ends_like_file && Some(at) == last_dot));
        let escape = ESCAPED.contains(&character) || character.is_control() || awkward_dot || (device && at == 0);
        if escape {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                let _ = write!(path, "%{byte:02X}");
            }
        } else {
            path.push(character);
        }
    }
}

fn decode_segment(segment: &str) -> Option<String> {
    let hex = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !segment.split('%').skip(1).all(hex) {
        return None;
    }
    let decoded = percent_decode_str(segment).decode_utf8().ok()?;
    (!decoded.contains('/')).then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_plain_where_they_can_be_and_read_back() {
        for (name, path) in [
            ("support/agent", "support/agent.prompt"),
            ("UX/UI Developer", "UX/UI Developer.prompt"),
            ("what?", "what%3F.prompt"),
            ("100%", "100%25.prompt"),
            ("a.b/c.d", "a.b/c.d.prompt"),
            ("a./b.", "a%2E/b..prompt"),
            (".hidden/x", "%2Ehidden/x.prompt"),
            ("a.prompt/b", "a%2Eprompt/b.prompt"),
            ("a.prompt", "a.prompt.prompt"),
            ("NUL", "%4EUL.prompt"),
            ("com1.x", "%63om1.x.prompt"),
            ("还是维持", "还是维持.prompt"),
        ] {
            let name: PromptName = name.parse().expect(name);
            assert_eq!(path_of(&name), path);
            assert_eq!(name_of(Path::new(path)), Ok(name));
        }
    }

    #[test]
    fn invalid_prompt_path_gives_the_reason() {
        for (path, part) in [
            ("a.txt", ".prompt"),
            ("../a.prompt", "inside the folder"),
            ("/a.prompt", "inside the folder"),
            ("50%.prompt", "%25"),
            ("a%2Fb.prompt", "%25"),
            ("a%FF.prompt", "%25"),
            ("a@b.prompt", "`@`"),
            (".prompt", "empty"),
        ] {
            let message = name_of(Path::new(path)).expect_err(path).to_string();
            assert!(message.contains(part), "{path}: {message}");
        }
    }

    #[test]
    fn file_name_that_is_not_utf_8_is_refused_as_such() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"b\xff.prompt"));
        let message = name_of(path).expect_err("no name").to_string();
        assert!(message.contains("is not UTF-8; rename the file"), "{message}");
    }

    proptest! {
        #[test]
        fn file_of_a_new_name_is_that_name(text in "(\\PC|[.%A-Z /-]|prompt|nul){1,40}") {
            if let Ok(name) = PromptName::portable(&text).parse::<PromptName>() {
                prop_assert_eq!(path_of(&name), format!("{name}.prompt"));
            }
        }

        #[test]
        fn every_name_has_a_path_of_its_own(name in "(\\PC|[.%<>:?* ]|prompt|nul|/){1,40}") {
            if let Ok(name) = name.parse::<PromptName>() {
                prop_assert_eq!(name_of(Path::new(&path_of(&name))), Ok(name));
            }
        }
    }
}
