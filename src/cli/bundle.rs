//! `bundle`: the state of a registry as a folder of files, to cross an air gap.
//!
//! `export` downloads and unpacks it; `replication` verifies the files when they are imported. Invariant: nothing is
//! ever written outside the new folder.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use tar::EntryType;

use super::args::node::BundleImportArgs;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, DIM, GOOD, Output, paint};
use super::serve::run_to_end;
use super::{Verdict, disk, progress, verify};
use crate::clock::SystemClock;
use crate::model::count::count;
use crate::server::offline;
use crate::trust::root::RootKeyId;

/// Most bytes of a bundle.
const BUNDLE_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
/// Most files and folders of a bundle.
const BUNDLE_ENTRIES_MAX: usize = 1_000_000;
/// Maximum depth of folders in a bundle.
const BUNDLE_DEPTH_MAX: usize = 16;

const EXAMPLES: &str = "\
Examples:
  bookholder bundle export /media/usb/bundle
  bookholder bundle export /media/usb/bundle --lifetime-days 90
  bookholder bundle import /media/usb/bundle --data /var/lib/bookholder

A bundle of a new registry can be valid for up to 90 days.";

/// `bundle`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BundleArgs {
    /// Which way.
    #[command(subcommand)]
    pub command: BundleCommand,
}

/// The subcommands of `bundle`.
#[derive(Clone, Debug, Subcommand)]
pub enum BundleCommand {
    /// Export the signed state of a node into a new folder
    Export(BundleExportArgs),
    /// Import a bundle into the data directory of a replica
    Import(BundleImportArgs),
}

/// `bundle export`
#[derive(Clone, Debug, Args)]
pub struct BundleExportArgs {
    /// Folder to create; must not exist or must be empty
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Days until replicas report the bundle as expired
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    lifetime_days: u32,
}

/// Imports a bundle into the data directory of a stopped node, and verifies the result.
pub fn import(args: &BundleImportArgs, output: Output) -> Result<Verdict, CliError> {
    let root_key = args.root_key.as_ref().map(|key| key.parse::<RootKeyId>());
    let root_key = root_key.transpose().map_err(|error| CliError::usage(error.to_string()))?;
    let clock = Arc::new(SystemClock::new());
    let import =
        offline::import_bundle(&args.bundle, &args.data, root_key, (args.accept_expired, args.accept_fork), clock);
    match run_to_end(async { Ok(import.await?) })? {
        Ok(proof) => verify::show(output, &proof),
        Err(reason) => {
            Err(CliError::no(format!("the bundle was rejected: {reason}")).hint("the data directory is unchanged"))
        }
    }
}

pub async fn run(args: BundleArgs, context: Context) -> Result<Verdict, CliError> {
    let BundleCommand::Export(args) = args.command else {
        return Err(CliError::usage("import a bundle into a data directory (--data), not into a node"));
    };
    let is_free = match fs::read_dir(&args.folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    if !is_free {
        let message = format!("{} already exists and is not an empty folder", args.folder.display());
        return Err(CliError::usage(message).hint("choose a folder that does not exist yet"));
    }
    disk::check_folder(&args.folder)?;
    let mut archive = tempfile::tempfile_in(disk::parent(&args.folder))?;
    let bar = progress::bytes(context.output, "bundle", None);
    let mut told = |so_far: u64, total: Option<u64>| progress::set(&bar, so_far, total);
    let days = args.lifetime_days;
    let bytes = context.client.bundle(days, BUNDLE_BYTES_MAX, &mut archive, &mut told).await?;
    bar.finish_and_clear();
    archive.rewind()?;
    let fresh = disk::folder_beside(&args.folder)?;
    let files = unpack(&archive, fresh.path())?;
    put(fresh, &args.folder)?;
    context.output.show(&serde_json::json!({ "folder": args.folder, "files": files, "bytes": bytes }), || {
        let what = paint(DIM, format!("{}, {}", count(files, "file"), progress::size(bytes)));
        context.output.line(format!("{} {} {what}", paint(GOOD, "✓"), paint(ACCENT, args.folder.display())))
    })?;
    Ok(Verdict::Done)
}

/// Renames a finished folder to its final path; an empty folder there is replaced.
fn put(fresh: tempfile::TempDir, folder: &Path) -> Result<(), CliError> {
    let fail = |error: std::io::Error| CliError::file("make", folder, &error);
    match fs::remove_dir(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fail(error)),
        _ => {}
    }
    fs::rename(fresh.path(), folder).map_err(fail)?;
    // It was renamed: there is nothing to clean up at the old path.
    let _ = fresh.keep();
    disk::sync_folder(disk::parent(folder));
    Ok(())
}

/// Unpacks regular files and folders, and rejects everything else. Returns the number of files.
pub(super) fn unpack(archive: impl Read, folder: &Path) -> Result<usize, CliError> {
    let broken = |reason: String| CliError::server(format!("the server sent an invalid bundle: {reason}"));
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().map_err(|error| broken(error.to_string()))?;
    let (mut files, mut bytes_left) = (0, BUNDLE_BYTES_MAX);
    for (index, entry) in entries.enumerate() {
        let mut entry = entry.map_err(|error| broken(error.to_string()))?;
        if index >= BUNDLE_ENTRIES_MAX {
            return Err(broken(format!("it has more than {BUNDLE_ENTRIES_MAX} entries")));
        }
        let inside = entry.path().map_err(|error| broken(error.to_string()))?.into_owned();
        let Some(target) = target(folder, &inside) else {
            return Err(broken(format!("`{}` would be outside its folder", inside.display())));
        };
        let fail = |error: std::io::Error| CliError::file("write", &target, &error);
        match entry.header().entry_type() {
            EntryType::Directory => fs::create_dir_all(&target).map_err(fail)?,
            EntryType::Regular => {
                bytes_left = bytes_left
                    .checked_sub(entry.size())
                    .ok_or_else(|| broken(format!("it is larger than {BUNDLE_BYTES_MAX} bytes")))?;
                fs::create_dir_all(disk::parent(&target)).map_err(fail)?;
                let mut file = File::create_new(&target).map_err(fail)?;
                let size = entry.size();
                let written = std::io::copy(&mut entry, &mut file).map_err(fail)?;
                if written != size {
                    return Err(broken(format!("it is truncated in `{}`", inside.display())));
                }
                file.sync_all().map_err(fail)?;
                files += 1;
            }
            _ => return Err(broken(format!("`{}` is neither a file nor a folder", inside.display()))),
        }
    }
    if files == 0 {
        return Err(broken("it is empty".to_owned()));
    }
    Ok(files)
}

/// The target of an entry; absent if it is not below the folder.
fn target(folder: &Path, inside: &Path) -> Option<PathBuf> {
    let mut target = folder.to_owned();
    let mut depth = 0;
    for component in inside.components() {
        match component {
            Component::Normal(name) => target.push(name),
            Component::CurDir => continue,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
        depth += 1;
    }
    (depth <= BUNDLE_DEPTH_MAX).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, bytes) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_size(bytes.len() as u64);
            header.set_mode(0o777);
            // Written without the checks of `set_path`, as an attacker would.
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            builder.append(&header, *bytes).expect("in memory");
        }
        builder.into_inner().expect("in memory")
    }

    #[test]
    fn plain_files_and_folders_are_unpacked() {
        let folder = tempfile::tempdir().expect("a folder");
        let bytes = archive(&[
            ("objects/", EntryType::Directory, b""),
            ("objects/a", EntryType::Regular, b"one"),
            ("./deep/er/b", EntryType::Regular, b""),
        ]);
        assert_eq!(unpack(bytes.as_slice(), folder.path()).expect("unpacked"), 2);
        assert_eq!(fs::read(folder.path().join("objects/a")).expect("a file"), b"one");
        assert!(folder.path().join("deep/er/b").exists());
    }

    #[test]
    fn archive_cannot_write_outside_its_folder() {
        let deep = "a/".repeat(17);
        for (path, kind, part) in [
            ("../evil", EntryType::Regular, "outside"),
            ("a/../../evil", EntryType::Regular, "outside"),
            ("/etc/evil", EntryType::Regular, "outside"),
            (deep.as_str(), EntryType::Directory, "outside"),
            ("link", EntryType::Symlink, "neither a file nor a folder"),
            ("link", EntryType::Link, "neither a file nor a folder"),
            ("pipe", EntryType::Fifo, "neither a file nor a folder"),
        ] {
            let outer = tempfile::tempdir().expect("a folder");
            let folder = outer.path().join("in");
            fs::create_dir(&folder).expect("a folder");
            let error = unpack(archive(&[(path, kind, b"")]).as_slice(), &folder).expect_err(path);
            assert!(error.to_string().contains(part), "{path}: {error}");
            assert_eq!(fs::read_dir(outer.path()).expect("a folder").count(), 1, "{path}");
        }
    }

    #[test]
    fn broken_archive_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let whole = archive(&[("a", EntryType::Regular, &[7; 2_000])]);
        assert!(unpack(whole.get(..1_000).expect("half"), folder.path()).is_err());
        assert!(unpack([].as_slice(), folder.path()).expect_err("empty").to_string().contains("empty"));
        let twice = archive(&[("b", EntryType::Regular, b"1"), ("b", EntryType::Regular, b"2")]);
        assert!(unpack(twice.as_slice(), folder.path()).is_err(), "no file is written twice");
    }

    #[test]
    fn finished_folder_is_renamed_into_place() {
        let outer = tempfile::tempdir().expect("a folder");
        let folder = outer.path().join("bundle");
        fs::create_dir(&folder).expect("an empty folder");
        let fresh = disk::folder_beside(&folder).expect("a folder");
        fs::write(fresh.path().join("a"), "one").expect("a file");
        put(fresh, &folder).expect("in its place");
        assert_eq!(fs::read(folder.join("a")).expect("a file"), b"one");
        assert_eq!(fs::read_dir(outer.path()).expect("a folder").count(), 1);
    }
}
