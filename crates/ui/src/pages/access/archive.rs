//! The archive page: what would be archived and why the rest stays, the last run, and the form.

use maud::{Markup, html};

use super::{PATTERN_MAX, Tab, side_by_side};
use crate::api::govern::Archived;
use crate::api::limits::{RETENTION_FLOOR_DAYS, UNUSED_DAYS_MAX};
use crate::form::{Outcome, begin, hidden};
use crate::format::{Escaped, counted, grouped, plain, when};
use crate::layout::{Frame, empty, prompt_path};
use crate::model::audit::AuditEntry;
use crate::model::count::count;

/// Most listed versions; the others are counted.
const LISTED_MAX: usize = 200;

/// The contents of the page.
#[derive(Clone, Debug, Default)]
pub struct ArchivePageData {
    /// Days without use, as typed.
    pub unused_days: String,
    /// The prompts, as typed; all if empty.
    pub prompts: String,
    /// The preview, if requested.
    pub found: Option<Archived>,
    /// A hash of the preview, to detect changes.
    pub seen: String,
    /// The last run.
    pub last: Option<AuditEntry>,
    /// Whether the audit log is longer than the part that was searched for it.
    pub last_is_cut: bool,
    /// The result of a form.
    pub outcome: Outcome,
}

/// Renders the page.
pub fn page(frame: &Frame, matter: &ArchivePageData) -> String {
    let main = html! {
        p { (last(frame, matter)) }
        form.filters action=(Tab::Archive.path()) {
            label {
                span { "Unused for days" }
                input.short type="number" name="unused_days" min=(RETENTION_FLOOR_DAYS) max=(UNUSED_DAYS_MAX)
                    value=(plain(&matter.unused_days)) required;
            }
            label {
                span { "Prompts" }
                input name="prompts" value=(plain(&matter.prompts)) maxlength=(PATTERN_MAX)
                    placeholder="all, or support/**" autocomplete="off" spellcheck="false";
            }
            button type="submit" { "Preview" }
        }
        @if let Some(found) = &matter.found { (result(frame, matter, found)) }
    };
    let about = "Deletes the content of unused old versions; their metadata and the audit log are kept";
    side_by_side(frame, Tab::Archive, about, &matter.outcome, &main)
}

fn last(frame: &Frame, matter: &ArchivePageData) -> Markup {
    html! {
        @match &matter.last {
            Some(entry) => {
                "Last archived " (when(entry.at, frame.now)) " by " (Escaped(&entry.actor)) ": "
                (versions(entry.subjects.len()))
                @if !entry.message.is_empty() { ", “" (Escaped(&entry.message)) "”" } "."
            },
            None => span.quiet {
                "Nothing archived yet" @if matter.last_is_cut { " in the most recent audit log entries" } "."
            },
        }
    }
}

fn result(frame: &Frame, matter: &ArchivePageData, found: &Archived) -> Markup {
    let count = found.versions.len();
    html! {
        @if count == 0 {
            (empty("Nothing to archive", "Every old version is still needed, or not old enough."))
        } @else {
            section aria-labelledby="would-go" {
                h2 #would-go { (versions(count)) " to archive, " (grouped(found.bytes)) " bytes" }
                ul.went {
                    @for version in found.versions.iter().take(LISTED_MAX) {
                        li { a href=(prompt_path(version.name.as_str())) { (Escaped(&version.to_string())) } }
                    }
                    @if count > LISTED_MAX { li.quiet { "and " (count - LISTED_MAX) " more" } }
                }
            }
            @if let Some(form) = frame.form() {
                details.act open[matter.outcome.refused.is_some()] {
                    summary { "Archive " (versions(count)) " …" }
                    form.stack method="post" action=(Tab::Archive.path()) {
                        (begin(form, "archive"))
                        (hidden("unused_days", plain(&matter.unused_days)))
                        (hidden("prompts", plain(&matter.prompts)))
                        (hidden("seen", &matter.seen))
                        p {
                            "The content of these versions is deleted permanently. They can no longer be read, "
                            "compared or deployed."
                        }
                        label for="archive-why" { "Reason" }
                        input #archive-why name="message" value=(plain(matter.outcome.of("archive").get("message")))
                            required maxlength="2000" autocomplete="off";
                        button.danger type="submit" { "Archive" }
                    }
                }
            }
        }
        @if !found.kept.is_empty() {
            table.list {
                thead { tr { th scope="col" { "Kept" } th scope="col" { "Because" } } }
                tbody {
                    @for (why, number) in &found.kept {
                        tr {
                            td { (counted(*number, "version")) }
                            td { (Escaped(why)) }
                        }
                    }
                }
            }
        }
    }
}

fn versions(number: usize) -> String {
    count(number, "version")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Who, sample};

    fn matter(versions: usize) -> ArchivePageData {
        let found = Archived {
            versions: (1..=versions).map(|number| format!("a/<b>@{number}").parse().expect("a version")).collect(),
            bytes: 12_345,
            kept: [("it is the latest version".to_owned(), 1_234)].into(),
            dry_run: true,
        };
        ArchivePageData { found: Some(found), seen: "5ee7".to_owned(), ..ArchivePageData::default() }
    }

    #[test]
    fn long_list_is_truncated_and_form_needs_sign_in() {
        let signed = Who::Signed { name: "cy".to_owned(), token: "t".to_owned(), form: "f00".to_owned() };
        let shown = page(&sample(signed.clone()), &matter(201));
        for part in ["201 versions to archive, 12\u{202f}345 bytes", "a/&lt;b&gt;@200", "and 1 more", "value=\"5ee7\""]
        {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(!shown.contains("@201") && !page(&sample(Who::Local), &matter(201)).contains("method=\"post\""));
        let none = page(&sample(signed), &matter(0));
        assert!(none.contains("Nothing to archive") && none.contains("it is the latest version"), "{none}");
        assert!(!none.contains("name=\"seen\""), "{none}");
    }
}
