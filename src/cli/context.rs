//! The context of a verb: a client, and the output.
//!
//! It reads the access token and certificates. Invariant: the token is never printed, not even if it is invalid.

use std::path::Path;

use super::disk;
use super::error::CliError;
use super::globals::{Globals, TOKEN_ENV};
use super::output::Output;
use crate::client::{Client, ClientOptions};
use crate::crypto::secret::AccessToken;
use crate::model::name::PromptName;
use crate::model::reference::{Reference, Selector};

/// Largest file of an access token, in bytes.
const TOKEN_FILE_BYTES_MAX: usize = 4 * 1024;
/// Largest file of certificates, in bytes.
const CA_FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The context of a verb.
pub struct Context {
    /// The server.
    pub client: Client,
    /// The output.
    pub output: Output,
}

impl Context {
    /// Creates a client from flags and environment; nothing is sent yet.
    pub fn new(globals: &Globals) -> Result<Self, CliError> {
        let token = access_token(globals.token_file.as_deref(), std::env::var(TOKEN_ENV).ok())?;
        let ca_pem = globals.ca_file.as_deref().map(|path| disk::read(path, CA_FILE_BYTES_MAX)).transpose()?;
        let client = Client::new(&ClientOptions { server: globals.server.clone(), token, ca_pem })?;
        Ok(Self { client, output: Output::stdout(globals.json) })
    }

    /// The current version number of a reference.
    pub async fn number(&self, reference: &Reference) -> Result<u64, CliError> {
        match &reference.selector {
            Selector::Version(number) => Ok(*number),
            Selector::Content(_) => {
                Ok(self.client.resolve(reference, &crate::api::read::Subject::default(), None).await?.version)
            }
            Selector::Label(label) => {
                let view = self.client.prompt(&reference.name).await?;
                if label.is_latest() && view.prompt.removed.is_none() {
                    return Ok(view.prompt.latest);
                }
                let state = view.labels.iter().find(|state| state.label == *label);
                let state = state.ok_or_else(|| no_label(&reference.name, label.as_str()))?;
                state.serving.fixed().ok_or_else(|| {
                    CliError::no(format!("{reference} serves {}, not a single version", state.serving))
                        .hint(format!("name the version: {}@N", reference.name))
                })
            }
        }
    }
}

fn no_label(name: &PromptName, label: &str) -> CliError {
    CliError::no(format!("{name} has no label {label}"))
        .hint(format!("a label exists once something is deployed to it; list its labels with `bookholder show {name}`"))
}

/// The access token: from the given file, otherwise from the environment.
fn access_token(file: Option<&Path>, environment: Option<String>) -> Result<Option<AccessToken>, CliError> {
    let (text, place) = match (file, environment) {
        (Some(path), _) => {
            let text = disk::read_text(path, TOKEN_FILE_BYTES_MAX)?;
            (text, format!("the access token in {}", path.display()))
        }
        (None, Some(text)) if !text.trim().is_empty() => (text, format!("the access token in {TOKEN_ENV}")),
        (None, _) => return Ok(None),
    };
    AccessToken::parse(&text).map(Some).map_err(|error| CliError::usage(format!("{place} is not valid: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_file_takes_precedence_over_the_environment_and_is_never_printed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        std::fs::write(&path, "bh_from_the_file_0\n").expect("a file");
        let from_environment = || Some("bh_from_environment".to_owned());
        let token = access_token(Some(&path), from_environment()).expect("a token").expect("one");
        assert_eq!(token.reveal(), "bh_from_the_file_0");
        let token = access_token(None, from_environment()).expect("a token").expect("one");
        assert_eq!(token.reveal(), "bh_from_environment");
        assert!(access_token(None, Some(String::new())).expect("nobody").is_none());
        let error = access_token(None, Some("secret".to_owned())).expect_err("too short");
        assert!(!error.to_string().contains("secret") && error.to_string().contains(TOKEN_ENV), "{error}");
    }
}
