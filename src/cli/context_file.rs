//! The file of contexts: servers with their access tokens, in the user's configuration directory.
//!
//! Invariant: only its owner can read what is written here, and `Debug` shows no token.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::disk;
use super::error::CliError;
use crate::crypto::secret::AccessToken;
use crate::model::handle::is_handle;

/// The folder in the user's configuration directory.
const FOLDER: &str = "bookholder";
const FILE: &str = "contexts.toml";
/// Largest file, in bytes.
const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Most contexts in a file.
const CONTEXTS_MAX: usize = 1_000;

/// Every context, and which one is used without `--context`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contexts {
    /// The name of the context in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// The contexts by name.
    #[serde(default)]
    pub contexts: BTreeMap<String, SavedContext>,
}

/// A server, and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedContext {
    /// The address of the node.
    pub server: String,
    /// The access token, unless the node needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SavedToken>,
    /// File of certificates to trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// An access token as it is in the file.
#[derive(Clone)]
pub struct SavedToken(pub AccessToken);

impl fmt::Debug for SavedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for SavedToken {
    fn eq(&self, other: &Self) -> bool {
        self.0.hash() == other.0.hash()
    }
}

impl Eq for SavedToken {}

impl Serialize for SavedToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.reveal())
    }
}

impl<'de> Deserialize<'de> for SavedToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        AccessToken::parse(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

impl Contexts {
    /// The context of this name.
    ///
    /// # Errors
    /// There is none; the hint lists what there is.
    pub fn get(&self, name: &str) -> Result<&SavedContext, CliError> {
        self.contexts.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
            let hint = match names.as_slice() {
                [] => "add one with `bookholder login URL`".to_owned(),
                names => format!("there are: {}; add one with `bookholder login URL`", names.join(", ")),
            };
            CliError::usage(format!("there is no context `{name}`")).hint(hint)
        })
    }

    /// Adds or replaces a context, and uses it from now on.
    ///
    /// # Errors
    /// There are too many.
    pub fn put(&mut self, name: &str, context: SavedContext) -> Result<(), CliError> {
        if !self.contexts.contains_key(name) && self.contexts.len() >= CONTEXTS_MAX {
            let message = format!("there are {CONTEXTS_MAX} contexts, the limit");
            return Err(CliError::usage(message).hint("remove one with `bookholder context remove NAME`"));
        }
        self.contexts.insert(name.to_owned(), context);
        self.current = Some(name.to_owned());
        Ok(())
    }

    /// Removes a context.
    pub fn remove(&mut self, name: &str) -> Result<SavedContext, CliError> {
        self.get(name)?;
        if self.current.as_deref() == Some(name) {
            self.current = None;
        }
        self.contexts.remove(name).ok_or_else(|| CliError::usage(format!("there is no context `{name}`")))
    }
}

/// The file of contexts on this machine.
#[derive(Clone, Debug)]
pub struct ContextFile {
    path: PathBuf,
}

impl ContextFile {
    /// The file of this user; absent where neither `XDG_CONFIG_HOME` nor the home directory is known.
    pub fn of_user() -> Option<Self> {
        let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
        Self::below(variable("XDG_CONFIG_HOME"), variable(if cfg!(windows) { "APPDATA" } else { "HOME" }))
    }

    /// As the XDG Base Directory Specification has it: a relative `XDG_CONFIG_HOME` is ignored.
    fn below(config: Option<PathBuf>, home: Option<PathBuf>) -> Option<Self> {
        let folder = if cfg!(windows) { "" } else { ".config" };
        let home = || home.filter(|home| home.is_absolute()).map(|home| home.join(folder));
        let base = config.filter(|config| config.is_absolute()).or_else(home)?;
        Some(Self { path: base.join(FOLDER).join(FILE) })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it; empty if it does not exist.
    ///
    /// # Errors
    /// It cannot be read, or is not a file of contexts. The message shows no line of it.
    pub fn read(&self) -> Result<Contexts, CliError> {
        if self.path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Ok(Contexts::default());
        }
        self.check_private()?;
        let wrong = |reason: &str| {
            CliError::usage(format!("{} is not a file of contexts: {reason}", self.path.display()))
                .hint("correct it, or remove it and sign in again with `bookholder login URL`")
        };
        let text = disk::read_text(&self.path, FILE_BYTES_MAX)?;
        // Other parts of the error quote the line, which may hold a token.
        let contexts: Contexts = toml::from_str(&text).map_err(|error| wrong(error.message()))?;
        match contexts.contexts.keys().find(|name| !is_handle(name)) {
            Some(name) => Err(wrong(&format!("invalid name `{name}`: use 1 to 64 characters from a-z 0-9 . _ - @"))),
            None => Ok(contexts),
        }
    }

    /// Replaces it.
    pub fn write(&self, contexts: &Contexts) -> Result<(), CliError> {
        let folder = disk::parent(&self.path);
        private_folder(folder).map_err(|error| CliError::file("make", folder, &error))?;
        let text = toml::to_string_pretty(contexts).map_err(|error| CliError::no(error.to_string()))?;
        disk::write_private(&self.path, text.as_bytes())
    }

    /// Refuses a file that others can read, as ssh does with keys.
    #[cfg(unix)]
    fn check_private(&self) -> Result<(), CliError> {
        use std::os::unix::fs::PermissionsExt;
        let found = fs::metadata(&self.path).map_err(|error| CliError::file("read", &self.path, &error))?;
        if found.permissions().mode().trailing_zeros() >= 6 {
            return Ok(());
        }
        let path = self.path.display();
        Err(CliError::usage(format!("{path} holds access tokens, and other users can read it"))
            .hint(format!("run `chmod 600 {path}`, and revoke tokens that others may have read")))
    }

    #[cfg(not(unix))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "other systems have no modes")]
    fn check_private(&self) -> Result<(), CliError> {
        Ok(())
    }
}

/// Makes a folder that only its owner can enter; an existing one becomes so.
fn private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
        builder.mode(0o700).create(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
    }
    #[cfg(not(unix))]
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "bh_a_token_for_tests";

    fn saved(server: &str) -> SavedContext {
        let token = Some(SavedToken(AccessToken::parse(TOKEN).expect("a token")));
        SavedContext { server: server.to_owned(), token, ca_file: None }
    }

    #[test]
    fn file_is_below_the_configuration_directory() {
        let path = |config: Option<&str>, home: Option<&str>| {
            ContextFile::below(config.map(PathBuf::from), home.map(PathBuf::from)).map(|file| file.path)
        };
        let expected = |path: &str| Some(PathBuf::from(path));
        assert_eq!(path(Some("/c"), Some("/h")), expected("/c/bookholder/contexts.toml"));
        assert_eq!(path(None, Some("/h")), expected("/h/.config/bookholder/contexts.toml"));
        assert_eq!(path(Some("relative"), Some("/h")), expected("/h/.config/bookholder/contexts.toml"));
        assert_eq!((path(Some(""), None), path(None, Some("h"))), (None, None));
    }

    #[test]
    #[cfg(unix)]
    fn contexts_read_back_as_written_and_only_their_owner_can_read_them() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let file = ContextFile::below(Some(folder.path().to_owned()), None).expect("a file");
        assert_eq!(file.read().expect("none yet"), Contexts::default());
        let mut contexts = Contexts::default();
        contexts.put("prod", saved("https://prompts.example.com")).expect("room");
        contexts.put("local", SavedContext { token: None, ..saved("unix:/run/b.sock") }).expect("room");
        file.write(&contexts).expect("written");
        assert_eq!(file.read().expect("read"), contexts);
        assert_eq!(contexts.current.as_deref(), Some("local"));
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(file.path()), mode(disk::parent(file.path()))), (0o600, 0o700));
        assert!(!format!("{contexts:?}").contains(TOKEN), "{contexts:?}");
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).expect("changed");
        let error = file.read().expect_err("others can read it");
        assert!(error.message.contains("other users can read it"), "{error}");
    }

    #[test]
    fn invalid_file_is_explained_without_its_tokens() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = ContextFile::below(Some(folder.path().to_owned()), None).expect("a file");
        for (text, part) in [
            (format!("[contexts.a]\nserver = \"s\"\ntoken = \"{TOKEN}\"\nx = 1\n"), "unknown field"),
            (format!("[contexts.a]\nserver = \"s\"\ntoken = \"{TOKEN} x\"\n"), "visible ASCII"),
            ("[contexts.\"A b\"]\nserver = \"s\"\n".to_owned(), "invalid name `A b`"),
            (format!("token = {TOKEN}"), "not a file of contexts"),
        ] {
            file.write(&Contexts::default()).expect("a folder");
            disk::write_private(file.path(), text.as_bytes()).expect("a file");
            let error = file.read().expect_err(&text);
            assert!(error.message.contains(part) && !error.message.contains(TOKEN), "{error}");
            assert_eq!(error.kind.code(), 2, "{error}");
        }
    }

    #[test]
    fn unknown_context_is_refused_with_the_names_there_are() {
        let mut contexts = Contexts::default();
        let hint = |contexts: &Contexts| contexts.get("x").expect_err("none").hint.expect("a hint");
        assert!(hint(&contexts).starts_with("add one with"));
        contexts.put("b", saved("s")).expect("room");
        contexts.put("a", saved("s")).expect("room");
        assert!(hint(&contexts).starts_with("there are: a, b;"));
        contexts.remove("a").expect("it is there");
        assert_eq!((contexts.current.clone(), contexts.contexts.len()), (None, 1));
    }
}
