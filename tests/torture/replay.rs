//! The possible contents of a disk after a power loss, from the record of writes.
//!
//! The model: what was flushed stays. Of what was not, each piece (a page of 4 KiB or a sector of 512 bytes) is there or
//! not, on its own, so newer writes may be there without older ones, and a write may be torn. A file has its old length
//! or any later one; what is missing in between is zeros. Names (new files, renames, removals) come about in their order:
//! flushed ones stay, of the others the first few. That is how ext4, XFS and the like behave; they never let an older
//! write to one sector win over a newer one that reached the disk, so the order of pieces needs no shuffling of its own.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::run::Random;

/// Bytes of a record's head: kind and file (u32 each), offset and length (u64 each), little-endian.
const HEAD: usize = 24;

/// What was recorded.
pub struct Record {
    bytes: Vec<u8>,
}

/// How a disk loses what was not flushed.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// Bytes that are written whole or not at all.
    pub piece: usize,
    /// Pieces that reached the disk, of 100.
    pub kept_percent: u64,
}

enum Change {
    Write { at: usize, bytes: Range<usize> },
    Length(usize),
}

#[derive(Default)]
struct File {
    /// What is surely on the disk.
    flushed: Vec<u8>,
    changes: Vec<Change>,
    /// Length as the program sees it.
    length: usize,
}

#[derive(Clone)]
enum Name {
    Made(PathBuf, usize),
    Moved(PathBuf, PathBuf),
    Removed(PathBuf),
}

#[derive(Clone, Default)]
struct Names(BTreeMap<PathBuf, usize>);

impl Names {
    fn apply(&mut self, change: &Name) {
        match change {
            Name::Made(path, file) => drop(self.0.insert(path.clone(), *file)),
            Name::Moved(from, to) => {
                if let Some(file) = self.0.remove(from) {
                    self.0.insert(to.clone(), file);
                }
            }
            Name::Removed(path) => drop(self.0.remove(path)),
        }
    }
}

#[derive(Default)]
struct Disk {
    files: Vec<File>,
    /// Names as the program sees them, and as they surely are on the disk.
    names: Names,
    flushed_names: Names,
    changes: Vec<Name>,
    /// Numbers of open files.
    open: HashMap<u32, usize>,
}

impl Record {
    pub fn read(path: &Path) -> Self {
        Self { bytes: std::fs::read(path).expect("a record") }
    }

    /// Bytes of the record.
    pub fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Creates a directory as a disk could contain it if the power fails at this byte of the record; returns the number
    /// of unflushed changes to files and names.
    pub fn cut(&self, at: u64, below: &Path, into: &Path, loss: Loss, random: &mut Random) -> usize {
        let end = usize::try_from(at).expect("a length").min(self.bytes.len());
        let mut disk = Disk::default();
        let mut next = 0;
        while let Some(head) = self.bytes[..end].get(next..next + HEAD) {
            let half = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
            let word = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
            let length = usize::try_from(word(16)).expect("a length");
            let payload = next + HEAD..next + HEAD + length;
            if payload.end > end {
                break;
            }
            next = payload.end;
            disk.apply(half(0), half(4), usize::try_from(word(8)).expect("an offset"), payload, &self.bytes);
        }
        disk.lose(below, into, loss, &self.bytes, random)
    }
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8(bytes.to_vec()).expect("UTF-8"))
}

impl Disk {
    fn apply(&mut self, kind: u32, file: u32, offset: usize, payload: Range<usize>, bytes: &[u8]) {
        let text = &bytes[payload.clone()];
        match kind {
            0 => self.open.clear(),
            1 => self.open_file(file, path(text), offset != 0),
            2 => self.change(file, Change::Write { at: offset, bytes: payload }),
            3 => self.change(file, Change::Length(offset)),
            4 => self.flush(file, bytes, false),
            5 => self.flush(file, bytes, true),
            6 => {
                let mut both = text.splitn(2, |byte| *byte == 0);
                let (from, to) = (both.next().expect("a path"), both.next().expect("a path"));
                self.rename(Name::Moved(path(from), path(to)));
            }
            7 => self.rename(Name::Removed(path(text))),
            other => panic!("a record of kind {other}"),
        }
    }

    fn rename(&mut self, change: Name) {
        self.names.apply(&change);
        self.changes.push(change);
    }

    fn open_file(&mut self, number: u32, path: PathBuf, truncated: bool) {
        let file = self.names.0.get(&path).copied().unwrap_or_else(|| {
            self.files.push(File::default());
            let file = self.files.len() - 1;
            self.rename(Name::Made(path, file));
            file
        });
        self.open.insert(number, file);
        if truncated && self.files[file].length > 0 {
            self.change(number, Change::Length(0));
        }
    }

    fn change(&mut self, number: u32, change: Change) {
        let Some(file) = self.open.get(&number) else { return };
        let file = &mut self.files[*file];
        file.length = match &change {
            Change::Write { at, bytes } => file.length.max(at + bytes.len()),
            Change::Length(length) => *length,
        };
        file.changes.push(change);
    }

    /// A flushed file that is new or of another length takes the names before it along, as its journal does.
    fn flush(&mut self, number: u32, record: &[u8], whole: bool) {
        let mut names = whole;
        if let Some(file) = self.open.get(&number) {
            let index = *file;
            let file = &mut self.files[index];
            names |= file.flushed.len() != file.length
                || self.changes.iter().any(|change| matches!(change, Name::Made(_, made) if *made == index));
            for change in std::mem::take(&mut file.changes) {
                match change {
                    Change::Write { at, bytes } => put(&mut file.flushed, at, &record[bytes]),
                    Change::Length(length) => file.flushed.resize(length, 0),
                }
            }
        }
        if names {
            for change in self.changes.drain(..) {
                self.flushed_names.apply(&change);
            }
        }
    }

    fn lose(self, below: &Path, into: &Path, loss: Loss, record: &[u8], random: &mut Random) -> usize {
        let mut unflushed = self.changes.len();
        let mut names = self.flushed_names;
        let arrived = match loss.kept_percent {
            0 => 0,
            100 => self.changes.len(),
            _ => random.index(self.changes.len() + 1),
        };
        for change in &self.changes[..arrived] {
            names.apply(change);
        }
        for (path, file) in names.0 {
            let file = &self.files[file];
            unflushed += file.changes.len();
            let target = into.join(path.strip_prefix(below).expect("below the data directory"));
            std::fs::create_dir_all(target.parent().expect("a folder")).expect("folders");
            std::fs::write(target, file.after_loss(loss, record, random)).expect("a file");
        }
        unflushed
    }
}

impl File {
    fn after_loss(&self, loss: Loss, record: &[u8], random: &mut Random) -> Vec<u8> {
        let mut bytes = self.flushed.clone();
        let mut lengths = vec![bytes.len()];
        let mut length = bytes.len();
        for change in &self.changes {
            match change {
                Change::Write { at, bytes: written } => {
                    length = length.max(at + written.len());
                    let mut from = *at;
                    let end = at + written.len();
                    while from < end {
                        let to = (from / loss.piece * loss.piece + loss.piece).min(end);
                        if random.happens(loss.kept_percent) {
                            put(&mut bytes, from, &record[written.start + from - at..written.start + to - at]);
                        }
                        from = to;
                    }
                }
                Change::Length(to) => {
                    if *to < length && random.happens(loss.kept_percent) {
                        bytes.truncate(*to);
                    }
                    length = *to;
                }
            }
            lengths.push(length);
        }
        let chosen = match loss.kept_percent {
            0 => 0,
            100 => lengths.len() - 1,
            _ => random.index(lengths.len()),
        };
        bytes.resize(lengths[chosen], 0);
        bytes
    }
}

/// Writes to a file as a disk does: gaps are filled with zeros.
fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[at..end].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32, file: u32, offset: u64, payload: &[u8]) -> Vec<u8> {
        let head = [&kind.to_le_bytes()[..], &file.to_le_bytes(), &offset.to_le_bytes()].concat();
        [head, (payload.len() as u64).to_le_bytes().to_vec(), payload.to_vec()].concat()
    }

    fn after(records: &[Vec<u8>], kept_percent: u64) -> Vec<(String, Vec<u8>)> {
        let folder = tempfile::tempdir().expect("a folder");
        let whole = Record { bytes: records.concat() };
        let loss = Loss { piece: 512, kept_percent };
        whole.cut(whole.length(), Path::new("/data"), folder.path(), loss, &mut Random::new(1));
        let entries = std::fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("an entry"));
        let mut found: Vec<_> = entries
            .map(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                (name, std::fs::read(entry.path()).expect("a file"))
            })
            .collect();
        found.sort();
        found
    }

    #[test]
    fn flushed_bytes_stay_and_others_are_lost() {
        let made = [record(1, 1, 0, b"/data/a"), record(2, 1, 0, b"kept"), record(4, 1, 0, b"")];
        let more = [made.to_vec(), vec![record(2, 1, 4, b"lost"), record(1, 2, 0, b"/data/b")]].concat();
        assert_eq!(after(&more, 0), [("a".to_owned(), b"kept".to_vec())]);
        let all = [("a".to_owned(), b"keptlost".to_vec()), ("b".to_owned(), Vec::new())];
        assert_eq!(after(&more, 100), all);
    }

    #[test]
    fn flushed_rename_stays_and_unflushed_one_is_undone() {
        let made = vec![record(1, 1, 0, b"/data/new"), record(2, 1, 0, b"x"), record(5, 1, 0, b"")];
        let moved = [made, vec![record(6, 0, 0, b"/data/new\0/data/a")]].concat();
        assert_eq!(after(&moved, 0), [("new".to_owned(), b"x".to_vec())]);
        let flushed = [moved, vec![record(5, 9, 0, b"")]].concat();
        assert_eq!(after(&flushed, 0), [("a".to_owned(), b"x".to_vec())]);
    }

    #[test]
    fn write_tears_between_sectors() {
        let made = [record(1, 1, 0, b"/data/a"), record(2, 1, 0, &[0; 4096]), record(4, 1, 0, b"")];
        let torn = [made.to_vec(), vec![record(2, 1, 0, &[1; 4096])]].concat();
        let (_, bytes) = after(&torn, 50).remove(0);
        let sectors: Vec<u8> = bytes.chunks(512).map(|sector| sector[0]).collect();
        assert!(sectors.contains(&0) && sectors.contains(&1), "{sectors:?}");
        assert!(bytes.chunks(512).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
    }
}
