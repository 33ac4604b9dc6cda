//! `publish`: a new version of a prompt, from a prompt file.

use std::path::PathBuf;

use clap::Args;

use super::args::values::{OverrideArgs, WhyArgs};
use super::confirm::deploying;
use super::context::Context;
use super::error::CliError;
use super::{Verdict, changed, folder};
use crate::api::write::PublishRequest;
use crate::model::name::{Label, PromptName};
use crate::model::version::Bump;

const EXAMPLES: &str = "\
Examples:
  bookholder publish support/agent --file agent.prompt -m 'Answer in the language of the question'
  bookholder publish support/agent --file agent.prompt -m 'Shorter' --label staging --bump patch
  generate-prompt | bookholder publish support/agent --file - -m 'Nightly build' --expect 41

A prompt file is text, or YAML front matter between --- lines and then the text. Keys of the front matter: syntax
(mustache, jinja or plain), model, parameters, variables (type, required, default, description), tools,
response_schema, config, labels, messages. {{role \"system\"}} (user, assistant, tool) begins a message of a chat
prompt, {{history}} stands for messages that are given when it is rendered. `bookholder help prompt-file` has all of it.";

/// `publish`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PublishArgs {
    /// Which prompt, such as support/agent
    name: PromptName,
    /// The prompt file; - reads the standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    why: WhyArgs,
    /// A label that serves the new version at once; may be repeated
    #[arg(short, long, value_name = "LABEL")]
    label: Vec<Label>,
    /// How much it changes for callers; worked out when not given
    #[arg(long, value_name = "HOW", value_parser = bump)]
    bump: Option<Bump>,
    /// The version it was written from; refused when there is a newer one (0: no version yet)
    #[arg(long, value_name = "N")]
    expect: Option<u64>,
    #[command(flatten)]
    overrides: OverrideArgs,
}

/// Reads how much a version changes for callers.
pub fn bump(text: &str) -> Result<Bump, String> {
    match text {
        "major" => Ok(Bump::Major),
        "minor" => Ok(Bump::Minor),
        "patch" => Ok(Bump::Patch),
        _ => Err("use major, minor or patch".to_owned()),
    }
}

pub async fn run(args: PublishArgs, context: Context) -> Result<Verdict, CliError> {
    let file = folder::read_file(&args.file)?.file;
    let mut labels = file.labels;
    labels.extend(args.label);
    labels.sort();
    labels.dedup();
    let request = PublishRequest {
        content: file.content,
        message: args.why.message,
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
