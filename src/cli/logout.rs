//! `logout`: forgets the access token of a context.

use clap::Args;

use super::Verdict;
use super::context_file::{ContextFile, Contexts};
use super::error::CliError;
use super::globals::Globals;
use super::output::{DIM, GOOD, Output, paint};

const EXAMPLES: &str = "\
Examples:
  bookholder logout
  bookholder logout --context prod

The token stays valid: an admin can revoke it with `bookholder token revoke`.
`bookholder context remove` forgets the server as well.";

/// `logout`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct LogoutArgs {}

pub fn run(globals: &Globals, output: Output) -> Result<Verdict, CliError> {
    let file = ContextFile::of_user();
    let mut contexts = file.as_ref().map_or_else(|| Ok(Contexts::default()), ContextFile::read)?;
    let name = globals.context.clone().or_else(|| contexts.current.clone());
    let (Some(file), Some(name)) = (file, name) else {
        return Err(CliError::usage("no context is in use").hint("name one: bookholder logout --context NAME"));
    };
    contexts.get(&name)?;
    let token = contexts.contexts.get_mut(&name).and_then(|saved| saved.token.take());
    file.write(&contexts)?;
    output.show(&serde_json::json!({ "context": name, "forgotten": token.is_some() }), || {
        if token.is_none() {
            return output.line(paint(DIM, format!("context {name} has no access token")));
        }
        output.line(format!("{} forgot the access token of context {name}", paint(GOOD, "✓")))
    })?;
    Ok(Verdict::Done)
}
