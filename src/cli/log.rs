//! `log`: the versions of a prompt, newest first.

use clap::Args;
use futures_util::{StreamExt, TryStreamExt};

use super::Verdict;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, BAD, Cell, DIM, GOOD, Table, moment};
use crate::api::limits::PAGE_ROWS_MAX;
use crate::api::read::{Page, PromptView};
use crate::model::name::{LATEST, PromptName};
use crate::model::version::Version;

const EXAMPLES: &str = "\
Examples:
  bookholder log support/agent
  bookholder log support/agent --limit 200 --json";

/// `log`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct LogArgs {
    /// Name of the prompt
    name: PromptName,
    /// Maximum number of results
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

pub async fn run(args: LogArgs, context: Context) -> Result<Verdict, CliError> {
    let prompt = context.client.prompt(&args.name).await?;
    let rows = context.client.versions(&args.name, args.limit.min(PAGE_ROWS_MAX)).take(args.limit);
    let found: Page<Version> = Page { items: rows.try_collect().await?, next: None };
    context.output.show(&found, || context.output.table(&table(&prompt, &found.items), "no versions"))?;
    Ok(Verdict::Done)
}

fn table(prompt: &PromptView, versions: &[Version]) -> Table {
    let mut table = Table::new(&["VERSION", "SEMVER", "WHEN (ZONE)", "WHO", "WHY", "LABELS"]);
    for version in versions {
        let labels = match &version.retired {
            Some(retired) => Cell::new(BAD, format!("retired: {}", retired.message)),
            None => Cell::new(GOOD, labels(prompt, version.number)),
        };
        table.row([
            Cell::new(ACCENT, version.number),
            Cell::new(DIM, &version.semver),
            Cell::new(DIM, moment(version.created)),
            Cell::from(&version.author),
            Cell::from(&version.message),
            labels,
        ]);
    }
    table
}

/// The labels that serve a version, completely or partly.
pub fn labels(prompt: &PromptView, number: u64) -> String {
    let serves = prompt.labels.iter().filter(|state| state.serving.versions().contains(&number));
    let mut labels: Vec<String> =
        serves
            .map(|state| {
                if state.serving.fixed().is_some() {
                    state.label.to_string()
                } else {
                    format!("part of {}", state.label)
                }
            })
            .collect();
    if prompt.prompt.latest == number && prompt.prompt.removed.is_none() {
        labels.push(LATEST.to_owned());
    }
    labels.join(", ")
}
