//! The files of a registry's private keys.

use std::path::Path;

use crate::crypto::key::{KeyError, SigningKey};

/// Name of the checkpoint key's file in the `keys` folder.
pub const CHECKPOINT_KEY_FILE: &str = "checkpoint.key";
/// Name of the root key's file in the `keys` folder; it may be kept elsewhere.
pub const ROOT_KEY_FILE: &str = "root.key";
/// The folder of the keys in the data directory.
pub const KEYS_FOLDER: &str = "keys";

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum KeyFileError {
    #[error("cannot read the key file {}; restore the key from your safe copy", path.display())]
    Read {
        path: std::path::PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("invalid key file {}: {source}", path.display())]
    Key {
        path: std::path::PathBuf,
        #[source]
        source: KeyError,
    },
}

/// Reads a key file.
///
/// # Errors
/// It cannot be read, or is not a key.
pub fn read_key(path: &Path) -> Result<SigningKey, KeyFileError> {
    let text = std::fs::read_to_string(path).map_err(|source| KeyFileError::Read { path: path.to_owned(), source })?;
    SigningKey::from_key_file(text.trim_end()).map_err(|source| KeyFileError::Key { path: path.to_owned(), source })
}
