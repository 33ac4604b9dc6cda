//! `remove`: removes a prompt; its history stays, and a new version brings it back.

use clap::Args;

use super::args::values::WhyArgs;
use super::context::Context;
use super::error::CliError;
use super::{Verdict, changed};
use crate::api::write::Why;
use crate::model::name::PromptName;

const EXAMPLES: &str = "\
Examples:
  bookholder remove support/agent -m 'Replaced by support/concierge'";

/// `remove`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RemoveArgs {
    /// Which prompt
    name: PromptName,
    #[command(flatten)]
    why: WhyArgs,
}

pub async fn run(args: RemoveArgs, context: Context) -> Result<Verdict, CliError> {
    let why = Why { message: args.why.message };
    changed::deployed(context.output, &context.client.remove(&args.name, &why).await?)?;
    Ok(Verdict::Done)
}
