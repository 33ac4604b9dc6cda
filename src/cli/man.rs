//! `man`: writes a manual page for each command.
//!
//! The pages come from the tree of commands, so they have what `--help` has; examples are kept as they are typed.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::Verdict;
use super::disk;
use super::error::CliError;
use super::output::{GOOD, Output, paint};
use crate::model::count::count;

const EXAMPLES: &str = "\
Examples:
  bookholder man --out /usr/local/share/man/man1
  bookholder man --out man && man -l man/bookholder-deploy.1";

/// The text before the examples of a command.
const EXAMPLES_HEADING: &str = "Examples:\n";
/// The section of commands.
const SECTION: &str = "1";
const MANUAL: &str = "Bookholder Manual";

/// `man`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ManArgs {
    /// Folder for the pages: bookholder.1, bookholder-deploy.1 and so on
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
}

/// Writes the pages of a tree of commands.
pub fn run(args: &ManArgs, tree: Command, output: Output) -> Result<Verdict, CliError> {
    let mut tree = tree.disable_help_subcommand(true);
    tree.build();
    let mut pages = Vec::new();
    collect(&tree, &mut pages)?;
    for (name, page) in &pages {
        disk::write(&args.out.join(name), page)?;
    }
    let names: Vec<&String> = pages.iter().map(|(name, _)| name).collect();
    output.show(&serde_json::json!({ "items": names }), || {
        let pages = count(pages.len(), "page");
        output.line(format!("{} wrote {pages} to {}", paint(GOOD, "✓"), args.out.display()))
    })?;
    Ok(Verdict::Done)
}

/// The page of a command and those of all below it: file names and bytes.
fn collect(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> Result<(), CliError> {
    let man = Man::new(command.clone()).section(SECTION).source(source()).manual(MANUAL);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().any(|below| !below.is_hide_set()) {
        man.render_subcommands_section(&mut page)?;
    }
    after(command, &mut page)?;
    pages.push((man.get_filename(), page));
    command.get_subcommands().filter(|below| !below.is_hide_set()).try_for_each(|below| collect(below, pages))
}

/// The examples and notes of a command, line by line.
fn after(command: &Command, page: &mut Vec<u8>) -> Result<(), CliError> {
    let Some(text) = command.get_after_help().map(ToString::to_string) else { return Ok(()) };
    let (notes, examples) = match text.split_once(EXAMPLES_HEADING) {
        Some((notes, examples)) => (notes.trim(), examples),
        None => (text.trim(), ""),
    };
    let mut roff = Roff::new();
    for (heading, text) in [("NOTES", notes), ("EXAMPLES", examples)] {
        if text.is_empty() {
            continue;
        }
        roff.control("SH", [heading]);
        roff.control("nf", []);
        for line in text.lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
    }
    Ok(roff.to_writer(page)?)
}

fn source() -> String {
    format!("bookholder {}", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::args::Cli;

    #[test]
    fn each_command_has_a_page_with_its_options_and_examples_as_typed() {
        let folder = tempfile::tempdir().expect("a folder");
        let args = ManArgs { out: folder.path().join("man1") };
        run(&args, Cli::command(), Output { json: true, terminal: false, headings: true }).expect("written");
        let pages: Vec<_> = std::fs::read_dir(&args.out).expect("a folder").map(|page| page.expect("a page")).collect();
        assert!(
            pages.len() > 80 && pages.iter().all(|page| page.path().extension().is_some_and(|end| end == SECTION)),
            "{}",
            pages.len()
        );
        let page = |name: &str| std::fs::read_to_string(args.out.join(name)).expect(name);
        let deploy = page("bookholder-deploy.1");
        assert!(deploy.contains(".SH EXAMPLES\n.nf\n") && deploy.contains("\\-\\-to"), "{deploy}");
        assert!(deploy.contains("bookholder deploy support/agent@7"), "{deploy}");
        assert!(page("bookholder-token-create.1").contains("Create an access token"), "nested commands have pages");
        assert!(page("bookholder.1").contains("bookholder\\-rollback(1)"));
    }
}
