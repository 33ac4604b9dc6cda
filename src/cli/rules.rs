//! `rules`: manages custom risk rules, and checks a text or a version.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::args::values::{YesArgs, handle};
use super::confirm::confirm;
use super::context::Context;
use super::error::CliError;
use super::findings::{self, GRAVE};
use super::output::{ACCENT, Cell, DIM, GOOD, Output, Table, WARN, one_line, paint};
use super::{Verdict, disk, folder};
use crate::api::govern::{Classified, ClassifyRequest, RuleSetRequest, RuleSetView};
use crate::files::prompt::{PROMPT_FILE_BYTES_MAX, PROMPT_FILE_EXTENSION};
use crate::model::content::{Content, Syntax};
use crate::model::count::count;
use crate::model::reference::Reference;

const EXAMPLES: &str = "\
Examples:
  bookholder rules list
  bookholder rules add house house-rules.toml
  bookholder rules add leaks .gitleaks.toml --gitleaks
  bookholder rules check agent.prompt        before you publish it
  bookholder rules check support/agent@7     findings when it was published
  bookholder rules remove house

Exit codes of check: 0 no finding of high or critical risk, 1 at least one.

A rule file (test_pos must match, test_neg must not; see also `rules show`):
  [[rule]]
  id = 'house.discount'
  version = 1
  description = 'Promises a discount.'
  category = 'legal'
  severity = 'high'
  regex = '(?i)\\bdiscount'
  test_pos = ['Offer a discount of 10 %.']
  test_neg = ['Never mention prices.']";

/// An example of a rule file; a test parses it.
const RULE_FILE: &str = "\
A rule file:
  [[rule]]
  id = \"house.competitor\"
  version = 1
  description = \"Names a competitor: say our product's name instead.\"
  category = \"legal\"
  severity = \"medium\"
  keywords = [\"acme\"]
  regex = '(?i)\\bacme corp\\b'
  test_pos = [\"Ask Acme Corp.\"]
  test_neg = [\"the acme of service\"]

The server runs test_pos and test_neg of every rule before it accepts the file.
Write ⟂ inside a sample secret to hide it from source code scanners; it is
removed before the test. `bookholder rules show built-in` prints the built-in
rule set.";

/// Largest rule file that is sent, in bytes; the server has its own limit.
const RULE_FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// `rules`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RulesArgs {
    #[command(subcommand)]
    command: RulesCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum RulesCommand {
    /// List rule sets, built-in ones first
    List,
    /// Print a rule set as TOML
    Show {
        /// Name of the rule set
        name: String,
    },
    /// Create or replace a rule set; its own tests must pass
    #[command(after_help = RULE_FILE)]
    Add {
        /// Name of the rule set
        #[arg(value_parser = handle)]
        name: String,
        /// TOML file; - for standard input
        file: PathBuf,
        /// Read the file as a gitleaks configuration
        #[arg(long)]
        gitleaks: bool,
    },
    /// Remove a rule set; recorded findings are kept
    Remove {
        /// Name of the rule set
        name: String,
        #[command(flatten)]
        yes: YesArgs,
    },
    /// Check a prompt file, a text file or a version
    Check {
        /// File (- for standard input) or version, e.g. support/agent@7
        #[arg(value_name = "FILE|NAME@VERSION")]
        what: PathBuf,
    },
}

/// The subject of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Checked {
    File(PathBuf),
    Version(Reference),
}

pub async fn run(args: RulesArgs, context: Context) -> Result<Verdict, CliError> {
    let (client, output) = (&context.client, context.output);
    match args.command {
        RulesCommand::List => {
            let sets = client.rule_sets().await?;
            output.list(&sets, || output.table(&table(&sets), "no rule sets"))?;
        }
        RulesCommand::Show { name } => {
            let set = client.rule_set(&name).await?;
            output.show(&set, || output.text(set.toml.as_deref().unwrap_or_default()))?;
        }
        RulesCommand::Add { name, file, gitleaks } => {
            let toml = disk::read_text(&file, RULE_FILE_BYTES_MAX)?;
            added(output, &client.put_rule_set(&name, &RuleSetRequest { toml, gitleaks }).await?)?;
        }
        RulesCommand::Remove { name, yes } => {
            confirm(output, yes.yes, &format!("Remove the rule set {name}?"), Vec::new())?;
            client.remove_rule_set(&name).await?;
            output.show(&serde_json::json!({ "removed": name }), || {
                output.line(format!("{} removed rule set {}", paint(GOOD, "✓"), paint(ACCENT, name)))
            })?;
        }
        RulesCommand::Check { what } => return check(&what, &context).await,
    }
    Ok(Verdict::Done)
}

async fn check(what: &Path, context: &Context) -> Result<Verdict, CliError> {
    let classified = match checked(what)? {
        Checked::File(path) => context.client.classify(&ClassifyRequest { content: read(&path)? }).await?,
        Checked::Version(reference) => {
            let number = context.number(&reference).await?;
            Classified { findings: context.client.findings(&reference.name, number).await? }
        }
    };
    context.output.show(&classified, || context.output.table(&findings::table(&classified.findings), "no findings"))?;
    let grave = findings::worst(&classified.findings).is_some_and(|worst| worst >= GRAVE);
    Ok(if grave { Verdict::No } else { Verdict::Done })
}

/// An existing file is preferred; a name with an @ that is not a file is a version.
fn checked(what: &Path) -> Result<Checked, CliError> {
    match what.to_str() {
        Some(text) if text.contains('@') && !what.exists() => text
            .parse()
            .map(Checked::Version)
            .map_err(|error| CliError::usage(format!("`{text}` is neither a file nor a version: {error}"))),
        _ => Ok(Checked::File(what.to_owned())),
    }
}

/// Reads a prompt file, or any other file as a text without variables.
fn read(path: &Path) -> Result<Content, CliError> {
    let is_prompt_file = path.extension().is_some_and(|extension| extension == PROMPT_FILE_EXTENSION);
    if is_prompt_file {
        return Ok(folder::read_file(path)?.file.content);
    }
    Ok(Content::text(Syntax::Plain, disk::read_text(path, PROMPT_FILE_BYTES_MAX)?))
}

fn added(output: Output, set: &RuleSetView) -> Result<(), CliError> {
    if output.json {
        return output.json(set);
    }
    let rules = count(set.rules, "rule");
    output.line(format!("{} {} {}", paint(GOOD, "✓"), paint(ACCENT, one_line(&set.name)), paint(DIM, rules)))?;
    for skipped in &set.skipped {
        output.note(format!("{}: {}", paint(WARN.bold(), "left out"), one_line(skipped)));
    }
    Ok(())
}

fn table(sets: &[RuleSetView]) -> Table {
    let mut table = Table::new(&["NAME", "RULES"]);
    for set in sets {
        table.row([Cell::new(ACCENT, &set.name), set.rules.into()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::governance::risk::RuleSet;

    #[test]
    fn rule_file_in_the_help_is_one_that_can_be_added() {
        let (_, file) = EXAMPLES.split_once("see also `rules show`):\n").expect("a rule file");
        RuleSet::parse(file).expect("its own tests pass");
    }

    #[test]
    fn existing_file_takes_precedence_over_a_version() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a@7");
        assert!(
            matches!(checked(Path::new("support/agent@7")), Ok(Checked::Version(reference)) if reference.to_string() == "support/agent@7")
        );
        std::fs::write(&path, "text").expect("a file");
        assert_eq!(checked(&path).expect("a file"), Checked::File(path));
        assert_eq!(checked(Path::new("-")).expect("the input"), Checked::File("-".into()));
        let error = checked(Path::new("a@@")).expect_err("neither");
        assert!(error.message.contains("`a@@` is neither a file nor a version") && error.kind.code() == 2, "{error:?}");
    }

    #[test]
    fn prompt_file_is_parsed_and_other_files_are_plain_text() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, expected) in [("a.prompt", "body\n"), ("a.txt", "---\nsyntax: plain\n---\nbody\n")] {
            let path = folder.path().join(name);
            std::fs::write(&path, "---\nsyntax: plain\n---\nbody\n").expect("a file");
            let content = read(&path).expect(name);
            let said = content.texts().next().expect("a text").trim_end();
            assert_eq!((said, content.syntax), (expected.trim_end(), Syntax::Plain), "{name}");
        }
    }
}
