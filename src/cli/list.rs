//! `list`: prompts and what their labels serve.

use clap::Args;
use futures_util::{StreamExt, TryStreamExt};

use super::Verdict;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, BAD, Cell, DIM, Table, moment, one_line};
use crate::api::limits::PAGE_ROWS_MAX;
use crate::api::read::{Page, PromptView};
use crate::client::PromptFilter;
use crate::model::pattern::Pattern;

const EXAMPLES: &str = "\
Examples:
  bookholder list
  bookholder list support/ --json
  bookholder list '**/agent'
  bookholder list --removed --limit 20";

/// `list`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ListArgs {
    /// Only names with this prefix, or that match a pattern such as 'support/*'
    #[arg(value_name = "PREFIX")]
    names: Option<String>,
    /// Include removed prompts
    #[arg(long)]
    removed: bool,
    /// Maximum number of results [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

pub async fn run(args: ListArgs, context: Context) -> Result<Verdict, CliError> {
    let limit = args.limit.unwrap_or(usize::MAX);
    let pattern = args.names.as_deref().filter(|names| names.contains('*')).map(str::parse::<Pattern>).transpose();
    let pattern = pattern.map_err(|error| CliError::usage(error.to_string()))?;
    let empty = match (&args.names, &pattern) {
        (_, Some(pattern)) => format!("no prompts that match {pattern}"),
        (Some(prefix), None) => format!("no prompts with the prefix {}", one_line(prefix)),
        (None, None) => "no prompts yet; create one with `bookholder publish`".to_owned(),
    };
    let prefix = match &pattern {
        Some(pattern) => Some(pattern.literal_prefix().to_owned()).filter(|prefix| !prefix.is_empty()),
        None => args.names,
    };
    let filter = PromptFilter { prefix, removed: args.removed };
    let fits = |view: &PromptView| pattern.as_ref().is_none_or(|one| one.matches(view.prompt.name.as_str()));
    let rows = context.client.prompts(&filter, limit.min(PAGE_ROWS_MAX));
    let rows = rows.try_filter(|view| std::future::ready(fits(view))).take(limit);
    let found: Page<PromptView> = Page { items: rows.try_collect().await?, next: None };
    context.output.show(&found, || context.output.table(&table(&found.items), &empty))?;
    Ok(Verdict::Done)
}

fn table(prompts: &[PromptView]) -> Table {
    let mut table = Table::new(&["NAME", "LATEST", "LABELS", "CHANGED (ZONE)"]);
    for view in prompts {
        let prompt = &view.prompt;
        let labels = match prompt.removed {
            Some(at) => Cell::new(BAD, format!("removed {}", moment(at))),
            None => labels(view).into(),
        };
        table.row([
            Cell::new(ACCENT, &prompt.name),
            prompt.latest.into(),
            labels,
            Cell::new(DIM, moment(prompt.changed)),
        ]);
    }
    table
}

/// Every label with what it serves, on one line.
fn labels(view: &PromptView) -> String {
    let label = |state: &crate::model::prompt::LabelState| format!("{} {}", state.label, state.serving);
    view.labels.iter().map(label).collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompt_is_shown_as_one_row() {
        let json = r#"[{"name":"support/agent","created":"2026-01-01T00:00:00Z","changed":"2026-01-02T03:04:05Z","latest":8,
            "labels":[{"label":"production","serving":{"version":7},"deployment":9,"since":"2026-01-01T00:00:00Z"},
                      {"label":"staging","serving":{"version":8},"deployment":9,"since":"2026-01-01T00:00:00Z"}]},
            {"name":"x","created":"2026-01-01T00:00:00Z","changed":"2026-01-02T03:04:05Z","latest":1,"labels":[],
             "removed":"2026-01-02T03:04:05Z"}]"#;
        let prompts: Vec<PromptView> = serde_json::from_str(json).expect("two prompts");
        let expected = "\
NAME           LATEST  LABELS                       CHANGED (UTC)
support/agent  8       production 7 · staging 8     2026-01-02 03:04:05
x              1       removed 2026-01-02 03:04:05  2026-01-02 03:04:05
";
        assert_eq!(table(&prompts).render(false, None), expected);
    }
}
