//! `repair-dates`: corrects dates from a wrong clock, in the data directory of a stopped node.

use std::sync::Arc;

use super::Verdict;
use super::args::node::RepairDatesArgs;
use super::error::CliError;
use super::output::{ACCENT, Cell, DIM, GOOD, Output, Table, paint};
use crate::clock::{Clock, SystemClock};
use crate::model::count::count;
use crate::server::repair;

/// Changes the dates, or lists the changes.
pub fn run(args: &RepairDatesArgs, output: Output) -> Result<Verdict, CliError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let message = args.message.clone().unwrap_or_default();
    let message = message.trim();
    if message.is_empty() && !args.dry_run {
        return Err(CliError::usage("the message is empty: give one with -m"));
    }
    let redated = repair::repair_dates(&args.data, message, args.dry_run, &clock)?;
    if output.json {
        output.json(&redated)?;
        return Ok(Verdict::Done);
    }
    let mut table = Table::new(&["WHAT", "DATED", "BECOMES"]);
    for one in &redated {
        let date = |date: Option<String>| Cell::new(DIM, date.unwrap_or_default());
        let (before, after) = one.sides();
        table.row([Cell::new(ACCENT, one.subject()), date(before), date(after)]);
    }
    output.table(&table, "all dates are in order")?;
    if !redated.is_empty() {
        let dates = count(redated.len(), "date");
        let said = if args.dry_run { format!("{dates} would change") } else { format!("{dates} changed") };
        output.note(format!("{} {said}", paint(GOOD, "✓")));
    }
    Ok(Verdict::Done)
}
