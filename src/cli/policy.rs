//! `policy`: manages label policies as files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::args::values::YesArgs;
use super::confirm::confirm;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, Cell, DIM, GOOD, Table, paint};
use super::{Verdict, disk};
use crate::governance::label_policy::LabelPolicy;
use crate::governance::policy_words::demands;
use crate::json::plain_reason;
use crate::model::count::count;
use crate::model::policy::{POLICIES_MAX, Policy};

const EXAMPLES: &str = r#"Examples:
  bookholder policy list
  bookholder policy show production > production.toml
  bookholder policy set production.toml
  bookholder policy remove production

A policy file holds one policy as TOML or JSON, or several as [[policy]].
Only name and labels are required; fields you leave out require nothing.

  name = "production"
  prompts = "support/**"                  # all prompts when left out
  labels = "production*"
  deployers = ["releaser"]                # roles that can deploy
  approvals = 2                           # of exactly what will be deployed
  approvers = ["compliance", "releaser"]
  self_approval = false                   # four eyes
  message = "OPS-[0-9]+"                  # the message names a ticket
  gates = ["regression"]                  # gates that must have passed
  fresh_gates = true                      # and again once they are stale
  downstream_gates = true                 # and those of the prompts it feeds

  [after]                                 # after an hour on staging
  label = "staging"
  for_s = 3600

  [[freeze]]                              # every week, in UTC
  days = ["fri"]
  from = "16:00"
  to = "24:00"
  why = "no one is on call at the weekend"

  [[freeze]]                              # once
  from = "2026-12-20T00:00:00Z"
  to = "2027-01-02T00:00:00Z"
  why = "holidays"

  [risk]                                  # findings of high risk and above
  from = "high"
  approvers = ["compliance"]
  block = ["secrets"]                     # only with --break-glass"#;

/// Largest file of policies, in bytes: 500 long ones.
const POLICY_FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// `policy`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum PolicyCommand {
    /// List policies
    List,
    /// Print a policy as a file for `policy set`
    Show {
        /// Name of the policy
        name: String,
    },
    /// Create or replace policies from a file
    Set {
        /// TOML or JSON file; - for standard input
        file: PathBuf,
    },
    /// Remove a policy
    Remove {
        /// Name of the policy
        name: String,
        #[command(flatten)]
        yes: YesArgs,
    },
}

/// Several policies in one file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyList {
    policy: Vec<Policy>,
}

pub async fn run(args: PolicyArgs, context: Context) -> Result<Verdict, CliError> {
    let (client, output) = (&context.client, context.output);
    match args.command {
        PolicyCommand::List => {
            let policies = client.policies().await?;
            output.list(&policies, || {
                output.table(&table(&policies), "no policies: everyone with the deploy permission can deploy")
            })?;
        }
        PolicyCommand::Show { name } => {
            let found = client.policies().await?.into_iter().find(|policy| policy.name == name);
            let policy = found.ok_or_else(|| {
                CliError::no(format!("no policy named `{name}`")).hint("list them with `bookholder policy list`")
            })?;
            output.show(&policy, || {
                output.text(&toml::to_string(&policy).map_err(|error| CliError::no(error.to_string()))?)
            })?;
        }
        PolicyCommand::Set { file } => {
            let mut kept = Vec::new();
            for policy in read(&file)? {
                let policy = client.put_policy(&policy).await?;
                if !output.json {
                    let on = format!("{} of {}", policy.labels, policy.prompts);
                    let name = paint(ACCENT, &policy.name);
                    output.line(format!("{} {name} {}", paint(GOOD, "✓"), paint(DIM, on)))?;
                }
                kept.push(policy);
            }
            if output.json {
                output.json(&kept)?;
            }
        }
        PolicyCommand::Remove { name, yes } => {
            confirm(
                output,
                yes.yes,
                &format!("Remove the policy {name}? Deploying to its labels then requires only a grant."),
                Vec::new(),
            )?;
            client.remove_policy(&name).await?;
            output.show(&serde_json::json!({ "removed": name }), || {
                output.line(format!("{} removed policy {}", paint(GOOD, "✓"), paint(ACCENT, name)))
            })?;
        }
    }
    Ok(Verdict::Done)
}

/// Reads the policies of a file; all of them are checked before the first is sent.
fn read(path: &Path) -> Result<Vec<Policy>, CliError> {
    let wrong = |reason: String| {
        CliError::usage(format!("{}: {reason}", path.display()))
            .hint("for a complete example, see `bookholder policy --help`")
    };
    let policies = parse(&disk::read_text(path, POLICY_FILE_BYTES_MAX)?).map_err(wrong)?;
    if policies.is_empty() || policies.len() > POLICIES_MAX {
        let found = policies.len();
        return Err(wrong(format!("it has {found} policies; set 1 to {POLICIES_MAX} at once")));
    }
    let mut names = BTreeSet::new();
    for policy in &policies {
        if !names.insert(&policy.name) {
            return Err(wrong(format!("it has two policies named `{}`", policy.name)));
        }
        LabelPolicy::new(policy.clone()).map_err(|error| wrong(error.to_string()))?;
    }
    Ok(policies)
}

/// Reads one policy or several, as TOML or JSON.
fn parse(text: &str) -> Result<Vec<Policy>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let plain = |error: serde_json::Error| plain_reason(&error.to_string(), "an object");
    let mut signs = text.chars().filter(|c| !c.is_whitespace());
    match (signs.next(), signs.next()) {
        (Some('['), Some('{' | ']')) => crate::json::read(text.as_bytes()).map_err(|error| error.to_string()),
        (Some('{'), _) => {
            let fields: serde_json::Map<_, _> =
                crate::json::read(text.as_bytes()).map_err(|error| error.to_string())?;
            if fields.contains_key("policy") {
                return serde_json::from_str(text).map(|file: PolicyList| file.policy).map_err(plain);
            }
            serde_json::from_str(text).map(|policy| vec![policy]).map_err(plain)
        }
        _ => {
            let reason = |error: toml::de::Error| {
                let before = error.span().and_then(|span| text.get(..span.start));
                let line = before.map(|before| format!("line {}: ", 1 + before.matches('\n').count()));
                format!("{}{}", line.unwrap_or_default(), plain_reason(error.message(), "a table"))
            };
            let fields: toml::Table = toml::from_str(text).map_err(reason)?;
            if fields.contains_key("policy") {
                return typed(text, fields).map(|file: PolicyList| file.policy).map_err(reason);
            }
            typed(text, fields).map(|policy| vec![policy]).map_err(reason)
        }
    }
}

/// A table as a policy, with or without quotes around its times.
fn typed<T: DeserializeOwned>(text: &str, table: toml::Table) -> Result<T, toml::de::Error> {
    let in_quotes = in_quotes(toml::Value::Table(table.clone()));
    if in_quotes == toml::Value::Table(table) { toml::from_str(text) } else { T::deserialize(in_quotes) }
}

/// A value with TOML times converted to strings.
fn in_quotes(value: toml::Value) -> toml::Value {
    match value {
        toml::Value::Datetime(time) => toml::Value::String(time.to_string()),
        toml::Value::Array(items) => toml::Value::Array(items.into_iter().map(in_quotes).collect()),
        toml::Value::Table(fields) => {
            fields.into_iter().map(|(key, value)| (key, in_quotes(value))).collect::<toml::Table>().into()
        }
        other => other,
    }
}

fn table(policies: &[Policy]) -> Table {
    let mut table = Table::new(&["NAME", "PROMPTS", "LABELS", "REQUIREMENTS"]);
    for policy in policies {
        table.row([
            Cell::new(ACCENT, &policy.name),
            Cell::from(&policy.prompts),
            Cell::from(&policy.labels),
            Cell::from(in_words(policy)),
        ]);
    }
    table
}

/// The requirements of a policy, in short.
fn in_words(policy: &Policy) -> String {
    let mut words = demands(policy);
    words.extend((!policy.freeze.is_empty()).then(|| count(policy.freeze.len(), "freeze")));
    words.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> &'static str {
        EXAMPLES.split_once("require nothing.\n").expect("an example").1
    }

    #[test]
    fn policy_file_accepts_unquoted_times_and_a_byte_order_mark() {
        let policy = |from: &str, to: &str| {
            format!("\u{feff}name = 'p'\nlabels = 'production'\n[[freeze]]\nfrom = {from}\nto = {to}\nwhy = 'x'\n")
        };
        let quoted = parse(&policy("'2026-12-20T00:00:00Z'", "'2027-01-02T00:00:00Z'")).expect("a policy");
        assert_eq!(parse(&policy("2026-12-20T00:00:00Z", "2027-01-02T00:00:00Z")), Ok(quoted.clone()));
        let several = policy("2026-12-20 00:00:00Z", "'2027-01-02T00:00:00Z'").replacen('\u{feff}', "[[policy]]\n", 1);
        assert_eq!(parse(&several.replace("[[freeze]]", "[[policy.freeze]]")), Ok(quoted.clone()));
        assert_eq!(parse(&format!("\u{feff}{}", serde_json::to_string(&quoted).expect("JSON"))), Ok(quoted));
        parse(&policy("2026-12-20", "2027-01-02")).expect_err("days without an hour are no moments");
    }

    #[test]
    fn policy_example_in_help_is_complete_and_round_trips() {
        assert!(example().lines().all(|line| line.chars().count() <= 78), "a folded line could not be copied");
        let policies = parse(example()).expect("a policy");
        let [policy] = policies.as_slice() else { panic!("one: {policies:?}") };
        LabelPolicy::new(policy.clone()).expect("one that can be kept");
        let json = serde_json::to_value(Policy { self_approval: true, ..policy.clone() }).expect("JSON");
        assert_eq!(json.as_object().expect("an object").len(), 14, "every field is shown: {json}");
        let again = parse(&toml::to_string(policy).expect("TOML")).expect("a policy");
        assert_eq!(again, policies);
        assert_eq!(parse(&serde_json::to_string(policy).expect("JSON")).expect("a policy"), policies);
        let said = in_words(policy);
        for part in [
            "deployment by releaser",
            "2 approvals by compliance or releaser",
            "1 h on staging first",
            "2 freezes",
            "OPS",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn policies_are_read_in_every_shape_or_explained() {
        let two = "[[policy]]\nname = \"a\"\nlabels = \"x\"\n[[policy]]\nname = \"b\"\nlabels = \"y\"\n";
        for (text, names) in [
            (two, "a b"),
            (r#"[{"name":"a","labels":"x"}, {"name":"b","labels":"y"}]"#, "a b"),
            (r#"{"policy":[{"name":"a","labels":"x"}]}"#, "a"),
            (r#" {"name":"a","labels":"x"}"#, "a"),
            ("name = \"a\"\nlabels = \"x\"", "a"),
            ("[]", ""),
        ] {
            let policies = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(
                policies.iter().map(|policy| policy.name.as_str()).collect::<Vec<_>>().join(" "),
                names,
                "{text}"
            );
        }
        for (text, part) in [
            ("", "name"),
            ("name = \"a\"\nlabels = \"x\"\napproval = 2", "approval"),
            ("name = \"a\"\nlabels = \"x\"\n[risk]\nfrom = \"grave\"", "line 4"),
            (r#"{"name":"a"}"#, "labels"),
            (r#"[{"name":"a"}]"#, "labels"),
            ("name = [", "line 1"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn policy_file_is_validated_before_anything_is_sent() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("p.toml");
        for (text, part) in [
            (
                "[[policy]]\nname = \"a\"\nlabels = \"x\"\n[[policy]]\nname = \"a\"\nlabels = \"y\"\n",
                "two policies named `a`",
            ),
            ("name = \"a\"\nlabels = \"x\"\nmessage = \"(\"", "regular expression"),
            ("policy = []", "0 policies"),
        ] {
            std::fs::write(&path, text).expect("a file");
            let error = read(&path).expect_err(part);
            assert!(error.message.contains(part) && error.kind.code() == 2, "{text}: {error:?}");
        }
    }
}
