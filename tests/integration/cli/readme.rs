//! What the README tells people to type can be typed.

use crate::support::command::bookholder;
use crate::support::node::{Launch, Node};

const README: &str = include_str!("../../../README.md");

/// The command lines of the program that stand in the README's blocks.
fn commands() -> Vec<String> {
    let blocks = README.split("```").skip(1).step_by(2);
    let joined = blocks.collect::<String>().replace("\\\n    ", "");
    let lines = joined.lines().filter(|line| line.starts_with("bookholder "));
    lines.map(|line| line.split("  ").next().unwrap_or_default().trim_end().to_owned()).collect()
}

#[test]
fn every_verb_and_flag_of_the_readme_exists() {
    let commands = commands();
    assert!(commands.len() >= 10, "{commands:#?}");
    for command in &commands {
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        let verbs = words.iter().take_while(|word| word.chars().all(|c| c.is_ascii_lowercase())).take(2);
        let mut verbs: Vec<&str> = verbs.copied().collect();
        let mut help = bookholder(verbs.iter().chain(&["--help"])).run();
        if help.0 != Some(0) || !help.1.stdout.contains(&format!("bookholder {}", verbs.join(" "))) {
            verbs.truncate(1);
            help = bookholder(verbs.iter().chain(&["--help"])).run();
        }
        assert_eq!(help.0, Some(0), "{command}: {:#?}", help.1);
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            let flag = flag.split('=').next().unwrap_or_default();
            assert!(help.1.stdout.contains(flag), "{command}: `{flag}` is not in {}", help.1.stdout);
        }
    }
}

/// The sidecar's five lines, with free ports.
#[test]
fn the_sidecar_of_the_readme_works() {
    for part in [
        "bookholder serve --data primary",
        "--file agent.prompt -m 'First words' --label production",
        "keys show --data primary --json",
    ] {
        assert!(README.contains(part), "{part}");
    }
    let primary = Node::primary();
    let start = README.find("---\nmodel:").expect("a prompt file");
    let file = &README[start..start + README[start..].find("```").expect("its end")];
    let path = primary.home().join("agent.prompt");
    std::fs::write(&path, file).expect("a file");
    for _ in 0..3 {
        primary.publish("shared/tone", "Be brief.");
        primary.publish("shared/tone", "Be brief and kind.");
    }
    let publish =
        bookholder(["publish", "support/agent", "-m", "First words", "--label", "production", "--file"]).arg(&path);
    let _said = publish.server(&primary).ok().says("support/agent@1 published");
    let replica = Launch::replica_of(&primary).start();
    replica.follow(&primary);
    let answer = replica.get("/v1/resolve/support/agent@production").ok();
    assert_eq!((&answer["name"], &answer["version"]), (&"support/agent".into(), &1.into()));
    assert_eq!(answer["content"]["model"]["name"], "gpt-4o");
}
