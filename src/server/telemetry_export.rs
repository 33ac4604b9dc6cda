//! Writes the telemetry of a replica into a file, from its data directory.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::offline::OfflineError;
use super::running::ADDRESS_FILE;
use crate::clock::Clock;
use crate::crypto::secret::AccessToken;
use crate::model::time::Timestamp;
use crate::registry::directory::check_for_replica;
use crate::replication::telemetry_file::{FileHeader, FileSigner, TelemetryFileError};
use crate::signing::key_files::KEYS_FOLDER;
use crate::telemetry::store::{Role, TELEMETRY_FILE, TelemetryStore};

/// What became of an export.
pub enum Exported {
    /// It is written.
    Written(FileHeader),
    /// A node runs on the directory: it writes the file, if it is asked with this access token.
    Running {
        /// Where it listens.
        address: String,
        /// What proves that the caller can read the directory.
        token: AccessToken,
    },
}

/// Writes what waits in the spool of a stopped replica.
///
/// # Errors
/// The directory is not that of a replica, it has no telemetry, or the file cannot be written.
pub async fn export(data: &Path, clock: Arc<dyn Clock>, out: &mut impl Write) -> Result<Exported, OfflineError> {
    check_for_replica(data)?;
    if !data.join(TELEMETRY_FILE).exists() || data.join(KEYS_FOLDER).exists() {
        return Err(OfflineError::NoTelemetry { path: data.to_owned() });
    }
    // What waits is not to be limited by what it may grow to.
    let opened = TelemetryStore::open(data, Role::Spool { bytes_max: u64::MAX });
    let store = match opened {
        Err(error) if error.is_in_use() => {
            let address = std::fs::read_to_string(data.join(ADDRESS_FILE))?.trim().to_owned();
            let token = FileSigner::open(data, None)?.token();
            let token = token.ok_or_else(|| OfflineError::NoTelemetry { path: data.to_owned() })?;
            return Ok(Exported::Running { address, token });
        }
        opened => opened.map_err(TelemetryFileError::from)?,
    };
    let now_ms = clock.now_ms();
    store.mark_spool(now_ms).await.map_err(TelemetryFileError::from)?;
    let spool = store.read_spool().map_err(TelemetryFileError::from)?;
    let batches = spool.batches().map_err(TelemetryFileError::from)?;
    let signer = FileSigner::open(data, None)?;
    let header = signer.write(batches, spool, Timestamp::from_ms(now_ms), out, &mut |_| {})?;
    Ok(Exported::Written(header))
}
