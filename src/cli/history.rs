//! `history`: what labels served when, and why.

use clap::Args;
use futures_util::{StreamExt, TryStreamExt};

use super::Verdict;
use super::changed::movement;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, BAD, Cell, DIM, GOOD, Table, WARN, moment};
use crate::api::limits::PAGE_ROWS_MAX;
use crate::api::read::Page;
use crate::client::DeploymentFilter;
use crate::model::deployment::{Action, Deployment};
use crate::model::name::{Label, PromptName};

const EXAMPLES: &str = "\
Examples:
  bookholder history support/agent --label production
  bookholder history --limit 20                  latest changes of all prompts";

/// `history`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct HistoryArgs {
    /// Name of the prompt [default: all]
    name: Option<PromptName>,
    /// Label [default: all]
    #[arg(short, long, value_name = "LABEL")]
    label: Option<Label>,
    /// Maximum number of results
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

pub async fn run(args: HistoryArgs, context: Context) -> Result<Verdict, CliError> {
    let empty = match (&args.name, &args.label) {
        (None, None) => "no deployments".to_owned(),
        (Some(name), None) => format!("no deployments of {name}"),
        (None, Some(label)) => format!("no deployments to {label}"),
        (Some(name), Some(label)) => format!("no deployments to {name}@{label}"),
    };
    let filter = DeploymentFilter { name: args.name, label: args.label };
    let rows = context.client.deployments(&filter, args.limit.min(PAGE_ROWS_MAX)).take(args.limit);
    let found: Page<Deployment> = Page { items: rows.try_collect().await?, next: None };
    context.output.show(&found, || context.output.table(&table(&found.items, filter.name.is_none()), &empty))?;
    Ok(Verdict::Done)
}

fn table(deployments: &[Deployment], with_names: bool) -> Table {
    let mut table = Table::new(&["WHEN (ZONE)", "LABEL", "WHAT", "CHANGE", "WHO", "WHY"]);
    for deployment in deployments {
        let style = match deployment.action {
            Action::Deploy => GOOD,
            Action::Rollback => WARN,
            Action::Unlabel | Action::Remove => BAD,
        };
        let label =
            if with_names { format!("{}@{}", deployment.name, deployment.label) } else { deployment.label.to_string() };
        table.row([
            Cell::new(DIM, moment(deployment.at)),
            Cell::new(ACCENT, label),
            Cell::new(style, deployment.action),
            movement(deployment).into(),
            Cell::from(&deployment.actor),
            Cell::from(&deployment.message),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deployment_row_shows_time_change_actor_and_message() {
        let json = r#"[{"id":9,"name":"support/agent","label":"production","at":"2026-03-20T15:00:00Z","actor":"ada",
            "message":"Too many\nrefusals","action":"rollback","from":{"version":8},"to":{"version":7}},
            {"id":2,"name":"support/agent","label":"staging","at":"2026-03-19T15:00:00Z","actor":"bo","message":"Over",
            "action":"unlabel","from":{"version":8},"to":null}]"#;
        let deployments: Vec<Deployment> = serde_json::from_str(json).expect("two deployments");
        let expected = "\
WHEN (UTC)           LABEL       WHAT      CHANGE  WHO  WHY
2026-03-20 15:00:00  production  rollback  8 → 7   ada  Too many refusals
2026-03-19 15:00:00  staging     unlabel   8 → —   bo   Over
";
        assert_eq!(table(&deployments, false).render(false, None), expected);
        assert!(table(&deployments, true).render(false, None).contains("support/agent@production"));
    }
}
