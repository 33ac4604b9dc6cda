//! What to do with a file that was not pushed: commands that work as they are printed, from where push was called.

use std::path::Path;

use crate::files::compare::RegistryChange;
use crate::model::name::{Label, PromptName};

/// A file, and where its newest version can be pulled from.
pub(super) struct Advice {
    /// The path of the file, as seen from the current directory.
    file: String,
    /// The command that pulls the newest version into the folder.
    pull: String,
}

impl Advice {
    /// For a file of a folder that follows a label; `serves_newest` says whether that label serves the newest version.
    pub(super) fn new(
        (folder, file): (&Path, &Path),
        (follows, serves_newest): (Option<&Label>, bool),
        inline: bool,
    ) -> Self {
        // After a rollback, pulling the label again gives the version that the file has.
        let label = follows.filter(|_| serves_newest).cloned().unwrap_or_else(Label::latest);
        let inline = if inline { " --inline" } else { "" };
        Self {
            file: quoted(&folder.join(file)),
            pull: format!("bookholder pull --label {label} --out {}{inline}", quoted(folder)),
        }
    }

    /// How to get the newest version into an unchanged folder.
    pub(super) fn update(&self) -> String {
        format!("get it with `{}`", self.pull)
    }

    /// How to merge a file with what was published since.
    pub(super) fn merge(&self, name: &PromptName, moved: RegistryChange) -> String {
        let Self { file, pull } = self;
        if moved.gone {
            return format!("discard the file's changes with `{pull} --force`, or use --force to publish it again");
        }
        format!(
            "merge both with `bookholder draft save {name} mine --file {file} --parent {}` and `bookholder draft merge \
             {name} mine`; or publish the file over version {} with --force; or overwrite all changed files with \
             `{pull} --force`",
            moved.from, moved.newest
        )
    }
}

/// A path as a word of a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+@%=:,".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_version_is_pulled_by_the_label_only_if_that_serves_it() {
        let label = Label::production();
        let moved = RegistryChange { from: 1, newest: 2, gone: false };
        let name: PromptName = "shared/tone".parse().expect("a name");
        let place = (Path::new("my prompts"), Path::new("shared/tone.prompt"));
        let back = Advice::new(place, (Some(&label), false), false);
        assert_eq!(back.update(), "get it with `bookholder pull --label latest --out 'my prompts'`");
        let merge = back.merge(&name, moved);
        assert!(merge.contains("--file 'my prompts/shared/tone.prompt' --parent 1`"), "{merge}");
        assert!(merge.contains("over version 2 with --force"), "{merge}");
        let newest = Advice::new((Path::new("prompts"), place.1), (Some(&label), true), true);
        assert_eq!(newest.update(), "get it with `bookholder pull --label production --out prompts --inline`");
    }
}
