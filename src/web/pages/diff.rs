//! What differs between two versions: lines with signs, words marked within them.

use maud::{Markup, html};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::api::read::DiffAnswer;
use crate::governance::diff::{Diff, MessageChange, ValueChange, VariableChange};
use crate::web::layout::{Frame, Page, empty, prompt_path};
use crate::web::words::Visible;

/// Longest line whose words are compared, in bytes: longer ones are marked whole.
const LINE_BYTES_MAX: usize = 4_000;
/// Words of two lines that have to be the same before the others are marked; below it, everything is another line.
const ALIKE: f32 = 0.3;
/// Most pairs of lines whose words are compared.
const PAIRS_MAX: usize = 2_000;
/// What stands in a unified text where a line has no end.
const NO_END: &str = "\\ No newline at end of text";

/// Writes the page.
#[must_use]
pub fn page(frame: &Frame, answer: &DiffAnswer, latest: u64) -> String {
    let name = answer.name.as_str();
    let above = [("Prompts", "/ui/".to_owned()), (name, prompt_path(name))];
    let title = format!("v{} and v{}", answer.from, answer.to);
    let main = html! {
        div.head {
            h1 { "From v" (answer.from) " to v" (answer.to) }
            form.filters {
                label { span { "From" } input type="number" name="from" min="1" max=(latest) value=(answer.from) required; }
                label { span { "To" } input type="number" name="to" min="1" max=(latest) value=(answer.to) required; }
                button type="submit" { "Compare" }
            }
        }
        (changes(&answer.diff, |name| html! { h2 { (name) } }))
    };
    frame.page(&Page { title: &format!("{title} of {name}"), above: &above, done: None, search: "", main })
}

/// Everything that differs, each part under a heading.
pub(super) fn changes(diff: &Diff, heading: fn(&str) -> Markup) -> Markup {
    if diff.is_empty() {
        return empty("No difference", "Both versions say the same, to the letter.");
    }
    let mut words = Words { left: PAIRS_MAX };
    html! {
        @if let Some(syntax) = &diff.syntax {
            section { (heading("Syntax")) p { del { (format!("{:?}", syntax.before).to_lowercase()) } " " ins { (format!("{:?}", syntax.after).to_lowercase()) } } }
        }
        @if let Some(text) = &diff.text { section { (heading("Text")) (unified(text, &mut words)) } }
        @for message in &diff.messages { section { (heading(&place(message))) (unified(&message.unified, &mut words)) } }
        @if !diff.variables.is_empty() {
            section { (heading("Variables")) @for one in &diff.variables { (variable(one)) } }
        }
        @for (name, change) in [("Model", &diff.model), ("Tools", &diff.tools), ("Response", &diff.response_schema), ("Configuration", &diff.config)] {
            @if let Some(change) = change { section { (heading(name)) (value(change, &mut words)) } }
        }
    }
}

fn place(message: &MessageChange) -> String {
    let number = |index: usize| index.saturating_add(1);
    match (message.before, message.after) {
        (Some(before), Some(after)) if before == after => format!("Message {}", number(after)),
        (Some(before), Some(after)) => format!("Message {}, which was {}", number(after), number(before)),
        (Some(before), None) => format!("Message {}, taken out", number(before)),
        (None, after) => format!("Message {}, new", number(after.unwrap_or_default())),
    }
}

fn variable(change: &VariableChange) -> Markup {
    let json = |one: &Option<_>| one.as_ref().and_then(|one| serde_json::to_string(one).ok()).unwrap_or_default();
    html! {
        div.diff {
            @if change.before.is_some() { (line("old", "−", &html! { (Visible(&json(&change.before))) })) }
            @if change.after.is_some() { (line("new", "+", &html! { (Visible(&json(&change.after))) })) }
        }
    }
}

fn value(change: &ValueChange, words: &mut Words) -> Markup {
    let pretty = |value: &Value| match value {
        Value::Null => String::new(),
        value => serde_json::to_string_pretty(value).unwrap_or_default() + "\n",
    };
    let (before, after) = (pretty(&change.before), pretty(&change.after));
    let text: String = TextDiff::from_lines(&before, &after).unified_diff().context_radius(3).to_string();
    unified(&text, words)
}

/// How many pairs of lines are still compared by words.
struct Words {
    left: usize,
}

/// Lines of a unified text, with a sign before each; neighbours that replace each other have their words marked.
fn unified(text: &str, words: &mut Words) -> Markup {
    let lines: Vec<&str> = text.lines().filter(|line| *line != NO_END).collect();
    let mut shown: Vec<Markup> = Vec::new();
    let mut rest = lines.as_slice();
    while let Some((first, behind)) = rest.split_first() {
        let (sign, said) = first.split_at_checked(1).unwrap_or((" ", ""));
        if sign != "-" && sign != "+" {
            shown.push(match sign {
                "@" => html! { div.hunk { (Visible(first)) } },
                _ => line("same", " ", &html! { (Visible(said)) }),
            });
            rest = behind;
            continue;
        }
        let (old, behind) = run(rest, '-');
        let (new, behind) = run(behind, '+');
        rest = behind;
        let pairs: Vec<Option<(Markup, Markup)>> =
            old.iter().zip(&new).map(|(old, new)| words.compare(old, new)).collect();
        let marked = |index: usize| pairs.get(index).and_then(Option::as_ref);
        for (index, said) in old.iter().enumerate() {
            let said = marked(index).map_or_else(|| html! { (Visible(said)) }, |(old, _)| old.clone());
            shown.push(line("old", "−", &said));
        }
        for (index, said) in new.iter().enumerate() {
            let said = marked(index).map_or_else(|| html! { (Visible(said)) }, |(_, new)| new.clone());
            shown.push(line("new", "+", &said));
        }
    }
    html! { div.diff tabindex="0" role="group" aria-label="Changed lines" { @for one in shown { (one) } } }
}

/// The lines at the start that have a sign, without it, and those behind.
fn run<'l, 't>(lines: &'l [&'t str], sign: char) -> (Vec<&'t str>, &'l [&'t str]) {
    let end = lines.iter().position(|line| !line.starts_with(sign)).unwrap_or(lines.len());
    let (run, behind) = lines.split_at_checked(end).unwrap_or((lines, &[]));
    (run.iter().filter_map(|line| line.strip_prefix(sign)).collect(), behind)
}

fn line(class: &str, sign: &str, said: &Markup) -> Markup {
    let word = match class {
        "old" => "Removed: ",
        "new" => "Added: ",
        _ => "",
    };
    html! {
        div class={ "line " (class) } {
            span.sign aria-hidden="true" { (sign) }
            @if !word.is_empty() { span.hidden { (word) } }
            span.say { (said) }
        }
    }
}

impl Words {
    /// Two lines with the words marked that differ; none where they have too little in common.
    fn compare(&mut self, old: &str, new: &str) -> Option<(Markup, Markup)> {
        if old.len().max(new.len()) > LINE_BYTES_MAX {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        let diff = TextDiff::from_words(old, new);
        if diff.ratio() < ALIKE {
            return None;
        }
        let side = |own: ChangeTag| {
            let mut runs: Vec<(ChangeTag, String)> = Vec::new();
            for change in diff.iter_all_changes().filter(|one| one.tag() == own || one.tag() == ChangeTag::Equal) {
                match runs.last_mut().filter(|(tag, _)| *tag == change.tag()) {
                    Some((_, run)) => run.push_str(change.value()),
                    None => runs.push((change.tag(), change.value().to_owned())),
                }
            }
            html! {
                @for (tag, run) in &runs {
                    @match tag {
                        ChangeTag::Equal => (Visible(run)),
                        ChangeTag::Delete => del { (Visible(run)) },
                        ChangeTag::Insert => ins { (Visible(run)) },
                    }
                }
            }
        };
        Some((side(ChangeTag::Delete), side(ChangeTag::Insert)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::governance::diff::diff;
    use crate::model::content::Content;
    use crate::web::layout::{Who, sample};

    fn shown(before: &str, after: &str) -> String {
        let content = |json: &str| -> Content { serde_json::from_str(json).expect("a content") };
        let diff = diff(&content(before), &content(after));
        let answer = DiffAnswer { name: "a<b>".parse().expect("a name"), from: 1, to: 2, diff };
        page(&sample(Who::Local), &answer, 2)
    }

    #[test]
    fn words_that_changed_are_marked_within_their_lines() {
        let page = shown(
            r#"{"syntax":"plain","text":"one\nHelp the <b>customers</b> of Globe today.\nend"}"#,
            r#"{"syntax":"plain","text":"one\nHelp the <b>customers</b> of Acme today.\nend"}"#,
        );
        for part in [
            "Help the &lt;b&gt;customers&lt;/b&gt; of ",
            "<del>Globe</del>",
            "<ins>Acme</ins>",
            "<div class=\"hunk\">@@ -1,3 +1,3 @@</div>",
            "Removed: ",
        ] {
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
}
