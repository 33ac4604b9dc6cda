//! The reference of prompt files: every example publishes, and the keys are those that the program takes.

use std::fs;

use crate::support::command::bookholder;
use crate::support::node::Node;

const REFERENCE: &str = include_str!("../../docs/reference/prompt-files.md");

#[test]
fn every_example_of_the_reference_publishes_without_a_warning() {
    let node = Node::primary();
    let folder = tempfile::tempdir().expect("a folder");
    let examples: Vec<&str> = REFERENCE
        .split("```prompt\n")
        .skip(1)
        .map(|rest| rest.split_once("```\n").expect("an end of the example").0)
        .collect();
    assert!(examples.len() >= 4, "{} examples", examples.len());
    for (number, example) in examples.into_iter().enumerate() {
        let file = folder.path().join(format!("{number}.prompt"));
        fs::write(&file, example).expect("a file");
        let name = format!("example-{number}");
        let file = file.to_str().expect("a path");
        let published = bookholder(["publish", &name, "--file", file, "-m", "An example"]).server(&node).ok();
        assert!(!published.stderr.contains("warning"), "{example}{}", published.stderr);
    }
}

#[test]
fn file_of_a_version_publishes_over_http_as_the_same_content() {
    let node = Node::primary();
    for (number, example) in REFERENCE.split("```prompt\n").skip(1).enumerate() {
        let example = example.split_once("```\n").expect("an end of the example").0;
        let post = |name: &str, file: &str| {
            let path = format!("/v1/prompts/{name}-{number}/versions?message=By+HTTP&label=production");
            let answer = node.send("POST", &path, &[("content-type", "text/vnd.bookholder.prompt")], file.as_bytes());
            assert_eq!(answer.status, 201, "{}", answer.text());
            answer.json()["version"]["content_id"].clone()
        };
        let first = post("first", example);
        let file = bookholder(["get", &format!("first-{number}"), "--file"]).server(&node).ok().stdout;
        assert_eq!(post("second", &file), first, "{file}");
    }
}

#[test]
fn help_and_the_verb_print_the_reference() {
    assert_eq!(bookholder(["prompt-file"]).ok().stdout, REFERENCE);
    let help = bookholder(["help", "prompt-file"]).ok().stdout;
    for part in ["## Front matter", "`response_schema`", "## Syntaxes"] {
        assert!(help.contains(part), "{help}");
    }
}

#[test]
fn documented_front_matter_keys_match_the_parser() {
    let check = |heading: &str, file: &str| {
        let section = REFERENCE.split_once(heading).expect(heading).1;
        let rows = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
        let mut documented: Vec<String> = rows
            .take_while(|line| line.starts_with('|'))
            .map(|line| line.split('`').nth(1).expect("a key").to_owned())
            .collect();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("wrong.prompt");
        fs::write(&path, file).expect("a file");
        let path = path.to_str().expect("a path");
        let node = Node::primary();
        let refused = bookholder(["publish", "a", "--file", path, "-m", "Why"]).server(&node).fails(2);
        let (_, expected) = refused.stderr.split_once("expected one of ").expect("the keys that there are");
        let mut taken: Vec<String> =
            expected.lines().next().unwrap_or_default().split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect();
        documented.sort_unstable();
        taken.sort_unstable();
        assert_eq!(documented, taken, "{heading}");
    };
    check("## Front matter", "---\nnone: 1\n---\nx\n");
    check("A declaration in `variables`", "---\nvariables: {a: {none: 1}}\n---\nx\n");
}
