//! `status`: the status of a node.

use clap::Args;
use serde_json::json;

use super::Verdict;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, BAD, Cell, DIM, GOOD, Output, STRONG, Table, WARN, moment, one_line, paint, zoned};
use super::progress::size;
use crate::api::completeness::{ExportFailure, ExportStatus, TelemetryPause, TelemetryRetention, TelemetryStatus};
use crate::api::status::{Freshness, NodeRole, SkippedFile, Status};
use crate::client::ClientError;
use crate::model::count::count;

const EXAMPLES: &str = "\
With --ready, the exit code is 0 if the node is ready for requests, 1 if it is
not, and 3 if it does not answer. No access token is needed.

Examples:
  bookholder status
  bookholder status --ready
  bookholder status --ready --server unix:/run/bookholder/bookholder.sock
  bookholder status --server https://edge-7.example.com --json";

/// The HTTP status of a node that is not ready.
const NOT_READY: u16 = 503;

/// `status`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct StatusArgs {
    /// Only check whether the node is ready for requests: it has a verified state that it can read
    #[arg(long)]
    pub ready: bool,
    /// Also require the last verified contact with the primary to be at most this long ago
    #[arg(long, value_name = "SECONDS", requires = "ready")]
    pub max_age: Option<u64>,
}

pub async fn run(args: StatusArgs, context: Context) -> Result<Verdict, CliError> {
    if args.ready {
        return ready(args.max_age, &context).await;
    }
    let status = context.client.status().await?;
    context.output.show(&status, || print(context.output, context.client.server(), &status))?;
    Ok(Verdict::Done)
}

/// What a probe asks. An answer that the node is not ready is a negative result; anything else is an error.
async fn ready(max_age_s: Option<u64>, context: &Context) -> Result<Verdict, CliError> {
    let (ready, detail) = match context.client.ready(max_age_s).await {
        Ok(said) => (true, said),
        Err(ClientError::Problem(problem)) if problem.status == NOT_READY => (false, problem.detail),
        Err(error) => return Err(error.into()),
    };
    let detail = one_line(detail.trim());
    context.output.show(&json!({ "ready": ready, "detail": &detail }), || context.output.line(&detail))?;
    Ok(if ready { Verdict::Done } else { Verdict::No })
}

fn print(output: Output, server: &str, status: &Status) -> Result<(), CliError> {
    let role = match status.role {
        NodeRole::Primary => "primary",
        NodeRole::Replica => "replica",
    };
    output.line(format!(
        "{} {role} {}",
        paint(STRONG, one_line(&status.registry)),
        paint(DIM, format!("{} at {}", one_line(&status.version), one_line(server)))
    ))?;
    for (what, value) in rows(status) {
        output.line(format!("{} {value}", paint(DIM, format!("{what:<10}"))))?;
    }
    if !status.replicas.is_empty() {
        output.line("")?;
        let mut table = Table::new(&["REPLICA", "POSITION", "FRESHNESS", "VERSION", "REPORTED (ZONE)"]);
        for report in &status.replicas {
            table.row([
                Cell::new(ACCENT, &report.replica),
                report.position.into(),
                word(report.freshness).into(),
                Cell::new(DIM, &report.version),
                Cell::new(DIM, report.at.map(moment).unwrap_or_default()),
            ]);
        }
        output.table(&table, "")?;
    }
    Ok(())
}

fn rows(status: &Status) -> Vec<(&'static str, String)> {
    let style = match status.freshness {
        Freshness::Fresh => GOOD,
        Freshness::Stale => WARN,
        Freshness::Empty | Freshness::Expired => BAD,
    };
    let mut rows = vec![
        ("position", status.position.to_string()),
        ("entries", format!("{} signed (prompts, versions, contents, labels, deployments)", status.entries)),
        ("state", one_line(&status.state)),
        ("freshness", format!("{} since {}", paint(style, word(status.freshness)), zoned(status.since))),
    ];
    if status.role == NodeRole::Replica {
        rows.push(("contact", format!("{} ago", age(status.age_s))));
    }
    rows.extend(status.issued.map(|at| ("signed", zoned(at))));
    rows.extend(status.expires.map(|at| ("expires", zoned(at))));
    if status.clock_untrusted {
        rows.push(("clock", paint(BAD, "does not match signed records and is not trusted; set the clock")));
    }
    if let Some(watch) = &status.watch {
        rows.push(("watch", format!("{}, {}", one_line(&watch.folder), count(watch.files, "prompt file"))));
        let skipped =
            |file: &SkippedFile| ("skipped", paint(WARN, one_line(&format!("{}: {}", file.path, file.reason))));
        rows.extend(watch.skipped.iter().map(skipped));
    }
    rows.extend(status.telemetry.iter().flat_map(telemetry));
    if status.held {
        rows.push(("held", paint(WARN, "held at this position by its operator")));
    }
    if status.automation_held {
        let held = "held: deploys and expires no change requests, sends no webhooks, lets no alert fire, archives and watches nothing";
        rows.push(("automation", paint(WARN, held)));
    }
    rows.extend(status.alerts.iter().map(|alert| {
        let since = format!("since {}", zoned(alert.since));
        let what = one_line(&format!("{} is firing: {}", alert.name, alert.summary));
        ("alert", format!("{} {}", paint(BAD, what), paint(DIM, since)))
    }));
    let faults = [("storage", &status.storage), ("trouble", &status.trouble), ("inbox", &status.inbox)];
    rows.extend(faults.into_iter().filter_map(|(what, trouble)| Some((what, trouble.as_ref()?))).map(
        |(what, trouble)| {
            let detail = one_line(&format!("{}: {}", trouble.reason, trouble.detail));
            let times = usize::try_from(trouble.times).unwrap_or(usize::MAX);
            let since = format!("({} since {})", count(times, "time"), zoned(trouble.since));
            (what, format!("{} {}", paint(BAD, detail), paint(DIM, since)))
        },
    ));
    rows
}

/// What a node keeps of telemetry.
fn telemetry(kept: &TelemetryStatus) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if let (Some(bytes), Some(retention)) = (kept.bytes, &kept.retention) {
        let TelemetryRetention { events_days, content_days, minutes_days, hours_days, days_days, events_bytes_max } =
            retention;
        let days = format!(
            "{} of events, {content_days} of content; counts: {minutes_days} by minute, {hours_days} by hour, {days_days} \
             by day",
            count(*events_days, "day")
        );
        rows.push(("telemetry", format!("{} of {}", size(bytes), size(*events_bytes_max))));
        rows.push(("kept", days));
    }
    if let Some(TelemetryPause { reason, detail, since }) = &kept.paused {
        let what = one_line(&format!("{reason}: {detail}"));
        rows.push(("telemetry", format!("{} {}", paint(BAD, what), paint(DIM, format!("since {}", zoned(*since))))));
    }
    if let Some(spool) = &kept.spool {
        let since = spool.oldest.map(|oldest| format!(" since {}", zoned(oldest))).unwrap_or_default();
        let batches = count(spool.batches, "batch");
        let waits = format!("{} in {batches} to send to the primary{since}", size(spool.bytes));
        rows.push(("telemetry", if spool.batches == 0 { "all sent to the primary".to_owned() } else { waits }));
        if spool.content_dropped > 0 {
            let dropped = format!("{} inputs and outputs left out, because it was half full", spool.content_dropped);
            rows.push(("", paint(WARN, dropped)));
        }
    }
    rows.extend(kept.exports.iter().map(export));
    match kept.content_per_mille {
        0 => {}
        per_mille => rows.push(("content", format!("recorded for {}% of calls", f64::from(per_mille) / 10.0))),
    }
    if let Some(completeness) = &kept.completeness {
        let until = zoned(completeness.complete_until);
        rows.push(("complete", if completeness.behind.is_empty() { until } else { paint(WARN, until) }));
        rows.extend(completeness.behind.iter().map(|one| {
            let since = zoned(one.complete_until);
            ("behind", paint(WARN, format!("{} since {since}", one_line(&one.replica))))
        }));
    }
    rows
}

/// Whether telemetry is sent on to a destination.
fn export(export: &ExportStatus) -> (&'static str, String) {
    let ExportStatus { destination, waiting_blocks, failure } = export;
    let to = one_line(destination);
    let Some(ExportFailure { reason, since, attempts }) = failure else {
        let waiting = usize::try_from(*waiting_blocks).unwrap_or(usize::MAX);
        return ("export", format!("{to}: works; {} to send", count(waiting, "block")));
    };
    let since = format!("({} since {})", count(*attempts, "time"), zoned(*since));
    ("export", format!("{} {}", paint(BAD, one_line(&format!("{to}: {reason}"))), paint(DIM, since)))
}

/// A duration for display.
fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

const fn word(freshness: Freshness) -> &'static str {
    match freshness {
        Freshness::Empty => "empty",
        Freshness::Fresh => "fresh",
        Freshness::Stale => "stale",
        Freshness::Expired => "expired",
    }
}
