//! `report verify`: verifies a report offline, with the root key alone.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::Args;

use super::super::error::CliError;
use super::super::output::{DIM, GOOD, Output, WARN, moment, one_line, paint, zoned};
use super::super::{Verdict, disk, progress};
use super::manifest_of;
use crate::governance::audit_copy::{CopyError, CopyVerification, verify_copy};
use crate::governance::report::ReportFormat;
use crate::model::count::count;
use crate::model::time::Timestamp;
use crate::trust::manifest::{
    AuditMark, MANIFEST_FILE_BYTES_MAX, Manifest, ManifestError, ManifestFile, VerifiedManifest, verify,
};
use crate::trust::root::RootKeyId;

/// `report verify`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  bookholder report verify incident.html --root-key bk1-…")]
pub struct ReportVerifyArgs {
    /// Report file, from `bookholder report`
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Manifest file [default: the report's name followed by .manifest.json]
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Registry root key; get it from the registry's operator, not with the report
    #[arg(long, value_name = "KEY")]
    root_key: RootKeyId,
}

pub fn run(args: &ReportVerifyArgs, output: Output) -> Result<Verdict, CliError> {
    let beside = args.manifest.clone().unwrap_or_else(|| manifest_of(&args.file));
    let json = disk::read(&beside, MANIFEST_FILE_BYTES_MAX)?;
    let file: ManifestFile = serde_json::from_slice(&json)
        .map_err(|error| CliError::usage(format!("{} is not a report manifest: {error}", beside.display())))?;
    let verified = verify(&file, open(&args.file)?, &args.root_key).map_err(|error| match error {
        ManifestError::Read(error) => CliError::file("read", &args.file, &error),
        refused => CliError::no(format!("the report failed verification: {refused}")),
    })?;
    let copy = chain(&args.file, &verified.manifest)?;
    show(output, &verified, copy.as_ref())
}

fn open(path: &Path) -> Result<File, CliError> {
    File::open(path).map_err(|error| CliError::file("read", path, &error))
}

/// Verifies the chain of audit entries in a report that contains them, and their number.
fn chain(path: &Path, manifest: &Manifest) -> Result<Option<CopyVerification>, CliError> {
    if manifest.format != ReportFormat::Jsonl.as_str() {
        return Ok(None);
    }
    let copy = verify_copy(BufReader::new(open(path)?)).map_err(|error| match error {
        CopyError::Read(error) => CliError::file("read", path, &error),
        other => CliError::no(format!("{}: {other}", path.display())),
    })?;
    if let Some(seq) = copy.broken_at {
        return Err(CliError::no(format!("the chain of audit entries is broken at commit {seq}"))
            .hint("run `bookholder audit verify` on the registry"));
    }
    let end = |mark: &Option<(u64, String)>| mark.as_ref().and_then(|(seq, hash)| AuditMark::of(*seq, hash));
    let ends = end(&copy.first).zip(end(&copy.last));
    if ends != manifest.ends || (copy.entries, copy.served) != (manifest.decisions, manifest.deployments) {
        return Err(CliError::no("the report does not match its manifest; download it again"));
    }
    Ok(Some(copy))
}

fn show(output: Output, verified: &VerifiedManifest, copy: Option<&CopyVerification>) -> Result<Verdict, CliError> {
    let VerifiedManifest { manifest, checkpoint, signer } = verified;
    let issued = Timestamp::from_ms(manifest.issued.saturating_mul(1_000));
    if output.json {
        output.json(&serde_json::json!({
            "verified": true,
            "registry": manifest.registry,
            "from": manifest.from,
            "to": manifest.to,
            "prompts": manifest.prompts,
            "format": manifest.format,
            "decisions": manifest.decisions,
            "deployments": manifest.deployments,
            "issued": issued,
            "by": manifest.by,
            "tool": manifest.tool,
            "signed_by": signer,
            "position": checkpoint.position(),
            "audit_head": { "seq": manifest.audit.seq, "hash": manifest.audit.hex() },
            "gaps": copy.map(|copy| copy.gaps),
        }))?;
        return Ok(Verdict::Done);
    }
    let row = |what: &str, value: String| output.line(format!("{} {value}", paint(DIM, format!("{what:<9}"))));
    row("registry", manifest.registry.clone())?;
    row("from", format!("{} to {}", moment(manifest.from), zoned(manifest.to)))?;
    row("prompts", one_line(manifest.prompts.as_str()))?;
    let (decisions, periods) = (count(manifest.decisions, "decision"), count(manifest.deployments, "period"));
    row("holds", format!("{decisions}, {periods} of what labels served"))?;
    row("file", format!("{}, {}", manifest.format, progress::size(manifest.bytes)))?;
    row("made", format!("{} by {}, with {}", zoned(issued), one_line(&manifest.by), one_line(&manifest.tool)))?;
    row("signed", format!("by {signer}"))?;
    row("audit", format!("newest entry {} {}", manifest.audit.seq, paint(DIM, manifest.audit.hex())))?;
    if let Some(copy) = copy {
        let gaps = if copy.gaps == 0 {
            "no gaps".to_owned()
        } else {
            paint(WARN, format!("{} where entries are not part of the report", count(copy.gaps, "gap")))
        };
        row("chain", format!("{} verified; {gaps}", count(copy.entries, "entry")))?;
    }
    output.line(paint(GOOD, "verified: the file is what the registry signed"))?;
    Ok(Verdict::Done)
}

#[cfg(test)]
mod tests {
    use super::super::super::error::Kind;
    use super::*;
    use crate::crypto::key::SigningKey;
    use crate::governance::report::{SystemInfo, jsonl, samples};
    use crate::trust::checkpoint::{Checkpoint, NO_PREVIOUS, all_view_definition};
    use crate::trust::epoch::EpochRecord;
    use crate::trust::root::{RootDocument, sign_root};

    const REGISTRY: &str = "prompts.example.org";
    const KEY_NAME: &str = "checkpoint-1";

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    /// Signs a document as a registry would; `amend` can falsify it.
    fn signed(document: &[u8], amend: impl FnOnce(&mut Manifest)) -> (ManifestFile, RootKeyId) {
        let (root, checkpoint) = (SigningKey::from_seed([1; 32]), SigningKey::from_seed([2; 32]));
        let roots = RootDocument {
            registry: REGISTRY.to_owned(),
            version: 1,
            threshold: 1,
            root_keys: vec![root.verifying_key()],
            checkpoint_keys: vec![(KEY_NAME.to_owned(), checkpoint.verifying_key())],
            failover_keys: Vec::new(),
            max_lifetime_s: 60,
            reset: None,
            issued: 1,
        };
        let (registry, checkpoint_key) = (REGISTRY.to_owned(), KEY_NAME.to_owned());
        let epoch = EpochRecord { registry, epoch: 1, base: None, checkpoint_key, root: 1, issued: 1 };
        let sample = samples::incident();
        let report = sample.report();
        let contents = samples::collect(&report).contents;
        let mark = |(seq, hash): &(u64, String)| AuditMark::of(*seq, hash).unwrap();
        let (first, last) = contents.ends.as_ref().unwrap();
        let head = contents.head.as_ref().unwrap();
        let mut manifest = Manifest {
            registry: REGISTRY.to_owned(),
            root: 1,
            epoch: 1,
            from: report.question.from,
            to: report.question.to,
            prompts: report.question.prompts.clone(),
            format: "jsonl".to_owned(),
            decisions: contents.rows,
            deployments: contents.deployments,
            ends: Some((mark(first), mark(last))),
            audit: mark(head),
            bytes: document.len() as u64,
            file: blake3::hash(document).into(),
            issued: 2,
            by: "eve".to_owned(),
            tool: "bookholder 0.1.0".to_owned(),
        };
        amend(&mut manifest);
        let note = Checkpoint {
            registry: REGISTRY.to_owned(),
            view: "all".to_owned(),
            root: 1,
            epoch: 1,
            seq: manifest.audit.seq,
            changed: 1,
            floor: 0,
            state: [0; 32],
            entries: 1,
            tombstones: 0,
            bytes: 1,
            view_definition: all_view_definition(),
            manifest: None,
            previous: NO_PREVIOUS,
            audit: manifest.audit.hash,
            issued: 2,
            expires: 3,
            min_reader: 1,
        };
        let file = ManifestFile {
            how_to_read: String::new(),
            manifest: text(manifest.sign(KEY_NAME, &checkpoint).unwrap()),
            roots: vec![text(sign_root(&roots, &[&root]).unwrap())],
            epochs: vec![text(epoch.sign_by_roots(&[&root]).unwrap())],
            checkpoint: text(note.sign(KEY_NAME, &checkpoint).unwrap()),
        };
        (file, roots.key_id())
    }

    fn document() -> Vec<u8> {
        let mut bytes = Vec::new();
        jsonl::write_jsonl(&samples::incident().report(), &SystemInfo::default(), &mut bytes).unwrap();
        bytes
    }

    /// Verifies a document against the manifest of what was signed.
    fn outcome(document: &[u8], (manifest, root_key): &(ManifestFile, RootKeyId)) -> Result<Verdict, CliError> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("incident.jsonl");
        std::fs::write(&file, document).expect("a report");
        std::fs::write(manifest_of(&file), serde_json::to_vec(manifest).unwrap()).expect("a manifest");
        let args = ReportVerifyArgs { file, manifest: None, root_key: *root_key };
        run(&args, Output { json: true, terminal: false, headings: true })
    }

    #[test]
    fn only_signed_report_verifies() {
        let good = document();
        let signed_good = signed(&good, |_| ());
        assert_eq!(outcome(&good, &signed_good), Ok(Verdict::Done));

        let altered = String::from_utf8(good.clone()).unwrap().replace("Ticket 12", "Ticket 13").into_bytes();
        let elsewhere: RootKeyId = format!("bk1-{}", "0".repeat(64)).parse().unwrap();
        for (document, signed, part) in [
            (&altered, &signed_good, "its hash differs"),
            (&good, &(signed_good.0.clone(), elsewhere), "root key id"),
            // A registry that signs inconsistent data is detected, too.
            (&altered, &signed(&altered, |_| ()), "broken at commit 5"),
            (&good, &signed(&good, |manifest| manifest.deployments = 9), "does not match its manifest"),
        ] {
            let error = outcome(document, signed).expect_err(part);
            assert!(error.message.contains(part), "{error}");
            assert_eq!(error.kind, Kind::No, "{error}");
        }
    }

    #[test]
    fn missing_or_foreign_manifest_is_a_usage_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.html");
        let root_key = signed(b"", |_| ()).1;
        let verdict = |manifest| {
            let args = ReportVerifyArgs { file: file.clone(), manifest, root_key };
            run(&args, Output { json: true, terminal: false, headings: true }).expect_err("no manifest")
        };
        assert_eq!(verdict(None).kind, Kind::Usage);
        std::fs::write(&file, b"{}").expect("a file");
        let error = verdict(Some(file.clone()));
        assert!(error.message.contains("is not a report manifest"), "{error}");
    }
}
