//! `recost`: prices recorded calls again.

use clap::Args;
use indicatif::ProgressBar;

use super::Verdict;
use super::args::times;
use super::context::Context;
use super::error::CliError;
use super::output::{DIM, GOOD, Output, WARN, paint};
use super::progress;
use crate::api::prices::{RecostAnswer, RecostRequest};
use crate::api::stats::SpendCounts;
use crate::model::count::count;
use crate::model::name::PromptName;
use crate::model::since::Since;
use crate::web::figures::percent;

const EXAMPLES: &str = "\
Examples:
  bookholder recost --dry-run
  bookholder recost --since 7d --prompt support/agent

Calls are priced at the prices in effect when they ended. Costs that were
reported with a call stay as they are. If it is interrupted, run it again.";

/// `recost`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RecostArgs {
    /// Only calls from this time on: an age such as 24h or 7d, a date, or a time such as 'monday 09:00'
    #[arg(long, value_name = "TIME", value_parser = times::since)]
    since: Option<Since>,
    /// Only calls of this prompt
    #[arg(long, value_name = "NAME")]
    prompt: Option<PromptName>,
    /// Print the totals and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(args: RecostArgs, context: Context) -> Result<Verdict, CliError> {
    let output = context.output;
    let since = args.since.map(|since| since.start(times::now()));
    let mut request = RecostRequest { since, prompt: args.prompt, cursor: None, dry_run: args.dry_run };
    let bar = progress::parts(output, "pricing");
    let mut total = RecostAnswer::default();
    loop {
        let part = context.client.recost(&request).await?;
        add(&mut total, &part);
        show(&bar, &part);
        request.cursor = part.next;
        if part.next.is_none() {
            break;
        }
    }
    bar.finish_and_clear();
    if output.json {
        output.json(&total)?;
    } else {
        print(output, &total, args.dry_run)?;
    }
    Ok(Verdict::Done)
}

fn add(total: &mut RecostAnswer, part: &RecostAnswer) {
    let plus = |one: SpendCounts, other: SpendCounts| SpendCounts {
        calls: one.calls.saturating_add(other.calls),
        priced_calls: one.priced_calls.saturating_add(other.priced_calls),
        cost_usd: one.cost_usd.plus(other.cost_usd),
    };
    *total = RecostAnswer {
        changed_calls: total.changed_calls.saturating_add(part.changed_calls),
        before: plus(total.before, part.before),
        after: plus(total.after, part.after),
        ..*part
    };
}

fn show(bar: &ProgressBar, part: &RecostAnswer) {
    bar.set_length(part.all);
    bar.set_position(part.done);
}

fn print(output: Output, total: &RecostAnswer, dry_run: bool) -> Result<(), CliError> {
    let line = |what: &str, spend: &SpendCounts| {
        let known = percent(crate::api::stats::share(spend.priced_calls, spend.calls));
        format!("{} {}", paint(DIM, format!("{what:<7}")), paint_cost(spend, &known))
    };
    output.line(line("before", &total.before))?;
    output.line(line("after", &total.after))?;
    let changed = format!("{} of {} cost something else", total.changed_calls, count(total.after.calls, "call"));
    if dry_run {
        output.line(paint(WARN, format!("{changed}; nothing was changed (--dry-run)")))
    } else {
        output.line(format!("{} {changed}", paint(GOOD, "✓")))
    }
}

fn paint_cost(spend: &SpendCounts, known: &str) -> String {
    format!("{:<12} cost known for {known} of {}", spend.cost_usd.short(), count(spend.calls, "call"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_added_up() {
        let spend =
            |calls, cost: &str| SpendCounts { calls, priced_calls: calls, cost_usd: cost.parse().expect("an amount") };
        let part = |changed_calls, done, next| RecostAnswer {
            changed_calls,
            before: spend(10, "1.5"),
            after: spend(10, "2.25"),
            done,
            all: 3,
            next,
        };
        let mut total = RecostAnswer::default();
        add(&mut total, &part(4, 2, Some(7)));
        add(&mut total, &part(1, 3, None));
        assert_eq!(total, RecostAnswer { before: spend(20, "3"), after: spend(20, "4.5"), ..part(5, 3, None) });
    }
}
