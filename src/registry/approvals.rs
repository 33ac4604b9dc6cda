//! Since when approvals of a move count.

use crate::model::deployment::Action;
use crate::model::name::{Label, PromptName};
use crate::model::serving::Serving;
use crate::store::StoreError;
use crate::store::query::Queries;

/// The commit after which approvals of a move count; earlier ones are used up: the label's last move away from exactly
/// this serving, or the last time that a version in the move was stopped.
pub(super) fn spent_at<Q: Queries>(
    txn: &Q,
    (name, label): (&PromptName, &Label),
    serving: &Serving,
    brings: &[u64],
) -> Result<Option<u64>, StoreError> {
    let spent = txn.find_deployment(name, label, u64::MAX, &mut |deployment| {
        let stopped = |from: &Serving| {
            deployment.action != Action::Deploy && from.versions().iter().any(|version| brings.contains(version))
        };
        deployment.from.as_ref().is_some_and(|from| from == serving || stopped(from))
    })?;
    Ok(spent.map(|deployment| deployment.id))
}
