//! The promote page: which prompts would be deployed from one label to another, and the form that does it.

use maud::{Markup, html};

use super::serving;
use crate::api::promote::{PlannedPromotion, PromotionPlan};
use crate::form::{DESPITE_FINDINGS, FormError, hidden, session};
use crate::format::{Escaped, plain, sentence, with_code};
use crate::layout::{Frame, Page, empty, prompt_path, query};
use crate::model::count::count;
use crate::model::finding::Severity;

/// Longest pattern, in bytes.
const PATTERN_MAX: usize = 200;
/// Longest label, in bytes.
const LABEL_MAX: usize = 36;

/// The contents of the page.
#[derive(Clone, Debug, Default)]
pub struct PromotePageData {
    /// The prompts, as typed.
    pub pattern: String,
    /// The label to promote from, as typed.
    pub from: String,
    /// The label to promote to, as typed.
    pub to: String,
    /// What would be done, or why that is unknown; absent until it is asked for.
    pub plan: Option<Result<PromotionPlan, String>>,
    /// Why the form was rejected.
    pub refused: Option<FormError>,
    /// The message, as typed.
    pub message: String,
}

/// The path of the page.
pub fn promote_path(pattern: &str, from: &str, to: &str) -> String {
    format!("/ui/promote{}", query(&[("pattern", pattern), ("from", from), ("to", to)]))
}

/// Renders the page.
pub fn page(frame: &Frame, matter: &PromotePageData) -> String {
    let above = [("Prompts", "/ui/".to_owned())];
    let main = html! {
        div.head { h1 { "Promote prompts" } }
        @if let Some(refusal) = &matter.refused { (refusal.note("Nothing was changed.")) }
        (chooser(matter))
        @match &matter.plan {
            None => p.quiet { "Deploys what one label serves to another, for every prompt that matches, all at once." },
            Some(Err(why)) => p.note.warn { (with_code(&sentence(why))) },
            Some(Ok(plan)) => (planned(frame, matter, plan)),
        }
    };
    frame.page(&Page { title: "Promote prompts", above: &above, done: None, searches: false, main })
}

fn chooser(matter: &PromotePageData) -> Markup {
    html! {
        form.filters action="/ui/promote" {
            label {
                span { "Prompts" }
                input name="pattern" value=(plain(&matter.pattern)) maxlength=(PATTERN_MAX) placeholder="support/**"
                    required autocomplete="off" spellcheck="false";
            }
            label {
                span { "From label" }
                input.short name="from" value=(plain(&matter.from)) maxlength=(LABEL_MAX) required autocomplete="off"
                    spellcheck="false";
            }
            label {
                span { "To label" }
                input.short name="to" value=(plain(&matter.to)) maxlength=(LABEL_MAX) required autocomplete="off"
                    spellcheck="false";
            }
            button type="submit" { "Preview" }
        }
    }
}

fn planned(frame: &Frame, matter: &PromotePageData, plan: &PromotionPlan) -> Markup {
    let (unchanged, moves): (Vec<_>, Vec<_>) = plan.prompts.iter().partition(|one| one.unchanged);
    html! {
        @if plan.prompts.is_empty() {
            (empty("No prompts match", "No prompt that you can read matches and has the label to promote from."))
        } @else {
            section aria-labelledby="plan-head" {
                h2 #plan-head { (prompts(moves.len())) " to promote, " (unchanged.len()) " unchanged" }
                table.list.cards {
                    thead {
                        tr {
                            th scope="col" { "Prompt" }
                            th scope="col" { (Escaped(&matter.to)) " now" }
                            th scope="col" { (Escaped(&matter.to)) " then" }
                            th scope="col" { "Remarks" }
                        }
                    }
                    tbody { @for one in moves.iter().chain(&unchanged) { (row(one)) } }
                }
            }
            @if let Some(form) = frame.form() {
                @if !moves.is_empty() { (deciding(matter, plan, &moves, form)) }
            }
        }
    }
}

fn row(one: &PlannedPromotion) -> Markup {
    html! {
        tr {
            th scope="row" { a.name href=(prompt_path(one.name.as_str())) { (Escaped(one.name.as_str())) } }
            td data-label="Now" {
                @match &one.from { Some(from) => (serving::brief(from)), None => span.quiet { "Not deployed" } }
            }
            td data-label="Then" { (serving::brief(&one.to)) }
            td data-label="Remarks" {
                @if one.unchanged { span.quiet { "Unchanged" } }
                @for unmet in &one.unmet { p { b { "Not met: " } (with_code(unmet)) } }
                @if let Some(risk) = one.risk { p { "Findings of risk " b { (risk) } } }
                @for breaks in &one.breaks { p { b { "Breaks callers: " } (with_code(breaks)) } }
            }
        }
    }
}

/// The form for promoting exactly what is shown, unless it has changed since.
fn deciding(matter: &PromotePageData, plan: &PromotionPlan, moves: &[&PlannedPromotion], form: &str) -> Markup {
    let is_met = moves.iter().all(|one| one.unmet.is_empty());
    html! {
        form.stack method="post" action="/ui/promote" {
            (session(form))
            (hidden("pattern", plain(&matter.pattern)))
            (hidden("from", plain(&matter.from)))
            (hidden("to", plain(&matter.to)))
            (hidden("expected", plain(&plan.fingerprint)))
            label for="message" { "Why this change?" }
            input #message name="message" value=(plain(&matter.message)) required maxlength="2000" autocomplete="off";
            @if moves.iter().any(|one| !one.breaks.is_empty()) {
                label.check {
                    input type="checkbox" name="allow_major" value="yes";
                    span { "Deploy even though callers may break" }
                }
            }
            @if moves.iter().any(|one| one.risk >= Some(Severity::High)) {
                label.check {
                    input #despite-findings type="checkbox" name=(DESPITE_FINDINGS) value="yes";
                    span { "Deploy despite findings of severity high or critical" }
                }
            }
            @if is_met {
                button.primary type="submit" { "Promote " (prompts(moves.len())) " to " (Escaped(&matter.to)) }
            } @else {
                button type="button" disabled { "Promote" }
                p.quiet { "Some requirements are not met. Narrow the pattern, or request review of those prompts." }
            }
        }
    }
}

fn prompts(number: usize) -> String {
    count(number, "prompt")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Who, sample};

    fn signed() -> Frame {
        sample(Who::Signed { name: "cy".to_owned(), token: "t".to_owned(), form: "f00".to_owned() })
    }

    fn matter(prompts: &str) -> PromotePageData {
        let plan = format!(r#"{{"position":"1.7","fingerprint":"5ee7","prompts":{prompts}}}"#);
        PromotePageData {
            pattern: "a/<b>*".to_owned(),
            from: "staging".to_owned(),
            to: "production".to_owned(),
            plan: Some(Ok(serde_json::from_str(&plan).expect("a plan"))),
            ..PromotePageData::default()
        }
    }

    #[test]
    fn plan_shows_each_prompt_and_its_form_carries_the_fingerprint() {
        let prompts = r#"[{"name":"a/<b>","from":{"version":6},"to":{"version":7},"unchanged":false,"breaks":["x is required"]},
            {"name":"a/new","from":null,"to":{"version":1},"unchanged":false,"risk":"high"},
            {"name":"a/same","from":{"version":2},"to":{"version":2},"unchanged":true}]"#;
        let shown = page(&signed(), &matter(prompts));
        for part in [
            "2 prompts to promote, 1 unchanged",
            "a/&lt;b&gt;",
            "Not deployed",
            "value=\"5ee7\"",
            "name=\"allow_major\"",
            "name=\"despite_findings\"",
            "Promote 2 prompts to production",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(!shown.contains("a/<b>"), "names are escaped");
        assert!(!page(&sample(Who::Local), &matter(prompts)).contains("method=\"post\""));
    }

    #[test]
    fn form_needs_something_to_promote_and_requirements_that_are_met() {
        let unmet = r#"[{"name":"a/b","from":null,"to":{"version":7},"unchanged":false,"unmet":["policy p requires 1 approval"]}]"#;
        let shown = page(&signed(), &matter(unmet));
        assert!(shown.contains("policy p requires 1 approval") && shown.contains("disabled"), "{shown}");
        let same = r#"[{"name":"a/b","from":{"version":7},"to":{"version":7},"unchanged":true}]"#;
        assert!(!page(&signed(), &matter(same)).contains("name=\"expected\""));
        assert!(page(&signed(), &matter("[]")).contains("No prompts match"));
    }
}
