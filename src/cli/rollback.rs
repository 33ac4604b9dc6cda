//! `rollback`: returns a label to an earlier deployment.

use clap::Args;

use super::args::values::{OverrideArgs, WhyArgs};
use super::confirm::deploying;
use super::context::Context;
use super::error::CliError;
use super::{Verdict, changed, why};
use crate::api::write::RollbackRequest;
use crate::model::name::{Label, PromptName};

const EXAMPLES: &str = "\
Examples:
  bookholder rollback support/agent --label production -m 'Too many refusals'
  bookholder rollback support/agent --label production --to 5 -m 'Last good one'";

/// `rollback`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RollbackArgs {
    /// Name of the prompt
    name: PromptName,
    /// Label of the prompt
    #[arg(short, long, value_name = "LABEL")]
    label: Label,
    /// Version to return to [default: what the label served before; a second rollback goes further back]
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    #[command(flatten)]
    why: WhyArgs,
    #[command(flatten)]
    overrides: OverrideArgs,
}

pub async fn run(args: RollbackArgs, context: Context) -> Result<Verdict, CliError> {
    let message = why::message(args.why, &format!("Roll back {}@{}", args.name, args.label))?;
    let request = RollbackRequest {
        message,
        to: args.to,
        expected_deployment: None,
        allow_major: false,
        break_glass: args.overrides.break_glass.clone(),
    };
    let (client, name, label) = (&context.client, &args.name, &args.label);
    let rollback = |allow_major| {
        let request = RollbackRequest { allow_major, ..request.clone() };
        async move { client.rollback(name, label, &request).await }
    };
    let deployed = deploying(context.output, &args.overrides, rollback).await?;
    changed::deployed(context.output, &deployed)?;
    Ok(Verdict::Done)
}
