//! The fields of the editor: texts and messages with remarks beside them, variables with samples, model, tools, schema
//! and configuration.

use maud::{Markup, html};

use super::editor_data::EditorPageData;
use super::impact;
use crate::format::{Escaped, with_code};
use crate::model::content::{Role, Syntax};
use crate::model::warning::Warning;
use crate::typed::content::{
    EmptyMessageForm, ROLES, SYNTAXES, TYPES, TypedBody, TypedMessage, TypedPart, TypedPartKind, TypedVariable,
};

/// Fewest and most lines that a field shows before it scrolls.
const ROWS: (usize, usize) = (3, 28);
/// Approximate characters per line; longer ones wrap.
const LINE_LETTERS: usize = 90;
/// Characters of a line that a remark quotes.
const QUOTED_LETTERS: usize = 80;

/// All fields of a draft's content.
pub(super) fn content(matter: &EditorPageData) -> Markup {
    let typed = &matter.typed;
    html! {
        div.filters {
            label {
                span { "Template syntax" }
                select name="syntax" {
                    @for (word, syntax) in SYNTAXES { option value=(word) selected[syntax == typed.syntax] { (word) } }
                }
            }
            @match &typed.body {
                TypedBody::Text(_) => (act("chat", "Convert to chat")),
                body @ TypedBody::Messages(_) => {
                    @if body.only_text().is_some() { (act("text", "Convert to text")) }
                },
            }
        }
        p.quiet { (syntax_told(typed.syntax)) }
        (body(matter))
        (variables(matter))
        (more(matter))
    }
}

const fn syntax_told(syntax: Syntax) -> &'static str {
    match syntax {
        Syntax::Mustache => "{{name}} is a variable; {{> shared/tone@3}} includes another prompt.",
        Syntax::Jinja => {
            "{{ name }} is a variable, {% if … %} a condition, {% include \"shared/tone@3\" %} another prompt."
        }
        Syntax::Plain => "Plain text. Braces are not interpreted.",
    }
}

/// A button that changes the form and saves it.
fn act(value: &str, words: &str) -> Markup {
    html! { button type="submit" name="do" value=(value) formnovalidate { (words) } }
}

fn body(matter: &EditorPageData) -> Markup {
    match &matter.typed.body {
        TypedBody::Text(text) => html! {
            section.stack {
                h2 { label for="text" { "Text" } }
                (area("text", "text", text, true))
                (beside(matter, "text", 1, "text", text))
            }
        },
        TypedBody::Messages(messages) => {
            // Texts are counted from 1 across all messages, as in warnings.
            let texts = |one: &TypedMessage| {
                if one.role.is_some() { one.parts.iter().filter(|part| part.is_template()).count() } else { 0 }
            };
            let first = |number: usize| 1 + messages.iter().take(number).map(texts).sum::<usize>();
            html! {
                section.stack aria-labelledby="messages-head" {
                    h2 #messages-head { "Messages" }
                    @if messages.is_empty() { p.quiet { "No message yet." } }
                    ol.messages {
                        @for (number, one) in messages.iter().enumerate() {
                            li { (message(matter, number, messages.len(), one, first(number))) }
                        }
                    }
                    div.inline role="group" aria-label="Add" {
                        (act("add-system", "Add system")) (act("add-user", "Add user"))
                        (act("add-assistant", "Add assistant"))
                        (act("example", "Add example")) (act("add-placeholder", "Add placeholder"))
                        (act("add-tool", "Add tool"))
                    }
                }
            }
        }
    }
}

fn message(matter: &EditorPageData, number: usize, count: usize, one: &TypedMessage, first_text: usize) -> Markup {
    let shown = number + 1;
    let field = |end: &str| format!("m{number}.{end}");
    let target = format!("messages[{number}]");
    let (name_label, example) = match one.role {
        Some(_) => ("Speaker’s name in message ", "Name (optional)"),
        None => ("Name of placeholder ", "history"),
    };
    html! {
        fieldset.said #{ "m" (number) } {
            legend.hidden { "Message " (shown) }
            div.head {
                label { span.hidden { "Role of message " (shown) } select name=(field("role")) {
                    @for (word, role) in ROLES { option value=(word) selected[role == one.role] { (word) } }
                } }
                label {
                    span.hidden { (name_label) (shown) }
                    input name=(field("name")) value=(one.name) maxlength="200" autocomplete="off" spellcheck="false"
                        placeholder=(example) required[one.role.is_none()];
                }
                div.inline.order {
                    (order_button("up", number, number == 0, &format!("Move message {shown} up"), "↑"))
                    (order_button("down", number, shown == count, &format!("Move message {shown} down"), "↓"))
                    (order_button("remove", number, false, &format!("Remove message {shown}"), "✕"))
                }
            }
            @if one.role.is_none() {
                p.quiet { "The caller’s messages are inserted here." }
                @for (index, part) in one.parts.iter().enumerate() {
                    input type="hidden" name=(field(&format!("p{index}.text"))) value=(part.text);
                }
            } @else {
                @if one.listed { input type="hidden" name=(field("listed")) value="yes"; }
                @if let Some(unsaid) = one.unsaid {
                    input type="hidden" name=(field("unsaid"))
                        value=(if unsaid == EmptyMessageForm::Null { "null" } else { "absent" });
                    p.quiet { "No text, only the fields below." }
                }
                @if !one.order.is_empty() { input type="hidden" name=(field("order")) value=(one.order); }
                @for (index, part) in one.parts.iter().enumerate() {
                    (said(
                        matter,
                        (number, index),
                        part,
                        first_text + before(one, index),
                        &part_target(one, &target, index),
                    ))
                }
                (calls(matter, number, one))
            }
        }
    }
}

fn order_button(verb: &str, number: usize, disabled: bool, says: &str, sign: &str) -> Markup {
    html! {
        button type="submit" name="do" value={ (verb) "-" (number) } formnovalidate disabled[disabled] aria-label=(says)
            {
            (sign)
        }
    }
}

/// Number of texts in a message before one of its parts.
fn before(one: &TypedMessage, index: usize) -> usize {
    one.parts.iter().take(index).filter(|part| part.is_template()).count()
}

/// The name of a message part in findings.
fn part_target(one: &TypedMessage, message: &str, index: usize) -> String {
    if one.listed { format!("{message}.content[{index}]") } else { message.to_owned() }
}

fn said(
    matter: &EditorPageData,
    (number, index): (usize, usize),
    part: &TypedPart,
    text: usize,
    target: &str,
) -> Markup {
    let id = format!("m{number}-p{index}");
    html! {
        @match part.kind {
            TypedPartKind::Image => {
                label for=(id) { "Image at" }
                (line(Some(&id), &format!("m{number}.p{index}.url"), &part.text, ""))
            }
            TypedPartKind::Text => {
                label.hidden for=(id) { "Text of message " (number + 1) }
                (area(&id, &format!("m{number}.p{index}.text"), &part.text, true))
            }
            TypedPartKind::Other => {
                label for=(id) { "Part of the message, as a JSON object" }
                (area(&id, &format!("m{number}.p{index}.json"), &part.text, false))
                (complaint(matter, &format!("m{number}.p{index}.json")))
            }
        }
        (beside(matter, &id, text, target, &part.text))
    }
}

fn calls(matter: &EditorPageData, number: usize, one: &TypedMessage) -> Markup {
    let field = |end: &str| format!("m{number}.{end}");
    html! {
        @if matches!(one.role, Some(Role::Tool | Role::Function)) || !one.answers.is_empty() {
            label for={ "m" (number) "-answers" } { "Answers the call" }
            input id={ "m" (number) "-answers" } name=(field("answers")) value=(one.answers) maxlength="200"
                autocomplete="off" spellcheck="false";
        }
        @if one.role.is_some_and(Role::is_model) || !one.calls.is_empty() {
            details.json open[!one.calls.is_empty()] {
                summary { "Tool calls" }
                (json_area(matter, &field("calls"), "Tool calls, as a JSON array", &one.calls))
            }
        }
        @if !one.rest.is_empty() || matter.wrong.contains_key(&field("rest")) {
            details.json open {
                summary { "Other fields" }
                (json_area(matter, &field("rest"), "Other fields of the message, as a JSON object", &one.rest))
            }
        }
    }
}

/// Remarks about one text, line by line.
fn beside(matter: &EditorPageData, id: &str, text: usize, target: &str, said: &str) -> Markup {
    let findings = matter.meaning.findings.iter().filter(|one| one.target == target);
    let warnings = matter.meaning.warnings.iter().filter(|one| one.text == text);
    let mut remarks: Vec<(usize, Markup)> = Vec::new();
    remarks.extend(findings.map(|one| (usize::try_from(one.line).unwrap_or(usize::MAX), impact::finding(one, false))));
    remarks.extend(warnings.map(|one| (one.line, warning(one))));
    remarks.sort_by_key(|(line, _)| *line);
    html! {
        ul.remarks id={ "beside-" (id) } data-live {
            @for (line, remark) in &remarks {
                li {
                    a.at href={ "#" (id) } data-line=(line) data-of=(id) { "Line " (line) }
                    @if let Some(quoted) = said.lines().nth(line.saturating_sub(1)) {
                        " " q { (Escaped(&clipped(quoted))) }
                    }
                    " " (remark)
                }
            }
        }
    }
}

fn clipped(line: &str) -> String {
    let line = line.trim();
    if line.chars().count() <= QUOTED_LETTERS {
        return line.to_owned();
    }
    line.chars().take(QUOTED_LETTERS).chain(['…']).collect()
}

fn warning(one: &Warning) -> Markup {
    html! { span.tag.medium { "check" } " " (Escaped(&one.message)) }
}

/// Variables: their declarations and sample values.
fn variables(matter: &EditorPageData) -> Markup {
    let placeholders = matter.typed.placeholders();
    html! {
        section.stack #variables data-live aria-labelledby="variables-head" {
            h2 #variables-head { "Variables" }
            @if matter.typed.variables.is_empty() && placeholders.is_empty() {
                p.quiet { "No variables." }
            }
            @for (number, (name, one)) in matter.typed.variables.iter().enumerate() {
                (variable(number, name, one, matter.samples.get(name).map_or("", String::as_str)))
            }
            @for name in placeholders {
                div.variable {
                    label for={ "sample-" (name) } {
                        "Test value for the placeholder " code { (Escaped(name)) } " "
                        span.quiet { "(messages as a JSON array)" }
                    }
                    textarea.code id={ "sample-" (name) } name={ "p." (name) } rows="3" spellcheck="false" {
                        "\n" (matter.samples.get(name).map_or("", String::as_str))
                    }
                }
            }
        }
    }
}

fn variable(number: usize, name: &str, one: &TypedVariable, sample: &str) -> Markup {
    let field = |end: &str| format!("v{number}.{end}");
    html! {
        fieldset.variable {
            legend { var { (Escaped(name)) } @if !one.used { " " span.quiet { "unused" } } }
            input type="hidden" name=(field("name")) value=(name);
            @if one.declared { input type="hidden" name=(field("declared")) value="yes"; }
            label { span { "Test value" } input name={ "s." (name) } value=(sample) autocomplete="off"; }
            label { span { "Default" } (line(None, &field("default"), &one.default, "none")) }
            label { span { "Description" } (line(None, &field("description"), &one.description, "")) }
            label {
                span { "Type" }
                select name=(field("type")) {
                    @for (word, kind) in TYPES { option value=(word) selected[kind == one.kind] { (word) } }
                }
            }
            label.check {
                input type="checkbox" name=(field("required")) value="yes" checked[one.required]; span { "required" }
            }
            @if !one.used { (act(&format!("forget-{name}"), "Remove")) }
        }
    }
}

/// The remaining fields of the content.
fn more(matter: &EditorPageData) -> Markup {
    let typed = &matter.typed;
    let parts = [&typed.model, &typed.parameters, &typed.tools, &typed.response_schema, &typed.config];
    let open = parts.iter().any(|part| !part.is_empty()) || !matter.wrong.is_empty();
    html! {
        details.more #more open[open] {
            summary { "Model, tools, response and configuration" }
            div.stack {
                label for="model" { "Model" }
                input #model name="model" value=(typed.model) maxlength="200" autocomplete="off" spellcheck="false";
                (complaint(matter, "model"))
                (json_area(matter, "parameters", "Model parameters, as a JSON object", &typed.parameters))
                (json_area(matter, "tools", "Tools, as a JSON array", &typed.tools))
                (json_area(matter, "response_schema", "Response schema, as JSON", &typed.response_schema))
                (json_area(matter, "config", "Configuration, as a JSON object", &typed.config))
            }
        }
    }
}

fn json_area(matter: &EditorPageData, name: &str, words: &str, text: &str) -> Markup {
    let id = name.replace('.', "-");
    html! {
        label for=(id) { (words) }
        (area(&id, name, text, false))
        (complaint(matter, name))
    }
}

fn complaint(matter: &EditorPageData, name: &str) -> Markup {
    let id = format!("wrong-{}", name.replace('.', "-"));
    html! {
        div id=(id) data-live {
            @if let Some(why) = matter.wrong.get(name) { p.note.bad role="alert" { (with_code(why)) } }
        }
    }
}

/// A field for one line, or more if it already has more.
fn line(id: Option<&str>, name: &str, text: &str, nothing: &str) -> Markup {
    html! {
        @if text.contains('\n') { textarea.code id=[id] name=(name) rows="2" spellcheck="false" { "\n" (text) } }
        @else { input id=[id] name=(name) value=(text) placeholder=(nothing) autocomplete="off" spellcheck="false"; }
    }
}

/// A multi-line field; browsers drop the first line break of its content.
fn area(id: &str, name: &str, text: &str, prose: bool) -> Markup {
    let lines: usize = text.lines().map(|line| 1 + line.chars().count() / LINE_LETTERS).sum();
    let rows = lines.clamp(ROWS.0, ROWS.1);
    html! {
        textarea.code[!prose] id=(id) name=(name) rows=(rows) spellcheck=(if prose { "true" } else { "false" }) {
            "\n" (text)
        }
    }
}
