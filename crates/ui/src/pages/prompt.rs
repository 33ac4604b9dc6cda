//! One prompt: what each label serves, a version's content, its history, and its dependents.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::access::policies::NEW as NEW_POLICY;
use super::access::policy_path;
use super::conversation::{conversation, json};
use super::deploy::deploy_path;
use super::editor::edit_path;
use super::gates::{gate_list, new_run_path};
use super::in_code::in_code;
use super::in_use::{InUse, in_use};
use super::lifecycle::{removing, retiring};
use super::playground::playground_path;
use super::{about as said, impact, serving, timeline};
use crate::api::read::{PromptView, VersionView};
use crate::form::{TIME_HINT, hidden, session};
use crate::format::{Escaped, moment, plain, when};
use crate::layout::{Frame, Page, diff_path, empty, path_about, prompt_path, query, request_path};
use crate::model::content::VariableType;
use crate::model::deployment::{Action, Deployment, rollback_target};
use crate::model::evaluation::GateResult;
use crate::model::finding::Finding;
use crate::model::name::PRODUCTION;
use crate::model::prompt::LabelState;
use crate::model::serving::Serving;
use crate::model::time::Timestamp;
use crate::model::version::Version;

/// The contents of the page.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a permission by itself")]
pub struct PromptPageData {
    /// The prompt, its labels and dependents.
    pub view: PromptView,
    /// The shown version, or why there is none.
    pub shown: Result<Box<VersionView>, String>,
    /// Why this version is shown.
    pub why: ShownBecause,
    /// What each label served at the requested time.
    pub at: Option<At>,
    /// All deployments, in any order.
    pub deployments: Vec<Deployment>,
    /// One page of versions, newest first.
    pub versions: Vec<Version>,
    /// The cursor of older versions.
    pub older: Option<String>,
    /// Findings, by version.
    pub findings: BTreeMap<u64, Vec<Finding>>,
    /// Callers of the shown version in the last day; absent on a replica.
    pub used_by: Option<Vec<String>>,
    /// How its versions do in use; absent on a replica, and where telemetry is not recorded.
    pub in_use: Option<InUse>,
    /// What runs decided about the shown version.
    pub gates: Vec<GateResult>,
    /// The suites that policies of its labels demand.
    pub demanded: Vec<String>,
    /// Whether the visitor can run suites with it.
    pub runs: bool,
    /// Its open change requests.
    pub pending: Vec<u64>,
    /// Whether the visitor can write a version of it and open change requests.
    pub publishes: bool,
    /// The labels that they can deploy to.
    pub deploys: BTreeSet<String>,
    /// Whether they can retire versions.
    pub retires: bool,
    /// Whether they can remove it.
    pub removes: bool,
    /// The names of the policies of each label.
    pub policies: BTreeMap<String, Vec<String>>,
    /// Whether they can create policies.
    pub protects: bool,
    /// The progress of the newest deployment, while it is recent.
    pub arriving: Option<Rollout>,
    /// The label to roll back.
    pub back: Option<String>,
    /// A confirmation.
    pub done: Option<&'static str>,
}

/// The progress of a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollout {
    /// Number of replicas that have it.
    pub holding: usize,
    /// Number of recently seen replicas.
    pub known: usize,
    /// Some of those that do not have it yet.
    pub missing: Vec<String>,
}

/// Why a version is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShownBecause {
    /// It was requested.
    Asked,
    /// This label serves it.
    Served(String),
    /// It is the latest.
    Newest,
}

/// What was live at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct At {
    /// The moment.
    pub at: Timestamp,
    /// The labels that served something, with the deployment of each.
    pub served: Vec<Deployment>,
}

/// Renders the page.
pub fn page(frame: &Frame, matter: &PromptPageData) -> String {
    let name = matter.view.prompt.name.as_str();
    let (folder, last) = name.rsplit_once('/').map_or((None, name), |(folder, last)| (Some(folder), last));
    let mut above = vec![("Prompts", "/ui/".to_owned())];
    if let Some(folder) = folder {
        above.push((folder, format!("/ui/{}", query(&[("folder", &format!("{folder}/"))]))));
    }
    let past = html! {
        div #history data-live { @if !matter.deployments.is_empty() { (history(frame, matter)) } }
    };
    let main = html! {
        div.head #head data-live {
            h1 { (Escaped(last)) }
            p.quiet.count {
                "latest v" (matter.view.prompt.latest) " · updated " (when(matter.view.prompt.changed, frame.now))
            }
            @for id in &matter.pending { a.tag.wait href=(request_path(*id)) { "request " (id) " open" } }
            @if frame.form().is_some() {
                div.inline.end {
                    @if matter.publishes {
                        a.button href=(playground_path(&format!("{name}@latest"))) { "Playground" }
                        a.button href=(edit_path(name, "")) { "Edit" }
                    }
                    @if matter.publishes || !matter.deploys.is_empty() {
                        a.button.primary href=(deploy_path(name, "")) { "Deploy" }
                    }
                }
            }
        }
        (said::about(name, matter.view.about.as_ref(), frame.form().filter(|_| matter.publishes)))
        @if let Some(removed) = matter.view.prompt.removed {
            p.note.bad role="note" { "This prompt was removed " (when(removed, frame.now)) ". Its history is kept." }
        }
        div #arriving data-live { @if let Some(arriving) = &matter.arriving { (arrival(arriving)) } }
        @if matter.at.is_some() { (past) }
        section aria-labelledby="live" {
            h2 #live { "Labels" }
            div #lives data-live { (live(frame, matter)) }
        }
        @if let Ok(shown) = &matter.shown { (in_code(&reference(matter, shown.version.number), &shown.content)) }
        div.columns #shown data-live {
            section aria-labelledby="content" { (content(frame, matter)) }
            aside aria-label="About this version" { (about(matter)) }
        }
        @if let Some(data) = &matter.in_use { (in_use(frame, data)) }
        section #all-versions aria-labelledby="versions" data-live {
            h2 #versions { "Versions" }
            (versions(frame, matter))
        }
        @if matter.at.is_none() { (past) }
        @if let Some(form) = frame.form().filter(|_| matter.removes && matter.view.prompt.removed.is_none()) {
            (removing(name, form))
        }
    };
    frame.page(&Page { title: name, above: &above, done: matter.done, searches: false, main })
}

/// The progress of the newest deployment on connected replicas; the page refreshes until all have it.
fn arrival(arriving: &Rollout) -> Markup {
    let Rollout { holding, known, missing } = arriving;
    let again = (holding < known).then_some("1000");
    html! {
        div.note[holding < known].state[holding == known] role="status" data-again=[again] {
            @if holding == known {
                "Live here and on "
                @if *known == 1 { "the connected replica" } @else { "all " (known) " connected replicas" } "."
            }
            @else {
                "Live here and on " b { (holding) " of " (known) } " connected replicas. Waiting for "
                (Escaped(&missing.join(", ")))
                @if known - holding > missing.len() { " and " (known - holding - missing.len()) " more" } ". "
                a href="?" { "Refresh" }
            }
        }
    }
}

/// How callers name the shown version: by the label that serves it, or else by its number.
fn reference(matter: &PromptPageData, number: u64) -> String {
    let selector = match &matter.why {
        ShownBecause::Served(label) => label.clone(),
        ShownBecause::Asked | ShownBecause::Newest => number.to_string(),
    };
    format!("{}@{selector}", matter.view.prompt.name)
}

fn live(frame: &Frame, matter: &PromptPageData) -> Markup {
    let name = matter.view.prompt.name.as_str();
    let version = |number: u64| format!("?version={number}");
    let mut labels: Vec<&LabelState> = matter.view.labels.iter().collect();
    labels.sort_by_key(|state| (state.label.as_str() != PRODUCTION, state.label.as_str()));
    html! {
        @if matter.view.labels.is_empty() {
            p.quiet { "Not deployed to any label. Applications can still request a version by number." }
        } @else {
            ul.lives {
                @for state in labels {
                    // Part of the basis of a decision: a visitor who is about to roll back decides on what is shown.
                    li.life #{ "life-" (plain(state.label.as_str())) } data-live {
                        h3 { (Escaped(state.label.as_str())) }
                        div.serves #{ "serves-" (plain(state.label.as_str())) } data-live {
                            (serving::drawn(&state.serving, &version))
                            (behind(frame, matter, state))
                            (protection(frame, matter, state))
                        }
                        @if let Some(form) = frame.form().filter(|_| matter.deploys.contains(state.label.as_str())) {
                            div.inline {
                                @if let Some(stopped) = rolled_back_from(matter, state) {
                                    @let asked = [("label", state.label.as_str()), ("version", &stopped.to_string())];
                                    a.button href=(path_about("deploy", name, &asked)) { "Deploy v" (stopped) " again" }
                                }
                                a.button href=(deploy_path(name, state.label.as_str())) {
                                    "Deploy …" span.hidden { " to " (plain(state.label.as_str())) }
                                }
                            }
                            @if let Some(before) = served_before(matter, state) {
                                (rollback(matter, state, before, form))
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The policies of a label; if there is none, a link to create one.
fn protection(frame: &Frame, matter: &PromptPageData, state: &LabelState) -> Markup {
    let label = state.label.as_str();
    let policies = matter.policies.get(label).map(Vec::as_slice).unwrap_or_default();
    html! {
        @if !policies.is_empty() {
            p.quiet {
                "Protected by "
                @for (index, one) in policies.iter().enumerate() {
                    @if index > 0 { ", " } a href=(policy_path(one)) { (Escaped(one)) }
                }
            }
        } @else if matter.protects && frame.form().is_some() {
            p.quiet {
                "No policy. "
                a href={ (NEW_POLICY) (query(&[("prompts", matter.view.prompt.name.as_str()), ("labels", label)])) } {
                    "Protect it" span.hidden { ": " (plain(label)) }
                }
            }
        }
    }
}

/// Since when, by whom and why.
fn behind(frame: &Frame, matter: &PromptPageData, state: &LabelState) -> Markup {
    let made = matter.deployments.iter().find(|one| one.id == state.deployment && one.label == state.label);
    html! {
        p.quiet {
            (when(state.since, frame.now))
            @if let Some(made) = made {
                " by " (Escaped(&made.actor)) (approved(made)) ": " q { (Escaped(&made.message)) }
            }
        }
    }
}

fn approved(made: &Deployment) -> Markup {
    html! { @if !made.approved_by.is_empty() { ", approved by " (Escaped(&made.approved_by.join(", "))) } }
}

/// What a rollback of a label returns to.
fn served_before<'a>(matter: &'a PromptPageData, state: &LabelState) -> Option<&'a Serving> {
    let mut of_label: Vec<_> = matter.deployments.iter().filter(|one| one.label == state.label).collect();
    of_label.sort_by_key(|one| one.id);
    rollback_target(of_label)?.to.as_ref()
}

/// The version that the newest deployment of a label rolled back, if it was a rollback.
fn rolled_back_from(matter: &PromptPageData, state: &LabelState) -> Option<u64> {
    let newest = matter.deployments.iter().filter(|one| one.label == state.label).max_by_key(|one| one.id)?;
    newest.from.as_ref().filter(|_| newest.action == Action::Rollback)?.fixed()
}

fn rollback(matter: &PromptPageData, state: &LabelState, before: &Serving, form: &str) -> Markup {
    let (name, label) = (matter.view.prompt.name.as_str(), state.label.as_str());
    let field = format!("why-{label}");
    html! {
        details.act id={ "back-" (plain(label)) } open[matter.back.as_deref() == Some(label)] {
            summary { "Roll back" }
            form.stack method="post" action="/ui/rollback" {
                (session(form))
                (hidden("name", name))
                (hidden("label", &state.label))
                (hidden("serves", state.deployment))
                label for=(field) { "Reason" }
                input id=(field) name="message" required maxlength="2000" autocomplete="off";
                button.danger type="submit" { "Roll back " (Escaped(state.label.as_str())) }
                p.quiet { "Returns to " (serving::brief(before)) ". Connected replicas update within seconds." }
            }
        }
    }
}

/// The timeline, and the form for a time.
fn history(frame: &Frame, matter: &PromptPageData) -> Markup {
    let at = matter.at.as_ref();
    let value = at.map_or_else(String::new, |at| {
        let text = at.at.to_string().replace('T', " ");
        // To the second, where it has seconds.
        text.get(..19).map_or(text.as_str(), |text| text.strip_suffix(":00").unwrap_or(text)).to_owned()
    });
    html! {
        section aria-labelledby="when" {
            div.head {
                h2 #when { "Deployment history" }
                form.moment action=(prompt_path(matter.view.prompt.name.as_str())) {
                    label for="at" { "At (UTC)" }
                    input #at name="at" value=(value) required maxlength="64" autocomplete="off" spellcheck="false"
                        placeholder="tuesday 15:00" title=(TIME_HINT);
                    button type="submit" { "Show" }
                }
            }
            div #timeline data-live { (timeline::timeline(&matter.deployments, frame.now, at.map(|at| at.at))) }
            @if let Some(at) = at { (moment_told(at)) }
        }
    }
}

fn moment_told(at: &At) -> Markup {
    html! {
        div.note role="status" {
            p {
                "At " b { (moment(at.at)) " UTC" } @if at.served.is_empty() { ", nothing was deployed." } @else { ":" }
            }
            @if !at.served.is_empty() {
                ul {
                    @for one in &at.served {
                        @if let Some(serving) = &one.to {
                            li {
                                b { (Escaped(one.label.as_str())) } " served " (linked(serving)) ", since "
                                (moment(one.at)) " UTC, by "
                                (Escaped(&one.actor)) (approved(one)) ": " q { (Escaped(&one.message)) }
                            }
                        }
                    }
                }
            }
            p { a href="?" { "Back to now" } }
        }
    }
}

fn linked(serving: &Serving) -> Markup {
    match serving.fixed() {
        Some(number) => html! { a.version href={ "?version=" (number) } { "v" (number) } },
        None => serving::brief(serving),
    }
}

fn content(frame: &Frame, matter: &PromptPageData) -> Markup {
    match &matter.shown {
        Err(why) => html! { h2 #content { "Content" } (empty("Content unavailable", why)) },
        Ok(view) => html! {
            div.head {
                h2 #content { "Version " (view.version.number) " " span.quiet { (view.version.semver) } }
                p.quiet {
                    @match &matter.why {
                        ShownBecause::Asked => {},
                        ShownBecause::Served(label) => { "what " (Escaped(label)) " serves" },
                        ShownBecause::Newest => { "the latest" },
                    }
                }
            }
            p.message {
                q { (Escaped(&view.version.message)) } " "
                span.quiet { (Escaped(&view.version.author)) ", " (when(view.version.created, frame.now)) }
            }
            @if let Some(retired) = &view.version.retired {
                p.note.warn {
                    "Retired " (when(retired.at, frame.now)) " by " (Escaped(&retired.actor)) ": "
                    q { (Escaped(&retired.message)) }
                }
            }
            (conversation(&view.content))
            @if let Some(form) = frame.form().filter(|_| matter.retires && matter.view.prompt.removed.is_none()) {
                (retiring(matter.view.prompt.name.as_str(), &view.version, form))
            }
        },
    }
}

/// The metadata of the shown version.
fn about(matter: &PromptPageData) -> Markup {
    let Ok(view) = &matter.shown else { return html! {} };
    let content = &view.content;
    let findings = matter.findings.get(&view.version.number).map(Vec::as_slice).unwrap_or_default();
    html! {
        h3 { "Variables" }
        @if content.variables.is_empty() { p.quiet { "No variables." } } @else {
            dl.variables {
                @for one in &content.variables {
                    dt {
                        var { (Escaped(&one.name)) }
                        @if one.required { " " span.tag { "required" } }
                        @if one.kind != VariableType::Any {
                            " " span.quiet { (format!("{:?}", one.kind).to_lowercase()) }
                        }
                    }
                    dd {
                        @if let Some(description) = &one.description { (Escaped(description)) }
                        @if let Some(default) = &one.default {
                            " " span.quiet { "default " code { (Escaped(&default.to_string())) } }
                        }
                    }
                }
            }
        }
        @if let Some(model) = &content.model {
            h3 { "Model" }
            p { code { (Escaped(&model.name)) } }
            dl.pairs {
                @for (key, value) in &model.parameters {
                    dt { (Escaped(key)) } dd { code { (Escaped(&value.to_string())) } }
                }
            }
        }
        @if !content.tools.is_empty() {
            h3 { "Tools" }
            @for tool in &content.tools { (json(tool_name(tool), tool)) }
        }
        @if let Some(schema) = &content.response_schema { h3 { "Response" } (json("Schema", schema)) }
        @if !content.config.is_empty() {
            h3 { "Configuration" }
            (json("Values", &serde_json::Value::Object(content.config.clone())))
        }
        @if !matter.gates.is_empty() || !matter.demanded.is_empty() || matter.runs {
            @let reference = format!("{}@{}", matter.view.prompt.name, view.version.number);
            h3 { "Evaluations" }
            (gate_list(&reference, &matter.gates, &matter.demanded, matter.runs))
            @if matter.runs { p { a href=(new_run_path(&reference, "")) { "Run a suite" } } }
        }
        @if !findings.is_empty() {
            h3 { "Findings" }
            ul.findings { @for one in findings { li { (impact::finding(one, true)) } } }
        }
        @if !view.version.includes.is_empty() {
            h3 { "Includes" }
            ul {
                @for one in &view.version.includes {
                    li {
                        a href={ (prompt_path(one.name.as_str())) "?version=" (one.version) } {
                            (Escaped(one.name.as_str()))
                        }
                        " v" (one.version)
                    }
                }
            }
        }
        @if !matter.view.dependents.is_empty() {
            h3 { "Included by" }
            ul { @for one in &matter.view.dependents { li { (impact::version_link(one)) } } }
        }
        @if let Some(used_by) = &matter.used_by {
            h3 { "Used in the last 24 hours by" }
            @if used_by.is_empty() { p.quiet { "No requests in the last 24 hours." } } @else {
                ul.inline { @for one in used_by { li.tag { (Escaped(one)) } } }
            }
        }
        h3 { "Version ID" }
        p { code.stamp { (Escaped(&view.stamp)) } }
        p { code.id { (view.version.content_id) } }
    }
}

fn tool_name(tool: &serde_json::Value) -> &str {
    let name = tool.pointer("/function/name").or_else(|| tool.get("name"));
    name.and_then(serde_json::Value::as_str).unwrap_or("Tool")
}

fn versions(frame: &Frame, matter: &PromptPageData) -> Markup {
    let name = matter.view.prompt.name.as_str();
    let serving = |number: u64| {
        let labels = matter.view.labels.iter().filter(move |state| state.serving.versions().contains(&number));
        labels.map(|state| state.label.as_str())
    };
    let worst = |number: u64| matter.findings.get(&number)?.iter().map(|one| one.severity).max();
    let can_deploy = frame.form().is_some() && (matter.publishes || !matter.deploys.is_empty());
    html! {
        table.list.cards {
            thead { tr {
                th scope="col" { "Version" } th scope="col" { "Message" } th scope="col" { "Author" }
                th scope="col" { "Created" } th scope="col" { "Labels and risk" }
                th scope="col" { span.hidden { "Actions" } }
            } }
            tbody {
                @for one in &matter.versions {
                    tr {
                        th scope="row" {
                            a.version.name href={ "?version=" (one.number) } { "v" (one.number) } " "
                            span.quiet { (one.semver) }
                        }
                        td.words data-label="Message" { (Escaped(&one.message)) }
                        td data-label="Author" { (Escaped(&one.author)) }
                        td data-label="Created" { (when(one.created, frame.now)) }
                        td data-label="Labels" {
                            @for label in serving(one.number) { span.tag.live { (Escaped(label)) } " " }
                            @if one.retired.is_some() { span.tag { "retired" } " " }
                            @if one.archived.is_some() { span.tag { "archived" } " " }
                            @if let Some(worst) = worst(one.number) {
                                span.tag.(worst.as_str()) { (worst) " risk" }
                            }
                        }
                        td data-label="Actions" {
                            @if can_deploy && one.retired.is_none() && one.archived.is_none() {
                                a href=(path_about("deploy", name, &[("version", &one.number.to_string())])) {
                                    "Deploy" span.hidden { " v" (one.number) }
                                }
                            }
                            @if one.number > 1 {
                                " "
                                a href=(diff_path(name, one.number - 1, one.number)) {
                                    "Compare with v" (one.number - 1)
                                }
                            }
                        }
                    }
                }
            }
        }
        @if let Some(older) = &matter.older {
            nav.pages aria-label="Pages" {
                a.button rel="next" href={ (query(&[("older", older)])) "#versions" } { "Older versions" }
            }
        }
    }
}

#[cfg(test)]
#[path = "prompt_tests.rs"]
mod tests;
