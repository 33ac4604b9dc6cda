//! The form that starts a run: suite, version or draft, baseline and models.

use maud::{Markup, html};

use super::gates::{NEW_RUN, no_provider};
use crate::form::{FormError, FormValues, session};
use crate::format::plain;
use crate::layout::{Frame, Page, Part, command};

/// Its fields, which its address can have, too.
pub const FIELDS: [&str; 9] = ["suite", "prompt", "draft", "against", "models", "tags", "no_cache", "label", "message"];

/// What the form shows.
pub struct NewRun<'a> {
    /// The suites to choose from; none for visitors who cannot list them.
    pub suites: &'a [String],
    /// Models that can be chosen.
    pub models: &'a [String],
    /// Whether the settings name a provider.
    pub has_providers: bool,
    /// What was typed.
    pub typed: &'a FormValues,
    /// Why nothing was started.
    pub refused: Option<&'a FormError>,
}

/// Renders the form.
#[must_use]
pub fn page(frame: &Frame, matter: &NewRun<'_>) -> String {
    let typed = matter.typed;
    let main = html! {
        div.head { h1 { "Run a suite" } }
        @if !matter.has_providers { (no_provider()) }
        @if let Some(refused) = matter.refused { (refused.note("Nothing was started.")) }
        @if let Some(form) = frame.form() {
            form.desk.policy method="post" action=(NEW_RUN) {
                (session(form))
                fieldset {
                    legend { "What" }
                    (suite(matter))
                    (line(
                        typed, "prompt", "Prompt", "Add @LABEL or @7; otherwise it is the latest version.",
                        "support/agent@staging", 220, true,
                    ))
                    (line(
                        typed, "draft", "Draft", "To run a draft of this prompt instead of a version: its name.",
                        "", 64, false,
                    ))
                }
                fieldset {
                    legend { "How" }
                    (line(
                        typed, "against", "Compare with", "Another version of it, on the same cases.",
                        "@production", 100, false,
                    ))
                    div.field {
                        label for="models" { "Models" }
                        p.quiet {
                            "Separated by spaces. Empty: those of the suite or version; only they decide a gate."
                        }
                        input #models name="models" maxlength="4000" autocomplete="off" spellcheck="false"
                            list="known-models" value=(plain(typed.get("models")));
                        datalist #known-models { @for model in matter.models { option value=(model) {} } }
                    }
                    (line(
                        typed, "tags", "Only cases with one of these tags", "With tags, the run decides no gate.",
                        "", 1_000, false,
                    ))
                    label.check {
                        input type="checkbox" name="no_cache" value="yes" checked[typed.ticked("no_cache")];
                        span { "Ask models again, even where an earlier answer is stored" }
                    }
                }
                fieldset {
                    legend { "When it passes" }
                    (line(
                        typed,
                        "label",
                        "Deploy to label",
                        "Leave empty to deploy nowhere. Approvals and other policy requirements still apply.",
                        "",
                        36,
                        false,
                    ))
                    (line(typed, "message", "Why this change?", "Required to deploy.", "", 2_000, false))
                }
                p {
                    button.primary type="submit" { "Start" } " "
                    span.quiet { "This asks models, which can cost money. You can cancel it at any time." }
                }
            }
        }
        details.act { summary { "On the command line" }
            (command("bookholder eval run support/agent@staging --suite regress --against @production"))
        }
    };
    let above = [("Evaluations", "/ui/evaluations".to_owned())];
    frame.page_of(Part::Evaluations, &Page { title: "Run a suite", above: &above, done: None, searches: false, main })
}

fn suite(matter: &NewRun<'_>) -> Markup {
    let chosen = matter.typed.get("suite");
    let is_known = chosen.is_empty() || matter.suites.iter().any(|suite| suite == chosen);
    html! {
        @if matter.suites.is_empty() {
            (line(matter.typed, "suite", "Suite", "", "regress", 64, true))
        } @else {
            div.field {
                label for="suite" { "Suite" }
                select #suite name="suite" {
                    @if !is_known { option value=(plain(chosen)) selected { (plain(chosen)) } }
                    @for suite in matter.suites { option value=(suite) selected[suite == chosen] { (suite) } }
                }
            }
        }
    }
}

fn line(typed: &FormValues, name: &str, label: &str, hint: &str, example: &str, max: usize, required: bool) -> Markup {
    html! {
        div.field {
            label for=(name) { (label) }
            @if !hint.is_empty() { p.quiet { (hint) } }
            input id=(name) name=(name) maxlength=(max) required[required] autocomplete="off" spellcheck="false"
                placeholder=[Some(example).filter(|example| !example.is_empty())] value=(plain(typed.get(name)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Who, sample};

    #[test]
    fn form_keeps_what_was_typed_and_says_why_nothing_was_started() {
        let mut typed = FormValues::default();
        typed.put("suite", "gone<b>");
        typed.put("prompt", "a\"><script>");
        let refused = FormError { says: "`x` is unknown".to_owned(), errors: Vec::new(), hint: None };
        let matter = NewRun {
            suites: &["sums".to_owned()],
            models: &["local:tiny".to_owned()],
            has_providers: true,
            typed: &typed,
            refused: Some(&refused),
        };
        let frame = sample(Who::Signed { name: "ann".into(), token: "t".into(), form: "f".into() });
        let html = page(&frame, &matter);
        assert!(html.contains("a&quot;&gt;&lt;script&gt;") && html.contains("selected>gone&lt;b&gt;"), "{html}");
        assert!(html.contains("Nothing was started.") && html.contains("local:tiny"), "{html}");
        let local = page(&sample(Who::Local), &matter);
        assert!(!local.contains("method=\"post\""), "{local}");
    }
}
