//! Limits that a client meets, each with its unit.

/// Largest whole number in a request or a response: 2^53 - 1, which every JSON reader represents exactly.
pub const WHOLE_MAX: u64 = (1 << 53) - 1;
/// Largest JSON body of a request, in bytes: a content at its limit, JSON-escaped, and a message.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most references of one batch.
pub const BATCH_REFERENCES_MAX: usize = 1_000;
/// Most bytes of all answers of one batch together.
pub const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most names that one page of matching prompts looks at: a tenth of a second of work.
pub const MATCHED_NAMES_MAX: usize = 10_000;
/// Most rows of one page.
pub const PAGE_ROWS_MAX: usize = 1_000;
/// Default rows of a page.
pub const PAGE_ROWS_DEFAULT: usize = 100;
/// Most labels in one deployment.
pub const MOVES_MAX: usize = 1_000;
/// Most labels to deploy to when publishing.
pub const LABELS_MAX: usize = 100;
/// Most changes of one import request.
pub const IMPORT_CHANGES_MAX: usize = 1_000;
/// Most attributes of one resolve request.
pub const ATTRIBUTES_MAX: usize = 64;
/// Longest subject or attribute value, in bytes.
pub const ATTRIBUTE_BYTES_MAX: usize = 1_024;
/// Longest name of an access token, in bytes.
pub const TOKEN_NAME_BYTES_MAX: usize = 64;
/// Deployed content is kept for at least this long, in days: six months, rounded up.
pub const RETENTION_FLOOR_DAYS: u32 = 184;
/// Longest time without use for archiving, in days: a hundred years.
pub const UNUSED_DAYS_MAX: u32 = 36_525;
/// Longest lifetime and overlap of an access token, in seconds: ten years.
pub const TOKEN_LIFE_S_MAX: u64 = 10 * 366 * 24 * 3_600;
/// How long a sign-in link works where nothing else is asked for, in seconds: an hour.
pub const SIGN_IN_LINK_LIFE_S: u64 = 3_600;
/// Longest time that a sign-in link can work, in seconds: a day.
pub const SIGN_IN_LINK_LIFE_S_MAX: u64 = 24 * 3_600;
/// Most views that an access token can be limited to.
pub const VIEWS_MAX: usize = 32;
/// Longest overlap of two webhook secrets, in seconds: 30 days.
pub const OVERLAP_S_MAX: u64 = 30 * 24 * 3_600;
/// Most content ids that one request may keep.
pub const ARCHIVE_KEEP_MAX: usize = 100_000;
/// Most reviewers of one change request.
pub const REVIEWERS_MAX: usize = 10;
/// Longest time until a change request expires, in days.
pub const EXPIRES_DAYS_MAX: u32 = 365;
/// Longest report, in bytes: some millions of decisions. It is on the primary's disk until it is sent.
pub const REPORT_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
