//! "Did you mean": names that resemble one that does not exist, from what the caller can read.
//!
//! It runs after an error only, within a time limit, and keeps the error as it is if there is nothing to suggest.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};

use super::error::CliError;
use crate::api::limits::PAGE_ROWS_MAX;
use crate::api::problem::ErrorCode;
use crate::client::{Client, PromptFilter};
use crate::model::name::{LATEST, PromptName};

/// Longest search for a name.
const SEARCH_MAX: Duration = Duration::from_millis(500);
/// Most names that are compared.
const NAMES_MAX: usize = 5_000;
/// Most suggestions.
const SUGGESTIONS_MAX: usize = 3;

/// Adds a suggestion to an error about a prompt or label that does not exist.
pub async fn add(error: CliError, client: &Client) -> CliError {
    let mut quoted = error.message.split('`').skip(1).step_by(2).map(str::to_owned);
    let found = match (error.code, quoted.next(), quoted.next()) {
        (Some(ErrorCode::PromptNotFound), Some(name), _) => {
            let names = tokio::time::timeout(SEARCH_MAX, names(client)).await;
            names.ok().flatten().map(|names| nearest(&name, names))
        }
        (Some(ErrorCode::LabelNotFound), Some(name), Some(label)) => {
            let labels = tokio::time::timeout(SEARCH_MAX, labels(client, &name)).await;
            labels.ok().flatten().map(|labels| nearest(&label, labels))
        }
        _ => None,
    };
    match found.as_deref().and_then(question) {
        Some(question) => {
            let hint = error.hint.as_ref().map_or_else(|| question.clone(), |hint| format!("{question} {hint}"));
            error.hint(hint)
        }
        None => error,
    }
}

async fn names(client: &Client) -> Option<Vec<String>> {
    let everything = PromptFilter::default();
    let views = client.prompts(&everything, PAGE_ROWS_MAX).take(NAMES_MAX);
    let names = views.map_ok(|view| view.prompt.name.to_string());
    names.try_collect().await.ok()
}

async fn labels(client: &Client, name: &str) -> Option<Vec<String>> {
    let name: PromptName = name.parse().ok()?;
    let view = client.prompt(&name).await.ok()?;
    let labels = view.labels.iter().map(|state| state.label.to_string());
    Some(labels.chain([LATEST.to_owned()]).collect())
}

/// The names that resemble one, most similar first.
fn nearest(wrong: &str, names: Vec<String>) -> Vec<String> {
    let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    let score = |name: &str| {
        // The right name in another folder, or without one.
        let same_end = !wrong.is_empty() && last(name) == last(wrong);
        let most = (wrong.chars().count() / 3).clamp(1, 4);
        let edits = edits(wrong, name, most);
        edits.or_else(|| same_end.then_some(most + 1))
    };
    let mut found: Vec<(usize, String)> = names
        .into_iter()
        .filter(|name| name != wrong)
        .filter_map(|name| score(&name).map(|score| (score, name)))
        .collect();
    found.sort();
    // What is much less similar than the first was hardly meant.
    let most = found.first().map_or(0, |(score, _)| score + 1);
    found.into_iter().filter(|(score, _)| *score <= most).map(|(_, name)| name).take(SUGGESTIONS_MAX).collect()
}

/// How many characters must be inserted, deleted, replaced or swapped with their neighbour to make one text of the
/// other; absent if that is more than `most`.
fn edits(one: &str, other: &str, most: usize) -> Option<usize> {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len().abs_diff(other.len()) > most {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, character) in one.iter().enumerate() {
        let mut next = vec![at + 1];
        for (column, against) in other.iter().enumerate() {
            let cell = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
            let replaced = cell(&row, column) + usize::from(character != against);
            let mut best = replaced.min(cell(&row, column + 1) + 1).min(cell(&next, column) + 1);
            let swapped =
                at > 0 && column > 0 && one.get(at - 1) == Some(against) && other.get(column - 1) == Some(character);
            if swapped {
                best = best.min(cell(&before, column - 1) + 1);
            }
            next.push(best);
        }
        if next.iter().all(|edits| *edits > most) {
            return None;
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().filter(|edits| *edits <= most)
}

/// `did you mean a, b or c?`
fn question(names: &[String]) -> Option<String> {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => None,
        [one] => Some(format!("did you mean {one}?")),
        [first @ .., last] => Some(format!("did you mean {} or {last}?", first.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted_up_to_a_limit() {
        for (one, other, expected) in [
            ("agent", "agent", Some(0)),
            ("agnet", "agent", Some(1)),
            ("agen", "agent", Some(1)),
            ("prodcution", "production", Some(1)),
            ("prod", "production", None),
            ("", "ab", Some(2)),
            ("größe", "grosse", Some(3)),
            ("abcdef", "ghijkl", None),
        ] {
            assert_eq!(edits(one, other, 3), expected, "{one} {other}");
            assert_eq!(edits(other, one, 3), expected, "{other} {one}");
        }
    }

    #[test]
    fn similar_names_are_suggested_most_similar_first() {
        let names = ["support/agent", "support/agents", "sales/agent", "support/tone", "x", "y"];
        let near = |wrong: &str| nearest(wrong, names.map(str::to_owned).to_vec());
        assert_eq!(near("support/agnet"), ["support/agent", "support/agents"]);
        assert_eq!(near("agent"), ["sales/agent", "support/agent"]);
        assert_eq!(near("marketing/campaign"), Vec::<String>::new());
        assert_eq!(near("z"), ["x", "y"]);
        assert_eq!(
            question(&near("support/agnet")).as_deref(),
            Some("did you mean `support/agent` or `support/agents`?")
        );
        assert_eq!(question(&[]), None);
    }
}
