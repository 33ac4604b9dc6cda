//! `can`: whether a principal is allowed to do something now, and why.

use clap::Args;

use super::context::Context;
use super::error::CliError;
use super::output::{BAD, DIM, GOOD, STRONG, one_line, paint};
use super::{Verdict, requirements};
use crate::api::govern::CanAnswer;
use crate::model::name::Label;
use crate::model::principal::Permission;
use crate::model::reference::{Reference, Selector};

const EXAMPLES: &str = "\
Examples:
  bookholder can me deploy support/agent@7 --to production
  bookholder can ann publish support/agent
  bookholder can ann review support/agent@production
  bookholder can access                  whether you can manage access

The first word is read as the action if it is one; put `me` or a name before it
to be explicit.
Exit codes: 0 yes, 1 no.";

/// The word for the caller.
const ONESELF: &str = "me";

/// `can`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES, override_usage = "bookholder can [WHO] ACTION [NAME[@VERSION]] [--to LABEL] [OPTIONS]")]
pub struct CanArgs {
    /// Who (default: you), the action, e.g. deploy, and the prompt
    #[arg(required = true, num_args = 1..=3, value_names = ["WHO", "ACTION", "NAME[@VERSION]"])]
    words: Vec<String>,
    /// Label to deploy to
    #[arg(long, value_name = "LABEL")]
    to: Option<Label>,
}

/// The question.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Question {
    /// Absent for the caller.
    who: Option<String>,
    action: Permission,
    to: Option<Reference>,
    /// Whether a version or label was given, not only a prompt.
    precisely: bool,
}

pub async fn run(args: CanArgs, context: Context) -> Result<Verdict, CliError> {
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    let wrong = |reason| {
        CliError::usage(reason).hint("for example: `bookholder can ann deploy support/agent@7 --to production`")
    };
    let question = question(&words).map_err(wrong)?;
    let (mut label, mut version) = (args.to, None);
    if let Some(reference) = question.to.as_ref().filter(|_| question.precisely) {
        match (&reference.selector, &label) {
            // Without --to, the label after the @ is the one in question.
            (Selector::Label(place), None) => label = Some(place.clone()),
            _ => version = Some(context.number(reference).await?),
        }
    }
    let name = question.to.as_ref().map(|reference| &reference.name);
    let answer = context.client.can(question.who.as_deref(), question.action, name, label.as_ref(), version).await?;
    context.output.show(&answer, || {
        let what = words.iter().skip_while(|word| **word != question.action.as_str()).copied().collect::<Vec<_>>();
        let to = label.filter(|_| version.is_some()).map(|label| format!(" to {label}")).unwrap_or_default();
        let who = question.who.as_deref().unwrap_or("you");
        context.output.line(show(&answer, who, &format!("{}{to}", what.join(" "))).trim_end())
    })?;
    Ok(if answer.allowed { Verdict::Done } else { Verdict::No })
}

/// Parses `[WHO] ACTION [NAME[@VERSION]]`.
fn question(words: &[&str]) -> Result<Question, String> {
    let action = |word: &str| word.parse::<Permission>().map_err(|error| error.to_string());
    let (who, action, to) = match *words {
        [only] => (None, action(only)?, None),
        [first, second] => match action(first) {
            Ok(action) => (None, action, Some(second)),
            Err(_) => (Some(first), action(second)?, None),
        },
        [who, second, to] => (Some(who), action(second)?, Some(to)),
        _ => return Err("give a name, an action and a prompt".to_owned()),
    };
    let precisely = to.is_some_and(|to| to.contains('@'));
    let to = to.map(|to| to.parse::<Reference>().map_err(|error| error.to_string())).transpose()?;
    let who = who.filter(|who| *who != ONESELF).map(ToOwned::to_owned);
    Ok(Question { who, action, to, precisely })
}

fn show(answer: &CanAnswer, who: &str, what: &str) -> String {
    let (word, style, not) = if answer.allowed { ("yes", GOOD, "") } else { ("no", BAD, "not ") };
    let is = if who == "you" { "are" } else { "is" };
    let sentence = one_line(&format!("{who} {is} {not}allowed to {what}"));
    let mut shown = format!("{}: {}\n", paint(style.bold(), word), paint(STRONG, sentence));
    let permission = &answer.permission;
    shown.push_str(&requirements::line(permission.allowed, &permission.reason, &[]));
    if !permission.roles.is_empty() {
        let roles = one_line(&permission.roles.join(", "));
        shown.extend(["  ", &paint(DIM, format!("roles that allow this: {roles}")), "\n"]);
    }
    shown + &requirements::lines(&answer.requirements, None) + &requirements::downstream(&answer.downstream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn can_arguments_parse_with_and_without_a_principal() {
        let check = |words: &[&str], who: Option<&str>, action, to: Option<&str>| {
            let found = question(words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
            assert_eq!((found.who.as_deref(), found.action), (who, action), "{words:?}");
            assert_eq!(found.to.map(|to| to.to_string()), to.map(ToOwned::to_owned), "{words:?}");
        };
        check(&["ann", "deploy", "support/agent@7"], Some("ann"), Permission::Deploy, Some("support/agent@7"));
        check(&["me", "publish", "support/agent"], None, Permission::Publish, Some("support/agent@production"));
        check(&["publish", "support/agent"], None, Permission::Publish, Some("support/agent@production"));
        check(&["ann", "audit"], Some("ann"), Permission::Audit, None);
        check(&["access"], None, Permission::Access, None);
        check(&["read", "read", "read"], Some("read"), Permission::Read, Some("read@production"));
        assert!(question(&["ann", "publish", "support/agent"]).is_ok_and(|found| !found.precisely));
        for (words, part) in [
            (&["ann", "fly", "a"][..], "unknown permission `fly`"),
            (&["ann", "deploy", "a@@"], "label"),
            (&["ann"], "unknown permission `ann`"),
            (&[], "give a name"),
        ] {
            let error = question(words).expect_err(part);
            assert!(error.contains(part), "{words:?}: {error}");
        }
    }

    #[test]
    fn answer_names_the_grant_and_each_requirement() {
        let json = r#"{"allowed":false,
            "permission":{"allowed":false,"reason":"`ann` is not granted `deploy`","roles":["admin","releaser"]},
            "requirements":[{"policy":"prod","kind":"approvals","met":false,"says":"2 approvals (0 so far)","roles":["compliance"]},
                            {"policy":"prod","kind":"after","met":true,"says":"60 s on staging first"}],
            "downstream":[{"prompt":"b","label":"production","suite":"sums","passed":false,"missing":"version 3 has no run of it"},
                          {"prompt":"c","label":"production","suite":"safety","passed":true}]}"#;
        let answer: CanAnswer = serde_json::from_str(json).expect("an answer");
        let shown = anstream::adapter::strip_str(&show(&answer, "ann", "deploy a@7 to production")).to_string();
        let expected = "no: ann is not allowed to deploy a@7 to production
✗ `ann` is not granted `deploy`
  roles that allow this: admin, releaser
✗ policy prod: 2 approvals (0 so far)
  can be met by: the role compliance
✓ policy prod: 60 s on staging first
✗ feeds b@production: suite sums (version 3 has no run of it)
  run it: bookholder eval run b@production --suite sums
✓ feeds c@production: suite safety
";
        assert_eq!(shown, expected);
    }
}
