//! Decides what to do with a prompt file, given what was last published from it and the current state of the registry.
//!
//! `push`, `import DIR`, uploads and `serve --watch` all call [`compare`], and so do dry runs. It is pure: the caller
//! collects the facts, records what was done ([`PublishedFile`]) and acts. Invariant: a file that did not change since
//! it was last published never replaces others' work.
//!
//! Differences in line breaks are no change. A file in which every line ends in `\r\n` is read as if they ended in
//! `\n`, as version control writes them on Windows; a file is compared in its own and both other forms.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::prompt::{PromptFile, PromptFileError, parse};
use crate::model::content_id::ContentId;
use crate::model::name::Label;
use crate::model::source::PublishedFile;
use crate::model::version::Version;
use crate::template::variables::complete;

/// A parsed prompt file, and the IDs under which a registry may have its content.
#[derive(Clone, Debug)]
pub struct ParsedFile {
    /// The content and labels of the file.
    pub file: PromptFile,
    /// The IDs of its content.
    pub ids: FileIds,
}

/// The IDs under which a registry may have the content of a file: as written, with its variables completed as by the
/// server, and both with other line breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileIds {
    written: ContentId,
    all: BTreeSet<ContentId>,
}

impl FileIds {
    /// The ID of the content as written in the file.
    pub const fn written(&self) -> ContentId {
        self.written
    }

    /// Whether a content with this ID is the same.
    #[must_use]
    pub fn contain(&self, id: &ContentId) -> bool {
        self.all.contains(id)
    }

    /// Whether a version has the same content, as served or as written.
    #[must_use]
    pub fn matches(&self, version: &Version) -> bool {
        self.contain(&version.content_id) || version.source_id.is_some_and(|source| self.contain(&source))
    }
}

/// Parses a prompt file.
pub fn read(text: &str) -> Result<ParsedFile, String> {
    let said = |error: PromptFileError| error.to_string();
    let unix = text.replace("\r\n", "\n");
    let windows = unix.replace('\n', "\r\n");
    let read_as = if text == windows { &unix } else { text };
    let file = parse(read_as).map_err(said)?;
    let written = file.content.id().map_err(|error| error.to_string())?;
    let mut all = BTreeSet::from([written]);
    let others = [text, &unix, &windows].into_iter().filter_map(|text| parse(text).ok());
    for mut content in others.map(|file| file.content) {
        all.extend(content.id().ok());
        if complete(&mut content).is_ok() {
            all.extend(content.id().ok());
        }
    }
    Ok(ParsedFile { file, ids: FileIds { written, all } })
}

/// The state of the registry for the name of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryState {
    /// Its latest version.
    pub newest: u64,
    /// Whether it was removed, or its latest version retired: then no version matches.
    pub gone: bool,
    /// The newest version with the content of the file.
    pub same: Option<u64>,
    /// The existing labels among those in the file.
    pub labels: BTreeMap<Label, LabelPresent>,
}

/// The relation of a label to the latest version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelPresent {
    /// It serves only that version.
    pub serves: bool,
    /// It served that version before.
    pub served: bool,
}

/// What to do with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Publish a new version, based on this one (0: none yet).
    Publish {
        /// The version that must be the latest when it is published.
        parent: u64,
    },
    /// The latest version has the same content.
    Same {
        /// That version.
        version: u64,
        /// Labels to deploy to, which never served it.
        deploy: Vec<Label>,
        /// Labels that served it and were moved since: they are left unchanged.
        left: Vec<Label>,
    },
    /// The file is unchanged since it was last published, and the registry has moved on: nothing to do.
    Left(RegistryChange),
    /// Both the file and the registry changed; or the file has the text of an older version for an unknown reason.
    Conflict(RegistryChange),
}

/// How a registry moved on since a file was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistryChange {
    /// The version of the file, or on which it is based.
    pub from: u64,
    /// The latest version now.
    pub newest: u64,
    /// Whether the prompt was removed, or that version retired.
    pub gone: bool,
}

impl fmt::Display for RegistryChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, newest, gone } = self;
        if *gone {
            write!(f, "version {newest} was removed or retired after the file was pulled (version {from})")
        } else {
            write!(f, "the registry is at version {newest}, but the file is from version {from}")
        }
    }
}

/// Decides what to do with a file.
///
/// Labels follow one rule: a file deploys a version to a label once. If the label served that version and was moved
/// since, someone rolled back or deployed another one, and an unchanged file does not undo that.
pub fn compare(
    ids: &FileIds,
    labels: &BTreeSet<Label>,
    done: Option<&PublishedFile>,
    present: Option<&RegistryState>,
) -> Plan {
    let Some(present) = present else { return Plan::Publish { parent: 0 } };
    let RegistryState { newest, gone, same, .. } = *present;
    // A registry that was restored from an older backup lacks later records.
    let done = done.filter(|done| done.version <= newest);
    let unchanged = done.is_some_and(|done| ids.contain(&done.content_id));
    let is_newest = done.is_some_and(|done| done.version == newest);
    if !gone && (same == Some(newest) || (unchanged && is_newest)) {
        let (mut deploy, mut left) = (Vec::new(), Vec::new());
        for label in labels.iter().filter(|label| !label.is_latest()) {
            match present.labels.get(label) {
                Some(LabelPresent { serves: true, .. }) => {}
                Some(LabelPresent { served: true, .. }) => left.push(label.clone()),
                _ => deploy.push(label.clone()),
            }
        }
        return Plan::Same { version: newest, deploy, left };
    }
    match (done, same) {
        (Some(done), _) if unchanged => Plan::Left(RegistryChange { from: done.version, newest, gone }),
        (Some(done), _) if !is_newest || gone => Plan::Conflict(RegistryChange { from: done.version, newest, gone }),
        (None, Some(from)) => Plan::Conflict(RegistryChange { from, newest, gone }),
        _ => Plan::Publish { parent: newest },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> FileIds {
        read(text).expect(text).ids
    }

    fn done(version: u64, text: &str) -> PublishedFile {
        PublishedFile { version, content_id: ids(text).written() }
    }

    fn present(newest: u64, same: Option<u64>) -> RegistryState {
        RegistryState { newest, same, ..RegistryState::default() }
    }

    #[test]
    fn only_files_changed_since_the_last_publication_are_published() {
        let none = BTreeSet::new();
        let moved = |from, newest| RegistryChange { from, newest, gone: false };
        let same = |version| Plan::Same { version, deploy: Vec::new(), left: Vec::new() };
        for (case, last, now, plan) in [
            ("new name", None, None, Plan::Publish { parent: 0 }),
            ("never done, newest says it", None, Some(present(2, Some(2))), same(2)),
            ("never done, other words", None, Some(present(2, None)), Plan::Publish { parent: 2 }),
            ("never done, old words", None, Some(present(2, Some(1))), Plan::Conflict(moved(1, 2))),
            ("changed", Some(done(2, "old")), Some(present(2, None)), Plan::Publish { parent: 2 }),
            ("changed back", Some(done(2, "old")), Some(present(2, Some(1))), Plan::Publish { parent: 2 }),
            ("unchanged, moved on", Some(done(1, "new")), Some(present(2, Some(1))), Plan::Left(moved(1, 2))),
            ("both changed", Some(done(1, "old")), Some(present(2, None)), Plan::Conflict(moved(1, 2))),
            ("both changed alike", Some(done(1, "old")), Some(present(2, Some(2))), same(2)),
            ("unchanged, include moved", Some(done(2, "new")), Some(present(2, None)), same(2)),
            ("restored to before it", Some(done(3, "new")), Some(present(2, None)), Plan::Publish { parent: 2 }),
        ] {
            assert_eq!(compare(&ids("new"), &none, last.as_ref(), now.as_ref()), plan, "{case}");
        }
    }

    #[test]
    fn removed_prompt_is_restored_only_by_changed_content() {
        let gone = |same| RegistryState { gone: true, ..present(2, same) };
        let moved = |from| RegistryChange { from, newest: 2, gone: true };
        for (last, same, plan) in [
            (Some(done(2, "new")), Some(2), Plan::Left(moved(2))),
            (Some(done(2, "old")), None, Plan::Conflict(moved(2))),
            (None, Some(2), Plan::Conflict(moved(2))),
            (None, None, Plan::Publish { parent: 2 }),
        ] {
            assert_eq!(compare(&ids("new"), &BTreeSet::new(), last.as_ref(), Some(&gone(same))), plan, "{last:?}");
        }
    }

    #[test]
    fn label_that_served_the_version_and_was_moved_stays_where_it_is() {
        let label = |name: &str| name.parse::<Label>().expect(name);
        let labels = ["latest", "here", "moved", "elsewhere", "absent"].into_iter().map(label).collect();
        let states = [("here", true, true), ("moved", false, true), ("elsewhere", false, false)];
        let states = states.into_iter().map(|(name, serves, served)| (label(name), LabelPresent { serves, served }));
        let present = RegistryState { labels: states.collect(), ..present(2, Some(2)) };
        let plan = compare(&ids("new"), &labels, None, Some(&present));
        let (deploy, left) = (vec![label("absent"), label("elsewhere")], vec![label("moved")]);
        assert_eq!(plan, Plan::Same { version: 2, deploy, left });
    }

    #[test]
    fn line_breaks_and_undeclared_variables_do_not_count_as_changes() {
        let unix = read("---\nlabels: [production]\n---\nHi {{who}}\nBye\n").expect("a file");
        let windows = read("---\r\nlabels: [production]\r\n---\r\nHi {{who}}\r\nBye\r\n").expect("a file");
        assert_eq!(unix.file, windows.file);
        assert_eq!(unix.ids.written(), windows.ids.written());
        let mut completed = unix.file.content.clone();
        complete(&mut completed).expect("complete");
        assert!(unix.ids.contain(&completed.id().expect("small")));
        let mixed = read("one\r\ntwo\nthree\r\n").expect("a file");
        assert_eq!(mixed.file, parse("one\r\ntwo\nthree\r\n").expect("a file"), "odd line ends are kept");
        assert!(mixed.ids.contain(&ids("one\ntwo\nthree\n").written()));
        assert!(!unix.ids.contain(&ids("Hi {{who}}\nBye!\n").written()));
    }
}
