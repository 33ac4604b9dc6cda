//! The editor: a draft that is saved as often as needed, previewed, checked, and published.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::Value;

use super::super::error::Failure;
use super::super::extract::{Params, Segments, blocking};
use super::super::request::RequestError;
use super::super::rule_sets::primary;
use super::super::state::{App, Shared};
use super::visitor::{CONTENT_FORM_BYTES_MAX, SubmittedForm, Visitor, redirect};
use super::{html, said};
use crate::api::govern::{DraftRequest, ProposeRequest, PublishDraftRequest, VersionPreview};
use crate::api::write::{Move, ServingRequest};
use crate::clock::Cancellation;
use crate::governance::diff::diff;
use crate::json::plain_reason;
use crate::model::commit_message::MESSAGE_CHARACTERS_MAX;
use crate::model::content::{Body, Content, Message, Syntax, VariableType};
use crate::model::draft::Draft;
use crate::model::finding::Finding;
use crate::model::name::{LABEL_BYTES_MAX, Label, PRODUCTION, PromptName};
use crate::model::principal::Permission;
use crate::model::reference::Selector;
use crate::model::rendered::Rendered;
use crate::registry::why::AccessQuestion;
use crate::registry::{Actor, Registry, RegistryError};
use crate::resolve::{CatalogueView, ResolveError};
use crate::template::lint::lint;
use crate::template::render::{RenderInput, render};
use crate::web::form::{DESPITE_FINDINGS, FormError};
use crate::web::layout::{prompt_path, query, request_path};
use crate::web::pages::editor::{EditorPageData, Meaning, edit_path, merge_path, page};
use crate::web::pages::new::page as new_page;
use crate::web::typed::Fields;
use crate::web::typed::content::{TypedBody, TypedContent, shown, value};

/// The hint on a replica, which cannot do this.
pub(super) const WRITING: &str = "writing";
/// The confirmation, by the word in the URL.
const DONE: [(&str, &str); 1] = [("merged", "Merged. Check the result, then publish.")];

/// A draft and its parent.
pub(super) struct DraftEditor {
    registry: Registry,
    actor: Actor,
    pub(super) name: PromptName,
    pub(super) draft: String,
    kept: Option<Draft>,
    parent: u64,
    latest: u64,
    /// The parent as written, and as served.
    written: Option<Content>,
    served: Option<Content>,
    labels: Vec<String>,
    /// The sample values of the prompt.
    samples: BTreeMap<String, Value>,
}

impl DraftEditor {
    /// Finds a draft, or the start of a new one.
    fn open(
        state: &CatalogueView,
        registry: Registry,
        actor: Actor,
        name: PromptName,
        draft: String,
    ) -> Result<Self, Failure> {
        let kept = match registry.draft(state, &actor, &name, &draft) {
            Ok(kept) => Some(kept),
            Err(RegistryError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let (latest, labels) = match state.prompt(&name) {
            Ok(view) => (view.prompt.latest, view.labels.iter().map(|served| served.label.to_string()).collect()),
            Err(ResolveError::PromptNotFound { .. }) => (0, Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let parent = kept.as_ref().map_or(latest, |kept| kept.parent);
        let view = match parent {
            0 => None,
            number => match state.version(&name, &Selector::Version(number)) {
                Ok(view) => Some(view),
                Err(ResolveError::VersionArchived { .. }) => None,
                Err(error) => return Err(error.into()),
            },
        };
        let written = view.as_ref().map(|view| view.source.clone().unwrap_or_else(|| view.content.clone()));
        let served = view.map(|view| view.content);
        let samples = registry.samples(state, &actor, &name)?;
        Ok(Self { registry, actor, name, draft, kept, parent, latest, written, served, labels, samples })
    }

    /// The initial content of the form.
    fn content(&self) -> Content {
        let kept = self.kept.as_ref().map(|kept| &kept.content);
        kept.or(self.written.as_ref()).cloned().unwrap_or_else(|| Content::text(Syntax::default(), ""))
    }

    /// What the page shows about the input.
    fn matter(
        &self,
        state: &CatalogueView,
        mut typed: TypedContent,
        samples: Fields,
        stop: &Cancellation,
    ) -> Result<EditorPageData, Failure> {
        let (content, wrong) = match typed.content() {
            Ok(content) => (Some(content), Fields::new()),
            Err(wrong) => (None, wrong),
        };
        let meaning =
            content.map(|content| self.meaning(state, (&content, &samples), &mut typed, stop)).unwrap_or_default();
        let mut others = self.registry.drafts(state, &self.actor, &self.name)?;
        others.retain(|other| other.name != self.draft);
        Ok(EditorPageData {
            name: self.name.to_string(),
            draft: self.draft.clone(),
            parent: self.parent,
            latest: self.latest,
            revision: self.kept.as_ref().map_or(0, |kept| kept.revision),
            saved: self.kept.as_ref().map(|kept| (kept.saved, kept.saved_by.clone())),
            typed,
            wrong,
            samples,
            meaning,
            others,
            labels: self.labels.clone(),
            direct: self.direct(state)?,
            refused: None,
            overtaken: false,
            message: String::new(),
            label: String::new(),
            done: None,
        })
    }

    /// The labels where the author could deploy a new version without further requirements.
    fn direct(&self, state: &CatalogueView) -> Result<Vec<String>, Failure> {
        let mut direct = Vec::new();
        let production = (!self.labels.iter().any(|label| label == PRODUCTION)).then_some(PRODUCTION);
        for label in self.labels.iter().map(String::as_str).chain(production) {
            let Ok(known) = label.parse::<Label>() else { continue };
            let question = AccessQuestion {
                who: self.actor.name.clone(),
                permission: Permission::Deploy,
                prompt: Some(self.name.clone()),
                label: Some(known),
                version: None,
            };
            if self.registry.can(state, &self.actor, &question)?.allowed {
                direct.push(label.to_owned());
            }
        }
        Ok(direct)
    }

    fn meaning(
        &self,
        state: &CatalogueView,
        (written, samples): (&Content, &Fields),
        typed: &mut TypedContent,
        stop: &Cancellation,
    ) -> Meaning {
        let findings = self.registry.classify(written).findings;
        let warnings = lint(written);
        let mut meaning = Meaning { warnings, findings, ..Meaning::default() };
        let preview = match self.registry.preview_version(state, &self.actor, &self.name, written) {
            Ok(preview) => preview,
            Err(error) => {
                meaning.refused = Some(error.to_string());
                meaning.rendered = Some(Ok(written.clone()));
                return meaning;
            }
        };
        let VersionPreview { content, includes, findings, interface, .. } = preview;
        typed.add_included(&content);
        let (rendered, missing) = filled(&content, samples, stop);
        let known = |hash: &str| meaning.findings.iter().any(|one| one.hash == hash);
        let besides = findings.into_iter().filter(|one| !includes.is_empty() && !known(&one.hash)).collect();
        meaning.served_findings = besides;
        meaning.changes = self.served.as_ref().map(|served| diff(served, &content));
        Meaning { rendered: Some(rendered), missing, includes, interface, ..meaning }
    }
}

/// A content with sample values, and the names of missing ones.
fn filled(content: &Content, samples: &Fields, stop: &Cancellation) -> (Result<Content, String>, Vec<String>) {
    let (mut values, mut lists, mut missing) = (serde_json::Map::new(), BTreeMap::new(), Vec::new());
    for variable in &content.variables {
        let sample = samples.get(&variable.name).and_then(|typed| value(variable.kind, typed));
        if let Some(sample) = sample {
            values.insert(variable.name.clone(), sample);
        } else if variable.required {
            missing.push(variable.name.clone());
            if matches!(variable.kind, VariableType::Any | VariableType::String) {
                values.insert(variable.name.clone(), Value::String(format!("⟨{}⟩", variable.name)));
            }
        }
    }
    for name in content.placeholders() {
        let typed = samples.get(name).map_or("", String::as_str).trim();
        let list = if typed.is_empty() { Ok(Vec::new()) } else { crate::json::read::<Vec<Value>>(typed.as_bytes()) };
        let Ok(list) = list else {
            return (
                Err(format!("the test value for the placeholder `{name}` is not a JSON array of messages")),
                missing,
            );
        };
        if list.is_empty() {
            missing.push(name.to_owned());
        }
        lists.insert(name.to_owned(), list);
    }
    let given = RenderInput { variables: &values, messages: &lists, strict: false };
    let filled = render(content, given, stop).map_err(|error| error.to_string());
    let shown = filled.and_then(|filled| match filled.rendered {
        Rendered::Text(text) => Ok(Content::text(Syntax::Plain, text)),
        Rendered::Messages(messages) => {
            let messages = messages.into_iter().map(serde_json::from_value::<Message>).collect::<Result<_, _>>();
            let body = Body::Messages(messages.map_err(|error| {
                format!("invalid message in a test value: {}", plain_reason(&error.to_string(), "an object"))
            })?);
            Ok(Content { body, ..Content::text(Syntax::Plain, "") })
        }
    });
    (shown, missing)
}

/// Shows a draft, or the start of a new one.
pub(super) async fn edit(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    mut params: Params,
) -> Result<Response, Failure> {
    let name: PromptName = segments.get("name")?;
    let (draft, done) = (params.text("draft"), params.text("done"));
    let (message, label) = (params.text("message").unwrap_or_default(), params.text("label").unwrap_or_default());
    params.finish(&["draft", "message", "label", "done"])?;
    let registry = primary(&app, WRITING)?;
    let Some(actor) = visitor.signed().cloned() else {
        return Ok(sign_in_first(&edit_path(name.as_str(), "")));
    };
    let draft = draft.filter(|draft| !draft.is_empty()).unwrap_or_else(|| actor.name.clone());
    let done = said(done, &DONE);
    registry.may_publish(&actor, &name)?;
    let held = app.clone();
    let work = move |stop: &Cancellation| {
        let state = visitor.view(&app)?;
        let desk = DraftEditor::open(&state, registry, actor, name, draft)?;
        let typed = TypedContent::of(&desk.content());
        let samples = samples_shown(&typed, &desk.samples);
        let matter = EditorPageData { message, label, done, ..desk.matter(&state, typed, samples, stop)? };
        Ok::<_, Failure>(page(&visitor.frame(&app, &state), &matter))
    };
    Ok(html(held.work.heavy(work).await??))
}

/// Asks for the name of a new prompt.
pub(super) async fn new(State(app): State<App>, visitor: Visitor, mut params: Params) -> Result<Response, Failure> {
    let typed = params.text("name").unwrap_or_default();
    params.finish(&["name"])?;
    primary(&app, WRITING)?;
    if visitor.signed().is_none() {
        return Ok(sign_in_first("/ui/new"));
    }
    let named = typed.trim().parse::<PromptName>().and_then(|name| name.check_new().map(|()| name));
    let wrong = match named {
        Ok(name) => return Ok(redirect(&edit_path(name.as_str(), ""))),
        Err(error) => (!typed.is_empty()).then(|| error.to_string()),
    };
    let page = move || Ok::<_, Failure>(new_page(&visitor.frame_alone(&app)?, &typed, wrong.as_deref()));
    Ok(html(blocking(page).await??))
}

/// Redirects to sign in, and back.
pub(super) fn sign_in_first(path: &str) -> Response {
    redirect(&format!("/ui/sign-in{}", query(&[("next", path)])))
}

/// Saves the input, and runs the action of the button.
pub(super) async fn act(
    State(app): State<App>,
    segments: Segments,
    sent: SubmittedForm<CONTENT_FORM_BYTES_MAX>,
) -> Result<Response, Failure> {
    let name: PromptName = segments.get("name")?;
    let (registry, actor) = sent.writer(&app)?;
    let visitor = sent.visitor();
    let mut fields = sent.form.into_fields();
    let action = fields.remove("do").unwrap_or_default();
    let draft = fields.remove("draft").unwrap_or_else(|| actor.name.clone());
    registry.permit_writing(&actor, name.clone()).await?;
    if action == "discard" {
        registry.discard_draft(&actor, name.clone(), draft).await?;
        let path = prompt_path(name.as_str());
        let there = blocking(move || Ok::<_, Failure>(visitor.view(&app)?.prompt(&name).is_ok())).await??;
        return Ok(redirect(if there { &path } else { "/ui/" }));
    }
    let desk = {
        let (app, registry, actor, visitor) = (app.clone(), registry.clone(), actor.clone(), visitor.clone());
        blocking(move || DraftEditor::open(&visitor.view(&app)?, registry, actor, name, draft)).await??
    };
    let mut typed = {
        let before = [desk.kept.as_ref().map(|kept| &kept.content), desk.written.as_ref()];
        let before: Vec<&Content> = before.into_iter().flatten().collect();
        TypedContent::sent(&fields, &before)
    };
    let place = if typed.act(&action) { place_of(&action, &typed) } else { String::new() };
    let asked = EditorAction::of(&action);
    let done = work(&app, &visitor, &desk, &typed, &fields, &asked).await;
    // The fields about the new version are not part of the draft, but must not be lost.
    let message: String =
        fields.get("message").map_or("", String::as_str).chars().take(MESSAGE_CHARACTERS_MAX).collect();
    let label: String = fields.get("label").map_or("", String::as_str).chars().take(LABEL_BYTES_MAX).collect();
    let kept = query(&[("draft", &desk.draft), ("message", &message), ("label", &label)]);
    let back = format!("{}{kept}{place}", edit_path(desk.name.as_str(), ""));
    match done {
        Ok(Some(path)) => Ok(redirect(&path)),
        Ok(None) => Ok(redirect(&back)),
        Err(Failure::Registry(RegistryError::ParentMoved { .. })) => {
            Ok(redirect(&merge_path(desk.name.as_str(), &desk.draft)))
        }
        Err(failure) => {
            let Some((_, refusal)) = failure.refusal() else { return Err(failure) };
            let overtaken = matches!(failure, Failure::Registry(RegistryError::DraftMoved { .. }));
            let held = app.clone();
            let work =
                move |stop: &Cancellation| refused(&app, &visitor, desk, typed, &fields, (refusal, overtaken), stop);
            held.work.heavy(work).await?
        }
    }
}

/// The page with all input, and the error.
fn refused(
    app: &Shared,
    visitor: &Visitor,
    desk: DraftEditor,
    typed: TypedContent,
    fields: &Fields,
    (refusal, overtaken): (FormError, bool),
    stop: &Cancellation,
) -> Result<Response, Failure> {
    let DraftEditor { registry, actor, name, draft, kept, .. } = desk;
    let before = kept.map_or(0, |kept| kept.revision);
    let state = visitor.view(app)?;
    let desk = DraftEditor::open(&state, registry, actor, name, draft)?;
    // What was saved stays saved: the page continues from there.
    let saved = !overtaken && desk.kept.as_ref().is_some_and(|kept| kept.revision != before || typed_is(&typed, kept));
    let lead = if saved { "Saved, but not published." } else { "Not saved." };
    let typed_in = |field: &str| fields.get(field).cloned().unwrap_or_default();
    let (message, label) = (typed_in("message"), typed_in("label"));
    let matter = EditorPageData {
        refused: Some((lead, refusal)),
        overtaken,
        message,
        label,
        ..desk.matter(&state, typed, samples_typed(fields), stop)?
    };
    // As for every rejected form: the page is shown with the error.
    Ok(html(page(&visitor.frame(app, &state), &matter)))
}

/// Whether a draft has the same content as the input.
fn typed_is(typed: &TypedContent, kept: &Draft) -> bool {
    typed.content().is_ok_and(|content| content == kept.content)
}

/// Where the page scrolls after a message was added or moved.
fn place_of(action: &str, typed: &TypedContent) -> String {
    let TypedBody::Messages(messages) = &typed.body else { return String::new() };
    let last = messages.len().saturating_sub(1);
    let at = match action.split_once('-') {
        Some(("up", at)) => at.parse::<usize>().unwrap_or_default().saturating_sub(1),
        Some(("down", at)) => at.parse::<usize>().unwrap_or_default().saturating_add(1).min(last),
        Some(("remove", at)) => at.parse::<usize>().unwrap_or_default().min(last),
        Some(("forget", _)) => return "#variables".to_owned(),
        _ => last,
    };
    format!("#m{at}")
}

/// The samples in the form.
fn samples_shown(typed: &TypedContent, samples: &BTreeMap<String, Value>) -> Fields {
    let placeholders = typed.placeholders();
    let shown = |(name, sample): (&String, &Value)| {
        let kind = typed.variables.get(name).map_or(VariableType::Any, |one| one.kind);
        let text = match sample.as_str().filter(|_| placeholders.contains(name.as_str())) {
            Some(typed) => typed.to_owned(),
            None => shown(kind, sample),
        };
        (name.clone(), text)
    };
    samples.iter().map(shown).collect()
}

/// The samples as typed.
fn samples_typed(fields: &Fields) -> Fields {
    let sample = |(name, typed): (&String, &String)| {
        let name = name.strip_prefix("s.").or_else(|| name.strip_prefix("p."))?;
        Some((name.to_owned(), typed.replace("\r\n", "\n")))
    };
    fields.iter().filter_map(sample).collect()
}

/// What a button does besides saving.
enum EditorAction {
    Save { overwrite: bool },
    Publish,
    Propose,
    Deploy,
}

impl EditorAction {
    fn of(action: &str) -> Self {
        match action {
            "publish" => Self::Publish,
            "propose" => Self::Propose,
            "deploy" => Self::Deploy,
            _ => Self::Save { overwrite: action == "overwrite" },
        }
    }
}

/// Saves, and publishes if requested; returns the path to continue with, unless it is the editor.
async fn work(
    app: &App,
    visitor: &Visitor,
    desk: &DraftEditor,
    typed: &TypedContent,
    fields: &Fields,
    asked: &EditorAction,
) -> Result<Option<String>, Failure> {
    let revision = save(desk, typed, fields, matches!(asked, EditorAction::Save { overwrite: true })).await?;
    let message = fields.get("message").cloned().unwrap_or_default();
    let label = || fields.get("label").map_or("", |label| label.trim()).parse::<Label>();
    let labels = match asked {
        EditorAction::Save { .. } => return Ok(None),
        EditorAction::Publish => Vec::new(),
        // An invalid label is rejected before anything is published.
        EditorAction::Propose => {
            label()?;
            Vec::new()
        }
        EditorAction::Deploy => vec![label()?],
    };
    let (registry, actor, name) = (&desk.registry, &desk.actor, &desk.name);
    if matches!(asked, EditorAction::Deploy) {
        let (registry, actor, name, content) = (registry.clone(), actor.clone(), name.clone(), typed.content());
        let content = content.unwrap_or_else(|_| desk.content());
        let (app, visitor) = (Arc::clone(app), visitor.clone());
        let preview = move || registry.preview_version(&visitor.view(&app)?, &actor, &name, &content);
        let preview = blocking(preview).await??;
        check_findings(&preview.findings, fields)?;
    }
    // Publishes exactly the input, not what someone else saved in the meantime.
    let expected_revision = Some(revision);
    let allow_major = fields.contains_key("allow_major");
    let request = PublishDraftRequest { message: message.clone(), bump: None, labels, expected_revision, allow_major };
    let published = registry.publish_draft(actor, name.clone(), desk.draft.clone(), request).await?;
    let number = published.version.number;
    let done = match asked {
        EditorAction::Propose => {
            let serving = ServingRequest { version: Some(number), ..ServingRequest::default() };
            let moves = vec![Move { name: name.clone(), label: label()?, serving, expected_deployment: None }];
            let request = ProposeRequest { message, moves, ..ProposeRequest::default() };
            match registry.propose(actor, request).await {
                Ok(made) => return Ok(Some(format!("{}?done=propose", request_path(made.id)))),
                Err(error) => {
                    tracing::warn!(%error, %name, "a version was published, and its change request refused");
                    "unasked"
                }
            }
        }
        _ if !published.created && published.deployment.is_none() => "same",
        EditorAction::Deploy => "deployed",
        EditorAction::Publish | EditorAction::Save { .. } => "published",
    };
    let query = query(&[("version", &number.to_string()), ("done", done)]);
    Ok(Some(format!("{}{query}", prompt_path(name.as_str()))))
}

/// Requires a confirmation before deploying findings with a high risk or above.
pub(super) fn check_findings(findings: &[Finding], fields: &Fields) -> Result<(), Failure> {
    let grave = findings.iter().filter(|one| one.is_grave()).max_by_key(|one| one.severity);
    match grave.filter(|_| !fields.contains_key(DESPITE_FINDINGS)) {
        None => Ok(()),
        Some(Finding { severity, message, .. }) => {
            let reason =
                format!("{message} ({severity}); tick the box to deploy despite this finding, or request review");
            Err(RequestError::FormValue { field: "Findings", reason }.into())
        }
    }
}

/// Saves the input and its samples; returns the revision.
async fn save(desk: &DraftEditor, typed: &TypedContent, fields: &Fields, overwrite: bool) -> Result<u64, Failure> {
    let fields_wrong = |wrong: Fields| {
        let named = wrong.iter().map(|(name, why)| format!("{name}: {why}"));
        RequestError::FormFields { wrong: named.collect() }
    };
    let content = typed.content().map_err(fields_wrong)?;
    let number = |name: &str| fields.get(name).and_then(|text| text.parse::<u64>().ok());
    let samples: BTreeMap<String, Value> = samples_typed(fields)
        .into_iter()
        .filter_map(|(name, typed_value)| {
            let kind = typed.variables.get(&name).map_or(VariableType::Any, |one| one.kind);
            // Messages of a placeholder are stored as typed.
            let sample = if fields.contains_key(&format!("p.{name}")) {
                (!typed_value.is_empty()).then_some(Value::String(typed_value))
            } else {
                value(kind, &typed_value)
            };
            Some((name, sample?))
        })
        .collect();
    let request = DraftRequest {
        content,
        parent: number("parent"),
        expected_revision: if overwrite { None } else { number("revision") },
    };
    let (registry, actor, name) = (&desk.registry, &desk.actor, &desk.name);
    let saved = registry.save_draft(actor, name.clone(), desk.draft.clone(), request).await?;
    let kept = &desk.samples;
    // Samples of other drafts are kept.
    let all: BTreeMap<String, Value> = kept
        .iter()
        .filter(|(name, _)| !fields.contains_key(&format!("s.{name}")) && !fields.contains_key(&format!("p.{name}")))
        .map(|(name, sample)| (name.clone(), sample.clone()))
        .chain(samples)
        .collect();
    if all != *kept {
        registry.keep_samples(actor, name.clone(), all).await?;
    }
    Ok(saved.revision)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled_now(content: &Content, samples: &Fields) -> (Result<Content, String>, Vec<String>) {
        filled(content, samples, &Cancellation::never())
    }

    fn content(value: &Value) -> Content {
        serde_json::from_value(value.clone()).expect("a content")
    }

    fn samples(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn draft_preview_uses_samples_and_names_missing_ones() {
        let chat = content(&json!({"syntax": "mustache", "messages": [
            {"role": "system", "content": "Help {{shop}} in {{city}}."}, {"type": "placeholder", "name": "history"}],
            "variables": [{"name": "city", "required": true}, {"name": "shop", "required": true}]}));
        let (rendered, missing) =
            filled_now(&chat, &samples(&[("shop", "Acme"), ("history", r#"[{"role":"user","content":"Hi"}]"#)]));
        let shown = serde_json::to_string(&rendered.expect("a content")).expect("json");
        assert!(shown.contains("Help Acme in ⟨city⟩.") && shown.contains("Hi"), "{shown}");
        assert_eq!(missing, ["city"]);
        let (wrong, _) = filled_now(&chat, &samples(&[("history", "Hi")]));
        assert!(wrong.expect_err("no list").contains("`history`"));
        let number = content(&json!({"syntax": "jinja", "text": "{{ n + 1 }}",
            "variables": [{"name": "n", "required": true, "type": "number"}]}));
        assert!(filled_now(&number, &samples(&[])).0.expect_err("missing").contains('n'));
        assert_eq!(filled_now(&number, &samples(&[("n", "2")])).0, Ok(Content::text(Syntax::Plain, "3")));
    }
}
