//! The forms of a suite: one case, the settings, the whole suite as text, and the cases of other tools.

use maud::{Markup, html};
use serde::{Deserialize, Serialize};

use super::gates::{NEW_SUITE, form_path, suite_path};
use crate::form::{FormError, FormValues, hidden, session};
use crate::format::{Escaped, grouped, plain, with_code};
use crate::layout::{Frame, Page, Part, command, segment};
use crate::model::suite::{CASE_NAME_CHARACTERS_MAX, CheckKind, REPEATS_MAX};
use crate::typed::Fields;
use crate::typed::suite::{scorer_count, variable_names};

/// What files can be imported: the word of the form, and what it is.
pub const FORMATS: [(&str, &str); 6] = [
    ("promptfoo", "promptfoo configuration (YAML)"),
    ("csv", "CSV, one column per variable"),
    ("jsonl", "JSON Lines, one case per line"),
    ("langfuse", "Langfuse dataset (JSON)"),
    ("openai-evals", "OpenAI evals (JSON Lines)"),
    ("suite", "Bookholder suite (YAML or JSON)"),
];
/// Most parts that a page lists as not supported.
pub const UNSUPPORTED_SHOWN_MAX: usize = 200;
/// What the name of a suite can be.
const NAME: &str = "[a-z0-9._@\\-]{1,64}";

/// What the forms of a suite show.
pub struct SuiteForm<'a> {
    /// The suite.
    pub name: &'a str,
    /// The number of the version that it was made from; 0 if the suite is not there yet.
    pub number: u64,
    /// The fields.
    pub typed: &'a FormValues,
    /// What is wrong, by field.
    pub wrong: &'a Fields,
    /// Why it was not saved.
    pub refused: Option<&'a FormError>,
    /// Models that can be chosen.
    pub models: &'a [String],
}

/// Renders the form of a case; `case` is its name, or empty for a new one.
#[must_use]
pub fn case(frame: &Frame, form: &SuiteForm<'_>, case: &str) -> String {
    let typed = form.typed;
    let title = if case.is_empty() { "New case".to_owned() } else { format!("Case {}", plain(case)) };
    let fields = html! {
        (hidden("case", case))
        fieldset {
            legend { "Case" }
            (form.line("name", "Name", "Unique in the suite.", true, CASE_NAME_CHARACTERS_MAX))
            (form.line("tags", "Tags", "Separated by commas.", false, 2_000))
            label.check {
                input type="checkbox" name="must_pass" value="yes" checked[typed.ticked("must_pass")];
                span { "Must pass: if it fails, the run fails" }
            }
        }
        fieldset {
            legend { "Input" }
            @for (index, name) in variable_names(typed).enumerate() {
                (hidden(&format!("v{index}.name"), name))
                (form.area(&format!("v{index}.value"), &html! { "Variable " code { (Escaped(name)) } }, "", 2))
            }
            details.act open[form.wrong.contains_key("new.name") || variable_names(typed).next().is_none()] {
                summary { "Another variable" }
                (form.line("new.name", "Name of the variable", "", false, 200))
                (form.area("new.value", &html! { "Value" }, "", 2))
            }
            @if typed.ticked("messages") {
                (form.area(
                    "messages",
                    &html! { "Messages" },
                    "After those of the prompt: a JSON list of objects with role and content.",
                    6,
                ))
            } @else {
                (form.area("message", &html! { "User message" }, "After the messages of the prompt.", 3))
            }
        }
        fieldset {
            legend { "Expected" }
            (form.area(
                "expected",
                &html! { "Expected answer" },
                "For scorers that compare with one, such as equals. A text, or JSON.",
                3,
            ))
        }
        (form.scorers("Scorers", "How the answer is judged, besides the scorers of every case."))
        fieldset {
            legend { "Score" }
            (form.line("weight", "Weight in the score of a run", "", false, 20))
            (form.line("threshold", "Minimum score to pass", "Empty: every scorer must pass.", false, 20))
        }
    };
    let buttons = html! {
        button.primary type="submit" name="do" value="save" { "Save" }
        @if !case.is_empty() {
            " " button.danger type="submit" name="do" value="remove" formnovalidate { "Remove the case" }
        }
    };
    form.page(frame, &title, &form_path(form.name, "case"), &fields, &buttons)
}

/// Renders the form of everything but the cases.
#[must_use]
pub fn settings(frame: &Frame, form: &SuiteForm<'_>) -> String {
    let typed = form.typed;
    let fields = html! {
        fieldset {
            legend { "Suite" }
            (form.area("description", &html! { "What it is for" }, "", 2))
        }
        fieldset {
            legend { "Run" }
            (form.line("models", "Models", "As PROVIDER:MODEL. Empty: the model that the version names.", false, 4_000))
            (form.line("repeats", "Number of times to run each case", &format!("1 to {REPEATS_MAX}"), true, 3))
            (form.line("max_cost_usd", "Dollar limit of a run", "A run that reaches it is inconclusive.", false, 20))
            (form.line("max_calls", "Maximum number of calls in a run", "", false, 20))
        }
        fieldset {
            legend { "Gate" }
            p.quiet { "What a run must reach to pass. Shares are from 0 to 1." }
            (form.line("pass_rate", "Share of cases that must pass", "", true, 20))
            label.check {
                input type="checkbox" name="confident" value="yes" checked[typed.ticked("confident")];
                span { "With 95% confidence, not just in this run" }
            }
            (form.line(
                "margin",
                "By how much the score may be lower than that of the baseline",
                "Empty: not compared.",
                false,
                20,
            ))
            (form.line("consistency", "Share of cases whose repeats must agree", "", false, 20))
            (form.line("latency_p95_ms", "Maximum 95th percentile of latency, in milliseconds", "", false, 20))
            (form.line("cost_mean_usd", "Maximum mean cost of an answer, in dollars", "", false, 20))
            (form.area("metrics", &html! { "Minimum mean of each metric" }, "One per line, such as accuracy: 0.9", 2))
            (form.line("threshold", "Minimum score for a case to pass", "Empty: every scorer must pass.", false, 20))
        }
        (form.scorers("Scorers of every case", "Besides those of the case itself."))
    };
    let buttons = html! {
        button.primary type="submit" name="do" value="save" { "Save" }
    };
    form.page(frame, "Settings", &form_path(form.name, "settings"), &fields, &buttons)
}

/// A file of another tool, before it is saved. It is sent along with the text, to be shown again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReview {
    /// Its name.
    pub file: String,
    /// Cases that would be saved.
    pub cases: usize,
    /// Cases that are left out.
    pub left_out: usize,
    /// What is not imported as it is: where, and what.
    pub unsupported: Vec<String>,
    /// How many more there are than listed.
    pub more: usize,
}

impl ImportReview {
    /// The fields that carry it.
    #[must_use]
    pub fn fields(&self) -> FormValues {
        let mut fields = FormValues::default();
        fields.put("review", serde_json::to_string(self).unwrap_or_default());
        if self.left_out > 0 {
            fields.put("left_out", self.left_out.to_string());
        }
        fields
    }

    /// That of a form that was sent.
    #[must_use]
    pub fn sent(typed: &FormValues) -> Option<Self> {
        serde_json::from_str(typed.get("review")).ok()
    }
}

/// Renders the whole suite as text; after an upload with what is not supported of it.
#[must_use]
pub fn text(frame: &Frame, form: &SuiteForm<'_>, review: Option<&ImportReview>) -> String {
    let title = if review.is_some() { "Check the import" } else { "Suite as text" };
    let fields = html! {
        @if let Some(review) = review { (reviewed(form, review)) }
        fieldset {
            legend { "YAML or JSON" }
            (form.code("text", "Suite"))
        }
    };
    let buttons = html! {
        button.primary type="submit" name="do" value="save" { "Save" }
    };
    form.page(frame, title, &form_path(form.name, "text"), &fields, &buttons)
}

fn reviewed(form: &SuiteForm<'_>, review: &ImportReview) -> Markup {
    let ImportReview { file, cases, left_out, unsupported, more } = review;
    let count = |count: usize| grouped(u64::try_from(count).unwrap_or(u64::MAX));
    html! {
        (hidden("review", form.typed.get("review")))
        fieldset {
            legend { "From " (Escaped(file)) }
            p {
                b { (count(*cases)) } @if *cases == 1 { " case" } @else { " cases" } " can be saved"
                @if *left_out > 0 { ", " b { (count(*left_out)) } " cannot be judged as they are and are left out" }
                "."
                @if form.number > 0 {
                    " Saving replaces all cases of " b { (Escaped(form.name)) } ", version " (form.number) "."
                }
            }
            @if *left_out > 0 {
                (hidden("left_out", left_out))
                label.check {
                    input type="checkbox" name="without" value="yes" required;
                    span { "Save without what is left out" }
                }
            }
            @if unsupported.is_empty() { p.quiet { "Everything in it is supported." } } @else {
                h2 { "Not supported" }
                ul.unsupported {
                    @for part in unsupported { li { (with_code(part)) } }
                }
                @if *more > 0 { p.quiet { "and " (count(*more)) " more" } }
            }
        }
    }
}

/// Renders the ways to a new suite: writing it, and importing cases.
#[must_use]
pub fn new(frame: &Frame, name: &str, refused: Option<&FormError>) -> String {
    let named = |id: &str| {
        html! {
            label for=(id) { "Name of the suite" }
            input id=(id) name="name" value=(plain(name)) required maxlength="64" pattern=(NAME) autocomplete="off"
                spellcheck="false" placeholder="regress" title="a-z 0-9 . _ - @";
        }
    };
    let main = html! {
        div.head { h1 { "New suite" } }
        @if let Some(refused) = refused { (refused.note("Nothing was saved.")) }
        @if let Some(form) = frame.form() {
            ul.ways.two {
                li {
                    h2 { "Write it" }
                    p { "A suite has cases: inputs, and what is expected of the answers. Begin with the first one." }
                    form.stack action=(NEW_SUITE) {
                        (named("write-name"))
                        button.primary type="submit" { "Continue" }
                    }
                }
                li {
                    h2 { "Import cases" }
                    p {
                        "From another tool. Anything unsupported is listed before you save, and a case never passes "
                        "because part of it is missing."
                    }
                    form.stack method="post" action=(NEW_SUITE) enctype="multipart/form-data" {
                        (session(form))
                        (named("import-name"))
                        label for="import-format" { "Format" }
                        select #import-format name="format" {
                            @for (word, says) in FORMATS { option value=(word) { (says) } }
                        }
                        label for="import-file" { "File" }
                        input #import-file type="file" name="suite" required;
                        label for="import-beside" { "Files that it refers to (optional)" }
                        input #import-beside type="file" name="beside" multiple aria-describedby="import-beside-help";
                        p.quiet #import-beside-help {
                            "For promptfoo: tests, schemas and rubrics in separate files. For OpenAI evals: the "
                            "testing criteria."
                        }
                        button.primary type="submit" { "Check the file" }
                    }
                }
                li {
                    h2 { "Command line" }
                    p { "For suites in a repository, and for large files." }
                    (command("bookholder eval push suites/regress.yaml"))
                    (command(
                        "bookholder eval import promptfooconfig.yaml --format promptfoo --out suites/regress.json",
                    ))
                }
            }
        }
    };
    let above = [("Evaluations", "/ui/evaluations".to_owned())];
    frame.page_of(Part::Evaluations, &Page { title: "New suite", above: &above, done: None, searches: false, main })
}

impl SuiteForm<'_> {
    fn page(&self, frame: &Frame, title: &str, action: &str, fields: &Markup, buttons: &Markup) -> String {
        let main = html! {
            div.head {
                h1 { (Escaped(title)) }
                p.quiet {
                    @if self.number > 0 {
                        "of " (Escaped(self.name)) ", from version " (self.number) ". Saving creates another version."
                    } @else {
                        "The first version of " (Escaped(self.name)) "."
                    }
                }
            }
            @if let Some(refused) = self.refused { (refused.note("Not saved.")) }
            @if let Some(form) = frame.form() {
                form.desk.policy method="post" action=(action) {
                    (session(form))
                    (hidden("version", self.number))
                    // Enter in a field saves, whichever button comes first.
                    button.hidden type="submit" name="do" value="save" tabindex="-1" aria-hidden="true" { "Save" }
                    (fields)
                    fieldset {
                        legend { "Save" }
                        (self.line("why", "Why this change?", "Optional.", false, 2_000))
                        p { (buttons) }
                    }
                }
                datalist #models { @for model in self.models { option value=(model) {} } }
            }
        };
        let mut above = vec![("Evaluations", "/ui/evaluations".to_owned())];
        if self.number > 0 {
            above.push((self.name, suite_path(self.name)));
        }
        let title = format!("{title} · {}", self.name);
        frame.page_of(Part::Evaluations, &Page { title: &title, above: &above, done: None, searches: false, main })
    }

    /// What is wrong with a field, and the name of that remark.
    fn beside(&self, name: &str) -> (Option<String>, Markup) {
        let why = self.wrong.get(name);
        let id = why.map(|_| format!("wrong-{}", segment(name)));
        let note = html! {
            @if let (Some(why), Some(id)) = (why, &id) { p.note.bad id=(id) role="alert" { (with_code(why)) } }
        };
        (id, note)
    }

    /// A field of one line.
    fn line(&self, name: &str, label: &str, hint: &str, required: bool, max: usize) -> Markup {
        let (id, note) = self.beside(name);
        html! {
            div.field {
                label for=(name) { (label) }
                @if !hint.is_empty() { p.quiet { (hint) } }
                input id=(name) name=(name) value=(plain(self.typed.get(name))) maxlength=(max) required[required]
                    autocomplete="off" spellcheck="false" aria-invalid=[id.as_ref().map(|_| "true")]
                    aria-describedby=[id.as_ref()];
                (note)
            }
        }
    }

    /// A field of several lines.
    fn area(&self, name: &str, label: &Markup, hint: &str, rows: usize) -> Markup {
        let (id, note) = self.beside(name);
        let typed = self.typed.get(name);
        let rows = typed.lines().count().clamp(rows, 16);
        html! {
            div.field {
                label for=(name) { (label) }
                @if !hint.is_empty() { p.quiet { (hint) } }
                textarea id=(name) name=(name) rows=(rows) aria-invalid=[id.as_ref().map(|_| "true")]
                    aria-describedby=[id.as_ref()] { "\n" (typed) }
                (note)
            }
        }
    }

    /// A field for code.
    fn code(&self, name: &str, label: &str) -> Markup {
        let (id, note) = self.beside(name);
        html! {
            div.field.whole {
                label for=(name) { (label) }
                (note)
                textarea.code id=(name) name=(name) rows="28" spellcheck="false"
                    aria-invalid=[id.as_ref().map(|_| "true")] aria-describedby=[id.as_ref()] {
                    "\n" (self.typed.get(name))
                }
            }
        }
    }

    fn scorers(&self, legend: &str, hint: &str) -> Markup {
        html! {
            fieldset {
                legend { (legend) }
                p.quiet { (hint) }
                @for index in 0..scorer_count(self.typed) { (self.scorer(index)) }
                p { button type="submit" name="do" value="scorer" formnovalidate { "Add a scorer" } }
            }
        }
    }

    fn scorer(&self, index: usize) -> Markup {
        let name = |end: &str| format!("s{index}.{end}");
        let number = index + 1;
        let (typed, chosen) = (self.typed, self.typed.get(&name("type")).to_owned());
        let (wrong, note) = self.beside(&name("type"));
        let label = |end: &str, words: &str, list: Option<&str>| {
            let (id, note) = self.beside(&name(end));
            html! {
                label {
                    span { (words) span.hidden { " of scorer " (number) } }
                    input name=(name(end)) value=(plain(typed.get(&name(end)))) maxlength="300" autocomplete="off"
                        spellcheck="false" list=[list] aria-describedby=[id];
                    (note)
                }
            }
        };
        html! {
            fieldset.variable {
                legend { "Scorer " (number) }
                (hidden(&name("was"), typed.get(&name("was"))))
                label {
                    span { "What it checks" span.hidden { " by scorer " (number) } }
                    select name=(name("type")) aria-describedby=[wrong] {
                        option value="" selected[chosen.is_empty()] { "none" }
                        @for kind in CheckKind::ALL {
                            @for word in [kind.as_str().to_owned(), format!("not-{}", kind.as_str())] {
                                option value=(word) selected[word == chosen] { (word) }
                            }
                        }
                    }
                    (note)
                }
                (label("metric", "Metric", None))
                (label("threshold", "Threshold", None))
                (label("weight", "Weight", None))
                (label("model", "Model that judges", Some("models")))
                label.value {
                    span {
                        "Compared with" span.hidden { " by scorer " (number) }
                        ": a text, a line for each of several, a rubric or JSON"
                    }
                    textarea name=(name("value")) rows="2" { "\n" (typed.get(&name("value"))) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::layout::{Who, sample};
    use crate::model::suite::Suite;
    use crate::typed::suite::{case_fields, settings_fields};

    fn signed() -> Frame {
        sample(Who::Signed { name: "ann".into(), token: "t".into(), form: "f".into() })
    }

    fn suite() -> Suite {
        serde_json::from_value(json!({
            "scorers": [{"type": "not-contains", "value": "</textarea><script>"}],
            "cases": [{"name": "a\"><b>", "variables": {"q<i>": "</textarea><b>"}, "scorers": [{"type": "is-json"}]}],
        }))
        .expect("a suite")
    }

    #[test]
    fn forms_escape_what_others_wrote_and_say_what_is_wrong_beside_its_field() {
        let suite = suite();
        let typed = case_fields(suite.cases.first(), Some(&suite));
        let wrong = Fields::from([("weight".to_owned(), "`<u>` is not a number".to_owned())]);
        let models = ["local:tiny".to_owned()];
        let form = SuiteForm { name: "sums", number: 3, typed: &typed, wrong: &wrong, refused: None, models: &models };
        let html = case(&signed(), &form, "a\"><b>");
        assert!(
            html.contains("<code>&lt;u&gt;</code> is not a number")
                && html.contains("aria-describedby=\"wrong-weight\"")
        );
        assert!(
            html.contains("value=\"save\"") && html.contains("value=\"remove\"") && html.contains("selected>is-json")
        );
        assert!(!html.contains("<b>\"") && !html.contains("</textarea><b>") && !html.contains("<i>"), "{html}");
        let typed = settings_fields(&suite);
        let html = settings(&signed(), &SuiteForm { typed: &typed, ..form });
        assert!(html.contains("selected>not-contains") && !html.contains("</textarea><script>"), "{html}");
    }

    #[test]
    fn import_lists_what_is_not_supported_and_asks_before_cases_are_left_out() {
        let unsupported = vec!["tests[1].assert[0]: `python` <b> (the case is left out)".to_owned()];
        let review = ImportReview { file: "promptfooconfig.yaml".into(), cases: 2, left_out: 1, unsupported, more: 4 };
        let typed = review.fields();
        assert_eq!(ImportReview::sent(&typed).as_ref(), Some(&review));
        let wrong = Fields::new();
        let form = SuiteForm { name: "sums", number: 7, typed: &typed, wrong: &wrong, refused: None, models: &[] };
        let html = text(&signed(), &form, Some(&review));
        assert!(html.contains("name=\"without\" value=\"yes\" required") && html.contains("and 4 more"), "{html}");
        assert!(html.contains("<code>python</code> &lt;b&gt;") && html.contains("replaces all cases"), "{html}");
        let whole = ImportReview { left_out: 0, unsupported: Vec::new(), more: 0, ..review };
        let html = text(&signed(), &form, Some(&whole));
        assert!(html.contains("Everything in it is supported") && !html.contains("name=\"without\""), "{html}");
    }

    #[test]
    fn new_suite_is_written_or_imported_by_who_is_signed_in() {
        let html = new(&signed(), "a\"<b>", None);
        let token = html.find("name=\"form\"").expect("a token");
        assert!(token < html.find("type=\"file\"").expect("a field"), "the token is the first part");
        assert!(html.contains("a&quot;&lt;b&gt;") && html.contains("value=\"openai-evals\""), "{html}");
        assert!(!new(&sample(Who::Local), "", None).contains("multipart"));
    }
}
