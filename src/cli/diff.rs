//! `diff`: the differences between two versions of a prompt.

use std::ops::Range;

use anstyle::Style;
use clap::Args;
use serde_json::Value;

use super::Verdict;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, BAD, Cell, DIM, GOOD, STRONG, Table, harmless, paint};
use super::{disk, editor};
use crate::api::read::DiffAnswer;
use crate::files::prompt::write;
use crate::model::comparison::{Diff, ValueChange};
use crate::model::name::{Label, NameError, PromptName};
use crate::model::reference::{Reference, ReferenceError, Selector};

const EXAMPLES: &str = "\
Examples:
  bookholder diff support/agent                production and the latest version
  bookholder diff support/agent 6 7
  bookholder diff support/agent@6 support/agent@7
  bookholder diff support/agent production staging
  bookholder diff support/agent 6 7 --stat
  bookholder diff support/agent 6 7 --tool 'code --wait --diff'";

/// `diff`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DiffArgs {
    /// Prompt, or one of its versions to compare from: NAME or NAME@VERSION
    #[arg(value_name = "NAME[@VERSION]", value_parser = side)]
    prompt: Side,
    /// Versions to compare: numbers, labels, b3:… or NAME@VERSION [default: production and latest]
    #[arg(value_name = "VERSION", num_args = 0..=2)]
    versions: Vec<String>,
    /// Print only how many lines of each part changed
    #[arg(long)]
    stat: bool,
    /// Compare the versions as prompt files in another program, e.g. meld; it gets their two paths
    #[arg(long, value_name = "COMMAND", conflicts_with = "stat")]
    tool: Option<String>,
}

/// A prompt, with an optional version.
type Side = (PromptName, Option<Selector>);

fn side(text: &str) -> Result<Side, String> {
    if !text.contains('@') {
        return Ok((text.parse().map_err(|error: NameError| error.to_string())?, None));
    }
    let Reference { name, selector } = text.parse().map_err(|error: ReferenceError| error.to_string())?;
    Ok((name, Some(selector)))
}

/// The prompt, and the two versions to compare.
fn sides(args: &DiffArgs) -> Result<(PromptName, Selector, Selector), CliError> {
    let (name, first) = args.prompt.clone();
    let mut named: Vec<Selector> = first.into_iter().collect();
    for text in &args.versions {
        if !text.contains('@') {
            named.push(text.parse().map_err(|error: ReferenceError| CliError::usage(error.to_string()))?);
            continue;
        }
        let Reference { name: other, selector } =
            text.parse().map_err(|error: ReferenceError| CliError::usage(error.to_string()))?;
        if other != name {
            let message = format!("cannot compare {name} with {text}: diff compares two versions of one prompt");
            return Err(CliError::usage(message).hint(format!("name another version of {name}, e.g. {name}@7")));
        }
        named.push(selector);
    }
    if named.len() > 2 {
        return Err(CliError::usage(format!("diff compares two versions, and {} are named", named.len()))
            .hint(format!("for example: `bookholder diff {name} 6 7`")));
    }
    let mut named = named.into_iter();
    let from = named.next().unwrap_or(Selector::Label(Label::production()));
    let to = named.next().unwrap_or(Selector::Label(Label::latest()));
    Ok((name, from, to))
}

pub async fn run(args: DiffArgs, context: Context) -> Result<Verdict, CliError> {
    let (name, from, to) = sides(&args)?;
    let answer = context.client.diff(&name, &from, &to).await?;
    let output = context.output;
    if let Some(tool) = &args.tool {
        if output.json {
            return Err(CliError::usage("--tool prints what the other program prints, so it has no --json"));
        }
        return compare(tool, &answer, &context).await;
    }
    output.show(&answer, || {
        if args.stat && !answer.diff.is_empty() {
            output.line(title(&answer))?;
            return output.table(&stat(&answer.diff), "");
        }
        output.line(show(&answer).trim_end())
    })?;
    Ok(Verdict::Done)
}

/// Lets another program compare the versions, as the prompt files that `get --file` prints.
async fn compare(tool: &str, answer: &DiffAnswer, context: &Context) -> Result<Verdict, CliError> {
    let folder = tempfile::Builder::new().prefix("bookholder-").tempdir()?;
    let mut paths = Vec::new();
    for number in [answer.from, answer.to] {
        let view = context.client.version(&answer.name, number).await?;
        let path = folder.path().join(format!("{}@{number}.prompt", answer.name.as_str().replace('/', "-")));
        disk::write_private(&path, write(&view.source.unwrap_or(view.content)).as_bytes())?;
        paths.push(path);
    }
    let ended = editor::command(tool, &paths).status();
    let status = ended.map_err(|error| CliError::usage(format!("cannot start `{tool}`: {error}")))?;
    // Programs that compare files end with 1 where these differ.
    if matches!(status.code(), Some(0 | 1)) {
        return Ok(Verdict::Done);
    }
    Err(CliError::no(format!("`{tool}` failed: {status}")))
}

fn title(answer: &DiffAnswer) -> String {
    let DiffAnswer { name, from, to, .. } = answer;
    paint(STRONG, format!("{name}@{from} → {name}@{to}"))
}

fn show(answer: &DiffAnswer) -> String {
    if answer.diff.is_empty() {
        return title(answer) + "\n" + &paint(DIM, "the versions are identical");
    }
    title(answer) + "\n" + &changes(&answer.diff)
}

/// Every difference, each under its heading; empty if there are none.
pub fn changes(diff: &Diff) -> String {
    let mut shown = String::new();
    for part in parts(diff) {
        shown.extend(["\n", &paint(STRONG, part.name), "\n"]);
        hunks(&mut shown, &part.unified);
    }
    shown
}

/// How many lines of each part were added and removed.
fn stat(diff: &Diff) -> Table {
    let mut table = Table::new(&["PART", "ADDED", "REMOVED"]);
    for part in parts(diff) {
        let lines = |sign: char| part.unified.lines().filter(|line| line.starts_with(sign)).count();
        table.row([
            Cell::new(ACCENT, part.name),
            Cell::new(GOOD, format!("+{}", lines('+'))),
            Cell::new(BAD, format!("-{}", lines('-'))),
        ]);
    }
    table
}

/// A part of a prompt that changed.
struct Part {
    name: String,
    /// Lines that begin with `-`, `+`, `@` or a space.
    unified: String,
}

/// What changed, in the order of a prompt file.
fn parts(diff: &Diff) -> Vec<Part> {
    let mut parts = Vec::new();
    if let Some(change) = diff.syntax {
        parts.push(values("syntax", &ValueChange::new(json(&change.before), json(&change.after))));
    }
    if let Some(text) = &diff.text {
        parts.push(Part { name: "text".to_owned(), unified: text.clone() });
    }
    for message in &diff.messages {
        let number = |index: Option<usize>| index.map_or_else(|| "none".to_owned(), |index| (index + 1).to_string());
        let name = format!("message {} → {}", number(message.before), number(message.after));
        parts.push(Part { name, unified: message.unified.clone() });
    }
    for variable in &diff.variables {
        let side = |side: Option<&_>| side.map_or(Value::Null, json);
        let change = ValueChange::new(side(variable.before.as_ref()), side(variable.after.as_ref()));
        parts.push(values(&format!("variable {}", harmless(&variable.name)), &change));
    }
    let rest = [
        ("model", &diff.model),
        ("tools", &diff.tools),
        ("response schema", &diff.response_schema),
        ("config", &diff.config),
    ];
    parts.extend(rest.into_iter().filter_map(|(name, change)| change.as_ref().map(|change| values(name, change))));
    parts
}

/// Lines that begin with `-`, `+`, `@` or a space, coloured accordingly. Where as many lines were added as removed, what
/// differs between them is inverted.
fn hunks(shown: &mut String, unified: &str) {
    let text = harmless(unified);
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let style = match line.chars().next() {
            Some('-') => {
                let mut removed = vec![line];
                removed.extend(std::iter::from_fn(|| lines.next_if(|next| next.starts_with('-'))));
                let added: Vec<&str> = std::iter::from_fn(|| lines.next_if(|next| next.starts_with('+'))).collect();
                replaced(shown, &removed, &added);
                continue;
            }
            Some('+') => GOOD,
            Some('@') => ACCENT,
            Some('\\') => DIM,
            _ => Style::new(),
        };
        shown.extend([paint(style, line), "\n".to_owned()]);
    }
}

/// Lines that were removed, and those in their place.
fn replaced(shown: &mut String, removed: &[&str], added: &[&str]) {
    let is_paired = removed.len() == added.len();
    let pairs = removed.iter().zip(added).filter(|_| is_paired).map(|(before, after)| changed(before, after));
    let (before, after): (Vec<_>, Vec<_>) = pairs.unzip();
    for (lines, style, changes) in [(removed, BAD, before), (added, GOOD, after)] {
        for (number, line) in lines.iter().enumerate() {
            let change = changes.get(number).cloned().unwrap_or_default();
            let parts = (line.get(..change.start), line.get(change.clone()), line.get(change.end..));
            let painted = match parts {
                (Some(start), Some(inner), Some(end)) if !inner.is_empty() => {
                    paint(style, start) + &paint(style.invert(), inner) + &paint(style, end)
                }
                _ => paint(style, line),
            };
            shown.extend([painted, "\n".to_owned()]);
        }
    }
}

/// What differs between two lines that begin with their signs, by whole words; nothing if they have no word in common.
fn changed(before: &str, after: &str) -> (Range<usize>, Range<usize>) {
    fn words(line: &str) -> Vec<&str> {
        line.get(1..).unwrap_or_default().split_inclusive(' ').collect()
    }
    let (one, two) = (words(before), words(after));
    let front = one.iter().zip(&two).take_while(|(a, b)| a == b).count();
    let behind = one.iter().skip(front).rev().zip(two.iter().skip(front).rev());
    let back = behind.take_while(|(a, b)| a == b).count();
    if front + back == 0 {
        return (0..0, 0..0);
    }
    let start = 1 + one.iter().take(front).map(|word| word.len()).sum::<usize>();
    let end = one.iter().rev().take(back).map(|word| word.len()).sum::<usize>();
    (start..before.len() - end, start..after.len() - end)
}

fn values(name: &str, change: &ValueChange) -> Part {
    let name = if change.order_only { format!("{name} (key order changed)") } else { name.to_owned() };
    let mut unified = String::new();
    for (sign, value) in [('-', &change.before), ('+', &change.after)] {
        if !value.is_null() {
            let text = serde_json::to_string_pretty(value).unwrap_or_default();
            unified.extend(text.lines().map(|line| format!("{sign}{line}\n")));
        }
    }
    Part { name, unified }
}

fn json<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: DiffArgs,
    }

    #[test]
    fn versions_are_named_with_or_without_the_prompt() {
        let sides_of = |line: &str| sides(&Line::try_parse_from(line.split(' ')).expect(line).args);
        for (line, from, to) in [
            ("diff a/b", "production", "latest"),
            ("diff a/b 6", "6", "latest"),
            ("diff a/b 6 7", "6", "7"),
            ("diff a/b production b3:0123456789ab", "production", "b3:0123456789ab"),
            ("diff a/b@6", "6", "latest"),
            ("diff a/b@6 a/b@7", "6", "7"),
            ("diff a/b@6 7", "6", "7"),
            ("diff a/b a/b@staging a/b@7", "staging", "7"),
        ] {
            let (name, found_from, found_to) = sides_of(line).expect(line);
            assert_eq!(
                (name.as_str(), found_from.to_string(), found_to.to_string()),
                ("a/b", from.to_owned(), to.to_owned()),
                "{line}"
            );
        }
        for (line, part) in [
            ("diff a@1 b@2", "cannot compare a with b@2: diff compares two versions of one prompt"),
            ("diff a@1 2 3", "3 are named"),
            ("diff a 0", "versions count from 1"),
            ("diff a a@0", "versions count from 1"),
        ] {
            let error = sides_of(line).expect_err(line);
            assert!(error.message.contains(part) && error.kind.code() == 2, "{line}: {error:?}");
        }
        for line in ["diff a@", "diff a@0", "diff a//b", "diff"] {
            assert!(Line::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn removed_lines_are_red_and_added_lines_green() {
        let answer: DiffAnswer = serde_json::from_str(
            r#"{"name":"a","from":6,"to":7,"text":"@@ -1 +1 @@\n-old\u001b[0m\n+new\n","config":{"before":null,"after":{"x":1}}}"#,
        )
        .expect("a diff");
        let shown = show(&answer);
        assert!(shown.contains(&paint(BAD, "-old\u{fffd}[0m")) && shown.contains(&paint(GOOD, "+new")), "{shown:?}");
        let plain = anstream::adapter::strip_str(&shown).to_string();
        let expected = "a@6 → a@7\n\ntext\n@@ -1 +1 @@\n-old\u{fffd}[0m\n+new\n\nconfig\n+{\n+  \"x\": 1\n+}\n";
        assert_eq!(plain, expected);
    }

    #[test]
    fn words_that_differ_are_inverted() {
        let mut shown = String::new();
        hunks(
            &mut shown,
            "@@ -1,3 +1,3 @@\n-You help Globe.\n-Be brief.\n+You always help Globe.\n+Say hello.\n same\n-a\n+b\n+c\n",
        );
        let always = paint(GOOD, "+You ") + &paint(GOOD.invert(), "always ") + &paint(GOOD, "help Globe.");
        assert!(shown.contains(&always), "{shown:?}");
        for whole in
            [paint(BAD, "-You help Globe."), paint(BAD, "-Be brief."), paint(GOOD, "+Say hello."), paint(GOOD, "+c")]
        {
            assert!(shown.contains(&whole), "{whole:?} is not in {shown:?}");
        }
        for (before, after, expected) in [
            ("-a b c", "+a x c", (3..5, 3..5)),
            ("-ä b", "+ä c", (4..5, 4..5)),
            ("-a a", "+a a a", (3..3, 3..5)),
            ("-one", "+two", (0..0, 0..0)),
            ("-", "+", (0..0, 0..0)),
        ] {
            assert_eq!(changed(before, after), expected, "{before} {after}");
        }
    }

    #[test]
    fn added_and_removed_lines_are_counted_by_part() {
        let diff = r#"{"text":"@@ -1,2 +1,3 @@\n-old\n+new\n+more\n same\n","config":{"before":null,"after":{"x":1}}}"#;
        let table = stat(&serde_json::from_str(diff).expect("a diff")).render(false, None);
        assert_eq!(table, "PART    ADDED  REMOVED\ntext    +2     -1\nconfig  +3     -0\n");
    }

    #[test]
    fn equal_versions_print_no_differences() {
        let answer: DiffAnswer = serde_json::from_str(r#"{"name":"a","from":6,"to":6}"#).expect("a diff");
        assert!(show(&answer).contains("the versions are identical"));
    }
}
