//! Risk rules: the list of sets, the detail page, and their forms.

use axum::extract::State;
use axum::response::Response;

use super::super::super::error::Failure;
use super::super::super::extract::{Params, Segments};
use super::super::super::rule_sets::put_patiently;
use super::super::super::state::{App, Shared};
use super::super::visitor::{CONTENT_FORM_BYTES_MAX, SubmittedForm, Visitor};
use super::{answer, asked, fingerprint, new_name, show, unchanged, unknown_form, which};
use crate::api::govern::RuleSetRequest;
use crate::model::principal::Permission;
use crate::web::form::{FormValues, Outcome};
use crate::web::pages::access::rules::{Rules, RulesPageData, one as one_page, page};
use crate::web::pages::access::rules_path;

/// The URL of the list.
const LIST: &str = "/ui/access/rules";
/// The confirmation, by the word in the URL.
const DONE: [(&str, &str); 2] = [("save", "Saved. Applies to versions published from now on."), ("remove", "Removed.")];

/// Lists rule sets.
pub(in crate::http::ui) async fn list(
    State(app): State<App>,
    visitor: Visitor,
    params: Params,
) -> Result<Response, Failure> {
    show(params, &DONE, move |outcome| all(&app, &visitor, outcome)).await
}

fn all(app: &Shared, visitor: &Visitor, outcome: Outcome) -> Result<String, Failure> {
    let (registry, _) = asked(app, visitor)?;
    let keeps = visitor.holds(app, Permission::Policy);
    Ok(page(&visitor.frame_alone(app)?, &Rules { rows: registry.rule_sets()?, keeps, outcome }))
}

/// Creates a rule set.
pub(in crate::http::ui) async fn create(
    State(app): State<App>,
    mut sent: SubmittedForm<CONTENT_FORM_BYTES_MAX>,
) -> Result<Response, Failure> {
    let (registry, actor) = sent.writer(&app)?;
    let typed = sent.typed();
    let made = async {
        let is_taken = |name: &str| Ok(registry.rule_sets()?.iter().any(|set| set.name == name));
        let name = new_name(&typed, "a rule set", is_taken)?;
        let kept = put_patiently(registry, actor, name, request(&typed)).await?;
        Ok(format!("{}?done=save", rules_path(&kept.name)))
    };
    let did = made.await;
    answer(&sent, typed, did, move |visitor, outcome| all(&app, visitor, outcome)).await
}

fn request(typed: &FormValues) -> RuleSetRequest {
    RuleSetRequest { toml: typed.get("toml").replace("\r\n", "\n"), gitleaks: typed.ticked("gitleaks") }
}

/// Shows one rule set.
pub(in crate::http::ui) async fn one(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    params: Params,
) -> Result<Response, Failure> {
    let name = segments.text("name").to_owned();
    show(params, &DONE, move |outcome| shown(&app, &visitor, &name, outcome)).await
}

fn shown(app: &Shared, visitor: &Visitor, name: &str, outcome: Outcome) -> Result<String, Failure> {
    let (registry, _) = asked(app, visitor)?;
    let set = registry.rule_set(name)?;
    let keeps = visitor.holds(app, Permission::Policy);
    Ok(one_page(&visitor.frame_alone(app)?, &RulesPageData { seen: fingerprint(&set), set, keeps, outcome }))
}

/// Changes or removes a rule set.
pub(in crate::http::ui) async fn act(
    State(app): State<App>,
    segments: Segments,
    mut sent: SubmittedForm<CONTENT_FORM_BYTES_MAX>,
) -> Result<Response, Failure> {
    let (registry, actor) = sent.writer(&app)?;
    let (name, typed) = (segments.text("name").to_owned(), sent.typed());
    let did = async {
        match which(&typed) {
            "save" => {
                unchanged(&typed, &registry.rule_set(&name)?)?;
                put_patiently(registry, actor, name.clone(), request(&typed)).await?;
                Ok(format!("{}?done=save", rules_path(&name)))
            }
            "remove" => {
                registry.remove_rule_set(&actor, name.clone()).await?;
                Ok(format!("{LIST}?done=remove"))
            }
            _ => Err(unknown_form()),
        }
    };
    let did = did.await;
    answer(&sent, typed, did, move |visitor, outcome| shown(&app, visitor, &name, outcome)).await
}
