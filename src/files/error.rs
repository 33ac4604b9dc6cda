//! Why a text is not a prompt file.

/// Largest prompt file, in bytes: a content at its limit, and room for escapes and front matter.
pub const PROMPT_FILE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Why a text is not a prompt file; lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum PromptFileError {
    #[error("the file is {bytes} bytes long; the limit is {PROMPT_FILE_BYTES_MAX} bytes")]
    TooLong { bytes: usize },
    #[error(
        "the front matter that starts with `---` on line 1 has no closing `---` line; add it, or if the text itself begins with `---`, write two `---` lines above it"
    )]
    Unclosed,
    #[error("invalid front matter: {reason}")]
    FrontMatter { reason: String },
    #[error(
        "line {line}: text before the first role marker; write {{{{role \"user\"}}}} above it, or put a backslash before every {{{{role …}}}} that is text"
    )]
    TextWithoutRole { line: usize },
    #[error("line {line}: text after a placeholder; write a role marker such as {{{{role \"user\"}}}} above it")]
    TextAfterPlaceholder { line: usize },
    #[error("line {line}: unknown role `{role}`: use system, developer, user, assistant, model, tool or function")]
    Role { line: usize, role: String },
    #[error("line {line}: image before the first role marker; write {{{{role \"user\"}}}} above it")]
    MediaWithoutRole { line: usize },
    #[error(
        "line {line}: placeholders are only possible in chat prompts; write {{{{role \"user\"}}}} where the first message begins, or put a backslash before the placeholder if it is text"
    )]
    PlaceholderInText { line: usize },
    #[error(
        "line {line}: `{written}` has text next to it; put it on a line of its own, or put a backslash before it if it is a variable or text"
    )]
    PlaceholderInLine { line: usize, written: String },
    #[error("line {line}: invalid marker `{written}`: write {form}, or put a backslash before it if it is text")]
    Marker { line: usize, written: String, form: &'static str },
    #[error("the front matter has `messages`, so the body must be empty; line {line} has text")]
    BodyBesideMessages { line: usize },
}
