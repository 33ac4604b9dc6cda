//! Writes a report and signs it: the document first, then a manifest of its bytes.
//!
//! The caller checks permissions.

use std::io::{self, Write};

use crate::api::limits::REPORT_BYTES_MAX;
use crate::governance::report::csv::write_csv;
use crate::governance::report::jsonl::write_jsonl;
use crate::governance::report::{Contents, Report, ReportFormat, Source, SystemInfo};
use crate::model::audit::AuditEntry;
use crate::resolve::report::{ReadError, ReportSource};
use crate::signing::signer::{SealError, Signer};
use crate::store::StoreError;
use crate::trust::checkpoint::LIVE_LIFETIME_S;
use crate::trust::manifest::{AuditMark, Manifest, ManifestError, ManifestFile};
use crate::trust::signer_name;
use crate::web::report::write_page;

/// The first lines of a manifest, for people who open it.
const HOW_TO_READ: &str = "This is the signed manifest of a report of a prompt registry: it identifies the report \
    file and summarises its content. Verify both, on any machine and without a network, with `bookholder report \
    verify FILE --root-key KEY`, using the root key id from the operator of the registry. `manifest` is the signed \
    note: times are RFC 3339, hashes are base64 of 32 bytes; `first` and `last` are number and hash of the first and \
    last audit entry in the report, `audit` those of the latest entry when the report was made; `file` is the BLAKE3 \
    of the report. `roots` and `epochs` determine which keys count; `checkpoint` is what replicas of the registry \
    follow, and its `audit` line is the same as the manifest's. In a jsonl report each line with `record` `event` is \
    one decision: `entry` is the audit entry, its hash is BLAKE3 in key-derivation mode with the context `bookholder \
    audit entry v1` over its canonical JSON (RFC 8785) without `hash`, and `previous` is the hash of the entry \
    before. Lines with `record` `served` are what a label served from `period_start` until `period_end`. Supports \
    record keeping under Articles 12, 19 and 26(6) of Regulation (EU) 2024/1689.";

/// Why a report could not be written or signed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum ReportError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the report is longer than {REPORT_BYTES_MAX} bytes; ask for a shorter time or fewer prompts")]
    TooLong,
    #[error("cannot sign the report")]
    Manifest(#[from] ManifestError),
    #[error("cannot sign the report")]
    Seal(#[from] SealError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("an audit entry has no hash to sign; run `bookholder audit verify`")]
    Unhashed,
    #[error("a stored signed record is not text; run `bookholder verify`")]
    Record,
}

/// The result of writing: what the report contains, its length and its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenReport {
    /// What it contains.
    pub contents: Contents,
    /// In bytes.
    pub bytes: u64,
    /// BLAKE3.
    pub hash: [u8; 32],
}

/// What a report says about the system that it is from.
pub fn system_info(signer: &Signer) -> SystemInfo {
    SystemInfo {
        software: env!("CARGO_PKG_NAME").to_owned(),
        software_version: env!("CARGO_PKG_VERSION").to_owned(),
        registry: signer.registry.clone(),
        provider: None,
        intended_purpose: None,
        signing_key: Some(signer_name(&signer.registry, &signer.key_name)),
    }
}

/// Streams a report in a format, and hashes it on the way.
///
/// # Errors
/// Reading or writing fails, or it exceeds the size limit.
pub fn write_report(
    report: &Report<'_, ReportSource>,
    system: &SystemInfo,
    format: ReportFormat,
    out: &mut dyn Write,
) -> Result<WrittenReport, ReportError> {
    write(report, system, format, out, REPORT_BYTES_MAX)
}

fn write<S: Source<Error = ReadError>>(
    report: &Report<'_, S>,
    system: &SystemInfo,
    format: ReportFormat,
    out: &mut dyn Write,
    bytes_max: u64,
) -> Result<WrittenReport, ReportError> {
    let mut out = HashingWriter { out, bytes: 0, bytes_max, hasher: blake3::Hasher::new() };
    let written = match format {
        ReportFormat::Html => write_page(report, system, &mut out),
        ReportFormat::Csv => write_csv(report, system, &mut out),
        ReportFormat::Jsonl => write_jsonl(report, system, &mut out),
    };
    if out.bytes > bytes_max {
        return Err(ReportError::TooLong);
    }
    let contents = written?;
    out.flush().map_err(ReadError::Write)?;
    Ok(WrittenReport { contents, bytes: out.bytes, hash: out.hasher.finalize().into() })
}

/// Signs a written report, over the state that it was read from.
///
/// # Errors
/// The store fails, or a value cannot be signed.
pub fn sign_report(
    signer: &Signer,
    report: &Report<'_, ReportSource>,
    format: ReportFormat,
    written: &WrittenReport,
) -> Result<ManifestFile, ReportError> {
    let (txn, contents) = (&report.source.txn, &written.contents);
    let mark = |seq, hash: &str| AuditMark::of(seq, hash).ok_or(ReportError::Unhashed);
    let genesis = AuditEntry::genesis();
    let (seq, hash) = contents.head.as_ref().map_or((0, genesis.as_str()), |(seq, hash)| (*seq, hash.as_str()));
    let ends = contents.ends.as_ref();
    let ends = ends.map(|(first, last)| Ok::<_, ReportError>((mark(first.0, &first.1)?, mark(last.0, &last.1)?)));
    let (heading, question) = (&report.heading, &report.question);
    let manifest = Manifest {
        registry: signer.registry.clone(),
        root: signer.root,
        epoch: txn.head()?.position.epoch,
        from: question.from,
        to: question.to,
        prompts: question.prompts.clone(),
        format: format.to_string(),
        decisions: contents.rows,
        deployments: contents.deployments,
        ends: ends.transpose()?,
        audit: mark(seq, hash)?,
        bytes: written.bytes,
        file: written.hash,
        issued: signer.clock.signing_s(),
        by: heading.generated_by.clone(),
        tool: format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
    };
    let (roots, epochs) = txn.trust()?;
    let text = |note: Vec<u8>| String::from_utf8(note).map_err(|_| ReportError::Record);
    let texts = |notes: Vec<Vec<u8>>| notes.into_iter().map(text).collect::<Result<Vec<_>, _>>();
    Ok(ManifestFile {
        how_to_read: HOW_TO_READ.to_owned(),
        manifest: text(manifest.sign(&signer.key_name, &signer.key)?)?,
        roots: texts(roots)?,
        epochs: texts(epochs)?,
        // Signed now, so that it is as old as the manifest.
        checkpoint: text(signer.sign_again(txn, LIVE_LIFETIME_S, |_| ())?)?,
    })
}

/// Counts and hashes the bytes written through it, up to a limit.
struct HashingWriter<'a> {
    out: &'a mut dyn Write,
    bytes: u64,
    bytes_max: u64,
    hasher: blake3::Hasher,
}

impl Write for HashingWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        self.bytes = self.bytes.saturating_add(written as u64);
        if self.bytes > self.bytes_max { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(written) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
