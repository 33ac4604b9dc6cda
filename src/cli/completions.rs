//! `completions`: prints shell completions, which ask this program for what to complete.
//!
//! Names of prompts and labels come from the server in use, within a time limit; without an answer there is nothing to
//! complete, and no error. Invariant: completing changes nothing and prints nothing else.

use std::any::TypeId;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap::{Arg, Args, Command};
use clap_complete::Shell;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};
use futures_util::{StreamExt, TryStreamExt};

use super::Verdict;
use super::context::{Target, client};
use super::context_file::ContextFile;
use super::error::CliError;
use super::globals::Globals;
use super::output::Output;
use crate::api::read::PromptView;
use crate::client::{Client, PromptFilter};
use crate::model::name::{LATEST, Label, PromptName};

/// The variable with which a shell asks for completions.
const VARIABLE: &str = "_BOOKHOLDER_COMPLETE";
const PROGRAM: &str = "bookholder";
/// Longest wait for the server.
const ANSWER_MAX: Duration = Duration::from_millis(300);
/// Most prompts whose names or labels are completed.
const PROMPTS_MAX: usize = 200;
/// `@` separates words in bash, but not in references.
const BASH_WORDS: &str = "COMP_WORDBREAKS=${COMP_WORDBREAKS//@/}\n";
/// In a folder of functions, zsh calls the file itself for the first completion.
const ZSH_FUNCTION: &str = "\
if [ \"$funcstack[1]\" = _bookholder ]; then
    _clap_dynamic_completer_bookholder \"$@\"
fi
";

const EXAMPLES: &str = "\
Examples:
  bookholder completions fish > ~/.config/fish/completions/bookholder.fish
  source <(bookholder completions bash)             in ~/.bashrc
  source <(bookholder completions zsh)              in ~/.zshrc

Names of prompts, labels and contexts are completed as well: the server in use
is asked for them, for at most 300 ms.";

/// `completions`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsArgs {
    /// Shell to generate completions for
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the completion script of a shell.
pub fn run(args: &CompletionsArgs) -> Result<Verdict, CliError> {
    let shell = args.shell.to_string();
    let shells = Shells::builtins();
    let completer =
        shells.completer(&shell).ok_or_else(|| CliError::usage(format!("there are no completions for {shell}")))?;
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)?;
    let mut script = String::from_utf8_lossy(&script).into_owned();
    match args.shell {
        Shell::Bash => script.push_str(BASH_WORDS),
        Shell::Zsh => script.push_str(ZSH_FUNCTION),
        _ => {}
    }
    Output::stdout(false).exactly(&script)?;
    Ok(Verdict::Done)
}

/// Answers a shell that asks for completions; false if this run is no such question.
pub fn answer(tree: fn() -> Command, line: &[OsString]) -> bool {
    if std::env::var_os(VARIABLE).is_none_or(|shell| shell.is_empty()) {
        return false;
    }
    let globals = globals(line);
    let answered = CompleteEnv::with_factory(|| completing(tree(), &globals))
        .var(VARIABLE)
        .bin(PROGRAM)
        .try_complete(line.iter().cloned(), std::env::current_dir().ok().as_deref());
    // A shell that is not supported, or closed its end: there is nobody to tell.
    answered.unwrap_or(true)
}

/// The options that choose a server, from a line that is not complete yet.
fn globals(line: &[OsString]) -> Globals {
    let words: Vec<&str> = line.iter().filter_map(|word| word.to_str()).collect();
    let value = |flag: &str| {
        let with_sign = words.iter().find_map(|word| word.strip_prefix(flag)?.strip_prefix('='));
        let next = || words.iter().zip(words.iter().skip(1)).find(|(word, _)| **word == flag).map(|(_, next)| *next);
        with_sign.or_else(next).filter(|value| !value.is_empty()).map(str::to_owned)
    };
    Globals {
        json: false,
        server: value("--server"),
        context: value("--context"),
        no_pager: true,
        no_headers: false,
        // Standard input belongs to the shell.
        token_file: value("--token-file").filter(|path| path != "-").map(Into::into),
        ca_file: value("--ca-file").map(Into::into),
    }
}

/// The tree of commands, with completers of names: by the type of a value, or by its placeholder in the help.
fn completing(tree: Command, globals: &Globals) -> Command {
    let tree = tree.mut_args(|arg| completed(arg, globals));
    tree.mut_subcommands(|verb| completing(verb, globals))
}

fn completed(arg: Arg, globals: &Globals) -> Arg {
    let is = |kind: TypeId| arg.get_value_parser().type_id() == kind;
    let placeholder = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    let reference = placeholder
        .as_deref()
        .is_some_and(|name| name == "REFERENCE" || name.starts_with("NAME[@") || name.starts_with("NAME@"));
    let asked = globals.clone();
    if arg.get_id() == "context" || placeholder.as_deref() == Some("CONTEXT") {
        arg.add(ArgValueCompleter::new(contexts))
    } else if reference {
        arg.add(ArgValueCompleter::new(move |word: &OsStr| references(&asked, word)))
    } else if is(TypeId::of::<PromptName>()) {
        arg.add(ArgValueCompleter::new(move |word: &OsStr| prompts(&asked, word)))
    } else if is(TypeId::of::<Label>()) {
        arg.add(ArgValueCompleter::new(move |word: &OsStr| labels(&asked, word)))
    } else {
        arg
    }
}

fn candidates(words: impl IntoIterator<Item = String>, start: &str) -> Vec<CompletionCandidate> {
    words.into_iter().filter(|word| word.starts_with(start)).map(CompletionCandidate::new).collect()
}

fn contexts(word: &OsStr) -> Vec<CompletionCandidate> {
    let names = ContextFile::of_user().and_then(|file| file.read().ok()).map(|contexts| contexts.contexts.into_keys());
    candidates(names.into_iter().flatten(), &word.to_string_lossy())
}

fn prompts(globals: &Globals, word: &OsStr) -> Vec<CompletionCandidate> {
    let start = word.to_string_lossy();
    let views = ask(globals, |client| list(client, Some(start.to_string()))).unwrap_or_default();
    candidates(views.into_iter().map(|view| view.prompt.name.to_string()), &start)
}

/// Names, then labels and versions behind the `@`.
fn references(globals: &Globals, word: &OsStr) -> Vec<CompletionCandidate> {
    let text = word.to_string_lossy();
    let Some((name, _)) = text.split_once('@') else { return prompts(globals, word) };
    let Ok(parsed) = name.parse::<PromptName>() else { return Vec::new() };
    let view = ask(globals, |client| async move { client.prompt(&parsed).await.ok() });
    let Some(view) = view else { return Vec::new() };
    let labels = view.labels.iter().map(|state| state.label.to_string()).chain([LATEST.to_owned()]);
    let newest = (1..=view.prompt.latest).rev().take(PROMPTS_MAX).map(|number| number.to_string());
    candidates(labels.chain(newest).map(|selector| format!("{name}@{selector}")), &text)
}

/// Labels that any prompt has.
fn labels(globals: &Globals, word: &OsStr) -> Vec<CompletionCandidate> {
    let views = ask(globals, |client| list(client, None)).unwrap_or_default();
    let labels: BTreeSet<String> =
        views.iter().flat_map(|view| &view.labels).map(|state| state.label.to_string()).collect();
    candidates(labels, &word.to_string_lossy())
}

async fn list(client: Client, prefix: Option<String>) -> Option<Vec<PromptView>> {
    let filter = PromptFilter { prefix, removed: false };
    client.prompts(&filter, PROMPTS_MAX).take(PROMPTS_MAX).try_collect().await.ok()
}

/// Asks the server in use; absent without an answer in time.
fn ask<T, F: Future<Output = Option<T>>>(globals: &Globals, question: impl FnOnce(Client) -> F) -> Option<T> {
    let client = client(Target::of(globals).ok()?).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let answer = runtime.block_on(async { tokio::time::timeout(ANSWER_MAX, question(client)).await });
    // A look-up of a host name may still be under way.
    runtime.shutdown_background();
    answer.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_of_the_line_is_asked() {
        let line = |text: &str| globals(&text.split(' ').map(OsString::from).collect::<Vec<_>>());
        let found = line("bookholder -- bookholder get --server http://a --token-file t");
        assert_eq!((found.server.as_deref(), found.token_file), (Some("http://a"), Some("t".into())));
        let found = line("bookholder -- bookholder --context=prod get --token-file -");
        assert_eq!((found.context.as_deref(), found.token_file), (Some("prod"), None));
        assert_eq!(line("bookholder -- bookholder get --server").server, None);
    }
}
