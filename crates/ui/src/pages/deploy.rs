//! The deploy page: choosing what a label serves, previewing changes and requirements, and deploying or requesting it.

use maud::{Markup, html};

use super::gates::{gate_list, new_run_path};
use super::impact::despite_findings;
use super::{diff, impact, serving};
use crate::api::govern::MovePreview;
use crate::experiment::assignment::Choice;
use crate::form::{FormError, hidden, session};
use crate::format::{Escaped, ago, plain, sentence, start_of, with_code};
use crate::layout::{Frame, Page, back_path, diff_path, path_about, prompt_path};
use crate::model::evaluation::GateResult;
use crate::model::serving::Serving;
use crate::model::verdict::RequirementKind;
use crate::model::version::{Bump, Version};
use crate::typed::serving::{TypedRule, TypedServing, TypedTarget};

/// The prefix of the names of reviewer checkboxes.
pub const REVIEWER: &str = "reviewer.";
/// Most reviewers to choose from.
const REVIEWERS_SHOWN: usize = 50;
/// Longest version message in the version picker, in characters.
const MESSAGE_CHARACTERS: usize = 60;

/// The contents of the page.
#[derive(Clone, Debug)]
pub struct DeployPageData {
    /// The prompt.
    pub name: String,
    /// Its newest versions, newest first.
    pub versions: Vec<Version>,
    /// Its labels, with the versions that each serves.
    pub serving: Vec<(String, Vec<u64>)>,
    /// The label, as typed.
    pub label: String,
    /// The new serving, as typed.
    pub typed: TypedServing,
    /// The preview; or why there is none.
    pub preview: Result<Box<MovePreview>, String>,
    /// What runs decided about the versions that would be new, by number.
    pub gates: Vec<(u64, Vec<GateResult>)>,
    /// Whether the visitor can run suites with the prompt.
    pub runs: bool,
    /// The subject of the preview.
    pub tried: TriedSubject,
    /// The visitor's options.
    pub may: AllowedActions,
    /// Why the request was rejected.
    pub refused: Option<FormError>,
    /// The message, as typed.
    pub message: String,
}

/// A subject for a preview.
#[derive(Clone, Debug, Default)]
pub struct TriedSubject {
    /// The subject.
    pub subject: String,
    /// Attributes, as typed.
    pub attributes: String,
    /// What they get now, and would get; or why that is unknown.
    pub gets: Option<Result<(Option<Choice>, Choice), String>>,
}

/// The visitor's options besides deploying.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AllowedActions {
    /// Open a change request.
    pub propose: bool,
    /// Override unmet requirements.
    pub overrides: bool,
}

/// The path of the page, optionally for a label.
pub fn deploy_path(name: &str, label: &str) -> String {
    path_about("deploy", name, &[("label", label)])
}

/// Renders the page.
pub fn page(frame: &Frame, matter: &DeployPageData) -> String {
    let name = matter.name.as_str();
    let above = [("Prompts", "/ui/".to_owned()), (name, prompt_path(name))];
    let main = html! {
        div.head { h1 { "Deploy " (Escaped(name)) } }
        @if let Some(refusal) = &matter.refused { (refusal.note("Nothing was changed.")) }
        div.columns.deploying {
            div.stack { (chooser(frame, matter)) }
            div.stack {
                section #outcome data-live data-seen=[seen(matter)] aria-labelledby="outcome-head" {
                    h2 #outcome-head { "Changes" }
                    @match &matter.preview {
                        Err(why) => p.note.warn { (with_code(&sentence(why))) },
                        Ok(preview) => (outcome(matter, preview)),
                    }
                }
                @if let Some(form) = frame.form() { (deciding(matter, form)) }
                div #differences data-live {
                    @if let Ok(preview) = &matter.preview {
                        @if preview.from.as_ref() != Some(&preview.to) { (differences(matter, preview)) }
                    }
                }
            }
        }
    };
    frame.page(&Page { title: &format!("Deploy {name}"), above: &above, done: None, searches: false, main })
}

/// The basis of a decision: if the label has changed since, the page says so and stays unchanged.
fn seen(matter: &DeployPageData) -> Option<String> {
    let preview = matter.preview.as_ref().ok()?;
    Some(preview.deployment.map_or_else(|| "nothing".to_owned(), |id| id.to_string()))
}

/// The form for choosing; it only affects the page.
fn chooser(frame: &Frame, matter: &DeployPageData) -> Markup {
    let act = |value: &str, words: &str| html! { button type="submit" name="do" value=(value) { (words) } };
    html! {
        form.stack.chooser action=(deploy_path(&matter.name, "")) data-follow {
            button.hidden type="submit" tabindex="-1" aria-hidden="true" { "Show" }
            label for="label" { "Label" }
            select #label name="label" {
                @for (label, versions) in &matter.serving {
                    @let numbers: Vec<String> = versions.iter().map(|number| format!("v{number}")).collect();
                    option value=(label) selected[*label == matter.label] { (plain(label)) " — " (numbers.join(", ")) }
                }
                @if !matter.serving.iter().any(|(label, _)| *label == matter.label) {
                    option value=(plain(&matter.label)) selected { (plain(&matter.label)) " — new" }
                }
            }
            @for (number, rule) in matter.typed.rules.iter().enumerate() { (rule_fields(frame, matter, number, rule)) }
            fieldset.target {
                legend { (if matter.typed.rules.is_empty() { "Version" } else { "Default" }) }
                (target_fields(frame, matter, "d", &matter.typed.default))
            }
            div.inline { (act("add-d", "Split with another version")) (act("rule", "Add a rule")) }
            fieldset.target {
                legend { "Preview targeting" }
                label {
                    span { "User or session ID (subject)" }
                    input name="subject" value=(plain(&matter.tried.subject)) maxlength="200" autocomplete="off"
                        spellcheck="false";
                }
                label {
                    span { "Attributes, e.g. locale=de tier=power" }
                    input name="attributes" value=(plain(&matter.tried.attributes)) maxlength="1000" autocomplete="off"
                        spellcheck="false";
                }
                div #gets data-live aria-live="polite" { (gets(matter)) }
            }
            button type="submit" { "Preview changes" }
        }
        div #another data-live {
            details.act {
                summary { "New label" }
                form.stack action=(deploy_path(&matter.name, "")) {
                    @for (name, value) in matter.typed.fields() { (hidden(&name, value)) }
                    label for="new-label" { "Label name" }
                    input #new-label name="label" required maxlength="36" autocomplete="off" spellcheck="false";
                    button type="submit" { "Use this label" }
                }
            }
        }
    }
}

/// The version picker: the newest, and the requested one.
fn version_field(frame: &Frame, matter: &DeployPageData, name: &str, typed: &str, several: bool) -> Markup {
    let known = version_of(matter, typed).is_some();
    // Versions that cannot be deployed are left out, unless they were requested.
    let offered = |one: &&Version| one.retired.is_none() && one.archived.is_none() || one.number.to_string() == typed;
    html! {
        select.which name=(name) {
            @if several || typed.is_empty() { option value="" selected[typed.is_empty()] { "Choose a version" } }
            @if !known && !typed.is_empty() {
                option value=(plain(typed)) selected { @if typed.parse::<u64>().is_ok() { "v" } (plain(typed)) }
            }
            @for one in matter.versions.iter().filter(offered) {
                option value=(one.number) selected[one.number.to_string() == typed] { (described(frame, matter, one)) }
            }
        }
    }
}

/// A version in one line: number, message, author, time, and labels that serve it.
fn described(frame: &Frame, matter: &DeployPageData, one: &Version) -> String {
    let served: Vec<&str> = matter
        .serving
        .iter()
        .filter(|(_, versions)| versions.contains(&one.number))
        .map(|(label, _)| label.as_str())
        .collect();
    let served = if served.is_empty() { String::new() } else { format!(" ({})", served.join(", ")) };
    let message = start_of(&one.message, MESSAGE_CHARACTERS);
    plain(&format!("v{}{served} · {message} · {} · {}", one.number, one.author, ago(one.created, frame.now)))
}

fn rule_fields(frame: &Frame, matter: &DeployPageData, number: usize, rule: &TypedRule) -> Markup {
    let shown = number + 1;
    html! {
        fieldset.target {
            legend { "Rule " (shown) }
            label {
                span { "If" }
                input name={ "r" (number) ".when" } value=(plain(&rule.when)) placeholder="locale=de* tier=power"
                    maxlength="2000" autocomplete="off" spellcheck="false";
            }
            (target_fields(frame, matter, &format!("r{number}"), &rule.target))
            div.inline {
                button type="submit" name="do" value={ "add-r" (number) } { "Split rule " (shown) }
                @if number > 0 {
                    button type="submit" name="do" value={ "up-r" (number) } { "Move rule " (shown) " up" }
                }
                button type="submit" name="do" value={ "drop-r" (number) } { "Remove rule " (shown) }
            }
        }
    }
}

fn target_fields(frame: &Frame, matter: &DeployPageData, prefix: &str, target: &TypedTarget) -> Markup {
    let several = target.rows.len() > 1;
    let place = if prefix == "d" { "the default".to_owned() } else { format!("rule {}", number_of(prefix)) };
    html! {
        div.shares data-shares[several] {
            @for (number, (version, share)) in target.rows.iter().enumerate() {
                @let name = |end: &str| format!("{prefix}.{number}.{end}");
                div.share-row {
                    label { span.hidden { "Version " (number + 1) " of " (place) }
                        (version_field(frame, matter, &name("version"), version, several)) }
                    @if several {
                        // The slider has no name: the number field is sent, which people without scripts use.
                        input.slider hidden type="range" min="0" max="100" step="0.01" value=(share)
                            aria-label={ "Share of version " (number + 1) " of " (place) ", percent" };
                        label { span.hidden { "Share of version " (number + 1) " of " (place) " in percent" }
                            input.share type="number" name=(name("share")) min="0" max="100" step="0.01" value=(share);
                            "%"
                        }
                    } @else { input type="hidden" name=(name("share")) value="100"; }
                }
            }
        }
        @if !target.salt.is_empty() { input type="hidden" name={ (prefix) ".salt" } value=(plain(&target.salt)); }
    }
}

fn number_of(prefix: &str) -> usize {
    prefix
        .strip_prefix('r')
        .and_then(|number| number.parse::<usize>().ok())
        .map_or(0, |number| number.saturating_add(1))
}

fn version_of<'a>(matter: &'a DeployPageData, typed: &str) -> Option<&'a Version> {
    matter.versions.iter().find(|one| one.number.to_string() == typed)
}

/// What a subject gets, now and after.
fn gets(matter: &DeployPageData) -> Markup {
    let who =
        if matter.tried.subject.is_empty() { "A caller without a subject" } else { matter.tried.subject.as_str() };
    html! {
        @match &matter.tried.gets {
            None => {},
            Some(Err(why)) => p.note.warn { (with_code(&sentence(why))) },
            Some(Ok((now, then))) => p.note {
                b { (Escaped(who)) } " would get " b.version { "v" (then.version) } (reason(then))
                @match now {
                    Some(now) if now.version == then.version => ", the same as now.",
                    Some(now) => { "; currently v" (now.version) "." },
                    None => "; currently nothing.",
                }
            },
        }
    }
}

fn reason(choice: &Choice) -> Markup {
    html! {
        @if let Some(rule) = choice.rule { ", by rule " (rule.saturating_add(1)) }
        @if let Some(bucket) = choice.bucket {
            @if choice.sticky {
                ", by slot " (bucket) " of 10,000"
            } @else {
                " (random: without a subject, each request is assigned separately)"
            }
        }
    }
}

fn outcome(matter: &DeployPageData, preview: &MovePreview) -> Markup {
    let path = prompt_path(&matter.name);
    let version = |number: u64| format!("{path}?version={number}");
    let review = &preview.review;
    html! {
        div.sides {
            div.side {
                h3 { "Now" }
                @match &preview.from {
                    Some(now) => {
                        (serving::drawn(now, &version))
                        @if preview.deploys.allowed {
                            a.back href=(back_path(&matter.name, &matter.label)) { "Roll back" }
                        }
                    },
                    None => p.quiet { "Nothing yet: this is a new label." },
                }
            }
            div.side { h3 { "After" } (serving::drawn(&preview.to, &version)) }
        }
        @if preview.from.as_ref() == Some(&preview.to) { p.state { "No changes: this is already deployed." } } @else {
            @match &review.interface {
                Some(change) => (impact::interface(change.bump, &change.reasons)),
                None if !preview.breaks.is_empty() => (impact::interface(Bump::Major, &preview.breaks)),
                None => {},
            }
            (impact::findings(&review.findings))
            (impact::used_by(&review.used_by))
            (impact::downstream(&review.downstream))
            (impact::requirements(review.label.as_str(), &review.requirements, &review.reviewers, true))
            @for (number, gates) in matter.gates.iter().filter(|(_, gates)| !gates.is_empty()) {
                h3 { "Evaluations of v" (number) }
                (gate_list(&format!("{}@{number}", matter.name), gates, &[], matter.runs))
            }
            @if matter.runs && review.requirements.iter().any(|one| one.kind == RequirementKind::Gate && !one.met) {
                @for (number, _) in &matter.gates {
                    @let run = new_run_path(&format!("{}@{number}", matter.name), "");
                    p { a href=(run) { "Run a suite on v" (number) } }
                }
            }
        }
    }
}

/// Whether only the message is missing.
fn complete(preview: &MovePreview) -> bool {
    preview.review.requirements.iter().all(|one| one.met || one.kind == RequirementKind::Message)
}

/// The diff; with several versions, links to diffs.
fn differences(matter: &DeployPageData, preview: &MovePreview) -> Markup {
    html! {
        @if let Some(changed) = &preview.review.diff {
            details.act #lines open { summary { "Content" } (diff::changes(changed, |name| html! { h3 { (name) } })) }
        } @else {
            @let pairs = pairs(preview.from.as_ref(), &preview.to);
            @if !pairs.is_empty() {
                p { "Compare " @for (index, (old, new)) in pairs.iter().enumerate() {
                    @if index > 0 { ", " }
                    a href=(diff_path(&matter.name, *old, *new)) { "v" (old) " with v" (new) }
                } }
            }
        }
    }
}

/// The current version beside the new one.
fn pairs(from: Option<&Serving>, to: &Serving) -> Vec<(u64, u64)> {
    /// Most listed ones.
    const PAIRS_MAX: usize = 12;
    let old = from.map(Serving::versions).unwrap_or_default();
    let new: Vec<u64> = to.versions().into_iter().filter(|number| !old.contains(number)).collect();
    old.iter().flat_map(|old| new.iter().map(|new| (*old, *new))).take(PAIRS_MAX).collect()
}

/// The form for deploying exactly what is shown, unless the label has changed since.
fn deciding(matter: &DeployPageData, form: &str) -> Markup {
    html! {
        form.desk #decide method="post" action=(deploy_path(&matter.name, "")) {
            (session(form))
            div.stack {
                label for="message" { "Why this change?" }
                input #message name="message" value=(plain(&matter.message)) required maxlength="2000"
                    autocomplete="off" aria-describedby="message-help";
                div #message-help data-live { (message_help(matter)) }
            }
            div.stack #buttons data-live data-seen=[seen(matter)] {
                @match &matter.preview {
                    Err(_) => p.quiet { "Choose a version first." },
                    Ok(preview) => { (shown_fields(matter, preview)) (buttons(matter, preview)) },
                }
            }
        }
    }
}

/// Requirements for the message.
fn message_help(matter: &DeployPageData) -> Markup {
    let all = matter.preview.iter().flat_map(|preview| &preview.review.requirements);
    html! {
        @for one in all.filter(|one| one.kind == RequirementKind::Message) {
            p.quiet { "Requires " (with_code(&one.says)) "." }
        }
    }
}

/// The preview as fields: with the salts of its splits, so that the same subjects get the same versions.
fn shown_fields(matter: &DeployPageData, preview: &MovePreview) -> Markup {
    html! {
        (hidden("label", plain(&matter.label)))
        (hidden("serves", preview.deployment.map(|id| id.to_string()).unwrap_or_default()))
        @for (name, value) in TypedServing::of(&preview.to).fields() { (hidden(&name, value)) }
    }
}

fn buttons(matter: &DeployPageData, preview: &MovePreview) -> Markup {
    let complete = complete(preview);
    if preview.from.as_ref() == Some(&preview.to) {
        return html! { button type="button" disabled { "Deploy" } p.quiet { "No changes to deploy." } };
    }
    let barred = if preview.deploys.allowed { None } else { Some(preview.deploys.lacks()) };
    html! {
        @if barred.is_none() && !preview.breaks.is_empty() {
            label.check {
                input type="checkbox" name="allow_major" value="yes"; span { "Deploy even though callers may break" }
            }
        }
        @match &barred {
            Some(lacks) => {
                button type="button" disabled { "Deploy" } p.quiet { "Not allowed: " (with_code(lacks)) "." }
            },
            None if complete => {
                (despite_findings(&preview.review.findings))
                button.primary type="submit" name="do" value="deploy" { "Deploy to " (Escaped(&matter.label)) }
            },
            None => { button type="button" disabled { "Deploy" } p.quiet { "Some requirements are not met." } },
        }
        @if matter.may.propose {
            button.primary[barred.is_some() || !complete] type="submit" name="do" value="propose" { "Request review" }
            label.check {
                input type="checkbox" name="automatic" value="yes";
                span { "Deploy automatically once all requirements are met" }
            }
            @if !preview.review.reviewers.is_empty() {
                details.act #reviewers {
                    summary { "Request reviewers" }
                    fieldset.boxes {
                        legend.hidden { "Reviewers" }
                        @for one in preview.review.reviewers.iter().take(REVIEWERS_SHOWN) {
                            label.check {
                                input type="checkbox" name={ (REVIEWER) (plain(&one.name)) } value="yes";
                                span { (Escaped(&one.name)) " " span.quiet { (Escaped(&one.roles.join(", "))) } }
                            }
                        }
                    }
                }
            }
        }
        @if barred.is_none() && !complete && matter.may.overrides {
            details.act #glass {
                summary { "Break glass" }
                div.stack {
                    label for="break-glass" { "Why is this override needed?" }
                    input #break-glass name="break_glass" maxlength="2000" autocomplete="off";
                    p.quiet { "The override and your reason are recorded in the audit log." }
                    button.danger type="submit" name="do" value="override" { "Override and deploy" }
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "deploy_tests.rs"]
mod tests;
