//! The forms of a suite: its cases, its settings, the whole as text, and the import of cases.
//!
//! Each save is a new version, of the suite as it is then: what someone else changed meanwhile is never overwritten
//! unseen.

use std::io;

use axum::extract::State;
use axum::response::Response;
use tokio::sync::Semaphore;

use super::super::error::Failure;
use super::super::evaluations::evaluations;
use super::super::extract::{NoParams, Params, Segments};
use super::super::request::RequestError;
use super::super::rule_sets::claim;
use super::super::state::{App, Shared};
use super::edit::sign_in_first;
use super::html;
use super::upload::{BESIDE, Files, SUITE, Upload};
use super::visitor::{CONTENT_FORM_BYTES_MAX, SubmittedForm, Visitor, field, redirect};
use crate::clock::Cancellation;
use crate::evaluate::Evaluations;
use crate::evaluation::import::{self, ImportOptions, Imported};
use crate::model::handle::is_handle;
use crate::model::principal::Permission;
use crate::model::suite::{Case, Suite};
use crate::registry::RegistryError;
use crate::web::form::{FormError, FormValues};
use crate::web::layout::query;
use crate::web::pages::gates::{NEW_SUITE, case_path, form_path, suite_path};
use crate::web::pages::suite_editor::{self as pages, ImportReview, SuiteForm, UNSUPPORTED_SHOWN_MAX};
use crate::web::typed::Fields;
use crate::web::typed::suite::{Typed, add_scorer, case_fields, case_of, scorer_count, settings_fields, settings_of};
use crate::yaml;

/// Longest suite as text in a form, in bytes; longer ones need the command line.
const TEXT_BYTES_MAX: usize = 1024 * 1024;
/// Files that are converted at once.
static IMPORTS: Semaphore = Semaphore::const_new(2);

/// A form of a suite.
#[derive(Clone, Debug)]
enum Which {
    /// One case by its name; empty for a new one.
    Case(String),
    /// Everything but the cases.
    Settings,
    /// All of it.
    Text,
}

/// A suite as it is now.
struct Opened {
    name: String,
    /// The number of its latest version; 0 if there is none yet.
    number: u64,
    suite: Suite,
    models: Vec<String>,
}

/// Why a form was not saved.
enum Refusal {
    /// Something is wrong with fields.
    Fields(Fields),
    /// Everything else.
    Failure(Box<Failure>),
}

impl<E: Into<Failure>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Failure(Box::new(error.into()))
    }
}

/// What a form shows again.
#[derive(Default)]
struct Again {
    wrong: Fields,
    refused: Option<FormError>,
}

/// Opens a suite for somebody who may change it.
fn open(app: &Shared, visitor: &Visitor, name: &str) -> Result<Opened, Failure> {
    let evaluations = evaluations(app)?;
    visitor.view(app)?.scope().check_everything("suites")?;
    let actor = visitor.actor().ok_or(RequestError::TokenMissing)?;
    evaluations.registry().may_look(actor, Permission::Suites)?;
    if !is_handle(name) {
        return Err(RegistryError::Handle { what: "a suite", name: name.chars().take(64).collect() }.into());
    }
    let (number, suite) = match evaluations.registry().suite(name, None) {
        Ok((version, suite)) => (version.number, suite),
        Err(RegistryError::NotFound { .. }) => (0, Suite { repeats: 1, ..Suite::default() }),
        Err(error) => return Err(error.into()),
    };
    Ok(Opened { name: name.to_owned(), number, suite, models: models_of(&evaluations) })
}

/// The models that the settings name.
pub(super) fn models_of(evaluations: &Evaluations) -> Vec<String> {
    let named = |view: crate::api::evaluations::ProviderView| {
        let name = view.name;
        let models = view.models.into_iter().filter(|model| !model.contains('*'));
        models.map(|model| format!("{name}:{model}")).collect::<Vec<_>>()
    };
    evaluations.providers().into_iter().flat_map(named).collect()
}

impl Opened {
    fn case(&self, name: &str) -> Result<Option<&Case>, Failure> {
        if name.is_empty() {
            return Ok(None);
        }
        let absent = || RegistryError::NotFound { what: "case", name: name.chars().take(100).collect() };
        Ok(Some(self.suite.cases.iter().find(|case| case.name == name).ok_or_else(absent)?))
    }

    /// The fields of a form that was not sent yet.
    fn fields(&self, which: &Which) -> Result<FormValues, Failure> {
        let mut fields = match which {
            Which::Case(name) => case_fields(self.case(name)?, Some(&self.suite)),
            Which::Settings => settings_fields(&self.suite),
            Which::Text => {
                let mut fields = FormValues::default();
                if self.number > 0 {
                    fields.set("text", text_of(&self.suite)?);
                }
                fields
            }
        };
        if scorer_count(&fields) == 0 && !matches!(which, Which::Text) {
            add_scorer(&mut fields);
        }
        Ok(fields)
    }

    fn page(
        &self,
        app: &Shared,
        visitor: &Visitor,
        which: &Which,
        typed: &FormValues,
        again: &Again,
    ) -> Result<String, Failure> {
        let frame = visitor.frame_alone(app)?;
        let Again { wrong, refused } = again;
        let (name, number, models) = (self.name.as_str(), self.number, self.models.as_slice());
        let form = SuiteForm { name, number, typed, wrong, refused: refused.as_ref(), models };
        Ok(match which {
            Which::Case(case) => pages::case(&frame, &form, case),
            Which::Settings => pages::settings(&frame, &form),
            Which::Text => pages::text(&frame, &form, ImportReview::sent(typed).as_ref()),
        })
    }

    /// The suite that a form makes of it, and why.
    fn changed(mut self, which: &Which, typed: &FormValues) -> Result<(Suite, String), Refusal> {
        if typed.get("version").parse() != Ok(self.number) {
            let reason = format!(
                "someone else changed this suite since you opened it; it is at version {} now. Review and save again",
                self.number
            );
            return Err(Failure::from(RequestError::FormValue { field: "Not saved", reason }).into());
        }
        let told = match which {
            Which::Case(name) => {
                let before = self.case(name)?.cloned();
                if typed.get("do") == "remove" {
                    self.suite.cases.retain(|case| case.name != *name);
                    format!("Remove the case {name}")
                } else {
                    let case = fit(case_of(typed, before.as_ref()))?;
                    let verb = if before.is_some() { "Change" } else { "Add" };
                    let told = format!("{verb} the case {}", case.name);
                    match self.suite.cases.iter_mut().find(|one| Some(&one.name) == before.as_ref().map(|it| &it.name))
                    {
                        Some(place) => *place = case,
                        None => self.suite.cases.push(case),
                    }
                    told
                }
            }
            Which::Settings => {
                self.suite = fit(settings_of(typed, &self.suite))?;
                "Change the settings".to_owned()
            }
            Which::Text => {
                self.suite = fit(read_text(&self.name, typed))?;
                "Change the suite".to_owned()
            }
        };
        let why = typed.get("why").trim();
        Ok((self.suite, if why.is_empty() { told } else { why.to_owned() }))
    }
}

fn fit<T>(typed: Typed<T>) -> Result<T, Refusal> {
    typed.map_err(Refusal::Fields)
}

/// The suite of the field for all of it.
fn read_text(name: &str, typed: &FormValues) -> Typed<Suite> {
    let wrong = |reason: String| Fields::from([("text".to_owned(), reason)]);
    if !typed.get("left_out").is_empty() && !typed.ticked("without") {
        return Err(wrong("confirm that cases are left out, or add them to the text".to_owned()));
    }
    let text = typed.get("text").replace("\r\n", "\n");
    let file = if text.trim_start().starts_with('{') { "suite.json" } else { "suite" };
    let (named, suite) = import::suite_file(&text, file).map_err(|error| wrong(error.to_string()))?;
    match named {
        Some(other) if other != name => Err(wrong(format!("`name` is {other}, but this is the suite {name}"))),
        _ => Ok(suite),
    }
}

/// A suite as YAML.
fn text_of(suite: &Suite) -> Result<String, Failure> {
    let value = serde_json::to_value(suite).map_err(|error| RequestError::Task(error.to_string()))?;
    let text = value.as_object().map(yaml::write).unwrap_or_default();
    if text.len() > TEXT_BYTES_MAX {
        let reason = format!(
            "the suite is {} bytes long, too long for a form; use `bookholder eval suite` and `bookholder eval push`",
            text.len()
        );
        return Err(RequestError::Unfit { reason }.into());
    }
    Ok(text)
}

/// Shows the form of a case.
pub(super) async fn case(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    mut params: Params,
) -> Result<Response, Failure> {
    let case = params.text("case").unwrap_or_default();
    params.finish(&["case"])?;
    show(app, visitor, segments.text("name"), Which::Case(case)).await
}

/// Shows the form of everything but the cases.
pub(super) async fn settings(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    _: NoParams,
) -> Result<Response, Failure> {
    show(app, visitor, segments.text("name"), Which::Settings).await
}

/// Shows all of it as text.
pub(super) async fn text(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    _: NoParams,
) -> Result<Response, Failure> {
    show(app, visitor, segments.text("name"), Which::Text).await
}

async fn show(app: App, visitor: Visitor, name: &str, which: Which) -> Result<Response, Failure> {
    let name = name.to_owned();
    if visitor.signed().is_none() {
        let path = match &which {
            Which::Case(case) => case_path(&name, case),
            Which::Settings => form_path(&name, "settings"),
            Which::Text => form_path(&name, "text"),
        };
        return Ok(sign_in_first(&path));
    }
    let held = app.clone();
    let work = move |_: &Cancellation| {
        let opened = open(&app, &visitor, &name)?;
        let typed = opened.fields(&which)?;
        opened.page(&app, &visitor, &which, &typed, &Again::default())
    };
    Ok(html(held.work.heavy(work).await??))
}

/// A form of a suite, as it was sent.
type SuiteFormSent = SubmittedForm<CONTENT_FORM_BYTES_MAX>;

/// Saves or removes a case, or adds a field for a scorer.
pub(super) async fn act_on_case(
    State(app): State<App>,
    segments: Segments,
    mut sent: SuiteFormSent,
) -> Result<Response, Failure> {
    let typed = sent.typed();
    let which = Which::Case(typed.get("case").to_owned());
    act(app, segments.text("name"), which, sent, typed).await
}

/// Saves everything but the cases.
pub(super) async fn act_on_settings(
    State(app): State<App>,
    segments: Segments,
    mut sent: SuiteFormSent,
) -> Result<Response, Failure> {
    let typed = sent.typed();
    act(app, segments.text("name"), Which::Settings, sent, typed).await
}

/// Saves a suite as text.
pub(super) async fn act_on_text(
    State(app): State<App>,
    segments: Segments,
    mut sent: SuiteFormSent,
) -> Result<Response, Failure> {
    let typed = sent.typed();
    act(app, segments.text("name"), Which::Text, sent, typed).await
}

async fn act(
    app: App,
    name: &str,
    which: Which,
    sent: SuiteFormSent,
    mut typed: FormValues,
) -> Result<Response, Failure> {
    let (name, visitor) = (name.to_owned(), sent.visitor());
    let again = if typed.get("do") == "scorer" {
        add_scorer(&mut typed);
        Again::default()
    } else {
        match save(&app, &sent, &name, &which, &typed).await {
            Ok(()) => return Ok(redirect(&format!("{}{}", suite_path(&name), query(&[("done", "saved")])))),
            Err(Refusal::Fields(wrong)) => Again { wrong, refused: None },
            Err(Refusal::Failure(failure)) => match failure.refusal() {
                Some((_, refused)) => Again { refused: Some(refused), ..Again::default() },
                None => return Err(*failure),
            },
        }
    };
    let held = app.clone();
    let work = move |_: &Cancellation| open(&app, &visitor, &name)?.page(&app, &visitor, &which, &typed, &again);
    Ok(html(held.work.heavy(work).await??))
}

async fn save(app: &App, sent: &SuiteFormSent, name: &str, which: &Which, typed: &FormValues) -> Result<(), Refusal> {
    let (registry, actor) = sent.writer(app)?;
    let (held, visitor) = (app.clone(), sent.visitor());
    let (name, which, typed) = (name.to_owned(), which.clone(), typed.clone());
    let work = move |_: &Cancellation| {
        let opened = open(&held, &visitor, &name)?;
        let number = opened.number;
        opened.changed(&which, &typed).map(|(suite, why)| (name, number, suite, why))
    };
    let (name, number, suite, why) = app.work.heavy(work).await??;
    registry.push_suite(&actor, name, suite, &why, Some(number)).await?;
    Ok(())
}

/// Shows the ways to a new suite; with a name, leads to its first case.
pub(super) async fn new(State(app): State<App>, visitor: Visitor, mut params: Params) -> Result<Response, Failure> {
    let name = params.text("name").map(|name| name.trim().to_owned());
    params.finish(&["name"])?;
    if visitor.signed().is_none() {
        return Ok(sign_in_first(NEW_SUITE));
    }
    let held = app.clone();
    let work = move |_: &Cancellation| {
        let found = open(&app, &visitor, name.as_deref().unwrap_or("suite"));
        match (found, name) {
            (Ok(opened), Some(name)) if opened.number == 0 => Ok(redirect(&case_path(&name, ""))),
            (Ok(_), Some(name)) => Ok(redirect(&suite_path(&name))),
            (found, name) => {
                let refused = match found {
                    Ok(_) => None,
                    Err(failure @ Failure::Registry(RegistryError::Handle { .. })) => failure.refusal(),
                    Err(failure) => return Err(failure),
                };
                let refused = refused.map(|(_, refused)| refused);
                Ok(html(pages::new(&visitor.frame_alone(&app)?, name.as_deref().unwrap_or_default(), refused.as_ref())))
            }
        }
    };
    held.work.heavy(work).await?
}

/// Converts the file of another tool, and shows what would be saved and what is not supported.
pub(super) async fn import(State(app): State<App>, upload: Upload) -> Result<Response, Failure> {
    let Upload { mut sent, files, _share } = upload;
    sent.writer(&app)?;
    let visitor = sent.visitor();
    let (name, format) = (field(&mut sent.form, "name")?, field(&mut sent.form, "format")?);
    sent.form.finish(&["name", "format"])?;
    let _turn = claim(&IMPORTS, "too many imports of suites")?;
    let held = app.clone();
    let work = move |_: &Cancellation| {
        let read = open(&app, &visitor, name.trim()).and_then(|opened| {
            let (review, text) = review(&format, files)?;
            let mut typed = review.fields();
            typed.set("text", text);
            typed.set("why", format!("Import {}", review.file));
            opened.page(&app, &visitor, &Which::Text, &typed, &Again::default())
        });
        let failure = match read {
            Ok(page) => return Ok(page),
            Err(failure) => failure,
        };
        let Some((_, refused)) = failure.refusal() else { return Err(failure) };
        Ok(pages::new(&visitor.frame_alone(&app)?, name.trim(), Some(&refused)))
    };
    Ok(html(held.work.heavy(work).await??))
}

/// What a file becomes: the list of what is not supported, and the suite as text.
fn review(format: &str, files: Files) -> Result<(ImportReview, String), Failure> {
    let unfit = |reason: String| Failure::from(RequestError::Upload { reason });
    let (mut main, mut beside) = (None, Vec::new());
    for file in files.kept {
        let text = String::from_utf8(file.bytes).map_err(|_| unfit(format!("{} is not UTF-8", file.path)))?;
        let name = file.path.rsplit('/').next().unwrap_or_default().to_owned();
        match file.field.as_str() {
            SUITE if main.is_none() => main = Some((name, text)),
            BESIDE => beside.push((name, text)),
            _ => return Err(unfit("it has a file too many".to_owned())),
        }
    }
    let (file, text) = main.ok_or_else(|| unfit("choose a file first".to_owned()))?;
    let imported = convert(format, (&file, &text), &beside).map_err(|error| unfit(error.to_string()))?;
    let Imported { suite, left_out, unsupported, .. } = imported;
    let more = unsupported.len().saturating_sub(UNSUPPORTED_SHOWN_MAX);
    let unsupported = unsupported.iter().take(UNSUPPORTED_SHOWN_MAX).map(ToString::to_string).collect();
    Ok((ImportReview { file, cases: suite.cases.len(), left_out, unsupported, more }, text_of(&suite)?))
}

fn convert(
    format: &str,
    (file, text): (&str, &str),
    beside: &[(String, String)],
) -> Result<Imported, import::ImportError> {
    let read = |path: &str| {
        // Browsers send the names of chosen files without their folders.
        let name = path.rsplit('/').next().unwrap_or_default();
        let mut found = beside.iter().filter(|(found, _)| found == name).map(|(_, text)| text);
        match (found.next(), found.next()) {
            (Some(text), None) => Ok(text.clone()),
            (Some(_), Some(_)) => Err(io::Error::other(format!("two files are called {name}; send one of them"))),
            (None, _) => Err(io::Error::new(io::ErrorKind::NotFound, "it was not sent; choose it as well")),
        }
    };
    let options = ImportOptions::default();
    match format {
        "csv" => import::csv(text, file, options),
        "jsonl" => import::jsonl(text, file, options),
        "langfuse" => import::langfuse(text, file),
        "openai-evals" => {
            import::openai_evals(text, beside.first().map(|(_, criteria)| criteria.as_str()), file, options)
        }
        "suite" => import::suite_file(text, file).map(|(name, suite)| Imported { suite, name, ..Imported::default() }),
        _ => import::promptfoo(text, &read, options),
    }
}
