//! One recorded response: which version produced it, what that took, how good it was, and what else happened around it.

use maud::{Markup, html};

use super::conversation::{conversation, json};
use super::diff::changes;
use super::responses::{in_order, named, older, scores, version_path};
use super::serving;
use crate::api::read::{DiffAnswer, VersionView};
use crate::api::telemetry::{ProducedBy, RecordedResponse};
use crate::figures::{UNKNOWN, duration};
use crate::form::session;
use crate::format::{Escaped, counted, moment, sentence, when};
use crate::layout::{Frame, Page, Part, diff_path, path_about, request_path, response_path, session_path};
use crate::model::content::{Content, Syntax};
use crate::model::deployment::Deployment;
use crate::template::extract::{Extracted, extract};
use crate::traced::{self, cost_source, failure, other_model};

/// The contents of the page.
#[derive(Clone, Debug)]
pub struct ResponsePageData {
    /// The response.
    pub response: RecordedResponse,
    /// The others of its trace, oldest first.
    pub others: Vec<RecordedResponse>,
    /// Whether the trace has older responses, which are not among them.
    pub truncated: bool,
    /// The version that produced it; none if that is not known, or its content is gone.
    pub version: Option<VersionView>,
    /// What differs from the version before.
    pub changes: Option<DiffAnswer>,
}

/// Renders the page.
#[must_use]
pub fn page(frame: &Frame, data: &ResponsePageData) -> String {
    let one = &data.response;
    let id = one.address().unwrap_or_else(|| "without an ID".to_owned());
    let main = html! {
        div.head {
            h1 { "Response" }
            p.quiet { code.id { (Escaped(&id)) } " " (when(one.ended, frame.now)) }
        }
        (facts(frame, one))
        @if !one.scores.is_empty() {
            section aria-labelledby="scores" { h2 #scores { "Scores" } (scores(frame, &one.scores)) }
        }
        @if one.input.is_some() || one.output.is_some() {
            section aria-labelledby="content" {
                h2 #content { "Recorded content" }
                @if let Some(input) = &one.input { (json("Input", input)) }
                @if let Some(output) = &one.output { (json("Output", output)) }
                (keep(frame, one, &id, data.version.as_ref()))
            }
        }
        @if let Some(by) = &one.version { (version(data, by)) }
        @if !data.others.is_empty() {
            section aria-labelledby="trace" {
                h2 #trace { "In the same trace" }
                (older(data.truncated))
                (in_order(&whole_trace(data), Some(&id)))
            }
        }
    };
    let above = [("Usage", "/ui/usage".to_owned())];
    let title = format!("Response {id}");
    frame.page_of(Part::Usage, &Page { title: &title, above: &above, done: None, searches: false, main })
}

/// The form that keeps what the user said as a case of a suite.
fn keep(frame: &Frame, one: &RecordedResponse, id: &str, version: Option<&VersionView>) -> Markup {
    let Some((form, input)) = frame.form().zip(one.input.as_ref()).filter(|_| one.version.is_some()) else {
        return html! {};
    };
    let sent = input.as_array().map(Vec::as_slice).unwrap_or_default();
    let content = version.map_or_else(|| Content::text(Syntax::Plain, ""), |version| version.content.clone());
    let Extracted { variables, messages, .. } = extract(&content, sent);
    html! {
        details {
            summary { "This went wrong: keep it as a case" }
            form.stack method="post" action=(response_path(id)) {
                (session(form))
                p.quiet {
                    (counted(u64::try_from(messages.len()).unwrap_or(u64::MAX), "message"))
                    " after the prompt: the input of the case."
                    @if !content.variables.is_empty() {
                        " The values of the variables are read from what was sent: check them, and fill in the rest."
                    }
                }
                @for variable in &content.variables {
                    @let id = format!("var.{}", variable.name);
                    label for=(id) {
                        code { (Escaped(&variable.name)) }
                        @if variable.required { " " span.quiet { "required, unless the suite sets it" } }
                    }
                    textarea id=(id) name=(id) rows="2" {
                        // The first line break in a field is left out by browsers.
                        "\n" (Escaped(variables.get(&variable.name).map_or("", String::as_str)))
                    }
                }
                label for="keep-suite" { "Suite" }
                input #keep-suite name="suite" required maxlength="64" autocomplete="off" spellcheck="false"
                    placeholder="regress";
                label for="keep-name" { "Name of the case" }
                input #keep-name name="name" required maxlength="200" autocomplete="off";
                label for="keep-contains" { "A text that the answer must contain" }
                input #keep-contains name="contains" maxlength="1000" autocomplete="off";
                label for="keep-expected" { "Or the expected answer" }
                textarea #keep-expected name="expected" rows="3" {}
                button type="submit" { "Keep" }
            }
        }
    }
}

/// The response among the others, oldest first.
fn whole_trace(data: &ResponsePageData) -> Vec<&RecordedResponse> {
    let mut all: Vec<&RecordedResponse> = data.others.iter().chain([&data.response]).collect();
    all.sort_by_key(|one| one.ended);
    all
}

fn facts(frame: &Frame, one: &RecordedResponse) -> Markup {
    let fact = |name: &str, value: Markup| html! { dt { (name) } dd { (value) } };
    let optional = |name: &str, text: &Option<String>| {
        html! { @if let Some(text) = text { (fact(name, html! { (Escaped(text)) })) } }
    };
    html! {
        dl.pairs {
            (fact("Prompt", prompt(one)))
            @for deployment in &one.deployments { (fact("Deployment", deployed(frame, deployment))) }
            @if one.deployments.is_empty() && one.version.is_some() {
                (fact("Deployment", html! { span.quiet { "no label served this version at that time" } }))
            }
            (fact("Model", model(one)))
            (optional("Provider", &one.provider))
            (optional("Service tier", &one.service_tier))
            (fact("Tokens", html! { (traced::tokens(one)) }))
            (fact("Cost", html! {
                @if let Some(cost) = one.cost_usd { "$" (cost) } @else { "unknown" }
                @if let Some(source) = cost_source(one) { " " span.quiet { (Escaped(&source)) } }
            }))
            (fact("Latency", html! {
                (duration(one.latency_ms))
                @if one.first_token_ms.is_some() {
                    " " span.quiet { "first token after " (duration(one.first_token_ms)) }
                }
            }))
            @if let Some(error) = &one.error { (fact("Error", html! { span.tag.high { (Escaped(error)) } })) }
            @if let Some(session) = &one.session {
                (fact("Session", html! { a href=(session_path(session)) { (Escaped(session)) } }))
            }
            (optional("User", &one.user))
            (optional("Environment", &one.environment))
            @if let Some(trace) = &one.trace_id {
                (fact("Trace", html! { a.id href=(response_path(trace)) { (Escaped(trace)) } }))
            }
            (fact("Completed", html! { (moment(one.ended)) " UTC" }))
        }
    }
}

fn prompt(one: &RecordedResponse) -> Markup {
    let Some(by) = &one.version else {
        let said = [&one.reported.stamp, &one.reported.prompt].into_iter().flatten().next();
        return html! {
            (sentence(one.unattributed.map_or("unknown", failure)))
            @if let Some(said) = said { " Reported: " code { (Escaped(said)) } }
        };
    };
    html! {
        (named(by))
        @if let Some(label) = &by.label { " " span.tag.live { (Escaped(label.as_str())) } }
        " "
        span.quiet {
            @if let Some(rule) = by.rule { "rule " (rule.saturating_add(1)) ", " }
            @if let Some(bucket) = by.bucket { "slot " (bucket) " of the split, " }
            "found " (traced::found_by(by.found_by))
        }
        " " code.stamp { (Escaped(&by.stamp)) }
    }
}

/// The model that answered, the one that was requested, and that of the version, where they differ.
fn model(one: &RecordedResponse) -> Markup {
    let used = one.model.as_deref().or(one.model_requested.as_deref());
    let requested = one.model_requested.as_deref().filter(|requested| Some(*requested) != used);
    html! {
        @if let Some(used) = used { (Escaped(used)) } @else { (UNKNOWN) }
        @if let Some(requested) = requested { " " span.quiet { "requested " (Escaped(requested)) } }
        @if let Some(named) = other_model(one) {
            " " span.tag.medium { "The version names " (Escaped(named)) }
        }
    }
}

fn deployed(frame: &Frame, deployment: &Deployment) -> Markup {
    let Deployment { name, label, at, actor, message, action, approved_by, change_request, .. } = deployment;
    html! {
        a href=(path_about("prompts", name.as_str(), &[("at", &at.to_string())])) {
            (action) " to " (Escaped(label.as_str()))
        }
        @if let Some(to) = &deployment.to { " " (serving::brief(to)) }
        " by " (Escaped(actor)) ", " (when(*at, frame.now)) ": " q { (Escaped(message)) }
        @if !approved_by.is_empty() { " Approved by " (Escaped(&approved_by.join(", "))) "." }
        @if let Some(id) = change_request { " " a href=(request_path(*id)) { "Change request " (id) } }
    }
}

/// The text of the version, and what it changed.
fn version(data: &ResponsePageData, by: &ProducedBy) -> Markup {
    html! {
        section aria-labelledby="text" {
            h2 #text { "Text of " a href=(version_path(by)) { "v" (by.version) } }
            @if let Some(view) = &data.version {
                @let version = &view.version;
                p.message { q { (Escaped(&version.message)) } " " span.quiet { (Escaped(&version.author)) } }
                (conversation(&view.content))
            } @else { p.quiet { "The content of this version was deleted." } }
        }
        @if let Some(answer) = &data.changes {
            section aria-labelledby="changes" {
                @let path = diff_path(by.prompt.as_str(), answer.from, answer.to);
                h2 #changes { "Changes since " a href=(path) { "v" (answer.from) } }
                (changes(&answer.diff, |name| html! { h3 { (name) } }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::layout::{Who, sample};

    fn recorded(id: &str, more: &Value) -> RecordedResponse {
        let mut whole = json!({"id": id, "ended": "2026-03-20T15:00:00Z", "reported": {}, "deployments": [],
            "scores": [], "trace_id": "5b8efff798038103d269b633813fc60c", "span_id": "00f067aa0ba902b7"});
        whole.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        serde_json::from_value(whole).expect("a response")
    }

    fn data() -> ResponsePageData {
        let content_id = format!("b3:{}", "0".repeat(64));
        let by = json!({"prompt": "a<b>", "version": 2, "content_id": content_id, "stamp": "a<b>@2+000000000000",
            "label": "production", "bucket": 42, "found_by": "stamp"});
        let deployment = json!({"id": 9, "name": "a<b>", "label": "production", "at": "2026-03-19T15:00:00Z",
            "actor": "ann<i>", "message": "because <i>", "action": "deploy", "from": {"version": 1},
            "to": {"version": 2}, "approved_by": ["cleo"], "change_request": 7});
        let response = json!({"version": by, "deployments": [deployment], "model": "gpt-5",
            "model_of_version": "gpt-4o", "session": "s/<i>", "cost_usd": "0.0123", "cost_source": "reported",
            "error": "<i>", "output": "<i>said",
            "scores": [{"name": "<i>", "value": 0.5, "about": "session", "at": "2026-03-20T15:00:00Z"}]});
        let view = json!({"number": 2, "content_id": content_id, "semver": "1.0.0", "author": "ann", "message": "why",
            "created": "2026-03-01T00:00:00Z", "commit": 2, "stamp": "a<b>@2+000000000000",
            "content": {"syntax": "plain", "text": "one<i>\ntwo\n"}});
        ResponsePageData {
            response: recorded("r<i>", &response),
            others: vec![recorded("r-0", &json!({"ended": "2026-03-20T14:59:00Z"}))],
            truncated: false,
            version: Some(serde_json::from_value(view).expect("a version")),
            changes: None,
        }
    }

    #[test]
    fn page_shows_what_is_known_of_a_response_without_markup_of_others() {
        let html = page(&sample(Who::Local), &data());
        for part in [
            "href=\"/ui/prompts/a%3Cb%3E?version=2\"",
            "The version names gpt-4o",
            "slot 42 of the split",
            "$0.0123",
            "href=\"/ui/sessions/s%2F%3Ci%3E\"",
            "href=\"/ui/review/7\"",
            "Approved by cleo",
            "one&lt;i&gt;",
            "the session",
            "href=\"/ui/responses/r-0\"",
            "aria-current=\"true\"",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert!(!html.contains("<i>"), "{html}");
        assert!(html.find("r-0").expect("the other") < html.find("id=\"trace\"").expect("a heading") + 2_000);
    }

    #[test]
    fn page_of_an_unattributed_response_says_why_and_what_was_reported() {
        let mut data = data();
        data.response = recorded("r", &json!({"unattributed": "unknown_prompt", "reported": {"prompt": "no/<i>"}}));
        data.version = None;
        let html = page(&sample(Who::Local), &data);
        assert!(html.contains("Unknown: there is no prompt of the reported name.") && html.contains("no/&lt;i&gt;"));
        assert!(!html.contains("id=\"text\"") && html.contains("unknown</dd>"), "{html}");
    }
}
