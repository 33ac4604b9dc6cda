//! `deploy`: deploys a version, a weighted split, or rules to labels of one or more prompts.

use std::collections::BTreeMap;

use clap::Args;
use futures_util::{StreamExt, TryStreamExt};

use super::args::values::{OverrideArgs, WeightedVersion, WhyArgs, choice, rule};
use super::confirm::deploying;
use super::context::Context;
use super::error::CliError;
use super::log::labels;
use super::output::{ACCENT, paint, zoned};
use super::{Verdict, changed, why};
use crate::api::write::{DeployRequest, Move, RuleRequest, ServingRequest, SplitRequest};
use crate::model::name::{Label, PromptName};
use crate::model::version::Version;

/// Number of versions listed if none was given.
const NEWEST: usize = 8;

const EXAMPLES: &str = "\
Examples:
  bookholder deploy support/agent@7 --to production -m 'Reviewed by Ada'
  bookholder deploy support/agent@staging --to production -m 'Promote staging'
  bookholder deploy support/agent@7=99 support/agent@8=1 --to production \\
      -m 'Try 8 on 1%'
  bookholder deploy support/agent@7 --rule 'locale=de*:8' --to production \\
      -m 'German first'
  bookholder deploy support/agent@7 support/router@3 --to production \\
      -m 'Deploy together'
  bookholder deploy support/agent@7 --to production -m 'OPS-17' \\
      --break-glass 'Production is down'";

/// `deploy`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DeployArgs {
    /// Versions to deploy; add =WEIGHT to split a label between versions
    #[arg(required = true, value_name = "NAME@VERSION[=WEIGHT]", value_parser = choice)]
    versions: Vec<WeightedVersion>,
    /// Label to deploy to
    #[arg(long, value_name = "LABEL")]
    to: Label,
    /// Serve another version to matching callers; first match wins; repeatable
    #[arg(long, value_name = "ATTRIBUTE=PATTERN:VERSION", value_parser = rule)]
    rule: Vec<RuleRequest>,
    #[command(flatten)]
    why: WhyArgs,
    #[command(flatten)]
    overrides: OverrideArgs,
}

pub async fn run(args: DeployArgs, context: Context) -> Result<Verdict, CliError> {
    let moves = moves(&context, &args.versions, &args.rule, std::slice::from_ref(&args.to)).await?;
    for share in moves.iter().filter_map(shares) {
        context.output.note(format!("{}: {share}", paint(ACCENT.bold(), "note")));
    }
    let names: Vec<String> = args.versions.iter().map(|choice| choice.reference.to_string()).collect();
    let message = why::message(args.why, &format!("Deploy {} to {}", names.join(", "), args.to))?;
    let break_glass = args.overrides.break_glass.clone();
    let request = DeployRequest { moves, message, allow_major: false, break_glass };
    let client = &context.client;
    let deploy = |allow_major| {
        let request = DeployRequest { allow_major, ..request.clone() };
        async move { client.deploy(&request).await }
    };
    changed::deployed(context.output, &deploying(context.output, &args.overrides, deploy).await?)?;
    Ok(Verdict::Done)
}

/// The moves that deploy these versions to each of these labels.
pub async fn moves(
    context: &Context,
    versions: &[WeightedVersion],
    rules: &[RuleRequest],
    labels: &[Label],
) -> Result<Vec<Move>, CliError> {
    let mut by_name: BTreeMap<_, Vec<(u64, Option<u32>)>> = BTreeMap::new();
    for choice in versions {
        if !choice.versioned {
            return Err(unversioned(context, &choice.reference.name).await?);
        }
        let number = context.number(&choice.reference).await?;
        by_name.entry(choice.reference.name.clone()).or_default().push((number, choice.weight));
    }
    if by_name.len() > 1 && !rules.is_empty() {
        return Err(CliError::usage("rules apply to one prompt; deploy the others separately"));
    }
    let mut moves = Vec::new();
    for (name, versions) in by_name {
        let serving = serving(&versions, rules).map_err(|reason| CliError::usage(format!("{name}: {reason}")))?;
        for label in labels {
            moves.push(Move {
                name: name.clone(),
                label: label.clone(),
                serving: serving.clone(),
                expected_deployment: None,
            });
        }
    }
    Ok(moves)
}

/// The error for a prompt without a version: it lists the latest ones to choose from.
async fn unversioned(context: &Context, name: &PromptName) -> Result<CliError, CliError> {
    let prompt = context.client.prompt(name).await?;
    let versions: Vec<Version> = context.client.versions(name, NEWEST).take(NEWEST).try_collect().await?;
    let line = |version: &Version| {
        let labels = labels(&prompt, version.number);
        let labels = if labels.is_empty() { String::new() } else { format!(" ({labels})") };
        let (when, who) = (zoned(version.created), &version.author);
        format!("{name}@{}{labels}  {when}  {who}: {}", version.number, version.message)
    };
    let error = CliError::usage(format!("which version of {name}? The latest are:"));
    Ok(error
        .details(versions.iter().map(line).collect())
        .hint(format!("name one, e.g. {name}@{}", prompt.prompt.latest)))
}

/// The share of each version in a split: weights are relative, and need not add up to 100.
fn shares(moved: &Move) -> Option<String> {
    let weights = &moved.serving.split.as_ref()?.weights;
    let sum: u64 = weights.values().map(|weight| u64::from(*weight)).sum();
    let share = |weight: u32| {
        let hundredths = u64::from(weight).saturating_mul(10_000).saturating_add(sum / 2).checked_div(sum).unwrap_or(0);
        let (whole, rest) = (hundredths / 100, hundredths % 100);
        if rest == 0 { format!("{whole}%") } else { format!("{whole}.{rest:02}%") }
    };
    let each = weights.iter().map(|(number, weight)| format!("version {number} gets {}", share(*weight)));
    Some(format!("{}: {}", moved.name, each.collect::<Vec<_>>().join(", ")))
}

fn serving(versions: &[(u64, Option<u32>)], rules: &[RuleRequest]) -> Result<ServingRequest, &'static str> {
    let rules = rules.to_vec();
    if let [(number, None)] = versions {
        return Ok(ServingRequest { version: Some(*number), split: None, rules });
    }
    let mut weights = BTreeMap::new();
    for (number, weight) in versions {
        let weight = weight.ok_or("to split a label between versions, give each a weight, e.g. @7=90 @8=10")?;
        if weights.insert(*number, weight).is_some() {
            return Err("a version is listed twice");
        }
    }
    Ok(ServingRequest { version: None, split: Some(SplitRequest { weights, salt: None }), rules })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_version_is_served_and_several_share_by_weight() {
        assert_eq!(serving(&[(7, None)], &[]).expect("one").version, Some(7));
        let split = serving(&[(7, Some(99)), (8, Some(1))], &[]).expect("two").split.expect("a split");
        assert_eq!(split.weights, BTreeMap::from([(7, 99), (8, 1)]));
        assert!(serving(&[(7, None), (8, Some(1))], &[]).expect_err("no weight").contains("@7=90"));
        assert!(serving(&[(7, Some(1)), (7, Some(1))], &[]).expect_err("twice").contains("twice"));
    }
}
