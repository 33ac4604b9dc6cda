//! Import: the forms for a folder and a history, and their results.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::form::{hidden, session};
use crate::format::{Escaped, grouped, with_code};
use crate::layout::{Frame, Page, Who, command, empty, prompt_path};
use crate::model::name::{PRODUCTION, PromptName};

/// Most listed names.
pub const LISTED_MAX: usize = 200;
/// Pushes a folder of prompts.
const FOLDER: &str = "bookholder push prompts/ -m 'From our repository' --label production";
/// Imports a history of another library.
const HISTORY: &str = "bookholder import prompts.jsonl.zst --label production";
/// The template syntax of a history.
const SYNTAXES: [(&str, &str); 3] =
    [("plain", "none (plain text)"), ("mustache", "{{variable}}, as Mustache"), ("jinja", "{{ variable }}, as Jinja")];

/// The result of one file.
#[derive(Clone, Debug)]
pub struct ImportedFile {
    /// Its path in its folder.
    pub path: String,
    /// Its prompt, if known.
    pub name: Option<PromptName>,
    /// The result.
    pub outcome: Outcome,
}

/// The result of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A new version was created.
    Published(u64),
    /// A version has the same content, and a label was moved to it.
    Labelled(u64),
    /// A version has the same content.
    Unchanged(u64),
    /// It was not published, with the reason.
    Refused(String),
}

/// The result of a history.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// The file name.
    pub path: String,
    /// Created versions.
    pub published: u64,
    /// Removed prompts.
    pub removed: u64,
    /// Changes that were imported earlier.
    pub known: u64,
    /// Rejected changes.
    pub refused_count: u64,
    /// The first of them: prompts and reasons.
    pub refused: Vec<(String, String)>,
    /// Renamed prompts.
    pub renamed_count: u64,
    /// The first of them: original and new names.
    pub renamed: BTreeMap<String, String>,
    /// Why the rest was not imported.
    pub stopped: Option<String>,
}

impl Imported {
    /// Records a renamed prompt.
    pub fn rename(&mut self, original: String, name: &PromptName) {
        if self.renamed.contains_key(&original) {
            return;
        }
        // Beyond the listed ones, each change of a prompt counts.
        self.renamed_count = self.renamed_count.saturating_add(1);
        if self.renamed.len() < LISTED_MAX {
            self.renamed.insert(original, name.to_string());
        }
    }
}

/// Renders the page with the forms.
pub fn page(frame: &Frame) -> String {
    let main = html! {
        div.head { h1 { "Import" } }
        @if frame.replica.is_some() {
            (empty("Not on a replica", "Import prompts on the primary; this replica then receives them."))
        } @else if let Some(form) = frame.form() {
            ul.ways.two {
                li { (folder_form(form)) }
                li { (history_form(form)) }
                li { (terminal()) }
            }
        } @else {
            (sign_in(frame))
            ul.ways { li { (terminal()) } }
        }
    };
    write(frame, "Import", main)
}

/// Asks to sign in.
pub(super) fn sign_in(frame: &Frame) -> Markup {
    html! {
        @if frame.who == Who::Local {
            div.empty {
                h2 { "Sign in to import prompts" }
                p {
                    "Use the access token of someone who can publish, e.g. the one written to the file admin-token on "
                    "first start."
                }
                p { a.button.primary href="/ui/sign-in?next=/ui/bring" { "Sign in" } }
            }
        }
    }
}

/// The form for a folder.
fn folder_form(form: &str) -> Markup {
    html! {
        h2 { "Import a folder" }
        p {
            "A file " code { "support/agent.prompt" } " in it becomes the prompt " code { "support/agent" }
            ". Unchanged files are skipped, so you can import again safely."
        }
        form.stack method="post" action="/ui/bring" enctype="multipart/form-data" {
            (session(form))
            (hidden("what", "files"))
            label for="bring-folder" { "Folder" }
            input #bring-folder type="file" name="folder" webkitdirectory multiple;
            label for="bring-files" { "Or individual files" }
            input #bring-files type="file" name="files" multiple accept=".prompt" aria-describedby="bring-files-help";
            p.quiet #bring-files-help { "If your browser can’t select folders. Each file becomes one prompt." }
            label for="bring-why" { "Why this change?" }
            input #bring-why name="message" required maxlength="2000" autocomplete="off";
            label for="bring-label" { "Deploy to label (optional)" }
            input #bring-label name="label" maxlength="200" autocomplete="off" spellcheck="false" placeholder="none";
            button.primary type="submit" { "Import folder" }
        }
    }
}

/// The form for a history.
fn history_form(form: &str) -> Markup {
    html! {
        h2 { "Import a file" }
        p {
            "Version history from another tool, with dates, authors and removals: one JSON change per line, optionally "
            "compressed with zstd. Importing it again adds only new changes."
        }
        form.stack method="post" action="/ui/bring" enctype="multipart/form-data" {
            (session(form))
            (hidden("what", "history"))
            label for="bring-history" { "File" }
            input #bring-history type="file" name="history" accept=".jsonl,.zst,.ndjson" required;
            label for="bring-syntax" { "Variable syntax" }
            select #bring-syntax name="syntax" { @for (value, said) in SYNTAXES { option value=(value) { (said) } } }
            label for="bring-live" { "Deploy each version to this label, at its original date" }
            input #bring-live name="label" value=(PRODUCTION) required maxlength="200" autocomplete="off"
                spellcheck="false";
            button.primary type="submit" { "Import file" }
        }
    }
}

fn terminal() -> Markup {
    html! {
        h2 { "Command line" }
        p { "For imports over 24 MiB, and for scripts." }
        (command(FOLDER))
        (command(HISTORY))
    }
}

/// Renders the results of files.
pub fn brought(frame: &Frame, rows: &[ImportedFile], left_alone: usize) -> String {
    let number = |of: fn(&Outcome) -> bool| rows.iter().filter(|row| of(&row.outcome)).count();
    let parts = [
        (number(|one| matches!(one, Outcome::Published(_))), "published"),
        (number(|one| matches!(one, Outcome::Labelled(_))), "deployed to a label"),
        (number(|one| matches!(one, Outcome::Unchanged(_))), "unchanged"),
        (number(|one| matches!(one, Outcome::Refused(_))), "rejected"),
    ];
    let said: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let main = html! {
        div.head { h1 { "Import results" } p.quiet.count { (said.join(", ")) } }
        @if left_alone > 0 {
            p.quiet {
                (left_alone) " other " (if left_alone == 1 { "file was" } else { "files were" })
                " skipped: only visible files ending in .prompt are imported."
            }
        }
        @if rows.is_empty() {
            (empty("No prompt files found", "Choose a folder with .prompt files, or the files themselves."))
        } @else {
            table.list.cards.brought {
                thead { tr { th scope="col" { "File" } th scope="col" { "Prompt" } th scope="col" { "Result" } } }
                tbody { @for row in rows { (row_of(row)) } }
            }
        }
        (onward())
    };
    write(frame, "Import results", main)
}

fn row_of(row: &ImportedFile) -> Markup {
    let there = !matches!(row.outcome, Outcome::Refused(_));
    html! {
        tr {
            th scope="row" { (Escaped(&row.path)) }
            td data-label="Prompt" {
                @if let Some(name) = &row.name {
                    @if there {
                        a.name href=(prompt_path(name.as_str())) { (Escaped(name.as_str())) }
                    } @else {
                        (Escaped(name.as_str()))
                    }
                }
            }
            td {
                @match &row.outcome {
                    Outcome::Published(number) => { span.tag.live { "published" } " as " b.version { "v" (number) } },
                    Outcome::Labelled(number) => {
                        span.tag.live { "labelled" } " " b.version { "v" (number) } " (matches an existing version)"
                    },
                    Outcome::Unchanged(number) => {
                        span.tag { "unchanged" } " (matches " b.version { "v" (number) } ")"
                    },
                    Outcome::Refused(reason) => { span.tag.high { "rejected" } " " (with_code(reason)) },
                }
            }
        }
    }
}

/// Renders the result of a history.
pub fn imported(frame: &Frame, total: &Imported) -> String {
    let counts = [
        (total.published, "versions published"),
        (total.removed, "prompts removed"),
        (total.known, "changes already imported"),
        (total.refused_count, "changes rejected"),
    ];
    let main = html! {
        div.head { h1 { "Import results" } p.quiet.count { (Escaped(&total.path)) } }
        @if let Some(stopped) = &total.stopped {
            div.note.bad role="alert" {
                p { "Import stopped: " (Escaped(stopped)) }
                p { "Earlier lines were imported. Fix the file and import again; duplicates are skipped." }
            }
        }
        dl.pairs {
            @for (number, what) in counts {
                dt { (grouped(number)) } dd { (what) }
            }
        }
        @if !total.refused.is_empty() {
            section {
                h2 { "Rejected" }
                table.list.cards {
                    thead { tr { th scope="col" { "Prompt" } th scope="col" { "Reason" } } }
                    tbody {
                        @for (name, reason) in &total.refused {
                            tr { th scope="row" { (Escaped(name)) } td { (with_code(reason)) } }
                        }
                    }
                }
                (more(total.refused_count, total.refused.len()))
            }
        }
        @if !total.renamed.is_empty() {
            section {
                h2 { "Renamed" }
                p.quiet {
                    "Characters that names cannot contain, such as @ and |, became hyphens; long names were shortened."
                }
                table.list.cards {
                    thead { tr { th scope="col" { "Original name" } th scope="col" { "New name" } } }
                    tbody {
                        @for (original, name) in &total.renamed {
                            tr {
                                th scope="row" { (Escaped(original)) }
                                td { a.name href=(prompt_path(name)) { (Escaped(name)) } }
                            }
                        }
                    }
                }
                (more(total.renamed_count, total.renamed.len()))
            }
        }
        (onward())
    };
    write(frame, "Import results", main)
}

fn more(count: u64, shown: usize) -> Markup {
    let more = count.saturating_sub(u64::try_from(shown).unwrap_or(u64::MAX));
    html! { @if more > 0 { p.quiet { "and " (grouped(more)) " more" } } }
}

fn onward() -> Markup {
    html! { p { a.button href="/ui/" { "View prompts" } " " a.button href="/ui/bring" { "Import more" } } }
}

fn write(frame: &Frame, title: &str, main: Markup) -> String {
    let above = [("Prompts", "/ui/".to_owned())];
    frame.page(&Page { title, above: &above, done: None, searches: false, main })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::sample;

    #[test]
    fn import_results_list_each_file_with_escaped_names() {
        let row =
            |path: &str, name: &str, outcome| ImportedFile { path: path.to_owned(), name: name.parse().ok(), outcome };
        let rows = [
            row("a.prompt", "a", Outcome::Published(3)),
            row("b.prompt", "b", Outcome::Unchanged(1)),
            row("<script>\u{202e}.prompt", "", Outcome::Refused("<img src=x>".to_owned())),
        ];
        let shown = brought(&sample(Who::Local), &rows, 2);
        for part in [
            "1 published, 1 unchanged, 1 rejected",
            "<span class=\"tag live\">published</span> as <b class=\"version\">v3</b>",
            "&lt;script&gt;<span class=\"odd\">U+202E</span>.prompt",
            "&lt;img src=x&gt;",
            "2 other files were skipped",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        let none = brought(&sample(Who::Local), &[], 0);
        assert!(none.contains("No prompt files found") && !none.contains("<table"), "{none}");
    }

    #[test]
    fn import_results_of_a_history_include_where_it_stopped() {
        let mut total = Imported {
            published: 4_529,
            refused_count: 300,
            stopped: Some("line 7: <b>".to_owned()),
            ..Imported::default()
        };
        total.refused.push(("a".to_owned(), "a <secret>".to_owned()));
        total.rename("a | b".to_owned(), &"a - b".parse().expect("a name"));
        total.rename("a | b".to_owned(), &"a - b".parse().expect("a name"));
        assert_eq!(total.renamed_count, 1);
        let shown = imported(&sample(Who::Local), &total);
        for part in [
            "Import stopped: line 7: &lt;b&gt;",
            "4\u{202f}529",
            "a &lt;secret&gt;",
            "and 299 more",
            "a | b",
            "/ui/prompts/a%20-%20b",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }

    #[test]
    fn forms_need_sign_in() {
        let signed = Who::Signed { name: "ann".to_owned(), token: "t".to_owned(), form: "f00".to_owned() };
        let forms = page(&sample(signed));
        assert_eq!(forms.matches("enctype=\"multipart/form-data\"").count(), 2, "{forms}");
        let token = forms.find("name=\"form\" value=\"f00\"").expect("a token");
        assert!(token < forms.find("type=\"file\"").expect("a field"), "the token is the first part");
        let local = page(&sample(Who::Local));
        assert!(!local.contains("multipart") && local.contains("Sign in to import"), "{local}");
    }
}
