//! `request`: change requests, from opening to deploying.

mod approve;
mod view;

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};

use super::args::values::{OverrideArgs, WeightedVersion, WhyArgs, choice, one_of, rule};
use super::confirm::deploying;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, DIM, GOOD, Output, one_line, paint};
use super::publish::bump;
use super::{Verdict, changed, deploy, folder, requirements, why};
use crate::api::govern::{
    AmendRequest, ApplyRequest, ProposeRequest, ProposedVersion, RequestPage, ReviewRequest, ReviewedRequest,
    UnmetRequirement,
};
use crate::api::limits::PAGE_ROWS_MAX;
use crate::api::problem::ErrorCode;
use crate::api::write::{Move, RuleRequest};
use crate::model::change_request::{ChangeRequest, EventKind, RequestState};
use crate::model::name::{Label, PromptName};
use crate::model::version::Bump;

const EXAMPLES: &str = "\
Examples:
  bookholder request propose support/agent@7 --to production -m 'Warmer'
  bookholder request propose support/agent --file agent.prompt \\
      --to production -m 'Warmer greetings' --auto
  bookholder request propose support/agent@8 --to production \\
      -m 'Without the joke' --request 12
  bookholder request list --state open
  bookholder request show 12                 changes, requirements and reviewers
  bookholder request approve 12 -m 'Read it with legal'
  bookholder request approve 12 --fingerprint 0f3a5c7e9b1d
  bookholder request reject 12 -m 'It promises refunds'
  bookholder request apply 12
  bookholder request apply 12 --break-glass 'Production is down, OPS-17'

Amending the request invalidates earlier approvals. --fingerprint approves only
what `request show` printed.";

/// `request`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RequestArgs {
    #[command(subcommand)]
    command: RequestCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum RequestCommand {
    /// Open a change request
    Propose(ProposeArgs),
    /// List change requests, newest first
    List {
        /// Only requests in this state
        #[arg(long, value_name = "STATE", value_parser = one_of(RequestState::ALL.map(RequestState::as_str), str::parse::<RequestState>))]
        state: Option<RequestState>,
        /// Maximum number of results
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
    },
    /// Show a change request for review
    Show {
        /// Change request number
        id: u64,
    },
    /// Approve a change request; on a terminal, shows it and asks first
    Approve(approve::ApproveArgs),
    /// Reject and close a change request
    Reject {
        /// Change request number
        id: u64,
        #[command(flatten)]
        why: WhyArgs,
    },
    /// Comment on a change request
    Comment {
        /// Change request number
        id: u64,
        #[command(flatten)]
        why: WhyArgs,
    },
    /// Withdraw your own change request
    Withdraw {
        /// Change request number
        id: u64,
        #[command(flatten)]
        why: WhyArgs,
    },
    /// Deploy a change request whose requirements are met
    Apply {
        /// Change request number
        id: u64,
        /// Message [default: the message of the request]
        #[arg(short, long, value_name = "WHY", value_parser = NonEmptyStringValueParser::new())]
        message: Option<String>,
        #[command(flatten)]
        overrides: OverrideArgs,
    },
}

#[derive(Clone, Debug, Args)]
struct ProposeArgs {
    /// Versions, as for deploy; with --file, the name of the prompt to publish
    #[arg(required = true, value_name = "NAME@VERSION[=WEIGHT]|NAME", value_parser = proposed)]
    what: Vec<Proposed>,
    /// Label to deploy to; repeatable
    #[arg(long, value_name = "LABEL", required = true)]
    to: Vec<Label>,
    #[command(flatten)]
    why: WhyArgs,
    /// Prompt file to publish with the request; - for standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Semver bump of the new version [default: detected]
    #[arg(long, value_name = "HOW", value_parser = bump(), requires = "file")]
    bump: Option<Bump>,
    /// Fail unless this is the latest version (0: no version may exist yet)
    #[arg(long, value_name = "N", requires = "file")]
    expect: Option<u64>,
    /// Serve another version to matching callers; first match wins; repeatable
    #[arg(long, value_name = "ATTRIBUTE=PATTERN:VERSION", value_parser = rule, conflicts_with = "file")]
    rule: Vec<RuleRequest>,
    /// Deploy automatically as soon as all requirements are met
    #[arg(long)]
    auto: bool,
    /// Reviewer to ask; repeatable
    #[arg(long, value_name = "NAME")]
    reviewer: Vec<String>,
    /// Days until the request expires [default: 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    expires_days: Option<u32>,
    /// Amend the change request with this number
    #[arg(long, value_name = "ID", conflicts_with_all = ["auto", "expires_days", "reviewer"])]
    request: Option<u64>,
}

/// The subject of a change request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Proposed {
    Version(WeightedVersion),
    Prompt(PromptName),
}

fn proposed(text: &str) -> Result<Proposed, String> {
    if text.contains('@') {
        return choice(text).map(Proposed::Version);
    }
    text.parse().map(Proposed::Prompt).map_err(|error: crate::model::name::NameError| error.to_string())
}

pub async fn run(args: RequestArgs, context: Context) -> Result<Verdict, CliError> {
    let output = context.output;
    let (id, kind, message) = match args.command {
        RequestCommand::Propose(args) => return propose(args, &context).await,
        RequestCommand::List { state, limit } => {
            let page = list(&context, state, limit).await?;
            output.show(&page, || {
                let empty = match state {
                    Some(state) => format!("no {state} change requests"),
                    None => "no change requests".to_owned(),
                };
                output.table(&view::table(&page.items), &empty)
            })?;
            return Ok(Verdict::Done);
        }
        RequestCommand::Show { id } => {
            let found = context.client.change_request(id).await?;
            output.show(&found, || view::print(output, &found))?;
            return Ok(Verdict::Done);
        }
        RequestCommand::Apply { id, message, overrides } => {
            let (client, break_glass) = (&context.client, overrides.break_glass.clone());
            let request = ApplyRequest { message: message.unwrap_or_default(), allow_major: false, break_glass };
            let apply = |allow_major| {
                let request = ApplyRequest { allow_major, ..request.clone() };
                async move { client.apply_request(id, &request).await }
            };
            let applied = deploying(output, &overrides, apply).await.map_err(|error| incomplete(error, id))?;
            changed::deployed(output, &applied)?;
            return Ok(Verdict::Done);
        }
        RequestCommand::Approve(args) => return approve::run(args, &context).await,
        RequestCommand::Reject { id, why } => {
            (id, EventKind::Reject, why::message(why, &format!("Reject change request {id}"))?)
        }
        RequestCommand::Comment { id, why } => {
            (id, EventKind::Comment, why::message(why, &format!("Comment on change request {id}"))?)
        }
        RequestCommand::Withdraw { id, why } => {
            (id, EventKind::Withdraw, why::message(why, &format!("Withdraw change request {id}"))?)
        }
    };
    let reviewed = context.client.review(id, &ReviewRequest { kind, message, fingerprints: Vec::new() }).await?;
    output.show(&reviewed, || print_result(output, &reviewed, kind))?;
    Ok(Verdict::Done)
}

/// The error for a change request that cannot be applied yet: it is already open.
fn incomplete(error: CliError, id: u64) -> CliError {
    if error.code == Some(ErrorCode::PolicyNotMet) {
        return error
            .hint(format!("see who can approve with `bookholder request show {id}`; to override, use --break-glass"));
    }
    error
}

async fn propose(args: ProposeArgs, context: &Context) -> Result<Verdict, CliError> {
    let (publish, moves) = contents(&args, context).await?;
    let message = why::message(args.why, "Open or amend a change request")?;
    let (request, what) = if let Some(id) = args.request {
        let amended = context.client.amend(id, &AmendRequest { message, publish, moves }).await?;
        (amended, "has been amended")
    } else {
        let (automatic, expires_days, reviewers) = (args.auto, args.expires_days, args.reviewer);
        let request = ProposeRequest { message, publish, moves, automatic, expires_days, reviewers };
        (context.client.propose(&request).await?, "is open")
    };
    if context.output.json {
        context.output.json(&request)?;
        return Ok(Verdict::Done);
    }
    let id = paint(ACCENT, format!("change request {}", request.id));
    context.output.line(format!("{} {id} {what}", paint(GOOD, "✓")))?;
    for one in &request.moves {
        context.output.line(format!(
            "  {} {}: {}",
            paint(ACCENT, &one.name),
            one.label,
            one_line(&one.serving.to_string())
        ))?;
    }
    let hint = format!("see requirements and reviewers with `bookholder request show {}`", request.id);
    context.output.note(paint(DIM, hint));
    Ok(Verdict::Done)
}

/// The version to publish, or the moves of existing versions.
async fn contents(args: &ProposeArgs, context: &Context) -> Result<(Option<ProposedVersion>, Vec<Move>), CliError> {
    if let Some(path) = &args.file {
        let [Proposed::Prompt(name)] = args.what.as_slice() else {
            return Err(CliError::usage("with --file, name one prompt without a version, e.g. support/agent"));
        };
        let file = folder::read_file(path)?.file;
        let version = ProposedVersion {
            name: name.clone(),
            content: file.content,
            bump: args.bump,
            expected_parent: args.expect,
            labels: args.to.clone(),
        };
        return Ok((Some(version), Vec::new()));
    }
    let mut choices = Vec::new();
    for what in &args.what {
        match what {
            Proposed::Version(choice) => choices.push(choice.clone()),
            Proposed::Prompt(name) => {
                let message = format!("name a version, e.g. {name}@7, or pass a prompt file with --file");
                return Err(CliError::usage(message));
            }
        }
    }
    Ok((None, deploy::moves(context, &choices, &args.rule, &args.to).await?))
}

async fn list(context: &Context, state: Option<RequestState>, limit: usize) -> Result<RequestPage, CliError> {
    let mut items: Vec<ChangeRequest> = Vec::new();
    let mut cursor: Option<String> = None;
    while items.len() < limit {
        let rows = (limit - items.len()).min(PAGE_ROWS_MAX);
        let page = context.client.change_requests(state, cursor.as_deref(), rows).await?;
        items.extend(page.items);
        // A server that repeats a cursor would keep this loop going forever.
        if page.next.is_none() || page.next == cursor {
            break;
        }
        cursor = page.next;
    }
    items.truncate(limit);
    Ok(RequestPage { items, next: None })
}

/// Prints the result for a change request, and what it needs next.
fn print_result(output: Output, reviewed: &ReviewedRequest, kind: EventKind) -> Result<(), CliError> {
    output.line(result(reviewed, kind).trim_end())
}

fn result(reviewed: &ReviewedRequest, kind: EventKind) -> String {
    let ReviewedRequest { request, complete, unmet, waits_for } = reviewed;
    let what = match (kind, request.state) {
        (EventKind::Approve, RequestState::Applied) => match request.deployment {
            Some(deployment) => format!("was approved by you and is deployed now (deployment {deployment})"),
            None => "was approved by you and is deployed now".to_owned(),
        },
        (EventKind::Approve, _) => "was approved by you".to_owned(),
        (EventKind::Comment, _) => "has your comment".to_owned(),
        (EventKind::Withdraw, _) => "was withdrawn".to_owned(),
        _ => "was rejected".to_owned(),
    };
    let id = paint(ACCENT, format!("change request {}", request.id));
    let mut shown = format!("{} {id} {what}\n", paint(GOOD, "✓"));
    if kind != EventKind::Approve {
        return shown;
    }
    for UnmetRequirement { name, label, requirement, reviewers } in unmet {
        if request.moves.len() > 1 {
            shown.extend([&paint(DIM, format!("{name}@{label}")), " "]);
        }
        shown.push_str(&requirements::lines(std::slice::from_ref(requirement), Some(reviewers)));
    }
    let next = view::next_step(request, *complete, waits_for.as_deref());
    shown.extend(next);
    shown
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::context::{Target, TokenSource};
    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: RequestArgs,
    }

    #[test]
    fn approval_result_shows_unmet_requirements_or_deployed() {
        let check = |state: &str, rest: &str, kind: EventKind, expected: &str| {
            let json = format!(
                r#"{{"request":{{"id":12,"message":"why","author":"ann","created":"2026-03-20T15:00:00Z",
                "expires":"2026-04-19T15:00:00Z","state":"{state}","automatic":false,"events":[],"moves":[],
                "deployment":31}},{rest}}}"#
            );
            let reviewed: ReviewedRequest = serde_json::from_str(&json).expect("an answer");
            assert_eq!(anstream::adapter::strip_str(&result(&reviewed, kind)).to_string().trim_end(), expected);
        };
        let missing = r#""complete":false,"unmet":[{"name":"a","label":"production","reviewers":[{"name":"cy",
            "roles":["compliance"]}],"requirement":{"policy":"prod","kind":"approvals","met":false,"says":"2 approvals (1 so far)"}}]"#;
        check(
            "open",
            missing,
            EventKind::Approve,
            "✓ change request 12 was approved by you\n\
            ✗ policy prod: 2 approvals (1 so far)\n  can be met by: cy (compliance)\n\
            … some requirements are not met (marked ✗ above)",
        );
        check(
            "open",
            r#""complete":true,"unmet":[]"#,
            EventKind::Approve,
            "✓ change request 12 was approved by you\n\
            ✓ all requirements are met: deploy it with `bookholder request apply 12`",
        );
        let closed = r#""complete":false,"unmet":[]"#;
        check(
            "applied",
            closed,
            EventKind::Approve,
            "✓ change request 12 was approved by you and is deployed now (deployment 31)",
        );
        check("rejected", closed, EventKind::Reject, "✓ change request 12 was rejected");
        check("open", missing, EventKind::Comment, "✓ change request 12 has your comment");
    }

    #[test]
    fn proposal_takes_versions_or_a_file() {
        assert!(matches!(proposed("support/agent@7"), Ok(Proposed::Version(_))));
        assert!(matches!(proposed("support/agent"), Ok(Proposed::Prompt(_))));
        assert!(proposed("support//agent").expect_err("no name").contains("segment"));
        let server = super::super::globals::SERVER_DEFAULT.to_owned();
        let target = Target { context: None, server, token: TokenSource::Absent, ca_file: None };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        for (line, part) in [
            ("x propose support/agent --to production -m why", "name a version"),
            ("x propose support/agent@7 --to production -m why --file f", "without a version"),
            ("x propose a b --to production -m why --file f", "name one prompt"),
            ("x propose a --to production -m why --file /nowhere/f", "cannot read"),
        ] {
            let parsed = Line::try_parse_from(line.split(' ')).expect(line);
            let RequestCommand::Propose(args) = parsed.args.command else { panic!("{line}") };
            let context = Context::new(target.clone(), Output::stdout(false)).expect("a context");
            let error = runtime.block_on(contents(&args, &context)).expect_err(line);
            assert!(error.message.contains(part) && error.kind.code() == 2, "{line}: {error:?}");
        }
    }
}
