//! What a verb runs with: a client of the chosen server, and the output.
//!
//! It decides which server and which access token are used. Invariants: the token is never printed, not even if it is
//! invalid, and the token of a saved context goes to the server of that context only.

use std::path::{Path, PathBuf};

use super::context_file::{ContextFile, Contexts, SavedContext};
use super::disk;
use super::error::CliError;
use super::globals::{CA_FILE_ENV, CONTEXT_ENV, Globals, SERVER_DEFAULT, SERVER_ENV, TOKEN_ENV};
use super::output::Output;
use crate::api::problem::ErrorCode;
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
    /// Creates a client; nothing is sent yet.
    pub fn new(target: Target, output: Output) -> Result<Self, CliError> {
        Ok(Self { client: client(target)?, output })
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
    CliError {
        code: Some(ErrorCode::LabelNotFound),
        ..CliError::no(format!("the prompt `{name}` has no label `{label}`"))
    }
    .hint(format!("a label exists once something is deployed to it; list its labels with `bookholder show {name}`"))
}

/// A client of a server.
pub fn client(target: Target) -> Result<Client, CliError> {
    let token = target.token.read()?;
    let ca_pem = target.ca_file.as_deref().map(|path| disk::read(path, CA_FILE_BYTES_MAX)).transpose()?;
    Ok(Client::new(&ClientOptions { server: target.server, token, ca_pem })?)
}

/// The settings of clients in the environment; empty ones count as absent.
#[derive(Clone, Debug, Default)]
struct Environment {
    server: Option<String>,
    token: Option<String>,
    ca_file: Option<PathBuf>,
    context: Option<String>,
}

impl Environment {
    fn of_process() -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        Self {
            server: variable(SERVER_ENV),
            token: variable(TOKEN_ENV),
            ca_file: variable(CA_FILE_ENV).map(PathBuf::from),
            context: variable(CONTEXT_ENV),
        }
    }
}

/// Where the access token is.
#[derive(Clone, Debug)]
pub enum TokenSource {
    /// None is used.
    Absent,
    /// In a file; `-` is standard input.
    File(PathBuf),
    /// In the environment: the unchecked text.
    Environment(String),
    /// In the context.
    Context(AccessToken),
}

impl TokenSource {
    fn read(self) -> Result<Option<AccessToken>, CliError> {
        match self {
            Self::Absent => Ok(None),
            Self::Context(token) => Ok(Some(token)),
            Self::File(path) => token_in_file(&path).map(Some),
            Self::Environment(text) => parse_token(&text, &format!("the access token in {TOKEN_ENV}")).map(Some),
        }
    }
}

/// Reads an access token from a file; `-` is standard input.
pub fn token_in_file(path: &Path) -> Result<AccessToken, CliError> {
    let place = match path.to_str() {
        Some("-") => "the access token on standard input".to_owned(),
        _ => format!("the access token in {}", path.display()),
    };
    parse_token(&disk::read_text(path, TOKEN_FILE_BYTES_MAX)?, &place)
}

/// Checks an access token; the error says where it was, and never what it is.
pub fn parse_token(text: &str, place: &str) -> Result<AccessToken, CliError> {
    AccessToken::parse(text).map_err(|error| {
        CliError::usage(format!("{place} is not valid: {error}"))
            .hint("copy it again, or ask an admin for a new one (`bookholder token create`)")
    })
}

/// A server, and how to reach it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The context that it is from.
    pub context: Option<String>,
    /// The address of the node.
    pub server: String,
    /// The access token.
    pub token: TokenSource,
    /// File of certificates to trust.
    pub ca_file: Option<PathBuf>,
}

impl Target {
    /// What these flags, the environment and the contexts of this user choose.
    pub fn of(globals: &Globals) -> Result<Self, CliError> {
        let read = || ContextFile::of_user().map_or_else(|| Ok(Contexts::default()), |file| file.read());
        choose(globals, Environment::of_process(), read)
    }

    /// Adds what to do about a rejected access token that hides the one of a context.
    pub fn explain(&self, error: CliError) -> CliError {
        match (&self.context, &self.token) {
            (Some(context), TokenSource::Environment(_)) if error.code == Some(ErrorCode::Unauthorized) => error.hint(
                format!("{TOKEN_ENV} takes precedence over the token of the context {context}: unset it, or use --context {context}"),
            ),
            (Some(context), TokenSource::Context(_) | TokenSource::Absent) if error.code == Some(ErrorCode::Unauthorized) => {
                error.hint(format!("sign in again with `bookholder login --context {context}`"))
            }
            _ => error,
        }
    }
}

/// Decides the server and its access token: flags over environment variables over the context in use.
///
/// `--context` selects all of a context, whatever the environment says. A server that is named otherwise gets no token
/// of a context. The file of contexts is not read if it is not needed, so its errors stop no script that names a
/// server.
fn choose(
    globals: &Globals,
    environment: Environment,
    read: impl FnOnce() -> Result<Contexts, CliError>,
) -> Result<Target, CliError> {
    let flag_token = || globals.token_file.clone().map(TokenSource::File);
    let saved_token = |saved: &SavedContext| saved.token.clone().map(|token| TokenSource::Context(token.0));
    if let Some(name) = &globals.context {
        let contexts = read()?;
        let saved = contexts.get(name)?;
        return Ok(Target {
            context: Some(name.clone()),
            server: saved.server.clone(),
            token: flag_token().or_else(|| saved_token(saved)).unwrap_or(TokenSource::Absent),
            ca_file: globals.ca_file.clone().or_else(|| saved.ca_file.clone()),
        });
    }
    let token = flag_token().or(environment.token.map(TokenSource::Environment));
    let ca_file = globals.ca_file.clone().or(environment.ca_file);
    if let Some(server) = globals.server.clone().or(environment.server) {
        return Ok(Target { context: None, server, token: token.unwrap_or(TokenSource::Absent), ca_file });
    }
    let contexts = read()?;
    let Some(name) = environment.context.or_else(|| contexts.current.clone()) else {
        let token = token.unwrap_or(TokenSource::Absent);
        return Ok(Target { context: None, server: SERVER_DEFAULT.to_owned(), token, ca_file });
    };
    let saved = contexts.get(&name)?;
    Ok(Target {
        context: Some(name),
        server: saved.server.clone(),
        token: token.or_else(|| saved_token(saved)).unwrap_or(TokenSource::Absent),
        ca_file: ca_file.or_else(|| saved.ca_file.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::context_file::SavedToken;
    use super::*;

    #[test]
    fn token_of_a_file_or_the_environment_is_never_printed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        std::fs::write(&path, "bh_from_the_file_0\n").expect("a file");
        assert_eq!(token_in_file(&path).expect("a token").reveal(), "bh_from_the_file_0");
        let error = TokenSource::Environment("secret".to_owned()).read().expect_err("too short");
        assert!(!error.to_string().contains("secret") && error.to_string().contains(TOKEN_ENV), "{error}");
    }

    #[test]
    fn flags_take_precedence_over_the_environment_and_that_over_contexts() {
        let saved = |server: &str, token: Option<&str>| SavedContext {
            server: server.to_owned(),
            token: token.map(|token| SavedToken(AccessToken::parse(token).expect(token))),
            ca_file: Some(PathBuf::from("saved.pem")),
        };
        let mut contexts = Contexts::default();
        contexts.put("bare", saved("bare", None)).expect("room");
        contexts.put("prod", saved("prod", Some("bh_token_of_prod_00"))).expect("room");
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        // Flags: server, context, token file. Environment: server, context, token. Then what is chosen.
        for (flags, environment, chosen) in [
            (["", "", ""], ["", "", ""], "prod with bh_token_of_prod_00"),
            (["", "", ""], ["", "bare", ""], "bare with nothing"),
            (["", "", ""], ["", "", "env"], "prod with env"),
            (["", "", ""], ["server", "", ""], "server with nothing"),
            (["", "", ""], ["server", "bare", "env"], "server with env"),
            (["flag", "", ""], ["server", "", "env"], "flag with env"),
            (["flag", "", "file"], ["server", "", "env"], "flag with file"),
            (["", "prod", ""], ["server", "", "env"], "prod with bh_token_of_prod_00"),
            (["", "prod", "file"], ["server", "", "env"], "prod with file"),
            (["", "bare", ""], ["", "", "env"], "bare with nothing"),
        ] {
            let globals = Globals {
                server: some(flags[0]),
                context: some(flags[1]),
                token_file: some(flags[2]).map(PathBuf::from),
                ..Globals::default()
            };
            let found = Environment {
                server: some(environment[0]),
                context: some(environment[1]),
                token: some(environment[2]),
                ca_file: None,
            };
            let target = choose(&globals, found, || Ok(contexts.clone())).expect(chosen);
            let token = match &target.token {
                TokenSource::Absent => "nothing".to_owned(),
                TokenSource::File(path) => path.display().to_string(),
                TokenSource::Environment(text) => text.clone(),
                TokenSource::Context(token) => token.reveal().to_owned(),
            };
            assert_eq!(format!("{} with {token}", target.server), chosen, "{flags:?} {environment:?}");
            assert_eq!(target.ca_file.is_some(), target.context.is_some(), "{flags:?} {environment:?}");
        }
    }

    #[test]
    fn contexts_are_not_read_if_the_server_is_named_and_missing_ones_are_refused() {
        let named = Globals { server: Some("s".to_owned()), ..Globals::default() };
        let unread = || panic!("the file is not needed");
        assert_eq!(choose(&named, Environment::default(), unread).expect("a server").server, "s");
        let empty = || Ok(Contexts::default());
        let target = choose(&Globals::default(), Environment::default(), empty).expect("the default");
        assert_eq!(target.server, SERVER_DEFAULT);
        let unknown = Globals { context: Some("x".to_owned()), ..Globals::default() };
        let error = choose(&unknown, Environment::default(), empty).expect_err("no context x");
        assert!(error.message.contains("no context `x`"), "{error}");
        let lost = || Ok(Contexts { current: Some("gone".to_owned()), ..Contexts::default() });
        assert!(choose(&Globals::default(), Environment::default(), lost).is_err());
    }

    #[test]
    fn rejected_token_of_the_environment_is_named_before_that_of_the_context() {
        let target = |token| Target { context: Some("prod".to_owned()), server: "s".to_owned(), token, ca_file: None };
        let rejected = || CliError { code: Some(ErrorCode::Unauthorized), ..CliError::usage("rejected") };
        let hint = |token| target(token).explain(rejected()).hint.expect("a hint");
        assert!(hint(TokenSource::Environment("t".to_owned())).starts_with("BOOKHOLDER_TOKEN takes precedence"));
        assert!(hint(TokenSource::Absent).contains("bookholder login --context prod"));
        let other = CliError::no("other");
        assert_eq!(target(TokenSource::Absent).explain(other.clone()), other);
    }
}
