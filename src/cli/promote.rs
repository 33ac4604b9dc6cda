//! `promote`: deploys to one label what another serves, for every prompt that matches a pattern, at once.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::args::values::OverrideArgs;
use super::confirm::{confirm, deploying};
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, BAD, Cell, DIM, GOOD, Output, Table, WARN, one_line, paint};
use super::{Verdict, changed};
use crate::api::promote::{PlannedPromotion, PromoteRequest, Promotion, PromotionPlan};
use crate::model::count::count;
use crate::model::name::Label;
use crate::model::pattern::Pattern;
use crate::model::serving::Serving;

const EXAMPLES: &str = "\
Examples:
  bookholder promote 'support/**' --from staging --to production --dry-run
  bookholder promote 'support/**' --from staging --to production \\
      -m 'Staging was fine for a week'
  bookholder promote '**' --from latest --to staging --yes -m 'Nightly'

Every prompt that matches and has the label --from is deployed, in one
deployment or not at all. You see the plan first; if anything in it changes
before you confirm, nothing is deployed.";

/// `promote`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PromoteArgs {
    /// Prompts to promote, e.g. 'support/**'
    #[arg(value_name = "PATTERN")]
    pattern: Pattern,
    /// Label whose versions are deployed
    #[arg(long, value_name = "LABEL")]
    from: Label,
    /// Label to deploy to
    #[arg(long, value_name = "LABEL")]
    to: Label,
    /// Message for the history (like a commit message)
    #[arg(
        short,
        long,
        value_name = "WHY",
        required_unless_present = "dry_run",
        value_parser = NonEmptyStringValueParser::new()
    )]
    message: Option<String>,
    /// Show what would be deployed, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    overrides: OverrideArgs,
}

pub async fn run(args: PromoteArgs, context: Context) -> Result<Verdict, CliError> {
    let (output, client) = (context.output, &context.client);
    let wanted = Promotion { pattern: args.pattern, from: args.from, to: args.to };
    let message = args.message.unwrap_or_default();
    let plan = client.plan_promotion(&wanted, &message).await?;
    if plan.prompts.is_empty() {
        let message = format!("no prompt that matches {} has the label {}", wanted.pattern, wanted.from);
        return Err(CliError::no(message).hint("see `bookholder list` for the labels of each prompt"));
    }
    if args.dry_run {
        output.show(&plan, || print(output, &wanted, &plan))?;
        return Ok(Verdict::Done);
    }
    if !output.json {
        print(output, &wanted, &plan)?;
    }
    let moves = plan.prompts.iter().filter(|one| !one.unchanged).count();
    if moves > 0 {
        let question = format!("Promote {} from {} to {}?", count(moves, "prompt"), wanted.from, wanted.to);
        confirm(output, args.overrides.yes, &question, Vec::new())?;
    }
    let Promotion { pattern, from, to } = wanted;
    let expected = Some(plan.fingerprint);
    let break_glass = args.overrides.break_glass.clone();
    let request = PromoteRequest { pattern, from, to, message, expected, allow_major: false, break_glass };
    let promote = |allow_major| {
        let request = PromoteRequest { allow_major, ..request.clone() };
        async move { client.promote(&request).await }
    };
    changed::deployed(output, &deploying(output, &args.overrides, promote).await?)?;
    Ok(Verdict::Done)
}

fn print(output: Output, wanted: &Promotion, plan: &PromotionPlan) -> Result<(), CliError> {
    output.table(&table(wanted, &plan.prompts), "")?;
    let unchanged = plan.prompts.iter().filter(|one| one.unchanged).count();
    let moves = count(plan.prompts.len() - unchanged, "prompt");
    output.line(paint(DIM, format!("{moves} to promote at {}, {unchanged} unchanged", plan.position)))?;
    for one in plan.prompts.iter().filter(|one| !one.unmet.is_empty()) {
        let unmet = one_line(&one.unmet.join("; "));
        output.note(format!("{}: {}: {unmet}", paint(BAD.bold(), "not met"), one_line(one.name.as_str())));
    }
    for one in plan.prompts.iter().filter(|one| !one.breaks.is_empty()) {
        let breaks = one_line(&one.breaks.join("; "));
        output.note(format!("{}: {}: {breaks}", paint(WARN.bold(), "breaks callers"), one_line(one.name.as_str())));
    }
    Ok(())
}

/// One row per prompt: what the label serves now, and what it would serve.
fn table(wanted: &Promotion, prompts: &[PlannedPromotion]) -> Table {
    let heading = wanted.to.as_str().to_uppercase();
    let mut table = Table::new(&["NAME", &format!("{heading} NOW"), &format!("{heading} THEN"), ""]);
    let shown = |serving: &Serving| serving.to_string();
    for one in prompts {
        let then = Cell::new(if one.unchanged { DIM } else { GOOD }, shown(&one.to));
        let now = one.from.as_ref().map_or_else(|| "—".to_owned(), shown);
        let remark = match one {
            PlannedPromotion { unchanged: true, .. } => Cell::new(DIM, "unchanged"),
            PlannedPromotion { unmet, .. } if !unmet.is_empty() => Cell::new(BAD, "requirements not met"),
            PlannedPromotion { breaks, .. } if !breaks.is_empty() => Cell::new(WARN, "breaks callers"),
            _ => Cell::from(""),
        };
        table.row([Cell::new(ACCENT, &one.name), Cell::new(DIM, now), then, remark]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_is_a_table_of_now_and_then() {
        let wanted = Promotion {
            pattern: "support/**".parse().expect("a pattern"),
            from: "staging".parse().expect("a label"),
            to: Label::production(),
        };
        let json = r#"[
            {"name":"support/agent","from":{"version":6},"to":{"version":7},"unchanged":false},
            {"name":"support/new","from":null,"to":{"version":1},"unchanged":false,"unmet":["policy p requires 1 approval"]},
            {"name":"support/router","from":{"version":3},"to":{"version":4},"unchanged":false,"breaks":["x is required"]},
            {"name":"support/tone","from":{"version":2},"to":{"version":2},"unchanged":true}]"#;
        let prompts: Vec<PlannedPromotion> = serde_json::from_str(json).expect("a plan");
        let expected = "\
NAME            PRODUCTION NOW  PRODUCTION THEN
support/agent   6               7
support/new     —               1                requirements not met
support/router  3               4                breaks callers
support/tone    2               2                unchanged
";
        assert_eq!(table(&wanted, &prompts).render(false, None), expected);
    }
}
