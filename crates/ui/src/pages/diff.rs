//! The diff page: changed lines with signs and marked words, unified or side by side.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use serde_json::Value;

pub use super::diff_view::Layout;
use super::diff_view::Lines;
use super::serving;
use crate::api::read::DiffAnswer;
use crate::form::hidden;
use crate::format::{Escaped, plain, shorten, start_of, when};
use crate::governance::diff::{Comparison, Context};
use crate::layout::{Frame, Page, back_path, compare_path, empty, prompt_path};
use crate::model::comparison::{Diff, MessageChange, VariableChange};
use crate::model::name::PromptName;
use crate::model::prompt::LabelState;
use crate::model::version::Version;

/// Longest version message in a picker, in characters.
const MESSAGE_WIDTH: usize = 60;

/// The contents of the page.
#[derive(Clone, Debug)]
pub struct ComparedVersions {
    /// What differs.
    pub answer: DiffAnswer,
    /// The requested sides: a label, a number or a content ID.
    pub asked: (String, String),
    /// The choices.
    pub choices: Choices,
    /// The labels that the visitor can roll back.
    pub backs: BTreeSet<String>,
    /// The layout.
    pub layout: Layout,
    /// The amount of context.
    pub context: Context,
}

/// What can be compared.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// What each label serves.
    pub labels: Vec<LabelState>,
    /// Versions, newest first; at least the two that are compared.
    pub versions: BTreeMap<u64, Version>,
    /// Whether there are older ones.
    pub older: bool,
}

/// Renders the page.
pub fn page(frame: &Frame, matter: &ComparedVersions) -> String {
    let answer = &matter.answer;
    let name = answer.name.as_str();
    let above = [("Prompts", "/ui/".to_owned()), (name, prompt_path(name))];
    let title = format!("v{} and v{} of {name}", answer.from, answer.to);
    let everything = matter.context == Context::Whole;
    let main = html! {
        div.head {
            h1 { "From " (side(&matter.asked.0, answer.from)) " to " (side(&matter.asked.1, answer.to)) }
        }
        (pickers(matter))
        div.sides {
            (facts(frame, matter, "Before", answer.from))
            (facts(frame, matter, "After", answer.to))
        }
        @if !answer.diff.is_empty() {
            nav.tabs aria-label="How differences are shown" {
                (tab("Unified", matter.layout == Layout::Unified, &address(matter, Layout::Unified, matter.context)))
                (tab("Side by side", matter.layout == Layout::Split, &address(matter, Layout::Split, matter.context)))
                @if everything { a.end href=(address(matter, matter.layout, Context::Around)) { "Only changes" } }
                @else { a.end href=(address(matter, matter.layout, Context::Whole)) { "Show all lines" } }
            }
        }
        @let sides = (format!("v{}", answer.from), format!("v{}", answer.to));
        (parts(
            &answer.diff,
            matter.context,
            &mut Lines::new(matter.layout, (&sides.0, &sides.1)),
            |name| html! { h2 { (name) } },
        ))
    };
    frame.page(&Page { title: &title, above: &above, done: None, searches: false, main })
}

/// Renders the page that asks for a version, if a label serves several.
pub fn choose(frame: &Frame, name: &PromptName, state: &LabelState, address: &dyn Fn(u64) -> String) -> String {
    let above = [("Prompts", "/ui/".to_owned()), (name.as_str(), prompt_path(name.as_str()))];
    let label = state.label.as_str();
    let main = html! {
        div.head { h1 { "Which version of " (Escaped(label)) "?" } }
        p { (Escaped(label)) " serves several versions. Choose one to compare:" }
        div.life { (serving::drawn(&state.serving, address)) }
    };
    frame.page(&Page { title: &format!("Which version of {label}?"), above: &above, done: None, searches: false, main })
}

/// The path of a comparison of two selectors.
pub fn path(name: &str, (from, to): (&str, &str), layout: Layout, context: Context) -> String {
    let view = if layout == Layout::Split { "split" } else { "" };
    let context = if context == Context::Whole { "all" } else { "" };
    compare_path(name, &[("from", from), ("to", to), ("view", view), ("context", context)])
}

fn address(matter: &ComparedVersions, layout: Layout, context: Context) -> String {
    path(matter.answer.name.as_str(), (&matter.asked.0, &matter.asked.1), layout, context)
}

fn tab(name: &str, here: bool, path: &str) -> Markup {
    html! { a href=(path) aria-current=[here.then_some("true")] { (name) } }
}

/// One requested side, and its version.
fn side(asked: &str, number: u64) -> Markup {
    html! {
        @if asked == number.to_string() { "v" (number) } @else { (Escaped(asked)) " " span.quiet { "(v" (number) ")" } }
    }
}

fn facts(frame: &Frame, matter: &ComparedVersions, heading: &str, number: u64) -> Markup {
    let name = matter.answer.name.as_str();
    html! {
        div.side {
            p {
                span.quiet { (heading) " " }
                a.version href={ (prompt_path(name)) "?version=" (number) } { "v" (number) }
                @for state in matter.choices.labels.iter().filter(|state| state.serving.versions().contains(&number)) {
                    " " span.tag.live { (Escaped(state.label.as_str())) }
                    @if matter.backs.contains(state.label.as_str()) {
                        " "
                        a.back href=(back_path(name, state.label.as_str())) {
                            "Roll back" span.hidden { " " (Escaped(state.label.as_str())) }
                        }
                    }
                }
            }
            @if let Some(version) = matter.choices.versions.get(&number) {
                p.message {
                    q { (Escaped(&version.message)) } " "
                    span.quiet { (Escaped(&version.author)) ", " (when(version.created, frame.now)) }
                }
            }
        }
    }
}

fn pickers(matter: &ComparedVersions) -> Markup {
    let (from, to) = (&matter.asked.0, &matter.asked.1);
    let back = path(matter.answer.name.as_str(), (to, from), matter.layout, matter.context);
    html! {
        form.filters {
            (picker("From", "from", from, matter.answer.from, &matter.choices))
            (picker("To", "to", to, matter.answer.to, &matter.choices))
            @if matter.layout == Layout::Split { (hidden("view", "split")) }
            @if matter.context == Context::Whole { (hidden("context", "all")) }
            button type="submit" { "Compare" }
            a.clear href=(back) { "Swap" }
            @if matter.choices.older {
                p.quiet.clear { "For older versions, edit " code { "from" } " and " code { "to" } " in the URL." }
            }
        }
    }
}

fn picker(heading: &str, field: &str, asked: &str, number: u64, choices: &Choices) -> Markup {
    let is_label = choices.labels.iter().any(|state| state.label.as_str() == asked) || asked == "latest";
    html! {
        label {
            span { (heading) }
            select.choice name=(field) {
                optgroup label="What a label serves" {
                    @for state in &choices.labels {
                        @let label = state.label.as_str();
                        option value=(label) selected[label == asked] {
                            (plain(label)) " (" (plain(&serves(state))) ")"
                        }
                    }
                    option value="latest" selected[asked == "latest"] { "latest" }
                }
                optgroup label="Versions" {
                    @for version in choices.versions.values().rev() {
                        option value=(version.number) selected[!is_label && version.number == number] {
                            "v" (version.number) " · " (start_of(&version.message, MESSAGE_WIDTH))
                        }
                    }
                }
            }
        }
    }
}

fn serves(state: &LabelState) -> String {
    let versions: Vec<String> = state.serving.versions().iter().map(|number| format!("v{number}")).collect();
    versions.join(", ")
}

/// All differences, each part under a heading.
pub(super) fn changes(diff: &Diff, heading: fn(&str) -> Markup) -> Markup {
    parts(diff, Context::Around, &mut Lines::new(Layout::Unified, ("", "")), heading)
}

fn parts(diff: &Diff, context: Context, lines: &mut Lines<'_>, heading: fn(&str) -> Markup) -> Markup {
    if diff.is_empty() {
        return empty("No difference", "These versions are identical.");
    }
    let mut comparison = Comparison::new(context);
    let values = [
        ("Model", &diff.model),
        ("Tools", &diff.tools),
        ("Response", &diff.response_schema),
        ("Configuration", &diff.config),
    ];
    html! {
        @if let Some(syntax) = &diff.syntax {
            @let name = |syntax| format!("{syntax:?}").to_lowercase();
            section {
                (heading("Syntax"))
                p {
                    span.hidden { "Removed: " } del { (name(syntax.before)) } " " span.hidden { "Added: " }
                    ins { (name(syntax.after)) }
                }
            }
        }
        @if let Some(text) = &diff.text { section { (heading("Text")) (lines.show("text", text)) } }
        @for message in &diff.messages {
            section { (heading(&place(message))) (lines.show(&place(message), &message.unified)) }
        }
        @if !diff.variables.is_empty() {
            section { (heading("Variables")) @for one in &diff.variables { (variable(one, &mut comparison, lines)) } }
        }
        @for (name, change) in values {
            @if let Some(change) = change {
                @let lined = lines_of(&mut comparison, &change.before, &change.after);
                section { (heading(name)) (lines.show(name, &lined)) }
            }
        }
    }
}

/// Two values line by line; an empty one has no lines.
fn lines_of(comparison: &mut Comparison, before: &Value, after: &Value) -> String {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        _ => false,
    };
    let lines = |value: &Value, sign: char| {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        text.lines().map(|line| format!("{sign}{line}\n")).collect::<String>()
    };
    match (is_empty(before), is_empty(after)) {
        (true, false) => lines(after, '+'),
        (false, true) => lines(before, '-'),
        _ => comparison.values(before, after),
    }
}

fn place(message: &MessageChange) -> String {
    let number = |index: usize| index.saturating_add(1);
    match (message.before, message.after) {
        (Some(before), Some(after)) if before == after => format!("Message {}", number(after)),
        (Some(before), Some(after)) => format!("Message {}, which was {}", number(after), number(before)),
        (Some(before), None) => format!("Message {}, removed", number(before)),
        (None, after) => format!("Message {}, new", number(after.unwrap_or_default())),
    }
}

fn variable(change: &VariableChange, comparison: &mut Comparison, lines: &mut Lines<'_>) -> Markup {
    let json = |one: &Option<_>| one.as_ref().and_then(|one| serde_json::to_value(one).ok()).unwrap_or(Value::Null);
    let became = match (&change.before, &change.after) {
        (None, _) => ", new",
        (_, None) => ", removed",
        (Some(_), Some(_)) => "",
    };
    let name = shorten(&change.name, MESSAGE_WIDTH);
    html! {
        p { var { (Escaped(&name)) } (became) }
        (lines.show(&format!("variable {name}"), &lines_of(comparison, &json(&change.before), &json(&change.after))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::governance::diff::diff;
    use crate::layout::{Who, sample};
    use crate::model::content::Content;

    fn matter(before: &str, after: &str) -> ComparedVersions {
        let content = |json: &str| -> Content { serde_json::from_str(json).expect("a content") };
        let diff = diff(&content(before), &content(after));
        let version = |number: u64, message: &str| {
            let version = serde_json::json!({"number": number, "content_id": format!("b3:{}", "0".repeat(64)), "semver": "1.0.0",
                "author": "ann", "message": message, "created": "2026-03-01T00:00:00Z", "commit": number});
            (number, serde_json::from_value(version).expect("a version"))
        };
        let state = serde_json::json!({"label": "production", "serving": {"version": 1}, "deployment": 4, "since": "2026-03-01T00:00:00Z"});
        ComparedVersions {
            answer: DiffAnswer { name: "a<b>".parse().expect("a name"), from: 1, to: 2, diff },
            asked: ("production".to_owned(), "2".to_owned()),
            backs: BTreeSet::from(["production".to_owned()]),
            choices: Choices {
                labels: vec![serde_json::from_value(state).expect("a state")],
                versions: [version(1, "why <i>\u{202e}"), version(2, "two\nlines")].into(),
                older: false,
            },
            layout: Layout::Unified,
            context: Context::Around,
        }
    }

    fn shown(before: &str, after: &str) -> String {
        page(&sample(Who::Local), &matter(before, after))
    }

    #[test]
    fn changed_words_are_marked_within_lines() {
        let page = shown(
            r#"{"syntax":"plain","text":"one\nHelp the <b>customers</b> of Globe today.\nend"}"#,
            r#"{"syntax":"plain","text":"one\nHelp the <b>customers</b> of Acme today.\nend"}"#,
        );
        for part in ["Help the &lt;b&gt;customers&lt;/b&gt; of ", "<del>Globe</del>", "<ins>Acme</ins>", "Removed: "] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(!page.contains("No newline"), "{page}");
    }

    #[test]
    fn other_lines_are_marked_whole_and_everything_that_changed_is_named() {
        let page = shown(
            r#"{"syntax":"plain","messages":[{"role":"user","content":"abc def"}]}"#,
            r#"{"syntax":"mustache","messages":[{"role":"user","content":"xyz"},{"role":"tool","content":"new"}],
            "variables":[{"name":"v"}],"model":{"name":"<m>"}}"#,
        );
        for part in ["Message 1", "Message 2, new", "Variables", "Model", "&lt;m&gt;", "<del>plain</del>"] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(!page.contains("<ins>xyz"), "{page}");
        let same = r#"{"syntax":"plain","text":"a"}"#;
        assert!(shown(same, same).contains("No difference"));
    }

    #[test]
    fn comparison_is_chosen_from_labels_and_versions() {
        let mut matter = matter(r#"{"syntax":"plain","text":"a b"}"#, r#"{"syntax":"plain","text":"a c"}"#);
        let unified = page(&sample(Who::Local), &matter);
        for part in [
            "From production <span class=\"quiet\">(v1)</span> to v2",
            "<option value=\"production\" selected>production (v1)</option>",
            "v1 · why &lt;i&gt;\u{fffd}</option>",
            "<option value=\"2\" selected>v2 · two</option>",
            "href=\"/ui/diff/a%3Cb%3E?from=production&amp;to=2&amp;view=split\"",
            "href=\"/ui/diff/a%3Cb%3E?from=2&amp;to=production\"",
            "href=\"/ui/diff/a%3Cb%3E?from=production&amp;to=2&amp;context=all\"",
        ] {
            assert!(unified.contains(part), "{part} in {unified}");
        }
        assert!(!unified.contains("<table"), "{unified}");
        matter.layout = Layout::Split;
        let split = page(&sample(Who::Local), &matter);
        for part in ["Before: v1", "a <del>b</del>", "a <ins>c</ins>", "type=\"hidden\" name=\"view\" value=\"split\""]
        {
            assert!(split.contains(part), "{part} in {split}");
        }
    }
}
