//! Loads the signed records of a data directory.

use super::epoch::{EpochError, VerifiedEpoch};
use super::root::{ROOT_BYTES_MAX, RootDocument, RootError, RootKeyId};
use super::root_chain::RootChain;
use crate::crypto::note::Note;

/// Why signed records are inconsistent.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum RecordsError {
    #[error("there is no root document")]
    NoRoot,
    #[error("root document {number}: {source}")]
    Root { number: usize, source: RootError },
    #[error("epoch record {number}: {source}")]
    Epoch { number: usize, source: EpochError },
}

/// Builds the chain of roots and the epochs under it, each verified. Without a pinned root the first document is
/// trusted by itself, which is right only for the registry's own directory.
///
/// # Errors
/// The first record that does not verify.
pub fn read_back(
    pinned: Option<&RootKeyId>,
    roots: &[Vec<u8>],
    epochs: &[Vec<u8>],
) -> Result<(RootChain, Vec<VerifiedEpoch>), RecordsError> {
    let (first, later) = roots.split_first().ok_or(RecordsError::NoRoot)?;
    let begin = || {
        let own = || -> Result<RootKeyId, RootError> {
            Ok(RootDocument::parse(Note::parse(first, ROOT_BYTES_MAX)?.text())?.key_id())
        };
        RootChain::begin(&pinned.map_or_else(own, |pinned| Ok(*pinned))?, first)
    };
    let mut chain = begin().map_err(|source| RecordsError::Root { number: 1, source })?;
    for (index, note) in later.iter().enumerate() {
        chain.extend(note).map_err(|source| RecordsError::Root { number: index + 2, source })?;
    }
    let verify = |(index, note): (usize, &Vec<u8>)| {
        VerifiedEpoch::verify(note, &chain).map_err(|source| RecordsError::Epoch { number: index + 1, source })
    };
    let epochs = epochs.iter().enumerate().map(verify).collect::<Result<_, _>>()?;
    Ok((chain, epochs))
}
