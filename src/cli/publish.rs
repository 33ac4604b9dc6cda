//! `publish`: publishes a version from a prompt file.

use std::path::PathBuf;

use clap::Args;
use clap::builder::TypedValueParser;

use super::args::values::{OverrideArgs, WhyArgs, one_of};
use super::confirm::deploying;
use super::context::Context;
use super::error::CliError;
use super::{Verdict, changed, folder, why};
use crate::api::write::PublishRequest;
use crate::model::name::{Label, PromptName};
use crate::model::version::Bump;

const EXAMPLES: &str = "\
Examples:
  bookholder publish support/agent --file agent.prompt -m 'Shorter answers'
  bookholder publish support/agent --file agent.prompt -m 'Fix a typo' \\
      --label staging --bump patch
  generate-prompt | bookholder publish support/agent --file - -m 'Nightly build'

A prompt file is text, optionally preceded by YAML front matter between ---
lines. Keys of the front matter: syntax (mustache, jinja or plain), model,
parameters, variables (type, required, default, description), tools,
response_schema, config, labels, messages. {{role \"system\"}} (user, assistant,
tool) starts a message of a chat prompt; {{history}} is a placeholder for
messages given at render time. For the full reference, run `bookholder
prompt-file`.";

/// `publish`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PublishArgs {
    /// Name of the prompt, e.g. support/agent
    name: PromptName,
    /// Prompt file; - for standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    why: WhyArgs,
    /// Label to deploy the new version to; repeatable
    #[arg(short, long, value_name = "LABEL")]
    label: Vec<Label>,
    /// Semver bump [default: detected]
    #[arg(long, value_name = "HOW", value_parser = bump())]
    bump: Option<Bump>,
    /// Fail unless this is the latest version (0: no version may exist yet)
    #[arg(long, value_name = "N")]
    expect: Option<u64>,
    #[command(flatten)]
    overrides: OverrideArgs,
}

/// Parses the effect of a version on callers.
pub fn bump() -> impl TypedValueParser<Value = Bump> {
    one_of(Bump::ALL.map(Bump::as_str), str::parse::<Bump>)
}

pub async fn run(args: PublishArgs, context: Context) -> Result<Verdict, CliError> {
    let file = folder::read_file(&args.file)?.file;
    let mut labels = file.labels;
    labels.extend(args.label);
    labels.sort();
    labels.dedup();
    let message = why::message(args.why, &format!("Publish {}", args.name))?;
    let request = PublishRequest {
        content: file.content,
        message,
        bump: args.bump,
        expected_parent: args.expect,
        labels,
        allow_major: false,
        break_glass: args.overrides.break_glass.clone(),
    };
    let (client, name) = (&context.client, &args.name);
    let publish = |allow_major| {
        let request = PublishRequest { allow_major, ..request.clone() };
        async move { client.publish(name, &request).await }
    };
    let published = deploying(context.output, &args.overrides, publish).await?;
    changed::published(context.output, &published)?;
    if let (Some(_), false) = (published.deployment, context.output.json) {
        let labels: Vec<_> = request.labels.iter().map(ToString::to_string).collect();
        context.output.line(format!("  served by {}", labels.join(", ")))?;
    }
    Ok(Verdict::Done)
}
