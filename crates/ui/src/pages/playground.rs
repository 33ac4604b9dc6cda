//! The playground: asks models with a version and values, and shows the answers side by side.
//!
//! The answers arrive while the page is open: the page is sent in pieces, so it needs no script.

use maud::{Markup, PreEscaped, html};

use super::diff_view::{Layout, Lines};
use crate::form::{FormValues, hidden, session};
use crate::format::{Escaped, counted, grouped};
use crate::governance::diff::diff;
use crate::layout::{Frame, Page, Part, command, query};
use crate::model::content::{Body, Content, Syntax};
use crate::model::evaluation::Answer;
use crate::model::usd::Usd;

/// Where the answers are inserted.
const ANSWERS: &str = "<!-- answers -->";

/// What the form shows.
pub struct Playground<'a> {
    /// The first version, as typed: `support/agent@7`.
    pub reference: &'a str,
    /// What it is; absent until one is named.
    pub content: Option<&'a Content>,
    /// What was typed.
    pub typed: &'a FormValues,
    /// The models that can be chosen.
    pub models: &'a [String],
    /// What the visitor can still spend today.
    pub left: Option<Usd>,
    /// Whether the settings name a provider.
    pub has_providers: bool,
}

/// Renders the page before and after the answers.
#[must_use]
pub fn page(frame: &Frame, playground: &Playground<'_>, with_answers: bool) -> (String, String) {
    let main = html! {
        div.head {
            h1 { "Playground" }
            p.quiet {
                "Try a version on models, compare versions and models, and keep an answer as a case"
                @if let Some(left) = playground.left { ". You can spend " (left.short()) " more today" }
            }
        }
        @if !playground.has_providers { (super::gates::no_provider()) }
        (form(frame, playground))
        @if with_answers { (PreEscaped(ANSWERS)) }
    };
    let above = [("Evaluations", "/ui/evaluations".to_owned())];
    let page = Page { title: "Playground", above: &above, done: None, searches: false, main };
    let page = frame.page_of(Part::Evaluations, &page);
    match page.split_once(ANSWERS) {
        Some((before, after)) => (before.to_owned(), after.to_owned()),
        None => (page, String::new()),
    }
}

fn form(frame: &Frame, playground: &Playground<'_>) -> Markup {
    let typed = playground.typed;
    html! {
        @if playground.content.is_none() {
            form.stack action="/ui/playground" {
                label for="playground-prompt" { "Version" }
                input #playground-prompt name="prompt" required maxlength="220" autocomplete="off" spellcheck="false"
                    placeholder="support/agent@staging" value=(playground.reference);
                button.primary type="submit" { "Open" }
            }
        } @else if let (Some(form), Some(content)) = (frame.form(), playground.content) {
            form.stack method="post" action="/ui/playground" {
                (session(form))
                (hidden("prompt", playground.reference))
                p { "Version " b { (Escaped(playground.reference)) } " " a href="/ui/playground" { "Another version" } }
                @for variable in &content.variables {
                    @let id = format!("var.{}", variable.name);
                    label for=(id) {
                        code { (Escaped(&variable.name)) }
                        @if variable.required { " " span.quiet { "required" } }
                    }
                    textarea id=(id) name=(id) rows="2" { (Escaped(typed.get(&id))) }
                }
                label for="playground-message" { "User message, after the prompt" }
                textarea #playground-message name="message" rows="3" { (Escaped(typed.get("message"))) }
                label for="playground-against" { "Compare with the version" }
                input #playground-against name="against" maxlength="100" autocomplete="off" spellcheck="false"
                    placeholder="@production" value=(Escaped(typed.get("against")));
                label for="playground-models" { "Models, separated by spaces" }
                input #playground-models name="models" maxlength="1000" autocomplete="off" spellcheck="false"
                    list="playground-known" value=(Escaped(typed.get("models")));
                datalist #playground-known { @for model in playground.models { option value=(model) {} } }
                button.primary type="submit" { "Ask" }
            }
        } @else {
            p.quiet { "Sign in to ask a model." }
            (command("bookholder eval run support/agent --suite regress"))
        }
    }
}

/// Around the answers, which are side by side where there is room.
pub const ANSWERS_BESIDE: (&str, &str) = ("<div class=\"sides\">", "</div>");

/// The start of one answer; its text follows in parts.
#[must_use]
pub fn begin_answer(version: &str, model: &str) -> String {
    let heading = html! { h2 { (Escaped(version)) " on " (Escaped(model)) } }.into_string();
    format!("<section class=\"side\">{heading}<pre class=\"answer\" role=\"log\" tabindex=\"0\">")
}

/// A part of its text.
#[must_use]
pub fn part(text: &str) -> String {
    html! { (Escaped(text)) }.into_string()
}

/// Its end.
#[must_use]
pub fn end_answer(answer: Result<&Answer, &str>) -> String {
    let facts = match answer {
        Ok(answer) => html! {
            @for call in &answer.tool_calls { pre.answer { (Escaped(&call.to_string())) } }
            p.quiet {
                @if let Some(model) = &answer.model { (Escaped(model)) ", " }
                (grouped(answer.latency_ms)) " ms"
                @if let Some(first) = answer.first_token_ms { ", first token after " (grouped(first)) " ms" }
                @if let Some(tokens) = answer.usage.output_tokens { ", " (counted(tokens, "token")) }
                @match answer.usage.cost { Some(cost) => { ", " (cost.short()) } None => { ", price unknown" } }
            }
        },
        Err(reason) => html! { p.note { (Escaped(reason)) } },
    };
    format!("</pre>{}</section>", facts.into_string())
}

/// The differences between the first two answers.
#[must_use]
pub fn differences(first: &str, second: &str) -> String {
    let text =
        |text: &str| Content { body: Body::Text(format!("{}\n", text.trim_end())), ..Content::text(Syntax::Plain, "") };
    let changes = diff(&text(first), &text(second));
    html! {
        section aria-labelledby="differences" {
            h2 #differences { "Differences of the first two answers" }
            @match &changes.text {
                Some(unified) => (Lines::new(Layout::Split, ("first", "second")).show("answer", unified)),
                None => p.quiet { "None: the texts are the same." },
            }
        }
    }
    .into_string()
}

/// The form that keeps the question as a case.
#[must_use]
pub fn keep(frame: &Frame, playground: &Playground<'_>, answer: &str) -> String {
    let Some((form, content)) = frame.form().zip(playground.content) else { return String::new() };
    html! {
        section aria-labelledby="keep" {
            h2 #keep { "Keep as a case" }
            form.stack method="post" action="/ui/playground/keep" {
                (session(form))
                (hidden("prompt", playground.reference))
                @for variable in &content.variables {
                    @let id = format!("var.{}", variable.name);
                    (hidden(&id, playground.typed.get(&id)))
                }
                (hidden("message", playground.typed.get("message")))
                label for="keep-suite" { "Suite" }
                input #keep-suite name="suite" required maxlength="64" autocomplete="off" spellcheck="false"
                    placeholder="regress";
                label for="keep-name" { "Name of the case" }
                input #keep-name name="name" required maxlength="200" autocomplete="off";
                label for="keep-expected" { "Expected answer" }
                textarea #keep-expected name="expected" rows="3" { (Escaped(answer)) }
                label for="keep-rubric" { "Or a text that the answer must contain" }
                input #keep-rubric name="contains" maxlength="1000" autocomplete="off";
                button type="submit" { "Keep" }
            }
        }
    }
    .into_string()
}

/// The path that opens a version in the playground.
#[must_use]
pub fn playground_path(reference: &str) -> String {
    format!("/ui/playground{}", query(&[("prompt", reference)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Who, sample};

    #[test]
    fn answers_are_escaped_wherever_they_are_cut() {
        let text = "<b>&amp;</b>";
        let parts: String = text.chars().map(|c| part(&c.to_string())).collect();
        assert_eq!(parts, "&lt;b&gt;&amp;amp;&lt;/b&gt;");
        let html = begin_answer("a<b>@1", "local:x<y>") + &parts + &end_answer(Err("no <i>"));
        assert!(!html.contains("<b>@1") && !html.contains("x<y>") && !html.contains("<i>"), "{html}");
    }

    #[test]
    fn page_is_cut_where_the_answers_come() {
        let (typed, content) = (FormValues::default(), Content::text(Syntax::Plain, "Hello"));
        let playground = Playground {
            reference: "support/agent@7",
            content: Some(&content),
            typed: &typed,
            models: &["local:tiny".to_owned()],
            left: None,
            has_providers: true,
        };
        let frame = sample(Who::Signed { name: "ann".into(), token: "t".into(), form: "f".into() });
        let (before, after) = page(&frame, &playground, true);
        assert!(before.contains("support/agent@7") && after.contains("</html>"), "{before} ... {after}");
        assert!(differences("a\nb", "a\nc").contains("class=\"diff"), "{}", differences("a\nb", "a\nc"));
        assert!(differences("same", "same").contains("None"));
    }
}
