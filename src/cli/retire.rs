//! `retire`: prevents a version from being deployed, or allows it again.

use clap::Args;

use super::args::values::{WhyArgs, versioned};
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, GOOD, paint};
use super::{Verdict, why};
use crate::api::write::MessageRequest;
use crate::model::reference::Reference;

const EXAMPLES: &str = "\
Examples:
  bookholder retire support/agent@6 -m 'It promised refunds'
  bookholder retire support/agent@6 --undo -m 'Legal allows it after all'";

/// `retire`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RetireArgs {
    /// Version to retire
    #[arg(value_name = "NAME@VERSION", value_parser = versioned)]
    version: Reference,
    /// Allow it to be deployed again
    #[arg(long)]
    undo: bool,
    #[command(flatten)]
    why: WhyArgs,
}

pub async fn run(args: RetireArgs, context: Context) -> Result<Verdict, CliError> {
    let what = format!("{} {}", if args.undo { "Reinstate" } else { "Retire" }, args.version);
    let (name, why) = (&args.version.name, MessageRequest { message: why::message(args.why, &what)? });
    let number = context.number(&args.version).await?;
    if args.undo {
        context.client.reinstate(name, number, &why).await?;
    } else {
        context.client.retire(name, number, &why).await?;
    }
    let (output, what) = (context.output, if args.undo { "can be deployed again" } else { "is retired" });
    output.show(&serde_json::json!({ "name": name, "version": number, "retired": !args.undo }), || {
        output.line(format!("{} {} {what}", paint(GOOD, "✓"), paint(ACCENT, format!("{name}@{number}"))))
    })?;
    Ok(Verdict::Done)
}
