//! Reads many references from one state, in as many requests as that takes.

use super::context::Context;
use super::error::CliError;
use crate::api::limits::BATCH_REFERENCES_MAX;
use crate::api::problem::{ErrorCode, Problem};
use crate::api::read::{BatchRequest, Resolved};
use crate::client::ClientError;
use crate::model::position::Position;

/// The answers of one state.
pub struct BatchedAnswers {
    /// Its position.
    pub position: Position,
    /// One for each reference that can be read.
    pub resolved: Vec<Resolved>,
}

/// Resolves references; absent if there are none, or if the registry changed between two requests. `is_expected` says of
/// which problems a reference is left out.
///
/// # Errors
/// The server refused, another problem was answered, or a content does not match its id.
pub async fn resolve(
    context: &Context,
    references: &[String],
    is_expected: impl Fn(&Problem) -> bool,
) -> Result<Option<BatchedAnswers>, CliError> {
    let mut position = None;
    let mut resolved = Vec::with_capacity(references.len());
    let mut batches: Vec<&[String]> = references.chunks(BATCH_REFERENCES_MAX).rev().collect();
    while let Some(references) = batches.pop() {
        let batch = BatchRequest { references: references.to_vec(), ..BatchRequest::default() };
        let answer = match context.client.batch(&batch).await {
            // The answers are too large together.
            Err(ClientError::Problem(problem)) if problem.code == ErrorCode::TooLarge && references.len() > 1 => {
                let (first, second) = references.split_at(references.len() / 2);
                batches.extend([second, first]);
                continue;
            }
            answer => answer?,
        };
        if position.is_some_and(|position| position != answer.position) {
            return Ok(None);
        }
        position = Some(answer.position);
        for item in answer.answers {
            match (item.resolved, item.problem) {
                (Some(one), _) if one.content.id() == Ok(one.content_id) => resolved.push(one),
                (None, Some(problem)) if is_expected(&problem) => {}
                (None, Some(problem)) => return Err(problem.into()),
                (Some(_), _) | (None, None) => {
                    let message = format!("the server sent the wrong content for {}", item.reference);
                    return Err(CliError::server(message));
                }
            }
        }
    }
    Ok(position.map(|position| BatchedAnswers { position, resolved }))
}
