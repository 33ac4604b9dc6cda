//! `request approve`: approves exactly what is shown, or without a question what is proposed now.
//!
//! The change request is read once. Its fingerprints are sent back, and the server rejects them if the proposal has
//! changed since, however long the review took.

use std::io::{BufRead, IsTerminal};

use clap::Args;

use super::super::Verdict;
use super::super::context::Context;
use super::super::error::CliError;
use super::super::output::{ACCENT, paint};
use super::{print_result, view};
use crate::api::govern::ReviewRequest;
use crate::model::change_request::{ChangeRequest, EventKind};

/// Number of digits of a full fingerprint.
const DIGITS_MAX: usize = 64;
/// Longest answer to a question, in bytes.
const ANSWER_BYTES_MAX: u64 = 64;

/// `request approve`
#[derive(Clone, Debug, Args)]
pub struct ApproveArgs {
    /// Change request number
    id: u64,
    /// Message
    #[arg(short, long, value_name = "WHY")]
    message: Option<String>,
    /// Approve only this fingerprint, as printed by `request show`; one per deployment
    #[arg(long, value_name = "HEX", value_parser = digits)]
    fingerprint: Vec<String>,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

pub async fn run(args: ApproveArgs, context: &Context) -> Result<Verdict, CliError> {
    let ApproveArgs { id, message, fingerprint, yes } = args;
    let output = context.output;
    let found = context.client.change_request(id).await?;
    if !fingerprint.is_empty() {
        check_unchanged(&found.request, &fingerprint)?;
    }
    let asks = !yes && !output.json && output.terminal && std::io::stdin().is_terminal();
    if asks {
        view::print_proposal(output, &found, false)?;
        output.line("")?;
        output.note(format!("Approve {}? [y/N]", paint(ACCENT, format!("change request {id}"))));
        if !agrees(std::io::stdin().lock())? {
            output.note("nothing was approved");
            return Ok(Verdict::No);
        }
    }
    let moves = found.request.moves.iter().zip(&found.moves);
    let approved: Vec<String> = moves.map(|(one, review)| view::movement(one, review)).collect();
    let fingerprints = found.request.moves.into_iter().map(|one| one.fingerprint).collect();
    let kind = EventKind::Approve;
    let review = ReviewRequest { kind, message: message.unwrap_or_default(), fingerprints };
    let reviewed = context.client.review(id, &review).await?;
    output.show(&reviewed, || {
        // Whoever was asked has seen them.
        if !asks {
            approved.iter().try_for_each(|line| output.line(line))?;
        }
        print_result(output, &reviewed, kind)
    })?;
    Ok(Verdict::Done)
}

/// Rejects what was not reviewed: each deployment must have one of these fingerprints, and vice versa.
fn check_unchanged(request: &ChangeRequest, seen: &[String]) -> Result<(), CliError> {
    let all_seen = request.moves.iter().all(|one| seen.iter().any(|seen| one.fingerprint.starts_with(seen)));
    let gone = |seen: &&String| !request.moves.iter().any(|one| one.fingerprint.starts_with(*seen));
    let id = request.id;
    let message = match seen.iter().find(gone) {
        Some(gone) => format!("change request {id} no longer contains a deployment with the fingerprint {gone}"),
        None if !all_seen => format!("change request {id} contains other deployments; give the fingerprint of each"),
        None => return Ok(()),
    };
    Err(CliError::no(message).hint(format!("see its current deployments with `bookholder request show {id}`")))
}

/// Whether the answer is yes; anything else, and the end of the input, is no.
fn agrees(input: impl BufRead) -> Result<bool, CliError> {
    let mut answer = String::new();
    input.take(ANSWER_BYTES_MAX).read_line(&mut answer).map_err(|error| CliError::no(error.to_string()))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// A prefix of a fingerprint, long enough to be unique.
fn digits(text: &str) -> Result<String, String> {
    let text = text.to_ascii_lowercase();
    let long_enough = (view::FINGERPRINT_DIGITS..=DIGITS_MAX).contains(&text.len());
    if long_enough && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text);
    }
    Err(format!("use {} to {DIGITS_MAX} hex digits, as printed by `request show`", view::FINGERPRINT_DIGITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for (typed, expected) in [
            ("y\n", true),
            ("YES\n", true),
            (" y ", true),
            ("\n", false),
            ("", false),
            ("n\ny\n", false),
            ("yo", false),
        ] {
            assert_eq!(agrees(typed.as_bytes()).expect("readable"), expected, "{typed:?}");
        }
        let endless = std::io::BufReader::new(std::io::repeat(b'y'));
        assert!(!agrees(endless).expect("an end"));
    }

    #[test]
    fn fingerprints_are_long_enough_to_mean_one_move() {
        assert_eq!(digits("0F3A5C7E9B1D").as_deref(), Ok("0f3a5c7e9b1d"));
        for wrong in ["0f3a5c7e9b1", "0f3a5c7e9b1g", "", &"0".repeat(65)] {
            assert!(digits(wrong).expect_err(wrong).contains("12 to 64 hex digits"), "{wrong}");
        }
    }

    #[test]
    fn unreviewed_fingerprint_is_not_approved() {
        let one = |label: &str, fingerprint: &str| {
            format!(
                r#"{{"name":"a","label":"{label}","serving":{{"version":7}},"contents":{{}},"fingerprint":"{fingerprint}"}}"#
            )
        };
        let (first, second) = ("a".repeat(64), "b".repeat(64));
        let json = format!(
            r#"{{"id":12,"message":"why","author":"ann","created":"2026-03-20T15:00:00Z","expires":"2026-04-19T15:00:00Z",
            "state":"open","automatic":false,"events":[],"moves":[{},{}]}}"#,
            one("eu", &first),
            one("us", &second)
        );
        let request: ChangeRequest = serde_json::from_str(&json).expect("a change request");
        let (a, b, c) = ("a".repeat(12), "b".repeat(12), "c".repeat(12));
        let check =
            |seen: &[&String]| check_unchanged(&request, &seen.iter().map(|one| (*one).clone()).collect::<Vec<_>>());
        assert!(check(&[&a, &b]).is_ok() && check(&[&second, &first]).is_ok());
        for (seen, part) in [
            (&[&a][..], "contains other deployments"),
            (&[&c], "no longer contains a deployment with the fingerprint cccccccccccc"),
            (&[&a, &b, &c], "no longer contains a deployment with the fingerprint cccccccccccc"),
        ] {
            let error = check(seen).expect_err(part);
            assert!(error.message.contains(part), "{error:?}");
            assert!(error.hint.expect("a hint").contains("`bookholder request show 12`"));
        }
    }
}
