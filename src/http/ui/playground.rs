//! The playground: a form, the answers as they come, and the form that keeps a case.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::{Map, Value};
use tokio::sync::{Notify, mpsc};

use super::super::error::Failure;
use super::super::evaluations::evaluations;
use super::super::extract::{Params, blocking};
use super::super::request::RequestError;
use super::super::state::{App, Shared};
use super::html;
use super::visitor::{SubmittedForm, Visitor, field, redirect};
use crate::evaluate::{EvaluationError, Evaluations, Question};
use crate::model::content::{Content, VariableType};
use crate::model::evaluation::Answer;
use crate::model::name::PromptName;
use crate::model::reference::{Reference, Selector};
use crate::model::suite::{Case, CheckKind, ModelName, Scorer};
use crate::registry::Actor;
use crate::resolve::CatalogueView;
use crate::web::form::FormValues;
use crate::web::layout::{Frame, query};
use crate::web::pages::gates::suite_path;
use crate::web::pages::playground::{self as pages, Playground};

/// Most answers of one page: two versions on two models.
const ANSWERS_MAX: usize = 4;
/// Parts of texts that wait to be sent.
const PARTS_WAITING: usize = 64;

/// A version in the playground.
struct Opened {
    reference: String,
    prompt: PromptName,
    content: Content,
}

/// Shows the form, for a version if one is named.
pub(super) async fn form(State(app): State<App>, visitor: Visitor, mut params: Params) -> Result<Response, Failure> {
    let evaluations = evaluations(&app)?;
    let (reference, message) = (params.text("prompt").unwrap_or_default(), params.text("message"));
    let work = move || -> Result<String, Failure> {
        let view = visitor.view(&app)?;
        let opened = if reference.is_empty() { None } else { Some(open(&view, &reference)?) };
        let mut typed = FormValues::default();
        typed.put("message", message.unwrap_or_default());
        let models = models(&evaluations, opened.as_ref().map(|opened| &opened.content));
        typed.put("models", models.first().cloned().unwrap_or_default());
        let left = visitor.seat().map(|seat| evaluations.allowance(seat.actor())).transpose()?;
        let shown = Playground {
            reference: opened.as_ref().map_or(reference.as_str(), |opened| &opened.reference),
            content: opened.as_ref().map(|opened| &opened.content),
            typed: &typed,
            models: &models,
            left,
            has_providers: !evaluations.providers().is_empty(),
        };
        Ok(pages::page(&visitor.frame(&app, &view), &shown, false).0)
    };
    Ok(html(blocking(work).await??))
}

/// Asks, and sends each answer while it comes.
pub(super) async fn ask(State(app): State<App>, mut sent: SubmittedForm) -> Result<Response, Failure> {
    let (_, actor) = sent.writer(&app)?;
    let (visitor, evaluations) = (sent.visitor(), evaluations(&app)?);
    let typed = sent.typed();
    let opening = {
        let (app, evaluations, actor) = (Arc::clone(&app), evaluations.clone(), actor.clone());
        move || prepare(&app, &visitor, &evaluations, &actor, typed)
    };
    let asking = blocking(opening).await??;
    let (parts, mut coming) = mpsc::channel::<String>(PARTS_WAITING);
    evaluations.spawn(asking.run(evaluations.clone(), actor, parts))?;
    let body = futures_util::stream::poll_fn(move |context| {
        coming.poll_recv(context).map(|part| part.map(|part| Ok::<_, Infallible>(Bytes::from(part))))
    });
    Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], Body::from_stream(body)).into_response())
}

/// A page whose answers are still to come.
struct Asking {
    frame: Frame,
    typed: FormValues,
    models: Vec<String>,
    versions: Vec<Opened>,
    asked: Vec<ModelName>,
    left: Option<crate::model::usd::Usd>,
    variables: Map<String, Value>,
}

fn prepare(
    app: &Shared,
    visitor: &Visitor,
    evaluations: &Evaluations,
    actor: &Actor,
    typed: FormValues,
) -> Result<Asking, Failure> {
    let view = visitor.view(app)?;
    let mut versions = vec![open(&view, typed.get("prompt"))?];
    let first = versions.first().map(|first| (first.prompt.clone(), first.content.clone()));
    let Some((prompt, content)) = first else { return Err(wrong("prompt", "name a version")) };
    let against = typed.get("against").trim();
    if !against.is_empty() {
        versions.push(open(&view, &format!("{prompt}@{}", against.trim_start_matches('@')))?);
    }
    let named = typed.get("models").split_whitespace().map(str::parse::<ModelName>);
    let mut asked = named.collect::<Result<Vec<_>, _>>().map_err(|error| wrong("models", &error.to_string()))?;
    if asked.is_empty() {
        asked.extend(evaluations.models_for(&content).into_iter().next());
    }
    if asked.is_empty() {
        return Err(wrong("models", "name one, as PROVIDER:MODEL"));
    }
    if asked.len() * versions.len() > ANSWERS_MAX {
        return Err(wrong("models", "ask for at most four answers at once"));
    }
    let variables = values(&content, &typed);
    let models = models(evaluations, Some(&content));
    let left = Some(evaluations.allowance(actor)?);
    Ok(Asking { frame: visitor.frame(app, &view), typed, models, versions, asked, left, variables })
}

/// An answer that is on its way, and how much of it the page has.
struct Column {
    heading: String,
    question: Question,
    text: Mutex<String>,
}

impl Column {
    fn text(&self) -> MutexGuard<'_, String> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far the columns were sent. A page has one order, so a column waits for those before it; all are asked at once.
#[derive(Default)]
struct Shown {
    column: usize,
    begun: bool,
    /// Bytes of the text of the column.
    sent: usize,
    answered: Vec<Option<Result<Answer, EvaluationError>>>,
    /// The texts of the columns that are complete.
    texts: Vec<String>,
}

impl Shown {
    fn is_complete(&self) -> bool {
        self.column == self.answered.len()
    }

    /// The next piece of the page; none before more of the answer is there.
    fn piece(&mut self, columns: &[Column]) -> Option<String> {
        let column = columns.get(self.column)?;
        let mut piece = String::new();
        if !self.begun {
            self.begun = true;
            piece.push_str(&column.heading);
        }
        match self.answered.get_mut(self.column).and_then(Option::take) {
            None => {
                let text = column.text();
                piece.push_str(&pages::part(text.get(self.sent..).unwrap_or_default()));
                self.sent = text.len();
                return Some(piece).filter(|piece| !piece.is_empty());
            }
            Some(Ok(answer)) => {
                piece.push_str(&pages::part(answer.text.get(self.sent..).unwrap_or_default()));
                piece.push_str(&pages::end_answer(Ok(&answer)));
                self.texts.push(answer.text);
            }
            Some(Err(error)) => piece.push_str(&pages::end_answer(Err(&reason(&error)))),
        }
        (self.column, self.begun, self.sent) = (self.column.saturating_add(1), false, 0);
        Some(piece)
    }
}

impl Asking {
    /// Asks for all answers at once; ends when the browser is gone.
    async fn run(self, evaluations: Evaluations, actor: Actor, parts: mpsc::Sender<String>) {
        let Some(first) = self.versions.first() else { return };
        let page = Playground {
            reference: &first.reference,
            content: Some(&first.content),
            typed: &self.typed,
            models: &self.models,
            left: self.left,
            has_providers: true,
        };
        let (before, after) = pages::page(&self.frame, &page, true);
        let (open, close) = pages::ANSWERS_BESIDE;
        if parts.send(before + open).await.is_err() {
            return;
        }
        let asked = self.versions.iter().flat_map(|version| self.asked.iter().map(move |model| (version, model)));
        let columns: Vec<Column> = asked.map(|(version, model)| self.column(version, model)).collect();
        let (evaluations, actor, more) = (&evaluations, &actor, &Notify::new());
        let mut asking: FuturesUnordered<_> = columns
            .iter()
            .enumerate()
            .map(move |(place, column)| {
                let on_text = move |text: &str| {
                    column.text().push_str(text);
                    more.notify_one();
                };
                async move { (place, evaluations.ask(actor, &column.question, on_text).await) }
            })
            .collect();
        let mut shown = Shown { answered: columns.iter().map(|_| None).collect(), ..Shown::default() };
        let mut piece = shown.piece(&columns);
        while !shown.is_complete() || piece.is_some() {
            tokio::select! {
                // A browser that is slow holds up no model.
                permit = parts.reserve(), if piece.is_some() => {
                    let Ok(permit) = permit else { return };
                    permit.send(piece.take().unwrap_or_default());
                }
                Some((place, answer)) = asking.next() => {
                    if let Some(answered) = shown.answered.get_mut(place) {
                        *answered = Some(answer);
                    }
                }
                () = more.notified() => {}
                () = parts.closed() => return,
            }
            piece = piece.or_else(|| shown.piece(&columns));
        }
        let differences = match shown.texts.as_slice() {
            [first, second, ..] => pages::differences(first, second),
            _ => String::new(),
        };
        let keep = shown.texts.first().map(|text| pages::keep(&self.frame, &page, text)).unwrap_or_default();
        let _gone = parts.send(close.to_owned() + &differences + &keep + &after).await;
    }

    fn column(&self, version: &Opened, model: &ModelName) -> Column {
        Column {
            heading: pages::begin_answer(&version.reference, &model.to_string()),
            question: Question {
                prompt: version.prompt.clone(),
                content: version.content.clone(),
                variables: self.variables.clone(),
                message: self.typed.get("message").trim().to_owned(),
                model: model.clone(),
            },
            text: Mutex::default(),
        }
    }
}

/// What a visitor reads about an error: internal ones only say so.
fn reason(error: &EvaluationError) -> String {
    match error {
        EvaluationError::Store(_) => "what this cost could not be stored; see the log of the node".to_owned(),
        other => other.to_string(),
    }
}

/// Keeps a question as a case of a suite.
pub(super) async fn keep(State(app): State<App>, mut sent: SubmittedForm) -> Result<Response, Failure> {
    let (_, actor) = sent.writer(&app)?;
    let mut case = kept_case(&mut sent)?;
    let (suite, message) = (field(&mut sent.form, "suite")?, field(&mut sent.form, "message")?);
    let (reference, typed) = (field(&mut sent.form, "prompt")?, typed_variables(&mut sent));
    let (held, visitor) = (app.clone(), sent.visitor());
    sent.form.finish(&["form", "prompt", "suite", "name", "message", "expected", "contains"])?;
    let read = move || -> Result<_, Failure> {
        let opened = open(&visitor.view(&held)?, &reference)?;
        Ok(values(&opened.content, &typed))
    };
    case.variables = blocking(read).await??;
    if !message.trim().is_empty() {
        case.messages.push(serde_json::json!({ "role": "user", "content": message.trim() }));
    }
    let suite = suite.trim().to_owned();
    evaluations(&app)?.keep_case(&actor, suite.clone(), case).await?;
    Ok(redirect(&format!("{}{}", suite_path(&suite), query(&[("done", "kept")]))))
}

/// The fields of variables.
pub(super) fn typed_variables(sent: &mut SubmittedForm) -> FormValues {
    let given = sent.form.all("var.");
    // Browsers send line breaks as CRLF.
    let field = |(name, value): (String, String)| (format!("var.{name}"), value.replace("\r\n", "\n"));
    FormValues::new(given.into_iter().map(field).collect())
}

/// The case of a form: its name, what is expected, and what the answer must contain.
pub(super) fn kept_case(sent: &mut SubmittedForm) -> Result<Case, Failure> {
    let (name, expected) = (field(&mut sent.form, "name")?, field(&mut sent.form, "expected")?);
    let contains = field(&mut sent.form, "contains")?;
    let mut case = Case { name: name.trim().to_owned(), weight: 1.0, ..Case::default() };
    case.expected = Some(expected.trim()).filter(|text| !text.is_empty()).map(Value::from);
    let (kind, value) = match contains.trim() {
        "" if case.expected.is_none() => {
            return Err(wrong("contains", "say what the answer must contain, or what answer is expected"));
        }
        "" => (CheckKind::Equals, None),
        contains => (CheckKind::Icontains, Some(contains.into())),
    };
    case.scorers.push(Scorer::new(kind, value));
    Ok(case)
}

fn open(view: &CatalogueView, reference: &str) -> Result<Opened, Failure> {
    let reference: Reference = reference.trim().parse()?;
    let version = view.version(&reference.name, &reference.selector)?;
    let shown = match &reference.selector {
        Selector::Label(label) => format!("{}@{label}", reference.name),
        _ => format!("{}@{}", reference.name, version.version.number),
    };
    Ok(Opened { reference: shown, prompt: reference.name, content: version.content })
}

/// Values as typed: JSON where the variable is not a text.
pub(super) fn values(content: &Content, typed: &FormValues) -> Map<String, Value> {
    let mut values = Map::new();
    for variable in &content.variables {
        let text = typed.get(&format!("var.{}", variable.name));
        if text.is_empty() {
            continue;
        }
        let plain = || Value::String(text.to_owned());
        let value = match variable.kind {
            VariableType::String | VariableType::Any => plain(),
            _ => serde_json::from_str(text).unwrap_or_else(|_| plain()),
        };
        values.insert(variable.name.clone(), value);
    }
    values
}

fn models(evaluations: &Evaluations, content: Option<&Content>) -> Vec<String> {
    content.map(|content| evaluations.models_for(content)).unwrap_or_default().iter().map(ToString::to_string).collect()
}

pub(super) fn wrong(field: &'static str, reason: &str) -> Failure {
    RequestError::FormValue { field, reason: reason.to_owned() }.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_that_come_at_once_are_sent_in_the_order_of_the_columns() {
        let column = |heading: &str| Column {
            heading: heading.to_owned(),
            question: Question {
                prompt: "a".parse().expect("a name"),
                content: serde_json::from_value(json!({ "text": "hi" })).expect("a content"),
                variables: Map::new(),
                message: String::new(),
                model: "local:a".parse().expect("a model"),
            },
            text: Mutex::default(),
        };
        let columns = [column("[one]"), column("[two]")];
        let mut shown = Shown { answered: vec![None, None], ..Shown::default() };
        assert_eq!(shown.piece(&columns).as_deref(), Some("[one]"));
        assert_eq!(shown.piece(&columns), None, "nothing came since");
        // The second is there first.
        columns[1].text().push_str("two");
        shown.answered[1] = Some(Ok(Answer { text: "two".to_owned(), ..Answer::default() }));
        assert_eq!(shown.piece(&columns), None);
        columns[0].text().push_str("on");
        assert_eq!(shown.piece(&columns).as_deref(), Some("on"));
        columns[0].text().push('e');
        shown.answered[0] = Some(Ok(Answer { text: "one".to_owned(), ..Answer::default() }));
        assert!(shown.piece(&columns).is_some_and(|piece| piece.starts_with("e</pre>")));
        assert!(!shown.is_complete());
        assert!(shown.piece(&columns).is_some_and(|piece| piece.starts_with("[two]two</pre>")));
        assert!(shown.is_complete() && shown.piece(&columns).is_none());
        assert_eq!(shown.texts, ["one", "two"]);
    }
}
